//! The definition that every kernel must equal bit for bit.

use super::{BLOCK, Output, Packed, Sides};

/// Multiplies, rounds half to even, adds the zero point and cuts to `least..=255`.
pub fn requantize(sum: i32, scale: f32, zero_point: u8, least: u8) -> u8 {
    let value = (sum as f32 * scale).round_ties_even() as i64 + i64::from(zero_point);
    value.clamp(i64::from(least), 255) as u8
}

/// 3x3 convolution of ringed planes, see [`super::convolve`].
pub fn convolve(packed: &Packed, sides: Sides, inputs: &[&[u8]], output: &mut Output<'_>) {
    for (first_block, size) in packed.groups() {
        for line in 0..sides.height {
            for column in 0..sides.width {
                for lane in 0..size * BLOCK {
                    let sum = sum(
                        packed,
                        sides,
                        inputs,
                        (first_block, size, lane),
                        line,
                        column,
                    );
                    let channel = first_block * BLOCK + lane;
                    let at = channel / BLOCK * sides.plane()
                        + sides.line(line).start
                        + column * BLOCK
                        + channel % BLOCK;
                    let scale = packed.scale[channel];
                    match output {
                        Output::Bytes(bytes, to) => {
                            bytes[at] = requantize(sum, scale, to.zero_point, to.least);
                        }
                        Output::Floats(floats) => floats[at] = sum as f32 * scale,
                    }
                }
            }
        }
    }
}

fn sum(
    packed: &Packed,
    sides: Sides,
    inputs: &[&[u8]],
    (first_block, size, lane): (usize, usize, usize),
    line: usize,
    column: usize,
) -> i32 {
    let pairs = packed.level.pairs() && size == 1;
    let wide = if pairs { BLOCK } else { BLOCK / 2 };
    let lanes = size * BLOCK;
    let per_output = packed.shape.all_input_blocks() * BLOCK * 9;
    let mut at = first_block * BLOCK * per_output;
    let mut sum = packed.bias[first_block * BLOCK + lane];
    for (input, blocks) in inputs.iter().zip(packed.shape.input_blocks()) {
        for block in 0..blocks {
            for tap_line in 0..3 {
                for half in 0..BLOCK / wide {
                    for tap_column in 0..3 {
                        let pixel = block * sides.plane()
                            + (line + tap_line) * sides.line_stride()
                            + (column + tap_column) * BLOCK
                            + half * wide;
                        for channel in 0..wide {
                            sum += i32::from(input[pixel + channel])
                                * i32::from(packed.weights[at + lane * wide + channel]);
                        }
                        at += lanes * wide;
                    }
                }
            }
        }
    }
    sum
}

/// Multiplies and accumulates in plain Rust, `turns` times; gives the number of products.
pub fn multiply_in_registers(turns: u32) -> u64 {
    let [activation, weight] = std::hint::black_box([3u8, 5u8]);
    let mut sums = std::hint::black_box([0i32; 8]);
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = sum
                .wrapping_mul(3)
                .wrapping_add(i32::from(activation) * i32::from(weight as i8));
        }
    }
    std::hint::black_box(sums);
    u64::from(turns) * 8
}
