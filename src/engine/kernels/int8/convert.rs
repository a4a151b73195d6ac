//! Between planes of f32, channel after channel, and ringed blocks of bytes.

use super::{BLOCK, Lines};
use crate::multiversion;

/// Pixels that go through registers together.
const STRIP: usize = 64;

/// Channels whose bytes share a word as wide as a float, so that both take as many registers.
const HALF: usize = BLOCK / 2;

/// A float so great that adding it rounds to whole numbers, half to even, which then are the lowest
/// bits of the sum: what compilers vectorize, other than rounding.
const ROUND: f32 = 12_582_912.0;

/// How bytes stand for numbers: `scale * (byte - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    pub scale: f32,
    pub zero_point: u8,
}

multiversion! {
    /// `channels` planes of floats to bytes as QuantizeLinear does, with a multiplication by the scale's
    /// inverse; channels that fill up the last block hold the zero point. The ring is not touched.
    pub fn to_bytes(channels: usize, grid: Grid, from: &[f32], to: &mut Lines<'_, u8>) {
        let sides = to.sides();
        let inverse = grid.scale.recip();
        let (least, greatest) = (-f32::from(grid.zero_point), 255.0 - f32::from(grid.zero_point));
        let area = sides.area();
        for block in 0..to.planes() {
            let channels = (channels - block * BLOCK).min(BLOCK);
            let real = u64::MAX >> (64 - 8 * channels as u32);
            let filled = u64::from_le_bytes([grid.zero_point; BLOCK]) & !real;
            let from = &from[block * BLOCK * area..][..channels * area];
            for y in to.range() {
                let line = to.line(block, y).as_chunks_mut::<BLOCK>().0;
                for (strip, pixels) in line.chunks_mut(STRIP).enumerate() {
                    let mut halves = [[0u32; STRIP]; 2];
                    for channel in 0..channels {
                        let half = &mut halves[channel / HALF];
                        let place = 8 * (channel % HALF);
                        let first = channel * area + y * sides.width + strip * STRIP;
                        let values = &from[first..][..pixels.len()];
                        for (half, value) in half.iter_mut().zip(values) {
                            let cut = (value * inverse).max(least).min(greatest);
                            let level = (cut + ROUND).to_bits().wrapping_add(grid.zero_point.into());
                            *half |= (level & 0xff) << place;
                        }
                    }
                    let [low, high] = &halves;
                    for ((pixel, &low), &high) in pixels.iter_mut().zip(low).zip(high) {
                        *pixel = (u64::from(low) | u64::from(high) << 32 | filled).to_le_bytes();
                    }
                }
            }
        }
    }
}

multiversion! {
    /// Bytes to planes of the floats that they stand for, one for each channel.
    pub fn from_bytes(grid: Grid, from: &[u8], to: &mut Lines<'_, f32>) {
        let sides = to.sides();
        let zero_point = i32::from(grid.zero_point);
        for first in (0..to.planes()).step_by(HALF) {
            let plane = &from[first / BLOCK * sides.plane()..][..sides.plane()];
            let channels = first..to.planes().min(first + HALF);
            for y in to.range() {
                let pixels = plane[sides.line(y)].as_chunks::<BLOCK>().0;
                for (strip, pixels) in pixels.chunks(STRIP).enumerate() {
                    let mut half = [0; STRIP];
                    for (half, pixel) in half.iter_mut().zip(pixels) {
                        let word = u64::from_le_bytes(*pixel);
                        *half = (word >> (8 * (first % BLOCK))) as u32;
                    }
                    for channel in channels.clone() {
                        let values = &mut to.line(channel, y)[strip * STRIP..][..pixels.len()];
                        for (value, half) in values.iter_mut().zip(&half) {
                            let byte = half >> (8 * (channel - first)) & 0xff;
                            *value = (byte as i32 - zero_point) as f32 * grid.scale;
                        }
                    }
                }
            }
        }
    }
}

multiversion! {
    /// Two blocks of so many channels as one: those of `second` follow those of `first`, and what is left
    /// holds the zero point. Eight channels at most, one at least of each. The ring is not touched.
    pub fn join(first: (&[u8], usize), second: (&[u8], usize), zero_point: u8, to: &mut Lines<'_, u8>) {
        let sides = to.sides();
        let mask = |channels: usize| u64::MAX >> (64 - 8 * channels as u32);
        let place = 8 * first.1 as u32;
        let (kept, added) = (mask(first.1), mask(second.1));
        let filled = u64::from_le_bytes([zero_point; BLOCK]) & !(kept | added << place);
        for y in to.range() {
            let first = first.0[sides.line(y)].as_chunks::<BLOCK>().0;
            let second = second.0[sides.line(y)].as_chunks::<BLOCK>().0;
            let pixels = to.line(0, y).as_chunks_mut::<BLOCK>().0;
            for ((to, first), second) in pixels.iter_mut().zip(first).zip(second) {
                let word = u64::from_le_bytes(*first) & kept;
                let word = word | (u64::from_le_bytes(*second) & added) << place | filled;
                *to = word.to_le_bytes();
            }
        }
    }
}
