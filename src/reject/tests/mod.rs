//! Small cases, each readable by itself: a web of one count per line, ten lines to a span.

mod faults;
mod reverse;

use super::*;
use crate::block::LineStamp;
use crate::geometry::{Count, LineNumber};
use crate::verdict::{Reason, Span, SpanVerdict, Verdict};

const MS: u64 = 1_000_000;

fn config() -> RejectConfig {
    RejectConfig {
        distance_counts: 100,
        lead_us: 5_000,
        call_period_us: 1_000,
        margin_counts: 2,
        min_pulse_us: 4_000,
        recovery_us: 3_000,
        max_hold_ms: 200,
        max_pulses_per_minute: 0,
        max_speed_counts_per_s: 2_000,
        max_counts_per_line: 1,
        span_lines: 10,
        latency_us: 20_000,
        speed_window_ms: 10,
        stationary_after_ms: 50,
        reverse_keep_counts: 100,
        ..RejectConfig::default()
    }
}

/// A ledger on a web that moves 1 count per millisecond, with one line per count.
struct Line {
    ledger: Ledger<64>,
    ms: u64,
    count: i64,
    next_line: u64,
    outputs: Outputs,
    /// Web counts that went past with the output at accept.
    accepted: Vec<i64>,
    events: Vec<RejectEvent>,
}

impl Line {
    fn new(config: RejectConfig) -> Self {
        let mut ledger = Ledger::new(config, 0, Count(0)).unwrap();
        let outputs = ledger.advance(0, Count(0));
        Self {
            ledger,
            ms: 0,
            count: 0,
            next_line: 0,
            outputs,
            accepted: Vec::new(),
            events: Vec::new(),
        }
    }

    fn expose(&mut self) {
        let stamp = self.stamp();
        self.arm(&[stamp]);
    }

    /// Lines one count apart, handed over as one block behind the last.
    fn block(&mut self, lines: u64, step: i64) {
        let stamps: Vec<LineStamp> = (0..lines)
            .map(|_| {
                self.tick(step);
                self.stamp()
            })
            .collect();
        self.arm(&stamps);
    }

    fn stamp(&self) -> LineStamp {
        LineStamp {
            exposure_ns: self.ms * MS,
            count: Count(self.count),
        }
    }

    fn arm(&mut self, stamps: &[LineStamp]) {
        let first = LineNumber(self.next_line);
        let runs: Vec<Exposure> = self.ledger.config().exposures(first, stamps).collect();
        for run in runs {
            self.ledger.arm(&run).unwrap();
        }
        self.next_line += stamps.len() as u64;
    }

    /// One millisecond and `step` counts, without a line.
    fn tick(&mut self, step: i64) {
        let before = self.outputs.reject;
        self.ms += 1;
        self.count += step;
        self.outputs = self.ledger.advance(self.ms * MS, Count(self.count));
        if step == 1 && !before {
            self.accepted.push(self.count - 101);
        }
        while let Some(event) = self.ledger.pop_event() {
            self.events.push(event);
        }
        self.ledger.accounting().identity().unwrap();
    }

    /// Travels with a line per count; `decide` gives the verdict of a span 15 ms after its end.
    fn travel(&mut self, counts: u64, decide: impl Fn(u64) -> Option<Verdict>) {
        for _ in 0..counts {
            self.tick(1);
            self.expose();
            let seen = self.next_line;
            if seen >= 25 && (seen - 15).is_multiple_of(10) {
                let first = seen - 25;
                if let Some(verdict) = decide(first / 10) {
                    self.verdict(first, 10, verdict);
                }
            }
        }
    }

    fn verdict(&mut self, first: u64, lines: u32, verdict: Verdict) -> VerdictUse {
        self.ledger.verdict(SpanVerdict {
            span: Span {
                first_line: LineNumber(first),
                lines,
            },
            verdict,
        })
    }

    fn sums(&self) -> &Accounting {
        self.ledger.accounting()
    }

    fn count_of(&self, is: impl Fn(&RejectEvent) -> bool) -> usize {
        self.events.iter().filter(|e| is(e)).count()
    }
}

fn ok(_: u64) -> Option<Verdict> {
    Some(Verdict::Ok)
}

#[test]
fn good_web_passes_and_startup_web_does_not() {
    let mut line = Line::new(config());
    assert!(line.outputs.reject, "the output starts at reject");
    line.travel(1000, ok);
    // Line 0 is exposed at count 1; margin of 2 behind the unknown web.
    assert_eq!(line.accepted.first(), Some(&3));
    assert_eq!(line.accepted.last(), Some(&899));
    assert_eq!(line.accepted.len(), 897);
    assert_eq!(line.sums().missed_counts, 0);
    assert_eq!(line.sums().counts.not_inspected_for(Reason::Startup), 101);
    assert_eq!(line.sums().counts.ok, 899);
    assert_eq!(line.sums().rejected_ok_counts, 2);
    assert_eq!(line.sums().pulses, 0);
}

#[test]
fn a_defect_is_rejected_with_lead_and_margins() {
    let mut line = Line::new(config());
    line.travel(1000, |span| {
        Some(if span == 30 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    // Span 30 owns web 300..310 and its last line sees one count more. With a speed of 1 count/ms
    // the command comes margin 2 + lead 5 + call period 1 = 8 counts earlier; the output holds for
    // margin 2 behind 311.
    let fired = line.events.iter().find_map(|e| match e {
        RejectEvent::Fired {
            span,
            why,
            commanded_count,
            fired_count,
            ..
        } => Some((*span, *why, commanded_count.0, fired_count.0)),
        _ => None,
    });
    let span = Span {
        first_line: LineNumber(300),
        lines: 10,
    };
    assert_eq!(fired, Some((Some(span), Verdict::Defect, 392, 393)));
    let rejected: Vec<i64> = (3..900).filter(|w| !line.accepted.contains(w)).collect();
    assert_eq!(rejected, (293..313).collect::<Vec<i64>>());
    assert_eq!(line.sums().missed_counts, 0);
    assert_eq!(line.sums().pulses, 1);
    assert_eq!(line.sums().counts.defect, 10);
}

#[test]
fn silence_is_a_reject_and_a_late_ok_does_not_undo_it() {
    let mut line = Line::new(config());
    line.travel(400, |span| (span < 20).then_some(Verdict::Ok));
    assert!(line.outputs.reject);
    assert_eq!(line.sums().missed_counts, 0);
    let before = line.accepted.len();
    // Span 20 is committed, and below the ejector; 38 is not yet.
    assert_eq!(line.verdict(200, 10, Verdict::Ok), VerdictUse::Late);
    assert_eq!(line.verdict(210, 10, Verdict::Defect), VerdictUse::Late);
    assert_eq!(line.verdict(380, 10, Verdict::Ok), VerdictUse::Taken);
    assert_eq!(line.sums().late_ok_lines, 10);
    assert_eq!(line.sums().late_defect_lines, 10);
    assert_eq!(line.verdict(380, 10, Verdict::Ok), VerdictUse::Ignored);
    line.travel(50, |_| None);
    assert_eq!(line.accepted.len(), before);
    assert!(line.count_of(|e| matches!(e, RejectEvent::Late { .. })) == 2);
}

#[test]
fn overlapping_and_near_pulses_are_one() {
    let bad = |spans: &'static [u64]| {
        let mut line = Line::new(config());
        line.travel(700, move |span| {
            Some(if spans.contains(&span) {
                Verdict::Defect
            } else {
                Verdict::Ok
            })
        });
        assert_eq!(line.sums().missed_counts, 0);
        line.sums().pulses
    };
    assert_eq!(bad(&[20, 21, 22]), 1);
    // 10 counts between two spans are less than lead, margins and recovery.
    assert_eq!(bad(&[20, 22, 24]), 1);
    // 20 counts leave 20 - 8 before - 3 behind = 9 counts = 9 ms of gap, above 3 ms of recovery.
    assert_eq!(bad(&[20, 23, 26]), 3);
}

#[test]
fn a_short_span_gets_the_minimum_pulse() {
    let mut line = Line::new(RejectConfig {
        min_pulse_us: 60_000,
        ..config()
    });
    line.travel(700, |span| {
        Some(if span == 20 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    let held = line.events.iter().find_map(|e| match e {
        RejectEvent::Released { held_ns, at_ns, .. } if *at_ns > 200 * MS => Some(*held_ns),
        _ => None,
    });
    assert_eq!(held, Some(60 * MS));
}

#[test]
fn a_pulse_without_end_and_too_many_pulses_raise_alarms() {
    let mut line = Line::new(config());
    line.travel(800, |span| {
        Some(if span > 20 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    assert!(line.outputs.alarms.continuous_reject);
    assert_eq!(
        line.count_of(|e| matches!(e, RejectEvent::ContinuousReject { .. })),
        1
    );
    let mut line = Line::new(RejectConfig {
        max_pulses_per_minute: 3,
        ..config()
    });
    line.travel(800, |span| {
        Some(if span % 10 == 0 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    assert!(line.outputs.alarms.pulse_rate);
    assert_eq!(
        line.count_of(|e| matches!(e, RejectEvent::PulseRate { pulses: 4, .. })),
        1
    );
}

#[test]
fn a_stopped_web_keeps_the_queue_and_does_not_fire() {
    let mut line = Line::new(config());
    line.travel(385, |span| {
        Some(if span == 30 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    assert!(!line.outputs.reject);
    for _ in 0..200 {
        line.tick(0);
        assert!(!line.outputs.reject);
    }
    assert!(line.outputs.stationary);
    // A verdict for web that stands before the ejector is still in time.
    line.travel(20, ok);
    assert!(line.outputs.reject, "the queue was kept");
    // A pulse that is on while the web stops stays on.
    let mut line = Line::new(config());
    line.travel(405, |span| (span < 30).then_some(Verdict::Ok));
    assert!(line.outputs.reject);
    for _ in 0..500 {
        line.tick(0);
        assert!(line.outputs.reject);
    }
    assert!(
        !line.outputs.alarms.continuous_reject,
        "standing time is no hold"
    );
}

#[test]
fn startup_web_passes_only_when_told() {
    let mut line = Line::new(RejectConfig {
        accept_startup_web: true,
        ..config()
    });
    line.travel(300, ok);
    assert_eq!(line.sums().missed_counts, 0);
    assert!(line.sums().startup_accepted_counts > 90);
    assert_eq!(line.sums().counts.not_inspected_for(Reason::Startup), 101);
}

#[test]
fn a_hold_that_is_asked_for_lasts_until_taken_back() {
    let mut line = Line::new(config());
    line.travel(300, ok);
    line.ledger.hold(true);
    line.travel(100, ok);
    assert!(line.outputs.reject);
    assert!(line.sums().rejected_ok_counts >= 95);
    line.ledger.hold(false);
    line.travel(20, ok);
    assert!(!line.outputs.reject);
}

#[test]
fn a_web_that_slows_keeps_its_pulse() {
    let mut line = Line::new(config());
    line.travel(393, |span| {
        Some(if span == 30 {
            Verdict::Defect
        } else {
            Verdict::Ok
        })
    });
    assert!(line.outputs.reject, "8 counts before the span");
    // The lead shrinks to nothing while the span has not come.
    for pause in [100, 30, 30, 30, 30, 30, 30, 30, 30, 30] {
        for _ in 0..pause {
            line.tick(0);
            assert!(line.outputs.reject);
        }
        line.tick(1);
        line.expose();
    }
    assert_eq!(line.sums().pulses, 1);
    assert_eq!(line.sums().missed_counts, 0);
}
