//! From an anomaly map to scores: the mean over a square window and its maximum.

use serde::{Deserialize, Serialize};

/// Side of the averaging window in pixels, odd.
///
/// A defect of `d` pixels can score no more than `d / side^2`: a wide window is deaf to small defects, a
/// narrow one hears every stray pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Window(u32);

/// A side that is even, 0 or greater than [`Window::GREATEST_PX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a score window of {0} px cannot be used: its side must be odd, from 1 to {greatest}",
    greatest = Window::GREATEST_PX
)]
pub struct WindowError(u32);

impl Window {
    /// The authors': `AvgPool2d(21, stride=1, padding=10)` in `test_DRAEM.py`, for pictures of 256 px.
    pub const OFFICIAL: Self = Self(21);
    /// Sums of more values, each a multiple of 2^-40 up to 1, would not be exact.
    pub const GREATEST_PX: u32 = 63;

    /// # Errors
    /// Where `side_px` is even, 0 or too great.
    pub const fn new(side_px: u32) -> Result<Self, WindowError> {
        match side_px % 2 == 1 && side_px <= Self::GREATEST_PX {
            true => Ok(Self(side_px)),
            false => Err(WindowError(side_px)),
        }
    }

    pub const fn side_px(self) -> usize {
        self.0 as usize
    }

    /// Pixels to each side of the one in the middle.
    pub const fn reach_px(self) -> usize {
        self.side_px() / 2
    }
}

impl TryFrom<u32> for Window {
    type Error = WindowError;

    fn try_from(side_px: u32) -> Result<Self, WindowError> {
        Self::new(side_px)
    }
}

impl From<Window> for u32 {
    fn from(window: Window) -> Self {
        window.0
    }
}

/// The mean over a window of a map that arrives row by row: row `n` of the mean comes with the map's row
/// as many rows further as the window reaches.
///
/// Outside the map counts as 0 and the sum is always divided by the whole window, so scores near an edge
/// are damped as the authors' are. Sums are exact for values that are multiples of 2^-40 up to 1.
#[derive(Debug, Clone)]
pub struct WindowRows {
    width: usize,
    window: Window,
    /// Sums of a window's columns for its last rows; row `n` lies at `n % side`.
    across: Vec<f64>,
    /// Sums of up to a window's rows of `across`.
    sums: Vec<f64>,
    mean: Vec<f32>,
    /// Rows of the map so far.
    rows: usize,
    /// Steps so far: a step per row and then one for each row that the window reaches below the map.
    steps: usize,
}

impl WindowRows {
    /// For maps of `width` columns, any number of rows.
    pub fn new(width: usize, window: Window) -> Self {
        Self {
            width,
            window,
            across: vec![0.0; window.side_px() * width],
            sums: vec![0.0; width],
            mean: vec![0.0; width],
            rows: 0,
            steps: 0,
        }
    }

    /// Takes the map's next row and gives the mean's row that is now complete, if there is one.
    ///
    /// # Panics
    /// If `row` is not as wide as the map.
    pub fn push(&mut self, row: &[f32]) -> Option<&[f32]> {
        assert_eq!(row.len(), self.width, "columns of a map's row");
        self.forget_oldest();
        let slot = self.rows % self.window.side_px() * self.width;
        let across = &mut self.across[slot..slot + self.width];
        sum_across(row, self.window.reach_px(), across);
        add(&mut self.sums, across, 1.0);
        self.rows += 1;
        self.step()
    }

    /// After the last row: the rows of the mean that are still missing, one by one. `None` says that
    /// all were given; the next row then begins a new map.
    pub fn flush(&mut self) -> Option<&[f32]> {
        let reach = self.window.reach_px();
        // A map of fewer rows than the window reaches has given nothing so far.
        self.steps = self.steps.max(reach);
        if self.steps >= self.rows + reach || self.rows == 0 {
            self.sums.fill(0.0);
            (self.rows, self.steps) = (0, 0);
            return None;
        }
        self.forget_oldest();
        self.step()
    }

    fn forget_oldest(&mut self) {
        let side = self.window.side_px();
        if self.steps >= side {
            let slot = self.steps % side * self.width;
            add(&mut self.sums, &self.across[slot..slot + self.width], -1.0);
        }
    }

    fn step(&mut self) -> Option<&[f32]> {
        self.steps += 1;
        if self.steps <= self.window.reach_px() {
            return None;
        }
        let area = self.window.side_px().pow(2) as f64;
        for (value, &sum) in self.mean.iter_mut().zip(&self.sums) {
            *value = (sum / area) as f32;
        }
        Some(&self.mean)
    }
}

fn sum_across(row: &[f32], reach: usize, sums: &mut [f64]) {
    let mut sum: f64 = row.iter().take(reach).map(|&p| f64::from(p)).sum();
    for (column, out) in sums.iter_mut().enumerate() {
        if let Some(&entering) = row.get(column + reach) {
            sum += f64::from(entering);
        }
        if column > reach {
            sum -= f64::from(row[column - reach - 1]);
        }
        *out = sum;
    }
}

fn add(sums: &mut [f64], row: &[f64], sign: f64) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += sign * value;
    }
}

/// Mean of the window around every pixel of a row-major `width x height` map, by the rule of
/// [`WindowRows`].
///
/// # Panics
/// If `map` does not hold `width * height` values.
pub fn window_mean(map: &[f32], width: usize, height: usize, window: Window) -> Vec<f32> {
    assert_eq!(map.len(), width * height, "map of {width}x{height}");
    let mut rows = WindowRows::new(width, window);
    let mut mean = Vec::with_capacity(map.len());
    for row in map.chunks_exact(width.max(1)) {
        mean.extend_from_slice(rows.push(row).unwrap_or_default());
    }
    while let Some(row) = rows.flush() {
        mean.extend_from_slice(row);
    }
    mean
}

/// Score of a picture or tile: maximum of [`window_mean`]; 0 for an empty map.
pub fn image_score(map: &[f32], width: usize, height: usize, window: Window) -> f32 {
    window_mean(map, width, height, window)
        .into_iter()
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_definition(map: &[f32], width: usize, side: usize, (x, y): (usize, usize)) -> f32 {
        let (height, reach) = (map.len() / width, side / 2);
        let mut sum = 0.0;
        for line in y.saturating_sub(reach)..(y + reach + 1).min(height) {
            for column in x.saturating_sub(reach)..(x + reach + 1).min(width) {
                sum += f64::from(map[line * width + column]);
            }
        }
        (sum / (side * side) as f64) as f32
    }

    proptest! {
        #[test]
        fn running_sums_equal_the_definition(
            (width, height, map) in (1usize..40, 1usize..40).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), prop::collection::vec(0f32..1.0, w * h))
            }),
            reach in 0u32..14,
        ) {
            let window = Window::new(2 * reach + 1).expect("an odd side");
            let mean = window_mean(&map, width, height, window);
            for y in 0..height {
                for x in 0..width {
                    let expected = by_definition(&map, width, window.side_px(), (x, y));
                    prop_assert!((mean[y * width + x] - expected).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn sides_without_a_middle_are_refused() {
        for side in [0, 2, 20, 65] {
            assert_eq!(Window::new(side), Err(WindowError(side)));
        }
        assert_eq!(Window::new(21), Ok(Window::OFFICIAL));
    }

    #[test]
    fn equals_the_authors_pooling() {
        let (Some(mut golden), Some(expected)) = (
            crate::test_golden::open("units.npz"),
            crate::test_golden::scalar("image_score"),
        ) else {
            return;
        };
        let map = golden.f32("prob");
        for (mean, wanted) in window_mean(&map, 64, 64, Window::OFFICIAL)
            .iter()
            .zip(golden.f32("prob_avg21"))
        {
            assert!((mean - wanted).abs() < 1e-6);
        }
        assert!((f64::from(image_score(&map, 64, 64, Window::OFFICIAL)) - expected).abs() < 1e-6);
    }
}
