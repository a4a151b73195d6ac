//! Max pooling and bilinear upsampling of bytes. The scale stays, so neither needs one.

#[cfg(target_arch = "x86_64")]
use super::super::float::Instructions;
use super::super::float::Level;
#[cfg(target_arch = "x86_64")]
use super::resample_avx512::{self, Fours};
use super::{BLOCK, Lines, Sides};
use crate::draem::Upsampling;
use crate::multiversion;

/// Shares are counted in 128ths: exact for half-pixel upsampling (1/4 and 3/4), within 1/256 of the true
/// share where corners are aligned.
const UNIT: i16 = 128;

/// Half a [`UNIT`], which rounds to the nearest.
const HALF: i16 = UNIT / 2;

/// The two neighbours of every output pixel along one axis, and the second's share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taps {
    taps: Vec<Tap>,
    #[cfg(target_arch = "x86_64")]
    fours: Fours,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    low: u32,
    high: u32,
    /// Of the second, in 128ths.
    share: i16,
}

impl Taps {
    /// Taps that double `length` pixels.
    pub fn new(length: usize, upsampling: Upsampling) -> Self {
        let float = super::super::float::Taps::new(length, upsampling);
        let pairs = float.low.iter().zip(&float.high);
        let tap = |((&low, &high), share): ((&u32, &u32), &f32)| Tap {
            low,
            high,
            share: (share * f32::from(UNIT)).round_ties_even() as i16,
        };
        let taps: Vec<Tap> = pairs.zip(&float.share).map(tap).collect();
        Taps {
            #[cfg(target_arch = "x86_64")]
            fours: Fours::new(
                length,
                taps.iter().map(|tap| (tap.low, tap.high, tap.share)),
            ),
            taps,
        }
    }
}

/// What [`upsample`] needs of scratch.
pub fn upsampling_words(sides: Sides) -> usize {
    2 * (2 * sides.width * BLOCK)
}

multiversion! {
    /// 2x2 maximum of every plane of `input` (sides `sides`) into lines of `output` (half the sides).
    pub fn max_pool(sides: Sides, input: &[u8], output: &mut Lines<'_, u8>) {
        for (plane, input) in input.chunks_exact(sides.plane()).enumerate() {
            for line in output.range() {
                let above = input[sides.line(2 * line)].chunks_exact(2 * BLOCK);
                let below = input[sides.line(2 * line + 1)].chunks_exact(2 * BLOCK);
                let to = output.line(plane, line).chunks_exact_mut(BLOCK);
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

/// Bilinear x2 of every plane of `input` (sides `sides`) into lines of `output` (twice the sides);
/// `scratch` is for two lines, see [`upsampling_words`].
///
/// Between columns first, once for each line of the input, in whole numbers that are 128 times too great;
/// then between these lines so that all stays in 16 bits: with `a` and `b` so great,
/// `(a (128 - s) + b s + 8192) / 16384`, rounded down, is `(a + 64 + (b - a) s / 128) / 128`, with the
/// inner quotient rounded down too. The 64 is added between columns, where fewer values are computed.
pub fn upsample(
    level: Level,
    sides: Sides,
    vertical: &Taps,
    horizontal: &Taps,
    input: &[u8],
    output: &mut Lines<'_, u8>,
    scratch: &mut [i16],
) {
    let scratch = &mut scratch[..upsampling_words(sides)];
    let (mut low, mut high) = scratch.split_at_mut(scratch.len() / 2);
    for (plane, input) in input.chunks_exact(sides.plane()).enumerate() {
        let widen = |line: u32, to: &mut [i16]| {
            let from = &input[sides.line(line as usize)];
            between_columns(level, from, horizontal, to);
        };
        let mut held = [u32::MAX; 2];
        for y in output.range() {
            let tap = vertical.taps[y];
            if held[0] != tap.low && held[1] == tap.low {
                std::mem::swap(&mut low, &mut high);
                held.swap(0, 1);
            }
            if held[0] != tap.low {
                widen(tap.low, low);
                held[0] = tap.low;
            }
            if held[1] != tap.high {
                widen(tap.high, high);
                held[1] = tap.high;
            }
            between_lines(level, low, high, tap.share, output.line(plane, y));
        }
    }
}

/// A line twice as wide and 128 times too great, and [`HALF`] more: at most 255 * 128 + 64.
fn between_columns(level: Level, from: &[u8], horizontal: &Taps, to: &mut [i16]) {
    let done = match level.instructions() {
        // SAFETY: a `Level` is only made for processors that have its instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { horizontal.fours.between_columns(from, HALF, to) },
        _ => 0,
    };
    let taps = &horizontal.taps[done / BLOCK..];
    pixels_between_columns(level, from, taps, &mut to[done..]);
}

multiversion! {
    /// As [`between_columns`], of the pixels with these taps.
    pub fn pixels_between_columns(from: &[u8], taps: &[Tap], to: &mut [i16]) {
        let from = from.as_chunks::<BLOCK>().0;
        for (to, tap) in to.as_chunks_mut::<BLOCK>().0.iter_mut().zip(taps) {
            let (low, high) = (&from[tap.low as usize], &from[tap.high as usize]);
            for lane in 0..BLOCK {
                let (low, high) = (i16::from(low[lane]), i16::from(high[lane]));
                to[lane] = low * UNIT + HALF + (high - low) * tap.share;
            }
        }
    }
}

/// A line between two that are 128 times too great and [`HALF`] more, `share` 128ths of the second.
fn between_lines(level: Level, low: &[i16], high: &[i16], share: i16, to: &mut [u8]) {
    // From the nearer line, so that the part of the step fits 16 bits in 65536ths: the upper half of
    // a product has it.
    let second = share >= UNIT / 2;
    let part = if second { share - UNIT } else { share } * (1 << 9);
    let near = if second { high } else { low };
    let done = match level.instructions() {
        // SAFETY: a `Level` is only made for processors that have its instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe {
            resample_avx512::between_lines(low, high, near, part, to)
        },
        _ => 0,
    };
    let (low, high, near) = (&low[done..], &high[done..], &near[done..]);
    values_between_lines(level, low, high, near, part, &mut to[done..]);
}

multiversion! {
    /// As [`between_lines`], of these values; `part` of the step from `low` to `high` in 65536ths.
    pub fn values_between_lines(low: &[i16], high: &[i16], near: &[i16], part: i16, to: &mut [u8]) {
        for (((to, &low), &high), &near) in to.iter_mut().zip(low).zip(high).zip(near) {
            let step = (i32::from(high - low) * i32::from(part)) >> 16;
            *to = ((near + step as i16) as u16 >> 7) as u8;
        }
    }
}
