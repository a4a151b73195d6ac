//! From what the driver says about a buffer to lines of web: the camera's judgement, without a device.
//!
//! * **frame**: a buffer's worth of lines, numbered by the driver's `sequence`, which wraps at 32 bits;
//! * **new web**: whether a line shows web that no line before it has shown. Only a buffer that is
//!   provably a second copy of the last one is not new.
//!
//! Invariants, held by property tests: line numbers are consecutive; all lines of frames that the
//! sequence says are missing are told as missing; times never go back, and no line is later than the arrival
//! of its frame; a buffer with any doubt about it has a fault.

use crate::verdict::Reason;

/// More missing frames than this are a sequence that was begun anew.
const MOST_MISSING_FRAMES: u32 = 1 << 16;

/// A driver's time may lie so far beyond the time of its arrival and one frame: drivers that stamp the
/// end of a frame may know it in advance.
const EARLY_NS: u64 = 100_000_000;

/// Longest frame that counts for this: a belt that stood makes frames of any length.
const MOST_EARLY_FRAME_NS: u64 = 1_000_000_000;

/// What the driver says about a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferFacts {
    pub sequence: u32,
    /// In the station's time; `None` where the driver's clock is not CLOCK_MONOTONIC.
    pub stamp_ns: Option<u64>,
    /// Whether `stamp_ns` is the start of the first line's exposure, and not the end of the frame.
    pub stamped_at_start: bool,
    /// When it was taken from the driver.
    pub arrival_ns: u64,
    pub error_flag: bool,
    /// Lines for which there are bytes.
    pub whole_lines: u32,
}

/// Consecutive lines whose times are spread evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    pub first_line: u64,
    pub lines: u64,
    /// Lines of new web before the first of these.
    pub web_before: u64,
    /// Whether these lines show new web.
    pub new_web: bool,
    /// Time of the first line, and of the line after the last.
    pub from_ns: u64,
    pub to_ns: u64,
}

impl Run {
    /// Exposure of the line at this place in the run.
    pub fn exposure_ns(&self, place: u64) -> u64 {
        let way = u128::from(self.to_ns - self.from_ns) * u128::from(place);
        self.from_ns + (way / u128::from(self.lines.max(1))) as u64
    }

    /// Lines of new web up to and with the line at this place.
    pub fn web_lines(&self, place: u64) -> u64 {
        self.web_before + if self.new_web { place + 1 } else { 0 }
    }

    /// Takes up to `most` lines off the front.
    pub fn split(&mut self, most: u64) -> Run {
        let lines = self.lines.min(most);
        let at_ns = self.exposure_ns(lines);
        let front = Run {
            lines,
            to_ns: at_ns,
            ..*self
        };
        self.first_line += lines;
        self.web_before += if self.new_web { lines } else { 0 };
        self.lines -= lines;
        self.from_ns = at_ns;
        front
    }
}

/// What a buffer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Lines that never came, to be told before the buffer's own.
    pub missing: Run,
    /// Why they did not: `stale` behind a buffer from before the stream began, `dropped` otherwise.
    pub missing_for: Reason,
    pub own: Run,
    /// Why the buffer's lines may not count as inspected.
    pub fault: Option<Reason>,
    /// Nobody knows how much web has passed since the buffer before.
    pub place_lost: bool,
    /// Which of the buffer's lines its time is the exposure of, and that time as the driver told it, else its
    /// arrival: the run's own times never go back, so behind a pause they may be later. `None` where the time is
    /// in doubt.
    pub timed: Option<(Timed, u64)>,
}

/// The line that a driver's time of a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timed {
    First,
    /// As good as: the end of the frame is the end of this line.
    Last,
}

/// How often which fault was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounts {
    pub frames: u64,
    pub missing_frames: u64,
    pub error_flag: u64,
    pub short: u64,
    pub stale: u64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    sequence: u32,
    stamp_ns: u64,
    before_stream: bool,
}

/// Judges buffer after buffer.
#[derive(Debug, Clone)]
pub struct Frames {
    lines_per_frame: u32,
    nominal_line_ns: f64,
    /// Time from line to line, as measured from frame to frame.
    line_ns: f64,
    next_line: u64,
    web_lines: u64,
    /// No line may be earlier.
    told_ns: u64,
    /// What a driver kept from before has an earlier time.
    began_ns: u64,
    /// Since the stream began.
    last: Option<Last>,
    pub counts: FrameCounts,
}

impl Frames {
    /// `line_rate_hz` is taken until two frames have shown the real one.
    pub fn new(lines_per_frame: u32, line_rate_hz: f64) -> Self {
        let nominal_line_ns = 1e9 / line_rate_hz;
        Self {
            lines_per_frame: lines_per_frame.max(1),
            nominal_line_ns,
            line_ns: nominal_line_ns,
            next_line: 0,
            web_lines: 0,
            told_ns: 0,
            began_ns: 0,
            last: None,
            counts: FrameCounts::default(),
        }
    }

    /// The stream begins, or begins again, at this time: the driver's sequence has no past, and what was
    /// exposed earlier is old.
    pub fn stream_begins(&mut self, ns: u64) {
        self.began_ns = ns;
        self.last = None;
        self.line_ns = self.nominal_line_ns;
    }

    /// Judges the next buffer.
    pub fn judge(&mut self, facts: BufferFacts) -> Judged {
        self.counts.frames += 1;
        let frame_lines = u64::from(self.lines_per_frame);
        let frame_ns = self.line_ns * f64::from(self.lines_per_frame);
        let latest_ns = facts
            .arrival_ns
            .saturating_add((frame_ns as u64).min(MOST_EARLY_FRAME_NS))
            .saturating_add(EARLY_NS);
        let from_driver = facts.stamp_ns.filter(|&stamp_ns| stamp_ns <= latest_ns);
        let stamp_ns = from_driver.unwrap_or(facts.arrival_ns);
        let at_start = from_driver.is_some() && facts.stamped_at_start;
        let before_stream = stamp_ns < self.began_ns;
        let mut stale = before_stream || (facts.stamp_ns.is_some() && from_driver.is_none());
        let mut missing_for = Reason::Dropped;
        let (mut missing_frames, mut place_lost, mut new_web) = (0, false, true);
        if let Some(last) = self.last {
            let later = stamp_ns > last.stamp_ns;
            stale |= !later;
            match facts.sequence.wrapping_sub(last.sequence) {
                0 => {
                    // Some drivers repeat a number for a new frame: its later time shows that.
                    stale = true;
                    new_web = later;
                }
                ahead if ahead <= MOST_MISSING_FRAMES => {
                    missing_frames = ahead - 1;
                    if last.before_stream {
                        missing_for = Reason::Stale;
                    }
                }
                _ => {
                    stale = true;
                    place_lost = true;
                }
            }
            if later && !place_lost && facts.sequence != last.sequence {
                let lines = f64::from(missing_frames + 1) * f64::from(self.lines_per_frame);
                self.line_ns = (stamp_ns - last.stamp_ns) as f64 / lines;
            }
        }
        match missing_for {
            Reason::Stale => self.counts.stale += u64::from(missing_frames),
            _ => self.counts.missing_frames += u64::from(missing_frames),
        }
        self.last = Some(Last {
            sequence: facts.sequence,
            before_stream,
            stamp_ns: self.last.map_or(0, |last| last.stamp_ns).max(stamp_ns),
        });

        let frame_ns = (self.line_ns * frame_lines as f64) as u64;
        let (from_ns, to_ns) = if at_start {
            (stamp_ns, stamp_ns.saturating_add(frame_ns))
        } else {
            (stamp_ns.saturating_sub(frame_ns), stamp_ns)
        };
        // A frame's length is that of the one before, in which the belt may have stood: what is here was exposed.
        let from_ns = from_ns.min(facts.arrival_ns).max(self.told_ns);
        let to_ns = to_ns.min(facts.arrival_ns).max(from_ns);
        let missing = self.run(
            u64::from(missing_frames) * frame_lines,
            true,
            self.told_ns.min(from_ns),
            from_ns,
        );
        let own = self.run(frame_lines, new_web, from_ns, to_ns);
        let timed = match at_start {
            _ if stale => None,
            true => Some((Timed::First, stamp_ns)),
            false => Some((Timed::Last, stamp_ns)),
        };
        let fault = self.fault(&facts, stale);
        Judged {
            missing,
            missing_for,
            own,
            fault,
            place_lost,
            timed,
        }
    }

    fn run(&mut self, lines: u64, new_web: bool, from_ns: u64, to_ns: u64) -> Run {
        let run = Run {
            first_line: self.next_line,
            lines,
            web_before: self.web_lines,
            new_web,
            from_ns,
            to_ns,
        };
        self.next_line += lines;
        if lines > 0 {
            self.web_lines = run.web_lines(lines - 1);
            self.told_ns = run.exposure_ns(lines - 1);
        }
        run
    }

    fn fault(&mut self, facts: &BufferFacts, stale: bool) -> Option<Reason> {
        let (reason, count) = if facts.error_flag {
            (Reason::ErrorFlag, &mut self.counts.error_flag)
        } else if facts.whole_lines < self.lines_per_frame {
            (Reason::Short, &mut self.counts.short)
        } else if stale {
            (Reason::Stale, &mut self.counts.stale)
        } else {
            return None;
        };
        *count += 1;
        Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: u32 = 10;
    const MS: u64 = 1_000_000;

    fn frames() -> Frames {
        Frames::new(LINES, 1000.0)
    }

    /// A good frame of 10 ms whose end is at `end_ms`.
    fn good(sequence: u32, end_ms: u64) -> BufferFacts {
        BufferFacts {
            sequence,
            stamp_ns: Some(end_ms * MS),
            stamped_at_start: false,
            arrival_ns: end_ms * MS + MS,
            error_flag: false,
            whole_lines: LINES,
        }
    }

    #[test]
    fn lines_are_exposed_before_the_end_of_their_frame_or_after_its_start() {
        let mut at_end = frames();
        let own = at_end.judge(good(7, 100)).own;
        assert_eq!((own.first_line, own.lines), (0, 10));
        assert_eq!((own.exposure_ns(0), own.exposure_ns(9)), (90 * MS, 99 * MS));
        let mut at_start = frames();
        let facts = BufferFacts {
            stamped_at_start: true,
            arrival_ns: 111 * MS,
            ..good(7, 100)
        };
        let own = at_start.judge(facts).own;
        assert_eq!(
            (own.exposure_ns(0), own.exposure_ns(9)),
            (100 * MS, 109 * MS)
        );
    }

    /// The time from start to start has the pause in it, and is no measure of the frame that follows.
    #[test]
    fn no_line_behind_a_pause_is_exposed_after_its_frame_has_arrived() {
        let mut frames = frames();
        let minutes = 600_000;
        let starts = [0, 10, 20, minutes + 30, minutes + 40, minutes + 50];
        for (sequence, start_ms) in starts.into_iter().enumerate() {
            let facts = BufferFacts {
                stamped_at_start: true,
                arrival_ns: (start_ms + if start_ms == 20 { minutes + 11 } else { 11 }) * MS,
                ..good(sequence as u32, start_ms)
            };
            let own = frames.judge(facts).own;
            assert_eq!(own.from_ns, start_ms * MS);
            assert!(own.to_ns <= (start_ms + 11) * MS, "{sequence}: {own:?}");
        }
        assert_eq!(frames.line_ns, 1e6);
    }

    #[test]
    fn the_line_period_is_measured_over_missing_frames_too() {
        let mut frames = frames();
        frames.judge(good(0, 100));
        assert_eq!(frames.judge(good(1, 120)).fault, None);
        assert_eq!(frames.line_ns, 2e6);
        let judged = frames.judge(good(4, 180));
        assert_eq!(frames.line_ns, 2e6);
        assert_eq!((judged.missing.first_line, judged.missing.lines), (20, 20));
        assert_eq!(judged.own.first_line, 40);
        assert_eq!(judged.own.exposure_ns(0), 160 * MS);
        assert_eq!(judged.missing.exposure_ns(0), 118 * MS);
        assert_eq!(judged.missing.exposure_ns(10), 139 * MS);
        assert_eq!(frames.counts.missing_frames, 2);
    }

    /// The lines' times run on over a pause that the frame before showed too late; the driver's own do not.
    #[test]
    fn a_frames_own_time_is_told_whatever_its_lines_are_said_to_be() {
        for stamped_at_start in [true, false] {
            let mut frames = frames();
            for (sequence, stamp_ms) in [(0, 100), (1, 110), (2, 10_110), (3, 10_120), (4, 10_130)]
            {
                let facts = BufferFacts {
                    stamped_at_start,
                    ..good(sequence, stamp_ms)
                };
                let judged = frames.judge(facts);
                let line = match stamped_at_start {
                    true => Timed::First,
                    false => Timed::Last,
                };
                assert_eq!(judged.timed, Some((line, stamp_ms * MS)), "{sequence}");
            }
            assert_eq!(frames.judge(good(4, 10_140)).timed, None, "a copy");
        }
    }

    #[test]
    fn the_sequence_wraps_without_a_gap() {
        let mut frames = frames();
        frames.judge(good(u32::MAX, 100));
        let judged = frames.judge(good(0, 110));
        assert_eq!((judged.missing.lines, judged.fault), (0, None));
        let judged = frames.judge(good(2, 130));
        assert_eq!((judged.missing.lines, judged.fault), (10, None));
    }

    #[test]
    fn a_second_copy_is_stale_and_no_new_web() {
        let mut frames = frames();
        frames.judge(good(5, 100));
        let copy = frames.judge(good(5, 100));
        assert_eq!((copy.fault, copy.own.new_web), (Some(Reason::Stale), false));
        assert_eq!((copy.own.first_line, copy.own.web_lines(9)), (10, 10));
        let next = frames.judge(good(6, 110));
        assert_eq!((next.fault, next.own.web_lines(0)), (None, 11));
        // The number repeats, but time went on: web that passed, with pixels of unknown age.
        let again = frames.judge(good(6, 120));
        assert_eq!(
            (again.fault, again.own.new_web),
            (Some(Reason::Stale), true)
        );
    }

    #[test]
    fn every_doubt_has_its_reason() {
        let cases = [
            (
                BufferFacts {
                    error_flag: true,
                    ..good(1, 110)
                },
                Some(Reason::ErrorFlag),
                false,
            ),
            (
                BufferFacts {
                    whole_lines: 9,
                    ..good(1, 110)
                },
                Some(Reason::Short),
                false,
            ),
            (good(1, 100), Some(Reason::Stale), false),
            (good(1, 99), Some(Reason::Stale), false),
            (
                BufferFacts {
                    arrival_ns: 105 * MS,
                    ..good(1, 300)
                },
                Some(Reason::Stale),
                false,
            ),
            // Vivid stamps the end of a frame before it is there.
            (
                BufferFacts {
                    arrival_ns: 101 * MS,
                    ..good(1, 110)
                },
                None,
                false,
            ),
            (
                BufferFacts {
                    stamp_ns: None,
                    ..good(1, 0)
                },
                Some(Reason::Stale),
                false,
            ),
            (
                BufferFacts {
                    stamp_ns: None,
                    ..good(1, 110)
                },
                None,
                false,
            ),
            (good(0, 110), Some(Reason::Stale), false),
            (good(u32::MAX, 110), Some(Reason::Stale), true),
            (good(1 << 20, 110), Some(Reason::Stale), true),
        ];
        for (facts, fault, place_lost) in cases {
            let mut frames = frames();
            frames.judge(good(0, 100));
            let judged = frames.judge(facts);
            assert_eq!(
                (judged.fault, judged.place_lost),
                (fault, place_lost),
                "{facts:?}"
            );
        }
    }

    #[test]
    fn a_new_stream_has_no_gap_and_lines_go_on() {
        let mut frames = frames();
        frames.judge(good(500, 100));
        frames.stream_begins(0);
        let judged = frames.judge(good(0, 5000));
        assert_eq!((judged.missing.lines, judged.fault), (0, None));
        assert_eq!(judged.own.first_line, 10);
    }

    /// v4l2loopback hands a reader what its writer wrote before, then what is written now.
    #[test]
    fn what_the_driver_kept_from_before_the_stream_is_stale_and_no_loss() {
        let mut frames = frames();
        frames.stream_begins(205 * MS);
        let kept = frames.judge(good(10, 180));
        assert_eq!(kept.fault, Some(Reason::Stale));
        let kept = frames.judge(good(12, 200));
        assert_eq!(
            (kept.fault, kept.missing.lines, kept.missing_for),
            (Some(Reason::Stale), 10, Reason::Stale)
        );
        let first = frames.judge(good(15, 230));
        assert_eq!(
            (first.fault, first.missing.lines, first.missing_for),
            (None, 20, Reason::Stale)
        );
        assert_eq!((frames.counts.missing_frames, frames.counts.stale), (0, 5));
        let next = frames.judge(good(17, 250));
        assert_eq!(
            (next.fault, next.missing.lines, next.missing_for),
            (None, 10, Reason::Dropped)
        );
        assert_eq!(frames.counts.missing_frames, 1);
    }

    /// A driver's misfortunes, and how many frames really passed with each.
    #[derive(Debug, Clone, Copy)]
    enum Next {
        Good,
        Missing(u32),
        Error,
        Short(u32),
        Repeated,
        Copied,
        TimeBack(u64),
        Future,
        NoClock,
        NewSequence(u32),
        NewStream,
    }

    fn next() -> impl Strategy<Value = Next> {
        prop_oneof![
            4 => Just(Next::Good),
            1 => (1u32..100).prop_map(Next::Missing),
            1 => Just(Next::Error),
            1 => (0..LINES).prop_map(Next::Short),
            1 => Just(Next::Repeated),
            1 => Just(Next::Copied),
            1 => (0u64..1000).prop_map(Next::TimeBack),
            1 => Just(Next::Future),
            1 => Just(Next::NoClock),
            1 => (MOST_MISSING_FRAMES + 1..u32::MAX).prop_map(Next::NewSequence),
            1 => Just(Next::NewStream),
        ]
    }

    proptest! {
        #[test]
        fn no_line_is_lost_no_time_goes_back_and_no_doubt_passes(
            first in prop_oneof![Just(u32::MAX - 3), any::<u32>()],
            steps in prop::collection::vec((next(), 1u64..50), 1..120),
            stamped_at_start in any::<bool>(),
        ) {
            let mut frames = frames();
            let mut time_ms = 1000;
            let mut newest_ns = time_ms * MS;
            let mut sequence = first;
            frames.judge(good(sequence, time_ms));
            let (mut next_line, mut told_ns, mut web) = (10, 0, 10);
            for (step, took_ms) in steps {
                time_ms += took_ms;
                let (ahead, missing, doubtful) = match step {
                    Next::Missing(missing) => (missing + 1, missing, false),
                    Next::Repeated | Next::Copied => (0, 0, true),
                    Next::NewSequence(ahead) => (ahead, 0, true),
                    Next::Good | Next::NoClock | Next::NewStream => (1, 0, false),
                    _ => (1, 0, true),
                };
                sequence = sequence.wrapping_add(ahead);
                let mut facts = BufferFacts { stamped_at_start, ..good(sequence, time_ms) };
                match step {
                    Next::Error => facts.error_flag = true,
                    Next::Short(lines) => facts.whole_lines = lines,
                    Next::Copied => facts.stamp_ns = Some(newest_ns),
                    Next::TimeBack(back_ms) => {
                        facts.stamp_ns = Some(newest_ns.saturating_sub(back_ms * MS));
                    }
                    Next::Future => facts.stamp_ns = Some((time_ms + 5000) * MS),
                    Next::NoClock => facts.stamp_ns = None,
                    Next::NewStream => frames.stream_begins(0),
                    _ => {}
                }
                let stamp_ns = match step {
                    Next::Future | Next::NoClock => facts.arrival_ns,
                    _ => facts.stamp_ns.unwrap_or(0),
                };
                newest_ns = match step {
                    Next::NewStream => stamp_ns,
                    _ => newest_ns.max(stamp_ns),
                };
                let judged = frames.judge(facts);
                prop_assert_eq!(judged.missing.lines, u64::from(missing * LINES));
                prop_assert_eq!(judged.own.lines, u64::from(LINES));
                prop_assert!(!doubtful || judged.fault.is_some(), "{:?}", step);
                prop_assert_eq!(judged.place_lost, matches!(step, Next::NewSequence(_)));
                let mut pieces = vec![];
                for mut run in [judged.missing, judged.own] {
                    while run.lines > 0 {
                        pieces.push(run.split(7));
                    }
                }
                for piece in pieces {
                    for place in 0..piece.lines {
                        prop_assert_eq!(piece.first_line + place, next_line);
                        let at_ns = piece.exposure_ns(place);
                        prop_assert!(at_ns >= told_ns, "{:?}: {} after {}", step, at_ns, told_ns);
                        prop_assert!(at_ns <= facts.arrival_ns, "{:?}: {}", step, at_ns);
                        let lines = piece.web_lines(place);
                        prop_assert_eq!(lines, web + u64::from(piece.new_web));
                        (next_line, told_ns, web) = (next_line + 1, at_ns, lines);
                    }
                }
            }
        }
    }
}
