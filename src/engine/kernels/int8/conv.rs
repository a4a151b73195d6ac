//! 3x3 convolution, stride 1, zero padding 1, over one or more inputs.

use super::pack::{Form, Instructions, Level, Packed, Requantize};
use super::units::Units;
use super::{BLOCK, Lines, Sides, scalar};
use std::ops::Range;

/// Where sums go.
pub enum Output<'a> {
    /// Ringed planes.
    Bytes(Lines<'a, u8>, Requantize),
    /// Not quantized, sum times scale: one plane for each real channel, without a ring.
    Floats(Lines<'a, f32>),
}

impl Output<'_> {
    /// Sides of the whole output and the lines of it that are computed.
    pub(super) fn extent(&self) -> (Sides, Range<usize>) {
        match self {
            Output::Bytes(lines, _) => (lines.sides(), lines.range()),
            Output::Floats(lines) => (lines.sides(), lines.range()),
        }
    }
}

/// A register of i32 sums and what it takes.
///
/// # Safety
/// Every method needs the instruction set of its type and pointers valid for the bytes it names.
pub(super) trait Dot: Copy {
    /// Sums in a register.
    const LANES: usize;
    type Activation: Copy;
    type Weight: Copy;
    unsafe fn start(bias: *const i32) -> Self;
    /// `LANES * 4` weights.
    unsafe fn weight(from: *const i8) -> Self::Weight;
    /// Four channels of one pixel in every lane.
    unsafe fn quad(from: *const u8) -> Self::Activation;
    /// The same, where the compiler would compute equal products once.
    #[inline(always)]
    unsafe fn unknown(activation: Self::Activation) -> Self::Activation {
        activation
    }
    /// Adds the four products of every lane.
    unsafe fn add(self, activation: Self::Activation, weight: Self::Weight) -> Self;
    /// Adds what the first `Q` quads of one input block give to `P` pixels' sums; returns where the next
    /// weights are. `above` is the first of three lines of `P + 2` pixels.
    #[inline(always)]
    unsafe fn taps<const P: usize, const K: usize, const Q: usize>(
        line: &Line<'_>,
        sums: &mut [[Self; K]; P],
        above: *const u8,
        next: *const i8,
    ) -> *const i8 {
        // SAFETY: passed on.
        unsafe { taps::<Self, P, K, Q>(line, sums, above, next) }
    }
    /// Rounds, cuts and stores `LANES` bytes, eight to a block.
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8, block_stride: usize);
    /// [`Dot::store`] of four pixels that follow each other.
    #[inline(always)]
    unsafe fn store_four(
        sums: [Self; 4],
        scale: *const f32,
        to: Requantize,
        out: *mut u8,
        block_stride: usize,
    ) {
        for (p, sum) in sums.iter().enumerate() {
            // SAFETY: passed on.
            unsafe { sum.store(scale, to, out.add(p * BLOCK), block_stride) };
        }
    }
    /// Multiplies and stores `LANES` floats, eight to a block.
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32, block_stride: usize);
}

/// Two partial sums for each of eight output channels.
///
/// # Safety
/// As [`Dot`].
#[cfg(target_arch = "x86_64")]
pub(super) trait DotPairs: Copy {
    type Activation: Copy;
    type Weight: Copy;
    unsafe fn start(bias: *const i32) -> Self;
    /// Eight inputs of eight outputs.
    unsafe fn weight(from: *const i8) -> Self::Weight;
    /// Eight channels of one pixel.
    unsafe fn octet(from: *const u8) -> Self::Activation;
    unsafe fn add(self, activation: Self::Activation, weight: Self::Weight) -> Self;
    unsafe fn store(self, scale: *const f32, to: Requantize, out: *mut u8);
    /// [`DotPairs::store`] of eight pixels that follow each other.
    unsafe fn store_eight(sums: [Self; 8], scale: *const f32, to: Requantize, out: *mut u8);
    unsafe fn store_floats(self, scale: *const f32, out: *mut f32);
}

/// One input: the line above and the column left of the first pixel, and its blocks.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub first: *const u8,
    /// Real channels.
    pub channels: usize,
}

/// One line of one group.
pub(super) struct Line<'a> {
    pub sources: &'a [Source],
    pub line_stride: usize,
    pub block_stride: usize,
    pub width: usize,
    /// Output channels of the group in the order of the weights.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "AVX-512's"))]
    pub lanes: usize,
    pub weights: *const i8,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "AVX2's"))]
    pub units: Units<'a>,
    pub bias: *const i32,
    pub scale: *const f32,
    pub out: Target,
}

/// First pixel of the output line.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Bytes(*mut u8, Requantize),
    Floats(Floats),
}

/// A line of so many planes of floats.
#[derive(Clone, Copy)]
pub(super) struct Floats {
    pub first: *mut f32,
    pub plane: usize,
    pub channels: usize,
}

impl Floats {
    /// Those of `channels` that exist, of the pixels from column `x` on. Never inlined: its addresses
    /// would take the registers of the loops around it.
    ///
    /// # Safety
    /// The columns lie within the line.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn put<const W: usize>(
        self,
        x: usize,
        channels: Range<usize>,
        pixels: &[[f32; W]],
    ) {
        let first_channel = channels.start;
        let left = channels
            .end
            .min(self.channels)
            .saturating_sub(first_channel);
        for (p, values) in pixels.iter().enumerate() {
            for (channel, value) in values.iter().enumerate().take(left) {
                let at = (first_channel + channel) * self.plane + x + p;
                // SAFETY: as promised.
                unsafe { *self.first.add(at) = *value };
            }
        }
    }
}

/// Code once for each number: a loop that the compiler leaves a loop would push the sums out of the
/// registers.
macro_rules! unrolled {
    ($at:ident in [$($number:literal),+] while $more:expr => $body:block) => {
        $({
            let $at = $number;
            if $more {
                $body
            }
        })+
    };
}

pub(super) use unrolled;

/// Adds what the first `Q` quads of one input block give; returns where the next weights are.
///
/// # Safety
/// As [`pixels`]; `above` is the first of three lines of `P + 2` pixels.
#[inline(always)]
unsafe fn taps<D: Dot, const P: usize, const K: usize, const Q: usize>(
    line: &Line<'_>,
    sums: &mut [[D; K]; P],
    above: *const u8,
    mut next: *const i8,
) -> *const i8 {
    // SAFETY: the caller promises the ranges.
    unsafe {
        for tap_line in 0..3 {
            let above = above.add(tap_line * line.line_stride);
            for quad in 0..Q {
                let mut weights = [[D::weight(next); K]; 3];
                for (column, weights) in weights.iter_mut().enumerate() {
                    for (k, weight) in weights.iter_mut().enumerate() {
                        *weight = D::weight(next.add((column * K + k) * D::LANES * 4));
                    }
                }
                next = next.add(3 * K * D::LANES * 4);
                // A pixel serves the three outputs around it.
                unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25] while p < P + 2 => {
                    let seen = D::quad(above.add(p * BLOCK + quad * 4));
                    unrolled!(column in [0, 1, 2] while p >= column && p - column < P => {
                        for k in 0..K {
                            let sum = &mut sums[p - column][k];
                            *sum = sum.add(seen, weights[column][k]);
                        }
                    });
                });
            }
        }
        next
    }
}

/// `P` pixels from column `x` on, `K` registers of output channels; `HALF` where an input ends in half
/// a block.
///
/// # Safety
/// `HALF` is right, `x + P <= line.width`, and `line` describes valid memory.
#[inline(always)]
pub(super) unsafe fn pixels<D: Dot, const P: usize, const K: usize, const HALF: bool>(
    line: &Line<'_>,
    x: usize,
) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        let mut sums = [[D::start(line.bias); K]; P];
        for k in 1..K {
            let start = D::start(line.bias.add(k * D::LANES));
            for sums in &mut sums {
                sums[k] = start;
            }
        }
        let mut next = line.weights;
        for source in line.sources {
            let first = source.first.add(x * BLOCK);
            let whole = source.channels.div_ceil(BLOCK / 2) / 2;
            for block in 0..whole {
                let block = first.add(block * line.block_stride);
                next = D::taps::<P, K, 2>(line, &mut sums, block, next);
            }
            if HALF && whole * BLOCK < source.channels {
                let block = first.add(whole * line.block_stride);
                next = D::taps::<P, K, 1>(line, &mut sums, block, next);
            }
        }
        put(line, x, &sums);
    }
}

/// Stores the sums of `P` pixels from column `x` on.
///
/// # Safety
/// As [`pixels`].
#[inline(always)]
pub(super) unsafe fn put<D: Dot, const P: usize, const K: usize>(
    line: &Line<'_>,
    x: usize,
    sums: &[[D; K]; P],
) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        for k in 0..K {
            let scale = line.scale.add(k * D::LANES);
            let channel = k * D::LANES;
            let at = x * BLOCK + channel / BLOCK * line.block_stride + channel % BLOCK;
            match line.out {
                Target::Bytes(out, to) => {
                    let out = out.add(at);
                    unrolled!(four in [0, 1, 2, 3, 4, 5] while 4 * four + 4 <= P => {
                        let p = 4 * four;
                        let four = [sums[p][k], sums[p + 1][k], sums[p + 2][k], sums[p + 3][k]];
                        D::store_four(four, scale, to, out.add(p * BLOCK), line.block_stride);
                    });
                    for (p, sums) in sums.iter().enumerate().skip(P / 4 * 4) {
                        sums[k].store(scale, to, out.add(p * BLOCK), line.block_stride);
                    }
                    if const { K * D::LANES == BLOCK / 2 } {
                        let filled = [to.zero_point.max(to.least); BLOCK / 2];
                        for p in 0..P {
                            let rest = out.add(p * BLOCK + BLOCK / 2);
                            rest.cast::<[u8; BLOCK / 2]>().write_unaligned(filled);
                        }
                    }
                }
                Target::Floats(out) => {
                    let mut values = [[0f32; 16]; P];
                    for (sums, values) in sums.iter().zip(&mut values) {
                        sums[k].store_floats(scale, values.as_mut_ptr(), BLOCK);
                    }
                    out.put(x, channel..channel + D::LANES, &values);
                }
            }
        }
    }
}

/// `P` pixels from column `x` on, one block of output channels, eight input channels at a time.
///
/// # Safety
/// As [`pixels`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn paired_pixels<D: DotPairs, const P: usize>(line: &Line<'_>, x: usize) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        let mut sums = [D::start(line.bias); P];
        let mut next = line.weights;
        for source in line.sources {
            for block in 0..source.channels.div_ceil(BLOCK) {
                for tap_line in 0..3 {
                    let above = source
                        .first
                        .add(block * line.block_stride + tap_line * line.line_stride + x * BLOCK);
                    let weights: [D::Weight; 3] = [
                        D::weight(next),
                        D::weight(next.add(BLOCK * BLOCK)),
                        D::weight(next.add(2 * BLOCK * BLOCK)),
                    ];
                    next = next.add(3 * BLOCK * BLOCK);
                    unrolled!(p in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17] while p < P + 2 => {
                        let seen = D::octet(above.add(p * BLOCK));
                        unrolled!(column in [0, 1, 2] while p >= column && p - column < P => {
                            let sum = &mut sums[p - column];
                            *sum = sum.add(seen, weights[column]);
                        });
                    });
                }
            }
        }
        match line.out {
            Target::Bytes(out, to) => {
                let out = out.add(x * BLOCK);
                unrolled!(eight in [0, 1] while 8 * eight + 8 <= P => {
                    let p = 8 * eight;
                    let (a, b, c, d) = (sums[p], sums[p + 1], sums[p + 2], sums[p + 3]);
                    let (e, f, g, h) = (sums[p + 4], sums[p + 5], sums[p + 6], sums[p + 7]);
                    let eight = [a, b, c, d, e, f, g, h];
                    D::store_eight(eight, line.scale, to, out.add(p * BLOCK));
                });
                for (p, sum) in sums.iter().enumerate().skip(P / 8 * 8) {
                    sum.store(line.scale, to, out.add(p * BLOCK));
                }
            }
            Target::Floats(out) => {
                let mut values = [[0f32; BLOCK]; P];
                for (sum, values) in sums.iter().zip(&mut values) {
                    sum.store_floats(line.scale, values.as_mut_ptr());
                }
                out.put(x, 0..BLOCK, &values);
            }
        }
    }
}

/// Sums that [`in_registers`] keeps: four cycles of latency on two ports, and some to spare.
const SUMS: usize = 12;

/// Multiplies and accumulates in registers alone, `turns` times; gives the number of products.
///
/// # Safety
/// Needs the instruction set of `D`.
#[inline(always)]
pub(super) unsafe fn in_registers<D: Dot>(turns: u32) -> u64 {
    let bytes = std::hint::black_box([3u8; 64]);
    let starts: [i32; SUMS * 16] = std::hint::black_box(std::array::from_fn(|at| at as i32));
    let mut out = [0f32; SUMS * 64];
    // SAFETY: no register is wider than 16 sums or 64 bytes; blocks of eight floats lie next to each
    // other in `out`.
    unsafe {
        let (mut seen, weight) = (D::quad(bytes.as_ptr()), D::weight(bytes.as_ptr().cast()));
        let mut sums: [D; SUMS] = std::array::from_fn(|at| D::start(starts[at * 16..].as_ptr()));
        for _ in 0..turns {
            for sum in &mut sums {
                seen = D::unknown(seen);
                *sum = sum.add(seen, weight);
            }
        }
        let scale = [1f32; 16];
        for (sum, out) in sums.iter().zip(out.as_chunks_mut::<64>().0) {
            sum.store_floats(scale.as_ptr(), out.as_mut_ptr(), BLOCK);
        }
    }
    std::hint::black_box(out);
    u64::from(turns) * (SUMS * D::LANES * 4) as u64
}

/// A kernel for a line, in strides of the given widths, the widest first; the last must be 1.
macro_rules! line_of {
    ($name:ident, $dot:ty, $registers:literal, [$($pixels:literal),+]) => {
        /// # Safety
        /// As `pixels`, for the whole line.
        #[inline(always)]
        #[allow(clippy::int_plus_one, reason = "the last stride is one pixel wide")]
        unsafe fn $name(line: &Line<'_>) {
            let half = |source: &Source| source.channels.div_ceil(BLOCK / 2) % 2 == 1;
            let mut x = 0;
            if line.sources.iter().any(half) {
                $(
                    while x + $pixels <= line.width {
                        // SAFETY: every stride ends at or before the line's width.
                        unsafe { pixels::<$dot, $pixels, $registers, true>(line, x) };
                        x += $pixels;
                    }
                )+
            } else {
                $(
                    while x + $pixels <= line.width {
                        // SAFETY: as above, and no input ends in half a block.
                        unsafe { pixels::<$dot, $pixels, $registers, false>(line, x) };
                        x += $pixels;
                    }
                )+
            }
        }
    };
}
pub(super) use line_of;

pub(super) type LineKernel = unsafe fn(&Line<'_>);

/// Multiplies and accumulates with the best instruction of `level` in registers alone, `turns` times;
/// gives the number of products.
pub fn multiply_in_registers(level: Level, turns: u32) -> u64 {
    match level.instructions() {
        // SAFETY: a `Level` is only made for processors that have its instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512Vnni => unsafe { super::x86::avx512_vnni_in_registers(turns) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::AvxVnni => unsafe { super::x86::avx_vnni_in_registers(turns) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { super::avx2::in_registers(turns) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Instructions::I8mm => unsafe { super::i8mm::in_registers(turns) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Instructions::DotProduct => unsafe { super::neon::dot_product_in_registers(turns) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon => unsafe { super::neon::plain_in_registers(turns) },
        Instructions::Scalar => scalar::multiply_in_registers(turns),
    }
}

/// Convolves ringed planes into lines of `output`, whose sides the inputs have; each input has the
/// blocks that `packed.shape` names, all with the same scale and zero point, and its ring holds the zero
/// point. An output's ring is not touched.
///
/// # Panics
/// If a value is not as long as `packed.shape` and the output's sides ask for.
pub fn convolve(packed: &Packed, inputs: &[&[u8]], output: &mut Output<'_>) {
    let (sides, lines) = output.extent();
    assert_eq!(inputs.len(), packed.shape.inputs.len());
    for (input, blocks) in inputs.iter().zip(packed.shape.input_blocks()) {
        assert_eq!(Some(input.len()), sides.ringed(blocks));
    }
    match output {
        Output::Bytes(bytes, _) => {
            assert_eq!(bytes.planes(), packed.shape.output_blocks());
            assert_eq!(bytes.plane_stride(), sides.plane());
        }
        Output::Floats(floats) => {
            assert_eq!(floats.planes(), packed.shape.outputs);
            assert_eq!(floats.plane_stride(), sides.area());
        }
    }
    let kernel: fn(Form, usize) -> LineKernel = match packed.level.instructions() {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512Vnni => super::x86::avx512_vnni,
        #[cfg(target_arch = "x86_64")]
        Instructions::AvxVnni => super::x86::avx_vnni,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => super::avx2::kernel,
        #[cfg(target_arch = "aarch64")]
        Instructions::I8mm => super::i8mm::kernel,
        #[cfg(target_arch = "aarch64")]
        Instructions::DotProduct => super::neon::dot_product,
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon => super::neon::plain,
        Instructions::Scalar => return scalar::convolve(packed, inputs, output),
    };
    let mut sources = [Source {
        first: std::ptr::null(),
        channels: 0,
    }; 4];
    assert!(inputs.len() <= sources.len());
    for group in &packed.groups {
        let first = group.first_block * BLOCK;
        for y in lines.clone() {
            let channels = &packed.shape.inputs;
            for ((source, input), &channels) in sources.iter_mut().zip(inputs).zip(channels) {
                source.first = input[y * sides.line_stride()..].as_ptr();
                source.channels = channels;
            }
            let line = Line {
                sources: &sources[..inputs.len()],
                line_stride: sides.line_stride(),
                block_stride: sides.plane(),
                width: sides.width,
                lanes: group.lanes,
                weights: packed.weights[group.weights..].as_ptr(),
                units: group.units.of(&packed.units),
                bias: packed.bias[first..].as_ptr(),
                scale: packed.scale[first..].as_ptr(),
                out: match output {
                    Output::Bytes(bytes, to) => {
                        Target::Bytes(bytes.first_of(group.first_block, y), *to)
                    }
                    Output::Floats(floats) => Target::Floats(Floats {
                        first: floats.first_of(first, y),
                        plane: sides.area(),
                        channels: packed.shape.outputs - first,
                    }),
                },
            };
            // SAFETY: the asserts hold all blocks, lines and columns that a line of a group touches:
            // input lines y..y+3 of every ringed plane, output line y, which is ours; weights,
            // biases and scales are what `Packed::new` made, for nobody else can; and a `Level` is only
            // made for processors that have its instructions.
            unsafe { kernel(group.form, group.lanes)(&line) };
        }
    }
}
