//! Units and the tile grid.
//!
//! * **line**: one exposure of the line camera, numbered from the start of the run;
//! * **column**: a pixel across the web;
//! * **count**: a step of the encoder;
//! * **web coordinates**: (line, column). Regions, spans, journal and reject use nothing else.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A line of web since the start of the run. Lines never wrap and are never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LineNumber(pub u64);

/// A position of the encoder in counts; it falls when the web runs backwards.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Count(pub i64);

/// Millimetres on the web.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mm(pub f64);

/// Columns `first..end` of the web, written as `[first, end]` in configurations and `FIRST..END` for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[u32; 2]", into = "[u32; 2]")]
pub struct Columns {
    pub first: u32,
    /// The column after the last.
    pub end: u32,
}

impl Columns {
    /// The columns of lines of `width_px` that lie in this range; `None` where there is none, or where
    /// the range names columns that the lines do not have.
    pub fn of_lines(self, width_px: u32) -> Option<std::ops::Range<u32>> {
        (self.first < self.end && self.end <= width_px).then_some(self.first..self.end)
    }
}

impl From<[u32; 2]> for Columns {
    fn from([first, end]: [u32; 2]) -> Self {
        Self { first, end }
    }
}

impl From<Columns> for [u32; 2] {
    fn from(columns: Columns) -> Self {
        [columns.first, columns.end]
    }
}

impl std::fmt::Display for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.first, self.end)
    }
}

impl std::str::FromStr for Columns {
    type Err = String;

    /// `600..3900`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once("..").and_then(|(first, end)| {
            let (first, end) = (first.trim().parse().ok()?, end.trim().parse().ok()?);
            (first < end).then_some(Self { first, end })
        });
        parsed.ok_or_else(|| {
            "give FIRST..END, for instance 600..3900; END is the column after the last".to_owned()
        })
    }
}

/// Greatest side of a tile in pixels: the stitch's sums of 64 bits hold no more.
pub const GREATEST_TILE_PX: u32 = 1024;

/// Sides of the network's input in pixels, both multiples of 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TileSize {
    /// Across the web.
    pub width_px: u32,
    /// Along the web, in lines.
    pub height_px: u32,
}

impl TileSize {
    /// A square tile.
    pub const fn square(side_px: u32) -> Self {
        Self {
            width_px: side_px,
            height_px: side_px,
        }
    }

    /// Pixels in a tile.
    pub const fn area(&self) -> usize {
        self.width_px as usize * self.height_px as usize
    }

    /// Whether both sides are positive multiples of 32, as five poolings need (DRAEM, section 3), of at most
    /// [`GREATEST_TILE_PX`].
    pub const fn is_valid(&self) -> bool {
        self.width_px > 0
            && self.height_px > 0
            && self.width_px.is_multiple_of(32)
            && self.height_px.is_multiple_of(32)
            && self.width_px <= GREATEST_TILE_PX
            && self.height_px <= GREATEST_TILE_PX
    }

    /// The most that neighbouring tiles may share: half of the smaller side.
    pub const fn most_overlap_px(&self) -> u32 {
        match self.width_px < self.height_px {
            true => self.width_px / 2,
            false => self.height_px / 2,
        }
    }
}

/// `128` for a square tile, or `256x64`: width and height, sides of at most [`GREATEST_TILE_PX`].
impl FromStr for TileSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (width, height) = text.split_once('x').unwrap_or((text, text));
        let side = |text: &str| {
            (text.parse::<u32>()).map_err(|_| format!("'{text}' is not a number of pixels"))
        };
        let tile = TileSize {
            width_px: side(width)?,
            height_px: side(height)?,
        };
        match tile.is_valid() {
            true => Ok(tile),
            false => Err(format!(
                "sides must be multiples of 32 up to {GREATEST_TILE_PX}, such as 128 or 256x128"
            )),
        }
    }
}

/// First pixels of the tiles that cover `length_px` with at least `overlap_px` shared between
/// neighbours, spread evenly so that the last tile ends on the last pixel.
///
/// A length below one tile gives one tile at 0: the caller mirrors what is missing.
///
/// # Panics
/// If `overlap_px >= tile_px`; configurations are checked before they come here.
pub fn tile_starts(length_px: u32, tile_px: u32, overlap_px: u32) -> Vec<u32> {
    assert!(
        overlap_px < tile_px,
        "overlap {overlap_px} px must be below the tile's {tile_px} px"
    );
    if length_px <= tile_px {
        return vec![0];
    }
    let free = length_px - tile_px;
    let stride = tile_px - overlap_px;
    let steps = free.div_ceil(stride);
    (0..=steps)
        .map(|step| ((u64::from(step) * u64::from(free)) / u64::from(steps)) as u32)
        .collect()
}

/// Index of the pixel that a mirrored coordinate shows: `... 2 1 | 0 1 2 ... n-1 | n-2 n-3 ...`.
///
/// Works for any distance from the edge; a length of 1 always gives 0.
pub fn mirror(index: i64, length: usize) -> usize {
    if length <= 1 {
        return 0;
    }
    let period = 2 * (length as i64 - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiles_cover_the_length_and_overlap_enough(
            length in 1u32..5000, tile_units in 1u32..12, overlap_share in 0u32..31,
        ) {
            let tile = tile_units * 32;
            let overlap = tile * overlap_share / 32;
            let starts = tile_starts(length, tile, overlap);
            prop_assert_eq!(starts[0], 0);
            let end = starts[starts.len() - 1] + tile;
            let complete = if length <= tile { starts.len() == 1 } else { end == length };
            prop_assert!(complete);
            for pair in starts.windows(2) {
                prop_assert!(pair[1] > pair[0]);
                prop_assert!(pair[0] + tile >= pair[1] + overlap);
            }
        }
    }

    #[test]
    fn mirroring_repeats_neither_edge_pixel() {
        let shown: Vec<usize> = (-3..7).map(|i| mirror(i, 4)).collect();
        assert_eq!(shown, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
        assert_eq!(mirror(-9, 1), 0);
    }

    #[test]
    fn tiles_are_parsed_and_checked() {
        assert_eq!("96".parse(), Ok(TileSize::square(96)));
        let wide: TileSize = "256x64".parse().expect("valid");
        assert_eq!((wide.width_px, wide.height_px), (256, 64));
        for bad in ["100", "0", "64x", "x", "64x33", "-32", "4128", "64x64x64"] {
            assert!(bad.parse::<TileSize>().is_err(), "{bad}");
        }
    }
}
