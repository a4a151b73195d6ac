//! From a checkpoint to the bundle: metadata, threshold from held-out goods, golden tile.

use crate::checkpoint::Checkpoint;
use crate::config::FitConfig;
use crate::export::{ExportError, write_bundle};
use crate::fit::prepare::Prepared;
use crate::golden;
use blemish::draem::score::WINDOW_PX;
use blemish::geometry::TileSize;
use blemish::model::{
    ColorOrder, Golden, Metadata, Preparation, SCHEMA_VERSION, ScoreRule, Threshold, Training,
};

/// What the bundle of `checkpoint` says about itself, for tiles of `tile`.
pub fn metadata(
    config: &FitConfig,
    prepared: &Prepared,
    checkpoint: &Checkpoint,
    tile: TileSize,
    threshold: Threshold,
) -> Metadata {
    let recipe = &config.recipe;
    let most_overlap = tile.width_px.min(tile.height_px) / 2;
    Metadata {
        schema: SCHEMA_VERSION,
        name: config.name.clone(),
        network: recipe.network,
        tile,
        color_order: ColorOrder::Rgb,
        grey: prepared.grey,
        preparation: match recipe.resize {
            true => Preparation::Resize,
            false => Preparation::Native {
                overlap_px: config.overlap_px.min(most_overlap),
            },
        },
        score: ScoreRule {
            window_px: WINDOW_PX as u32,
        },
        threshold,
        flat_field: config.flat_field,
        training: Training {
            data_fingerprint: prepared.fingerprint.clone(),
            pictures: prepared.pictures as u32,
            seed: recipe.seed,
            steps: checkpoint.step,
            batch: recipe.batch as u32,
            trainer: format!("blemish-train {}", env!("CARGO_PKG_VERSION")),
            simulation: recipe.simulation.name().to_owned(),
        },
        golden: Golden::default(),
    }
}

/// The bytes of the bundle, checked once as a station would.
///
/// # Errors
/// As [`write_bundle`].
pub fn write(
    checkpoint: &Checkpoint,
    metadata: Metadata,
    mean: [u8; 3],
) -> Result<Vec<u8>, ExportError> {
    let weights = &checkpoint.weights;
    let input = golden::liveliest(weights, metadata.network, metadata.tile, mean)?;
    write_bundle(weights, metadata, &input)
}
