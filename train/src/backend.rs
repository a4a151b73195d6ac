//! What the fitting loop asks of whatever computes: the CPU engine or burn on a GPU.

use crate::weights::Weights;
use std::borrow::Cow;

/// One batch, every picture `3 x height x width`, values in [0, 1]; the mask `1 x height x width`
/// holds 0 or 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub pictures: usize,
    pub width_px: usize,
    pub height_px: usize,
    /// What the reconstruction must look like (`N x 3 x H x W`).
    pub clean: Vec<f32>,
    /// What the networks see (`N x 3 x H x W`).
    pub seen: Vec<f32>,
    /// Where a defect was painted (`N x 1 x H x W`).
    pub mask: Vec<f32>,
    /// Width and height, from the top left, that a station would score of each tile: the rest of a tile that is
    /// larger than its picture is mirrored. Empty where all tiles are scored whole.
    pub scored: Vec<[usize; 2]>,
}

impl Batch {
    /// Width and height that are scored of tile `number`.
    pub fn scored(&self, number: usize) -> [usize; 2] {
        let whole = [self.width_px, self.height_px];
        self.scored.get(number).copied().unwrap_or(whole)
    }

    /// The part that is scored of a plane of tile `number`, such as its map.
    pub fn crop<'a>(&self, plane: &'a [f32], number: usize) -> Cow<'a, [f32]> {
        let [width, height] = self.scored(number);
        if [width, height] == [self.width_px, self.height_px] {
            return Cow::Borrowed(plane);
        }
        let rows = plane.chunks_exact(self.width_px).take(height);
        Cow::Owned(rows.flat_map(|row| &row[..width]).copied().collect())
    }

    /// Whether the arrays hold as many values as the sides say, and the sides suit the networks.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), String> {
        let (pictures, width, height) = (self.pictures, self.width_px, self.height_px);
        check_pictures(&self.seen, pictures, width, height)?;
        check_pictures(&self.clean, pictures, width, height)?;
        match 3 * self.mask.len() == self.seen.len() {
            true => Ok(()),
            false => Err(format!(
                "a mask of {} values is not {pictures} of {width}x{height}",
                self.mask.len()
            )),
        }
    }
}

/// Whether `values` hold `pictures` pictures of three channels with sides that both networks halve
/// five times.
///
/// # Errors
/// What does not fit.
pub fn check_pictures(
    values: &[f32],
    pictures: usize,
    width_px: usize,
    height_px: usize,
) -> Result<(), String> {
    let suits = |side: usize| side > 0 && side.is_multiple_of(32);
    if !suits(width_px) || !suits(height_px) {
        return Err(format!(
            "tiles of {width_px}x{height_px} px: both sides must be multiples of 32"
        ));
    }
    if pictures == 0 || values.len() != 3 * pictures * width_px * height_px {
        return Err(format!(
            "{} values are not {pictures} pictures of {width_px}x{height_px}",
            values.len()
        ));
    }
    Ok(())
}

/// The three terms of the loss, unweighted (draem.md 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Losses {
    pub l2: f32,
    pub ssim: f32,
    pub focal: f32,
}

impl Losses {
    /// What is minimised.
    pub fn total(&self) -> f32 {
        self.l2 + self.ssim + self.focal
    }
}

/// Output of the networks in evaluation mode.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inference {
    /// `N x 3 x H x W`.
    pub reconstruction: Vec<f32>,
    /// Probability of the anomaly class, `N x 1 x H x W`.
    pub anomaly_map: Vec<f32>,
}

/// State of Adam, by the names of the learnable parameters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdamState {
    pub steps: u64,
    pub first_moment: Weights,
    pub second_moment: Weights,
}

/// Something that can train both networks.
pub trait Backend {
    /// One Adam step (betas 0.9 and 0.999, eps 1e-8) at `learning_rate` on both networks.
    ///
    /// # Errors
    /// A sentence for people where the device failed.
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Losses, String>;

    /// Both networks in evaluation mode (running statistics) on `pictures` pictures
    /// `3 x height x width` in `seen`.
    ///
    /// # Errors
    /// A sentence for people where the device failed.
    fn infer(
        &mut self,
        seen: &[f32],
        pictures: usize,
        width_px: usize,
        height_px: usize,
    ) -> Result<Inference, String>;

    /// Parameters and buffers as they are now.
    fn weights(&self) -> Weights;

    /// Adam's state as it is now.
    fn adam(&self) -> AdamState;

    /// Takes up where a checkpoint stopped.
    ///
    /// # Errors
    /// Names the array that is missing or has another shape.
    fn restore(&mut self, weights: &Weights, adam: &AdamState) -> Result<(), String>;
}
