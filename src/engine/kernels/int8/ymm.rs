//! Eight sums in 256 bits: what AVX2 and AVX-VNNI share, which is all but the multiplication.

use super::conv::Dot;
use super::pack::Requantize;
use std::arch::x86_64::*;
use std::marker::PhantomData;

/// How bytes are multiplied.
///
/// # Safety
/// Needs the instruction set of its type.
pub(super) trait Multiply: Copy {
    /// Adds the four products of every lane.
    unsafe fn add(sums: __m256i, activation: __m256i, weight: __m256i) -> __m256i;
    /// See [`Dot::unknown`].
    #[inline(always)]
    unsafe fn unknown(activation: __m256i) -> __m256i {
        activation
    }
}

/// Eight sums.
#[derive(Clone, Copy)]
pub(super) struct Ymm<M>(pub __m256i, PhantomData<M>);

// The intrinsics need avx2 and what `M` needs.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl<M: Multiply> Dot for Ymm<M> {
    const LANES: usize = 8;
    type Activation = __m256i;
    type Weight = __m256i;
    #[inline(always)]
    unsafe fn start(bias: *const i32) -> Self {
        unsafe { Self(_mm256_loadu_si256(bias.cast()), PhantomData) }
    }
    #[inline(always)]
    unsafe fn weight(from: *const i8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> __m256i {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn unknown(activation: __m256i) -> __m256i {
        unsafe { M::unknown(activation) }
    }
    #[inline(always)]
    unsafe fn add(self, activation: __m256i, weight: __m256i) -> Self {
        unsafe { Self(M::add(self.0, activation, weight), PhantomData) }
    }
    #[inline(always)]
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8, _: usize) {
        unsafe { eight_bytes(self.0, scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_four(
        sums: [Self; 4],
        scale: *const f32,
        to: Requantize,
        out: *mut u8,
        _: usize,
    ) {
        // Not by `map`: where the compiler makes a call of it, all sums go through memory (a factor 2).
        let [a, b, c, d] = sums;
        unsafe { thirty_two_bytes([a.0, b.0, c.0, d.0], scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, _: usize) {
        unsafe { eight_floats(self.0, scale, out) }
    }
}

/// Eight sums as numbers from `to.least` to 255.
///
/// # Safety
/// Needs avx2.
#[inline(always)]
pub(super) unsafe fn cut_levels(sums: __m256i, scale: __m256, to: Requantize) -> __m256i {
    // SAFETY: as promised.
    unsafe {
        let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
        let rounded = _mm256_add_epi32(
            _mm256_cvtps_epi32(scaled),
            _mm256_set1_epi32(i32::from(to.zero_point)),
        );
        let cut = _mm256_max_epi32(rounded, _mm256_set1_epi32(i32::from(to.least)));
        _mm256_min_epi32(cut, _mm256_set1_epi32(255))
    }
}

/// # Safety
/// Needs avx2; eight floats at `scale`, eight bytes at `out`.
#[inline(always)]
pub(super) unsafe fn eight_bytes(sums: __m256i, scale: *const f32, to: Requantize, out: *mut u8) {
    // SAFETY: as promised.
    unsafe {
        let cut = cut_levels(sums, _mm256_loadu_ps(scale), to);
        let low = _mm256_castsi256_si128(cut);
        let words = _mm_packus_epi32(low, _mm256_extracti128_si256::<1>(cut));
        _mm_storel_epi64(out.cast(), _mm_packus_epi16(words, words));
    }
}

/// # Safety
/// Needs avx2; eight floats at `scale` and at `out`.
#[inline(always)]
pub(super) unsafe fn eight_floats(sums: __m256i, scale: *const f32, out: *mut f32) {
    // SAFETY: as promised.
    unsafe {
        let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(scale));
        _mm256_storeu_ps(out, scaled);
    }
}

/// # Safety
/// Needs avx2.
#[inline(always)]
unsafe fn eight_scaled(sums: __m256i, scale: __m256) -> __m256i {
    // SAFETY: as promised.
    unsafe { _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale)) }
}

/// Four registers of eight sums as bytes, pixel by pixel. Saturating to 16 bits changes nothing, see
/// `sixty_four_bytes` of AVX-512.
///
/// # Safety
/// Needs avx2; eight floats at `scale`, 32 bytes at `out`.
#[inline(always)]
unsafe fn thirty_two_bytes(sums: [__m256i; 4], scale: *const f32, to: Requantize, out: *mut u8) {
    // SAFETY: as promised.
    unsafe {
        let scale = _mm256_loadu_ps(scale);
        let [a, b, c, d] = sums;
        let (a, b) = (eight_scaled(a, scale), eight_scaled(b, scale));
        let (c, d) = (eight_scaled(c, scale), eight_scaled(d, scale));
        let zero_point = _mm256_set1_epi16(i16::from(to.zero_point));
        let low = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
        let high = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point);
        let least = _mm256_set1_epi8(to.least as i8);
        let bytes = _mm256_max_epu8(_mm256_packus_epi16(low, high), least);
        // Lane by lane the four pixels' next four channels; wanted are a pixel's eight.
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        _mm256_storeu_si256(out.cast(), _mm256_permutevar8x32_epi32(bytes, order));
    }
}
