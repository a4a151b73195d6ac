//! The forward pass over a whole batch, pictures in parallel.

use super::norm::{self, Affine, Seen, Sums};
use super::parameters::{Conv, Norm, Parameters};
use super::plan::Plan;
use blemish::draem::{Graph, NodeId, Op};
use blemish::engine::kernels::float::{Activation, Slot, Start, convolve};
use blemish::engine::kernels::float::{BLOCK, Level};
use blemish::engine::kernels::float::{Planes, Sides, from_planar, to_planar};
use blemish::engine::kernels::float::{Taps, max_pool, upsample};
use rayon::prelude::*;

/// Added to the variance (PyTorch's default).
const EPSILON: f64 = 1e-5;
/// Share of the new batch in the running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// Which statistics batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's own; running statistics are updated.
    Train,
    /// The running ones.
    Evaluate,
}

/// Memory of a forward pass: all that the backward pass reads again.
#[derive(Debug)]
pub struct Tape {
    pub level: Level,
    pub plan: Plan,
    pub pictures: usize,
    pub buffers: Vec<Planes>,
    /// Outputs of normed convolutions before the norm, by node.
    pub before_norm: Vec<Planes>,
    /// What batch norm did, by node.
    pub seen: Vec<Seen>,
}

impl Tape {
    /// Buffers for `pictures` pictures of `height x width`.
    pub fn new(level: Level, graph: &Graph, pictures: usize, height: usize, width: usize) -> Self {
        let plan = Plan::new(graph, height, width);
        let before_norm = graph
            .nodes
            .iter()
            .map(|node| match &node.op {
                Op::Conv { key, .. } if key.norm.is_some() => Planes::new(
                    pictures,
                    node.channels.div_ceil(BLOCK),
                    height >> node.shrink_log2,
                    width >> node.shrink_log2,
                ),
                _ => Planes::default(),
            })
            .collect();
        Tape {
            level,
            buffers: plan.buffers(pictures),
            plan,
            pictures,
            before_norm,
            seen: vec![Seen::default(); graph.nodes.len()],
        }
    }

    /// Sides of a node's output.
    pub fn sides(&self, node: NodeId) -> Sides {
        Sides::of(&self.buffers[self.plan.places[node].0])
    }

    /// Runs both networks on `N x 3 x H x W` pictures.
    pub fn forward(
        &mut self,
        graph: &Graph,
        parameters: &mut Parameters,
        pictures: &[f32],
        mode: Mode,
    ) {
        let mut convolution = 0;
        for (id, node) in graph.nodes.iter().enumerate() {
            match &node.op {
                Op::Image => self.load(id, pictures, node.channels),
                Op::Conv { .. } => {
                    let conv = &mut parameters.convolutions[convolution];
                    self.conv(id, node.inputs[0], conv, mode);
                    convolution += 1;
                }
                Op::MaxPool => self.pool(id, node.inputs[0]),
                Op::Upsample => self.upsample(graph, id, node.inputs[0]),
                Op::Concat => {
                    if self.plan.copies[id] {
                        self.concat(graph, id);
                    }
                }
            }
        }
    }

    /// A node's output as `N x C x H x W`.
    pub fn output(&self, node: NodeId, channels: usize) -> Vec<f32> {
        let (buffer, slot) = self.plan.places[node];
        let buffer = &self.buffers[buffer];
        let sides = Sides::of(buffer);
        let mut planar = vec![0.0; self.pictures * channels * sides.height * sides.width];
        for (picture, planar) in buffer
            .values
            .chunks_exact(buffer.picture_stride())
            .zip(planar.chunks_exact_mut(channels * sides.height * sides.width))
        {
            to_planar(picture, sides, slot.first_block * BLOCK, planar, channels);
        }
        planar
    }

    fn load(&mut self, id: NodeId, pictures: &[f32], channels: usize) {
        let buffer = &mut self.buffers[self.plan.places[id].0];
        let sides = Sides::of(buffer);
        let stride = buffer.picture_stride();
        buffer
            .values
            .par_chunks_exact_mut(stride)
            .zip(pictures.par_chunks_exact(channels * sides.height * sides.width))
            .for_each(|(to, from)| from_planar(to, sides, 0, from, channels));
    }

    fn conv(&mut self, id: NodeId, input: NodeId, conv: &mut Conv, mode: Mode) {
        let level = self.level;
        let (input_buffer, input_slot) = self.plan.places[input];
        let (output_buffer, output_slot) = self.plan.places[id];
        let Some(norm) = &mut conv.norm else {
            let mut output = std::mem::take(&mut self.buffers[output_buffer]);
            let from = &self.buffers[input_buffer];
            let like = shape_of(&output);
            output
                .values
                .par_chunks_exact_mut(like.picture_stride())
                .zip(from.values.par_chunks_exact(from.picture_stride()))
                .for_each(|(to, picture)| {
                    convolve(
                        level,
                        &conv.packed,
                        from,
                        picture,
                        input_slot,
                        &like,
                        to,
                        output_slot,
                        Start::Bias,
                        Activation::None,
                        |_, _, _| {},
                    );
                });
            self.buffers[output_buffer] = output;
            return;
        };
        let from = &self.buffers[input_buffer];
        let z = &mut self.before_norm[id];
        let like = shape_of(z);
        let channels = like.blocks * BLOCK;
        let sums: Vec<Sums> = z
            .values
            .par_chunks_exact_mut(like.picture_stride())
            .zip(from.values.par_chunks_exact(from.picture_stride()))
            .map(|(to, picture)| {
                let mut sums = Sums::new(channels);
                let slot = Slot { first_block: 0 };
                convolve(
                    level,
                    &conv.packed,
                    from,
                    picture,
                    input_slot,
                    &like,
                    to,
                    slot,
                    Start::Bias,
                    Activation::None,
                    |block, _, line| {
                        if mode == Mode::Train {
                            norm::add_line(&mut sums, block, line);
                        }
                    },
                );
                sums
            })
            .collect();
        let seen = &mut self.seen[id];
        match mode {
            Mode::Train => {
                let mut all = Sums::new(channels);
                sums.iter().for_each(|sums| all.merge(sums));
                let count = self.pictures * like.height * like.width;
                *seen = batch_statistics(norm, &conv.bias.values, &all, count);
            }
            Mode::Evaluate => *seen = running_statistics(norm, &conv.bias.values, channels),
        }
        let output = &mut self.buffers[output_buffer];
        let sides = Sides::of(output);
        let stride = output.picture_stride();
        let region = output_slot.first_block * sides.plane();
        let z = &self.before_norm[id];
        let affine = &self.seen[id].affine;
        output
            .values
            .par_chunks_exact_mut(stride)
            .zip(z.values.par_chunks_exact(like.picture_stride()))
            .for_each(|(to, z)| {
                let to = &mut to[region..region + z.len()];
                norm::activate(level, sides, z, affine, to);
            });
    }

    fn pool(&mut self, id: NodeId, input: NodeId) {
        let level = self.level;
        let (output_buffer, _) = self.plan.places[id];
        let (input_buffer, slot) = self.plan.places[input];
        let mut output = std::mem::take(&mut self.buffers[output_buffer]);
        let from = &self.buffers[input_buffer];
        let sides = Sides::of(from);
        let region = slot.first_block * sides.plane();
        let length = output.blocks * sides.plane();
        let stride = output.picture_stride();
        output
            .values
            .par_chunks_exact_mut(stride)
            .zip(from.values.par_chunks_exact(from.picture_stride()))
            .for_each(|(to, from)| {
                max_pool(level, sides, &from[region..region + length], to);
            });
        self.buffers[output_buffer] = output;
    }

    fn upsample(&mut self, graph: &Graph, id: NodeId, input: NodeId) {
        let level = self.level;
        let (output_buffer, _) = self.plan.places[id];
        let (input_buffer, slot) = self.plan.places[input];
        let mut output = std::mem::take(&mut self.buffers[output_buffer]);
        let from = &self.buffers[input_buffer];
        let sides = Sides::of(from);
        let vertical = Taps::new(sides.height, graph.spec.upsampling);
        let horizontal = Taps::new(sides.width, graph.spec.upsampling);
        let region = slot.first_block * sides.plane();
        let length = output.blocks * sides.plane();
        let stride = output.picture_stride();
        output
            .values
            .par_chunks_exact_mut(stride)
            .zip(from.values.par_chunks_exact(from.picture_stride()))
            .for_each_init(Vec::new, |line, (to, from)| {
                let from = &from[region..region + length];
                upsample(level, sides, &vertical, &horizontal, from, to, line);
            });
        self.buffers[output_buffer] = output;
    }

    fn concat(&mut self, graph: &Graph, id: NodeId) {
        let (output_buffer, _) = self.plan.places[id];
        let mut output = std::mem::take(&mut self.buffers[output_buffer]);
        let sides = Sides::of(&output);
        let stride = output.picture_stride();
        let mut planar = Vec::new();
        let mut first_channel = 0;
        for &input in &graph.nodes[id].inputs {
            let channels = graph.nodes[input].channels;
            let (buffer, slot) = self.plan.places[input];
            let from = &self.buffers[buffer];
            planar.resize(channels * sides.height * sides.width, 0.0);
            for (to, from) in output
                .values
                .chunks_exact_mut(stride)
                .zip(from.values.chunks_exact(from.picture_stride()))
            {
                to_planar(from, sides, slot.first_block * BLOCK, &mut planar, channels);
                from_planar(to, sides, first_channel, &planar, channels);
            }
            first_channel += channels;
        }
        self.buffers[output_buffer] = output;
    }
}

/// The shape of `planes` without its values.
pub fn shape_of(planes: &Planes) -> Planes {
    Planes {
        values: Vec::new(),
        ..*planes
    }
}

/// Mean and variance of the batch, whose convolution left its bias out; updates the running
/// statistics (with the bias, the variance divided by `count - 1`).
fn batch_statistics(norm: &mut Norm, bias: &[f32], sums: &Sums, count: usize) -> Seen {
    let channels = sums.first.len();
    let mut seen = zero_seen(channels);
    let count = count as f64;
    for (channel, &bias) in bias.iter().enumerate() {
        let mean = sums.first[channel] / count;
        let variance = (sums.second[channel] / count - mean * mean).max(0.0);
        let unbiased = variance * count / (count - 1.0).max(1.0);
        let running = &mut norm.running_mean[channel];
        *running =
            (f64::from(*running) * (1.0 - MOMENTUM) + MOMENTUM * (mean + f64::from(bias))) as f32;
        let running = &mut norm.running_var[channel];
        *running = (f64::from(*running) * (1.0 - MOMENTUM) + MOMENTUM * unbiased) as f32;
        set(&mut seen, norm, channel, mean, variance);
    }
    seen
}

fn running_statistics(norm: &Norm, bias: &[f32], channels: usize) -> Seen {
    let mut seen = zero_seen(channels);
    for (channel, &bias) in bias.iter().enumerate() {
        let mean = f64::from(norm.running_mean[channel]) - f64::from(bias);
        let variance = f64::from(norm.running_var[channel]);
        set(&mut seen, norm, channel, mean, variance);
    }
    seen
}

fn zero_seen(channels: usize) -> Seen {
    Seen {
        affine: Affine {
            scale: vec![0.0; channels],
            shift: vec![0.0; channels],
        },
        mean: vec![0.0; channels],
        inverse_deviation: vec![0.0; channels],
    }
}

fn set(seen: &mut Seen, norm: &Norm, channel: usize, mean: f64, variance: f64) {
    let inverse = 1.0 / (variance + EPSILON).sqrt();
    let scale = f64::from(norm.gamma.values[channel]) * inverse;
    seen.mean[channel] = mean as f32;
    seen.inverse_deviation[channel] = inverse as f32;
    seen.affine.scale[channel] = scale as f32;
    seen.affine.shift[channel] = (f64::from(norm.beta.values[channel]) - mean * scale) as f32;
}
