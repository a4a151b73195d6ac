//! The ejector's side of the ledger: time and count in, output out.

use super::lines::Camera;
use super::pulses::PulseRate;
use super::record::{Bad, Memory};
use super::{
    Accounting, HoldCause, RejectConfig, RejectConfigError, RejectEvent, SANE_COUNT, SpeedEstimate,
};
use crate::geometry::Count;
use crate::verdict::{Reason, Verdict};
use heapless::Deque;
use serde::{Deserialize, Serialize};

/// Events that wait for the shell. When the queue is full, new ones are lost and counted.
const EVENTS: usize = 64;

/// Times the greatest speed that a web is believed: beyond, it is an encoder's fault, and below, pulses must
/// still come in time.
pub const OVERSPEED: u32 = 2;

/// Conditions that people must hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarms {
    /// Web that was not ok has passed untouched in this run.
    pub missed: bool,
    /// A verdict has come too late in this run.
    pub late: bool,
    /// The encoder has jumped in this run.
    pub encoder_fault: bool,
    /// The present pulse is longer than `max_hold_ms`.
    pub continuous_reject: bool,
    /// More pulses in the last minute than `max_pulses_per_minute`.
    pub pulse_rate: bool,
    /// Web whose fate found no place has not passed yet.
    pub queue_full: bool,
    /// The web is behind where it turned.
    pub reversed: bool,
}

/// What the pins shall show until the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// Reject what lies below the ejector. The pin is energised for the opposite: accept.
    pub reject: bool,
    pub alarms: Alarms,
    pub stationary: bool,
    /// Negative while the web runs backwards.
    pub speed_millicounts_per_s: i64,
}

/// The ledger of spans between camera and ejector; `N` is how many it can hold.
#[derive(Debug, Clone)]
pub struct Ledger<const N: usize> {
    pub(super) config: RejectConfig,
    pub(super) distance: i64,
    pub(super) margin: i64,
    pub(super) memory: Memory<N>,
    pub(super) camera: Camera,
    pub(super) sums: Accounting,
    pub(super) alarms: Alarms,
    pub(super) now_ns: u64,
    pub(super) count: i64,
    /// Farthest count since the last reset: what has been at the ejector has a word.
    pub(super) farthest: i64,
    /// Web below this has its fate fixed.
    pub(super) committed: i64,
    /// Where the web was when `committed` last grew.
    committed_at: i64,
    pub(super) reject: bool,
    since_ns: u64,
    /// When the ejector follows the last command to reject.
    pub(super) effective_ns: u64,
    /// Time of the present pulse on a moving web.
    moving_hold_ns: u64,
    pub(super) missed_to: i64,
    asked: bool,
    /// After a reset the next call rejects, even on a standing web.
    forced: bool,
    speed: SpeedEstimate,
    stationary: bool,
    rate: PulseRate,
    events: Deque<RejectEvent, EVENTS>,
}

impl<const N: usize> Ledger<N> {
    /// A ledger whose web between camera and ejector is not inspected (`startup`) and rejected; the
    /// output starts at reject.
    ///
    /// # Errors
    /// Settings that cannot work; see [`RejectConfig::validate`].
    pub fn new(config: RejectConfig, now_ns: u64, count: Count) -> Result<Self, RejectConfigError> {
        config.validate(N)?;
        let count = count.0.clamp(-SANE_COUNT, SANE_COUNT);
        let distance = i64::from(config.distance_counts);
        Ok(Self {
            distance,
            margin: i64::from(config.margin_counts),
            memory: Memory::new(
                count,
                Reason::Startup,
                config.accept_startup_web,
                i64::from(config.max_counts_per_line),
            ),
            camera: Camera {
                next_line: None,
                decided_to: 0,
                forgotten_to: 0,
                seen: false,
                run: None,
                previous: None,
                open: false,
                since_ns: now_ns,
            },
            sums: Accounting::default(),
            alarms: Alarms::default(),
            now_ns,
            count,
            farthest: count,
            committed: count - distance,
            committed_at: count,
            reject: true,
            since_ns: now_ns,
            effective_ns: now_ns,
            moving_hold_ns: 0,
            missed_to: i64::MIN,
            asked: false,
            forced: false,
            speed: SpeedEstimate::new(
                config.speed_window_ms,
                config.max_speed_counts_per_s.saturating_mul(OVERSPEED),
                now_ns,
                count,
            ),
            stationary: true,
            rate: PulseRate::default(),
            events: Deque::new(),
            config,
        })
    }

    /// The settings.
    pub fn config(&self) -> &RejectConfig {
        &self.config
    }

    /// All sums since the start.
    pub fn accounting(&self) -> &Accounting {
        &self.sums
    }

    /// The oldest event not yet taken.
    pub fn pop_event(&mut self) -> Option<RejectEvent> {
        self.events.pop_front()
    }

    /// Spans, or joined runs of ok spans, in the ledger.
    pub fn records(&self) -> usize {
        self.memory.records.len()
    }

    /// Forces the output to reject until it is taken back, for a station that is not operational.
    pub fn hold(&mut self, asked: bool) {
        if asked == self.asked {
            return;
        }
        self.asked = asked;
        let (cause, count) = (HoldCause::Asked, Count(self.count));
        self.event(if asked {
            RejectEvent::Held { cause, count }
        } else {
            RejectEvent::Freed { cause, count }
        });
    }

    /// Forgets where everything is: after power loss, an emergency stop, lost encoder edges or a new
    /// origin of the encoder. Lines that wait for a verdict and the web between camera and ejector
    /// are not inspected for `reason`; the output rejects until `distance_counts` were travelled.
    /// Lines exposed before `now_ns` no longer count.
    ///
    /// At the end of a run the same call, with [`Reason::Shutdown`], leaves nothing pending.
    pub fn reset(&mut self, reason: Reason, now_ns: u64, count: Count) {
        let now_ns = self.clock(now_ns);
        let count = count.0.clamp(-SANE_COUNT, SANE_COUNT);
        self.restart(reason, now_ns, count);
        self.now_ns = now_ns;
    }

    /// Takes the present time and encoder count and says what the pins shall show.
    ///
    /// A time before the last one is taken as the last one and counted; a jump of the count that no
    /// web can make is an encoder fault and resets the ledger with [`Reason::Stale`].
    pub fn advance(&mut self, now_ns: u64, count: Count) -> Outputs {
        let now_ns = self.clock(now_ns);
        let count = count.0.clamp(-SANE_COUNT, SANE_COUNT);
        if self.plausible(now_ns, count) {
            self.pass_web(now_ns, count);
            self.speed.update(now_ns, count);
            self.motion(now_ns, count);
        } else {
            self.alarms.encoder_fault = true;
            self.sums.encoder_faults += 1;
            self.event(RejectEvent::EncoderFault {
                at_ns: now_ns,
                from: Count(self.count),
                to: Count(count),
            });
            self.restart(Reason::Stale, now_ns, count);
        }
        let moving_ns = if self.stationary {
            0
        } else {
            now_ns - self.now_ns
        };
        self.now_ns = now_ns;
        self.count = count;
        self.command(moving_ns);
        self.forget();
        Outputs {
            reject: self.reject,
            alarms: self.alarms,
            stationary: self.stationary,
            speed_millicounts_per_s: self.speed.millicounts_per_s(),
        }
    }

    pub(super) fn event(&mut self, event: RejectEvent) {
        if self.events.push_back(event).is_err() {
            self.sums.events_lost += 1;
        }
    }

    fn clock(&mut self, now_ns: u64) -> u64 {
        if now_ns < self.now_ns {
            self.sums.clock_backward += 1;
        }
        now_ns.max(self.now_ns)
    }

    fn plausible(&self, now_ns: u64, count: i64) -> bool {
        let most = u128::from(OVERSPEED)
            * u128::from(self.config.max_speed_counts_per_s)
            * u128::from(now_ns - self.now_ns)
            / 1_000_000_000
            + u128::from(self.config.max_counts_per_line)
            + 16;
        u128::from(count.abs_diff(self.count)) <= most
    }

    fn restart(&mut self, reason: Reason, now_ns: u64, count: i64) {
        let open: u64 = self.memory.records.iter().map(|r| r.undecided).sum();
        self.settle_lines(open, Verdict::NotInspected(reason));
        self.sums.lines_pending -= open;
        if self.memory.hole.is_some() {
            self.free_hole();
        }
        let reach = self.memory.reach;
        self.memory = Memory::new(count, reason, false, reach);
        self.camera.seen = false;
        self.camera.run = None;
        self.camera.previous = None;
        self.camera.open = false;
        self.camera.since_ns = now_ns;
        self.count = count;
        self.farthest = count;
        self.committed = count - self.distance;
        self.committed_at = count;
        self.missed_to = i64::MIN;
        self.alarms.reversed = false;
        self.forced = true;
        self.speed = SpeedEstimate::new(
            self.config.speed_window_ms,
            self.config.max_speed_counts_per_s.saturating_mul(OVERSPEED),
            now_ns,
            count,
        );
        self.sums.resets += 1;
        self.event(RejectEvent::Reset {
            at_ns: now_ns,
            count: Count(count),
            reason,
        });
    }

    /// Stops and turns.
    fn motion(&mut self, at_ns: u64, count: i64) {
        let still_ns = at_ns - self.speed.last_change_ns();
        let stationary = count == self.count
            && (self.stationary
                || still_ns >= u64::from(self.config.stationary_after_ms) * 1_000_000);
        if stationary != self.stationary {
            self.stationary = stationary;
            let count = Count(count);
            self.event(if stationary {
                RejectEvent::Stopped { at_ns, count }
            } else {
                RejectEvent::Moving { at_ns, count }
            });
        }
        if !self.alarms.reversed && count < self.farthest - self.memory.reach {
            self.alarms.reversed = true;
            self.sums.reversals += 1;
            self.event(RejectEvent::Reversed {
                at_ns,
                from: Count(self.farthest),
            });
        } else if self.alarms.reversed && count >= self.farthest {
            self.alarms.reversed = false;
            self.event(RejectEvent::Returned {
                at_ns,
                count: Count(count),
            });
        }
    }

    /// Decides the output for the present count.
    fn command(&mut self, moving_ns: u64) {
        let lead_us = u64::from(self.config.lead_us) + u64::from(self.config.call_period_us);
        let at = self.count - self.distance;
        let ahead = self.margin + self.speed.counts_ahead(lead_us);
        let from = at - self.margin - self.speed.counts_behind(lead_us);
        if !self.stationary && at + ahead > self.committed {
            self.committed = at + ahead;
            self.committed_at = self.count;
            self.expire_committed();
        }
        let to = if self.count >= self.committed_at {
            self.committed
        } else {
            at + ahead
        };
        let held = self.held(from);
        let bad = self.memory.first_bad(from, to);
        if self.reject {
            let recovery = self.speed.counts_ahead(u64::from(self.config.recovery_us));
            let shortest_ns = u64::from(self.config.min_pulse_us) * 1000;
            let stay = held
                || bad.is_some()
                || self.now_ns - self.since_ns < shortest_ns
                || self.memory.first_bad(from, to + recovery).is_some();
            if stay {
                self.watch_hold(moving_ns, from);
            } else {
                self.release();
            }
        } else if held || (bad.is_some() && (self.forced || !self.stationary)) {
            self.fire(bad, held, ahead);
        }
        self.forced = false;
        self.rate.advance(self.now_ns);
        let most = self.config.max_pulses_per_minute;
        self.alarms.pulse_rate = most > 0 && self.rate.per_minute() > most;
    }

    /// Whether the output is forced; ends the hold for a full ledger once its web has passed.
    fn held(&mut self, from: i64) -> bool {
        if let Some((_, to)) = self.memory.hole {
            if !self.alarms.queue_full {
                self.alarms.queue_full = true;
                self.event(RejectEvent::Held {
                    cause: HoldCause::QueueFull,
                    count: Count(self.count),
                });
            }
            if from >= to.saturating_add(self.memory.reach) {
                self.memory.known_from = self.memory.known_from.max(to);
                self.free_hole();
            }
        }
        self.asked || self.memory.hole.is_some()
    }

    fn free_hole(&mut self) {
        self.memory.hole = None;
        self.alarms.queue_full = false;
        self.event(RejectEvent::Freed {
            cause: HoldCause::QueueFull,
            count: Count(self.count),
        });
    }

    fn fire(&mut self, bad: Option<Bad>, held: bool, ahead: i64) {
        let count = self.count;
        let (span, why, due) = match bad {
            Some(bad) if !held => (bad.span, bad.why, bad.lo - ahead + self.distance),
            _ => (None, Verdict::NotInspected(Reason::Config), count),
        };
        self.reject = true;
        self.since_ns = self.now_ns;
        self.effective_ns = self
            .now_ns
            .saturating_add(u64::from(self.config.lead_us) * 1000);
        self.moving_hold_ns = 0;
        self.sums.pulses += 1;
        self.rate.add(self.now_ns);
        self.event(RejectEvent::Fired {
            at_ns: self.now_ns,
            span,
            why,
            commanded_count: Count(due.min(count)),
            fired_count: Count(count),
        });
        let pulses = self.rate.per_minute();
        let most = self.config.max_pulses_per_minute;
        if most > 0 && pulses > most && !self.alarms.pulse_rate {
            self.event(RejectEvent::PulseRate {
                at_ns: self.now_ns,
                pulses,
            });
        }
    }

    fn release(&mut self) {
        self.reject = false;
        self.alarms.continuous_reject = false;
        self.event(RejectEvent::Released {
            at_ns: self.now_ns,
            count: Count(self.count),
            held_ns: self.now_ns - self.since_ns,
        });
        self.since_ns = self.now_ns;
        self.moving_hold_ns = 0;
    }

    /// The alarm for a pulse that does not end. The web of a start or a reset is no cause for it.
    fn watch_hold(&mut self, moving_ns: u64, from: i64) {
        if from < self.memory.start {
            return;
        }
        self.moving_hold_ns = self.moving_hold_ns.saturating_add(moving_ns);
        let most_ns = u64::from(self.config.max_hold_ms) * 1_000_000;
        if self.moving_hold_ns > most_ns && !self.alarms.continuous_reject {
            self.alarms.continuous_reject = true;
            self.event(RejectEvent::ContinuousReject {
                at_ns: self.now_ns,
                count: Count(self.count),
            });
        }
    }

    /// Spans that come due undecided are late from here on.
    fn expire_committed(&mut self) {
        for record in &mut self.memory.records {
            if record.lo < self.committed && Self::expire(record, &mut self.sums) {
                self.sums.late_spans += 1;
            }
        }
    }

    /// Lets go of web far enough behind the ejector.
    fn forget(&mut self) {
        let keep = i64::from(self.config.reverse_keep_counts) + self.margin + self.memory.reach;
        let behind = self.farthest - self.distance - keep;
        while self
            .memory
            .records
            .front()
            .is_some_and(|oldest| oldest.hi < behind)
        {
            self.forget_oldest();
        }
    }

    /// Web of which nothing is remembered is not ok, should it come back.
    pub(super) fn forget_oldest(&mut self) {
        if let Some(mut oldest) = self.memory.records.pop_front() {
            Self::expire(&mut oldest, &mut self.sums);
            self.memory.known_from = self.memory.known_from.max(oldest.hi);
            self.camera.forgotten_to = self.camera.forgotten_to.max(oldest.end_line());
        }
    }
}
