//! aarch64: dot products where the processor has them, else 16-bit products summed in pairs.
//!
//! Both multiply signed by signed, so activations are taken as `value - 128`; `Packed` adds the
//! difference to the bias.

use super::BLOCK;
use super::conv::{Dot, Line, LineKernel, Source, in_registers, line_of, pixels};
use super::pack::{Form, Requantize};
use std::arch::aarch64::*;
use std::arch::asm;

/// Four channels of one pixel in every lane, as signed bytes.
///
/// # Safety
/// Four bytes at `from`.
#[inline(always)]
unsafe fn signed_quad(from: *const u8) -> int8x16_t {
    // SAFETY: as promised.
    unsafe {
        let quad = vdupq_n_u32(from.cast::<u32>().read_unaligned());
        vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(quad), vdupq_n_u8(0x80)))
    }
}

/// # Safety
/// Four floats at `scale`, four bytes at `out`.
#[inline(always)]
unsafe fn four_bytes(sums: int32x4_t, scale: *const f32, to: Requantize, out: *mut u8) {
    // SAFETY: as promised.
    unsafe {
        let scaled = vmulq_f32(vcvtq_f32_s32(sums), vld1q_f32(scale));
        let rounded = vaddq_s32(
            vcvtnq_s32_f32(scaled),
            vdupq_n_s32(i32::from(to.zero_point)),
        );
        let cut = vminq_s32(
            vmaxq_s32(rounded, vdupq_n_s32(i32::from(to.least))),
            vdupq_n_s32(255),
        );
        let words = vmovn_s32(cut);
        let bytes = vmovn_u16(vreinterpretq_u16_s16(vcombine_s16(words, words)));
        let four = vget_lane_u32::<0>(vreinterpret_u32_u8(bytes));
        out.cast::<u32>().write_unaligned(four);
    }
}

/// # Safety
/// Four floats at `scale` and at `out`.
#[inline(always)]
unsafe fn four_floats(sums: int32x4_t, scale: *const f32, out: *mut f32) {
    // SAFETY: as promised.
    unsafe { vst1q_f32(out, vmulq_f32(vcvtq_f32_s32(sums), vld1q_f32(scale))) }
}

/// Four sums with `sdot`.
#[derive(Clone, Copy)]
struct DotProduct(int32x4_t);

// SAFETY (all methods): the trait's contract is passed on; neon, dotprod.
impl Dot for DotProduct {
    const LANES: usize = 4;
    type Activation = int8x16_t;
    type Weight = int8x16_t;
    #[inline(always)]
    unsafe fn start(bias: *const i32) -> Self {
        unsafe { Self(vld1q_s32(bias)) }
    }
    #[inline(always)]
    unsafe fn weight(from: *const i8) -> int8x16_t {
        unsafe { vld1q_s8(from) }
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> int8x16_t {
        unsafe { signed_quad(from) }
    }
    #[inline(always)]
    unsafe fn add(self, activation: int8x16_t, weight: int8x16_t) -> Self {
        let mut sum = self.0;
        // The intrinsic is not stable in the Rust this project asks for; one instruction, so the
        // compiler still allocates registers and schedules.
        unsafe {
            asm!(
                "sdot {sum:v}.4s, {a:v}.16b, {w:v}.16b",
                sum = inout(vreg) sum,
                a = in(vreg) activation,
                w = in(vreg) weight,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        Self(sum)
    }
    #[inline(always)]
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8, _: usize) {
        unsafe { four_bytes(self.0, scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, _: usize) {
        unsafe { four_floats(self.0, scale, out) }
    }
}

/// Four sums in two parts each: two channels went into each lane.
#[derive(Clone, Copy)]
struct Plain(int32x4_t, int32x4_t);

// SAFETY (all methods): the trait's contract is passed on; neon.
impl Dot for Plain {
    const LANES: usize = 4;
    type Activation = int8x16_t;
    type Weight = int8x16_t;
    #[inline(always)]
    unsafe fn start(bias: *const i32) -> Self {
        unsafe {
            let bias = vld1q_s32(bias);
            let zero = vdupq_n_s32(0);
            Self(vzip1q_s32(bias, zero), vzip2q_s32(bias, zero))
        }
    }
    #[inline(always)]
    unsafe fn weight(from: *const i8) -> int8x16_t {
        unsafe { vld1q_s8(from) }
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> int8x16_t {
        unsafe { signed_quad(from) }
    }
    #[inline(always)]
    unsafe fn add(self, activation: int8x16_t, weight: int8x16_t) -> Self {
        unsafe {
            let low = vmull_s8(vget_low_s8(activation), vget_low_s8(weight));
            let high = vmull_high_s8(activation, weight);
            Self(vpadalq_s16(self.0, low), vpadalq_s16(self.1, high))
        }
    }
    #[inline(always)]
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8, _: usize) {
        unsafe { four_bytes(vpaddq_s32(self.0, self.1), scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, _: usize) {
        unsafe { four_floats(vpaddq_s32(self.0, self.1), scale, out) }
    }
}

line_of!(dot_one, DotProduct, 2, [8, 4, 1]);
line_of!(dot_two, DotProduct, 4, [4, 1]);
line_of!(plain_one, Plain, 2, [4, 1]);
line_of!(plain_two, Plain, 4, [2, 1]);

pub(super) fn dot_product(_: Form, blocks: usize) -> LineKernel {
    // SAFETY (both): passed on to the caller of the kernel.
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn one(line: &Line<'_>) {
        unsafe { dot_one(line) }
    }
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn two(line: &Line<'_>) {
        unsafe { dot_two(line) }
    }
    if blocks == 1 { one } else { two }
}

pub(super) fn plain(_: Form, blocks: usize) -> LineKernel {
    if blocks == 1 { plain_one } else { plain_two }
}

/// The most this core can do with `sdot`.
///
/// # Safety
/// Needs dotprod.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn dot_product_in_registers(turns: u32) -> u64 {
    // SAFETY: as promised.
    unsafe { in_registers::<DotProduct>(turns) }
}

/// The most this core can do with products in 16 bits.
///
/// # Safety
/// Every aarch64 has neon.
pub(super) unsafe fn plain_in_registers(turns: u32) -> u64 {
    // SAFETY: as promised.
    unsafe { in_registers::<Plain>(turns) }
}
