//! Between planes of f32, channel after channel, and ringed blocks of bytes.

use super::{BLOCK, Sides};
use crate::multiversion;

/// Pixels that go through registers together.
const STRIP: usize = 64;

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
    pub fn to_bytes(sides: Sides, channels: usize, grid: Grid, from: &[f32], to: &mut [u8]) {
        let inverse = grid.scale.recip();
        let (least, greatest) = (-f32::from(grid.zero_point), 255.0 - f32::from(grid.zero_point));
        let area = sides.height * sides.width;
        for (block, plane) in to.chunks_exact_mut(sides.plane()).enumerate() {
            let channels = (channels - block * BLOCK).min(BLOCK);
            let from = &from[block * BLOCK * area..][..channels * area];
            for y in 0..sides.height {
                let line = plane[sides.line(y)].as_chunks_mut::<BLOCK>().0;
                for (strip, pixels) in line.chunks_mut(STRIP).enumerate() {
                    let mut bytes = [[grid.zero_point; STRIP]; BLOCK];
                    for (channel, bytes) in bytes[..channels].iter_mut().enumerate() {
                        let first = channel * area + y * sides.width + strip * STRIP;
                        let values = &from[first..][..pixels.len()];
                        for (byte, value) in bytes.iter_mut().zip(values) {
                            let cut = (value * inverse).max(least).min(greatest);
                            *byte = ((cut + ROUND).to_bits() as u8).wrapping_add(grid.zero_point);
                        }
                    }
                    let mut words = [0u64; STRIP];
                    for (channel, bytes) in bytes.iter().enumerate() {
                        for (word, &byte) in words.iter_mut().zip(bytes) {
                            *word |= u64::from(byte) << (8 * channel);
                        }
                    }
                    for (pixel, word) in pixels.iter_mut().zip(&words) {
                        *pixel = word.to_le_bytes();
                    }
                }
            }
        }
    }
}

multiversion! {
    /// Bytes to `channels` planes of the floats that they stand for.
    pub fn from_bytes(sides: Sides, channels: usize, grid: Grid, from: &[u8], to: &mut [f32]) {
        let zero_point = i32::from(grid.zero_point);
        for (index, line) in to.chunks_exact_mut(sides.width).enumerate() {
            let (channel, y) = (index / sides.height, index % sides.height);
            if channel >= channels {
                return;
            }
            let plane = &from[channel / BLOCK * sides.plane()..][..sides.plane()];
            let pixels = plane[sides.line(y)].as_chunks::<BLOCK>().0;
            let place = 8 * (channel % BLOCK) as u32;
            for (value, pixel) in line.iter_mut().zip(pixels) {
                let byte = (u64::from_le_bytes(*pixel) >> place) as u8;
                *value = (i32::from(byte) - zero_point) as f32 * grid.scale;
            }
        }
    }
}

multiversion! {
    /// Copies the first `channels` of every pixel of a block into `to`, from its channel `first` on; what
    /// lies beside them in `to` stays. Eight channels at most.
    pub fn join(from: &[u8], first: usize, channels: usize, to: &mut [u8]) {
        let kept = u64::MAX >> (64 - 8 * channels as u32);
        let place = 8 * first as u32;
        let pixels = to.as_chunks_mut::<BLOCK>().0.iter_mut();
        for (to, from) in pixels.zip(from.as_chunks::<BLOCK>().0) {
            let added = (u64::from_le_bytes(*from) & kept) << place;
            let beside = u64::from_le_bytes(*to) & !(kept << place);
            *to = (beside | added).to_le_bytes();
        }
    }
}
