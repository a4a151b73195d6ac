//! Max pooling and bilinear upsampling of bytes. The scale stays, so neither needs one.

use super::{BLOCK, Sides};
use crate::draem::Upsampling;
use crate::multiversion;

/// Shares are counted in 128ths: exact for half-pixel upsampling (1/4 and 3/4), within 1/256 of the true
/// share where corners are aligned.
const UNIT: i16 = 128;

/// The two source pixels of every output pixel along one axis, neighbours, and the second's share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taps(Vec<Tap>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) low: u32,
    /// The one of the two with the greater share.
    pub(super) near: u32,
    /// What is to be added to the nearer one, as a part of the step from the first to the second: in
    /// 65536ths, so that the upper half of a product of 16 bits has it.
    pub(super) step: i16,
    /// Of the second pixel, in 128ths.
    share: i16,
}

impl Taps {
    /// Taps that double `length` pixels.
    pub fn new(length: usize, upsampling: Upsampling) -> Self {
        let float = super::super::float::Taps::new(length, upsampling);
        let tap = |(&low, &share): (&u32, &f32)| {
            let share = (share * f32::from(UNIT)).round_ties_even() as i16;
            let second = share >= UNIT / 2;
            let beyond = if second { share - UNIT } else { share };
            Tap {
                low,
                near: low + u32::from(second),
                share,
                step: beyond * (1 << 9),
            }
        };
        Taps(float.low.iter().zip(&float.share).map(tap).collect())
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
    line: &mut Vec<i16>,
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

/// [`upsample`] on a chosen level.
///
/// Between lines in whole numbers, 128 times too great; between columns so that all stays in 16 bits:
/// with `a` and `b` so great, `(a (128 - s) + b s + 8192) / 16384`, rounded down, is
/// `(a + 64 + (b - a) s / 128) / 128`, with the inner quotient rounded down too.
pub fn upsample_at(
    level: Level,
    sides: Sides,
    vertical: &Taps,
    horizontal: &Taps,
    input: &[u8],
    output: &mut [u8],
    line: &mut Vec<i16>,
) {
    let twice = Sides {
        height: 2 * sides.height,
        width: 2 * sides.width,
    };
    let length = (sides.width + 1) * BLOCK;
    line.resize(length, 0);
    let planes = input.chunks_exact(sides.plane());
    for (input, output) in planes.zip(output.chunks_exact_mut(twice.plane())) {
        for (y, tap) in vertical.0.iter().enumerate() {
            let low = tap.low as usize;
            let high = (low + 1).min(sides.height - 1);
            let (low, high) = (&input[sides.line(low)], &input[sides.line(high)]);
            between_lines(level, low, high, tap.share, line);
            let to = output[twice.line(y)].as_chunks_mut::<BLOCK>().0;
            match level {
                // SAFETY: the level was detected; `Taps::new` named pixels of such a line.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 | Level::Avx2 => unsafe {
                    super::x86::between_columns(line, &horizontal.0, to);
                },
                Level::Portable => between_columns(line, &horizontal.0, to),
            }
        }
    }
}

multiversion! {
    /// A line between `low` and `high`, and one pixel more, the last one's neighbour, which is itself; 64
    /// is added, for rounding: at most 255 * 128 + 64.
    pub fn between_lines(low: &[u8], high: &[u8], share: i16, values: &mut [i16]) {
        for ((to, &low), &high) in values.iter_mut().zip(low).zip(high) {
            *to = i16::from(low) * (UNIT - share) + i16::from(high) * share + 64;
        }
        let pixels = low.len();
        values.copy_within(pixels - BLOCK..pixels, pixels);
    }
}

/// Pixels between the columns of a line.
pub(super) fn between_columns(line: &[i16], taps: &[Tap], to: &mut [[u8; BLOCK]]) {
    let line = line.as_chunks::<BLOCK>().0;
    for (to, tap) in to.iter_mut().zip(taps) {
        let near = &line[tap.near as usize];
        let (low, high) = (&line[tap.low as usize], &line[tap.low as usize + 1]);
        for lane in 0..BLOCK {
            let part = (i32::from(high[lane] - low[lane]) * i32::from(tap.step)) >> 16;
            to[lane] = (near[lane].wrapping_add(part as i16) as u16 >> 7) as u8;
        }
    }
}
