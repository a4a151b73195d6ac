//! Where the lines of a camera are that the encoder triggers.
//!
//! * **numbered count**: the camera's, a fixed step from line to line, missing lines included; right but for
//!   where it began;
//! * **offset**: what the encoder shows more than that, measured once a frame, by the time of the one line
//!   that the driver tells the time of. Times of the others say little: the belt may have paused among them.
//!
//! The offset is kept while it is measured the same to within a tolerance, so that late time stamps move no
//! line. Where it differs by more, lines were triggered that the numbers do not tell of, or none where they
//! do: where such a frame lies is not known. A smaller offset places the next ones; a greater one may be a late
//! time stamp too, and does so only where the next timed frame measures it again. Until then nothing is placed, nor is
//! that frame where it measures the old offset, which the next ones are placed by: as many lines may be too many in it
//! as were lost before. A frame whose first
//! line is the timed one shows it with the next frame only. The tolerance is less than half a frame, so that a
//! frame that the numbers do not tell of shows.
//!
//! Where the numbers go on for two frames and the encoder moves by less than half of it, it is no question of
//! offsets: the encoder is dead.

use super::Track;
use crate::block::{LineStamp, TimedLine};
use crate::camera::PLACE_LOST_COUNTS;
use crate::geometry::Count;
use crate::reject::OVERSPEED;

/// Fewer counts prove nothing about the encoder.
const LEAST_PROOF_COUNTS: i64 = 64;

/// A period of a quadrature encoder: a belt that stands may tremble by so much, and one dead channel looks like it.
const TREMBLE_COUNTS: i64 = 4;

/// How the lines of a block were placed on the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placing {
    /// By their numbers.
    ByNumber,
    /// Not at all: nothing has measured the offset yet. The counts are as they were.
    Unmeasured,
    /// Not at all: numbers and encoder disagree, so lines were triggered that the numbers do not tell of, or web was
    /// exposed twice. The counts are as they were, and times are no better where the belt paused in between.
    Lost,
}

/// The offset between a camera's counts and the encoder's.
#[derive(Debug, Clone)]
pub struct TriggeredLines {
    tolerance_counts: i64,
    offset: Option<i64>,
    /// A greater offset that one frame measured, and since when web may have been placed wrongly for it.
    unconfirmed: Option<(i64, u64)>,
    /// Numbered count of the last line.
    last: Option<i64>,
    /// Numbered count and time of the line from which on way is compared.
    since: Option<(i64, u64)>,
}

/// The way of the web since a line, by the lines that came since and by the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenWay {
    pub by_lines_counts: i64,
    pub by_encoder_counts: i64,
}

impl ProvenWay {
    /// Whether the encoder moved as the lines say it did, or more; a belt that goes back may have exposed no lines.
    pub fn is_followed(&self) -> bool {
        self.by_encoder_counts.saturating_mul(2) >= self.by_lines_counts
    }
}

impl TriggeredLines {
    /// Lines may lie up to `tolerance_counts` beside where they are placed.
    pub fn new(tolerance_counts: i64) -> Self {
        Self {
            tolerance_counts,
            offset: None,
            unconfirmed: None,
            last: None,
            since: None,
        }
    }

    /// How far the web came by the numbers of its lines, and by the encoder, which was read up to `now_ns`: once in
    /// two frames, where their times can be true for a web of at most twice `most_counts_per_s` and `track` remembers
    /// all of the way. To be asked before [`place`](Self::place).
    pub fn proven(
        &mut self,
        stamps: &[LineStamp],
        timed_line: Option<TimedLine>,
        track: &Track,
        now_ns: u64,
        most_counts_per_s: u32,
    ) -> Option<ProvenWay> {
        let line = timed_line?;
        let numbered = stamps.get(line.place)?.count.0;
        let here = Some((numbered, line.exposure_ns.min(now_ns)));
        let Some((from, from_ns)) = self.since else {
            self.since = here;
            return None;
        };
        let by_lines_counts = numbered.saturating_sub(from);
        if !(0..PLACE_LOST_COUNTS / 2).contains(&by_lines_counts) {
            self.since = here;
            return None;
        }
        let least = self
            .frame_counts(stamps)
            .saturating_mul(2)
            .max(LEAST_PROOF_COUNTS);
        let fastest = i128::from(OVERSPEED) * i128::from(most_counts_per_s.max(1));
        let least_ns = i128::from(by_lines_counts) * 1_000_000_000 / fastest;
        // Lines that came together after a delay, with the times of their arrival.
        let is_late = i128::from(now_ns.saturating_sub(from_ns)) < least_ns;
        if by_lines_counts < least || is_late {
            return None;
        }
        self.since = here;
        let by_encoder_counts = track.way_since(from_ns, TREMBLE_COUNTS)?;
        Some(ProvenWay {
            by_lines_counts,
            by_encoder_counts,
        })
    }

    /// The encoder's way so far is no measure.
    pub fn forget_way(&mut self) {
        self.since = None;
    }

    /// Turns the numbered counts of a block's lines into the encoder's, whose positions `track` knows to the
    /// end of the block. `timed_line` is the line whose time is sure, where there is one.
    pub fn place(
        &mut self,
        stamps: &mut [LineStamp],
        timed_line: Option<TimedLine>,
        track: &Track,
    ) -> Placing {
        let (Some(first), Some(last)) = (stamps.first(), stamps.last()) else {
            return Placing::ByNumber;
        };
        let tolerance = self.tolerance(stamps);
        let is_elsewhere = |before| first.count.0.abs_diff(before) >= PLACE_LOST_COUNTS as u64 / 2;
        if self.last.is_some_and(is_elsewhere) {
            self.offset = None;
            self.unconfirmed = None;
        }
        self.last = Some(last.count.0);
        let measured = timed_line.and_then(|line| {
            let numbered = stamps.get(line.place)?.count;
            let seen = track.count_at(line.exposure_ns)?;
            Some(seen.0.saturating_sub(numbered.0))
        });
        let timed_ns = timed_line.map(|line| line.exposure_ns);
        let doubted_ns = self.unconfirmed.map(|(_, since_ns)| since_ns);
        let began_ns = timed_ns
            .into_iter()
            .chain(doubted_ns)
            .fold(first.exposure_ns, u64::min);
        let offset = match (self.offset, measured) {
            (Some(held), Some(measured)) => {
                let Some(offset) = self.agreed(held, measured, tolerance, began_ns) else {
                    return Placing::Lost;
                };
                offset
            }
            (Some(_), None) if doubted_ns.is_some() => return Placing::Lost,
            (Some(held), None) => held,
            (None, Some(measured)) => measured,
            (None, None) => return Placing::Unmeasured,
        };
        self.offset = Some(offset);
        // Lines behind the timed one were measured by nobody yet: cameras expose some again where the web goes back.
        let is_measured_to_the_end = timed_line.is_some_and(|line| line.place + 1 == stamps.len());
        let may_go_back = match doubted_ns {
            // As many of these as were lost before look like no loss.
            Some(_) => Some(0),
            None => (!is_measured_to_the_end).then_some(self.tolerance_counts),
        };
        if may_go_back.is_some_and(|counts| track.went_back(began_ns, counts)) {
            return Placing::Lost;
        }
        for stamp in stamps {
            stamp.count = Count(stamp.count.0.saturating_add(offset));
        }
        Placing::ByNumber
    }

    /// The offset that a frame which began at `began_ns` may be placed by.
    fn agreed(&mut self, held: i64, measured: i64, tolerance: u64, began_ns: u64) -> Option<i64> {
        let fits = |offset: i64| offset.abs_diff(measured) <= tolerance;
        let unconfirmed = self.unconfirmed.take().map(|(offset, _)| offset);
        // Times are late rather than early, and what is late shows the web too far.
        match unconfirmed {
            None if fits(held) => return Some(held.min(measured)),
            Some(offset) if fits(offset) => return Some(offset.min(measured)),
            // The last time stamp was late, or this frame has as many lines too many as were lost before it.
            Some(_) if fits(held) => return None,
            _ => {}
        }
        match measured > held {
            true => self.unconfirmed = Some((measured, began_ns)),
            false => self.offset = Some(measured),
        }
        None
    }

    fn tolerance(&self, stamps: &[LineStamp]) -> u64 {
        let less_than_half = self.frame_counts(stamps).saturating_sub(1) / 2;
        self.tolerance_counts.min(less_than_half).max(0) as u64
    }

    /// From the first line of a frame to the first of the next.
    fn frame_counts(&self, stamps: &[LineStamp]) -> i64 {
        match stamps {
            [first, .., last] => {
                let steps = stamps.len() as i64 - 1;
                (last.count.0.saturating_sub(first.count.0) / steps).saturating_mul(steps + 1)
            }
            [only] => self
                .last
                .map_or(0, |last| only.count.0.saturating_sub(last)),
            [] => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Moment;
    use super::*;
    use proptest::prelude::*;

    const LINES: usize = 100;
    const STEP: i64 = 2;
    const TOLERANCE: i64 = 20;

    /// A belt whose encoder triggers a line at every second count, and a camera that stamps frames.
    struct Belt {
        track: Track,
        now: Moment,
        /// When each line that was not handed out was exposed, and where.
        exposed: Vec<Moment>,
        numbered: i64,
        lines: TriggeredLines,
        last_end_ns: u64,
    }

    impl Belt {
        fn new() -> Self {
            let now = Moment {
                ns: 0,
                count: Count(5000),
            };
            let mut track = Track::new(1 << 16);
            track.push(now);
            Self {
                track,
                now,
                exposed: Vec::new(),
                numbered: 0,
                lines: TriggeredLines::new(TOLERANCE),
                last_end_ns: 0,
            }
        }

        /// Moves by one count in this time.
        fn step(&mut self, ns: u64, way: i64) {
            self.now.ns += ns;
            self.now.count.0 += way;
            self.track.push(self.now);
            if way > 0 && self.now.count.0 % STEP == 0 {
                self.exposed.push(self.now);
            }
        }

        fn run(&mut self, counts: usize, ns: u64) {
            for _ in 0..counts {
                self.step(ns, 1);
            }
        }

        /// The next frame as the driver tells it: its times spread evenly since the one before. Gives the
        /// lines' placed counts with the true ones, and whether they were placed by number.
        fn frame(&mut self, timed: bool, late_ns: u64) -> (Vec<(i64, i64)>, bool) {
            let lines: Vec<Moment> = self.exposed.drain(..LINES).collect();
            let (from, to) = (self.last_end_ns, lines[LINES - 1].ns + late_ns);
            self.last_end_ns = to;
            let mut stamps: Vec<LineStamp> = (0..LINES as u64)
                .map(|place| {
                    self.numbered += STEP;
                    LineStamp {
                        exposure_ns: from + (to - from) * place / LINES as u64,
                        count: Count(self.numbered),
                    }
                })
                .collect();
            let timed_line = timed.then_some(TimedLine {
                place: LINES - 1,
                exposure_ns: to,
            });
            let by_number =
                self.lines.place(&mut stamps, timed_line, &self.track) == Placing::ByNumber;
            let counts = stamps.iter().map(|stamp| stamp.count.0);
            (
                counts.zip(lines.iter().map(|line| line.count.0)).collect(),
                by_number,
            )
        }
    }

    #[test]
    fn a_pause_inside_a_frame_moves_no_line() {
        let mut belt = Belt::new();
        for pause_ns in [0, 1_000_000_000, 600_000_000_000, 0] {
            belt.run(LINES, 1000);
            belt.step(pause_ns + 1000, 1);
            belt.run(LINES - 1, 3000);
            let (counts, by_number) = belt.frame(true, 0);
            assert!(by_number);
            assert!(
                counts.iter().all(|(placed, truth)| placed == truth),
                "{pause_ns}"
            );
        }
    }

    #[test]
    fn late_stamps_move_no_line_and_untimed_frames_follow_the_last() {
        let mut belt = Belt::new();
        // The web runs on while a frame is on its way; a first stamp that is late is mended by the next that is not.
        belt.run(2 * LINES + 20, 1000);
        let (counts, by_number) = belt.frame(true, 9000);
        assert!(by_number && counts.iter().all(|(placed, truth)| placed - truth == 9));
        for frame in 0..20 {
            belt.run(2 * LINES, 1000);
            let (counts, by_number) = belt.frame(frame % 3 != 1, 1000 * (frame % 7));
            assert!(by_number, "frame {frame}");
            assert!(
                counts.iter().all(|(placed, truth)| placed == truth),
                "{frame}"
            );
        }
    }

    #[test]
    fn lines_that_nobody_tells_of_are_noticed_within_a_frame() {
        let mut belt = Belt::new();
        belt.run(2 * LINES, 1000);
        assert!(belt.frame(true, 0).1);
        // The camera was too slow for thirty triggers.
        belt.run(2 * LINES + 60, 1000);
        belt.exposed.drain(40..70);
        assert!(!belt.frame(true, 0).1, "its place is lost");
        belt.run(2 * LINES, 1000);
        let (counts, by_number) = belt.frame(true, 0);
        assert!(by_number && counts.iter().all(|(placed, truth)| placed == truth));
    }

    #[test]
    fn a_lost_frame_is_noticed_however_great_the_margin() {
        let mut belt = Belt::new();
        belt.lines = TriggeredLines::new(1000 * TOLERANCE);
        belt.run(2 * LINES, 1000);
        assert!(belt.frame(true, 0).1);
        belt.run(4 * LINES, 1000);
        belt.exposed.drain(..LINES);
        assert!(!belt.frame(true, 0).1, "its place is lost");
        belt.run(2 * LINES, 1000);
        let (counts, by_number) = belt.frame(true, 0);
        assert!(by_number && counts.iter().all(|(placed, truth)| placed == truth));
    }

    const MOST_PER_S: u32 = 2_000_000;

    /// What frames of lines without an encoder prove: each a number of lines, and how the encoder moved meanwhile.
    fn proofs(frames: &[&[i64]]) -> Vec<Option<bool>> {
        proofs_by(Track::new(1 << 16), frames)
    }

    fn proofs_by(mut track: Track, frames: &[&[i64]]) -> Vec<Option<bool>> {
        let mut lines = TriggeredLines::new(TOLERANCE);
        let (mut ns, mut count, mut numbered) = (0, 0, 0);
        track.push(Moment::default());
        let proofs = frames.iter().map(|moves| {
            for moved in *moves {
                (ns, count) = (ns + 1000, count + moved);
                let count = Count(count);
                track.push(Moment { ns, count });
            }
            ns += 2_000_000;
            let stamps = (0..LINES).map(|_| {
                numbered += STEP;
                LineStamp {
                    exposure_ns: ns,
                    count: Count(numbered),
                }
            });
            let stamps: Vec<LineStamp> = stamps.collect();
            let timed = TimedLine {
                place: LINES - 1,
                exposure_ns: ns,
            };
            let way = lines.proven(&stamps, Some(timed), &track, ns, MOST_PER_S);
            way.map(|way| way.is_followed())
        });
        proofs.collect()
    }

    #[test]
    fn an_encoder_that_stands_or_trembles_while_lines_come_is_dead() {
        let trembling = &[1, -1].repeat(500)[..];
        let (moving, dead) = (&[1; 2 * LINES][..], &[][..]);
        // The first frame is where the comparison begins, and each second one is compared.
        assert_eq!(
            proofs(&[moving, moving, moving, dead, dead, dead, dead]),
            [None, None, Some(true), None, Some(false), None, Some(false)]
        );
        assert_eq!(proofs(&[dead; 3]), [None, None, Some(false)]);
        assert_eq!(proofs(&[trembling; 3]), [None, None, Some(false)]);
        assert_eq!(
            proofs(&[dead, dead, dead, moving, moving]),
            [None, None, Some(false), None, Some(true)],
            "it is back"
        );
    }

    /// A belt that stands on an edge for long, in the middle of a frame.
    #[test]
    fn a_way_that_is_forgotten_proves_nothing() {
        let moving = &[1; 2 * LINES][..];
        let pausing = &[&[1; 2 * LINES][..], &[1, -1].repeat(500)].concat()[..];
        let track = Track::new(500);
        assert_eq!(
            proofs_by(
                track,
                &[moving, moving, moving, pausing, moving, moving, moving]
            ),
            [None, None, Some(true), None, None, None, Some(true)]
        );
    }

    #[test]
    fn an_encoder_that_goes_back_and_forth_with_its_lines_is_alive() {
        let rocking = &[[1; LINES], [-1; LINES]].concat()[..];
        assert_eq!(proofs(&[rocking; 3]), [None, None, Some(true)]);
        let fast = &[50; 2 * LINES][..];
        assert_eq!(proofs(&[fast; 3]), [None, None, Some(true)]);
    }

    #[test]
    fn frames_that_come_at_once_with_the_time_of_their_arrival_prove_nothing() {
        let mut lines = TriggeredLines::new(TOLERANCE);
        let mut track = Track::new(4);
        track.push(Moment::default());
        for frame in 1..=10 {
            let stamps = [LineStamp {
                exposure_ns: 50_000,
                count: Count(1000 * frame),
            }];
            let timed = TimedLine {
                place: 0,
                exposure_ns: 50_000,
            };
            let now_ns = 60_000 + 1000 * frame as u64;
            let way = lines.proven(&stamps, Some(timed), &track, now_ns, MOST_PER_S);
            assert_eq!(way, None);
        }
    }

    /// This camera exposes web again that went back under it.
    #[test]
    fn web_that_was_exposed_twice_is_not_placed_by_number() {
        for timed in [true, false] {
            let mut belt = Belt::new();
            belt.run(2 * LINES, 1000);
            assert!(belt.frame(true, 0).1);
            belt.run(50, 1000);
            for _ in 0..2 * TOLERANCE {
                belt.step(1000, -1);
            }
            belt.run(2 * LINES, 1000);
            assert!(!belt.frame(timed, 0).1);
        }
    }

    #[test]
    fn one_late_stamp_is_two_frames_without_a_place() {
        let mut belt = Belt::new();
        belt.run(2 * LINES, 1000);
        assert!(belt.frame(true, 0).1);
        for untimed in [0, 1, 3] {
            belt.run((untimed + 3) * 2 * LINES, 1000);
            assert!(!belt.frame(true, 50_000).1, "its stamp is late");
            for _ in 0..untimed {
                assert!(!belt.frame(false, 0).1, "it is still in doubt");
            }
            assert!(!belt.frame(true, 0).1, "it may have lines too many");
            let (counts, by_number) = belt.frame(true, 0);
            assert!(by_number && counts.iter().all(|(placed, truth)| placed == truth));
        }
        // Late twice by the same is taken for lines that were lost, and mended by the first that is not.
        belt.run(8 * LINES, 1000);
        assert!(!belt.frame(true, 50_000).1);
        assert!(belt.frame(true, 50_000).1);
        assert!(!belt.frame(true, 0).1);
        let (counts, by_number) = belt.frame(true, 0);
        assert!(by_number && counts.iter().all(|(placed, truth)| placed == truth));
    }

    #[test]
    fn lines_that_are_lost_are_not_made_up_for_by_as_many_too_many() {
        for untimed in [0, 1] {
            let mut belt = Belt::new();
            belt.run(2 * LINES, 1000);
            assert!(belt.frame(true, 0).1);
            belt.run((untimed + 4) * 2 * LINES, 1000);
            let lost: Vec<Moment> = belt.exposed.drain(40..70).collect();
            assert!(!belt.frame(true, 0).1, "its place is lost");
            for _ in 0..untimed {
                assert!(!belt.frame(false, 0).1, "it is still in doubt");
            }
            let stray = belt.exposed[20];
            belt.exposed.splice(20..20, lost.iter().map(|_| stray));
            assert!(!belt.frame(true, 0).1, "only its end is where it was");
            let (counts, by_number) = belt.frame(true, 0);
            assert!(by_number && counts.iter().all(|(placed, truth)| placed == truth));
        }
    }

    #[test]
    fn lines_that_are_lost_and_exposed_twice_are_not_made_up_for() {
        for (lost, back) in [(30, 60), (15, 10)] {
            let mut belt = Belt::new();
            belt.run(2 * LINES, 1000);
            assert!(belt.frame(true, 0).1);
            belt.run(2 * LINES + 2 * lost, 1000);
            belt.exposed.drain(40..40 + lost);
            assert!(!belt.frame(true, 0).1, "its place is lost");
            belt.run(100, 1000);
            for _ in 0..back {
                belt.step(1000, -1);
            }
            belt.run(2 * LINES, 1000);
            assert!(!belt.frame(true, 0).1, "it began elsewhere than it ended");
        }
    }

    #[test]
    fn a_lost_place_is_measured_again() {
        let mut belt = Belt::new();
        belt.run(2 * LINES, 1000);
        assert!(belt.frame(true, 0).1);
        belt.numbered += PLACE_LOST_COUNTS;
        belt.run(4 * LINES, 1000);
        assert!(!belt.frame(false, 0).1, "nothing is known");
        let (counts, by_number) = belt.frame(true, 0);
        assert!(by_number && counts.iter().all(|(placed, truth)| placed == truth));
        assert_eq!(
            TriggeredLines::new(0).place(&mut [], None, &belt.track),
            Placing::ByNumber
        );
    }

    proptest! {
        /// However the belt runs and stands, lines are placed where they were.
        #[test]
        fn lines_are_placed_by_number_at_any_speed(
            paces in prop::collection::vec((1u64..1_000_000_000, 1usize..300), 1..40),
        ) {
            let mut belt = Belt::new();
            for (ns, counts) in paces {
                belt.run(counts, ns);
                while belt.exposed.len() >= LINES {
                    let (counts, by_number) = belt.frame(true, 0);
                    prop_assert!(by_number);
                    prop_assert!(counts.iter().all(|(placed, truth)| placed == truth));
                }
            }
        }
    }
}
