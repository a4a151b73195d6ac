//! Where the web is by the number of lines, for a station without an encoder of its own.

use super::{Encoder, EncoderEvent, Moment, PinError};
use crate::block::LineStamp;
use crate::camera::PLACE_LOST_COUNTS;
use crate::geometry::Count;

/// A position is told when so much time has passed, or so many counts.
const STEP_NS: u64 = 1_000_000;
const STEP_COUNTS: i64 = 8;

/// Positions from the lines of a live camera.
///
/// Lines come a block at a time, so between them the web is taken to run on as fast as the last block
/// did, but no farther than `reach_counts` beyond the last line: the place is known to within that, and
/// the ledger's margin must cover it. What was told is never taken back: where a belt has slowed, the
/// place waits until the lines have caught up. It catches up no faster than web can run, so that a late
/// block is no jump. Where the camera is lost, the position jumps at once.
#[derive(Debug)]
pub struct CameraLineEncoder {
    reach_counts: i64,
    most_counts_per_ns: f64,
    /// The last line, and the time from count to count there; 0 before two are known.
    last: Moment,
    ns_per_count: f64,
    told: Moment,
    asked_ns: u64,
    credit_counts: f64,
    jumped: bool,
}

impl CameraLineEncoder {
    /// `most_counts_per_s` bounds how fast the position catches up. `None` for `reach_counts` is for a
    /// camera that runs freely over a web that never stands: it is taken to run on until the camera is
    /// lost.
    pub fn new(reach_counts: Option<u32>, most_counts_per_s: u32) -> Self {
        Self {
            reach_counts: reach_counts.map_or(i64::MAX, i64::from),
            most_counts_per_ns: f64::from(most_counts_per_s) / 1e9,
            last: Moment::default(),
            ns_per_count: 0.0,
            told: Moment::default(),
            asked_ns: 0,
            credit_counts: 0.0,
            jumped: false,
        }
    }

    fn expected(&self, ns: u64) -> i64 {
        if self.ns_per_count <= 0.0 {
            return self.last.count.0;
        }
        let ahead = ns.saturating_sub(self.last.ns) as f64 / self.ns_per_count;
        let ahead = (ahead as i64).min(self.reach_counts);
        self.last.count.0.saturating_add(ahead)
    }
}

impl Encoder for CameraLineEncoder {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        // The ledger may have been called for something else since the last position, so what the web
        // may have moved since then is all that it is allowed, plus one step.
        let since_ns = until_ns.saturating_sub(self.asked_ns);
        self.asked_ns = until_ns.max(self.asked_ns);
        self.credit_counts =
            self.credit_counts.min(STEP_COUNTS as f64) + since_ns as f64 * self.most_counts_per_ns;
        let behind = self.expected(until_ns) - self.told.count.0;
        let forward = if self.jumped {
            behind
        } else {
            behind.clamp(0, self.credit_counts as i64)
        };
        let passed_ns = until_ns.saturating_sub(self.told.ns);
        let due = self.jumped || passed_ns >= STEP_NS || forward >= STEP_COUNTS;
        if forward == 0 || !due {
            return Ok(None);
        }
        self.jumped = false;
        self.credit_counts = (self.credit_counts - forward as f64).max(0.0);
        self.told = Moment {
            ns: until_ns.max(self.told.ns),
            count: Count(self.told.count.0 + forward),
        };
        Ok(Some(EncoderEvent::Position(self.told)))
    }

    fn lines(&mut self, stamps: &[LineStamp]) {
        let [first, .., last] = stamps else {
            return;
        };
        let moved = last.count.0 - first.count.0;
        if moved > 0 {
            let took_ns = last.exposure_ns.saturating_sub(first.exposure_ns);
            self.ns_per_count = took_ns as f64 / moved as f64;
        }
        // Web went by that the position knows nothing of: better no place than a wrong one.
        let unknown = last.count.0 - self.told.count.0;
        self.jumped |= unknown >= PLACE_LOST_COUNTS || unknown > self.reach_counts;
        self.last = Moment {
            ns: last.exposure_ns,
            count: last.count,
        };
    }

    fn camera_lost(&mut self) {
        self.last.count.0 += PLACE_LOST_COUNTS;
        self.ns_per_count = 0.0;
        self.jumped = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Ten lines of 4 counts each, the last of which has this count.
    fn block(encoder: &mut CameraLineEncoder, end_ms: u64, end_count: i64, line_us: u64) {
        let stamps: Vec<LineStamp> = (0..10)
            .map(|line| LineStamp {
                exposure_ns: (end_ms * MS).saturating_sub((9 - line) * line_us * 1000),
                count: Count(end_count - 4 * (9 - line as i64)),
            })
            .collect();
        encoder.lines(&stamps);
    }

    /// Count told last at each of these times.
    fn counts(encoder: &mut CameraLineEncoder, times_ms: &[u64]) -> Vec<i64> {
        let told = times_ms.iter().map(|ms| {
            while let Some(EncoderEvent::Position(at)) = encoder.next_event(ms * MS).unwrap() {
                assert!(at.ns <= ms * MS);
            }
            encoder.told.count.0
        });
        told.collect()
    }

    #[test]
    fn runs_on_between_blocks_and_stands_with_the_belt() {
        let mut encoder = CameraLineEncoder::new(Some(80), 10_000);
        assert_eq!(counts(&mut encoder, &[1, 50]), [0, 0]);
        block(&mut encoder, 60, 40, 1000);
        assert_eq!(
            counts(&mut encoder, &[61, 65, 70, 80, 90, 500]),
            [44, 60, 80, 120, 120, 120]
        );
        // The belt had stood after 12 lines; the next 8 come later, slowly.
        block(&mut encoder, 900, 80, 10_000);
        assert_eq!(counts(&mut encoder, &[901, 1000]), [120, 120]);
        block(&mut encoder, 1400, 160, 10_000);
        assert_eq!(counts(&mut encoder, &[1401, 1410, 2000]), [160, 164, 240]);
    }

    #[test]
    fn catches_up_no_faster_than_web_can_run() {
        let mut encoder = CameraLineEncoder::new(Some(80), 10_000);
        counts(&mut encoder, &[10]);
        block(&mut encoder, 10, 80, 400);
        assert_eq!(counts(&mut encoder, &[11, 12, 20]), [18, 28, 108]);
    }

    #[test]
    fn keeps_up_with_a_web_slower_than_a_count_per_step() {
        let mut encoder = CameraLineEncoder::new(Some(400), 550);
        block(&mut encoder, 100, 40, 8000);
        let times: Vec<u64> = (101..=200).collect();
        let at = counts(&mut encoder, &times);
        assert!((85..=90).contains(at.last().unwrap()), "{at:?}");
        block(&mut encoder, 200, 80, 8000);
        let times: Vec<u64> = (201..=600).collect();
        let at = counts(&mut encoder, &times);
        assert!((275..=281).contains(at.last().unwrap()), "{at:?}");
    }

    #[test]
    fn no_step_is_more_than_the_ledger_allows_whenever_it_was_called_before() {
        let mut encoder = CameraLineEncoder::new(Some(640), 40_000);
        let (mut ledger_ns, mut at) = (0, 0);
        for us in (0..200_000u64).step_by(170) {
            if us % 16_830 == 0 {
                block(&mut encoder, us / 1000, at + 300, 100);
            }
            // The ledger is called each time, whether there is a position or not.
            let ns = us * 1000;
            if let Some(EncoderEvent::Position(position)) = encoder.next_event(ns).unwrap() {
                let most = 2 * 40_000 * (ns - ledger_ns) as i64 / 1_000_000_000 + 16;
                let step = position.count.0 - at;
                assert!(step <= most, "{us}: {step} above {most}");
                at = position.count.0;
            }
            ledger_ns = ns;
        }
        assert!(at > 3000, "{at}");
    }

    #[test]
    fn a_lost_camera_is_a_jump_at_once_and_once() {
        let mut encoder = CameraLineEncoder::new(Some(80), 10_000);
        block(&mut encoder, 10, 40, 1000);
        counts(&mut encoder, &[10]);
        encoder.camera_lost();
        let lost = PLACE_LOST_COUNTS + 40;
        assert_eq!(counts(&mut encoder, &[10, 15]), [lost, lost]);
        block(&mut encoder, 30, lost + 40, 1000);
        assert_eq!(counts(&mut encoder, &[50, 51]), [lost + 120, lost + 120]);
        // A camera that lost its place without being lost.
        block(&mut encoder, 60, lost + 80 + PLACE_LOST_COUNTS, 1000);
        assert_eq!(counts(&mut encoder, &[60]), [lost + 80 + PLACE_LOST_COUNTS]);
    }

    #[test]
    fn lines_that_never_came_are_a_jump_where_the_margin_does_not_cover_them() {
        let mut encoder = CameraLineEncoder::new(Some(80), 10_000);
        block(&mut encoder, 10, 40, 1000);
        counts(&mut encoder, &[10]);
        block(&mut encoder, 11, 40 + 80, 1000);
        assert_eq!(counts(&mut encoder, &[11]), [58]);
        block(&mut encoder, 12, 40 + 200, 1000);
        assert_eq!(counts(&mut encoder, &[12]), [240]);
    }

    #[test]
    fn a_web_that_never_stands_runs_on() {
        let mut encoder = CameraLineEncoder::new(None, 10_000);
        block(&mut encoder, 10, 40, 1000);
        assert_eq!(counts(&mut encoder, &[20, 1000]), [80, 4000]);
    }
}
