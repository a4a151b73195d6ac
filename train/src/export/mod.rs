//! From trained weights to the one ONNX file that stations load.

mod fold;
mod onnx;

pub use fold::Folded;
pub use onnx::write_onnx;

use crate::reference;
use crate::weights::{Weights, WeightsError};
use blemish::draem::Graph;
use blemish::model::{self, Bundle, Golden, Metadata, ModelError, Problem, planes};

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
    #[error("the exported bundle does not pass its own checks: {0}")]
    Refused(#[from] ModelError),
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
    mut metadata: Metadata,
    golden_rgb: &[u8],
) -> Result<Vec<u8>, ExportError> {
    metadata.golden = Golden {
        tolerance: FLOAT_TOLERANCE,
        ..Golden::default()
    };
    metadata.check()?;
    let (graph, tile) = (Graph::new(metadata.network), metadata.tile);
    let model = write_onnx(&graph, weights, tile)?;
    if golden_rgb.len() != 3 * tile.area() {
        return Err(ExportError::GoldenSize {
            found: golden_rgb.len(),
            needed: 3 * tile.area(),
        });
    }
    let input = planes(golden_rgb, metadata.color_order);
    let expected = reference::forward(&graph, weights, &input, tile)?.anomaly_map;
    let (low, high) = expected
        .iter()
        .fold((1f32, 0f32), |(low, high), &p| (low.min(p), high.max(p)));
    if high - low < 20.0 * FLOAT_TOLERANCE {
        log::warn!(
            "the golden map is almost flat ({low:.4} to {high:.4}) and can prove little; choose a tile \
             with a defect, or train longer"
        );
    }
    metadata.golden = Golden::new(tile, golden_rgb, &expected, FLOAT_TOLERANCE)?;
    let bytes = model::seal(model, &metadata)?;
    Bundle::from_bytes(bytes.clone(), "just exported", &mut |_| {})?;
    Ok(bytes)
}
