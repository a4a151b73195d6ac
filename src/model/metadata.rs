//! What a bundle says about itself: versioned JSON under one metadata key.

use super::Problem;
use crate::draem::score::Window;
use crate::draem::{NetworkSpec, OFFICIAL_POOLINGS};
use crate::geometry::{GREATEST_TILE_PX, TileSize};
use crate::light::LightLimits;
use crate::picture::ResizeFilter;
use serde::{Deserialize, Serialize};

/// Key in ONNX `metadata_props` that holds the JSON of [`Metadata`].
pub const METADATA_KEY: &str = "blemish";

/// Key in ONNX `metadata_props` that holds the JSON of [`Metadata::light`]: a property of its own, so that
/// programs that do not know it read the bundle all the same.
pub const LIGHT_KEY: &str = "blemish.light";

/// Version of [`Metadata`] that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Order of the three input channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorOrder {
    #[default]
    Rgb,
    /// The authors' released weights.
    Bgr,
}

/// How a picture becomes tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Preparation {
    /// Overlapping tiles at the camera's own resolution.
    Native { overlap_px: u32 },
    /// The whole picture is resized to one tile, aspect ratio not kept: the paper's protocol.
    Resize {
        /// Absent in bundles from before it could be chosen: bilinear.
        #[serde(default)]
        filter: ResizeFilter,
    },
}

/// How a map becomes a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreRule {
    /// Side of the mean's window in pixels; the score is the maximum of the mean.
    pub window_px: Window,
}

/// Above what score a region is a defect, and how that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Compared with the anomaly map's mean over the window of [`ScoreRule`], in [0, 1].
    pub score: f32,
    /// Regions with fewer pixels are not defects: the camera's pixels, or the tile's where whole pictures
    /// are resized to one.
    pub min_area_px: u32,
    /// One sentence: how the score was chosen.
    pub basis: String,
    /// Held-out good pictures it was chosen from.
    pub goods: u32,
    /// Expected rejects per 1000 good pictures, and the upper end of its 95 % interval.
    pub expected_rejects_per_1000: f64,
    pub upper_95_rejects_per_1000: f64,
}

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// SHA-256 over the names and contents of the training pictures.
    pub data_fingerprint: String,
    pub pictures: u32,
    pub seed: u64,
    pub steps: u64,
    pub batch: u32,
    /// `blemish-train` version that fitted the weights.
    pub trainer: String,
    /// Name of the anomaly simulation's preset.
    pub simulation: String,
}

/// A tile and the map that the exported graph must give for it on every machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// 8-bit RGB PNG of tile size, base64.
    pub input_png: String,
    /// Expected anomaly map as 16-bit grey PNG (65535 is probability 1), base64.
    pub map_png: String,
    /// Greatest difference allowed per pixel.
    pub tolerance: f32,
}

/// All that a station must know about a bundle besides its graph.
///
/// The graph's input `image` is f32 `1 x 3 x height x width` in [0, 1]; its outputs are `anomaly_map`
/// `1 x 1 x height x width`, a probability, and `reconstruction` `1 x 3 x height x width`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    pub schema: u32,
    /// What is inspected, for people.
    pub name: String,
    pub network: NetworkSpec,
    pub tile: TileSize,
    pub color_order: ColorOrder,
    /// Whether training pictures were grey (three equal channels) or colour. A live camera in colour is
    /// refused by a bundle of grey pictures.
    pub grey: bool,
    pub preparation: Preparation,
    pub score: ScoreRule,
    pub threshold: Threshold,
    /// Whether the training pictures were flat-field corrected; the station's must be then. The other
    /// way round it may correct: that takes nothing away but the camera's own columns.
    pub flat_field: bool,
    pub training: Training,
    pub golden: Golden,
    /// What light the good pictures had; absent in bundles from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<LightLimits>,
}

/// Widest network that a bundle may ask for: above this the number is a mistake, not a model.
const MAX_WIDTH: usize = 1024;

impl Metadata {
    /// Whether every value is one the station can work with.
    ///
    /// # Errors
    /// Names the first field that is not, and why.
    pub fn check(&self) -> Result<(), Problem> {
        let (tile, network, threshold) = (self.tile, self.network, &self.threshold);
        let widths = [network.reconstructive_width, network.discriminative_width];
        let rules = [
            (
                self.schema == SCHEMA_VERSION,
                "schema",
                format!("is {} and must be {SCHEMA_VERSION}", self.schema),
            ),
            (
                tile.is_valid(),
                "tile",
                format!(
                    "is {}x{} and needs sides that are multiples of 32 up to {GREATEST_TILE_PX}",
                    tile.width_px, tile.height_px
                ),
            ),
            (
                widths.iter().all(|width| (1..=MAX_WIDTH).contains(width)),
                "network",
                format!("has widths {widths:?}, which must lie in 1..={MAX_WIDTH}"),
            ),
            (
                (1..=OFFICIAL_POOLINGS).contains(&network.reconstructive_poolings),
                "network",
                format!(
                    "has {} reconstructive poolings, which must lie in 1..={OFFICIAL_POOLINGS}",
                    network.reconstructive_poolings
                ),
            ),
            (
                match self.preparation {
                    Preparation::Native { overlap_px } => overlap_px <= tile.most_overlap_px(),
                    Preparation::Resize { .. } => true,
                },
                "preparation",
                format!(
                    "has an overlap of more than half a tile, which is {} px",
                    tile.most_overlap_px()
                ),
            ),
            (
                threshold.score > 0.0 && threshold.score <= 1.0,
                "threshold",
                format!("has score {}, which must lie in (0, 1]", threshold.score),
            ),
            (
                self.golden.tolerance > 0.0 && self.golden.tolerance < 0.5,
                "golden",
                format!(
                    "has tolerance {}, which must lie in (0, 0.5)",
                    self.golden.tolerance
                ),
            ),
            (
                self.light.is_none_or(|limits| limits.check().is_ok()),
                "light",
                self.light
                    .and_then(|limits| limits.check().err())
                    .unwrap_or_default(),
            ),
        ];
        match rules.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, field, reason)) => Err(Problem::Field { field, reason }),
            None => Ok(()),
        }
    }
}
