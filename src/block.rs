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

/// Consecutive lines as one camera buffer holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub first_line: LineNumber,
    /// One row per line. Empty rows are allowed only where `fault` is set: the lines passed, but
    /// their pixels are not to be trusted.
    pub picture: Picture,
    /// One stamp per line; its length is the number of lines that passed.
    pub stamps: Vec<LineStamp>,
    /// Set where none of these lines may count as inspected.
    pub fault: Option<Reason>,
}
