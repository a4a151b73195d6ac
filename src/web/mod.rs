//! The core of the line: lines -> rolling image -> tiles -> stitched map -> score -> regions -> a
//! verdict per span. It knows no thread, clock, file or device.
//!
//! * **segment**: lines without a fault between them. A segment is inspected as a picture is: its first
//!   and last lines are edges, tiles are not shared with what lies beyond;
//! * **row of tiles**: the tiles at one place along the web, across its whole width. Rows start every
//!   `tile height - overlap` lines; a segment's last row is shifted back to end on its last line;
//! * **map**: the anomaly probability per pixel, stitched from tiles; **score**: its mean over a window;
//! * **settled** line: all tiles over it are finished.
//!
//! Invariants, held by the tests:
//!
//! 1. every line that was pushed, or skipped between two blocks, is in exactly one [`SpanVerdict`], in
//!    order, and no line of a faulty block is `Ok`;
//! 2. verdicts, regions and the map's bits depend neither on how the web was cut into blocks nor on
//!    the order in which tiles are finished;
//! 3. memory is taken in [`Web::new`] only. When the engine is too slow, the oldest lines that are
//!    still without a tile become `NotInspected(Late)`.
//!
//! [`SpanVerdict`]: crate::verdict::SpanVerdict

mod config;
mod inspection;
mod judge;
mod picture_inspection;
mod pieces;
mod plan;
mod regions;
mod rolling;
mod score_rows;
mod sheet;
mod spans;
mod stitch;
#[cfg(test)]
mod tests;

pub use config::{ConfigError, MIN_SEGMENT_LINES, WebConfig};
pub use inspection::{PushError, TileId, TileJob, Web};
pub use picture_inspection::{InspectError, PictureResult, PictureRules, inspect_picture};
pub use regions::Region;
pub use sheet::Sheet;

use crate::geometry::LineNumber;
use crate::verdict::{Reason, SpanVerdict};

/// A settled line of the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapRow<'a> {
    pub line: LineNumber,
    /// Set where a tile over the line gave nothing: the values are too small then.
    pub trouble: Option<Reason>,
    /// Anomaly probability per column.
    pub anomaly: &'a [f32],
    /// Mean of the anomaly probability over the window per column; outside the segment counts as 0.
    pub score: &'a [f32],
}

/// Takes what the core finds out, at once and in the order of the web.
pub trait Sink {
    /// A span was decided. Spans come in order, without gaps and without overlap.
    fn verdict(&mut self, verdict: SpanVerdict);

    /// A region is complete, or was cut off at the greatest number of lines. Comes before the last
    /// verdict that it decides.
    fn region(&mut self, _region: &Region) {}

    /// A line of the map is settled. Lines that were not inspected are left out.
    fn row(&mut self, _row: &MapRow<'_>) {}

    /// A line of the stitched reconstruction, `3 x width` in [0, 1]; only where the configuration
    /// keeps it.
    fn reconstruction(&mut self, _line: LineNumber, _planes: &[f32]) {}
}

/// A sink that keeps verdicts and regions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    pub verdicts: Vec<SpanVerdict>,
    pub regions: Vec<Region>,
}

impl Sink for Findings {
    fn verdict(&mut self, verdict: SpanVerdict) {
        self.verdicts.push(verdict);
    }

    fn region(&mut self, region: &Region) {
        self.regions.push(*region);
    }
}
