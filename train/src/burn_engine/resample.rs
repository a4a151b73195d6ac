//! Bilinear x2 upsampling as two products with constant matrices: exact, and differentiable on every
//! device of burn, whose own interpolation has no gradient on GPUs.

use blemish::draem::Upsampling;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;

/// The matrices of every side that was met so far.
pub struct Upsampler {
    mode: Upsampling,
    device: Device,
    sides: HashMap<usize, Doubling>,
}

/// How one side of `n` pixels becomes `2n`.
#[derive(Clone)]
struct Doubling {
    /// `1 x 2n x n`: applied from the left, it doubles the lines.
    lines: Tensor<3>,
    /// `n x 2n`: applied from the right, it doubles the columns.
    columns: Tensor<2>,
}

impl Upsampler {
    /// Without any matrix yet.
    pub fn new(mode: Upsampling, device: Device) -> Self {
        Self {
            mode,
            device,
            sides: HashMap::new(),
        }
    }

    /// `N x C x H x W` to `N x C x 2H x 2W`.
    pub fn double(&mut self, x: Tensor<4>) -> Tensor<4> {
        let [pictures, channels, height, width] = x.dims();
        let planes = pictures * channels;
        let columns = self.doubling(width).columns;
        let lines = self.doubling(height).lines;
        let wide = x.reshape([planes * height, width]).matmul(columns);
        lines
            .matmul(wide.reshape([planes, height, 2 * width]))
            .reshape([pictures, channels, 2 * height, 2 * width])
    }

    fn doubling(&mut self, side: usize) -> Doubling {
        let Self { mode, device, .. } = self;
        self.sides
            .entry(side)
            .or_insert_with(|| {
                let values = matrix(side, *mode);
                let lines = Tensor::<2>::from_data(
                    TensorData::new(values, [2 * side, side]),
                    &device.clone(),
                );
                Doubling {
                    columns: lines.clone().transpose(),
                    lines: lines.unsqueeze(),
                }
            })
            .clone()
    }
}

/// `2n x n`: row `i` holds the shares that the input's pixels have in output pixel `i`.
fn matrix(side: usize, mode: Upsampling) -> Vec<f32> {
    let last = side - 1;
    let mut matrix = vec![0f32; 2 * side * side];
    for (row, shares) in matrix.chunks_exact_mut(side).enumerate() {
        let place = match mode {
            Upsampling::AlignCorners => row as f64 * last as f64 / (2 * side - 1) as f64,
            Upsampling::HalfPixel => ((row as f64 + 0.5) / 2.0 - 0.5).clamp(0.0, last as f64),
        };
        let first = (place.floor() as usize).min(last);
        let share = (place - first as f64) as f32;
        shares[first] += 1.0 - share;
        shares[(first + 1).min(last)] += share;
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::super::devices::for_tests;
    use super::*;

    /// The sum of `output * weights` has by definition the gradient `matrix transposed * weights`.
    #[test]
    fn planes_double_and_gradients_come_back() {
        let Some(device) = for_tests() else { return };
        let shape = [2, 3, 4, 6];
        let values: Vec<f32> = (0..144).map(|i| ((i * 37) % 53) as f32 / 53.0).collect();
        let weights: Vec<f32> = (0..576).map(|i| ((i * 29) % 31) as f32 / 31.0).collect();
        for mode in [Upsampling::AlignCorners, Upsampling::HalfPixel] {
            let (lines, columns) = (matrix(4, mode), matrix(6, mode));
            let mut wanted = vec![0f32; 576];
            let mut by_input = vec![0f32; 144];
            for plane in 0..6 {
                for at in 0..96 {
                    let (y, x) = (at / 12, at % 12);
                    for from in 0..24 {
                        let share = lines[y * 4 + from / 6] * columns[x * 6 + from % 6];
                        wanted[plane * 96 + at] += share * values[plane * 24 + from];
                        by_input[plane * 24 + from] += share * weights[plane * 96 + at];
                    }
                }
            }
            let leaf = Tensor::<4>::from_data(TensorData::new(values.clone(), shape), &device);
            let leaf = leaf.autodiff().require_grad();
            let output = Upsampler::new(mode, device.clone()).double(leaf.clone());
            let factor = TensorData::new(weights.clone(), [2, 3, 8, 12]);
            let factor = Tensor::<4>::from_data(factor, &device);
            let gradients = (output.clone() * factor).sum().backward();
            let by_leaf = leaf.grad(&gradients).unwrap();
            for (got, wanted) in [(output.without_autodiff(), &wanted), (by_leaf, &by_input)] {
                let got = got.try_into_vec_as::<f32>().unwrap();
                let off = got.iter().zip(wanted).map(|(a, b)| (a - b).abs());
                assert!(off.fold(0.0, f32::max) < 1e-5, "{mode:?}");
            }
        }
    }

    #[test]
    fn rows_are_shares_of_the_right_pixels() {
        let align = matrix(2, Upsampling::AlignCorners);
        let wanted = [
            1.0,
            0.0,
            2.0 / 3.0,
            1.0 / 3.0,
            1.0 / 3.0,
            2.0 / 3.0,
            0.0,
            1.0,
        ];
        let off = align.iter().zip(wanted).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 1e-6, "{align:?}");
        let half = matrix(2, Upsampling::HalfPixel);
        assert_eq!(half, [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        assert_eq!(matrix(1, Upsampling::AlignCorners), [1.0, 1.0]);
    }
}
