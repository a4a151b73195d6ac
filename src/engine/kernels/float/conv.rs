//! 3x3 convolution, stride 1, zero padding 1. The gradient by the input is the same convolution with
//! turned and transposed weights, so one kernel serves both.

use super::vector::{Instructions, Lanes, Level, Vector};
#[cfg(target_arch = "x86_64")]
use super::vector::{Ymm, Zmm};
use super::{BLOCK, Lines};

/// Output blocks that one run of the kernel computes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    pub first_block: usize,
    pub blocks: usize,
}

/// Splits `blocks` output blocks into groups of 4, 2 and 1.
pub fn groups(blocks: usize) -> impl Iterator<Item = Group> {
    let mut first_block = 0;
    std::iter::from_fn(move || {
        let size = match blocks - first_block {
            0 => return None,
            1 => 1,
            2 | 3 => 2,
            _ => 4,
        };
        let group = Group {
            first_block,
            blocks: size,
        };
        first_block += size;
        Some(group)
    })
}

/// Weights in the order in which the kernel reads them: group, input block, 3x3 tap, input channel,
/// output channel of the group. A group's weights begin at
/// `first_block * 8 * in_blocks * 8 * 9`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packed {
    in_blocks: usize,
    out_blocks: usize,
    /// As many as the blocks ask for: kernels read them unchecked.
    weights: Vec<f32>,
    /// One per output channel.
    bias: Vec<f32>,
}

impl Packed {
    /// Packs `weight(output, input, tap)`; channels beyond the real ones are zero.
    ///
    /// # Panics
    /// If no memory could hold so many weights.
    pub fn fill(
        &mut self,
        in_channels: usize,
        out_channels: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) {
        let in_blocks = in_channels.div_ceil(BLOCK);
        let out_blocks = out_channels.div_ceil(BLOCK);
        let length = in_blocks
            .checked_mul(BLOCK * BLOCK * 9)
            .and_then(|per_block| per_block.checked_mul(out_blocks));
        let length = length.expect("weights fit into memory");
        let per_output = in_blocks * BLOCK * 9;
        self.weights.resize(length, 0.0);
        self.bias.resize(out_blocks * BLOCK, 0.0);
        (self.in_blocks, self.out_blocks) = (in_blocks, out_blocks);
        for group in groups(self.out_blocks) {
            let lanes = group.blocks * BLOCK;
            let first = group.first_block * BLOCK;
            let packed = &mut self.weights[first * per_output..][..lanes * per_output];
            for (row, to) in packed.chunks_exact_mut(lanes).enumerate() {
                let (channel, tap) = (row / (9 * BLOCK) * BLOCK + row % BLOCK, row / BLOCK % 9);
                for (lane, value) in to.iter_mut().enumerate() {
                    let output = first + lane;
                    *value = if channel < in_channels && output < out_channels {
                        weight(output, channel, tap)
                    } else {
                        0.0
                    };
                }
            }
        }
    }

    /// Blocks of the output.
    pub fn out_blocks(&self) -> usize {
        self.out_blocks
    }

    /// One for each output channel, those that fill up the last block too.
    pub fn bias_mut(&mut self) -> &mut [f32] {
        &mut self.bias
    }
}

/// What happens to a sum before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    None,
    Relu,
}

/// Where an accumulator starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Bias,
    /// What the output already holds.
    Output,
}

struct Line {
    in_blocks: usize,
    width: usize,
    in_line_stride: usize,
    in_block_stride: usize,
    out_block_stride: usize,
    start: Start,
    activation: Activation,
}

/// `P` pixels times `K` registers of output channels.
///
/// # Safety
/// `input` points at the line above and the column left of the first pixel, `output` at the first
/// pixel; both stay inside their planes for `P` pixels and, for the input, three lines and two
/// columns more. `weights` and `bias` hold the whole group.
#[inline(always)]
unsafe fn pixels<V: Vector, const P: usize, const K: usize>(
    line: &Line,
    input: *const f32,
    weights: *const f32,
    bias: *const f32,
    output: *mut f32,
) {
    let lanes = V::BLOCKS * BLOCK;
    // SAFETY: the pointers stay within what the caller promises: `in_blocks` planes, three lines,
    // `P + 2` columns of input; `in_blocks * 9 * 8` rows of `K * lanes` weights; `K` registers of
    // `V::BLOCKS` blocks and `P` columns of output.
    unsafe {
        let mut sums = [[V::zero(); K]; P];
        for k in 0..K {
            let first = V::load(bias.add(k * lanes));
            for (p, sums) in sums.iter_mut().enumerate() {
                sums[k] = match line.start {
                    Start::Bias => first,
                    Start::Output => V::load_blocks(
                        output.add(k * V::BLOCKS * line.out_block_stride + p * BLOCK),
                        line.out_block_stride,
                    ),
                };
            }
        }
        let mut next = weights;
        for block in 0..line.in_blocks {
            let plane = input.add(block * line.in_block_stride);
            for tap_line in 0..3 {
                let above = plane.add(tap_line * line.in_line_stride);
                for tap_column in 0..3 {
                    let first = above.add(tap_column * BLOCK);
                    for channel in 0..BLOCK {
                        let mut weight = [V::zero(); K];
                        for (k, weight) in weight.iter_mut().enumerate() {
                            *weight = V::load(next.add(k * lanes));
                        }
                        next = next.add(K * lanes);
                        for (p, sums) in sums.iter_mut().enumerate() {
                            let value = V::splat(first.add(p * BLOCK + channel));
                            for k in 0..K {
                                sums[k] = sums[k].add_product(value, weight[k]);
                            }
                        }
                    }
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            for (k, sum) in sums.iter().enumerate() {
                let at = output.add(k * V::BLOCKS * line.out_block_stride + p * BLOCK);
                let value = match line.activation {
                    Activation::None => *sum,
                    Activation::Relu => sum.positive(),
                };
                value.store_blocks(at, line.out_block_stride);
            }
        }
    }
}

/// One line of output in strides of `P`, then 4, then 1 pixels.
///
/// # Safety
/// As [`pixels`], for `line.width` pixels.
#[inline(always)]
unsafe fn line<V: Vector, const P: usize, const H: usize, const K: usize>(
    line: &Line,
    input: *const f32,
    weights: *const f32,
    bias: *const f32,
    output: *mut f32,
) {
    let mut x = 0;
    // SAFETY: every stride ends at or before `line.width`.
    unsafe {
        while x + P <= line.width {
            let at = x * BLOCK;
            pixels::<V, P, K>(line, input.add(at), weights, bias, output.add(at));
            x += P;
        }
        while x + H <= line.width {
            let at = x * BLOCK;
            pixels::<V, H, K>(line, input.add(at), weights, bias, output.add(at));
            x += H;
        }
        while x < line.width {
            let at = x * BLOCK;
            pixels::<V, 1, K>(line, input.add(at), weights, bias, output.add(at));
            x += 1;
        }
    }
}

type LineKernel = unsafe fn(&Line, *const f32, *const f32, *const f32, *mut f32);

/// Kernels of one level for groups of 1, 2 and 4 blocks, with the sizes that measured best: enough
/// accumulators to hide the latency of the multiply-add, few enough to stay in registers.
macro_rules! kernels {
    ($name:ident, $($feature:literal)?, $one:ty: $p1:literal/$h1:literal/$k1:literal, $two:ty: $p2:literal/$h2:literal/$k2:literal, $four:ty: $p4:literal/$h4:literal/$k4:literal) => {
        fn $name(blocks: usize) -> LineKernel {
            $(#[target_feature(enable = $feature)])?
            unsafe fn one(l: &Line, i: *const f32, w: *const f32, b: *const f32, o: *mut f32) {
                // SAFETY: passed on.
                unsafe { line::<$one, $p1, $h1, $k1>(l, i, w, b, o) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn two(l: &Line, i: *const f32, w: *const f32, b: *const f32, o: *mut f32) {
                // SAFETY: passed on.
                unsafe { line::<$two, $p2, $h2, $k2>(l, i, w, b, o) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn four(l: &Line, i: *const f32, w: *const f32, b: *const f32, o: *mut f32) {
                // SAFETY: passed on.
                unsafe { line::<$four, $p4, $h4, $k4>(l, i, w, b, o) }
            }
            match blocks {
                1 => one,
                2 => two,
                _ => four,
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512, "avx512f,avx512vl,fma", Ymm: 16/8/1, Zmm: 16/8/1, Zmm: 8/4/2);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, "avx2,fma", Ymm: 8/4/1, Ymm: 6/4/2, Ymm: 3/2/4);
kernels!(portable, , Lanes: 4/2/1, Lanes: 4/2/2, Lanes: 2/1/4);

/// Sums that hide the latency of a fused multiply-add on two ports.
const SUMS: usize = 12;

/// # Safety
/// Needs the instruction set of `V`.
#[inline(always)]
unsafe fn in_registers<V: Vector>(turns: u32) -> u64 {
    let values = std::hint::black_box([1e-3f32; 16]);
    let starts: [f32; SUMS * 16] = std::hint::black_box(std::array::from_fn(|at| at as f32));
    let mut out = [0f32; SUMS * 16];
    // SAFETY: no register is wider than 16 floats.
    unsafe {
        let (a, b) = (V::splat(values.as_ptr()), V::load(values.as_ptr()));
        let mut sums: [V; SUMS] = std::array::from_fn(|at| V::load(starts[at * 16..].as_ptr()));
        for _ in 0..turns {
            for sum in &mut sums {
                *sum = sum.add_product(a, b);
            }
        }
        for (sum, out) in sums.iter().zip(out.as_chunks_mut::<16>().0) {
            sum.store(out.as_mut_ptr());
        }
    }
    std::hint::black_box(out);
    u64::from(turns) * (SUMS * V::BLOCKS * BLOCK) as u64
}

/// Multiplies and accumulates on `level` in registers alone, `turns` times; gives the number of
/// products.
pub fn multiply_in_registers(level: Level, turns: u32) -> u64 {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,fma")]
    unsafe fn avx512(turns: u32) -> u64 {
        // SAFETY: passed on.
        unsafe { in_registers::<Zmm>(turns) }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(turns: u32) -> u64 {
        // SAFETY: passed on.
        unsafe { in_registers::<Ymm>(turns) }
    }
    match level.instructions() {
        // SAFETY: a `Level` is only made for processors that have its instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { avx512(turns) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { avx2(turns) },
        // SAFETY: plain Rust.
        Instructions::Portable => unsafe { in_registers::<Lanes>(turns) },
    }
}

/// Where the output of a convolution goes within larger planes.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    pub first_block: usize,
}

impl Slot {
    /// Whether so many blocks from here on are among `planes`.
    pub fn has_place(self, blocks: usize, planes: usize) -> bool {
        let left = planes.checked_sub(self.first_block);
        left.is_some_and(|left| blocks <= left)
    }
}

/// Convolves one picture: all input blocks from `input_slot` on into `output`'s blocks from
/// `output_slot` on.
///
/// `input` is a whole picture with the output's sides; of that only the lines in `output` are computed.
/// `each_line` is called with every finished line (block, line, pixels) while it
/// is warm in the cache.
#[expect(clippy::too_many_arguments, reason = "all that a convolution is")]
pub fn convolve(
    level: Level,
    packed: &Packed,
    input: &[f32],
    input_slot: Slot,
    output: &mut Lines<'_, f32>,
    output_slot: Slot,
    start: Start,
    activation: Activation,
    mut each_line: impl FnMut(usize, usize, &[f32]),
) {
    let sides = output.sides();
    assert!(input.len().is_multiple_of(sides.plane()));
    let in_planes = input.len() / sides.plane();
    assert!(input_slot.has_place(packed.in_blocks, in_planes));
    assert!(output_slot.has_place(packed.out_blocks, output.planes()));
    assert_eq!(output.plane_stride(), sides.plane());
    let per_output = packed.in_blocks * BLOCK * 9;
    let shape = Line {
        in_blocks: packed.in_blocks,
        width: sides.width,
        in_line_stride: sides.line_stride(),
        in_block_stride: sides.plane(),
        out_block_stride: sides.plane(),
        start,
        activation,
    };
    for group in groups(packed.out_blocks) {
        let kernel = match level.instructions() {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => avx512(group.blocks),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2(group.blocks),
            Instructions::Portable => portable(group.blocks),
        };
        let first = group.first_block * BLOCK;
        let weights = &packed.weights[first * per_output..];
        let bias = &packed.bias[first..];
        let first_block = output_slot.first_block + group.first_block;
        for y in output.range() {
            let from = input_slot.first_block * shape.in_block_stride + y * shape.in_line_stride;
            // SAFETY: the asserts above hold every block, line and column that the kernel touches:
            // input lines y..y+3 of the ringed plane, output line y inside the ring; the weights are as
            // many as `Packed::fill` made, and a `Level` is only made for processors that have its
            // instructions.
            unsafe {
                kernel(
                    &shape,
                    input[from..].as_ptr(),
                    weights.as_ptr(),
                    bias.as_ptr(),
                    output.first_of(first_block, y),
                );
            }
            for block in 0..group.blocks {
                let line = output.line(first_block + block, y);
                each_line(group.first_block + block, y, line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;

    #[test]
    fn a_slot_beyond_all_planes_has_no_place() {
        for (first_block, has_place) in [(0, true), (2, true), (3, false), (usize::MAX, false)] {
            assert_eq!(Slot { first_block }.has_place(2, 4), has_place);
        }
    }
}
