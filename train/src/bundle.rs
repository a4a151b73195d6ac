//! From a checkpoint to the bundle: metadata, golden tile, threshold from held-out goods.
//!
//! Held-out pictures are scored by the bundle itself, loaded as a station loads it and run by the
//! station's code over whole pictures: what the threshold promises is what the station does.

use crate::backend::{Backend, Batch};
use crate::checkpoint::Checkpoint;
use crate::config::FitConfig;
use crate::export::{ExportError, write_bundle, write_quantized_bundle};
use crate::fit::prepare::Prepared;
use crate::fit::validation;
use crate::quantize::Grids;
use crate::threshold::{self, Choice};
use crate::{golden, inspectors, light, trained};
use blemish::draem::score::{Window, image_score};
use blemish::engine::{EngineError, Prediction};
use blemish::geometry::TileSize;
use blemish::model::{
    self, Bundle, ColorOrder, Golden, Metadata, ModelError, Preparation, SCHEMA_VERSION, ScoreRule,
    Training,
};
use blemish::picture::{Picture, PictureError};
use blemish::web::{InspectError, PictureRules, inspect_picture};
use prost::Message;
use std::path::PathBuf;
use tract_onnx::pb::ModelProto;

/// Regions of fewer pixels are no defects; nothing smaller is known without real defects.
const MIN_AREA_PX: u32 = 1;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("the golden tile: {0}")]
    Device(String),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the bundle cannot be read back: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error("the bundle's metadata cannot be written as JSON: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("held-out picture '{}': {source}", path.display())]
    Inspect { path: PathBuf, source: InspectError },
    #[error("a simulated defect: {0}")]
    Engine(#[from] EngineError),
}

/// A bundle and how its threshold came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The file.
    pub bytes: Vec<u8>,
    /// The score is the greatest mean of the map over it.
    pub window: Window,
    pub choice: Choice,
}

/// Makes the bundle of `checkpoint` with tiles of `tile`, in float or, with `grids`, in integers;
/// `backend` holds the checkpoint's weights.
///
/// # Errors
/// What could not be computed, read or verified.
pub fn finish(
    config: &FitConfig,
    prepared: &Prepared,
    checkpoint: &Checkpoint,
    tile: TileSize,
    backend: &mut dyn Backend,
    grids: Option<&Grids>,
) -> Result<Finished, BundleError> {
    let window = score_window(config, prepared, backend).map_err(BundleError::Device)?;
    let provisional = metadata(config, prepared, checkpoint, tile, window);
    let golden = golden::liveliest(backend, tile, prepared.mean).map_err(BundleError::Device)?;
    let weights = &checkpoint.weights;
    let bytes = match grids {
        None => write_bundle(weights, provisional, &golden)?,
        Some(grids) => write_quantized_bundle(weights, provisional, &golden, grids)?,
    };
    let bundle = Bundle::from_bytes(bytes.clone(), "just exported", &mut |_| {})?;
    let goods = good_scores(&bundle, &prepared.held_out)?;
    let defects = defect_scores(&bundle, &prepared.validation)?;
    let choice = threshold::choose(&goods, &defects, MIN_AREA_PX);
    let metadata = Metadata {
        threshold: choice.threshold.clone(),
        light: light::limits(&[&prepared.trained[..], &prepared.held_out].concat(), None)?,
        ..bundle.metadata().clone()
    };
    let mut model = ModelProto::decode(bytes.as_slice())?;
    trained::write(&mut model, &prepared.trained_contents);
    Ok(Finished {
        bytes: model::seal(model, &metadata)?,
        window,
        choice,
    })
}

/// The score's window: the configured one, or that which tells the simulated defects apart best for
/// `backend`, or the authors' where no good picture was held out.
///
/// # Errors
/// A sentence for people: the device failed, or the tiles are all good or all defective.
pub fn score_window(
    config: &FitConfig,
    prepared: &Prepared,
    backend: &mut dyn Backend,
) -> Result<Window, String> {
    match config.score_window_px {
        Some(window) => Ok(window),
        None if prepared.validation.is_empty() => Ok(Window::OFFICIAL),
        None => {
            let recipe = &config.recipe;
            let held = prepared.held_tiles(recipe).map_err(|e| e.to_string())?;
            let judged = prepared.judged(recipe, &held);
            Ok(validation::judge(backend, judged, None)?.window_px)
        }
    }
}

/// What the bundle says about itself before its golden tile and threshold are known.
fn metadata(
    config: &FitConfig,
    prepared: &Prepared,
    checkpoint: &Checkpoint,
    tile: TileSize,
    window: Window,
) -> Metadata {
    let recipe = &config.recipe;
    Metadata {
        schema: SCHEMA_VERSION,
        name: config.name.clone(),
        network: recipe.network,
        tile,
        color_order: ColorOrder::Rgb,
        grey: prepared.grey,
        preparation: match recipe.whole_pictures() {
            Some(filter) => Preparation::Resize { filter },
            None => Preparation::Native {
                overlap_px: config.overlap_px.min(tile.most_overlap_px()),
            },
        },
        score: ScoreRule { window_px: window },
        threshold: threshold::choose(&[], &[], MIN_AREA_PX).threshold,
        flat_field: config.flat_field,
        training: Training {
            data_fingerprint: prepared.fingerprint.clone(),
            pictures: prepared.trained.len() as u32,
            seed: recipe.seed,
            steps: checkpoint.step,
            batch: recipe.batch as u32,
            trainer: format!("blemish-train {}", env!("CARGO_PKG_VERSION")),
            simulation: recipe.simulation.name().to_owned(),
        },
        golden: Golden::default(),
        light: None,
    }
}

/// Scores of whole pictures, as the station gives them.
///
/// # Errors
/// Names the picture that cannot be read or inspected.
pub fn good_scores(bundle: &Bundle, pictures: &[PathBuf]) -> Result<Vec<f32>, BundleError> {
    let rules = PictureRules::of(bundle.metadata(), false);
    inspectors::each(bundle, pictures, |path, inspector| {
        let result = inspect_picture(&Picture::open(path)?, inspector, &rules);
        result
            .map(|result| result.score)
            .map_err(|source| BundleError::Inspect {
                path: path.clone(),
                source,
            })
    })
}

/// Scores of the tiles that carry a simulated defect.
fn defect_scores(bundle: &Bundle, batches: &[Batch]) -> Result<Vec<f32>, EngineError> {
    let tiles: Vec<(&Batch, usize, &[f32])> = (batches.iter())
        .flat_map(|batch| {
            let area = batch.width_px * batch.height_px;
            let tiles = batch.seen.chunks_exact(3 * area);
            (tiles.zip(batch.mask.chunks_exact(area)).enumerate())
                .filter(move |(number, (_, mask))| batch.crop(mask, *number).contains(&1.0))
                .map(move |(number, (tile, _))| (batch, number, tile))
        })
        .collect();
    let window = bundle.metadata().score.window_px;
    inspectors::each(bundle, &tiles, |&(batch, number, tile), inspector| {
        let mut prediction = Prediction::default();
        inspector.inspect(tile, &mut prediction)?;
        let [width, height] = batch.scored(number);
        let map = batch.crop(&prediction.anomaly_map, number);
        Ok(image_score(&map, width, height, window))
    })
}
