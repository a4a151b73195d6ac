//! What the plan consists of: rows of tiles over segments, and the faults between these.

use crate::verdict::Reason;

/// Tiles side by side across the whole width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TileRow {
    pub first_line: u64,
    pub first_stored: u64,
    /// Lines of web under the tiles; fewer than the tile's height where all of a segment is shorter.
    pub lines: u32,
    /// The first line that these tiles have a say in: lines above were settled without them.
    pub from_line: u64,
    /// Lines before this one are settled with these tiles.
    pub until_line: u64,
    /// Tiles that were cut, and those of them that need not be waited for any more.
    pub cut: u32,
    pub finished: u32,
}

impl TileRow {
    pub(super) fn end_stored(&self) -> u64 {
        self.first_stored + u64::from(self.lines)
    }

    pub(super) fn counted_from_stored(&self) -> u64 {
        self.first_stored + (self.from_line - self.first_line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub first_line: u64,
    pub lines: u64,
    pub reason: Reason,
}

/// Lines without a fault between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub first_line: u64,
    pub first_stored: u64,
    pub end_line: u64,
    /// Whether more lines may follow.
    pub open: bool,
    /// Where the next regular row of tiles starts.
    pub next_start: u64,
    /// End of the last planned row of tiles; `first_line` before there is one.
    pub planned_to: u64,
    /// End of the last row of tiles of which any was cut.
    pub cut_to: u64,
    pub settled_to: u64,
    /// The fault just before.
    pub before: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Fault(Fault),
    Segment(Segment),
}

/// The next thing that is settled, in the order of the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All tiles over these lines of a segment are finished.
    Lines {
        first_line: u64,
        first_stored: u64,
        lines: u64,
    },
    /// The segment of the last lines is complete.
    SegmentEnd,
    Fault {
        first_line: u64,
        lines: u64,
        reason: Reason,
    },
}
