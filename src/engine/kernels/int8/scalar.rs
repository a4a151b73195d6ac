//! The definition that every kernel must equal bit for bit.

use super::pack::Group;
use super::{BLOCK, Output, Packed, Sides};

/// Multiplies, rounds half to even, adds the zero point and cuts to `least..=255`.
pub fn requantize(sum: i32, scale: f32, zero_point: u8, least: u8) -> u8 {
    let value = (sum as f32 * scale).round_ties_even() as i64 + i64::from(zero_point);
    value.clamp(i64::from(least), 255) as u8
}

/// 3x3 convolution of ringed planes, see [`super::convolve`].
pub fn convolve(packed: &Packed, inputs: &[&[u8]], output: &mut Output<'_>) {
    let (sides, lines) = output.extent();
    for group in &packed.groups {
        for lane in 0..group.blocks * BLOCK {
            let channel = group.first_block * BLOCK + lane;
            let scale = packed.scale[channel];
            for line in lines.clone() {
                for column in 0..sides.width {
                    let sum = sum(packed, sides, inputs, (group, lane), line, column);
                    match output {
                        Output::Bytes(bytes, to) => {
                            bytes.line(channel / BLOCK, line)[column * BLOCK + channel % BLOCK] =
                                requantize(sum, scale, to.zero_point, to.least);
                        }
                        Output::Floats(floats) if channel < packed.shape.outputs => {
                            floats.line(channel, line)[column] = sum as f32 * scale;
                        }
                        Output::Floats(_) => {}
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
    (group, lane): (&Group, usize),
    line: usize,
    column: usize,
) -> i32 {
    let (lanes, wide) = (group.lanes, group.form.inputs());
    let mut sum = packed.bias[group.first_block * BLOCK + lane];
    if lane >= lanes {
        return sum;
    }
    let mut at = group.weights;
    for (input, &channels) in inputs.iter().zip(&packed.shape.inputs) {
        for block in 0..channels.div_ceil(BLOCK) {
            let parts = (channels - block * BLOCK).min(BLOCK).div_ceil(wide);
            for tap_line in 0..3 {
                for part in 0..parts {
                    for tap_column in 0..3 {
                        let pixel = block * sides.plane()
                            + (line + tap_line) * sides.line_stride()
                            + (column + tap_column) * BLOCK
                            + part * wide;
                        for channel in 0..wide {
                            sum += i32::from(input[pixel + channel])
                                * i32::from(packed.weights[at + group.form.place(lane, channel)]);
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
