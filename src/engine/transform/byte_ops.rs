//! Operators around the integer kernels. A value in bytes is
//! `blocks x (height + 2) x (width + 2) x 8`; its outermost lines and columns hold the zero point.

use super::ops::planes_of;
use super::step::{Format, Number, Output, Scratch, Step, floats};
use crate::draem::Upsampling;
use crate::engine::kernels::float::Level;
use crate::engine::kernels::int8::{
    self, Grid, Packed, Requantize, Shape, Taps, convolve, from_bytes, join, max_pool, to_bytes,
    upsample,
};
use crate::engine::kernels::{BLOCK, Sides};

fn bytes_of(blocks: usize, sides: Sides) -> Format {
    Format {
        number: Number::U8,
        shape: vec![blocks, sides.height + 2, sides.width + 2, BLOCK],
    }
}

/// From tract's f32 layout into bytes.
#[derive(Debug)]
pub struct ToBytes {
    pub level: Level,
    pub channels: usize,
    pub sides: Sides,
    pub grid: Grid,
}

impl Step for ToBytes {
    fn name(&self) -> &'static str {
        "ToBytes"
    }
    fn format(&self) -> Format {
        bytes_of(self.channels.div_ceil(BLOCK), self.sides)
    }
    fn lines(&self) -> usize {
        self.sides.height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut to = output.bytes(self.sides);
        to.clear_ring(self.grid.zero_point);
        let from = floats(inputs[0]);
        to_bytes(self.level, self.channels, self.grid, from, &mut to);
    }
}

/// From bytes into tract's f32 layout.
#[derive(Debug)]
pub struct FromBytes {
    pub level: Level,
    pub channels: usize,
    pub sides: Sides,
    pub grid: Grid,
}

impl Step for FromBytes {
    fn name(&self) -> &'static str {
        "FromBytes"
    }
    fn format(&self) -> Format {
        planes_of(self.channels, self.sides)
    }
    fn lines(&self) -> usize {
        self.sides.height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut to = output.planes(self.sides);
        from_bytes(self.level, self.grid, inputs[0], &mut to);
    }
}

/// Two values of few channels side by side in one block.
#[derive(Debug)]
pub struct ByteJoin {
    pub level: Level,
    /// Of each value; eight at most together.
    pub channels: [usize; 2],
    pub sides: Sides,
    pub zero_point: u8,
}

impl Step for ByteJoin {
    fn name(&self) -> &'static str {
        "ByteJoin"
    }
    fn format(&self) -> Format {
        bytes_of(1, self.sides)
    }
    fn lines(&self) -> usize {
        self.sides.height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let [first, second] = self.channels;
        let (first, second) = ((inputs[0], first), (inputs[1], second));
        let mut to = output.bytes(self.sides);
        to.clear_ring(self.zero_point);
        join(self.level, first, second, self.zero_point, &mut to);
    }
}

/// 3x3 convolution in integers over one or more inputs that follow each other along the channels.
#[derive(Debug)]
pub struct ByteConv {
    pub packed: Packed,
    pub sides: Sides,
    /// `None` where the output is not quantized: then it is in tract's f32 layout.
    pub to: Option<Requantize>,
}

impl Step for ByteConv {
    fn name(&self) -> &'static str {
        match self.to {
            Some(_) => "ByteConv",
            None => "ByteConvToFloat",
        }
    }
    fn format(&self) -> Format {
        match self.to {
            Some(_) => bytes_of(self.packed.shape().output_blocks(), self.sides),
            None => planes_of(self.packed.shape().outputs, self.sides),
        }
    }
    fn macs(&self) -> usize {
        let Shape { inputs, outputs } = self.packed.shape();
        9 * inputs.iter().sum::<usize>() * outputs * self.sides.height * self.sides.width
    }
    fn lines(&self) -> usize {
        self.sides.height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut target = match self.to {
            Some(to) => {
                let mut lines = output.bytes(self.sides);
                lines.clear_ring(to.zero_point);
                int8::Output::Bytes(lines, to)
            }
            None => int8::Output::Floats(output.planes(self.sides)),
        };
        convolve(&self.packed, inputs, &mut target);
    }
}

/// 2x2 max pooling; `sides` are the input's.
#[derive(Debug)]
pub struct BytePool {
    pub level: Level,
    pub blocks: usize,
    pub sides: Sides,
    pub zero_point: u8,
}

impl Step for BytePool {
    fn name(&self) -> &'static str {
        "BytePool"
    }
    fn format(&self) -> Format {
        bytes_of(self.blocks, self.sides.half())
    }
    fn lines(&self) -> usize {
        self.sides.half().height
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, _: &mut Scratch) {
        let mut to = output.bytes(self.sides.half());
        to.clear_ring(self.zero_point);
        max_pool(self.level, self.sides, inputs[0], &mut to);
    }
}

/// Bilinear x2; `sides` are the input's.
#[derive(Debug)]
pub struct ByteUpsample {
    level: Level,
    blocks: usize,
    sides: Sides,
    zero_point: u8,
    vertical: Taps,
    horizontal: Taps,
}

impl ByteUpsample {
    pub fn new(
        level: Level,
        blocks: usize,
        sides: Sides,
        zero_point: u8,
        upsampling: Upsampling,
    ) -> Self {
        Self {
            level,
            blocks,
            sides,
            zero_point,
            vertical: Taps::new(sides.height, upsampling),
            horizontal: Taps::new(sides.width, upsampling),
        }
    }
}

impl Step for ByteUpsample {
    fn name(&self) -> &'static str {
        "ByteUpsample"
    }
    fn format(&self) -> Format {
        bytes_of(self.blocks, self.sides.twice())
    }
    fn lines(&self) -> usize {
        self.sides.twice().height
    }
    fn prepare(&self, scratch: &mut Scratch) {
        let length = int8::upsampling_words(self.sides).max(scratch.words.len());
        scratch.words.resize(length, 0);
    }
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, scratch: &mut Scratch) {
        let mut to = output.bytes(self.sides.twice());
        to.clear_ring(self.zero_point);
        let (vertical, horizontal) = (&self.vertical, &self.horizontal);
        let (from, words) = (inputs[0], &mut scratch.words);
        upsample(
            self.level, self.sides, vertical, horizontal, from, &mut to, words,
        );
    }
}
