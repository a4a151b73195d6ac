//! x86-64: VNNI on 512 and 256 bits.

use super::BLOCK;
use super::conv::{
    Dot, DotPairs, Line, LineKernel, Source, Target, in_registers, line_of, paired_pixels, pixels,
};
use super::pack::{Form, NARROW, Requantize};
use super::ymm::{Multiply, Ymm, cut_levels, eight_bytes, eight_floats};
use std::arch::x86_64::*;

/// Sixteen sums.
#[derive(Clone, Copy)]
struct Zmm(__m512i);

/// Requantizes sixteen sums to sixteen bytes.
///
/// # Safety
/// Needs avx512f, avx512vl, avx512bw; `scale` holds sixteen floats.
#[inline(always)]
unsafe fn sixteen_bytes(sums: __m512i, scale: *const f32, to: Requantize) -> __m128i {
    // SAFETY: as promised.
    unsafe {
        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(scale));
        let rounded = _mm512_add_epi32(
            _mm512_cvtps_epi32(scaled),
            _mm512_set1_epi32(i32::from(to.zero_point)),
        );
        let cut = _mm512_max_epi32(rounded, _mm512_set1_epi32(i32::from(to.least)));
        _mm512_cvtusepi32_epi8(cut)
    }
}

/// # Safety
/// Needs avx512f.
#[inline(always)]
unsafe fn scaled(sums: __m512i, scale: __m512) -> __m512i {
    // SAFETY: as promised.
    unsafe { _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale)) }
}

/// Four registers of scaled sums as bytes: in each 128-bit lane four bytes of each register.
///
/// Saturating to 16 bits before the zero point is added changes nothing: whatever it cuts ends at 0
/// or 255 all the same.
///
/// # Safety
/// Needs avx512f, avx512bw.
#[inline(always)]
unsafe fn sixty_four_bytes(sums: [__m512i; 4], scale: [__m512; 4], to: Requantize) -> __m512i {
    // SAFETY: as promised.
    unsafe {
        let [a, b, c, d] = sums;
        let low = _mm512_packs_epi32(scaled(a, scale[0]), scaled(b, scale[1]));
        let high = _mm512_packs_epi32(scaled(c, scale[2]), scaled(d, scale[3]));
        // The trainer's bundles have no other zero point, and three instructions less are 2 % of a
        // narrow layer.
        if to.zero_point == 0 && to.least == 0 {
            return _mm512_packus_epi16(low, high);
        }
        let zero_point = _mm512_set1_epi16(i16::from(to.zero_point));
        let low = _mm512_adds_epi16(low, zero_point);
        let high = _mm512_adds_epi16(high, zero_point);
        let bytes = _mm512_packus_epi16(low, high);
        _mm512_max_epu8(bytes, _mm512_set1_epi8(to.least as i8))
    }
}

// The intrinsics need avx512f, avx512vl, avx512bw, avx512vnni.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Dot for Zmm {
    const LANES: usize = 16;
    type Activation = __m512i;
    type Weight = __m512i;
    #[inline(always)]
    unsafe fn start(bias: *const i32) -> Self {
        unsafe { Self(_mm512_loadu_si512(bias.cast())) }
    }
    #[inline(always)]
    unsafe fn weight(from: *const i8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn add(self, activation: __m512i, weight: __m512i) -> Self {
        unsafe { Self(_mm512_dpbusd_epi32(self.0, activation, weight)) }
    }
    #[inline(always)]
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8, block_stride: usize) {
        unsafe {
            let bytes = sixteen_bytes(self.0, scale, to);
            _mm_storel_epi64(out.cast(), bytes);
            _mm_storel_epi64(
                out.add(block_stride).cast(),
                _mm_unpackhi_epi64(bytes, bytes),
            );
        }
    }
    #[inline(always)]
    unsafe fn store_four(
        sums: [Self; 4],
        scale: *const f32,
        to: Requantize,
        out: *mut u8,
        block_stride: usize,
    ) {
        unsafe {
            let sums = [sums[0].0, sums[1].0, sums[2].0, sums[3].0];
            let bytes = sixty_four_bytes(sums, [_mm512_loadu_ps(scale); 4], to);
            // Lane by lane the four pixels' next four channels; wanted are a pixel's first eight.
            let order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
            let blocks = _mm512_permutexvar_epi32(order, bytes);
            _mm256_storeu_si256(out.cast(), _mm512_castsi512_si256(blocks));
            _mm256_storeu_si256(
                out.add(block_stride).cast(),
                _mm512_extracti64x4_epi64::<1>(blocks),
            );
        }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, block_stride: usize) {
        unsafe {
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(self.0), _mm512_loadu_ps(scale));
            let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(scaled));
            _mm256_storeu_ps(out, _mm512_castps512_ps256(scaled));
            _mm256_storeu_ps(out.add(block_stride), _mm256_castpd_ps(high));
        }
    }
}

/// Where each 16 bits of eight pixels come from, that lie two channels of all pixels after the other.
const PIXELS_OF_PAIRS: [u16; 32] = {
    let mut order = [0; 32];
    let mut at = 0;
    while at < 32 {
        order[at] = (at % 4 * 8 + at / 4) as u16;
        at += 1;
    }
    order
};

/// Eight sums in two parts each: even lanes hold the lower four input channels' part.
#[derive(Clone, Copy)]
struct ZmmPairs(__m512i);

impl ZmmPairs {
    /// Two pixels' sums: in each 128-bit lane two channels of the one, then of the other.
    ///
    /// # Safety
    /// Needs avx512f.
    #[inline(always)]
    unsafe fn two_joined(a: Self, b: Self) -> __m512i {
        // SAFETY: as promised.
        unsafe {
            let (a, b) = (_mm512_castsi512_ps(a.0), _mm512_castsi512_ps(b.0));
            let even = _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(a, b));
            let odd = _mm512_castps_si512(_mm512_shuffle_ps::<0b11_01_11_01>(a, b));
            _mm512_add_epi32(even, odd)
        }
    }

    /// # Safety
    /// Needs avx512f.
    #[inline(always)]
    unsafe fn joined(self) -> __m256i {
        // SAFETY: as promised.
        unsafe {
            let odd = _mm512_srli_epi64::<32>(self.0);
            _mm512_cvtepi64_epi32(_mm512_add_epi32(self.0, odd))
        }
    }
}

// The intrinsics need avx512f, avx512vl, avx512bw, avx512vnni.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl DotPairs for ZmmPairs {
    type Activation = __m512i;
    type Weight = __m512i;
    #[inline(always)]
    unsafe fn start(bias: *const i32) -> Self {
        // The bias is in the even lanes, zero in the odd ones.
        unsafe { Self(_mm512_cvtepu32_epi64(_mm256_loadu_si256(bias.cast()))) }
    }
    #[inline(always)]
    unsafe fn weight(from: *const i8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn octet(from: *const u8) -> __m512i {
        unsafe { _mm512_set1_epi64(from.cast::<i64>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn add(self, activation: __m512i, weight: __m512i) -> Self {
        unsafe { Self(_mm512_dpbusd_epi32(self.0, activation, weight)) }
    }
    #[inline(always)]
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8) {
        unsafe { eight_bytes(self.joined(), scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_eight(sums: [Self; 8], scale: *const f32, to: Requantize, out: *mut u8) {
        unsafe {
            let twos = [
                Self::two_joined(sums[0], sums[1]),
                Self::two_joined(sums[2], sums[3]),
                Self::two_joined(sums[4], sums[5]),
                Self::two_joined(sums[6], sums[7]),
            ];
            let like_lanes = _mm512_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
            let scale = _mm512_castps256_ps512(_mm256_loadu_ps(scale));
            let scale = _mm512_permutexvar_ps(like_lanes, scale);
            let bytes = sixty_four_bytes(twos, [scale; 4], to);
            // Lane by lane two channels of eight pixels; wanted are a pixel's eight channels.
            let order = _mm512_loadu_si512(PIXELS_OF_PAIRS.as_ptr().cast());
            _mm512_storeu_si512(out.cast(), _mm512_permutexvar_epi16(order, bytes));
        }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32) {
        unsafe { eight_floats(self.joined(), scale, out) }
    }
}

/// VNNI on 256 bits.
#[derive(Clone, Copy)]
struct Vnni;

impl Multiply for Vnni {
    #[inline(always)]
    unsafe fn add(sums: __m256i, activation: __m256i, weight: __m256i) -> __m256i {
        // SAFETY: the trait's contract is passed on to the caller; avxvnni.
        unsafe { _mm256_dpbusd_avx_epi32(sums, activation, weight) }
    }
}

type YmmVnni = Ymm<Vnni>;

/// Pixels of a register with two partial sums each.
const STRIP: usize = 8;

/// Few output channels: `S` times eight pixels of `N` outputs, of which only those that `mask` names
/// are read and written.
///
/// # Safety
/// Needs avx512f, avx512vl, avx512bw, avx512vnni; the pixels lie within the line, and `line` describes
/// valid memory.
#[inline(always)]
unsafe fn strips<const N: usize, const S: usize>(line: &Line<'_>, x: usize, mask: u8) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); N]; S];
        for n in 0..N {
            // The bias is in the even lanes, zero in the odd ones.
            let start = _mm512_set1_epi64(i64::from(*line.bias.add(n) as u32));
            for sums in &mut sums {
                sums[n] = start;
            }
        }
        let mut next: *const i64 = line.weights.cast();
        for source in line.sources {
            for block in 0..source.channels.div_ceil(BLOCK) {
                for tap_line in 0..3 {
                    let above = source
                        .first
                        .add(block * line.block_stride + tap_line * line.line_stride + x * BLOCK);
                    for column in 0..3 {
                        let mut weights = [_mm512_setzero_si512(); N];
                        for (n, weight) in weights.iter_mut().enumerate() {
                            *weight = _mm512_set1_epi64(next.add(n).read_unaligned());
                        }
                        next = next.add(N);
                        for (s, sums) in sums.iter_mut().enumerate() {
                            let from = above.add((column + s * STRIP) * BLOCK).cast();
                            let seen = _mm512_maskz_loadu_epi64(mask, from);
                            for (sum, weight) in sums.iter_mut().zip(&weights) {
                                *sum = _mm512_dpbusd_epi32(*sum, seen, *weight);
                            }
                        }
                    }
                }
            }
        }
        let (twos, rest) = sums.as_chunks::<2>();
        for (two, [a, b]) in twos.iter().enumerate() {
            two_strips(line, x + two * 2 * STRIP, a, b);
        }
        for sums in rest {
            strip(line, x + twos.len() * 2 * STRIP, mask, sums);
        }
    }
}

/// Stores sixteen pixels of `N` outputs, the first eight's sums and the next eight's.
///
/// # Safety
/// As [`strips`].
#[inline(always)]
unsafe fn two_strips<const N: usize>(
    line: &Line<'_>,
    x: usize,
    a: &[__m512i; N],
    b: &[__m512i; N],
) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        // In each 128-bit lane two pixels of `a`, then of `b`.
        let joined = |n: usize| ZmmPairs::two_joined(ZmmPairs(a[n]), ZmmPairs(b[n]));
        match line.out {
            Target::Bytes(out, to) => {
                let mut sums = [_mm512_setzero_si512(); NARROW];
                let mut scales = [_mm512_setzero_ps(); NARROW];
                for n in 0..N {
                    (sums[n], scales[n]) = (joined(n), _mm512_set1_ps(*line.scale.add(n)));
                }
                let bytes = sixty_four_bytes(sums, scales, to);
                // Lane by lane output after output of four pixels; wanted are a pixel's outputs.
                let outputs = _mm512_broadcast_i32x4(_mm_setr_epi8(
                    0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
                ));
                let pixels = _mm512_shuffle_epi8(bytes, outputs);
                // The upper half of a pixel's block has no outputs.
                let filled = _mm512_set1_epi8(to.zero_point.max(to.least) as i8);
                let of_a = _mm512_setr_epi32(0, 0, 1, 0, 4, 0, 5, 0, 8, 0, 9, 0, 12, 0, 13, 0);
                let of_b = _mm512_setr_epi32(2, 0, 3, 0, 6, 0, 7, 0, 10, 0, 11, 0, 14, 0, 15, 0);
                let out = out.add(x * BLOCK);
                for (strip, order) in [of_a, of_b].into_iter().enumerate() {
                    let pixels = _mm512_mask_permutexvar_epi32(filled, 0x5555, order, pixels);
                    _mm512_storeu_si512(out.add(strip * STRIP * BLOCK).cast(), pixels);
                }
            }
            Target::Floats(out) => {
                let order = _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
                for n in 0..N {
                    let sums = _mm512_permutexvar_epi32(order, joined(n));
                    let scale = _mm512_set1_ps(*line.scale.add(n));
                    let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale);
                    _mm512_storeu_ps(out.first.add(n * out.plane + x), scaled);
                }
            }
        }
    }
}

/// Stores those of eight pixels of `N` outputs that `mask` names.
///
/// # Safety
/// As [`strips`].
#[inline(always)]
unsafe fn strip<const N: usize>(line: &Line<'_>, x: usize, mask: u8, sums: &[__m512i; N]) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        match line.out {
            Target::Bytes(out, to) => {
                let filled = u64::from_ne_bytes([to.zero_point.max(to.least); BLOCK]);
                let mut pixels = _mm512_set1_epi64((filled << (8 * N)) as i64);
                for (n, sum) in sums.iter().enumerate() {
                    let scale = _mm256_set1_ps(*line.scale.add(n));
                    let levels = cut_levels(ZmmPairs(*sum).joined(), scale, to);
                    let place = _mm512_set1_epi64(8 * n as i64);
                    let levels = _mm512_sllv_epi64(_mm512_cvtepu32_epi64(levels), place);
                    pixels = _mm512_or_si512(pixels, levels);
                }
                _mm512_mask_storeu_epi64(out.add(x * BLOCK).cast(), mask, pixels);
            }
            Target::Floats(out) => {
                for (n, sum) in sums.iter().enumerate() {
                    let sum = _mm256_cvtepi32_ps(ZmmPairs(*sum).joined());
                    let scaled = _mm256_mul_ps(sum, _mm256_set1_ps(*line.scale.add(n)));
                    _mm256_mask_storeu_ps(out.first.add(n * out.plane + x), mask, scaled);
                }
            }
        }
    }
}

/// A line of `N` outputs.
///
/// # Safety
/// As [`strips`].
#[inline(always)]
unsafe fn strip_line<const N: usize, const S: usize>(line: &Line<'_>) {
    let mut x = 0;
    // SAFETY: every stride ends at or before the line's width, the last by its mask.
    unsafe {
        while x + 8 * S <= line.width {
            strips::<N, S>(line, x, 0xff);
            x += 8 * S;
        }
        while x + 8 <= line.width {
            strips::<N, 1>(line, x, 0xff);
            x += 8;
        }
        if x < line.width {
            strips::<N, 1>(line, x, (1 << (line.width - x)) - 1);
        }
    }
}

/// # Safety
/// As [`strips`], for the whole line.
#[inline(always)]
unsafe fn zmm_strips(line: &Line<'_>) {
    const { assert!(NARROW == 4) };
    // SAFETY: passed on.
    unsafe {
        match line.lanes {
            1 => strip_line::<1, 4>(line),
            2 => strip_line::<2, 4>(line),
            3 => strip_line::<3, 4>(line),
            _ => strip_line::<4, 2>(line),
        }
    }
}

/// # Safety
/// As `paired_pixels`, for the whole line.
#[inline(always)]
unsafe fn zmm_pairs(line: &Line<'_>) {
    let mut x = 0;
    // SAFETY: every stride ends at or before the line's width.
    unsafe {
        while x + 16 <= line.width {
            paired_pixels::<ZmmPairs, 16>(line, x);
            x += 16;
        }
        while x + 8 <= line.width {
            paired_pixels::<ZmmPairs, 8>(line, x);
            x += 8;
        }
        while x + 4 <= line.width {
            paired_pixels::<ZmmPairs, 4>(line, x);
            x += 4;
        }
        while x < line.width {
            paired_pixels::<ZmmPairs, 1>(line, x);
            x += 1;
        }
    }
}
line_of!(zmm_one, Zmm, 1, [24, 12, 8, 4, 1]);
line_of!(zmm_two, Zmm, 2, [8, 4, 1]);
line_of!(vnni_one, YmmVnni, 1, [12, 8, 4, 1]);

/// The strides are those measured best on the processors at hand: `vpdpbusd` takes four or five cycles, two of
/// them run at a time, and a stride's sums are what there is to choose from.
pub(super) fn avx512_vnni(form: Form, lanes: usize) -> LineKernel {
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512vnni")]
    unsafe fn few(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { zmm_strips(line) }
    }
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512vnni")]
    unsafe fn eight(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { zmm_pairs(line) }
    }
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512vnni")]
    unsafe fn sixteen(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { zmm_one(line) }
    }
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512vnni")]
    unsafe fn thirty_two(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { zmm_two(line) }
    }
    match (form, lanes) {
        (Form::Pixels, _) => few,
        (_, BLOCK) => eight,
        (_, 16) => sixteen,
        _ => thirty_two,
    }
}

pub(super) fn avx_vnni(_: Form, _: usize) -> LineKernel {
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn eight(line: &Line<'_>) {
        // SAFETY: passed on to the caller of the kernel.
        unsafe { vnni_one(line) }
    }
    eight
}

/// The most this core can do on 512 bits.
///
/// # Safety
/// Needs the instructions named.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512vnni")]
pub(super) unsafe fn avx512_vnni_in_registers(turns: u32) -> u64 {
    // SAFETY: as promised.
    unsafe { in_registers::<Zmm>(turns) }
}

/// As above, on 256 bits.
///
/// # Safety
/// Needs the instructions named.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) unsafe fn avx_vnni_in_registers(turns: u32) -> u64 {
    // SAFETY: as promised.
    unsafe { in_registers::<YmmVnni>(turns) }
}
