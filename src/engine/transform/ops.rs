//! Operators around the float kernels. A value in blocks is `blocks x (height + 2) x (width + 2) x 8`;
//! its outermost lines and columns are zero.

use super::step::{Format, Number, Scratch, Step, floats, floats_mut};
use crate::draem::Upsampling;
use crate::engine::kernels::float::{
    Activation, BLOCK, Level, Packed, Planes, Sides, Slot, Start, Taps, convolve, from_planar,
    max_pool, sigmoid, to_planar, upsample,
};

fn blocks_of(blocks: usize, sides: Sides) -> Format {
    Format {
        number: Number::F32,
        shape: vec![blocks, sides.height + 2, sides.width + 2, BLOCK],
    }
}

fn planes_of(channels: usize, sides: Sides) -> Format {
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
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        let to = floats_mut(output);
        self.sides.clear_ring(to);
        if !self.channels.is_multiple_of(BLOCK) {
            let last = to.len() - self.sides.plane();
            to[last..].fill(0.0);
        }
        from_planar(to, self.sides, 0, floats(inputs[0]), self.channels);
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
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        let from = floats(inputs[0]);
        to_planar(from, self.sides, 0, floats_mut(output), self.channels);
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
        blocks_of(self.packed[0].out_blocks, self.sides)
    }
    fn macs(&self) -> usize {
        9 * self.channels.0 * self.channels.1 * self.sides.height * self.sides.width
    }
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        let Sides { height, width } = self.sides;
        let like = |blocks| Planes {
            pictures: 1,
            blocks,
            height,
            width,
            values: Vec::new(),
        };
        let to = floats_mut(output);
        self.sides.clear_ring(to);
        let first = Slot { first_block: 0 };
        let last = inputs.len() - 1;
        for (index, (input, packed)) in inputs.iter().zip(&self.packed).enumerate() {
            convolve(
                self.level,
                packed,
                &like(packed.in_blocks),
                floats(input),
                first,
                &like(packed.out_blocks),
                to,
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

impl BlockPool {
    fn half(&self) -> Sides {
        Sides {
            height: self.sides.height / 2,
            width: self.sides.width / 2,
        }
    }
}

impl Step for BlockPool {
    fn name(&self) -> &'static str {
        "BlockPool"
    }
    fn format(&self) -> Format {
        blocks_of(self.blocks, self.half())
    }
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        let to = floats_mut(output);
        self.half().clear_ring(to);
        max_pool(self.level, self.sides, floats(inputs[0]), to);
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

    fn twice(&self) -> Sides {
        Sides {
            height: 2 * self.sides.height,
            width: 2 * self.sides.width,
        }
    }
}

impl Step for BlockUpsample {
    fn name(&self) -> &'static str {
        "BlockUpsample"
    }
    fn format(&self) -> Format {
        blocks_of(self.blocks, self.twice())
    }
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], scratch: &mut Scratch) {
        let to = floats_mut(output);
        self.twice().clear_ring(to);
        upsample(
            self.level,
            self.sides,
            &self.vertical,
            &self.horizontal,
            floats(inputs[0]),
            to,
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
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        sigmoid(self.level, floats(inputs[0]), floats_mut(output));
    }
}
