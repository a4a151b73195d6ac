//! Max pooling and bilinear upsampling of bytes. The scale stays, so neither needs one.

use super::{BLOCK, Sides};
use crate::draem::Upsampling;
use crate::multiversion;

/// Share of the second tap in 128ths: exact for half-pixel upsampling (1/4 and 3/4), within 1/256 of
/// the true share where corners are aligned.
pub(super) const UNIT: u16 = 128;

/// The two source pixels of every output pixel along one axis and the share of the second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taps {
    pub(super) low: Vec<u32>,
    pub(super) share: Vec<u16>,
    /// Shares of both in 16 bits each, the first's in the lower.
    pub(super) shares: Vec<i32>,
}

impl Taps {
    /// Taps that double `length` pixels.
    pub fn new(length: usize, upsampling: Upsampling) -> Self {
        let float = super::super::float::Taps::new(length, upsampling);
        let share = float.share.iter();
        let share: Vec<u16> = share
            .map(|share| (share * f32::from(UNIT)).round_ties_even() as u16)
            .collect();
        let both = |&share: &u16| i32::from(UNIT - share) | i32::from(share) << 16;
        Taps {
            low: float.low,
            shares: share.iter().map(both).collect(),
            share,
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

/// [`upsample`] on a chosen level.
#[allow(clippy::too_many_arguments)]
pub fn upsample_at(
    level: Level,
    sides: Sides,
    vertical: &Taps,
    horizontal: &Taps,
    input: &[u8],
    output: &mut [u8],
    line: &mut Vec<u16>,
) {
    let twice = Sides {
        height: 2 * sides.height,
        width: 2 * sides.width,
    };
    // One pixel more than a line: the last one's neighbour is itself.
    line.resize((sides.width + 1) * BLOCK, 0);
    let planes = input.chunks_exact(sides.plane());
    for (input, output) in planes.zip(output.chunks_exact_mut(twice.plane())) {
        for y in 0..twice.height {
            let low = vertical.low[y] as usize;
            let high = (low + 1).min(sides.height - 1);
            let (low, high) = (&input[sides.line(low)], &input[sides.line(high)]);
            between_lines(level, low, high, vertical.share[y], line);
            let to = &mut output[twice.line(y)];
            match level {
                // SAFETY: the level was detected, and `line` has a pixel behind every one that
                // a tap names.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 | Level::Avx2 => unsafe {
                    super::x86::between_columns(line, horizontal, to);
                },
                Level::Portable => between_columns(line, horizontal, 0, to),
            }
        }
    }
}

multiversion! {
    /// A line between `low` and `high`, `share` of the latter, times 128: at most 255 * 128. The last
    /// pixel is repeated.
    pub fn between_lines(low: &[u8], high: &[u8], share: u16, to: &mut [u16]) {
        for ((to, &low), &high) in to.iter_mut().zip(low).zip(high) {
            *to = u16::from(low) * (UNIT - share) + u16::from(high) * share;
        }
        let end = to.len() - BLOCK;
        to.copy_within(end - BLOCK..end, end);
    }
}

/// Pixels from `first` on between columns of `line`, which is 128 times too great.
pub(super) fn between_columns(line: &[u16], horizontal: &Taps, first: usize, to: &mut [u8]) {
    let pixels = to.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate();
    for (x, to) in pixels.skip(first) {
        let share = u32::from(horizontal.share[x]);
        let seen = &line[horizontal.low[x] as usize * BLOCK..][..2 * BLOCK];
        for (lane, to) in to.iter_mut().enumerate() {
            let sum = u32::from(seen[lane]) * (u32::from(UNIT) - share)
                + u32::from(seen[BLOCK + lane]) * share;
            *to = ((sum + (1 << 13)) >> 14) as u8;
        }
    }
}
