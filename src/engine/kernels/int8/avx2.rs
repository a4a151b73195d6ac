//! AVX2: `vpmaddubsw` sums the products of two bytes in 16 bits, and saturates at two of 255 * 127. The weights come in
//! units where none can, see [`units`](super::units).

use super::BLOCK;
use super::conv::{Dot, Line, LineKernel, put, unrolled};
use super::pack::Form;
use super::units::{UNIT, UNIT_ROWS, Unit};
use super::ymm::{Multiply, Ymm};
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

/// Adds the products of two units, whose sums stay in 16 bits together.
///
/// # Safety
/// Needs avx2.
#[inline(always)]
unsafe fn add_two(sums: __m256i, seen: [__m256i; 2], weights: [__m256i; 2]) -> __m256i {
    // SAFETY: as promised.
    unsafe {
        let first = _mm256_maddubs_epi16(seen[0], weights[0]);
        let second = _mm256_maddubs_epi16(seen[1], weights[1]);
        let quads = _mm256_madd_epi16(_mm256_add_epi16(first, second), _mm256_set1_epi16(1));
        _mm256_add_epi32(sums, quads)
    }
}

/// Products of two bytes summed in 16 bits: no two may leave them together.
#[derive(Clone, Copy)]
struct Pairs;

// The intrinsics need avx2.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Multiply for Pairs {
    #[inline(always)]
    unsafe fn add(sums: __m256i, activation: __m256i, weight: __m256i) -> __m256i {
        unsafe {
            let pairs = _mm256_maddubs_epi16(activation, weight);
            let quads = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            _mm256_add_epi32(sums, quads)
        }
    }
    #[inline(always)]
    unsafe fn unknown(activation: __m256i) -> __m256i {
        unsafe { unknown(activation) }
    }
}

type YmmPairs = Ymm<Pairs>;

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
        let mut sums = [[YmmPairs::start(line.bias)]; P];
        let mut next = line.weights;
        for unit in line.units.alone {
            let from = first_pixel(rows, unit, x);
            let (weight, off_255) = (YmmPairs::weight(next), YmmPairs::weight(next.add(UNIT)));
            next = next.add(2 * UNIT);
            unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7] while p < P => {
                let seen = _mm256_xor_si256(YmmPairs::quad(from.add(p * BLOCK)), off_255);
                sums[p][0] = sums[p][0].add(seen, weight);
            });
        }
        let [none, second, both] = line.units.pairs;
        for pair in none {
            next = joined::<P, 0>(&mut sums, rows, pair, x, next);
        }
        for pair in second {
            next = joined::<P, 1>(&mut sums, rows, pair, x, next);
        }
        for pair in both {
            next = joined::<P, 2>(&mut sums, rows, pair, x, next);
        }
        put(line, x, &sums);
    }
}

/// The four inputs of a unit at column `x`.
///
/// # Safety
/// `rows` has the unit's.
#[inline(always)]
unsafe fn first_pixel(rows: &Rows, unit: &Unit, x: usize) -> *const u8 {
    // SAFETY: as promised.
    unsafe {
        let row = rows.get_unchecked(unit.row as usize).assume_init();
        row.add(unit.at as usize + x * BLOCK)
    }
}

/// Adds two units that are joined, the last `TURNED` of them turned; returns where the next weights are.
///
/// # Safety
/// As [`pixels`], and `next` has the weights of both and the masks of those turned.
#[inline(always)]
unsafe fn joined<const P: usize, const TURNED: usize>(
    sums: &mut [[YmmPairs; 1]; P],
    rows: &Rows,
    [first, second]: &[Unit; 2],
    x: usize,
    next: *const i8,
) -> *const i8 {
    // SAFETY: the caller promises the ranges.
    unsafe {
        let (first, second) = (first_pixel(rows, first, x), first_pixel(rows, second, x));
        let weights = [YmmPairs::weight(next), YmmPairs::weight(next.add(UNIT))];
        let last = next.add((1 + TURNED) * UNIT);
        let off_255 = match TURNED {
            0 => [_mm256_setzero_si256(); 2],
            1 => [_mm256_setzero_si256(), YmmPairs::weight(last)],
            _ => [YmmPairs::weight(next.add(2 * UNIT)), YmmPairs::weight(last)],
        };
        unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7] while p < P => {
            let mut first = YmmPairs::quad(first.add(p * BLOCK));
            let mut second = YmmPairs::quad(second.add(p * BLOCK));
            if const { TURNED > 1 } {
                first = _mm256_xor_si256(first, off_255[0]);
            }
            if const { TURNED > 0 } {
                second = _mm256_xor_si256(second, off_255[1]);
            }
            sums[p][0].0 = add_two(sums[p][0].0, [first, second], weights);
        });
        next.add((2 + TURNED) * UNIT)
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

/// Two units at once, of one activation: for [`in_registers`] alone.
#[derive(Clone, Copy)]
struct Two;

// The intrinsics need avx2.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Multiply for Two {
    #[inline(always)]
    unsafe fn add(sums: __m256i, activation: __m256i, weight: __m256i) -> __m256i {
        unsafe { add_two(sums, [activation, unknown(activation)], [weight; 2]) }
    }
    #[inline(always)]
    unsafe fn unknown(activation: __m256i) -> __m256i {
        unsafe { unknown(activation) }
    }
}

/// The most this core can do with AVX2, where weights are small enough for all units to be joined as they are.
///
/// # Safety
/// Needs avx2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn in_registers(turns: u32) -> u64 {
    // SAFETY: as promised.
    unsafe { 2 * super::conv::in_registers::<Ymm<Two>>(turns) }
}
