//! Whether the ejector did what it was told: a confirmation for every pulse, in time.
//!
//! * **confirmation**: a switch at the ejector, or a sensor for what it has thrown out, has risen;
//! * **missing**: a pulse whose confirmation did not come within the limits;
//! * **unasked**: a confirmation without a pulse that waits for one;
//! * **chatter**: unasked ones while nothing was rejected within the limits, too many for an accident.
//!
//! Confirmations carry no name of their pulse, so the oldest waiting pulse gets the next one. Pulses and
//! confirmations are numbers that add up: `fired = confirmed + missing + unwatched + waiting`.

use super::pulses::PulseRate;
use crate::geometry::Count;
use heapless::Deque;
use serde::{Deserialize, Serialize};

/// Pulses that may wait for their confirmation; one more makes the oldest missing.
const PLACES: usize = 64;

/// Confirmations in a minute, while nothing is rejected, that a hand at the ejector may give.
pub const MOST_STRAY_PER_MINUTE: u32 = 10;

/// What a missing confirmation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// It is counted and told.
    Warn,
    /// The station is not ready, and rejects, until a confirmation comes.
    #[default]
    Stop,
}

/// When a pulse must be confirmed; a pulse is missing as soon as one of the limits has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfirmConfig {
    /// Time from the pulse's command to its confirmation: for a switch at the ejector; 0 for no limit.
    pub within_ms: u32,
    /// Way of the web from the pulse's command to its confirmation: for a sensor behind the ejector; 0
    /// for no limit.
    pub within_counts: u32,
    pub on_missing: OnMissing,
}

impl Default for ConfirmConfig {
    fn default() -> Self {
        Self {
            within_ms: 500,
            within_counts: 0,
            on_missing: OnMissing::Stop,
        }
    }
}

/// Pulses by what came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmSums {
    pub confirmed: u64,
    pub missing: u64,
    /// Confirmations that no pulse waited for.
    pub unasked: u64,
    /// Pulses during which the confirmation could not be read, or at whose limit the run had ended.
    pub unwatched: u64,
}

/// A pulse that had no effect as far as anybody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unconfirmed {
    pub fired_ns: u64,
    pub fired_count: Count,
    pub waited_ms: u64,
    pub waited_counts: i64,
}

impl std::fmt::Display for Unconfirmed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the pulse at count {} was not confirmed within {} ms and {} counts; look at the ejector, its air or power, and the sensor of pins.confirm",
            self.fired_count.0, self.waited_ms, self.waited_counts
        )
    }
}

#[derive(Debug, Clone, Copy)]
struct Pulse {
    ns: u64,
    count: i64,
}

/// Holds pulses against their confirmations. No clock, and no memory after construction.
#[derive(Debug, Clone)]
pub struct Confirmations {
    config: ConfirmConfig,
    waiting: Deque<Pulse, PLACES>,
    sums: ConfirmSums,
    /// When and where the output was at reject last.
    rejected: Option<Pulse>,
    strays: PulseRate,
}

impl Confirmations {
    /// Nothing fired, nothing confirmed.
    pub fn new(config: ConfirmConfig) -> Self {
        Self {
            config,
            waiting: Deque::new(),
            sums: ConfirmSums::default(),
            rejected: None,
            strays: PulseRate::default(),
        }
    }

    /// Sums so far.
    pub fn sums(&self) -> ConfirmSums {
        self.sums
    }

    /// A pulse was commanded. Gives the oldest that waits where there are too many.
    pub fn fired(&mut self, ns: u64, count: Count) -> Option<Unconfirmed> {
        let missing = self
            .waiting
            .is_full()
            .then(|| self.waiting.pop_front())
            .flatten()
            .map(|oldest| self.miss(oldest, ns, count.0));
        let pulse = Pulse { ns, count: count.0 };
        // There is a place now.
        let _ = self.waiting.push_back(pulse);
        missing
    }

    /// The output is at reject.
    pub fn rejecting(&mut self, ns: u64, count: Count) {
        self.rejected = Some(Pulse { ns, count: count.0 });
    }

    /// The confirmation rose `edges` times up to `ns`; says whether it was asked for: by a pulse that waits,
    /// or, after a missing one that stops the station, by the output that is held at reject for it. What was
    /// overdue before must have been [taken](Self::overdue).
    pub fn rose(&mut self, ns: u64, count: Count, edges: u64) -> bool {
        let mut left = edges;
        while left > 0 && self.waiting.front().is_some_and(|pulse| pulse.ns <= ns) {
            self.waiting.pop_front();
            self.sums.confirmed += 1;
            left -= 1;
        }
        // A damaged recording may name any number.
        self.sums.unasked = self.sums.unasked.saturating_add(left);
        let chatters = self.chatters(ns);
        let explained = (self.rejected).is_some_and(|last| !self.is_over(last, ns, count.0));
        // Held at reject for its chatter, the output explains everything.
        let stops = self.config.on_missing == OnMissing::Stop;
        if !explained || (chatters && stops) {
            (0..left.min(u64::from(MOST_STRAY_PER_MINUTE) + 1)).for_each(|_| self.strays.add(ns));
        }
        let held = explained && !chatters && stops;
        left < edges || (held && left > 0)
    }

    /// Whether the confirmation rises so often while nothing is rejected that it says nothing about a pulse.
    pub fn chatters(&mut self, ns: u64) -> bool {
        self.strays.advance(ns);
        self.strays.per_minute() > MOST_STRAY_PER_MINUTE
    }

    /// The oldest pulse that is out of time or way; asked until there is none.
    pub fn overdue(&mut self, ns: u64, count: Count) -> Option<Unconfirmed> {
        let oldest = *self.waiting.front()?;
        if !self.is_over(oldest, ns, count.0) {
            return None;
        }
        self.waiting.pop_front();
        Some(self.miss(oldest, ns, count.0))
    }

    /// Whether a confirmation of `since` is out of time or way.
    fn is_over(&self, since: Pulse, ns: u64, count: i64) -> bool {
        let within_ns = u64::from(self.config.within_ms) * 1_000_000;
        let within_counts = i64::from(self.config.within_counts);
        let too_late = within_ns > 0 && ns.saturating_sub(since.ns) > within_ns;
        let too_far = within_counts > 0 && count.saturating_sub(since.count) > within_counts;
        too_late || too_far
    }

    /// A pulse that nobody can see the effect of.
    pub fn unwatched(&mut self) {
        self.sums.unwatched += 1;
    }

    /// The confirmation cannot be read, or the run ends: what waits will not be known.
    pub fn forget(&mut self) {
        self.sums.unwatched += self.waiting.len() as u64;
        self.waiting.clear();
    }

    fn miss(&mut self, pulse: Pulse, ns: u64, count: i64) -> Unconfirmed {
        self.sums.missing += 1;
        Unconfirmed {
            fired_ns: pulse.ns,
            fired_count: Count(pulse.count),
            waited_ms: ns.saturating_sub(pulse.ns) / 1_000_000,
            waited_counts: count.saturating_sub(pulse.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn watch(within_ms: u32, within_counts: u32) -> Confirmations {
        Confirmations::new(ConfirmConfig {
            within_ms,
            within_counts,
            ..ConfirmConfig::default()
        })
    }

    #[test]
    fn a_pulse_is_missing_when_its_time_or_its_way_is_over() {
        let mut by_time = watch(100, 0);
        by_time.fired(1000 * MS, Count(50));
        assert_eq!(by_time.overdue(1100 * MS, Count(9_999_999)), None);
        let missing = by_time.overdue(1101 * MS, Count(60)).unwrap();
        assert_eq!((missing.fired_count, missing.waited_ms), (Count(50), 101));
        assert!(
            missing.to_string().starts_with(
                "the pulse at count 50 was not confirmed within 101 ms and 10 counts; "
            )
        );
        assert_eq!(by_time.overdue(u64::MAX, Count(0)), None, "told once");

        let mut by_way = watch(0, 200);
        by_way.fired(0, Count(50));
        assert_eq!(by_way.overdue(u64::MAX, Count(250)), None, "the web stands");
        assert!(by_way.overdue(5, Count(251)).is_some());
    }

    #[test]
    fn a_level_that_was_there_before_the_pulse_confirms_nothing() {
        let mut watch = watch(100, 0);
        watch.fired(1000, Count(0));
        assert!(!watch.rose(999, Count(0), 1));
        assert_eq!((watch.sums().confirmed, watch.sums().unasked), (0, 1));
        assert!(watch.rose(1000, Count(0), 1));
        assert_eq!(watch.sums().confirmed, 1);
    }

    #[test]
    fn edges_while_nothing_is_rejected_are_chatter_when_they_are_many() {
        let second = 1000 * MS;
        let mut watch = watch(100, 0);
        // Several pieces fall for one long pulse.
        watch.fired(0, Count(0));
        for ms in 0..50 {
            watch.rejecting(ms * MS, Count(0));
            assert!(watch.rose(ms * MS, Count(0), 1));
        }
        assert!(!watch.chatters(149 * MS));
        for stray in 1..=u64::from(MOST_STRAY_PER_MINUTE) {
            assert!(!watch.rose(stray * second, Count(0), 1));
        }
        assert!(!watch.chatters(11 * second));
        watch.rose(11 * second, Count(0), 1);
        assert!(watch.chatters(11 * second));
        // It goes on while the output is held at reject for it, and answers nothing.
        watch.rejecting(30 * second, Count(0));
        assert!(!watch.rose(30 * second, Count(0), 20));
        assert!(watch.chatters(80 * second));
        assert!(!watch.chatters(91 * second));
        assert_eq!(watch.sums().unasked, 49 + 11 + 20);
    }

    #[test]
    fn chatter_that_only_warns_ends_though_the_ejector_goes_on_answering() {
        let second = 1000 * MS;
        let mut watch = Confirmations::new(ConfirmConfig {
            within_ms: 100,
            within_counts: 0,
            on_missing: OnMissing::Warn,
        });
        watch.rose(second, Count(0), 11);
        assert!(watch.chatters(second));
        for pulse in 2..120 {
            // Nobody watches the pulses meanwhile.
            watch.unwatched();
            watch.rejecting(pulse * second, Count(0));
            assert!(!watch.rose(pulse * second + MS, Count(0), 1));
            assert_eq!(watch.chatters(pulse * second), pulse < 60, "{pulse} s");
        }
        watch.rose(120 * second, Count(0), 11);
        assert!(watch.chatters(120 * second), "nothing was rejected");
    }

    #[test]
    fn a_missing_pulse_is_answered_late_only_where_the_output_waits_at_reject_for_it() {
        for (on_missing, answers) in [(OnMissing::Stop, true), (OnMissing::Warn, false)] {
            let mut watch = Confirmations::new(ConfirmConfig {
                within_ms: 100,
                within_counts: 0,
                on_missing,
            });
            watch.fired(0, Count(0));
            assert!(watch.overdue(101 * MS, Count(0)).is_some());
            watch.rejecting(5000 * MS, Count(0));
            assert_eq!(watch.rose(5000 * MS, Count(0), 1), answers);
            watch.fired(6000 * MS, Count(0));
            assert!(watch.rose(6001 * MS, Count(0), 1));
        }
    }

    #[test]
    fn more_pulses_than_can_wait_are_told_and_not_forgotten() {
        let mut watch = watch(0, 1000);
        for pulse in 0..PLACES as u64 {
            assert_eq!(watch.fired(pulse, Count(0)), None);
        }
        assert_eq!(watch.fired(99, Count(0)).unwrap().fired_ns, 0);
        watch.forget();
        assert_eq!((watch.sums().missing, watch.sums().unwatched), (1, 64));
    }

    proptest! {
        /// An ejector that leaves out some pulses: as many are told as it left out, each in its time.
        #[test]
        fn every_pulse_has_one_word(
            pulses in prop::collection::vec((200u64..1000, prop::option::of(0u64..150)), 0..100),
        ) {
            let mut watch = watch(150, 0);
            let mut now_ms = 0;
            let (mut answered, mut told) = (0, 0);
            for &(pause_ms, answer_ms) in &pulses {
                now_ms += pause_ms;
                while watch.overdue(now_ms * MS, Count(0)).is_some() {
                    told += 1;
                }
                prop_assert_eq!(watch.fired(now_ms * MS, Count(0)), None);
                if let Some(answer_ms) = answer_ms {
                    let at_ns = (now_ms + answer_ms) * MS;
                    prop_assert_eq!(watch.overdue(at_ns, Count(0)), None);
                    watch.rose(at_ns, Count(0), 1);
                    answered += 1;
                }
            }
            while watch.overdue((now_ms + 151) * MS, Count(0)).is_some() {
                told += 1;
            }
            let sums = watch.sums();
            prop_assert_eq!((sums.confirmed, sums.missing), (answered, told));
            prop_assert_eq!(answered + told, pulses.len() as u64);
            prop_assert_eq!((sums.unasked, sums.unwatched), (0, 0));
        }
    }
}
