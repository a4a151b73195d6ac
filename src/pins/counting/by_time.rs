//! An encoder for a machine without one.

use super::super::{Encoder, EncoderEvent, Moment, PinError};
use crate::geometry::Count;

/// Time between two positions that are only thought.
const STEP_NS: u64 = 1_000_000;

/// A web of constant speed that never stops, without any encoder.
#[derive(Debug, Clone)]
pub struct TimeEncoder {
    counts_per_s: f64,
    given_ns: Option<u64>,
}

impl TimeEncoder {
    /// A web that is at 0 at time 0.
    pub fn new(counts_per_s: f64) -> Self {
        Self {
            counts_per_s,
            given_ns: None,
        }
    }
}

impl Encoder for TimeEncoder {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        if self
            .given_ns
            .is_some_and(|given| until_ns < given + STEP_NS)
        {
            return Ok(None);
        }
        self.given_ns = Some(until_ns);
        Ok(Some(EncoderEvent::Position(Moment {
            ns: until_ns,
            count: Count((until_ns as f64 / 1e9 * self.counts_per_s) as i64),
        })))
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
}
