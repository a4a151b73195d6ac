//! The backward pass: nodes in reverse, gradients in buffers that are handed on as soon as they are
//! used up.

use super::forward::{ALL, Mode, Tape};
use super::norm::{self, Sums};
use super::parameters::{Conv, Parameters};
use super::resample;
use super::scratch::{Pool, shape_of, shaped};
use super::weight_gradient;
use blemish::draem::{Graph, NodeId, Op};
use blemish::engine::kernels::float::BLOCK;
use blemish::engine::kernels::float::Taps;
use blemish::engine::kernels::float::{Activation, Slot, Start, convolve};
use blemish::engine::kernels::float::{Lines, Planes, Sides, from_planar, to_planar};
use rayon::prelude::*;

/// Where a picture's gradient by a convolution's input goes.
struct Target<'a> {
    values: &'a mut [f32],
    shape: Planes,
    slot: Slot,
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
            gradients: vec![None; tape.plan.shapes.len()],
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
            let to = &mut Lines::ringed(sides, to);
            from_planar(to, slot.first_block * BLOCK, from, channels);
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
            None => {
                let (blocks, height, width) = self.tape.plan.shapes[buffer];
                self.pool.take(&Planes {
                    pictures: self.tape.pictures,
                    blocks,
                    height,
                    width,
                    values: Vec::new(),
                })
            }
        };
        (gradient, slot)
    }

    fn close(&mut self, node: NodeId, gradient: Planes) {
        self.gradients[self.tape.plan.places[node].0] = Some(gradient);
        self.written[node] = true;
    }

    fn conv(&mut self, id: NodeId, input: NodeId, conv: &mut Conv) {
        let (buffer, slot) = self.tape.plan.places[id];
        let Some(gradient) = self.gradients[buffer].take() else {
            return;
        };
        let tape = self.tape;
        let level = tape.level;
        let means = self.through_norm(id, &gradient, conv);
        let like = shape_of(&tape.kept[id]);
        let region = slot.first_block * Sides::of(&like).plane();
        let region = region..region + like.picture_stride();
        let in_blocks = conv.in_channels.div_ceil(BLOCK);
        let length = weight_gradient::length(in_blocks, like.blocks);
        // One sum per picture, added in order: the number of threads changes nothing.
        let mut sums = std::mem::take(&mut self.pool.sums);
        sums.clear();
        sums.resize(length * tape.pictures, 0.0);
        let start = match self.written[input] {
            true => Start::Output,
            false => Start::Bias,
        };
        let like_input = shape_of(&tape.kept[input]);
        let mut into = match tape.plan.needs_gradient[input] {
            true => Some(self.open(input)),
            false => None,
        };
        // A picture's input and gradient are made in scratch and used up while the cache holds them.
        let work = |number: usize, sums: &mut [f32], target: Option<Target<'_>>| {
            let mut lent = tape.scratches.lend();
            let scratch = &mut lent.scratch;
            let stride = gradient.picture_stride();
            let gradient = &gradient.values[number * stride..][..stride][region.clone()];
            let by_output = match &means {
                None => gradient,
                Some(means) => {
                    let by_output = shaped(&mut scratch.by_output, &like);
                    let stride = like.picture_stride();
                    let before = &tape.kept[id].values[number * stride..][..stride];
                    let (sides, seen) = (Sides::of(&like), &tape.seen[id]);
                    norm::gradient(level, sides, before, gradient, seen, means, by_output);
                    &*by_output
                }
            };
            let seen = tape.picture(input, number, &mut scratch.input, &mut scratch.parts);
            weight_gradient::accumulate(
                level,
                &like_input,
                seen,
                ALL,
                in_blocks,
                &like,
                by_output,
                sums,
            );
            if let Some(Target {
                values,
                shape,
                slot,
            }) = target
            {
                convolve(
                    level,
                    &conv.turned,
                    by_output,
                    ALL,
                    &mut Lines::ringed(Sides::of(&shape), values),
                    slot,
                    start,
                    Activation::None,
                    |_, _, _| {},
                );
            }
        };
        let per_picture = sums.par_chunks_exact_mut(length).enumerate();
        match &mut into {
            None => per_picture.for_each(|(number, sums)| work(number, sums, None)),
            Some((into, slot)) => {
                let (shape, slot) = (shape_of(into), *slot);
                let stride = shape.picture_stride();
                let targets = into.values.par_chunks_exact_mut(stride);
                per_picture
                    .zip(targets)
                    .for_each(|((number, sums), values)| {
                        let shape = shape_of(&shape);
                        work(
                            number,
                            sums,
                            Some(Target {
                                values,
                                shape,
                                slot,
                            }),
                        );
                    });
            }
        }
        let (first, rest) = sums.split_at_mut(length);
        for part in rest.chunks_exact(length) {
            for (sum, value) in first.iter_mut().zip(part) {
                *sum += value;
            }
        }
        conv.unpack_gradient(first);
        self.pool.sums = sums;
        self.gradients[buffer] = Some(gradient);
        if let Some((into, _)) = into {
            self.close(input, into);
        }
    }

    /// Gradients of the norm's parameters, or of the bias where there is no norm. The means that the
    /// gradient in front of the norm needs; `None` where there is no norm.
    fn through_norm(&mut self, id: NodeId, gradient: &Planes, conv: &mut Conv) -> Option<Sums> {
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
        let before = &self.tape.kept[id];
        let seen = &self.tape.seen[id];
        let sides = Sides::of(before);
        let region = self.tape.plan.places[id].1.first_block * sides.plane();
        let parts: Vec<Sums> = before
            .values
            .par_chunks_exact(before.picture_stride())
            .zip(gradient.values.par_chunks_exact(gradient.picture_stride()))
            .map(|(before, gradient)| {
                let mut sums = Sums::new(seen.mean.len());
                let gradient = &gradient[region..region + before.len()];
                norm::gradient_sums(level, sides, before, gradient, seen, &mut sums);
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
        if self.tape.mode == Mode::Evaluate {
            // Running statistics do not move with the batch: nothing is to be taken off.
            return Some(Sums::new(seen.mean.len()));
        }
        Some(means)
    }

    fn pool(&mut self, id: NodeId, input: NodeId) {
        let level = self.tape.level;
        let Some(gradient) = self.gradients[self.tape.plan.places[id].0].take() else {
            return;
        };
        let add = self.written[input];
        let (mut into, slot) = self.open(input);
        let tape = self.tape;
        let sides = tape.sides(input);
        let region = slot.first_block * sides.plane();
        let length = gradient.blocks * sides.plane();
        let stride = into.picture_stride();
        into.values
            .par_chunks_exact_mut(stride)
            .zip(gradient.values.par_chunks_exact(gradient.picture_stride()))
            .enumerate()
            .for_each(|(number, (to, gradient))| {
                let mut lent = tape.scratches.lend();
                let scratch = &mut lent.scratch;
                let seen = tape.picture(input, number, &mut scratch.input, &mut scratch.parts);
                let to = &mut to[region..region + length];
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
                // On a grid the reconstruction is cut to [0, 1] before it is joined.
                let is_cut = input == self.graph.reconstruction && self.tape.step(input).is_some();
                let kept = &self.tape.kept[input];
                let mut kept = (kept.values.chunks_exact(kept.picture_stride().max(1)))
                    .take(if is_cut { usize::MAX } else { 0 });
                for (to, from) in into
                    .values
                    .chunks_exact_mut(stride)
                    .zip(gradient.values.chunks_exact(gradient.picture_stride()))
                {
                    to_planar(from, first_channel, &mut Lines::bare(sides, &mut part));
                    if let Some(kept) = kept.next() {
                        to_planar(kept, 0, &mut Lines::bare(sides, &mut before));
                        for (part, value) in part.iter_mut().zip(&before) {
                            *part *= f32::from((0.0..=1.0).contains(value));
                        }
                    }
                    if add {
                        let first = slot.first_block * BLOCK;
                        to_planar(to, first, &mut Lines::bare(sides, &mut before));
                        part.iter_mut()
                            .zip(&before)
                            .for_each(|(sum, value)| *sum += value);
                    }
                    let to = &mut Lines::ringed(sides, to);
                    from_planar(to, slot.first_block * BLOCK, &part, channels);
                }
                self.close(input, into);
            }
            first_channel += channels;
        }
        self.gradients[self.tape.plan.places[id].0] = Some(gradient);
    }
}
