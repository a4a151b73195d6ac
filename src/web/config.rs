//! What the core has to know before the first line.

use crate::draem::score::Window;
use crate::geometry::{Columns, TileSize};
use crate::model::ColorOrder;

/// Fewest lines that are worth inspecting on a line; see [`WebConfig::min_segment_lines`].
pub const MIN_SEGMENT_LINES: u32 = 32;

/// Sizes and rules of an inspection. All memory follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct WebConfig {
    /// Pixels of a line.
    pub width_px: u32,
    /// What is inspected of a line; all of it where there is none. The rest is never seen: a tile at the
    /// range's end is one at the web's end, and map and score are 0 outside.
    pub columns: Option<Columns>,
    /// 1 (grey) or 3 (R, G, B).
    pub channels: usize,
    /// Whether samples have 16 bits instead of 8.
    pub sixteen_bit: bool,
    pub tile: TileSize,
    /// Pixels that neighbouring tiles share at least, across and along; at most half a tile's side.
    pub overlap_px: u32,
    pub color_order: ColorOrder,
    /// The score is the anomaly map's mean over this window.
    pub window: Window,
    /// A pixel belongs to a region where its score reaches this.
    pub threshold: f32,
    /// A region with fewer pixels does not reject.
    pub min_area_px: u32,
    /// Lines between two borders of the grid of spans.
    pub span_lines: u32,
    /// A region that has come to this many lines is reported, and its rest is a new region.
    pub max_region_lines: u32,
    /// Lines that the rolling image holds: at least a tile's height. What a block adds on top and
    /// what waits while the engine is busy must fit as well, or lines are late.
    pub rolling_lines: u32,
    /// Tiles that may be out for inspection at one time, for instance twice the engine's workers.
    pub tiles_in_flight: u32,
    /// Runs of good lines shorter than this, between two faults, are not inspected.
    pub min_segment_lines: u32,
    /// Whether reconstructions are stitched as well.
    pub keep_reconstruction: bool,
}

/// What is wrong with a [`WebConfig`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A number that must be positive.
    #[error("{what} is 0; give it at least 1")]
    Zero { what: &'static str },
    /// Columns that the lines do not have.
    #[error(
        "columns {columns} cannot be inspected in lines of {width_px} px; give the first column and the one after the last, at most {width_px}"
    )]
    Columns { columns: Columns, width_px: u32 },
    /// A bundle of whole pictures has no tiles to leave out.
    #[error(
        "columns {0} cannot be chosen: the bundle was trained with --resize and sees whole pictures; train one on tiles"
    )]
    WholePicture(Columns),
    /// Neither grey nor colour.
    #[error("pictures have 1 or 3 channels, not {0}")]
    Channels(usize),
    /// Sides that the networks or the stitch cannot take.
    #[error(
        "a tile of {width_px}x{height_px} px cannot be inspected; both sides must be multiples of 32 from 32 to 1024"
    )]
    Tile { width_px: u32, height_px: u32 },
    /// More than half a tile.
    #[error("an overlap of {overlap_px} px is more than half a tile; {most_px} px is the most")]
    Overlap { overlap_px: u32, most_px: u32 },
    /// Outside (0, 1], or not a number.
    #[error("the threshold {0} is not above 0 and at most 1")]
    Threshold(f32),
    /// Less than a tile.
    #[error("a rolling image of {lines} lines holds no tile of {tile_lines} lines; make it longer")]
    Rolling { lines: u32, tile_lines: u32 },
}

impl WebConfig {
    /// Refuses what cannot be inspected.
    ///
    /// # Errors
    /// Names the first value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (what, value) in [
            ("width_px", self.width_px),
            ("span_lines", self.span_lines),
            ("max_region_lines", self.max_region_lines),
            ("tiles_in_flight", self.tiles_in_flight),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { what });
            }
        }
        if let Some(columns) = self.columns
            && columns.of_lines(self.width_px).is_none()
        {
            return Err(ConfigError::Columns {
                columns,
                width_px: self.width_px,
            });
        }
        if !matches!(self.channels, 1 | 3) {
            return Err(ConfigError::Channels(self.channels));
        }
        let TileSize {
            width_px,
            height_px,
        } = self.tile;
        if !self.tile.is_valid() {
            return Err(ConfigError::Tile {
                width_px,
                height_px,
            });
        }
        let most_px = self.tile.most_overlap_px();
        if self.overlap_px > most_px {
            return Err(ConfigError::Overlap {
                overlap_px: self.overlap_px,
                most_px,
            });
        }
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            return Err(ConfigError::Threshold(self.threshold));
        }
        if self.rolling_lines < height_px {
            return Err(ConfigError::Rolling {
                lines: self.rolling_lines,
                tile_lines: height_px,
            });
        }
        Ok(())
    }

    /// The columns that are inspected.
    pub(super) fn inspected(&self) -> std::ops::Range<u32> {
        let range = self
            .columns
            .and_then(|columns| columns.of_lines(self.width_px));
        range.unwrap_or(0..self.width_px)
    }

    /// Lines from the start of one row of tiles to the start of the next.
    pub(super) fn stride_lines(&self) -> u64 {
        u64::from(self.tile.height_px - self.overlap_px)
    }
}
