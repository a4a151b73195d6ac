//! Gradient of a 3x3 convolution by its weights: for every tap a product of the input, shifted by the
//! tap, and the output's gradient, summed over all pixels.

use blemish::engine::kernels::float::{BLOCK, Instructions, Lanes, Level, Vector};
use blemish::engine::kernels::float::{Planes, Sides};
use blemish::engine::kernels::float::{Slot, groups};
#[cfg(target_arch = "x86_64")]
use blemish::engine::kernels::float::{Ymm, Zmm};

struct Strip {
    lines: usize,
    width: usize,
    in_line_stride: usize,
    out_line_stride: usize,
    out_block_stride: usize,
}

/// Adds the sums of `T` neighbouring taps of one line of the filter, for eight input channels and
/// `K` registers of output channels, over all pixels of a strip.
///
/// # Safety
/// `input` points at the strip's first pixel shifted by the first tap, `gradient` at its first pixel;
/// `lines` lines of `width` (+ `T - 1` for the input) pixels are readable, and `sums` holds
/// `T * 8 * K` registers.
#[inline(always)]
unsafe fn taps<V: Vector, const T: usize, const K: usize>(
    strip: &Strip,
    input: *const f32,
    gradient: *const f32,
    sums: *mut f32,
) {
    let lanes = V::BLOCKS * BLOCK;
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sum = [[[V::zero(); K]; BLOCK]; T];
        for y in 0..strip.lines {
            let seen = input.add(y * strip.in_line_stride);
            let wanted = gradient.add(y * strip.out_line_stride);
            for x in 0..strip.width {
                let mut pixel = [V::zero(); K];
                for (k, pixel) in pixel.iter_mut().enumerate() {
                    let at = wanted.add(x * BLOCK + k * V::BLOCKS * strip.out_block_stride);
                    *pixel = V::load_blocks(at, strip.out_block_stride);
                }
                for (tap, sum) in sum.iter_mut().enumerate() {
                    for (channel, sum) in sum.iter_mut().enumerate() {
                        let value = V::splat(seen.add((x + tap) * BLOCK + channel));
                        for k in 0..K {
                            sum[k] = sum[k].add_product(value, pixel[k]);
                        }
                    }
                }
            }
        }
        for (row, sum) in sum.iter().flatten().enumerate() {
            for (k, &sum) in sum.iter().enumerate() {
                let at = sums.add((row * K + k) * lanes);
                let before = V::load(at);
                add(before, sum).store(at);
            }
        }
    }
}

/// # Safety
/// Needs the instruction set of `V`.
#[inline(always)]
unsafe fn add<V: Vector>(a: V, b: V) -> V {
    let one = 1.0f32;
    // SAFETY: `one` lives on the stack.
    unsafe { a.add_product(b, V::splat(&one)) }
}

/// All three taps of one line of the filter.
type TapLine = unsafe fn(&Strip, *const f32, *const f32, *mut f32);

/// One tap after the other where three would not fit the registers.
///
/// # Safety
/// As [`taps`] with three taps.
#[inline(always)]
unsafe fn one_by_one<V: Vector, const K: usize>(
    strip: &Strip,
    input: *const f32,
    gradient: *const f32,
    sums: *mut f32,
) {
    for tap in 0..3 {
        // SAFETY: passed on.
        unsafe {
            taps::<V, 1, K>(
                strip,
                input.add(tap * BLOCK),
                gradient,
                sums.add(tap * BLOCK * K * V::BLOCKS * BLOCK),
            );
        }
    }
}

macro_rules! kernels {
    ($name:ident, $($feature:literal)?, $one:expr, $two:expr, $four:expr) => {
        fn $name(blocks: usize) -> TapLine {
            $(#[target_feature(enable = $feature)])?
            unsafe fn one(s: &Strip, i: *const f32, g: *const f32, o: *mut f32) {
                // SAFETY: passed on.
                unsafe { $one(s, i, g, o) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn two(s: &Strip, i: *const f32, g: *const f32, o: *mut f32) {
                // SAFETY: passed on.
                unsafe { $two(s, i, g, o) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn four(s: &Strip, i: *const f32, g: *const f32, o: *mut f32) {
                // SAFETY: passed on.
                unsafe { $four(s, i, g, o) }
            }
            match blocks {
                1 => one,
                2 => two,
                _ => four,
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(
    avx512,
    "avx512f,avx512vl,fma",
    taps::<Ymm, 3, 1>,
    taps::<Zmm, 3, 1>,
    one_by_one::<Zmm, 2>
);
#[cfg(target_arch = "x86_64")]
kernels!(
    avx2,
    "avx2,fma",
    one_by_one::<Ymm, 1>,
    one_by_one::<Ymm, 2>,
    one_by_one::<Ymm, 4>
);
kernels!(portable, , one_by_one::<Lanes, 1>, one_by_one::<Lanes, 2>, one_by_one::<Lanes, 4>);

/// Floats that [`accumulate`] adds to.
pub fn length(in_blocks: usize, out_blocks: usize) -> usize {
    in_blocks * out_blocks * BLOCK * BLOCK * 9
}

/// Adds one picture's part of the gradient to `sums`, laid out as group, input block, tap, input
/// channel, output channel of the group: the order of [`Packed`](blemish::engine::kernels::float::Packed).
#[expect(clippy::too_many_arguments, reason = "two pictures with their places")]
pub fn accumulate(
    level: Level,
    like_input: &Planes,
    input: &[f32],
    input_slot: Slot,
    in_blocks: usize,
    like_gradient: &Planes,
    gradient: &[f32],
    sums: &mut [f32],
) {
    let out_blocks = like_gradient.blocks;
    let sides = Sides::of(like_input);
    assert_eq!(sides, Sides::of(like_gradient));
    assert!(input_slot.has_place(in_blocks, like_input.blocks));
    assert_eq!(Some(input.len()), sides.ringed(like_input.blocks));
    assert_eq!(Some(gradient.len()), sides.ringed(out_blocks));
    assert_eq!(sums.len(), length(in_blocks, out_blocks));
    let (height, width) = (like_input.height, like_input.width);
    // A strip of input and gradient must stay in the first-level cache while nine taps read it.
    let lines = (768 / width.max(1)).clamp(1, height.max(1));
    for first_line in (0..height).step_by(lines) {
        let strip = Strip {
            lines: lines.min(height - first_line),
            width,
            in_line_stride: like_input.line_stride(),
            out_line_stride: like_gradient.line_stride(),
            out_block_stride: like_gradient.block_stride(),
        };
        for group in groups(out_blocks) {
            let kernel = match level.instructions() {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512 => avx512(group.blocks),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => avx2(group.blocks),
                Instructions::Portable => portable(group.blocks),
            };
            let lanes = group.blocks * BLOCK;
            let wanted = group.first_block * strip.out_block_stride
                + (first_line + 1) * strip.out_line_stride
                + BLOCK;
            for block in 0..in_blocks {
                for tap_line in 0..3 {
                    let seen = (input_slot.first_block + block) * like_input.block_stride()
                        + (first_line + tap_line) * strip.in_line_stride;
                    let row = ((group.first_block * in_blocks) * BLOCK * 9) * BLOCK
                        + (block * 9 + tap_line * 3) * BLOCK * lanes;
                    // SAFETY: the asserts hold all lines of the ringed planes that the strip and
                    // its taps touch, and three taps of sums; a `Level` is only made for processors
                    // that have its instructions.
                    unsafe {
                        kernel(
                            &strip,
                            input[seen..].as_ptr(),
                            gradient[wanted..].as_ptr(),
                            sums[row..row + 3 * BLOCK * lanes].as_mut_ptr(),
                        );
                    }
                }
            }
        }
    }
}
