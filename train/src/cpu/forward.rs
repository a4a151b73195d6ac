//! The forward pass over a whole batch, pictures in parallel.
//!
//! Kept is what cannot be computed again cheaply: the sums of the convolutions, before norm and ReLU,
//! and the pooled pictures. Everything else is a function of these and is made again, picture by
//! picture, whenever it is read; that halves the memory and stays in the processor's cache.

use super::norm::{self, Affine, Seen, Sums};
use super::parameters::{Norm, Parameters};
use super::plan::Plan;
use super::scratch::{Parts, Scratches, shape_of, shaped};
use crate::grid::LEVELS;
use blemish::draem::{Graph, NodeId, Op};
use blemish::engine::kernels::float::{Activation, Slot, Start, convolve};
use blemish::engine::kernels::float::{BLOCK, Level};
use blemish::engine::kernels::float::{Lines, Planes, Sides, from_planar, to_planar};
use blemish::engine::kernels::float::{Taps, max_pool, upsample};
use rayon::prelude::*;

/// Added to the variance (PyTorch's default).
const EPSILON: f64 = 1e-5;
/// Share of the new batch in the running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// All planes of a picture.
pub const ALL: Slot = Slot { first_block: 0 };

/// Which statistics batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's own; running statistics are updated.
    Train,
    /// The running ones.
    Evaluate,
}

/// How a node's output comes about.
#[derive(Debug, Clone, PartialEq)]
enum Make {
    /// It is kept.
    Kept,
    /// Norm and ReLU of the sums that are kept.
    Activate,
    /// Bilinear from a node with these taps, down and across.
    Upsample(NodeId, Taps, Taps),
    /// The channels of these nodes one after the other.
    Join(Vec<NodeId>),
}

/// What a byte of every node's output stands for, by node; `None` where it stays float.
pub type Steps = Vec<Option<f32>>;

/// Memory of a forward pass: all that the backward pass reads again.
#[derive(Debug)]
pub struct Tape {
    pub level: Level,
    /// Where gradients live.
    pub plan: Plan,
    /// Pictures that there is room for, and those of the last pass.
    pub room: usize,
    pub pictures: usize,
    /// By node: a convolution's sums before norm and ReLU, the picture, or pooled pictures; no values
    /// for what is made from them.
    pub kept: Vec<Planes>,
    /// What batch norm did, by node.
    pub seen: Vec<Seen>,
    /// Whose statistics it used.
    pub mode: Mode,
    /// The grids that outputs are rounded to; without them all stay float.
    pub steps: Option<Steps>,
    pub scratches: Scratches,
    make: Vec<Make>,
    channels: Vec<usize>,
}

impl Tape {
    /// Room for `pictures` pictures of `height x width`.
    pub fn new(level: Level, graph: &Graph, pictures: usize, height: usize, width: usize) -> Self {
        let make: Vec<Make> = (graph.nodes.iter())
            .map(|node| match &node.op {
                Op::Conv { key, .. } if key.norm.is_some() => Make::Activate,
                Op::Image | Op::Conv { .. } | Op::MaxPool => Make::Kept,
                Op::Upsample => {
                    let input = node.inputs[0];
                    let shrink = graph.nodes[input].shrink_log2;
                    let taps = |side: usize| Taps::new(side >> shrink, graph.spec.upsampling);
                    Make::Upsample(input, taps(height), taps(width))
                }
                Op::Concat => Make::Join(node.inputs.clone()),
            })
            .collect();
        let kept = (graph.nodes.iter().zip(&make))
            .map(|(node, make)| {
                let blocks = node.channels.div_ceil(BLOCK);
                let shrink = node.shrink_log2;
                let keeps = matches!(make, Make::Kept | Make::Activate);
                let held = if keeps { pictures } else { 0 };
                let planes = Planes::new(held, blocks, height >> shrink, width >> shrink);
                Planes { pictures, ..planes }
            })
            .collect();
        Tape {
            level,
            plan: Plan::new(graph, height, width),
            room: pictures,
            pictures,
            kept,
            seen: vec![Seen::default(); graph.nodes.len()],
            mode: Mode::Evaluate,
            steps: None,
            scratches: Scratches::default(),
            make,
            channels: graph.nodes.iter().map(|node| node.channels).collect(),
        }
    }

    /// Sides of a node's output.
    pub fn sides(&self, node: NodeId) -> Sides {
        Sides::of(&self.kept[node])
    }

    /// Runs both networks on `N x 3 x H x W` pictures, at most as many as there is room for.
    pub fn forward(
        &mut self,
        graph: &Graph,
        parameters: &mut Parameters,
        pictures: &[f32],
        mode: Mode,
    ) {
        let sides = self.sides(0);
        self.mode = mode;
        self.pictures = pictures.len() / (3 * sides.height * sides.width);
        let mut convolution = 0;
        for (id, node) in graph.nodes.iter().enumerate() {
            match &node.op {
                Op::Image => self.load(id, pictures, node.channels),
                Op::Conv { .. } => {
                    self.conv(id, node.inputs[0], parameters, convolution, mode);
                    convolution += 1;
                }
                Op::MaxPool => self.pool(id, node.inputs[0]),
                Op::Upsample | Op::Concat => {}
            }
        }
    }

    /// A node's output as `N x C x H x W`.
    pub fn output(&self, node: NodeId, channels: usize) -> Vec<f32> {
        let sides = self.sides(node);
        let length = channels * sides.height * sides.width;
        let mut planar = vec![0.0; self.pictures * length];
        let mut lent = self.scratches.lend();
        let scratch = &mut lent.scratch;
        for (number, planar) in planar.chunks_exact_mut(length).enumerate() {
            let picture = self.picture(node, number, &mut scratch.input, &mut scratch.parts);
            to_planar(picture, 0, &mut Lines::bare(sides, planar));
        }
        planar
    }

    /// Picture `number` of a node's output, with its ring; made in `memory` where it is not kept.
    pub fn picture<'a>(
        &'a self,
        node: NodeId,
        number: usize,
        memory: &'a mut Vec<f32>,
        parts: &mut Parts,
    ) -> &'a [f32] {
        if self.make[node] == Make::Kept {
            return self.kept_picture(node, number);
        }
        let picture = shaped(memory, &self.kept[node]);
        self.write(node, number, picture, parts);
        picture
    }

    fn kept_picture(&self, node: NodeId, number: usize) -> &[f32] {
        let stride = self.kept[node].picture_stride();
        &self.kept[node].values[number * stride..][..stride]
    }

    /// Writes picture `number` of a node's output into planes of its shape, whose ring is zero.
    fn write(&self, node: NodeId, number: usize, to: &mut [f32], parts: &mut Parts) {
        let sides = self.sides(node);
        match &self.make[node] {
            Make::Kept => to.copy_from_slice(self.kept_picture(node, number)),
            Make::Activate => {
                let sums = self.kept_picture(node, number);
                norm::activate(self.level, sides, sums, &self.seen[node].affine, to);
                self.round(node, to);
            }
            Make::Upsample(input, vertical, horizontal) => {
                let mut below = std::mem::take(&mut parts.below);
                let from = self.picture(*input, number, &mut below, parts);
                let sides = self.sides(*input);
                let line = &mut parts.line;
                let lines = &mut Lines::ringed(sides.twice(), to);
                upsample(self.level, sides, vertical, horizontal, from, lines, line);
                self.round(node, to);
                parts.below = below;
            }
            Make::Join(inputs) => {
                let whole =
                    (inputs.iter()).all(|&input| self.channels[input].is_multiple_of(BLOCK));
                let mut first_channel = 0;
                if whole {
                    for &input in inputs {
                        let first = first_channel / BLOCK * sides.plane();
                        let length = self.kept[input].picture_stride();
                        self.write(input, number, &mut to[first..first + length], parts);
                        first_channel += self.channels[input];
                    }
                    return;
                }
                // Lanes beyond the real channels must be zero.
                to.fill(0.0);
                let mut below = std::mem::take(&mut parts.below);
                let mut planar = std::mem::take(&mut parts.planar);
                for &input in inputs {
                    let channels = self.channels[input];
                    planar.resize(channels * sides.height * sides.width, 0.0);
                    let from = self.picture(input, number, &mut below, parts);
                    to_planar(from, 0, &mut Lines::bare(sides, &mut planar));
                    // The reconstruction is kept as it is; what is joined is cut to the grid.
                    self.round(input, &mut planar);
                    let to = &mut Lines::ringed(sides, to);
                    from_planar(to, first_channel, &planar, channels);
                    first_channel += channels;
                }
                parts.below = below;
                parts.planar = planar;
            }
        }
    }

    /// What a byte of a node's output stands for, where it has a grid.
    pub fn step(&self, node: NodeId) -> Option<f32> {
        self.steps.as_ref().and_then(|steps| steps[node])
    }

    fn round(&self, node: NodeId, values: &mut [f32]) {
        if let Some(step) = self.step(node) {
            norm::round_to_bytes(self.level, values, step);
        }
    }

    fn load(&mut self, id: NodeId, pictures: &[f32], channels: usize) {
        let to = &mut self.kept[id];
        let sides = Sides::of(to);
        let stride = to.picture_stride();
        to.values
            .par_chunks_exact_mut(stride)
            .zip(pictures.par_chunks_exact(channels * sides.height * sides.width))
            .for_each(|(to, from)| from_planar(&mut Lines::ringed(sides, to), 0, from, channels));
    }

    fn conv(
        &mut self,
        id: NodeId,
        input: NodeId,
        parameters: &mut Parameters,
        convolution: usize,
        mode: Mode,
    ) {
        let conv = &mut parameters.convolutions[convolution];
        let mut output = std::mem::take(&mut self.kept[id]);
        let like = shape_of(&output);
        let channels = like.blocks * BLOCK;
        let tape = &*self;
        let sides = Sides::of(&like);
        let counts = conv.norm.is_some() && mode == Mode::Train;
        let sums: Vec<Sums> = output
            .values
            .par_chunks_exact_mut(like.picture_stride())
            .take(tape.pictures)
            .enumerate()
            .map_init(
                || tape.scratches.lend(),
                |lent, (number, to)| {
                    let scratch = &mut lent.scratch;
                    let mut sums = Sums::new(channels);
                    let from = tape.picture(input, number, &mut scratch.input, &mut scratch.parts);
                    convolve(
                        tape.level,
                        &conv.packed,
                        from,
                        ALL,
                        &mut Lines::ringed(sides, to),
                        ALL,
                        Start::Bias,
                        Activation::None,
                        |block, _, line| {
                            if counts {
                                norm::add_line(&mut sums, block, line);
                            }
                        },
                    );
                    sums
                },
            )
            .collect();
        self.kept[id] = output;
        let Some(norm) = &mut conv.norm else {
            return;
        };
        let limit = self.step(id).map_or(f32::INFINITY, |step| LEVELS * step);
        let seen = match mode {
            Mode::Train => {
                let mut all = Sums::new(channels);
                sums.iter().for_each(|sums| all.merge(sums));
                let count = self.pictures * like.height * like.width;
                batch_statistics(norm, &conv.bias.values, &all, count)
            }
            Mode::Evaluate => running_statistics(norm, &conv.bias.values, channels),
        };
        self.seen[id] = Seen { limit, ..seen };
    }

    fn pool(&mut self, id: NodeId, input: NodeId) {
        let mut output = std::mem::take(&mut self.kept[id]);
        let tape = &*self;
        let sides = tape.sides(input);
        let stride = output.picture_stride();
        output
            .values
            .par_chunks_exact_mut(stride)
            .take(tape.pictures)
            .enumerate()
            .for_each_init(
                || tape.scratches.lend(),
                |lent, (number, to)| {
                    let scratch = &mut lent.scratch;
                    let from = tape.picture(input, number, &mut scratch.input, &mut scratch.parts);
                    max_pool(
                        tape.level,
                        sides,
                        from,
                        &mut Lines::ringed(sides.half(), to),
                    );
                },
            );
        self.kept[id] = output;
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
        // Rounding may leave less than nothing; `max` would hide what is not a number.
        let variance = match sums.second[channel] / count - mean * mean {
            negative if negative < 0.0 => 0.0,
            variance => variance,
        };
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
        limit: f32::INFINITY,
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
