//! Integers: u8 activations, i8 weights, i32 sums, as ONNX's QuantizeLinear and DequantizeLinear
//! define them.
//!
//! A value is laid out `channel block, line, column, 8 channels` with a ring of its zero point around
//! each plane, so a 3x3 convolution needs no code for edges and a pixel's address differs from its
//! neighbour's by a constant. Every instruction set computes the same bits as [`scalar`].

mod conv;
mod convert;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod resample;
pub mod scalar;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use conv::{Output, convolve, multiply_in_registers};
pub use convert::{Grid, from_bytes, join, to_bytes};
pub use pack::{Form, Group, Level, Packed, Requantize, Shape};
pub use resample::{Taps, max_pool, upsample};

/// Channels that lie next to each other.
pub const BLOCK: usize = 8;

/// Sides of a value's planes without the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    pub height: usize,
    pub width: usize,
}

impl Sides {
    /// Bytes from one line to the next.
    pub fn line_stride(self) -> usize {
        (self.width + 2) * BLOCK
    }

    /// Bytes in one plane with its ring.
    pub fn plane(self) -> usize {
        (self.height + 2) * self.line_stride()
    }

    /// Where the pixels of `line` lie within a plane, the ring left out.
    pub fn line(self, line: usize) -> std::ops::Range<usize> {
        let first = (line + 1) * self.line_stride() + BLOCK;
        first..first + self.width * BLOCK
    }

    /// Writes `zero_point` into the ring of every plane.
    pub fn clear_ring(self, planes: &mut [u8], zero_point: u8) {
        let stride = self.line_stride();
        for plane in planes.chunks_exact_mut(self.plane()) {
            plane[..stride].fill(zero_point);
            plane[(self.height + 1) * stride..].fill(zero_point);
            for line in plane[stride..(self.height + 1) * stride].chunks_exact_mut(stride) {
                line[..BLOCK].fill(zero_point);
                line[stride - BLOCK..].fill(zero_point);
            }
        }
    }
}
