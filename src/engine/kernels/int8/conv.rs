//! 3x3 convolution, stride 1, zero padding 1, over one or more inputs.

use super::pack::{Level, Packed, Requantize};
use super::{BLOCK, Sides, scalar};

/// Where sums go, in planes with a ring.
pub enum Output<'a> {
    Bytes(&'a mut [u8], Requantize),
    /// Not quantized: sum times scale.
    Floats(&'a mut [f32]),
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
    /// Adds the four products of every lane.
    unsafe fn add(self, activation: Self::Activation, weight: Self::Weight) -> Self;
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
    pub blocks: usize,
}

/// One line of one group.
pub(super) struct Line<'a> {
    pub sources: &'a [Source],
    pub line_stride: usize,
    pub block_stride: usize,
    pub width: usize,
    pub weights: *const i8,
    pub bias: *const i32,
    pub scale: *const f32,
    pub out: Target,
}

/// First pixel of the output line.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Bytes(*mut u8, Requantize),
    Floats(*mut f32),
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

/// `P` pixels from column `x` on, `K` registers of output channels.
///
/// # Safety
/// `x + P <= line.width`, and `line` describes valid memory.
#[inline(always)]
pub(super) unsafe fn pixels<D: Dot, const P: usize, const K: usize>(line: &Line<'_>, x: usize) {
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
            for block in 0..source.blocks {
                for tap_line in 0..3 {
                    let above = source
                        .first
                        .add(block * line.block_stride + tap_line * line.line_stride + x * BLOCK);
                    for half in 0..2 {
                        let mut weights = [[D::weight(next); K]; 3];
                        for (column, weights) in weights.iter_mut().enumerate() {
                            for (k, weight) in weights.iter_mut().enumerate() {
                                *weight = D::weight(next.add((column * K + k) * D::LANES * 4));
                            }
                        }
                        next = next.add(3 * K * D::LANES * 4);
                        // A pixel serves the three outputs around it.
                        for p in 0..P + 2 {
                            let seen = D::quad(above.add(p * BLOCK + half * 4));
                            for (column, weights) in weights.iter().enumerate() {
                                if p >= column && p - column < P {
                                    for k in 0..K {
                                        let sum = &mut sums[p - column][k];
                                        *sum = sum.add(seen, weights[k]);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        for k in 0..K {
            let scale = line.scale.add(k * D::LANES);
            let channel = k * D::LANES;
            let at = x * BLOCK + channel / BLOCK * line.block_stride + channel % BLOCK;
            match line.out {
                Target::Bytes(out, to) => {
                    let out = out.add(at);
                    unrolled!(four in [0, 1, 2, 3] while 4 * four + 4 <= P => {
                        let p = 4 * four;
                        let four = [sums[p][k], sums[p + 1][k], sums[p + 2][k], sums[p + 3][k]];
                        D::store_four(four, scale, to, out.add(p * BLOCK), line.block_stride);
                    });
                    for p in P / 4 * 4..P {
                        sums[p][k].store(scale, to, out.add(p * BLOCK), line.block_stride);
                    }
                }
                Target::Floats(out) => {
                    for (p, sums) in sums.iter().enumerate() {
                        sums[k].store_floats(scale, out.add(at + p * BLOCK), line.block_stride);
                    }
                }
            }
        }
    }
}

/// `P` pixels from column `x` on, one block of output channels, eight input channels at a time.
///
/// # Safety
/// As [`pixels`].
#[inline(always)]
pub(super) unsafe fn paired_pixels<D: DotPairs, const P: usize>(line: &Line<'_>, x: usize) {
    // SAFETY: the caller promises the ranges.
    unsafe {
        let mut sums = [D::start(line.bias); P];
        let mut next = line.weights;
        for source in line.sources {
            for block in 0..source.blocks {
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
                    for p in 0..P + 2 {
                        let seen = D::octet(above.add(p * BLOCK));
                        for (column, &weight) in weights.iter().enumerate() {
                            if p >= column && p - column < P {
                                let sum = &mut sums[p - column];
                                *sum = sum.add(seen, weight);
                            }
                        }
                    }
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
                for p in P / 8 * 8..P {
                    sums[p].store(line.scale, to, out.add(p * BLOCK));
                }
            }
            Target::Floats(out) => {
                for (p, sum) in sums.iter().enumerate() {
                    sum.store_floats(line.scale, out.add((x + p) * BLOCK));
                }
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
        let (seen, weight) = (D::quad(bytes.as_ptr()), D::weight(bytes.as_ptr().cast()));
        let mut sums: [D; SUMS] = std::array::from_fn(|at| D::start(starts[at * 16..].as_ptr()));
        for _ in 0..turns {
            for sum in &mut sums {
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
        #[allow(clippy::int_plus_one)] // The last stride is one pixel wide.
        unsafe fn $name(line: &Line<'_>) {
            let mut x = 0;
            $(
                while x + $pixels <= line.width {
                    // SAFETY: the stride ends at or before the line's width.
                    unsafe { pixels::<$dot, $pixels, $registers>(line, x) };
                    x += $pixels;
                }
            )+
        }
    };
}
pub(super) use line_of;

pub(super) type LineKernel = unsafe fn(&Line<'_>);

/// Multiplies and accumulates with the best instruction of `level` in registers alone, `turns` times;
/// gives the number of products.
pub fn multiply_in_registers(level: Level, turns: u32) -> u64 {
    // SAFETY (all): `level` is only made for processors that have the instructions.
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => unsafe { super::x86::avx512_vnni_in_registers(turns) },
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => unsafe { super::x86::avx_vnni_in_registers(turns) },
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { super::x86::avx2_in_registers(turns) },
        #[cfg(target_arch = "aarch64")]
        Level::DotProduct => unsafe { super::neon::dot_product_in_registers(turns) },
        #[cfg(target_arch = "aarch64")]
        Level::Neon => unsafe { super::neon::plain_in_registers(turns) },
        Level::Scalar => scalar::multiply_in_registers(turns),
    }
}

/// Convolves ringed planes of `sides`; each input has the blocks that `packed.shape` names, all with
/// the same scale and zero point, and its ring holds the zero point. The output's ring is not touched.
///
/// # Panics
/// If a slice is not as long as `packed.shape` and `sides` ask for.
pub fn convolve(packed: &Packed, sides: Sides, inputs: &[&[u8]], output: &mut Output<'_>) {
    assert_eq!(inputs.len(), packed.shape.inputs.len());
    for (input, blocks) in inputs.iter().zip(packed.shape.input_blocks()) {
        assert_eq!(input.len(), blocks * sides.plane());
    }
    let length = packed.shape.output_blocks() * sides.plane();
    match output {
        Output::Bytes(bytes, _) => assert_eq!(bytes.len(), length),
        Output::Floats(floats) => assert_eq!(floats.len(), length),
    }
    let kernel: fn(usize) -> LineKernel = match packed.level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => super::x86::avx512_vnni,
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => super::x86::avx_vnni,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => super::x86::avx2,
        #[cfg(target_arch = "aarch64")]
        Level::DotProduct => super::neon::dot_product,
        #[cfg(target_arch = "aarch64")]
        Level::Neon => super::neon::plain,
        Level::Scalar => return scalar::convolve(packed, sides, inputs, output),
    };
    let per_output = packed.shape.all_input_blocks() * BLOCK * 9;
    let mut sources = [Source {
        first: std::ptr::null(),
        blocks: 0,
    }; 4];
    assert!(inputs.len() <= sources.len());
    for (first_block, size) in packed.groups() {
        let first = first_block * BLOCK;
        for y in 0..sides.height {
            let blocks = packed.shape.input_blocks();
            for ((source, input), blocks) in sources.iter_mut().zip(inputs).zip(blocks) {
                source.first = input[y * sides.line_stride()..].as_ptr();
                source.blocks = blocks;
            }
            let at = first_block * sides.plane() + sides.line(y).start;
            let line = Line {
                sources: &sources[..inputs.len()],
                line_stride: sides.line_stride(),
                block_stride: sides.plane(),
                width: sides.width,
                weights: packed.weights[first * per_output..].as_ptr(),
                bias: packed.bias[first..].as_ptr(),
                scale: packed.scale[first..].as_ptr(),
                out: match output {
                    Output::Bytes(bytes, to) => Target::Bytes(bytes[at..].as_mut_ptr(), *to),
                    Output::Floats(floats) => Target::Floats(floats[at..].as_mut_ptr()),
                },
            };
            // SAFETY: the asserts hold all blocks, lines and columns that a line of a group touches:
            // input lines y..y+3 of every ringed plane, output line y inside the ring; weights,
            // biases and scales are as long as `Packed::new` made them; the level was detected.
            unsafe { kernel(size)(&line) };
        }
    }
}
