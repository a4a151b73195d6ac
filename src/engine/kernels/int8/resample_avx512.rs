//! Bilinear x2 on 512 bits: what `resample` does for every processor, four and sixteen pixels at a time.

use super::BLOCK;
use std::arch::x86_64::*;

/// Output pixels of a register of 16-bit values.
pub(super) const FOUR: usize = 4;

/// Pixels of the input that are read for [`FOUR`] of the output.
const READ: usize = 8;

/// Between which pixels of an input line four pixels of the output lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Four {
    /// The first of [`READ`] pixels.
    first: usize,
    /// A bit for each of them that the line has.
    mask: u8,
    /// Of each output pixel the lower neighbour and the higher, counted from the first.
    neighbours: [u8; 2 * FOUR],
    /// Of each output pixel the lower neighbour's share and the higher's, in 128ths, for each channel.
    shares: [[[u8; 2]; BLOCK]; FOUR],
}

/// Output pixels of a line, four by four; what is left over is not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fours {
    /// Pixels of an input line.
    length: usize,
    fours: Vec<Four>,
}

impl Fours {
    /// For input lines of `length` pixels; `taps` has every output pixel's lower neighbour, higher neighbour
    /// and the higher one's share in 128ths.
    ///
    /// # Panics
    /// If four output pixels' neighbours lie further apart than eight pixels or outside the line, which
    /// those of a doubled line do not.
    pub(super) fn new(length: usize, taps: impl Iterator<Item = (u32, u32, i16)>) -> Self {
        let taps: Vec<_> = taps.collect();
        let four = |taps: &[(u32, u32, i16); FOUR]| {
            let first = taps[0].0 as usize;
            let read = READ.min(length - first);
            let mut four = Four {
                first,
                mask: u8::MAX >> (READ - read),
                neighbours: [0; 2 * FOUR],
                shares: [[[0; 2]; BLOCK]; FOUR],
            };
            for (at, &(low, high, share)) in taps.iter().enumerate() {
                for (neighbour, pixel) in [low, high].into_iter().enumerate() {
                    let from_first = pixel as usize - first;
                    assert!(from_first < read);
                    four.neighbours[2 * at + neighbour] = from_first as u8;
                }
                four.shares[at] = [[128 - share as u8, share as u8]; BLOCK];
            }
            four
        };
        Self {
            length,
            fours: taps.as_chunks::<FOUR>().0.iter().map(four).collect(),
        }
    }

    /// A line twice as wide, `add` more than 128 times too great; gives how many of its values it has
    /// written.
    ///
    /// `vpmaddubsw` multiplies a byte without a sign by one with: shares reach 128, so the pixels are those
    /// with a sign, 128 less than they are, and both shares together 128 times 128 less.
    ///
    /// # Panics
    /// If the line is not as long as was said.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn between_columns(&self, from: &[u8], add: i16, to: &mut [i16]) -> usize {
        assert_eq!(from.len(), self.length * BLOCK);
        let to = to.as_chunks_mut::<{ FOUR * BLOCK }>().0;
        // Low and high of a channel next to each other, channel after channel.
        let mixed = _mm512_broadcast_i32x4(_mm_setr_epi8(
            0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15,
        ));
        let sign = _mm512_set1_epi8(i8::MIN);
        let add = _mm512_set1_epi16(128 * 128 + add);
        for (four, to) in self.fours.iter().zip(&mut *to) {
            // SAFETY: `new` has masked what lies beyond `length`, which is the line's; the three others
            // are arrays of the size that is read or written.
            unsafe {
                let first = from.as_ptr().add(four.first * BLOCK);
                let pixels = _mm512_maskz_loadu_epi64(four.mask, first.cast());
                let order = _mm512_cvtepu8_epi64(_mm_loadl_epi64(four.neighbours.as_ptr().cast()));
                let pairs = _mm512_shuffle_epi8(_mm512_permutexvar_epi64(order, pixels), mixed);
                let shares = _mm512_loadu_si512(four.shares.as_ptr().cast());
                let sums = _mm512_maddubs_epi16(shares, _mm512_xor_si512(pairs, sign));
                _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_add_epi16(sums, add));
            }
        }
        self.fours.len().min(to.len()) * FOUR * BLOCK
    }
}

/// Values of a line between two lines, of which `near` is the nearer; `part` is what goes of the step from
/// `low` to `high`, in 65536ths. Gives how many values it has written.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn between_lines(
    low: &[i16],
    high: &[i16],
    near: &[i16],
    part: i16,
    to: &mut [u8],
) -> usize {
    const WRITTEN: usize = 64;
    let part = _mm512_set1_epi16(part);
    let (low, high) = (low.as_chunks::<WRITTEN>().0, high.as_chunks::<WRITTEN>().0);
    let near = near.as_chunks::<WRITTEN>().0;
    let to = to.as_chunks_mut::<WRITTEN>().0;
    let written = to.len().min(low.len()).min(high.len()).min(near.len());
    // Packing takes 64 bits of the one register and of the other by turns.
    let order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    for (((to, low), high), near) in to.iter_mut().zip(low).zip(high).zip(near) {
        // SAFETY: all four are arrays of the size that is read or written.
        unsafe {
            let half = |at: usize| {
                let load = |from: &[i16; WRITTEN]| _mm512_loadu_si512(from[at..].as_ptr().cast());
                let step = _mm512_mulhi_epi16(_mm512_sub_epi16(load(high), load(low)), part);
                _mm512_srli_epi16::<7>(_mm512_add_epi16(load(near), step))
            };
            let bytes = _mm512_packus_epi16(half(0), half(WRITTEN / 2));
            let bytes = _mm512_permutexvar_epi64(order, bytes);
            _mm512_storeu_si512(to.as_mut_ptr().cast(), bytes);
        }
    }
    written * WRITTEN
}
