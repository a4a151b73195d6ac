//! The networks, written as the equations say: no folding, no blocking, no fused
//! operators. Slow; it is what export, engines and other runtimes are measured against.

use crate::weights::{Weights, WeightsError};
use blemish::draem::{ConvKey, Graph, Op, Upsampling};
use blemish::geometry::TileSize;
use rayon::prelude::*;

/// `eps` of every batch norm (draem.md 1.1 and PyTorch's default).
pub const NORM_EPSILON: f32 = 1e-5;

/// What the networks give for one tile.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// `3 x height x width`.
    pub reconstruction: Vec<f32>,
    /// `2 x height x width`, before softmax.
    pub logits: Vec<f32>,
    /// Probability of the anomaly class, `height x width`.
    pub anomaly_map: Vec<f32>,
}

/// Which mean and variance the batch norms use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statistics {
    Running,
    Batch,
}

/// Runs both networks on one picture, `3 x height x width` in [0, 1], as a station does: norms use
/// their running statistics.
///
/// # Errors
/// Names the array that is missing from `weights`, has another shape or is not finite.
///
/// # Panics
/// If `picture` does not hold a tile.
pub fn forward(
    graph: &Graph,
    weights: &Weights,
    picture: &[f32],
    tile: TileSize,
) -> Result<Forward, WeightsError> {
    let mut results = run(graph, weights, &[picture], tile, Statistics::Running)?;
    Ok(results.swap_remove(0))
}

/// Runs both networks on a batch as in training: norms use the batch's own mean and biased variance.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// If a picture does not hold a tile.
pub fn forward_training(
    graph: &Graph,
    weights: &Weights,
    pictures: &[&[f32]],
    tile: TileSize,
) -> Result<Vec<Forward>, WeightsError> {
    run(graph, weights, pictures, tile, Statistics::Batch)
}

fn run(
    graph: &Graph,
    weights: &Weights,
    pictures: &[&[f32]],
    tile: TileSize,
    statistics: Statistics,
) -> Result<Vec<Forward>, WeightsError> {
    let whole = pictures
        .iter()
        .all(|picture| picture.len() == 3 * tile.area());
    assert!(whole, "every picture holds one tile");
    let mut values: Vec<Vec<Vec<f32>>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let width = tile.width_px as usize >> node.shrink_log2;
        let height = tile.height_px as usize >> node.shrink_log2;
        let each = |f: &dyn Fn(&[f32]) -> Vec<f32>| -> Vec<Vec<f32>> {
            values[node.inputs[0]]
                .iter()
                .map(|input| f(input))
                .collect()
        };
        let value = match &node.op {
            Op::Image => pictures.iter().map(|picture| picture.to_vec()).collect(),
            Op::Conv { in_channels, key } => {
                let layer = Layer::of(weights, key, *in_channels, node.channels)?;
                let mut outputs = each(&|input| layer.convolve(input, width));
                if let Some(norm) = &layer.norm {
                    norm.apply(&mut outputs, width * height, statistics);
                }
                outputs
            }
            Op::MaxPool => each(&|input| max_pool(input, 2 * width)),
            Op::Upsample => {
                each(&|input| upsample(input, width / 2, height / 2, graph.spec.upsampling))
            }
            Op::Concat => {
                let second = &values[node.inputs[1]];
                let pairs = values[node.inputs[0]].iter().zip(second);
                pairs.map(|(a, b)| [a.as_slice(), b].concat()).collect()
            }
        };
        values.push(value);
    }
    let logits = std::mem::take(&mut values[graph.logits]);
    let reconstructions = std::mem::take(&mut values[graph.reconstruction]);
    let results = logits.into_iter().zip(reconstructions);
    Ok(results
        .map(|(logits, reconstruction)| {
            let (normal, anomaly) = logits.split_at(tile.area());
            let both = normal.iter().zip(anomaly);
            Forward {
                reconstruction,
                anomaly_map: both.map(|(&z0, &z1)| softmax_of_second(z0, z1)).collect(),
                logits,
            }
        })
        .collect())
}

fn softmax_of_second(z0: f32, z1: f32) -> f32 {
    let top = z0.max(z1);
    let (e0, e1) = ((z0 - top).exp(), (z1 - top).exp());
    e1 / (e0 + e1)
}

/// A convolution with its batch norm.
struct Layer<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    norm: Option<Norm<'a>>,
    in_channels: usize,
}

/// Parameters and running statistics of a batch norm.
struct Norm<'a> {
    gamma: &'a [f32],
    beta: &'a [f32],
    mean: &'a [f32],
    variance: &'a [f32],
}

impl<'a> Norm<'a> {
    fn of(weights: &'a Weights, name: &str, channels: usize) -> Result<Self, WeightsError> {
        let vector = |part: &str| weights.array(&format!("{name}.{part}"), &[channels]);
        Ok(Self {
            gamma: vector("weight")?,
            beta: vector("bias")?,
            mean: vector("running_mean")?,
            variance: vector("running_var")?,
        })
    }

    /// Batch norm and ReLU, in place, on planes of `area` values.
    fn apply(&self, pictures: &mut [Vec<f32>], area: usize, statistics: Statistics) {
        for channel in 0..self.gamma.len() {
            let plane = channel * area..(channel + 1) * area;
            let (mean, variance) = match statistics {
                Statistics::Running => (self.mean[channel], self.variance[channel]),
                Statistics::Batch => {
                    let planes = pictures.iter().map(|picture| &picture[plane.clone()]);
                    mean_and_variance(planes)
                }
            };
            let (gamma, beta) = (self.gamma[channel], self.beta[channel]);
            for picture in &mut *pictures {
                for value in &mut picture[plane.clone()] {
                    let normal = (*value - mean) / (variance + NORM_EPSILON).sqrt();
                    *value = (normal * gamma + beta).max(0.0);
                }
            }
        }
    }
}

/// Mean and biased variance over all planes.
fn mean_and_variance<'a>(planes: impl Iterator<Item = &'a [f32]> + Clone) -> (f32, f32) {
    let values = || planes.clone().flatten().map(|&value| f64::from(value));
    let count = values().count() as f64;
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, variance as f32)
}

impl<'a> Layer<'a> {
    fn of(
        weights: &'a Weights,
        key: &ConvKey,
        in_channels: usize,
        channels: usize,
    ) -> Result<Self, WeightsError> {
        let shape = [channels, in_channels, 3, 3];
        let norm = key.norm.as_deref();
        Ok(Self {
            weight: weights.array(&format!("{}.weight", key.conv), &shape)?,
            bias: weights.array(&format!("{}.bias", key.conv), &[channels])?,
            norm: norm
                .map(|name| Norm::of(weights, name, channels))
                .transpose()?,
            in_channels,
        })
    }

    fn convolve(&self, input: &[f32], width: usize) -> Vec<f32> {
        let plane = input.len() / self.in_channels;
        let mut output = vec![0f32; plane * self.bias.len()];
        output
            .par_chunks_exact_mut(plane)
            .enumerate()
            .for_each(|(channel, out)| self.channel(channel, input, width, out));
        output
    }

    fn channel(&self, channel: usize, input: &[f32], width: usize, out: &mut [f32]) {
        out.fill(self.bias[channel]);
        let kernels = &self.weight[channel * self.in_channels * 9..][..self.in_channels * 9];
        for (plane, kernel) in input.chunks_exact(out.len()).zip(kernels.chunks_exact(9)) {
            for (tap, &weight) in kernel.iter().enumerate() {
                add_shifted(plane, width, tap / 3, tap % 3, weight, out);
            }
        }
    }
}

/// Adds `weight` times the plane moved by one tap of a 3x3 kernel with zero padding 1.
fn add_shifted(plane: &[f32], width: usize, ky: usize, kx: usize, weight: f32, out: &mut [f32]) {
    let height = plane.len() / width;
    let lines = 1usize.saturating_sub(ky)..height.min(height + 1 - ky);
    let columns = 1usize.saturating_sub(kx)..width.min(width + 1 - kx);
    for line in lines {
        let to = &mut out[line * width..][columns.clone()];
        let from = &plane[(line + ky - 1) * width..][columns.start + kx - 1..][..to.len()];
        for (to, from) in to.iter_mut().zip(from) {
            *to += weight * from;
        }
    }
}

/// 2x2, stride 2; `width` is the input's.
fn max_pool(input: &[f32], width: usize) -> Vec<f32> {
    let mut output = Vec::with_capacity(input.len() / 4);
    for lines in input.chunks_exact(2 * width) {
        let (upper, lower) = lines.split_at(width);
        for (a, b) in upper
            .as_chunks::<2>()
            .0
            .iter()
            .zip(lower.as_chunks::<2>().0)
        {
            output.push(a[0].max(a[1]).max(b[0]).max(b[1]));
        }
    }
    output
}

/// Bilinear x2 of every plane; `width` and `height` are the input's.
fn upsample(input: &[f32], width: usize, height: usize, mode: Upsampling) -> Vec<f32> {
    let across: Vec<Sample> = (0..2 * width).map(|i| Sample::of(i, width, mode)).collect();
    let along: Vec<Sample> = (0..2 * height)
        .map(|i| Sample::of(i, height, mode))
        .collect();
    let mut output = Vec::with_capacity(4 * input.len());
    for plane in input.chunks_exact(width * height) {
        for y in &along {
            let (upper, lower) = (&plane[y.first * width..], &plane[y.second * width..]);
            for x in &across {
                let top = upper[x.first] * (1.0 - x.share) + upper[x.second] * x.share;
                let bottom = lower[x.first] * (1.0 - x.share) + lower[x.second] * x.share;
                output.push(top * (1.0 - y.share) + bottom * y.share);
            }
        }
    }
    output
}

/// Two neighbours and the second's share.
struct Sample {
    first: usize,
    second: usize,
    share: f32,
}

impl Sample {
    fn of(index: usize, length: usize, mode: Upsampling) -> Self {
        let last = (length - 1) as f64;
        let place = match mode {
            Upsampling::AlignCorners => index as f64 * last / (2.0 * length as f64 - 1.0),
            Upsampling::HalfPixel => ((index as f64 + 0.5) / 2.0 - 0.5).clamp(0.0, last),
        };
        let first = (place.floor() as usize).min(length - 1);
        Self {
            first,
            second: (first + 1).min(length - 1),
            share: (place - first as f64) as f32,
        }
    }
}
