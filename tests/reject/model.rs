//! A web counted one by one: who saw each count, what was said about it, and whether the ejector
//! was on when it went by. Slow, and simple enough to be believed.

use blemish::block::LineStamp;
use blemish::geometry::{Count, LineNumber};
use blemish::reject::{Exposure, Ledger, Outputs, RejectConfig, RejectEvent, ReversePolicy};
use blemish::verdict::{Reason, Span, SpanVerdict, Verdict};
use std::collections::{BTreeMap, VecDeque};

pub const US: u64 = 1_000;
const NO_LINE: u64 = u64::MAX;

/// A count of web.
#[derive(Debug, Clone, Default)]
struct Web {
    /// Lines that own it. Web without an owner was never inspected.
    owners: Vec<u64>,
    /// Web between two lines that lie too far apart: no verdict can make it good.
    unseen: bool,
}

/// The machine, the inspection and the model around one ledger.
pub struct World<const N: usize> {
    pub ledger: Ledger<N>,
    config: RejectConfig,
    pub now_ns: u64,
    pub count: i64,
    outputs: Outputs,
    effective_ns: u64,
    // The model of the web since the last reset.
    web: BTreeMap<i64, Web>,
    /// Lines lost before the next one, which tells of them.
    lost: u64,
    farthest_line: Option<i64>,
    /// Web before the first line stays unknown, even if it is seen later.
    first_count: Option<i64>,
    previous: Option<(i64, bool)>,
    run: Option<i64>,
    farthest: i64,
    // Lines and verdicts.
    pub next_line: u64,
    verdicts: BTreeMap<u64, Verdict>,
    due: VecDeque<(u64, SpanVerdict)>,
    next_span_line: u64,
    pub verdict_lines: u32,
    pub latency_us: u64,
    pub hung: bool,
    asked: bool,
    reset: bool,
    pub next_verdicts: VecDeque<Verdict>,
    // Sums of the model.
    lines: u64,
    counts: u64,
    accepted: u64,
    unproven_accepted: u64,
    /// All lines by their count; a loss is a line that never gets a verdict.
    lines_at: BTreeMap<i64, Vec<u64>>,
    /// Where the web was when each line got its verdict.
    told_at: BTreeMap<u64, i64>,
    /// Encoder position until which good web may be rejected for an outside cause.
    excused_to: i64,
    good_rejected: Vec<i64>,
    fired: u64,
}

impl<const N: usize> World<N> {
    pub fn new(config: RejectConfig, start: i64) -> Self {
        let mut ledger = Ledger::new(config.clone(), 0, Count(start)).expect("valid settings");
        let outputs = ledger.advance(0, Count(start));
        Self {
            ledger,
            config,
            now_ns: 0,
            count: start,
            outputs,
            effective_ns: 0,
            web: BTreeMap::new(),
            lost: 0,
            farthest_line: None,
            first_count: None,
            previous: None,
            run: None,
            farthest: start,
            next_line: 0,
            verdicts: BTreeMap::new(),
            due: VecDeque::new(),
            next_span_line: 0,
            verdict_lines: 10,
            latency_us: 10_000,
            hung: false,
            asked: false,
            reset: false,
            next_verdicts: VecDeque::new(),
            lines: 0,
            counts: 0,
            accepted: 0,
            unproven_accepted: 0,
            lines_at: BTreeMap::new(),
            told_at: BTreeMap::new(),
            excused_to: i64::MIN,
            good_rejected: Vec::new(),
            fired: 0,
        }
    }

    fn distance(&self) -> i64 {
        i64::from(self.config.distance_counts)
    }

    /// Counts around a piece of web in which trouble may reject it: the span it belongs to, margins,
    /// and what the web travels in the lead, the recovery and the shortest pulse.
    fn neighbourhood(&self) -> i64 {
        let c = &self.config;
        let us = u64::from(c.lead_us + c.call_period_us + c.recovery_us + c.min_pulse_us);
        let travel = u64::from(c.max_speed_counts_per_s) * us / 1_000_000 + 1;
        let span =
            u64::from(c.span_lines.max(self.verdict_lines) + 1) * u64::from(c.max_counts_per_line);
        (travel + 2 * span + 2 * u64::from(c.margin_counts)) as i64
    }

    fn good(&self, w: i64) -> bool {
        self.web.get(&w).is_some_and(|web| {
            !web.unseen
                && !web.owners.is_empty()
                && web
                    .owners
                    .iter()
                    .all(|line| self.verdicts.get(line) == Some(&Verdict::Ok))
        })
    }

    /// Gives good product rejected from here on an outside cause, for a while.
    fn excuse(&mut self) {
        let to = self.count.max(self.farthest) + self.neighbourhood();
        self.excused_to = self.excused_to.max(to);
    }

    /// One call of `advance`, `step` counts and `us` later.
    pub fn advance(&mut self, us: u64, step: i64) {
        let before = self.now_ns;
        self.now_ns += us * US;
        if us > u64::from(self.config.call_period_us) {
            self.excuse();
        }
        let from = self.count;
        self.count += step;
        if us > u64::from(self.config.call_period_us) {
            self.excuse();
        }
        self.deliver();
        // The web moves under the output of the last call.
        for k in 0..step.max(0) {
            let w = from + k - self.distance();
            if from + k < self.farthest {
                continue;
            }
            self.farthest = from + k + 1;
            self.counts += 1;
            let part_ns = (self.now_ns - before) as i128 * k as i128;
            let effective = self.outputs.reject
                && (self.effective_ns <= before
                    || (self.effective_ns - before) as i128 * step as i128 <= part_ns);
            if !effective {
                self.accepted += 1;
                if !self.good(w) {
                    self.unproven_accepted += 1;
                }
            } else if self.surely_good(w) {
                self.good_rejected.push(w);
            }
        }
        let was = self.outputs.reject;
        self.outputs = self.ledger.advance(self.now_ns, Count(self.count));
        if self.outputs.reject && !was {
            self.effective_ns = self.now_ns + u64::from(self.config.lead_us) * US;
            let asked = self.asked || self.outputs.alarms.queue_full || self.reset;
            assert!(
                !self.outputs.stationary || asked,
                "a pulse on a standing web"
            );
        }
        self.reset = false;
        if self.asked || self.outputs.alarms.queue_full || self.outputs.alarms.reversed {
            self.excuse();
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.ledger.pop_event() {
            self.fired += u64::from(matches!(event, RejectEvent::Fired { .. }));
        }
    }

    /// Whether it and all its neighbours were proven good long before they came to the ejector.
    fn surely_good(&self, w: i64) -> bool {
        let near = self.neighbourhood();
        let at = w + self.distance();
        at > self.excused_to
            && self.first_count.is_some_and(|first| first <= w - near)
            && (w - near..=w + near).all(|u| self.good(u))
            && self
                .lines_at
                .range(w - near..=w + near)
                .flat_map(|(_, lines)| lines)
                .all(|line| {
                    self.verdicts.get(line) == Some(&Verdict::Ok)
                        && self.told_at[line] < at - 2 * near
                })
    }

    /// Lines at the present count, as many as the camera would have exposed by itself.
    pub fn expose(&mut self, lines: u32) {
        for _ in 0..lines {
            let stamp = LineStamp {
                exposure_ns: self.now_ns,
                count: Count(self.count),
            };
            self.arm(&[stamp]);
        }
    }

    /// Arms lines with these stamps and keeps the model's own account of who saw what.
    pub fn arm(&mut self, stamps: &[LineStamp]) {
        let first = LineNumber(self.next_line);
        let runs: Vec<Exposure> = self.config.exposures(first, stamps).collect();
        for run in runs {
            self.ledger.arm(&run).expect("lines in order");
        }
        for stamp in stamps {
            self.look(self.next_line, stamp.count.0);
            self.next_line += 1;
        }
        self.inspect();
    }

    /// Lines that the camera lost and tells of by their numbers.
    pub fn lose_lines(&mut self, lines: u64) {
        self.next_line += lines;
        self.lost += lines;
    }

    /// Who owns what: a line owns the web since the line before it.
    fn look(&mut self, line: u64, count: i64) {
        let most = i64::from(self.config.max_counts_per_line);
        // Nobody knows of lines before the first of all.
        let lost = std::mem::take(&mut self.lost);
        let lost = if self.lines == 0 { 0 } else { lost };
        self.lines += lost + 1;
        let lost = lost > 0;
        let accepted = match self.config.reverse {
            ReversePolicy::TrackBackward => self.farthest_line.is_none_or(|far| count >= far),
            ReversePolicy::IgnoreBackward => self
                .previous
                .is_none_or(|(last, accepted)| count > last || (count == last && accepted)),
            ReversePolicy::BiDirectional => true,
        };
        self.previous = Some((count, accepted));
        let here = self.lines_at.entry(count).or_default();
        here.push(line);
        if lost {
            here.push(NO_LINE);
        }
        if !accepted {
            self.run = None;
            return;
        }
        let far = self.farthest_line.unwrap_or(count);
        self.first_count.get_or_insert(count);
        let from = match (self.config.reverse, self.run) {
            (ReversePolicy::TrackBackward, _) => far,
            (_, Some(run)) => run,
            (_, None) => far.min(count),
        };
        for w in from.min(count)..from.max(count) {
            let seen = self.web.entry(w).or_default();
            if lost || (count - from).abs() > most {
                seen.unseen = true;
            } else {
                seen.owners.push(line);
            }
        }
        self.farthest_line = Some(far.max(count));
        self.run = Some(count);
    }

    /// Makes verdicts of the lines that have come.
    fn inspect(&mut self) {
        while self.next_line >= self.next_span_line + u64::from(self.verdict_lines) {
            let given = SpanVerdict {
                span: Span {
                    first_line: LineNumber(self.next_span_line),
                    lines: self.verdict_lines,
                },
                verdict: self.next_verdicts.pop_front().unwrap_or(Verdict::Ok),
            };
            self.next_span_line += u64::from(self.verdict_lines);
            self.due
                .push_back((self.now_ns + self.latency_us * US, given));
        }
    }

    /// Verdicts whose time has come, in order.
    fn deliver(&mut self) {
        while let Some((at_ns, given)) = self.due.front().copied() {
            if self.hung || at_ns > self.now_ns {
                break;
            }
            self.due.pop_front();
            self.ledger.verdict(given);
            let first = given.span.first_line.0;
            for line in first..first + u64::from(given.span.lines) {
                self.verdicts.insert(line, given.verdict);
                self.told_at.insert(line, self.farthest);
            }
        }
    }

    /// The encoder has a new origin, or someone pressed the emergency stop.
    pub fn reset(&mut self, count: i64) {
        self.ledger
            .reset(Reason::Startup, self.now_ns, Count(count));
        self.forget(count);
        self.reset = true;
        self.advance(1000, 0);
    }

    /// The encoder shows a count that no web can have come to.
    pub fn jump(&mut self, count: i64) {
        self.now_ns += 1000 * US;
        let was = self.outputs.reject;
        self.outputs = self.ledger.advance(self.now_ns, Count(count));
        assert!(self.outputs.reject && self.outputs.alarms.encoder_fault);
        if !was {
            self.effective_ns = self.now_ns + u64::from(self.config.lead_us) * US;
        }
        self.drain();
        self.forget(count);
    }

    fn forget(&mut self, count: i64) {
        self.count = count;
        self.farthest = count;
        self.web.clear();
        self.lines_at.clear();
        self.farthest_line = None;
        self.first_count = None;
        self.previous = None;
        self.run = None;
        self.excused_to = i64::MIN;
    }

    /// Everything that must hold at every moment.
    pub fn check(&self) {
        let sums = self.ledger.accounting();
        sums.identity().expect("the accounting identity");
        assert_eq!(sums.lines_travelled, self.lines, "lines of the camera");
        assert_eq!(sums.counts_travelled, self.counts, "counts of the encoder");
        assert_eq!(
            sums.accepted_counts, self.accepted,
            "web that went by untouched"
        );
        assert!(
            sums.missed_counts >= self.unproven_accepted,
            "{} counts passed unproven, {} were told",
            self.unproven_accepted,
            sums.missed_counts
        );
        assert!(
            self.good_rejected.is_empty(),
            "good web rejected without a cause: {:?}",
            self.good_rejected
        );
        assert!(self.fired <= sums.pulses && sums.pulses <= self.fired + sums.events_lost);
        assert!(self.ledger.records() <= N);
    }
}

impl<const N: usize> World<N> {
    /// A hold that the shell asks for.
    pub fn hold(&mut self, asked: bool) {
        self.ledger.hold(asked);
        self.asked = asked;
    }

    /// The end of the run: nothing stays pending.
    pub fn finish(&mut self) {
        self.ledger
            .reset(Reason::Shutdown, self.now_ns, Count(self.count));
        let sums = self.ledger.accounting();
        sums.identity().expect("the accounting identity");
        assert_eq!(sums.lines_pending, 0);
    }
}
