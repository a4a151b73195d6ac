//! AVX2: `vpmaddubsw` sums the products of two bytes in 16 bits, and saturates at two of 255 * 127. The weights come in
//! units where none can, see [`Form::Units`](super::pack::Form).

use super::BLOCK;
use super::conv::{Dot, Line, LineKernel, put, unrolled};
use super::pack::{Form, UNIT, UNIT_ROWS};
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
        let [plain, turned] = line.units;
        for unit in plain {
            let from = rows.get_unchecked(unit.row as usize).assume_init();
            let from = from.add(unit.at as usize + x * BLOCK);
            let weight = YmmPairs::weight(next);
            next = next.add(UNIT);
            unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] while p < P => {
                sums[p][0] = sums[p][0].add(YmmPairs::quad(from.add(p * BLOCK)), weight);
            });
        }
        for unit in turned {
            let from = rows.get_unchecked(unit.row as usize).assume_init();
            let from = from.add(unit.at as usize + x * BLOCK);
            let (weight, off_255) = (YmmPairs::weight(next), YmmPairs::weight(next.add(UNIT)));
            next = next.add(2 * UNIT);
            unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] while p < P => {
                let seen = _mm256_xor_si256(YmmPairs::quad(from.add(p * BLOCK)), off_255);
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
    unsafe { super::conv::in_registers::<YmmPairs>(turns) }
}
