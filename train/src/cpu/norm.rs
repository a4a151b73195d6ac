//! Batch norm with ReLU, forward and backward, one picture at a time.
//!
//! With `z` the convolution's output: `x = (z - mean) * inverse_deviation`,
//! `y = max(0, gamma * x + beta)` (Ioffe and Szegedy 2015, algorithm 1).

use blemish::engine::kernels::float::BLOCK;
use blemish::engine::kernels::float::Sides;
use blemish::multiversion;

/// Pixels summed side by side, so that one addition does not wait for the one before.
const PIXELS: usize = 4;
const WIDE: usize = PIXELS * BLOCK;

/// Sums over one picture, one entry per channel.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    pub first: Vec<f64>,
    pub second: Vec<f64>,
}

impl Sums {
    /// Zeros for `channels` channels.
    pub fn new(channels: usize) -> Self {
        Self {
            first: vec![0.0; channels],
            second: vec![0.0; channels],
        }
    }

    fn add(&mut self, block: usize, first: &[f32; WIDE], second: &[f32; WIDE]) {
        for lane in 0..WIDE {
            self.first[block * BLOCK + lane % BLOCK] += f64::from(first[lane]);
            self.second[block * BLOCK + lane % BLOCK] += f64::from(second[lane]);
        }
    }

    /// Adds `other` to `self`.
    pub fn merge(&mut self, other: &Sums) {
        for (sum, value) in self.first.iter_mut().zip(&other.first) {
            *sum += value;
        }
        for (sum, value) in self.second.iter_mut().zip(&other.second) {
            *sum += value;
        }
    }
}

/// Adds the values and squares of one line of one block.
#[inline(always)]
pub fn add_line(sums: &mut Sums, block: usize, line: &[f32]) {
    let (mut first, mut second) = ([0f32; WIDE], [0f32; WIDE]);
    let mut pixels = line.chunks_exact(WIDE);
    for pixel in &mut pixels {
        for lane in 0..WIDE {
            first[lane] += pixel[lane];
            second[lane] += pixel[lane] * pixel[lane];
        }
    }
    for (lane, &value) in pixels.remainder().iter().enumerate() {
        first[lane] += value;
        second[lane] += value * value;
    }
    sums.add(block, &first, &second);
}

/// The straight line `y = max(0, scale * z + shift)` per channel; what is not a number stays so, and is
/// found in the loss.
#[derive(Debug, Clone, Default)]
pub struct Affine {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

fn lanes<const N: usize>(of: &[f32], block: usize) -> [f32; N] {
    std::array::from_fn(|lane| of[block * BLOCK + lane % BLOCK])
}

multiversion! {
    /// `output = max(0, scale * z + shift)` for the blocks of `z`.
    pub fn activate(sides: Sides, z: &[f32], affine: &Affine, output: &mut [f32]) {
        let planes = z.chunks_exact(sides.plane()).zip(output.chunks_exact_mut(sides.plane()));
        for (block, (z, output)) in planes.enumerate() {
            let scale: [f32; BLOCK] = lanes(&affine.scale, block);
            let shift: [f32; BLOCK] = lanes(&affine.shift, block);
            for line in 0..sides.height {
                let from = z[sides.line(line)].chunks_exact(BLOCK);
                let to = output[sides.line(line)].chunks_exact_mut(BLOCK);
                for (to, from) in to.zip(from) {
                    for lane in 0..BLOCK {
                        let value = scale[lane] * from[lane] + shift[lane];
                        to[lane] = if value < 0.0 { 0.0 } else { value };
                    }
                }
            }
        }
    }
}

multiversion! {
    /// Rounds `values` to whole steps from 0 to 255.
    pub fn round_to_bytes(values: &mut [f32], step: f32) {
        for value in values {
            *value = (*value / step).round_ties_even().clamp(0.0, 255.0) * step;
        }
    }
}

/// What the backward pass must know of the forward pass, one entry per channel.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub affine: Affine,
    pub mean: Vec<f32>,
    pub inverse_deviation: Vec<f32>,
    /// Outputs from here on are cut off, and no gradient passes them; infinite without a grid.
    pub limit: f32,
}

multiversion! {
    /// Sums of the gradient behind the ReLU, and of it times `x`: the gradients of beta and gamma.
    pub fn gradient_sums(sides: Sides, z: &[f32], gradient: &[f32], seen: &Seen, sums: &mut Sums) {
        let planes = z.chunks_exact(sides.plane()).zip(gradient.chunks_exact(sides.plane()));
        for (block, (z, gradient)) in planes.enumerate() {
            let scale: [f32; WIDE] = lanes(&seen.affine.scale, block);
            let shift: [f32; WIDE] = lanes(&seen.affine.shift, block);
            let mean: [f32; WIDE] = lanes(&seen.mean, block);
            let inverse: [f32; WIDE] = lanes(&seen.inverse_deviation, block);
            for line in 0..sides.height {
                let (mut first, mut second) = ([0f32; WIDE], [0f32; WIDE]);
                let mut one = |lane: usize, z: f32, gradient: f32| {
                    let output = scale[lane] * z + shift[lane];
                    let alive = output > 0.0 && output < seen.limit;
                    let through = if alive { gradient } else { 0.0 };
                    first[lane] += through;
                    second[lane] += through * ((z - mean[lane]) * inverse[lane]);
                };
                let mut z = z[sides.line(line)].chunks_exact(WIDE);
                let mut gradient = gradient[sides.line(line)].chunks_exact(WIDE);
                for (z, gradient) in (&mut z).zip(&mut gradient) {
                    for lane in 0..WIDE {
                        one(lane, z[lane], gradient[lane]);
                    }
                }
                let rest = z.remainder().iter().zip(gradient.remainder());
                for (lane, (&z, &gradient)) in rest.enumerate() {
                    one(lane, z, gradient);
                }
                sums.add(block, &first, &second);
            }
        }
    }
}

multiversion! {
    /// Gradient by `z` into `output`: `scale * (g - mean(g) - x * mean(g x))`, with `g` the gradient
    /// behind the ReLU; `means` holds the two means over the whole batch.
    pub fn gradient(
        sides: Sides,
        z: &[f32],
        gradient: &[f32],
        seen: &Seen,
        means: &Sums,
        output: &mut [f32],
    ) {
        let planes = z.chunks_exact(sides.plane()).zip(gradient.chunks_exact(sides.plane()));
        for (block, ((z, gradient), output)) in
            planes.zip(output.chunks_exact_mut(sides.plane())).enumerate()
        {
            let scale: [f32; BLOCK] = lanes(&seen.affine.scale, block);
            let shift: [f32; BLOCK] = lanes(&seen.affine.shift, block);
            let mean: [f32; BLOCK] = lanes(&seen.mean, block);
            let inverse: [f32; BLOCK] = lanes(&seen.inverse_deviation, block);
            let first: [f32; BLOCK] =
                std::array::from_fn(|lane| means.first[block * BLOCK + lane] as f32);
            let second: [f32; BLOCK] =
                std::array::from_fn(|lane| means.second[block * BLOCK + lane] as f32);
            for line in 0..sides.height {
                let z = z[sides.line(line)].chunks_exact(BLOCK);
                let gradient = gradient[sides.line(line)].chunks_exact(BLOCK);
                let output = output[sides.line(line)].chunks_exact_mut(BLOCK);
                for ((z, gradient), output) in z.zip(gradient).zip(output) {
                    for lane in 0..BLOCK {
                        let value = scale[lane] * z[lane] + shift[lane];
                        let alive = value > 0.0 && value < seen.limit;
                        let through = if alive { gradient[lane] } else { 0.0 };
                        let x = (z[lane] - mean[lane]) * inverse[lane];
                        output[lane] = scale[lane] * (through - first[lane] - x * second[lane]);
                    }
                }
            }
        }
    }
}
