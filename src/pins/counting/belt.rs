//! The encoder of a belt that is only described.

use super::super::{Encoder, EncoderEvent, Moment, PinError};
use crate::block::LineStamp;
use crate::camera::{Belt, BeltSpec, CameraError};
use std::collections::VecDeque;

/// Positions of the belt under a synthetic camera or a folder of strips: one per line of web and the
/// whole way of a stop or reversal, and on behind the last line, since the web still has to pass the ejector.
#[derive(Debug)]
pub struct BeltEncoder {
    belt: Belt,
    ahead: VecDeque<LineStamp>,
}

impl BeltEncoder {
    /// # Errors
    /// Where the belt's description makes no sense.
    pub fn new(spec: &BeltSpec) -> Result<Self, CameraError> {
        Ok(Self {
            belt: Belt::new(spec)?,
            ahead: VecDeque::new(),
        })
    }
}

impl Encoder for BeltEncoder {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        if self.ahead.is_empty() {
            let line = self.belt.next_line();
            self.ahead.extend(self.belt.detour());
            self.ahead.push_back(line);
        }
        let due = self
            .ahead
            .front()
            .filter(|next| next.exposure_ns <= until_ns);
        let due = due.map(|next| {
            EncoderEvent::Position(Moment {
                ns: next.exposure_ns,
                count: next.count,
            })
        });
        if due.is_some() {
            self.ahead.pop_front();
        }
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Move;

    #[test]
    fn gives_lines_and_detours_in_order_and_nothing_from_the_future() {
        let spec = BeltSpec {
            line_rate_hz: 1000.0,
            counts_per_line: 2,
            moves: vec![Move::Reverse {
                before_line: 2,
                lines: 1,
            }],
        };
        let mut encoder = BeltEncoder::new(&spec).unwrap();
        let mut seen = Vec::new();
        for until_ms in [0, 1, 3, 9] {
            while let Some(EncoderEvent::Position(at)) =
                encoder.next_event(until_ms * 1_000_000).unwrap()
            {
                assert!(at.ns <= until_ms * 1_000_000);
                seen.push((at.ns / 1_000_000, at.count.0));
            }
        }
        assert_eq!(
            seen,
            [
                (1, 2),
                (2, 4),
                (2, 4),
                (3, 2),
                (4, 4),
                (5, 6),
                (6, 8),
                (7, 10),
                (8, 12),
                (9, 14)
            ]
        );
    }
}
