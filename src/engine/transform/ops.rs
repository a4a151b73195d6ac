//! Operators around the float kernels. A value in blocks is `blocks x (height + 2) x (width + 2) x 8`;
//! its outermost lines and columns are zero.

use super::step::{Format, Number, Output, Scratch, Step, floats};
use crate::draem::Upsampling;
use crate::engine::kernels::float::{
    Activation, Level, Packed, Slot, Start, Taps, convolve, from_planar, max_pool, sigmoid,
    to_planar, upsample,
};
use crate::engine::kernels::{BLOCK, Sides};

fn blocks_of(blocks: usize, sides: Sides) -> Format {
    Format {
        number: Number::F32,
        shape: vec![blocks, sides.height + 2, sides.width + 2, BLOCK],
    }
}

/// Floats in tract's layout.
pub(super) fn planes_of(channels: usize, sides: Sides) -> Format {
    Format {
        number: Number::F32,
        shape: vec![1, channels, sides.height, sides.width],
    }
}

/// From tract's layout into blocks.
#[derive(Debug)]
pub struct ToBlocks {
    pub channels: usize,
    pub sides: Sides,
}

impl Step for ToBlocks {
    fn name(&self) -> &'static str {
        "ToBlocks"
    }
    fn format(&self) -> Format {
        blocks_of(self.channels.div_ceil(BLOCK), self.sides)
    }
    fn lines(&self) -> usize {
        self.sides.height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut to = output.floats(self.sides);
        to.clear_ring(0.0);
        if !self.channels.is_multiple_of(BLOCK) {
            for line in to.range() {
                to.line(to.planes() - 1, line).fill(0.0);
            }
        }
        from_planar(&mut to, 0, floats(inputs[0]), self.channels);
    }
}

/// From blocks into tract's layout.
#[derive(Debug)]
pub struct FromBlocks {
    pub channels: usize,
    pub sides: Sides,
}

impl Step for FromBlocks {
    fn name(&self) -> &'static str {
        "FromBlocks"
    }
    fn format(&self) -> Format {
        planes_of(self.channels, self.sides)
    }
    fn lines(&self) -> usize {
        self.sides.height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        to_planar(floats(inputs[0]), 0, &mut output.planes(self.sides));
    }
}

/// 3x3 convolution with bias and, where asked for, ReLU, over one or more inputs that follow each
/// other along the channels.
#[derive(Debug)]
pub struct BlockConv {
    pub level: Level,
    /// One per input; the bias is with the first.
    pub packed: Vec<Packed>,
    pub activation: Activation,
    pub sides: Sides,
    /// Real channels, in and out.
    pub channels: (usize, usize),
}

impl Step for BlockConv {
    fn name(&self) -> &'static str {
        match self.activation {
            Activation::Relu => "BlockConvRelu",
            Activation::None => "BlockConv",
        }
    }
    fn format(&self) -> Format {
        blocks_of(self.packed[0].out_blocks(), self.sides)
    }
    fn macs(&self) -> usize {
        9 * self.channels.0 * self.channels.1 * self.sides.height * self.sides.width
    }
    fn lines(&self) -> usize {
        self.sides.height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut to = output.floats(self.sides);
        to.clear_ring(0.0);
        let first = Slot { first_block: 0 };
        let last = inputs.len() - 1;
        for (index, (input, packed)) in inputs.iter().zip(&self.packed).enumerate() {
            convolve(
                self.level,
                packed,
                floats(input),
                first,
                &mut to,
                first,
                if index == 0 {
                    Start::Bias
                } else {
                    Start::Output
                },
                if index == last {
                    self.activation
                } else {
                    Activation::None
                },
                |_, _, _| {},
            );
        }
    }
}

/// 2x2 max pooling; sides are the input's.
#[derive(Debug)]
pub struct BlockPool {
    pub level: Level,
    pub blocks: usize,
    pub sides: Sides,
}

impl Step for BlockPool {
    fn name(&self) -> &'static str {
        "BlockPool"
    }
    fn format(&self) -> Format {
        blocks_of(self.blocks, self.sides.half())
    }
    fn lines(&self) -> usize {
        self.sides.half().height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut to = output.floats(self.sides.half());
        to.clear_ring(0.0);
        max_pool(self.level, self.sides, floats(inputs[0]), &mut to);
    }
}

/// Bilinear x2; sides are the input's.
#[derive(Debug)]
pub struct BlockUpsample {
    level: Level,
    blocks: usize,
    sides: Sides,
    vertical: Taps,
    horizontal: Taps,
}

impl BlockUpsample {
    pub fn new(level: Level, blocks: usize, sides: Sides, upsampling: Upsampling) -> Self {
        Self {
            level,
            blocks,
            sides,
            vertical: Taps::new(sides.height, upsampling),
            horizontal: Taps::new(sides.width, upsampling),
        }
    }
}

impl Step for BlockUpsample {
    fn name(&self) -> &'static str {
        "BlockUpsample"
    }
    fn format(&self) -> Format {
        blocks_of(self.blocks, self.sides.twice())
    }
    fn lines(&self) -> usize {
        self.sides.twice().height
    }
    fn prepare(&self, scratch: &mut Scratch) {
        let length = (self.sides.width * BLOCK).max(scratch.floats.len());
        scratch.floats.resize(length, 0.0);
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, scratch: &mut Scratch) {
        let mut to = output.floats(self.sides.twice());
        to.clear_ring(0.0);
        upsample(
            self.level,
            self.sides,
            &self.vertical,
            &self.horizontal,
            floats(inputs[0]),
            &mut to,
            &mut scratch.floats,
        );
    }
}

/// `1 / (1 + exp(-x))` in tract's layout.
#[derive(Debug)]
pub struct Sigmoid {
    pub level: Level,
    pub shape: Vec<usize>,
}

impl Sigmoid {
    fn as_one_plane(&self) -> Sides {
        let width = self.shape.last().copied().unwrap_or(1);
        Sides {
            height: self.shape.iter().product::<usize>() / width.max(1),
            width,
        }
    }
}

impl Step for Sigmoid {
    fn name(&self) -> &'static str {
        "Sigmoid"
    }
    fn format(&self) -> Format {
        Format {
            number: Number::F32,
            shape: self.shape.clone(),
        }
    }
    fn lines(&self) -> usize {
        self.as_one_plane().height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut to = output.planes(self.as_one_plane());
        let from = floats(inputs[0]).chunks_exact(to.sides().width);
        for (line, from) in to.range().zip(from.skip(to.range().start)) {
            sigmoid(self.level, from, to.line(0, line));
        }
    }
}
