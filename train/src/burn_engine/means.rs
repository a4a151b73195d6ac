//! Means and extremes one side at a time.
//!
//! burn 0.22.1 without its autotuning gives every number of a result to one thread of the card: a
//! mean took up to 20 ms on a busy NVIDIA H200, and such sums 61 % of a step (27 November 2026). Over
//! the lines first there are thousands of results at a time.

use burn::tensor::Tensor;

/// Pictures, channels, lines, columns.
const PICTURES: usize = 0;
const CHANNELS: usize = 1;
const LINES: usize = 2;
const COLUMNS: usize = 3;

/// Mean of every channel, `1 x C x 1 x 1`.
pub fn of_channels(x: Tensor<4>) -> Tensor<4> {
    x.mean_dim(LINES).mean_dim(COLUMNS).mean_dim(PICTURES)
}

/// Mean of everything.
pub fn of_all(x: Tensor<4>) -> Tensor<1> {
    of_channels(x).mean_dim(CHANNELS).reshape([1])
}

/// Greatest value, `1 x 1 x 1 x 1`.
pub fn greatest(x: Tensor<4>) -> Tensor<4> {
    [LINES, COLUMNS, PICTURES, CHANNELS]
        .into_iter()
        .fold(x, Tensor::max_dim)
}

/// Least value, `1 x 1 x 1 x 1`.
pub fn least(x: Tensor<4>) -> Tensor<4> {
    greatest(x.neg()).neg()
}

#[cfg(test)]
mod tests {
    use super::super::devices::for_tests;
    use super::*;
    use burn::tensor::TensorData;

    const SHAPE: [usize; 4] = [2, 3, 5, 7];
    const AREA: usize = 5 * 7;

    #[test]
    fn all_pixels_count_once() {
        let Some(device) = for_tests() else { return };
        let values: Vec<f32> = (0..SHAPE.iter().product::<usize>())
            .map(|at| (1.3 * at as f32).sin() + (at / AREA) as f32)
            .collect();
        let x = Tensor::<4>::from_data(TensorData::new(values.clone(), SHAPE), &device);
        let read = |x: Tensor<4>| x.into_data().try_into_vec_as::<f32>().unwrap();
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let close = |got: f32, wanted: f32| assert!((got - wanted).abs() < 1e-5, "{got} {wanted}");

        let planes: Vec<&[f32]> = values.chunks(AREA).collect();
        let channels = read(of_channels(x.clone()));
        assert_eq!(channels.len(), SHAPE[CHANNELS]);
        for (channel, &got) in channels.iter().enumerate() {
            let both = [planes[channel], planes[channel + SHAPE[CHANNELS]]].concat();
            close(got, mean(&both));
        }
        close(of_all(x.clone()).into_scalar::<f32>(), mean(&values));
        let extreme = |pick: fn(f32, f32) -> f32| values.iter().copied().reduce(pick).unwrap();
        assert_eq!(read(greatest(x.clone())), [extreme(f32::max)]);
        assert_eq!(read(least(x)), [extreme(f32::min)]);
    }
}
