//! Max pooling and bilinear upsampling of bytes. The scale stays, so neither needs one.

use super::{BLOCK, Sides};
use crate::draem::Upsampling;
use crate::multiversion;

/// Share of the second tap in 128ths: exact for half-pixel upsampling (1/4 and 3/4), within 1/256 of
/// the true share where corners are aligned.
const UNIT: u16 = 128;

/// The two source pixels of every output pixel along one axis and the share of the second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taps {
    low: Vec<u32>,
    high: Vec<u32>,
    share: Vec<u16>,
}

impl Taps {
    /// Taps that double `length` pixels.
    pub fn new(length: usize, upsampling: Upsampling) -> Self {
        let float = super::super::float::Taps::new(length, upsampling);
        Taps {
            share: float
                .share
                .iter()
                .map(|share| (share * f32::from(UNIT)).round_ties_even() as u16)
                .collect(),
            low: float.low,
            high: float.high,
        }
    }
}

/// The same for the float kernels' level.
type Level = super::super::float::Level;

fn level() -> Level {
    Level::detect()
}

/// 2x2 maximum of every plane of `input` (sides `sides`) into `output` (half the sides).
pub fn max_pool(sides: Sides, input: &[u8], output: &mut [u8]) {
    max_pool_at(level(), sides, input, output);
}

/// Bilinear x2 of every plane of `input` (sides `sides`) into `output` (twice the sides); `line` is
/// scratch for one input line.
pub fn upsample(
    sides: Sides,
    vertical: &Taps,
    horizontal: &Taps,
    input: &[u8],
    output: &mut [u8],
    line: &mut Vec<u16>,
) {
    upsample_at(level(), sides, vertical, horizontal, input, output, line);
}

multiversion! {
    /// [`max_pool`] on a chosen level.
    pub fn max_pool_at(sides: Sides, input: &[u8], output: &mut [u8]) {
        let half = Sides { height: sides.height / 2, width: sides.width / 2 };
        for (input, output) in
            input.chunks_exact(sides.plane()).zip(output.chunks_exact_mut(half.plane()))
        {
            for line in 0..half.height {
                let above = input[sides.line(2 * line)].chunks_exact(2 * BLOCK);
                let below = input[sides.line(2 * line + 1)].chunks_exact(2 * BLOCK);
                let to = output[half.line(line)].chunks_exact_mut(BLOCK);
                for ((to, above), below) in to.zip(above).zip(below) {
                    for lane in 0..BLOCK {
                        let upper = above[lane].max(above[BLOCK + lane]);
                        let lower = below[lane].max(below[BLOCK + lane]);
                        to[lane] = upper.max(lower);
                    }
                }
            }
        }
    }
}

multiversion! {
    /// [`upsample`] on a chosen level.
    pub fn upsample_at(
        sides: Sides,
        vertical: &Taps,
        horizontal: &Taps,
        input: &[u8],
        output: &mut [u8],
        line: &mut Vec<u16>,
    ) {
        let twice = Sides { height: 2 * sides.height, width: 2 * sides.width };
        line.resize(sides.width * BLOCK, 0);
        for (input, output) in
            input.chunks_exact(sides.plane()).zip(output.chunks_exact_mut(twice.plane()))
        {
            for y in 0..twice.height {
                let share = vertical.share[y];
                let low = &input[sides.line(vertical.low[y] as usize)];
                let high = &input[sides.line(vertical.high[y] as usize)];
                // At most 255 * 128: fits 16 bits.
                for ((to, &low), &high) in line.iter_mut().zip(low).zip(high) {
                    *to = u16::from(low) * (UNIT - share) + u16::from(high) * share;
                }
                let to = output[twice.line(y)].chunks_exact_mut(BLOCK);
                for (x, to) in to.enumerate() {
                    let share = u32::from(horizontal.share[x]);
                    let low = &line[horizontal.low[x] as usize * BLOCK..][..BLOCK];
                    let high = &line[horizontal.high[x] as usize * BLOCK..][..BLOCK];
                    for lane in 0..BLOCK {
                        let sum = u32::from(low[lane]) * (u32::from(UNIT) - share)
                            + u32::from(high[lane]) * share;
                        to[lane] = ((sum + (1 << 13)) >> 14) as u8;
                    }
                }
            }
        }
    }
}
