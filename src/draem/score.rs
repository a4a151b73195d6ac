//! From an anomaly map to scores: the 21x21 mean and its maximum.

/// Side of the averaging window in pixels (`AvgPool2d(21, stride=1, padding=10)` in the authors'
/// `test_DRAEM.py`).
pub const WINDOW_PX: usize = 21;

/// The 21x21 mean of a map that arrives row by row: row `n` of the mean comes with row `n + 10` of
/// the map.
///
/// Outside the map counts as 0 and the sum is always divided by 441, so scores near an edge are
/// damped as the authors' are. Sums are exact for values that are multiples of 2^-40 up to 1.
#[derive(Debug, Clone)]
pub struct WindowRows {
    width: usize,
    /// Sums of 21 columns for the last 21 rows; row `n` lies at `n % 21`.
    across: Vec<f64>,
    /// Sums of up to 21 rows of `across`.
    sums: Vec<f64>,
    mean: Vec<f32>,
    /// Rows of the map so far.
    rows: usize,
    /// Steps so far: a step per row and then one for each of up to 10 rows below the map.
    steps: usize,
}

impl WindowRows {
    const REACH: usize = WINDOW_PX / 2;

    /// For maps of `width` columns, any number of rows.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            across: vec![0.0; WINDOW_PX * width],
            sums: vec![0.0; width],
            mean: vec![0.0; width],
            rows: 0,
            steps: 0,
        }
    }

    /// Takes the map's next row and gives the mean's row 10 above it, if there is one.
    ///
    /// # Panics
    /// If `row` is not as wide as the map.
    pub fn push(&mut self, row: &[f32]) -> Option<&[f32]> {
        assert_eq!(row.len(), self.width, "columns of a map's row");
        self.forget_oldest();
        let slot = self.rows % WINDOW_PX * self.width;
        let across = &mut self.across[slot..slot + self.width];
        sum_across(row, across);
        add(&mut self.sums, across, 1.0);
        self.rows += 1;
        self.step()
    }

    /// After the last row: the rows of the mean that are still missing, one by one. `None` says that
    /// all were given; the next row then begins a new map.
    pub fn flush(&mut self) -> Option<&[f32]> {
        // A map of fewer than 10 rows has given nothing so far.
        self.steps = self.steps.max(Self::REACH);
        if self.steps >= self.rows + Self::REACH || self.rows == 0 {
            self.sums.fill(0.0);
            (self.rows, self.steps) = (0, 0);
            return None;
        }
        self.forget_oldest();
        self.step()
    }

    fn forget_oldest(&mut self) {
        if self.steps >= WINDOW_PX {
            let slot = self.steps % WINDOW_PX * self.width;
            add(&mut self.sums, &self.across[slot..slot + self.width], -1.0);
        }
    }

    fn step(&mut self) -> Option<&[f32]> {
        self.steps += 1;
        if self.steps <= Self::REACH {
            return None;
        }
        for (value, &sum) in self.mean.iter_mut().zip(&self.sums) {
            *value = (sum / (WINDOW_PX * WINDOW_PX) as f64) as f32;
        }
        Some(&self.mean)
    }
}

fn sum_across(row: &[f32], sums: &mut [f64]) {
    let reach = WINDOW_PX / 2;
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

/// Mean of the 21x21 window around every pixel of a row-major `width x height` map, by the rule of
/// [`WindowRows`].
///
/// # Panics
/// If `map` does not hold `width * height` values.
pub fn window_mean(map: &[f32], width: usize, height: usize) -> Vec<f32> {
    assert_eq!(map.len(), width * height, "map of {width}x{height}");
    let mut rows = WindowRows::new(width);
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
pub fn image_score(map: &[f32], width: usize, height: usize) -> f32 {
    window_mean(map, width, height)
        .into_iter()
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_definition(map: &[f32], width: usize, height: usize, x: usize, y: usize) -> f32 {
        let mut sum = 0.0;
        for line in y.saturating_sub(10)..(y + 11).min(height) {
            for column in x.saturating_sub(10)..(x + 11).min(width) {
                sum += f64::from(map[line * width + column]);
            }
        }
        (sum / 441.0) as f32
    }

    proptest! {
        #[test]
        fn running_sums_equal_the_definition(
            (width, height, map) in (1usize..40, 1usize..40).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), prop::collection::vec(0f32..1.0, w * h))
            }),
        ) {
            let mean = window_mean(&map, width, height);
            for y in 0..height {
                for x in 0..width {
                    let expected = by_definition(&map, width, height, x, y);
                    prop_assert!((mean[y * width + x] - expected).abs() < 1e-6);
                }
            }
        }
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
        for (mean, wanted) in window_mean(&map, 64, 64)
            .iter()
            .zip(golden.f32("prob_avg21"))
        {
            assert!((mean - wanted).abs() < 1e-6);
        }
        assert!((f64::from(image_score(&map, 64, 64)) - expected).abs() < 1e-6);
    }
}
