//! aarch64: dot products where the processor has them, else 16-bit products summed in pairs.
//!
//! Both multiply signed by signed, so activations are taken as `value - 128`; `Packed` adds the
//! difference to the bias.

use super::BLOCK;
use super::conv::{Dot, Line, LineKernel, Source, in_registers, line_of, pixels, unrolled};
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

/// Sixteen sums, rounded and cut, in their order.
///
/// Saturating to 16 bits before the zero point is added changes nothing: whatever it cuts ends at 0
/// or 255 all the same.
#[inline(always)]
pub(super) fn bytes_of(
    sums: [int32x4_t; 4],
    scales: [float32x4_t; 4],
    to: Requantize,
) -> uint8x16_t {
    // SAFETY: every aarch64 has neon.
    unsafe {
        let rounded = |at: usize| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[at]), scales[at]));
        let zero_point = vdupq_n_s16(i16::from(to.zero_point));
        let eight = |at: usize| {
            let words = vqmovn_high_s32(vqmovn_s32(rounded(at)), rounded(at + 1));
            vqaddq_s16(words, zero_point)
        };
        let bytes = vqmovun_high_s16(vqmovun_s16(eight(0)), eight(2));
        vmaxq_u8(bytes, vdupq_n_u8(to.least))
    }
}

/// Four channels of four pixels.
///
/// # Safety
/// Four floats at `scale`, four bytes at the beginning of each of four blocks at `out`.
#[inline(always)]
unsafe fn sixteen_bytes(sums: [int32x4_t; 4], scale: *const f32, to: Requantize, out: *mut u8) {
    // SAFETY: as promised.
    unsafe {
        let bytes = vreinterpretq_u32_u8(bytes_of(sums, [vld1q_f32(scale); 4], to));
        vst1q_lane_u32::<0>(out.cast(), bytes);
        vst1q_lane_u32::<1>(out.add(BLOCK).cast(), bytes);
        vst1q_lane_u32::<2>(out.add(2 * BLOCK).cast(), bytes);
        vst1q_lane_u32::<3>(out.add(3 * BLOCK).cast(), bytes);
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

impl DotProduct {
    /// Adds the products of four channels of one pixel, the quad of that number in `pixels`.
    ///
    /// # Safety
    /// Needs dotprod.
    #[inline(always)]
    unsafe fn add_quad(self, weight: int8x16_t, pixels: int8x16_t, quad: usize) -> Self {
        let mut sum = self.0;
        macro_rules! sdot {
            ($lane:literal) => {
                // SAFETY: as promised. The intrinsic is not stable in the Rust this project asks for; one
                // instruction, so the compiler still allocates registers and schedules.
                unsafe {
                    asm!(
                        concat!("sdot {sum:v}.4s, {w:v}.16b, {a:v}.4b[", $lane, "]"),
                        sum = inout(vreg) sum,
                        w = in(vreg) weight,
                        a = in(vreg) pixels,
                        options(pure, nomem, nostack, preserves_flags),
                    )
                }
            };
        }
        // Known when the loops around it are unrolled.
        match quad {
            0 => sdot!(0),
            1 => sdot!(1),
            2 => sdot!(2),
            _ => sdot!(3),
        }
        Self(sum)
    }
}

/// `P + 2` pixels of eight signed channels, two in each register.
///
/// # Safety
/// So many pixels at `from`.
#[inline(always)]
unsafe fn signed_pixels<const P: usize>(from: *const u8) -> [int8x16_t; MOST_PAIRS] {
    // SAFETY: as promised; of an odd number the last is read alone.
    unsafe {
        let mut pairs = [vdupq_n_s8(0); MOST_PAIRS];
        for (at, pair) in pairs.iter_mut().enumerate().take((P + 2).div_ceil(2)) {
            let from = from.add(2 * at * BLOCK);
            let seen = if 2 * at + 2 <= P + 2 {
                vld1q_u8(from)
            } else {
                vcombine_u8(vld1_u8(from), vdup_n_u8(0))
            };
            *pair = vreinterpretq_s8_u8(veorq_u8(seen, vdupq_n_u8(0x80)));
        }
        pairs
    }
}

/// Registers of [`signed_pixels`] for eight pixels.
const MOST_PAIRS: usize = 5;

// Instructions of neon and dotprod.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Dot for DotProduct {
    #[inline(always)]
    unsafe fn taps<const P: usize, const K: usize, const Q: usize>(
        line: &Line<'_>,
        sums: &mut [[Self; K]; P],
        above: *const u8,
        mut next: *const i8,
    ) -> *const i8 {
        unsafe {
            for tap_line in 0..3 {
                let pairs = signed_pixels::<P>(above.add(tap_line * line.line_stride));
                unrolled!(quad in [0, 1] while quad < Q => {
                    unrolled!(column in [0, 1, 2] while true => {
                        unrolled!(k in [0, 1, 2, 3] while k < K => {
                            let weight = vld1q_s8(next.add(((quad * 3 + column) * K + k) * 16));
                            unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7] while p < P => {
                                let at = 2 * (p + column) + quad;
                                sums[p][k] = sums[p][k].add_quad(weight, pairs[at / 4], at % 4);
                            });
                        });
                    });
                });
                next = next.add(Q * 3 * K * 16);
            }
            next
        }
    }
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
    unsafe fn store_four(
        sums: [Self; 4],
        scale: *const f32,
        to: Requantize,
        out: *mut u8,
        _: usize,
    ) {
        let [a, b, c, d] = sums;
        unsafe { sixteen_bytes([a.0, b.0, c.0, d.0], scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, _: usize) {
        unsafe { four_floats(self.0, scale, out) }
    }
}

/// Four sums: products in 16 bits, of two pairs of channels one onto the other, summed in pairs.
#[derive(Clone, Copy)]
struct Plain(int32x4_t);

// Instructions of neon.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Dot for Plain {
    const LANES: usize = 4;
    /// Two channels of one pixel in every 16 bits, and the next two.
    type Activation = [int8x16_t; 2];
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
    unsafe fn quad(from: *const u8) -> [int8x16_t; 2] {
        unsafe {
            let quad = vreinterpretq_s16_s8(signed_quad(from));
            let pairs = [vdupq_laneq_s16::<0>(quad), vdupq_laneq_s16::<1>(quad)];
            let [first, second] = pairs;
            [vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(second)]
        }
    }
    /// No pair of products leaves 16 bits: none is greater than 128 times 127.
    #[inline(always)]
    unsafe fn add(self, activation: [int8x16_t; 2], weight: int8x16_t) -> Self {
        let mut sum = self.0;
        // Of intrinsics the compiler moves the weight's upper half down first, and has so many products
        // under way that the sums leave the registers.
        unsafe {
            asm!(
                "smull {products:v}.8h, {a:v}.8b, {w:v}.8b",
                "smlal2 {products:v}.8h, {b:v}.16b, {w:v}.16b",
                "sadalp {sum:v}.4s, {products:v}.8h",
                products = out(vreg) _,
                sum = inout(vreg) sum,
                a = in(vreg) activation[0],
                b = in(vreg) activation[1],
                w = in(vreg) weight,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        Self(sum)
    }
    #[inline(always)]
    unsafe fn taps<const P: usize, const K: usize, const Q: usize>(
        line: &Line<'_>,
        sums: &mut [[Self; K]; P],
        above: *const u8,
        mut next: *const i8,
    ) -> *const i8 {
        unsafe {
            for tap_line in 0..3 {
                let pairs = signed_pixels::<P>(above.add(tap_line * line.line_stride));
                unrolled!(quad in [0, 1] while quad < Q => {
                    let mut seen = [[vdupq_n_s8(0); 2]; 2 * MOST_PAIRS];
                    unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] while p < P + 2 => {
                        seen[p] = pair_of_pairs(pairs[p / 2], p % 2 * 2 + quad);
                    });
                    unrolled!(column in [0, 1, 2] while true => {
                        unrolled!(k in [0, 1, 2, 3] while k < K => {
                            let weight = vld1q_s8(next.add(((quad * 3 + column) * K + k) * 16));
                            unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7] while p < P => {
                                sums[p][k] = sums[p][k].add(seen[p + column], weight);
                            });
                        });
                    });
                });
                next = next.add(Q * 3 * K * 16);
            }
            next
        }
    }
    #[inline(always)]
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8, _: usize) {
        unsafe { four_bytes(self.0, scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_four(
        sums: [Self; 4],
        scale: *const f32,
        to: Requantize,
        out: *mut u8,
        _: usize,
    ) {
        let [a, b, c, d] = sums;
        unsafe { sixteen_bytes([a.0, b.0, c.0, d.0], scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, _: usize) {
        unsafe { four_floats(self.0, scale, out) }
    }
}

/// The quad of that number in `pixels` as [`Plain`] takes it.
#[inline(always)]
fn pair_of_pairs(pixels: int8x16_t, quad: usize) -> [int8x16_t; 2] {
    // SAFETY: every aarch64 has neon.
    unsafe {
        let pixels = vreinterpretq_s16_s8(pixels);
        // Known when the loops around it are unrolled.
        let pairs = match quad {
            0 => [vdupq_laneq_s16::<0>(pixels), vdupq_laneq_s16::<1>(pixels)],
            1 => [vdupq_laneq_s16::<2>(pixels), vdupq_laneq_s16::<3>(pixels)],
            2 => [vdupq_laneq_s16::<4>(pixels), vdupq_laneq_s16::<5>(pixels)],
            _ => [vdupq_laneq_s16::<6>(pixels), vdupq_laneq_s16::<7>(pixels)],
        };
        let [first, second] = pairs;
        [vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(second)]
    }
}

line_of!(dot_half, DotProduct, 1, [8, 4, 1]);
line_of!(dot_one, DotProduct, 2, [8, 4, 1]);
line_of!(dot_two, DotProduct, 4, [4, 1]);
line_of!(plain_half, Plain, 1, [8, 4, 1]);
line_of!(plain_one, Plain, 2, [4, 1]);
line_of!(plain_two, Plain, 4, [3, 1]);

/// Four outputs are half a block and one register.
const HALF: usize = BLOCK / 2;

pub(super) fn dot_product(_: Form, lanes: usize) -> LineKernel {
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn half(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { dot_half(line) }
    }
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn one(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { dot_one(line) }
    }
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn two(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { dot_two(line) }
    }
    match lanes {
        HALF => half,
        BLOCK => one,
        _ => two,
    }
}

pub(super) fn plain(_: Form, lanes: usize) -> LineKernel {
    match lanes {
        HALF => plain_half,
        BLOCK => plain_one,
        _ => plain_two,
    }
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
