//! Operators around the integer kernels. A value in bytes is
//! `blocks x (height + 2) x (width + 2) x 8`; its outermost lines and columns hold the zero point.

use super::step::{Format, Number, Scratch, Step, floats, floats_mut};
use crate::draem::Upsampling;
use crate::engine::kernels::float::Level;
use crate::engine::kernels::int8::{
    BLOCK, Grid, Output, Packed, Requantize, Sides, Taps, convolve, from_bytes, join, max_pool,
    to_bytes, upsample,
};

fn bytes_of(blocks: usize, sides: Sides) -> Format {
    Format {
        number: Number::U8,
        shape: vec![blocks, sides.height + 2, sides.width + 2, BLOCK],
    }
}

fn planes_of(channels: usize, sides: Sides) -> Format {
    Format {
        number: Number::F32,
        shape: vec![1, channels, sides.height, sides.width],
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
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        self.sides.clear_ring(output, self.grid.zero_point);
        let from = floats(inputs[0]);
        to_bytes(
            self.level,
            self.sides,
            self.channels,
            self.grid,
            from,
            output,
        );
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
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        let to = floats_mut(output);
        from_bytes(
            self.level,
            self.sides,
            self.channels,
            self.grid,
            inputs[0],
            to,
        );
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
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        let [first, second] = self.channels;
        let (first, second) = ((inputs[0], first), (inputs[1], second));
        join(self.level, first, second, self.zero_point, output);
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
            Some(_) => bytes_of(self.packed.shape.output_blocks(), self.sides),
            None => planes_of(self.packed.shape.outputs, self.sides),
        }
    }
    fn macs(&self) -> usize {
        let inputs: usize = self.packed.shape.inputs.iter().sum();
        9 * inputs * self.packed.shape.outputs * self.sides.height * self.sides.width
    }
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        let mut target = match self.to {
            Some(to) => {
                self.sides.clear_ring(output, to.zero_point);
                Output::Bytes(output, to)
            }
            None => Output::Floats(floats_mut(output)),
        };
        convolve(&self.packed, self.sides, inputs, &mut target);
    }
}

/// 2x2 max pooling; `sides` are the input's.
#[derive(Debug)]
pub struct BytePool {
    pub blocks: usize,
    pub sides: Sides,
    pub zero_point: u8,
}

impl BytePool {
    fn half(&self) -> Sides {
        Sides {
            height: self.sides.height / 2,
            width: self.sides.width / 2,
        }
    }
}

impl Step for BytePool {
    fn name(&self) -> &'static str {
        "BytePool"
    }
    fn format(&self) -> Format {
        bytes_of(self.blocks, self.half())
    }
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], _: &mut Scratch) {
        self.half().clear_ring(output, self.zero_point);
        max_pool(self.sides, inputs[0], output);
    }
}

/// Bilinear x2; `sides` are the input's.
#[derive(Debug)]
pub struct ByteUpsample {
    blocks: usize,
    sides: Sides,
    zero_point: u8,
    vertical: Taps,
    horizontal: Taps,
}

impl ByteUpsample {
    pub fn new(blocks: usize, sides: Sides, zero_point: u8, upsampling: Upsampling) -> Self {
        Self {
            blocks,
            sides,
            zero_point,
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

impl Step for ByteUpsample {
    fn name(&self) -> &'static str {
        "ByteUpsample"
    }
    fn format(&self) -> Format {
        bytes_of(self.blocks, self.twice())
    }
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], scratch: &mut Scratch) {
        self.twice().clear_ring(output, self.zero_point);
        let (vertical, horizontal) = (&self.vertical, &self.horizontal);
        let line = &mut scratch.words;
        upsample(self.sides, vertical, horizontal, inputs[0], output, line);
    }
}
