//! What a line camera delivers: a block of consecutive lines.

use crate::geometry::{Count, LineNumber};
use crate::picture::Picture;
use crate::verdict::Reason;

/// When and where a line was exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct LineStamp {
    /// CLOCK_MONOTONIC at the start of the exposure.
    pub exposure_ns: u64,
    /// Encoder position at that moment.
    pub count: Count,
}

/// A line of a block whose time is known, and not only in proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedLine {
    /// Its place in the block.
    pub place: usize,
    /// CLOCK_MONOTONIC when it was exposed.
    pub exposure_ns: u64,
}

/// Consecutive lines as one camera buffer holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub first_line: LineNumber,
    /// One row per line. Empty rows are allowed only where `fault` is set: the lines passed, but
    /// their pixels are not to be trusted.
    pub picture: Picture,
    /// One stamp per line; its length is the number of lines that passed.
    pub stamps: Vec<LineStamp>,
    /// What the camera's driver told of one line, where the stamps' times are spread evenly over a frame
    /// though a belt may have paused in it.
    pub timed_line: Option<TimedLine>,
    /// Set where none of these lines may count as inspected.
    pub fault: Option<Reason>,
}
