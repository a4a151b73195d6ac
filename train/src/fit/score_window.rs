//! The window of the score, chosen on simulated defects.
//!
//! The authors average over 21x21 px of pictures resized to 256 px. A hole of 4x4 px then scores 0.04 at
//! most and drowns in what good tiles score; over 5x5 px it scores 0.64. Which window suits a product is
//! asked of the same simulated defects on held-out goods that a validation uses.

use blemish::draem::score::{Window, image_score};
use blemish::metrics::{MetricError, Ranking, Scores};
use blemish::picture::Mask;

/// Sides that are tried, in pixels. A single pixel is no evidence, so the narrowest is 3.
const TRIED_PX: [u32; 6] = [3, 5, 7, 11, 15, 21];

/// Tiles scored over each of the windows that are tried.
#[derive(Debug)]
pub struct Trials(Vec<(Window, Scores)>);

/// A window and the tiles' order by their score over it.
#[derive(Debug)]
pub struct Trial {
    pub window: Window,
    pub ranking: Ranking<'static>,
}

impl Trials {
    /// Of one window where it is `fixed`, else of all.
    pub fn new(fixed: Option<Window>) -> Self {
        let all = TRIED_PX.iter().filter_map(|&px| Window::new(px).ok());
        let tried: Vec<Window> = fixed.map_or_else(|| all.collect(), |window| vec![window]);
        Self(tried.into_iter().map(|w| (w, Scores::new())).collect())
    }

    /// Takes a tile's anomaly map; it is defective where its mask has a pixel.
    ///
    /// # Errors
    /// Where a score is not a number.
    pub fn push(&mut self, map: &[f32], mask: &Mask) -> Result<(), MetricError> {
        let defect = mask.area_px() > 0;
        for (window, scores) in &mut self.0 {
            let score = image_score(map, mask.width_px, mask.height_px, *window);
            scores.push(score, defect)?;
        }
        Ok(())
    }

    /// The window with the greatest area under the ROC curve; of equal ones the widest, since it averages
    /// over most pixels.
    ///
    /// # Errors
    /// Where the tiles are all good or all defective.
    pub fn best(self) -> Result<Trial, MetricError> {
        let mut best: Option<Trial> = None;
        for (window, scores) in self.0 {
            let ranking = scores.into_ranking()?;
            log::debug!(
                "score over {0}x{0} px: image AUROC {1:.4} on simulated defects",
                window.side_px(),
                ranking.auroc()
            );
            let behind = |best: &Trial| ranking.auroc() < best.ranking.auroc();
            if !best.as_ref().is_some_and(behind) {
                best = Some(Trial { window, ranking });
            }
        }
        // There is a window always.
        best.ok_or(MetricError::NoGood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE_PX: usize = 64;

    /// A map with `value` in a square of `side` pixels and `elsewhere` around it.
    fn map(side: usize, value: f32, elsewhere: f32) -> Vec<f32> {
        let inside = |at: usize| (10..10 + side).contains(&at);
        (0..SIDE_PX * SIDE_PX)
            .map(|i| match inside(i / SIDE_PX) && inside(i % SIDE_PX) {
                true => value,
                false => elsewhere,
            })
            .collect()
    }

    /// The side chosen for one good and one defective map, and the area under the ROC curve.
    fn chosen(good: &[f32], defective: &[f32], fixed: Option<Window>) -> (usize, f64) {
        let mut trials = Trials::new(fixed);
        for (map, defect) in [(good, false), (defective, true)] {
            let mask = Mask {
                width_px: SIDE_PX,
                height_px: SIDE_PX,
                defect: vec![defect; SIDE_PX * SIDE_PX],
            };
            trials.push(map, &mask).expect("finite scores");
        }
        let best = trials.best().expect("both kinds");
        (best.window.side_px(), best.ranking.auroc())
    }

    #[test]
    fn small_defects_in_a_haze_take_a_narrow_window() {
        // Over 7x7 px the hole scores 0.29 and the haze 0.2; over 11x11 px 0.12.
        let (haze, hole) = (map(0, 0.0, 0.2), map(4, 0.9, 0.0));
        assert_eq!(chosen(&haze, &hole, None), (7, 1.0));
        assert_eq!(chosen(&haze, &hole, Some(Window::OFFICIAL)), (21, 0.0));
    }

    #[test]
    fn faint_areas_among_specks_take_a_wide_window() {
        let (specks, area) = (map(3, 0.9, 0.0), map(21, 0.4, 0.0));
        assert_eq!(chosen(&specks, &area, None), (21, 1.0));
    }
}
