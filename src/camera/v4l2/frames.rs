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
mod tests;
