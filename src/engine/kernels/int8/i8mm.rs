//! aarch64 with i8mm (Neoverse V1 and later, Cortex-A710 and later): one `usmmla` multiplies eight channels of
//! two pixels with eight weights of two output channels, unsigned by signed.
//!
//! Two neighbouring pixels of a block are sixteen bytes side by side, and so are two outputs of
//! [`Form::Pairs`]: neither is moved about before it is multiplied.

use super::BLOCK;
use super::conv::{Line, LineKernel, Target, unrolled};
use super::neon::bytes_of;
use super::pack::Form;
use std::arch::aarch64::*;
use std::arch::asm;

/// Pairs of output channels of a block.
const PAIRS: usize = BLOCK / 2;

/// Two output channels of a pixel, then of the next pixel.
#[derive(Clone, Copy)]
struct Square(int32x4_t);

impl Square {
    /// # Safety
    /// Two sums at `bias`.
    #[inline(always)]
    unsafe fn start(bias: *const i32) -> Self {
        // SAFETY: as promised.
        unsafe {
            let pair = vld1_s32(bias);
            Self(vcombine_s32(pair, pair))
        }
    }

    /// # Safety
    /// Needs i8mm.
    #[inline(always)]
    unsafe fn add(self, pixels: uint8x16_t, weights: int8x16_t) -> Self {
        let mut sum = self.0;
        // SAFETY: as promised. The intrinsic is not stable in the Rust this project asks for; one instruction, so
        // the compiler still allocates registers and schedules.
        unsafe {
            asm!(
                "usmmla {sum:v}.4s, {a:v}.16b, {w:v}.16b",
                sum = inout(vreg) sum,
                a = in(vreg) pixels,
                w = in(vreg) weights,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        Self(sum)
    }
}

/// Channels 0 to 3 and 4 to 7 of the first pixel, then of the second.
#[inline(always)]
fn by_pixel(squares: [Square; PAIRS]) -> [int32x4_t; 4] {
    let [a, b, c, d] = squares;
    // SAFETY: every aarch64 has neon.
    unsafe {
        let (a, b) = (vreinterpretq_s64_s32(a.0), vreinterpretq_s64_s32(b.0));
        let (c, d) = (vreinterpretq_s64_s32(c.0), vreinterpretq_s64_s32(d.0));
        [
            vreinterpretq_s32_s64(vtrn1q_s64(a, b)),
            vreinterpretq_s32_s64(vtrn1q_s64(c, d)),
            vreinterpretq_s32_s64(vtrn2q_s64(a, b)),
            vreinterpretq_s32_s64(vtrn2q_s64(c, d)),
        ]
    }
}

/// `2 * P` pixels from column `x` on of one block of output channels; with `ALONE` the first of two.
///
/// # Safety
/// Needs i8mm; so many pixels are in the line, and `line` describes valid memory.
#[inline(always)]
unsafe fn pixels<const P: usize, const ALONE: bool>(line: &Line<'_>, x: usize) {
    // SAFETY: the caller promises the ranges; of a pixel alone no second is read or written.
    unsafe {
        let starts: [Square; PAIRS] =
            std::array::from_fn(|pair| Square::start(line.bias.add(2 * pair)));
        let mut sums = [starts; P];
        let mut next = line.weights;
        for source in line.sources {
            for block in 0..source.channels.div_ceil(BLOCK) {
                for tap_line in 0..3 {
                    let above = source
                        .first
                        .add(block * line.block_stride + tap_line * line.line_stride + x * BLOCK);
                    unrolled!(column in [0, 1, 2] while true => {
                        let weights: [int8x16_t; PAIRS] = std::array::from_fn(|pair| {
                            vld1q_s8(next.add((column * PAIRS + pair) * 2 * BLOCK))
                        });
                        unrolled!(p in [0, 1, 2, 3, 4, 5] while p < P => {
                            let from = above.add((2 * p + column) * BLOCK);
                            let seen = match ALONE {
                                true => vcombine_u8(vld1_u8(from), vdup_n_u8(0)),
                                false => vld1q_u8(from),
                            };
                            unrolled!(pair in [0, 1, 2, 3] while true => {
                                sums[p][pair] = sums[p][pair].add(seen, weights[pair]);
                            });
                        });
                    });
                    next = next.add(3 * BLOCK * BLOCK);
                }
            }
        }
        let scale = [vld1q_f32(line.scale), vld1q_f32(line.scale.add(4))];
        let scales = [scale[0], scale[1], scale[0], scale[1]];
        match line.out {
            Target::Bytes(out, to) => {
                for (p, &sums) in sums.iter().enumerate() {
                    let bytes = bytes_of(by_pixel(sums), scales, to);
                    let out = out.add((x + 2 * p) * BLOCK);
                    match ALONE {
                        true => vst1_u8(out, vget_low_u8(bytes)),
                        false => vst1q_u8(out, bytes),
                    }
                }
            }
            Target::Floats(out) => {
                let mut values = [[[0f32; BLOCK]; 2]; P];
                for (values, &sums) in values.iter_mut().zip(&sums) {
                    let parts = values.as_flattened_mut().as_chunks_mut::<4>().0;
                    for ((part, sums), scale) in parts.iter_mut().zip(by_pixel(sums)).zip(scales) {
                        vst1q_f32(part.as_mut_ptr(), vmulq_f32(vcvtq_f32_s32(sums), scale));
                    }
                }
                let count = if ALONE { 1 } else { 2 * P };
                out.put(x, 0..BLOCK, &values.as_flattened()[..count]);
            }
        }
    }
}

pub(super) fn kernel(_: Form, _: usize) -> LineKernel {
    /// # Safety
    /// Needs i8mm; `line` describes valid memory.
    #[target_feature(enable = "neon,i8mm")]
    unsafe fn line_of_pixels(line: &Line<'_>) {
        let mut x = 0;
        // SAFETY: every stride ends at or before the line's width.
        unsafe {
            while x + 12 <= line.width {
                pixels::<6, false>(line, x);
                x += 12;
            }
            while x + 2 <= line.width {
                pixels::<1, false>(line, x);
                x += 2;
            }
            if x < line.width {
                pixels::<1, true>(line, x);
            }
        }
    }
    line_of_pixels
}

/// Sums that are kept under way: as many as [`pixels`] keeps.
const SUMS: usize = 6 * PAIRS;

/// Multiplies and accumulates with `usmmla` in registers alone, `turns` times; gives the number of products.
///
/// # Safety
/// Needs i8mm.
#[target_feature(enable = "neon,i8mm")]
pub(super) unsafe fn in_registers(turns: u32) -> u64 {
    let bytes = std::hint::black_box([3u8; 16]);
    let starts: [i32; 2 * SUMS] = std::hint::black_box(std::array::from_fn(|at| at as i32));
    let mut out = [0i32; 4 * SUMS];
    // SAFETY: as promised; all arrays are as long as they are read and written.
    unsafe {
        let (seen, weights) = (vld1q_u8(bytes.as_ptr()), vld1q_s8(bytes.as_ptr().cast()));
        let mut sums: [Square; SUMS] =
            std::array::from_fn(|at| Square::start(starts.as_ptr().add(2 * at)));
        for _ in 0..turns {
            for sum in &mut sums {
                *sum = sum.add(seen, weights);
            }
        }
        for (sum, out) in sums.iter().zip(out.as_chunks_mut::<4>().0) {
            vst1q_s32(out.as_mut_ptr(), sum.0);
        }
    }
    std::hint::black_box(out);
    // Two pixels by two outputs by eight channels.
    u64::from(turns) * (SUMS * 32) as u64
}
