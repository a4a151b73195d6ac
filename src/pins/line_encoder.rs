//! Where the web is by the number of lines, for a station without an encoder of its own.

use super::{Encoder, EncoderEvent, Moment, PinError};
use crate::block::LineStamp;
use crate::camera::PLACE_LOST_COUNTS;
use crate::geometry::Count;
use std::collections::VecDeque;

/// A position is told when so much time has passed, or so many counts.
const STEP_NS: u64 = 1_000_000;
const STEP_COUNTS: i64 = 8;

/// The position catches up so much faster than web can run; the ledger takes twice as fast for possible.
const CATCH_UP: f64 = 1.5;

/// Positions remembered, to be held against lines that come late: 3 s of them.
const REMEMBERED: usize = 1 << 12;

/// Positions from the lines of a live camera.
///
/// Lines come a block at a time, so between them the web is taken to run on as fast as the last block
/// did, but no farther than `margin_counts` beyond the last line, since the belt may have stopped there.
/// What was told is never taken back: where a belt has slowed, the place waits until the lines have caught
/// up. It catches up little faster than web can run, so that a late block is no jump. Where the camera is
/// lost, the position jumps at once.
///
/// Each line says by its own time and count what should have been told then. Where that was off by more
/// than `margin_counts`, which the ledger rejects on either side, web has passed the ejector at an unknown
/// place: [`EncoderEvent::PlaceLost`]. Lines that come late, one at a time or all at once, are none of
/// that for as long as they are no later than the web takes for twice the margin.
#[derive(Debug)]
pub struct CameraLineEncoder {
    /// How far the position runs on without lines.
    reach_counts: i64,
    margin_counts: i64,
    catch_up_counts_per_ns: f64,
    /// The last line, and the time from count to count there; 0 before two are known.
    last: Moment,
    ns_per_count: f64,
    told: Moment,
    past: VecDeque<Moment>,
    /// What was told before this is no longer held against lines: the ledger has forgotten that web.
    sure_from_ns: u64,
    asked_ns: u64,
    credit_counts: f64,
    jumped: bool,
    /// The place was off by so much.
    off_counts: Option<u64>,
}

impl CameraLineEncoder {
    /// `margin_counts` is how far off the place may be. `most_counts_per_s` is how fast web can run. Where
    /// the belt triggers the camera, silence means that it stands; a camera that runs freely is for web
    /// that never stands, and is taken to run on until the camera is lost.
    pub fn new(margin_counts: u32, is_triggered: bool, most_counts_per_s: u32) -> Self {
        let mut past = VecDeque::with_capacity(REMEMBERED);
        past.push_back(Moment::default());
        let margin_counts = i64::from(margin_counts);
        Self {
            reach_counts: if is_triggered {
                margin_counts
            } else {
                i64::MAX
            },
            margin_counts,
            catch_up_counts_per_ns: CATCH_UP * f64::from(most_counts_per_s) / 1e9,
            last: Moment::default(),
            ns_per_count: 0.0,
            told: Moment::default(),
            past,
            sure_from_ns: 0,
            asked_ns: 0,
            credit_counts: 0.0,
            jumped: false,
            off_counts: None,
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

    /// What was told at a time; `None` where that is forgotten.
    fn told_at(&self, ns: u64) -> Option<i64> {
        let after = self.past.partition_point(|at| at.ns <= ns);
        Some(self.past.get(after.checked_sub(1)?)?.count.0)
    }

    /// How far off the place was when this line was exposed.
    fn off_counts(&self, line: &LineStamp) -> u64 {
        self.told_at(line.exposure_ns)
            .map_or(u64::MAX, |told| line.count.0.abs_diff(told))
    }

    fn tell(&mut self, until_ns: u64, forward: i64) -> Moment {
        self.told = Moment {
            ns: until_ns.max(self.told.ns),
            count: Count(self.told.count.0.saturating_add(forward)),
        };
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(self.told);
        self.told
    }
}

impl Encoder for CameraLineEncoder {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        // The ledger may have been called for something else since the last position, so what the web
        // may have moved since then is all that it is allowed, plus one step.
        let since_ns = until_ns.saturating_sub(self.asked_ns);
        self.asked_ns = until_ns.max(self.asked_ns);
        self.credit_counts = self.credit_counts.min(STEP_COUNTS as f64)
            + since_ns as f64 * self.catch_up_counts_per_ns;
        let behind = self.expected(until_ns) - self.told.count.0;
        if let Some(off_counts) = self.off_counts.take() {
            self.jumped = false;
            self.sure_from_ns = until_ns;
            let at = self.tell(until_ns, behind);
            return Ok(Some(EncoderEvent::PlaceLost { at, off_counts }));
        }
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
        if std::mem::take(&mut self.jumped) {
            self.sure_from_ns = until_ns;
        }
        self.credit_counts = (self.credit_counts - forward as f64).max(0.0);
        let told = self.tell(until_ns, forward);
        Ok(Some(EncoderEvent::Position(told)))
    }

    fn lines(&mut self, stamps: &[LineStamp]) {
        let [.., last] = stamps else {
            return;
        };
        // A block of one line shows no speed but from the line before.
        let from = match stamps {
            [first, _, ..] => Moment {
                ns: first.exposure_ns,
                count: first.count,
            },
            _ => self.last,
        };
        let moved = last.count.0 - from.count.0;
        if moved > 0 {
            let took_ns = last.exposure_ns.saturating_sub(from.ns);
            self.ns_per_count = took_ns as f64 / moved as f64;
        }
        let sure = stamps
            .iter()
            .filter(|line| line.exposure_ns >= self.sure_from_ns);
        let off = sure.map(|line| self.off_counts(line)).max();
        if let Some(off) = off.filter(|off| *off > self.margin_counts.unsigned_abs())
            && !self.jumped
        {
            self.off_counts = self.off_counts.max(Some(off));
        }
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
    use proptest::prelude::*;

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

    /// Count told last at each of these times, and how often the place was lost.
    fn told(encoder: &mut CameraLineEncoder, times_ms: &[u64]) -> (Vec<i64>, u32) {
        let mut lost = 0;
        let told = times_ms.iter().map(|ms| {
            while let Some(event) = encoder.next_event(ms * MS).unwrap() {
                let at = match event {
                    EncoderEvent::Position(at) => at,
                    EncoderEvent::PlaceLost { at, .. } => {
                        lost += 1;
                        at
                    }
                    other => panic!("{other:?}"),
                };
                assert!(at.ns <= ms * MS);
            }
            encoder.told.count.0
        });
        (told.collect(), lost)
    }

    /// The same where the place is never lost.
    fn counts(encoder: &mut CameraLineEncoder, times_ms: &[u64]) -> Vec<i64> {
        let (told, lost) = told(encoder, times_ms);
        assert_eq!(lost, 0);
        told
    }

    #[test]
    fn runs_on_between_blocks_and_stands_with_the_belt() {
        let mut encoder = CameraLineEncoder::new(80, true, 10_000);
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
    fn catches_up_little_faster_than_web_can_run() {
        let mut encoder = CameraLineEncoder::new(80, true, 10_000);
        counts(&mut encoder, &[10]);
        block(&mut encoder, 10, 80, 400);
        assert_eq!(counts(&mut encoder, &[11, 12, 20]), [23, 38, 158]);
    }

    #[test]
    fn keeps_up_with_a_web_slower_than_a_count_per_step() {
        let mut encoder = CameraLineEncoder::new(400, true, 550);
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
        let mut encoder = CameraLineEncoder::new(640, true, 40_000);
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
        let mut encoder = CameraLineEncoder::new(80, true, 10_000);
        block(&mut encoder, 10, 40, 1000);
        counts(&mut encoder, &[10]);
        encoder.camera_lost();
        let lost = PLACE_LOST_COUNTS + 40;
        assert_eq!(counts(&mut encoder, &[10, 15]), [lost, lost]);
        block(&mut encoder, 30, lost + 40, 1000);
        assert_eq!(counts(&mut encoder, &[50, 51]), [lost + 120, lost + 120]);
        // A camera that lost its place without being lost.
        block(&mut encoder, 60, lost + 80 + PLACE_LOST_COUNTS, 1000);
        let there = lost + 80 + PLACE_LOST_COUNTS;
        assert_eq!(told(&mut encoder, &[60]), (vec![there], 1));
    }

    /// Ten lines of 4 counts each 10 ms, of which `late` blocks come all at once; the counts told in the
    /// 50 ms after that, and how often the place was lost.
    fn burst(late: u64) -> (Vec<i64>, u32) {
        let mut encoder = CameraLineEncoder::new(80, true, 10_000);
        counts(&mut encoder, &[10]);
        block(&mut encoder, 10, 40, 1000);
        let arrival_ms = 10 * (late + 1);
        let silent: Vec<u64> = (11..=arrival_ms).collect();
        counts(&mut encoder, &silent);
        for number in 2..=late + 1 {
            block(&mut encoder, 10 * number, 40 * number as i64, 1000);
        }
        let times: Vec<u64> = (arrival_ms + 1..=arrival_ms + 50).collect();
        told(&mut encoder, &times)
    }

    #[test]
    fn late_lines_that_come_all_at_once_are_no_jump_for_as_long_as_the_margin_covers_them() {
        for late in 1..=4 {
            let (at, lost) = burst(late);
            assert_eq!(lost, 0, "{late} blocks late");
            // Caught up with the web, which runs 4 counts a ms.
            assert_eq!(at[49], 40 * (late as i64 + 1) + 80, "{late}");
            assert!(at.windows(2).all(|two| two[1] - two[0] <= 23), "{at:?}");
        }
        for late in 5..=9 {
            // The belt might have stood, so the place did not run on, and was wrong.
            assert_eq!(burst(late).1, 1, "{late} blocks late");
        }
    }

    #[test]
    fn lines_that_never_came_lose_the_place_where_the_margin_does_not_cover_them() {
        let mut encoder = CameraLineEncoder::new(80, true, 10_000);
        block(&mut encoder, 10, 40, 1000);
        counts(&mut encoder, &[10]);
        block(&mut encoder, 20, 40 + 80, 1000);
        assert_eq!(counts(&mut encoder, &[21]), [124]);
        block(&mut encoder, 30, 40 + 80 + 120, 1000);
        assert_eq!(told(&mut encoder, &[31]), (vec![244], 1));
    }

    /// Lines that are always as old as this when they come.
    fn lost_by_lines_of_age(blocks: u64) -> u32 {
        let mut encoder = CameraLineEncoder::new(80, true, 10_000);
        let mut lost = 0;
        for ms in 1..=300 {
            if ms % 10 == 0 && ms / 10 > blocks {
                let number = ms / 10 - blocks;
                block(&mut encoder, 10 * number, 40 * number as i64, 1000);
            }
            lost += told(&mut encoder, &[ms]).1;
        }
        lost
    }

    #[test]
    fn a_place_known_from_old_lines_only_is_none() {
        assert_eq!(lost_by_lines_of_age(1), 0);
        assert!(
            lost_by_lines_of_age(6) > 2,
            "it was off by two blocks too many"
        );
    }

    #[test]
    fn a_web_that_never_stands_runs_on() {
        let mut encoder = CameraLineEncoder::new(80, false, 10_000);
        block(&mut encoder, 10, 40, 1000);
        assert_eq!(counts(&mut encoder, &[20, 1000]), [80, 4000]);
    }

    /// A belt in half milliseconds: how many counts it moves in each.
    fn belt() -> impl Strategy<Value = Vec<i64>> {
        let run = (0i64..=4, 20usize..400).prop_map(|(speed, steps)| vec![speed; steps]);
        prop::collection::vec(run, 2..8).prop_map(|runs| runs.concat())
    }

    proptest! {
        /// However late the lines come, and however the belt runs: wherever the place was off by more than
        /// the margin, that is told once the line that shows it has come.
        #[test]
        fn no_place_is_wrong_and_untold(
            belt in belt(),
            delays in prop::collection::vec(prop_oneof![4 => 0u64..8, 1 => 0u64..300], 200),
        ) {
            const MARGIN: i64 = 80;
            let mut encoder = CameraLineEncoder::new(MARGIN as u32, true, 8000);
            let (mut truth, mut stamps, mut blocks) = (0, Vec::new(), std::collections::VecDeque::new());
            let (mut delays, mut free) = (delays.into_iter().cycle(), 0);
            // For each line that was exposed since the place was last lost: whether it was right then.
            let (mut exposed, mut untold) = (std::collections::VecDeque::new(), 0);
            for (step, moves) in belt.into_iter().enumerate() {
                let step = step as u64 + 1;
                let ns = step * MS / 2;
                truth += moves;
                if truth / 4 > (truth - moves) / 4 {
                    let line = LineStamp { exposure_ns: ns, count: Count(truth / 4 * 4) };
                    stamps.push(line);
                    exposed.push_back((line, line.count.0.abs_diff(encoder.told.count.0)));
                }
                if stamps.len() == 10 {
                    free = (step + delays.next().unwrap()).max(free);
                    blocks.push_back((free, std::mem::take(&mut stamps)));
                }
                while blocks.front().is_some_and(|(free, _)| *free <= step) {
                    let (_, lines) = blocks.pop_front().unwrap();
                    encoder.lines(&lines);
                    for _ in &lines {
                        let (_, off) = exposed.pop_front().unwrap();
                        untold += u32::from(off > MARGIN as u64);
                    }
                }
                while let Some(event) = encoder.next_event(ns).unwrap() {
                    if matches!(event, EncoderEvent::PlaceLost { .. }) {
                        untold = 0;
                        // The ledger has forgotten the web of these.
                        exposed.iter_mut().for_each(|(_, off)| *off = 0);
                    }
                }
                // What was told at the very moment of a line may count as told before or after it.
                if let Some((line, off)) = exposed.back_mut()
                    && line.exposure_ns == ns
                {
                    *off = (*off).min(line.count.0.abs_diff(encoder.told.count.0));
                }
                prop_assert_eq!(untold, 0, "at {} ms", step / 2);
                // Where it is ahead, the belt has stopped; as far as the lines tell that is never more.
                let ahead = encoder.told.count.0 - truth;
                prop_assert!(ahead <= MARGIN, "{} ahead at {} ms", ahead, step / 2);
            }
        }
    }

    #[test]
    fn blocks_of_one_line_show_the_speed_too() {
        let mut encoder = CameraLineEncoder::new(100, true, 1_000_000);
        for line in 1..=20u64 {
            encoder.lines(&[LineStamp {
                exposure_ns: line * MS,
                count: Count(4 * line as i64),
            }]);
        }
        let (told, _) = told(&mut encoder, &[20, 25]);
        assert!((told[1] - 100).abs() <= 4, "{told:?}");
    }
}
