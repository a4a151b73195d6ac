//! From an anomaly map to scores: the 21x21 mean and its maximum.

/// Side of the averaging window in pixels (`AvgPool2d(21, stride=1, padding=10)` in the authors'
/// `test_DRAEM.py`).
pub const WINDOW_PX: usize = 21;

/// Mean of the 21x21 window around every pixel of a row-major `width x height` map.
///
/// Outside the map counts as 0 and the sum is always divided by 441, so scores near an edge are
/// damped as the authors' are.
///
/// # Panics
/// If `map` does not hold `width * height` values.
pub fn window_mean(map: &[f32], width: usize, height: usize) -> Vec<f32> {
    assert_eq!(map.len(), width * height, "map of {width}x{height}");
    let reach = WINDOW_PX / 2;
    let mut across = vec![0f64; map.len()];
    for (row, sums) in map
        .chunks_exact(width.max(1))
        .zip(across.chunks_exact_mut(width.max(1)))
    {
        let mut sum: f64 = row.iter().take(reach).map(|&p| f64::from(p)).sum();
        for column in 0..width {
            if column + reach < width {
                sum += f64::from(row[column + reach]);
            }
            if column > reach {
                sum -= f64::from(row[column - reach - 1]);
            }
            sums[column] = sum;
        }
    }
    let mut mean = vec![0f32; map.len()];
    let mut column_sums = vec![0f64; width];
    for line in 0..height + reach {
        if line < height {
            add(&mut column_sums, &across[line * width..][..width], 1.0);
        }
        if line >= WINDOW_PX {
            add(&mut column_sums, &across[(line - WINDOW_PX) * width..][..width], -1.0);
        }
        if line >= reach {
            let out = &mut mean[(line - reach) * width..][..width];
            for (value, &sum) in out.iter_mut().zip(&column_sums) {
                *value = (sum / (WINDOW_PX * WINDOW_PX) as f64) as f32;
            }
        }
    }
    mean
}

fn add(sums: &mut [f64], row: &[f64], sign: f64) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += sign * value;
    }
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
}
