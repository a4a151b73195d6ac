//! Encoders for machines without one.

use super::super::{Encoder, EncoderEvent, Moment, PinError};
use crate::block::LineStamp;
use crate::geometry::Count;

/// Time between two positions that are only thought.
const STEP_NS: u64 = 1_000_000;

/// The web's position from the lines that the camera delivers: `counts_per_line` for each. The camera
/// must be triggered by the web.
///
/// Between two blocks the position runs on at the speed of the last block, but never farther than the
/// next block's end: a web that stops in between is thought at most one block too far ahead.
#[derive(Debug, Clone)]
pub struct LineEncoder {
    last: Option<Moment>,
    given: Moment,
    /// Counts and time of the last block.
    pace: (i64, u64),
}

impl LineEncoder {
    /// A web that has not moved yet.
    pub fn new() -> Self {
        Self {
            last: None,
            given: Moment::default(),
            pace: (0, 0),
        }
    }

    fn expected(&self, ns: u64) -> Option<Moment> {
        let last = self.last?;
        let (counts, in_ns) = self.pace;
        let later_ns = ns.saturating_sub(last.ns).min(in_ns);
        let ahead = if in_ns == 0 {
            0
        } else {
            i128::from(counts) * i128::from(later_ns) / i128::from(in_ns)
        };
        let count = last.count.0 + ahead as i64;
        // Never back: what was thought too far is waited for.
        Some(Moment {
            ns,
            count: Count(count.max(self.given.count.0)),
        })
    }
}

impl Default for LineEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder for LineEncoder {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        if until_ns < self.given.ns + STEP_NS {
            return Ok(None);
        }
        match self.expected(until_ns) {
            Some(at) if at.count > self.given.count => {
                self.given = at;
                Ok(Some(EncoderEvent::Position(at)))
            }
            _ => Ok(None),
        }
    }

    fn lines(&mut self, stamps: &[LineStamp]) {
        let Some(end) = stamps.last() else {
            return;
        };
        let at = Moment {
            ns: end.exposure_ns,
            count: end.count,
        };
        if let Some(last) = self.last {
            self.pace = (
                (at.count.0 - last.count.0).max(0),
                at.ns.saturating_sub(last.ns),
            );
        }
        self.last = Some(at);
    }
}

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
    use proptest::prelude::*;

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

    fn block(end_ns: u64, end_count: i64) -> [LineStamp; 1] {
        [LineStamp {
            exposure_ns: end_ns,
            count: Count(end_count),
        }]
    }

    #[test]
    fn lines_move_the_web_and_it_runs_on_by_one_block_at_most() {
        const MS: u64 = 1_000_000;
        let mut encoder = LineEncoder::new();
        assert!(positions(&mut encoder, 50 * MS).is_empty());
        encoder.lines(&block(90 * MS, 1000));
        assert_eq!(positions(&mut encoder, 100 * MS)[0].count, Count(1000));
        encoder.lines(&block(100 * MS, 1064));
        assert_eq!(positions(&mut encoder, 105 * MS)[0].count, Count(1096));
        assert_eq!(positions(&mut encoder, 500 * MS)[0].count, Count(1128));
        assert!(positions(&mut encoder, 900 * MS).is_empty());
        // It had stopped in the middle of the block.
        encoder.lines(&block(1000 * MS, 1100));
        assert!(positions(&mut encoder, 1001 * MS).is_empty());
        encoder.lines(&block(1010 * MS, 1164));
        assert_eq!(positions(&mut encoder, 1010 * MS)[0].count, Count(1164));
    }

    proptest! {
        #[test]
        fn a_thought_position_never_goes_back(
            blocks in prop::collection::vec((1u64..50_000_000, 1i64..500, 0u64..50_000_000), 1..60),
        ) {
            let mut encoder = LineEncoder::new();
            let (mut ns, mut count, mut given) = (0u64, 0i64, i64::MIN);
            for (took, moved, looked) in blocks {
                ns += took;
                count += moved;
                encoder.lines(&block(ns, count));
                for at in positions(&mut encoder, ns + looked) {
                    prop_assert!(at.count.0 >= given && at.count.0 <= count + moved);
                    given = at.count.0;
                }
                ns += looked;
            }
        }
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
