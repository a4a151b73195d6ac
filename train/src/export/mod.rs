//! From trained weights to the one ONNX file that stations load.

mod fold;
mod onnx;

pub use fold::Folded;
pub use onnx::write_onnx;

use crate::quantize::Grids;
use crate::reference;
use crate::weights::{Weights, WeightsError};
use blemish::draem::{Cost, Graph, NetworkSpec};
use blemish::engine::{EngineError, Inspector, Plan, Prediction};
use blemish::geometry::TileSize;
use blemish::model::{
    self, Bundle, GREATEST_BUNDLE_BYTES, Golden, Metadata, ModelError, Problem, planes,
};
use tract_onnx::pb::ModelProto;

/// Greatest difference per pixel between a float bundle's map and its golden one: rounding differs
/// between processors, and steep logits widen it.
pub const FLOAT_TOLERANCE: f32 = 1e-3;

/// Why no bundle was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(
        "the golden tile holds {found} samples and a tile has {needed}; cut it at the tile's size"
    )]
    GoldenSize { found: usize, needed: usize },
    #[error("no bundle can say this: {0}")]
    Says(#[from] Problem),
    #[error("the bundle's metadata cannot be written as JSON: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("the engine cannot run the quantized graph: {0}")]
    Engine(#[from] EngineError),
    #[error(
        "the integer kernels differ from tract's arithmetic by {mean:.4} in mean; this is an error in \
         blemish, please report it with the run's config"
    )]
    Integers { mean: f64 },
    #[error("the exported bundle does not pass its own checks: {0}")]
    Refused(#[from] ModelError),
}

/// Whether a bundle of `network` in float is small enough to be read.
///
/// # Errors
/// How large it would be; for people.
pub fn check_size(network: NetworkSpec) -> Result<(), String> {
    // Parameters do not depend on the tile.
    let parameters = Cost::of(network, TileSize::square(32)).parameters();
    match 4 * parameters > GREATEST_BUNDLE_BYTES {
        false => Ok(()),
        true => Err(format!(
            "{parameters} parameters of 4 bytes are {} MiB, and no bundle of more than {} MiB is read",
            (4 * parameters).div_ceil(1 << 20),
            GREATEST_BUNDLE_BYTES >> 20
        )),
    }
}

/// Writes the bundle of `weights` and loads it once, as a station would.
///
/// `metadata.network` and `metadata.tile` say what to write; `metadata.golden` is replaced by
/// `golden_rgb`, a tile of 8-bit RGB (interleaved, row-major; grey has three equal channels), with the
/// map that [`reference::forward`] gives for it, so that the engine is measured against an
/// independent computation. A tile with a defect in it proves more than a good one.
///
/// # Errors
/// Where an array is missing or not finite, the golden tile has another size, a metadata value is
/// impossible, or this machine's engine does not reproduce the golden map.
pub fn write_bundle(
    weights: &Weights,
    metadata: Metadata,
    golden_rgb: &[u8],
) -> Result<Vec<u8>, ExportError> {
    write(weights, metadata, golden_rgb, None)
}

/// The same with bytes on `grids`. The golden map is that of this engine's integers, which are the
/// same on every processor, after tract's own float arithmetic on the same graph has confirmed it.
///
/// # Errors
/// As [`write_bundle`]; and where the two computations differ by more than rounding.
pub fn write_quantized_bundle(
    weights: &Weights,
    metadata: Metadata,
    golden_rgb: &[u8],
    grids: &Grids,
) -> Result<Vec<u8>, ExportError> {
    write(weights, metadata, golden_rgb, Some(grids))
}

fn write(
    weights: &Weights,
    mut metadata: Metadata,
    golden_rgb: &[u8],
    grids: Option<&Grids>,
) -> Result<Vec<u8>, ExportError> {
    metadata.golden = Golden {
        tolerance: FLOAT_TOLERANCE,
        ..Golden::default()
    };
    metadata.check()?;
    let (graph, tile) = (Graph::new(metadata.network), metadata.tile);
    let model = write_onnx(&graph, weights, tile, grids)?;
    if golden_rgb.len() != 3 * tile.area() {
        return Err(ExportError::GoldenSize {
            found: golden_rgb.len(),
            needed: 3 * tile.area(),
        });
    }
    let input = planes(golden_rgb, metadata.color_order);
    let expected = match grids {
        None => reference::forward(&graph, weights, &input, tile)?.anomaly_map,
        Some(_) => confirmed(&model, tile, &input)?,
    };
    metadata.golden = Golden::new(tile, golden_rgb, &expected, FLOAT_TOLERANCE)?;
    if let Some((low, high)) = metadata.golden.flat(tile)? {
        log::warn!(
            "the golden map is almost flat ({low:.4} to {high:.4}) and can prove little: a station that computes wrongly \
             may pass; train longer"
        );
    }
    let bytes = model::seal(model, &metadata)?;
    Bundle::from_bytes(bytes.clone(), "just exported", &mut |_| {})?;
    Ok(bytes)
}

/// Greatest mean difference between integers and the float arithmetic that stands for them: a byte
/// that rounds the other way changes a probability by little and seldom.
const INTEGERS_DIFFER: f64 = 0.02;

/// The map of our integers, which tract's own operators confirm.
fn confirmed(model: &ModelProto, tile: TileSize, input: &[f32]) -> Result<Vec<f32>, ExportError> {
    let map = |plan: Plan| -> Result<Vec<f32>, EngineError> {
        let mut prediction = Prediction::default();
        plan.worker().inspect(input, &mut prediction)?;
        Ok(prediction.anomaly_map)
    };
    let ours = map(Plan::new(model, tile)?)?;
    let theirs = map(Plan::of_tract_alone(model, tile)?)?;
    let pairs = ours.iter().zip(&theirs);
    let mean = pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / ours.len() as f64;
    log::info!("integers differ from tract's arithmetic by {mean:.5} in mean");
    if mean > INTEGERS_DIFFER {
        return Err(ExportError::Integers { mean });
    }
    Ok(ours)
}
