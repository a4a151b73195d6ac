//! AVX2: `vpmaddubsw` sums the products of two bytes in 16 bits, and saturates at two of 255 * 127. The weights come in
//! units where none can, see [`Form::Units`](super::pack::Form).

use super::BLOCK;
use super::conv::{Dot, Line, LineKernel, put, unrolled};
use super::pack::{Form, Requantize, UNIT, UNIT_ROWS};
use super::x86::{eight_bytes, eight_floats, thirty_two_bytes};
use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// The same register, of which the compiler no longer knows what is in it.
///
/// # Safety
/// Needs avx2.
#[target_feature(enable = "avx2")]
unsafe fn unknown(mut register: __m256i) -> __m256i {
    // SAFETY: no instruction at all.
    unsafe {
        asm!("/* {0} */", inout(ymm_reg) register, options(nomem, nostack, preserves_flags));
    }
    register
}

/// Eight sums.
#[derive(Clone, Copy)]
struct Ymm(__m256i);

// SAFETY (all methods): the trait's contract is passed on; avx2.
impl Dot for Ymm {
    const LANES: usize = 8;
    type Activation = __m256i;
    type Weight = __m256i;
    #[inline(always)]
    unsafe fn start(bias: *const i32) -> Self {
        unsafe { Self(_mm256_loadu_si256(bias.cast())) }
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
        unsafe { unknown(activation) }
    }
    /// No two of the products may leave 16 bits together.
    #[inline(always)]
    unsafe fn add(self, activation: __m256i, weight: __m256i) -> Self {
        unsafe {
            let pairs = _mm256_maddubs_epi16(activation, weight);
            let quads = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            Self(_mm256_add_epi32(self.0, quads))
        }
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
        unsafe { thirty_two_bytes(sums.map(|sum| sum.0), scale, to, out) }
    }
    #[inline(always)]
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, _: usize) {
        unsafe { eight_floats(self.0, scale, out) }
    }
}

/// First pixels of the lines that units name.
type Rows = [MaybeUninit<*const u8>; UNIT_ROWS];

/// `P` pixels from column `x` on.
///
/// # Safety
/// `x + P <= line.width`, `rows` has the line's, and `line` describes valid memory.
#[inline(always)]
unsafe fn pixels<const P: usize>(line: &Line<'_>, rows: &Rows, x: usize) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        let mut sums = [[Ymm::start(line.bias)]; P];
        let mut next = line.weights;
        let [plain, turned] = line.units;
        for unit in plain {
            let from = rows.get_unchecked(unit.row as usize).assume_init();
            let from = from.add(unit.at as usize + x * BLOCK);
            let weight = Ymm::weight(next);
            next = next.add(UNIT);
            unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] while p < P => {
                sums[p][0] = sums[p][0].add(Ymm::quad(from.add(p * BLOCK)), weight);
            });
        }
        for unit in turned {
            let from = rows.get_unchecked(unit.row as usize).assume_init();
            let from = from.add(unit.at as usize + x * BLOCK);
            let (weight, off_255) = (Ymm::weight(next), Ymm::weight(next.add(UNIT)));
            next = next.add(2 * UNIT);
            unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] while p < P => {
                let seen = _mm256_xor_si256(Ymm::quad(from.add(p * BLOCK)), off_255);
                sums[p][0] = sums[p][0].add(seen, weight);
            });
        }
        put(line, x, &sums);
    }
}

/// A line of one block of outputs.
///
/// # Safety
/// Needs avx2; `line` describes valid memory.
#[target_feature(enable = "avx2")]
unsafe fn whole_line(line: &Line<'_>) {
    let mut rows: Rows = [MaybeUninit::uninit(); UNIT_ROWS];
    let mut filled = rows.iter_mut();
    let mut x = 0;
    // SAFETY: every stride ends at or before the line's width, and `Packed::new` let no more rows through.
    unsafe {
        for source in line.sources {
            for block in 0..source.channels.div_ceil(BLOCK) {
                let block = source.first.add(block * line.block_stride);
                for (tap_line, row) in (0..3).zip(&mut filled) {
                    row.write(block.add(tap_line * line.line_stride));
                }
            }
        }
        while x + 12 <= line.width {
            pixels::<12>(line, &rows, x);
            x += 12;
        }
        while x + 8 <= line.width {
            pixels::<8>(line, &rows, x);
            x += 8;
        }
        while x + 4 <= line.width {
            pixels::<4>(line, &rows, x);
            x += 4;
        }
        while x < line.width {
            pixels::<1>(line, &rows, x);
            x += 1;
        }
    }
}

pub(super) fn kernel(_: Form, _: usize) -> LineKernel {
    whole_line
}

/// The most this core can do with AVX2, where weights are small.
///
/// # Safety
/// Needs avx2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn in_registers(turns: u32) -> u64 {
    // SAFETY: as promised.
    unsafe { super::conv::in_registers::<Ymm>(turns) }
}
