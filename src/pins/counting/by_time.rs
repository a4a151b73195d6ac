//! An encoder for a machine without one.

use super::super::{Encoder, EncoderEvent, Moment, PinError};
use crate::geometry::Count;

/// A position that is only thought is told when so much time has passed, or so many counts: the ledger, which is
/// called in between as well, takes a greater step for a jump.
const STEP_NS: u64 = 1_000_000;
const STEP_COUNTS: i64 = 8;

/// A web of constant speed that never stops, without any encoder.
#[derive(Debug, Clone)]
pub struct TimeEncoder {
    counts_per_s: f64,
    given: Option<Moment>,
}

impl TimeEncoder {
    /// A web that is at 0 at time 0.
    pub fn new(counts_per_s: f64) -> Self {
        Self {
            counts_per_s,
            given: None,
        }
    }
}

impl Encoder for TimeEncoder {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        let at = Moment {
            ns: until_ns,
            count: Count((until_ns as f64 / 1e9 * self.counts_per_s) as i64),
        };
        if self.given.is_some_and(|given| {
            until_ns < given.ns + STEP_NS && at.count.0 < given.count.0 + STEP_COUNTS
        }) {
            return Ok(None);
        }
        self.given = Some(at);
        Ok(Some(EncoderEvent::Position(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(encoder: &mut dyn Encoder, until_ns: u64) -> Vec<Moment> {
        let mut found = Vec::new();
        while let Some(event) = encoder.next_event(until_ns).unwrap() {
            match event {
                EncoderEvent::Position(at) => found.push(at),
                other => panic!("{other:?}"),
            }
        }
        found
    }

    #[test]
    fn time_alone_moves_the_web() {
        let mut encoder = TimeEncoder::new(2000.0);
        let at = positions(&mut encoder, 1_500_000_000);
        assert_eq!(at.len(), 1);
        assert_eq!(at[0].count, Count(3000));
        assert!(positions(&mut encoder, 1_500_500_000).is_empty());
    }

    #[test]
    fn a_fast_web_is_told_often_enough_for_a_ledger_that_is_called_in_between() {
        let mut encoder = TimeEncoder::new(200_000.0);
        let mut count = 0;
        for ns in (0..50_000_000).step_by(10_000) {
            for at in positions(&mut encoder, ns) {
                assert!(at.count.0 - count <= 10, "{at:?} after {count}");
                count = at.count.0;
            }
        }
        assert!(count > 9900);
    }
}
