//! Integers: u8 activations, i8 weights, i32 sums, as ONNX's QuantizeLinear and DequantizeLinear
//! define them.
//!
//! A value is laid out `channel block, line, column, 8 channels` with a ring of its zero point around
//! each plane, so a 3x3 convolution needs no code for edges and a pixel's address differs from its
//! neighbour's by a constant. Every instruction set computes the same bits as [`scalar`].

#[cfg(target_arch = "x86_64")]
mod avx2;
mod conv;
mod convert;
#[cfg(target_arch = "aarch64")]
mod i8mm;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod resample;
#[cfg(target_arch = "x86_64")]
mod resample_avx512;
pub mod scalar;
#[cfg(test)]
mod tests;
mod units;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod ymm;

pub use conv::{Output, convolve, multiply_in_registers};
pub use convert::{Grid, from_bytes, join, to_bytes};
pub use pack::{Form, Instructions, Level, Packed, Requantize, Shape};
pub use resample::{Taps, max_pool, upsample, upsampling_words};

use super::{BLOCK, Lines, Sides};
