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
        let judged = maps.chunks_exact(area).zip(batch.mask.chunks_exact(area));
        for (number, (map, mask)) in judged.enumerate() {
            let [width_px, height_px] = batch.scored(number);
            let (map, mask) = (batch.crop(map, number), batch.crop(mask, number));
            let mask = Mask {
                width_px,
                height_px,
                defect: mask.iter().map(|&value| value > 0.5).collect(),
            };
            images.push(&map, &mask).map_err(sentence)?;
            pixels.push_map(&map, &mask).map_err(sentence)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{AdamState, Inference, Losses};
    use crate::weights::Weights;

    /// Says of every pixel what it sees there.
    struct Mirror;

    impl Backend for Mirror {
        fn step(&mut self, _: &Batch, _: f64) -> Result<Losses, String> {
            Err("it learns nothing".to_owned())
        }

        fn infer(
            &mut self,
            seen: &[f32],
            n: usize,
            w: usize,
            h: usize,
        ) -> Result<Inference, String> {
            let planes = seen.chunks_exact(w * h).step_by(3).take(n);
            Ok(Inference {
                reconstruction: Vec::new(),
                anomaly_map: planes.flatten().copied().collect(),
            })
        }

        fn weights(&self) -> Weights {
            Weights::default()
        }

        fn adam(&self) -> AdamState {
            AdamState::default()
        }

        fn restore(&mut self, _: &Weights, _: &AdamState) -> Result<(), String> {
            Ok(())
        }
    }

    /// Two tiles of 32x32 px: a defect in the first at column 4, a brighter reflection of something in the second at
    /// column 28.
    fn batch(scored: Vec<[usize; 2]>) -> Batch {
        const AREA: usize = 32 * 32;
        let mut batch = Batch {
            pictures: 2,
            width_px: 32,
            height_px: 32,
            clean: vec![0.0; 6 * AREA],
            seen: vec![0.0; 6 * AREA],
            mask: vec![0.0; 2 * AREA],
            scored,
        };
        for row in 0..32 {
            batch.mask[row * 32 + 4] = 1.0;
            batch.seen[row * 32 + 4] = 0.5;
            batch.seen[3 * AREA + row * 32 + 28] = 0.9;
        }
        batch
    }

    #[test]
    fn what_is_mirrored_beyond_a_small_picture_is_not_judged() {
        let auroc = |scored: Vec<[usize; 2]>| {
            let window = Window::new(3).ok();
            judge(&mut Mirror, [batch(scored)], window).map(|found| found.image_auroc)
        };
        assert_eq!(auroc(Vec::new()), Ok(0.0));
        assert_eq!(auroc(vec![[20, 32]; 2]), Ok(1.0));
    }
}
