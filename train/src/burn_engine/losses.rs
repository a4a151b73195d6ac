//! The three terms of DRAEM's loss in tensors (draem.md 1.3); burn finds their gradients.

use super::means;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData, activation, module};

/// Taps of the Gaussian window, and pixels it reaches to either side.
const WINDOW: usize = 11;
const REACH: usize = WINDOW / 2;
const SIGMA: f64 = 1.5;
/// Channels of a picture.
const CHANNELS: usize = 3;
/// Added to the true class's probability, and where the one-hot target is cut.
const SMOOTH: f64 = 1e-5;

/// Each of one value.
pub struct Terms {
    pub l2: Tensor<1>,
    pub ssim: Tensor<1>,
    pub focal: Tensor<1>,
}

/// SSIM's window, on the device.
pub struct Gaussian {
    /// `3 x 1 x 11 x 1`.
    down: Tensor<4>,
    /// `3 x 1 x 1 x 11`.
    across: Tensor<4>,
}

impl Gaussian {
    /// The window on `device`.
    pub fn new(device: &Device) -> Self {
        let weight = |tap: usize| {
            let distance = tap as f64 - REACH as f64;
            (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
        };
        let sum: f64 = (0..WINDOW).map(weight).sum();
        let taps = (0..WINDOW).map(|tap| (weight(tap) / sum) as f32);
        let values = taps.cycle().take(CHANNELS * WINDOW).collect::<Vec<f32>>();
        let down = Tensor::<1>::from_data(TensorData::new(values, [CHANNELS * WINDOW]), device);
        Self {
            across: down.clone().reshape([CHANNELS, 1, 1, WINDOW]),
            down: down.reshape([CHANNELS, 1, WINDOW, 1]),
        }
    }

    /// Local mean, with zeros around the picture.
    ///
    /// Depthwise convolutions and not matrix products: variances are small differences of these
    /// means, and tensor cores round the factors of a product to 11 bits.
    fn mean(&self, x: Tensor<4>) -> Tensor<4> {
        let along = |reach| ConvOptions::new([1, 1], reach, [1, 1], CHANNELS);
        let x = module::conv2d(x, self.down.clone(), None, along([REACH, 0]));
        module::conv2d(x, self.across.clone(), None, along([0, REACH]))
    }
}

/// All terms. `reconstruction` and `clean` are `N x 3 x H x W`, `logits` `N x 2 x H x W`, `mask`
/// `N x 1 x H x W` of 0 and 1.
pub fn terms(
    gaussian: &Gaussian,
    reconstruction: Tensor<4>,
    clean: Tensor<4>,
    logits: Tensor<4>,
    mask: Tensor<4>,
) -> Terms {
    let difference = reconstruction.clone() - clean.clone();
    Terms {
        l2: means::of_all(difference.clone() * difference),
        ssim: ssim(gaussian, reconstruction, clean),
        focal: focal(logits, mask),
    }
}

/// Range of the values as the authors guess it, per batch, from the reconstruction; `1 x 1 x 1 x 1`,
/// so that it stays on the device. No gradient flows through it.
fn range(reconstruction: &Tensor<4>) -> Tensor<4> {
    let seen = reconstruction.clone().without_autodiff();
    let high = means::greatest(seen.clone()).greater_scalar(128.0).float() * 254.0 + 1.0;
    high + means::least(seen).lower_scalar(-0.5).float()
}

fn ssim(gaussian: &Gaussian, seen: Tensor<4>, wanted: Tensor<4>) -> Tensor<1> {
    let range = range(&seen);
    let squared = range.clone() * range;
    let (c1, c2) = (squared.clone() * 0.0001, squared * 0.0009);
    let mu1 = gaussian.mean(seen.clone());
    let mu2 = gaussian.mean(wanted.clone());
    let (mu11, mu22) = (mu1.clone() * mu1.clone(), mu2.clone() * mu2.clone());
    let mu12 = mu1 * mu2;
    let variance1 = gaussian.mean(seen.clone() * seen.clone()) - mu11.clone();
    let variance2 = gaussian.mean(wanted.clone() * wanted.clone()) - mu22.clone();
    let covariance = gaussian.mean(seen * wanted) - mu12.clone();
    let above = (mu12 * 2.0 + c1.clone()) * (covariance * 2.0 + c2.clone());
    let below = (mu11 + mu22 + c1) * (variance1 + variance2 + c2);
    means::of_all(above / below).neg() + 1.0
}

fn focal(logits: Tensor<4>, mask: Tensor<4>) -> Tensor<1> {
    let probability = activation::softmax(logits, 1);
    let classes = Tensor::cat(vec![mask.clone().neg() + 1.0, mask], 1);
    let target = classes.clamp(SMOOTH, 1.0 - SMOOTH);
    let true_class = (probability * target).sum_dim(1) + SMOOTH;
    let miss = true_class.clone().neg() + 1.0;
    means::of_all(miss.clone() * miss * true_class.log()).neg()
}

#[cfg(test)]
mod tests {
    use super::super::devices::for_tests;
    use super::*;
    use crate::loss;
    use blemish::engine::kernels::float::Level;

    const SHAPE: [usize; 4] = [2, 3, 24, 17];
    const WIDTH: usize = 17;
    const AREA: usize = 24 * 17;
    const PIXELS: usize = 2 * AREA;

    /// Waves of two lengths in [low, high].
    fn waves(length: usize, seed: f32, low: f32, high: f32) -> Vec<f32> {
        let wave = |i: usize| {
            let i = i as f32;
            (0.37 * i + seed).sin() + (0.011 * i * seed).cos()
        };
        (0..length)
            .map(|i| low + (high - low) * (0.25 * wave(i) + 0.5))
            .collect()
    }

    fn near(what: &str, got: Vec<f32>, wanted: &[f32]) {
        assert_eq!(got.len(), wanted.len(), "{what}");
        let size = wanted
            .iter()
            .fold(0f32, |most, value| most.max(value.abs()));
        let off = got.iter().zip(wanted).map(|(a, b)| (a - b).abs());
        let worst = off.fold(
            0f32,
            |most, off| if off.is_nan() { off } else { most.max(off) },
        );
        assert!(
            worst < 2e-4 * size + 1e-9,
            "{what}: off by {worst} of {size}"
        );
    }

    #[test]
    fn values_and_gradients_equal_the_cpu_engines() {
        let Some(device) = for_tests() else { return };
        let gaussian = Gaussian::new(&device);
        let tensor = |values: &[f32], shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let clean = waves(3 * PIXELS, 1.0, 0.1, 0.9);
        let logits = waves(2 * PIXELS, 2.0, -4.0, 4.0);
        let mask: Vec<f32> = (0..PIXELS)
            .map(|i| f32::from(u8::from(i % 7 < 3)))
            .collect();
        // The range L is 1, 2 and 256.
        for (low, high) in [(0.0, 1.0), (-0.9, 1.0), (-1.0, 200.0)] {
            let seen = waves(3 * PIXELS, 3.0, low, high);
            let mut by_seen = vec![0.0; seen.len()];
            let l2 = loss::l2(&seen, &clean, &mut by_seen);
            let ssim = loss::ssim(Level::detect(), &seen, &clean, WIDTH, AREA, &mut by_seen);
            let mut by_logits = vec![0.0; logits.len()];
            let focal = loss::focal(&logits, &mask, AREA, &mut by_logits);

            let leaf = tensor(&seen, SHAPE).autodiff().require_grad();
            let [pictures, _, height, width] = SHAPE;
            let decision = tensor(&logits, [pictures, 2, height, width]);
            let decision = decision.autodiff().require_grad();
            let terms = terms(
                &gaussian,
                leaf.clone(),
                tensor(&clean, SHAPE),
                decision.clone(),
                tensor(&mask, [pictures, 1, height, width]),
            );
            let gradients =
                (terms.l2.clone() + terms.ssim.clone() + terms.focal.clone()).backward();
            for (name, got, wanted) in [
                ("L2", terms.l2, l2),
                ("SSIM", terms.ssim, ssim),
                ("focal", terms.focal, focal),
            ] {
                let got = got.into_scalar::<f32>();
                assert!(
                    (got - wanted).abs() < 1e-5 * wanted.abs(),
                    "{name}: {got} {wanted}"
                );
            }
            let read = |tensor: Tensor<4>| tensor.try_into_vec_as::<f32>().unwrap();
            near("by seen", read(leaf.grad(&gradients).unwrap()), &by_seen);
            near(
                "by logits",
                read(decision.grad(&gradients).unwrap()),
                &by_logits,
            );
        }
    }
}
