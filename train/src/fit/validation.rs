//! Validation without real defects: how well simulated defects on held-out good tiles are found.

use super::metrics_log::Validation;
use super::score_window::Trials;
use crate::backend::{Backend, Batch};
use blemish::draem::score::Window;
use blemish::metrics::{MetricError, Scores};
use blemish::picture::Mask;
use std::borrow::Borrow;

/// Runs the networks on `batches` and compares with their masks. Tiles are scored over `window` or, where
/// there is none, over the window that tells them apart best.
///
/// # Errors
/// A sentence for people: the device failed, or the tiles are all good or all defective.
pub fn judge(
    backend: &mut dyn Backend,
    batches: impl IntoIterator<Item = impl Borrow<Batch>>,
    window: Option<Window>,
) -> Result<Validation, String> {
    let sentence = |error: MetricError| format!("validation: {error}");
    let (mut images, mut pixels) = (Trials::new(window), Scores::new());
    let mut tiles = 0;
    for batch in batches {
        let batch = batch.borrow();
        let (width, height) = (batch.width_px, batch.height_px);
        let maps = backend
            .infer(&batch.seen, batch.pictures, width, height)?
            .anomaly_map;
        let area = width * height;
        for (map, mask) in maps.chunks_exact(area).zip(batch.mask.chunks_exact(area)) {
            let mask = Mask {
                width_px: width,
                height_px: height,
                defect: mask.iter().map(|&value| value > 0.5).collect(),
            };
            images.push(map, &mask).map_err(sentence)?;
            pixels.push_map(map, &mask).map_err(sentence)?;
            tiles += 1;
        }
    }
    let best = images.best().map_err(sentence)?;
    let pixels = pixels.into_ranking().map_err(sentence)?;
    Ok(Validation {
        tiles,
        window_px: best.window,
        image_auroc: best.ranking.auroc(),
        image_ap: best.ranking.average_precision(),
        pixel_ap: pixels.average_precision(),
    })
}
