//! 3x3 convolutions whose kernels' gradients are matrix products.
//!
//! burn's own way to that gradient (0.22.1, without its autotuning) is a convolution whose kernel is
//! the picture: some hundred numbers, each a sum of 100 000 products that one thread of the card does
//! alone. On an NVIDIA H200 that was a third of a step (27 November 2026).

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Gradients, Tensor, module};

/// Taps of a kernel along one side.
const TAPS: usize = 3;
/// Shortest row of a matrix product, in pixels, that is worth a product of its own.
const SHORTEST: usize = 512;

/// What one convolution of a training step leaves for its kernel's gradient.
pub struct Convolved {
    /// `N x C x H x W`.
    input: Tensor<4>,
    /// Zeros that were added to the output, so that their gradient is the output's.
    probe: Tensor<4>,
}

/// Convolution without bias, zeros around the picture; `kernel` is `O x C x 3 x 3`.
pub fn convolve(input: Tensor<4>, kernel: Tensor<4>) -> Tensor<4> {
    module::conv2d(input, kernel, None, options())
}

/// As [`convolve`], in a step that learns: `kernel` is a constant to burn.
pub fn convolve_learning(input: Tensor<4>, kernel: Tensor<4>) -> (Tensor<4>, Convolved) {
    let seen = input.clone().without_autodiff();
    let output = convolve(input, kernel);
    let device = seen.device();
    let probe = Tensor::zeros(output.dims(), &device)
        .autodiff()
        .require_grad();
    let convolved = Convolved {
        input: seen,
        probe: probe.clone(),
    };
    (output + probe, convolved)
}

impl Convolved {
    /// The kernel's gradient, `O x C x 3 x 3`; `None` where nothing flowed back to the output.
    pub fn kernel_gradient(self, gradients: &mut Gradients) -> Option<Tensor<4>> {
        let output = self.probe.grad_remove(gradients)?;
        Some(kernel_gradient(self.input, output))
    }
}

fn options() -> ConvOptions<2> {
    ConvOptions::new([1, 1], [1, 1], [1, 1], 1)
}

/// For each tap the products of `output`'s gradient with the input's pixels that the tap saw.
///
/// Lines lie end to end with two zeros between them, so every tap's pixels are the same stretch of
/// the input, some places further on. The stretch is cut into pieces, which a card multiplies at the
/// same time.
fn kernel_gradient(input: Tensor<4>, output: Tensor<4>) -> Tensor<4> {
    let [pictures, inputs, height, width] = input.dims();
    let outputs = output.dims()[1];
    let stride = width + TAPS - 1;
    let longest = SHORTEST.max(outputs * inputs);
    let lines = lines_of_a_piece(height, longest / stride);
    let (pieces, length, area) = (height / lines, lines * stride, height * stride);

    let output = output
        .pad((0, TAPS - 1, 0, 0), 0.0)
        .reshape([pictures, outputs, pieces, length])
        .swap_dims(1, 2);
    let input =
        input
            .pad((1, 1, 1, TAPS - 1), 0.0)
            .reshape([pictures, inputs, (height + TAPS) * stride]);
    let seen = area + (TAPS - 1) * stride;
    let column = |tap| {
        input
            .clone()
            .slice([0..pictures, 0..inputs, tap..tap + seen])
    };
    let columns = Tensor::cat((0..TAPS).map(column).collect(), 1);
    let row = |tap: usize| {
        let first = tap * stride;
        let seen = columns
            .clone()
            .slice([0..pictures, 0..TAPS * inputs, first..first + area])
            .reshape([pictures, TAPS * inputs, pieces, length])
            .swap_dims(1, 2)
            .swap_dims(2, 3);
        output
            .clone()
            .matmul(seen)
            .reshape([pictures * pieces, outputs * TAPS * inputs])
            .sum_dim(0)
            .reshape([outputs, TAPS, inputs])
            .swap_dims(1, 2)
            .reshape([outputs, inputs, 1, TAPS])
    };
    Tensor::cat((0..TAPS).map(row).collect(), 2)
}

/// The greatest part of `height` that divides it and is no more than `most`, at least one line.
fn lines_of_a_piece(height: usize, most: usize) -> usize {
    (1..=height.min(most))
        .rev()
        .find(|&lines| height.is_multiple_of(lines))
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::super::devices::for_tests;
    use super::*;
    use burn::tensor::TensorData;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn pieces_are_whole_lines() {
        assert_eq!(lines_of_a_piece(96, 23), 16);
        assert_eq!(lines_of_a_piece(7, 5), 1);
        assert_eq!(lines_of_a_piece(8, 100), 8);
        assert_eq!(lines_of_a_piece(8, 0), 1);
    }

    /// In one piece and in several, with as many channels and with more or fewer than outputs.
    #[test]
    fn kernels_have_the_gradient_that_burn_finds() {
        let Some(device) = for_tests() else { return };
        for [pictures, inputs, outputs, height, width] in
            [[2, 3, 5, 6, 7], [3, 2, 1, 96, 20], [1, 4, 4, 44, 70]]
        {
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            let mut tensor = |shape: [usize; 4]| {
                let length = shape.iter().product::<usize>();
                let values = (0..length).map(|_| rng.random_range(-0.5f32..0.5));
                Tensor::<4>::from_data(TensorData::new(values.collect(), shape), &device)
            };
            let input = tensor([pictures, inputs, height, width]);
            let by = tensor([pictures, outputs, height, width]);
            let kernel = tensor([outputs, inputs, TAPS, TAPS]);

            let leaf = kernel.clone().autodiff().require_grad();
            let wanted = (convolve(input.clone(), leaf.clone()) * by.clone()).sum();
            let wanted = leaf.grad(&wanted.backward()).unwrap();

            let (output, convolved) = convolve_learning(input, kernel);
            let got = convolved
                .kernel_gradient(&mut (output * by).sum().backward())
                .unwrap();
            let read = |tensor: Tensor<4>| tensor.into_data().try_into_vec_as::<f32>().unwrap();
            assert_eq!(got.dims(), wanted.dims());
            let (got, wanted) = (read(got), read(wanted));
            // A sum of that many products, with room for tensor cores, which round factors to 11 bits.
            let bound = 5e-4 * ((pictures * height * width) as f32).sqrt();
            for (got, wanted) in got.iter().zip(&wanted) {
                assert!((got - wanted).abs() < bound, "{got} {wanted}");
            }
            assert!(wanted.iter().any(|value| value.abs() > 100.0 * bound));
        }
    }
}
