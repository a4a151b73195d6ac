//! The backward pass: nodes in reverse, gradients in buffers that are handed on as soon as they are
//! used up.

use super::forward::{Tape, shape_of};
use super::norm::{self, Sums};
use super::parameters::{Conv, Parameters};
use super::resample;
use super::weight_gradient;
use blemish::draem::{Graph, NodeId, Op};
use blemish::engine::kernels::float::BLOCK;
use blemish::engine::kernels::float::Taps;
use blemish::engine::kernels::float::{Activation, Slot, Start, convolve};
use blemish::engine::kernels::float::{Planes, Sides, from_planar, to_planar};
use rayon::prelude::*;
use std::collections::HashMap;

/// Gradient buffers that wait to be used again, and scratch for weight gradients.
#[derive(Debug, Default)]
pub struct Pool {
    free: HashMap<(usize, usize, usize, usize), Vec<Planes>>,
    sums: Vec<f32>,
}

impl Pool {
    fn take(&mut self, like: &Planes) -> Planes {
        let key = (like.pictures, like.blocks, like.height, like.width);
        let free = self.free.get_mut(&key).and_then(Vec::pop);
        free.unwrap_or_else(|| Planes::new(key.0, key.1, key.2, key.3))
    }

    fn give(&mut self, planes: Planes) {
        let key = (planes.pictures, planes.blocks, planes.height, planes.width);
        self.free.entry(key).or_default().push(planes);
    }
}

/// A backward pass under way.
pub struct Backward<'a> {
    graph: &'a Graph,
    tape: &'a Tape,
    pool: &'a mut Pool,
    /// By buffer.
    gradients: Vec<Option<Planes>>,
    /// By node: whether something has been written into its gradient.
    written: Vec<bool>,
}

impl<'a> Backward<'a> {
    /// Begins with no gradient anywhere.
    pub fn new(graph: &'a Graph, tape: &'a Tape, pool: &'a mut Pool) -> Self {
        Self {
            graph,
            tape,
            pool,
            gradients: vec![None; tape.buffers.len()],
            written: vec![false; graph.nodes.len()],
        }
    }

    /// Sets the gradient by a node's output, `N x C x H x W`.
    pub fn seed(&mut self, node: NodeId, planar: &[f32]) {
        let channels = self.graph.nodes[node].channels;
        let (mut gradient, slot) = self.open(node);
        // Lanes beyond the real channels must be zero, whatever the buffer held before.
        gradient.values.fill(0.0);
        let sides = Sides::of(&gradient);
        let stride = gradient.picture_stride();
        for (to, from) in gradient
            .values
            .chunks_exact_mut(stride)
            .zip(planar.chunks_exact(channels * sides.height * sides.width))
        {
            from_planar(to, sides, slot.first_block * BLOCK, from, channels);
        }
        self.close(node, gradient);
    }

    /// Computes the gradients of all parameters.
    pub fn run(mut self, parameters: &mut Parameters) {
        let mut convolution = parameters.convolutions.len();
        for (id, node) in self.graph.nodes.iter().enumerate().rev() {
            match &node.op {
                Op::Image => {}
                Op::Conv { .. } => {
                    convolution -= 1;
                    self.conv(
                        id,
                        node.inputs[0],
                        &mut parameters.convolutions[convolution],
                    );
                }
                Op::MaxPool => self.pool(id, node.inputs[0]),
                Op::Upsample => self.upsample(id, node.inputs[0]),
                Op::Concat => {
                    if self.tape.plan.copies[id] {
                        self.concat(id);
                    } else {
                        for &input in &node.inputs {
                            self.written[input] = true;
                        }
                    }
                }
            }
            let buffer = self.tape.plan.places[id].0;
            if self.tape.plan.first_writer[buffer] == id
                && let Some(used) = self.gradients[buffer].take()
            {
                self.pool.give(used);
            }
        }
    }

    /// Takes a node's gradient buffer out, to be put back with [`Self::close`].
    fn open(&mut self, node: NodeId) -> (Planes, Slot) {
        let (buffer, slot) = self.tape.plan.places[node];
        let gradient = match self.gradients[buffer].take() {
            Some(gradient) => gradient,
            None => self.pool.take(&self.tape.buffers[buffer]),
        };
        (gradient, slot)
    }

    fn close(&mut self, node: NodeId, gradient: Planes) {
        self.gradients[self.tape.plan.places[node].0] = Some(gradient);
        self.written[node] = true;
    }

    fn conv(&mut self, id: NodeId, input: NodeId, conv: &mut Conv) {
        let Some(gradient) = self.gradients[self.tape.plan.places[id].0].take() else {
            return;
        };
        let by_z = self.through_norm(id, &gradient, conv);
        self.gradients[self.tape.plan.places[id].0] = Some(gradient);
        let by_z = match by_z {
            Some(by_z) => by_z,
            None => match self.gradients[self.tape.plan.places[id].0].take() {
                Some(linear) => linear,
                None => return,
            },
        };
        self.weights(input, &by_z, conv);
        if self.tape.plan.needs_gradient[input] {
            let start = if self.written[input] {
                Start::Output
            } else {
                Start::Bias
            };
            let (mut into, slot) = self.open(input);
            let like = shape_of(&into);
            into.values
                .par_chunks_exact_mut(like.picture_stride())
                .zip(by_z.values.par_chunks_exact(by_z.picture_stride()))
                .for_each(|(to, from)| {
                    let first = Slot { first_block: 0 };
                    convolve(
                        self.tape.level,
                        &conv.turned,
                        &by_z,
                        from,
                        first,
                        &like,
                        to,
                        slot,
                        start,
                        Activation::None,
                        |_, _, _| {},
                    );
                });
            self.close(input, into);
        }
        self.pool.give(by_z);
    }

    /// Gradient by the convolution's output from the gradient behind norm and ReLU; `None` where
    /// there is no norm and both are the same.
    fn through_norm(&mut self, id: NodeId, gradient: &Planes, conv: &mut Conv) -> Option<Planes> {
        let level = self.tape.level;
        let Some(norm) = &mut conv.norm else {
            let sides = Sides::of(gradient);
            conv.bias.gradient.fill(0.0);
            for picture in gradient.values.chunks_exact(gradient.picture_stride()) {
                for (channel, sum) in conv.bias.gradient.iter_mut().enumerate() {
                    let plane = &picture[channel / BLOCK * sides.plane()..][..sides.plane()];
                    for line in 0..sides.height {
                        let pixels = plane[sides.line(line)].chunks_exact(BLOCK);
                        *sum += pixels.map(|pixel| pixel[channel % BLOCK]).sum::<f32>();
                    }
                }
            }
            return None;
        };
        let z = &self.tape.before_norm[id];
        let seen = &self.tape.seen[id];
        let sides = Sides::of(z);
        let region = self.tape.plan.places[id].1.first_block * sides.plane();
        let parts: Vec<Sums> = z
            .values
            .par_chunks_exact(z.picture_stride())
            .zip(gradient.values.par_chunks_exact(gradient.picture_stride()))
            .map(|(z, gradient)| {
                let mut sums = Sums::new(seen.mean.len());
                let gradient = &gradient[region..region + z.len()];
                norm::gradient_sums(level, sides, z, gradient, seen, &mut sums);
                sums
            })
            .collect();
        let mut means = Sums::new(seen.mean.len());
        parts.iter().for_each(|part| means.merge(part));
        for channel in 0..norm.gamma.values.len() {
            norm.beta.gradient[channel] = means.first[channel] as f32;
            norm.gamma.gradient[channel] = means.second[channel] as f32;
        }
        let count = (self.tape.pictures * sides.height * sides.width) as f64;
        for sums in [&mut means.first, &mut means.second] {
            sums.iter_mut().for_each(|sum| *sum /= count);
        }
        // A constant in front of batch norm changes nothing: the bias's gradient is exactly zero.
        conv.bias.gradient.fill(0.0);
        let mut by_z = self.pool.take(z);
        let stride = by_z.picture_stride();
        by_z.values
            .par_chunks_exact_mut(stride)
            .zip(z.values.par_chunks_exact(z.picture_stride()))
            .zip(gradient.values.par_chunks_exact(gradient.picture_stride()))
            .for_each(|((to, z), gradient)| {
                let gradient = &gradient[region..region + z.len()];
                norm::gradient(level, sides, z, gradient, seen, &means, to);
            });
        Some(by_z)
    }

    fn weights(&mut self, input: NodeId, by_z: &Planes, conv: &mut Conv) {
        let (buffer, slot) = self.tape.plan.places[input];
        let seen = &self.tape.buffers[buffer];
        let in_blocks = conv.in_channels.div_ceil(BLOCK);
        let length = weight_gradient::length(in_blocks, by_z.blocks);
        // One sum per picture, added in order: the number of threads changes nothing.
        let sums = &mut self.pool.sums;
        sums.clear();
        sums.resize(length * self.tape.pictures, 0.0);
        sums.par_chunks_exact_mut(length)
            .zip(seen.values.par_chunks_exact(seen.picture_stride()))
            .zip(by_z.values.par_chunks_exact(by_z.picture_stride()))
            .for_each(|((sums, seen_picture), gradient)| {
                weight_gradient::accumulate(
                    self.tape.level,
                    seen,
                    seen_picture,
                    slot,
                    in_blocks,
                    by_z,
                    gradient,
                    sums,
                );
            });
        let (first, rest) = sums.split_at_mut(length);
        for part in rest.chunks_exact(length) {
            for (sum, value) in first.iter_mut().zip(part) {
                *sum += value;
            }
        }
        conv.unpack_gradient(first);
    }

    fn pool(&mut self, id: NodeId, input: NodeId) {
        let level = self.tape.level;
        let Some(gradient) = self.gradients[self.tape.plan.places[id].0].take() else {
            return;
        };
        let add = self.written[input];
        let (mut into, slot) = self.open(input);
        let seen = &self.tape.buffers[self.tape.plan.places[input].0];
        let sides = Sides::of(seen);
        let region = slot.first_block * sides.plane();
        let length = gradient.blocks * sides.plane();
        let stride = into.picture_stride();
        into.values
            .par_chunks_exact_mut(stride)
            .zip(seen.values.par_chunks_exact(stride))
            .zip(gradient.values.par_chunks_exact(gradient.picture_stride()))
            .for_each(|((to, seen), gradient)| {
                let to = &mut to[region..region + length];
                let seen = &seen[region..region + length];
                resample::max_pool_gradient(level, sides, seen, gradient, to, add);
            });
        self.close(input, into);
        self.gradients[self.tape.plan.places[id].0] = Some(gradient);
    }

    fn upsample(&mut self, id: NodeId, input: NodeId) {
        let level = self.tape.level;
        let Some(gradient) = self.gradients[self.tape.plan.places[id].0].take() else {
            return;
        };
        let (mut into, slot) = self.open(input);
        let sides = Sides::of(&into);
        let vertical = Taps::new(sides.height, self.graph.spec.upsampling);
        let horizontal = Taps::new(sides.width, self.graph.spec.upsampling);
        let region = slot.first_block * sides.plane();
        let length = gradient.blocks * sides.plane();
        let stride = into.picture_stride();
        into.values
            .par_chunks_exact_mut(stride)
            .zip(gradient.values.par_chunks_exact(gradient.picture_stride()))
            .for_each_init(Vec::new, |line, (to, gradient)| {
                let to = &mut to[region..region + length];
                resample::upsample_gradient(
                    level,
                    sides,
                    &vertical,
                    &horizontal,
                    gradient,
                    to,
                    line,
                );
            });
        self.close(input, into);
        self.gradients[self.tape.plan.places[id].0] = Some(gradient);
    }

    fn concat(&mut self, id: NodeId) {
        let Some(gradient) = self.gradients[self.tape.plan.places[id].0].take() else {
            return;
        };
        let sides = Sides::of(&gradient);
        let (mut part, mut before) = (Vec::new(), Vec::new());
        let mut first_channel = 0;
        for &input in &self.graph.nodes[id].inputs {
            let channels = self.graph.nodes[input].channels;
            if self.tape.plan.needs_gradient[input] {
                let add = self.written[input];
                let (mut into, slot) = self.open(input);
                if !add {
                    into.values.fill(0.0);
                }
                let stride = into.picture_stride();
                part.resize(channels * sides.height * sides.width, 0.0);
                before.resize(part.len(), 0.0);
                for (to, from) in into
                    .values
                    .chunks_exact_mut(stride)
                    .zip(gradient.values.chunks_exact(gradient.picture_stride()))
                {
                    to_planar(from, sides, first_channel, &mut part, channels);
                    if add {
                        let first = slot.first_block * BLOCK;
                        to_planar(to, sides, first, &mut before, channels);
                        part.iter_mut()
                            .zip(&before)
                            .for_each(|(sum, value)| *sum += value);
                    }
                    from_planar(to, sides, slot.first_block * BLOCK, &part, channels);
                }
                self.close(input, into);
            }
            first_channel += channels;
        }
        self.gradients[self.tape.plan.places[id].0] = Some(gradient);
    }
}
