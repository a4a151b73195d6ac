//! Every kernel against its scalar twin, and the twin against the definition.

use super::*;
use proptest::prelude::*;

fn numbers(length: usize, seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..length).map(move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
}

/// Ringed planes with `channels` real channels; the others are noise that zero weights must hide.
fn planes(channels: usize, sides: Sides, zero_point: u8, seed: u64) -> Vec<u8> {
    let mut planes: Vec<u8> = numbers(channels.div_ceil(BLOCK) * sides.plane(), seed).collect();
    Lines::ringed(sides, &mut planes).clear_ring(zero_point);
    planes
}

struct Case {
    shape: Shape,
    sides: Sides,
    zero_point: u8,
    inputs: Vec<Vec<u8>>,
    weights: Vec<i8>,
    bias: Vec<i32>,
    scale: Vec<f32>,
}

impl Case {
    fn new(shape: Shape, sides: Sides, zero_point: u8, seed: u64) -> Self {
        let all: usize = shape.inputs.iter().sum();
        let inputs = (seed..).zip(&shape.inputs);
        Case {
            inputs: inputs
                .map(|(seed, &c)| planes(c, sides, zero_point, seed))
                .collect(),
            weights: numbers(shape.outputs * all * 9, seed ^ 1)
                .map(|value| (value as i8).max(-127))
                .collect(),
            bias: numbers(shape.outputs, seed ^ 2)
                .map(|v| i32::from(v) * 97 - 9000)
                .collect(),
            scale: numbers(shape.outputs, seed ^ 3)
                .map(|value| (f32::from(value) + 1.0) / 4e5)
                .collect(),
            shape,
            sides,
            zero_point,
        }
    }

    fn packed(&self, level: Level) -> Packed {
        let all: usize = self.shape.inputs.iter().sum();
        let weight = |o: usize, i: usize, tap: usize| self.weights[(o * all + i) * 9 + tap];
        let (zero_point, bias, scale) = (self.zero_point, &self.bias, &self.scale);
        Packed::new(level, self.shape.clone(), zero_point, weight, bias, scale).unwrap()
    }

    fn bytes(&self, level: Level, to: Requantize) -> Vec<u8> {
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut output = vec![77; self.shape.output_blocks() * self.sides.plane()];
        let lines = Lines::ringed(self.sides, &mut output);
        let mut to = Output::Bytes(lines, to);
        convolve(&self.packed(level), &inputs, &mut to);
        output
    }

    fn floats(&self, level: Level) -> Vec<f32> {
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut output = vec![-1.0; self.shape.outputs * self.sides.height * self.sides.width];
        let mut to = Output::Floats(Lines::bare(self.sides, &mut output));
        convolve(&self.packed(level), &inputs, &mut to);
        output
    }

    /// `round(scale * sum((activation - zero point) * weight) + ...)` without layout or packing.
    fn by_definition(&self, output: usize, line: usize, column: usize) -> i64 {
        let all: usize = self.shape.inputs.iter().sum();
        let mut sum = i64::from(self.bias[output]);
        let mut first = 0;
        for (planes, &channels) in self.inputs.iter().zip(&self.shape.inputs) {
            for channel in 0..channels {
                for tap in 0..9 {
                    let at = channel / BLOCK * self.sides.plane()
                        + (line + tap / 3) * self.sides.line_stride()
                        + (column + tap % 3) * BLOCK
                        + channel % BLOCK;
                    let value = i64::from(planes[at]) - i64::from(self.zero_point);
                    sum +=
                        value * i64::from(self.weights[(output * all + first + channel) * 9 + tap]);
                }
            }
            first += channels;
        }
        sum
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_level_equals_the_definition(
        first in 1usize..20, second in 0usize..20, outputs in 1usize..45,
        height in 1usize..5, width in 1usize..75, zero_point: u8, relu: bool, seed in 0u64..u64::MAX / 2,
    ) {
        let inputs = if second == 0 { vec![first] } else { vec![first, second] };
        let sides = Sides { height, width };
        let case = Case::new(Shape { inputs, outputs }, sides, zero_point, seed);
        let output_zero = if seed % 3 == 0 { 0 } else { (seed % 200) as u8 };
        let to = Requantize { zero_point: output_zero, least: if relu { output_zero } else { 0 } };
        let twin = (case.bytes(Level::SCALAR, to), case.floats(Level::SCALAR));
        for output in 0..outputs {
            for line in 0..height {
                for column in 0..width {
                    let sum = case.by_definition(output, line, column);
                    let at = output / BLOCK * sides.plane() + sides.line(line).start
                        + column * BLOCK + output % BLOCK;
                    let scaled = sum as f32 * case.scale[output];
                    let plane = output * height * width;
                    prop_assert_eq!(twin.1[plane + line * width + column], scaled);
                    let wanted = (scaled.round_ties_even() as i64 + i64::from(output_zero))
                        .clamp(i64::from(to.least), 255);
                    prop_assert_eq!(i64::from(twin.0[at]), wanted);
                }
            }
        }
        for level in Level::available() {
            prop_assert_eq!(&case.bytes(level, to), &twin.0, "{:?}", level);
            prop_assert_eq!(&case.floats(level), &twin.1, "{:?}", level);
        }
    }

    /// What the module promises, in the plainest arithmetic.
    #[test]
    fn upsampling_is_exact_on_every_level(height in 1usize..6, width in 1usize..21, seed: u64) {
        use crate::draem::Upsampling;
        use crate::engine::kernels::float;
        let (small, large) = (Sides { height, width }, Sides { height: 2 * height, width: 2 * width });
        let bytes = planes(2 * BLOCK, small, 3, seed);
        for upsampling in [Upsampling::AlignCorners, Upsampling::HalfPixel] {
            let (v, h) = (Taps::new(height, upsampling), Taps::new(width, upsampling));
            let taps = |n| float::Taps::new(n, upsampling);
            let (fv, fh) = (taps(height), taps(width));
            let share = |share: f32| (share * 128.0).round_ties_even() as u32;
            for level in float::Level::available() {
                let mut got = vec![0; 2 * large.plane()];
                let to = &mut Lines::ringed(large, &mut got);
                upsample(level, small, &v, &h, &bytes, to, &mut vec![0; upsampling_words(small)]);
                for (at, got) in got.iter().enumerate() {
                    let (plane, at) = (at / large.plane(), at % large.plane());
                    let (y, x) = (at / large.line_stride(), at % large.line_stride() / BLOCK);
                    if y == 0 || x == 0 || y > 2 * height || x > 2 * width {
                        continue;
                    }
                    let seen = |y: u32, x: u32| {
                        let line = plane * small.plane() + small.line(y as usize).start;
                        u32::from(bytes[line + x as usize * BLOCK + at % BLOCK])
                    };
                    let (y, x) = (y - 1, x - 1);
                    let column = |x| {
                        let s = share(fv.share[y]);
                        seen(fv.low[y], x) * (128 - s) + seen(fv.high[y], x) * s
                    };
                    let s = share(fh.share[x]);
                    let sum = column(fh.low[x]) * (128 - s) + column(fh.high[x]) * s;
                    prop_assert_eq!(u32::from(*got), (sum + (1 << 13)) >> 14, "{:?}", level);
                }
            }
        }
    }

    #[test]
    fn bytes_are_those_of_quantize_linear(
        channels in 1usize..12, height in 1usize..4, width in 1usize..150,
        zero_point: u8, scale in 0.001f32..0.1, seed: u64,
    ) {
        use crate::engine::kernels::float;
        let (sides, grid) = (Sides { height, width }, Grid { scale, zero_point });
        let count = channels * height * width;
        let floats: Vec<f32> = numbers(count, seed)
            .map(|byte| (f32::from(byte) - 100.0) * 0.013)
            .collect();
        for level in float::Level::available() {
            let mut bytes = vec![9; channels.div_ceil(BLOCK) * sides.plane()];
            let to = &mut Lines::ringed(sides, &mut bytes);
            to.clear_ring(7);
            let ring = [7; 3 * BLOCK];
            to_bytes(level, channels, grid, &floats, to);
            let at = |channel: usize, y: usize, x: usize| {
                channel / BLOCK * sides.plane() + sides.line(y).start + x * BLOCK + channel % BLOCK
            };
            for (index, value) in floats.iter().enumerate() {
                let (channel, y, x) = (index / (height * width), index / width % height, index % width);
                let wanted = (value * scale.recip()).round_ties_even() + f32::from(zero_point);
                prop_assert_eq!(bytes[at(channel, y, x)], wanted.clamp(0.0, 255.0) as u8);
            }
            for channel in channels..channels.next_multiple_of(BLOCK) {
                prop_assert_eq!(bytes[at(channel, height - 1, width - 1)], zero_point);
            }
            prop_assert_eq!(&bytes[..3 * BLOCK], &ring);
            let mut back = vec![-1.0; count];
            from_bytes(level, grid, &bytes, &mut Lines::bare(sides, &mut back));
            for (index, value) in back.iter().enumerate() {
                let (channel, y, x) = (index / (height * width), index / width % height, index % width);
                let byte = i32::from(bytes[at(channel, y, x)]);
                prop_assert_eq!(*value, (byte - i32::from(zero_point)) as f32 * scale);
            }
        }
    }

    #[test]
    fn joined_channels_lie_side_by_side(
        first in 1usize..8, second in 1usize..8, pixels in 1usize..40, zero_point: u8, seed: u64,
    ) {
        use crate::engine::kernels::float;
        let second = second.min(BLOCK - first);
        let sides = Sides { height: 2, width: pixels };
        let (a, b) = (planes(BLOCK, sides, zero_point, seed), planes(BLOCK, sides, zero_point, seed ^ 5));
        for level in float::Level::available() {
            let mut to = vec![1; sides.plane()];
            let lines = &mut Lines::ringed(sides, &mut to);
            lines.clear_ring(zero_point);
            join(level, (&a, first), (&b, second), zero_point, lines);
            for (at, got) in to.iter().enumerate() {
                let (pixel, lane) = (at / BLOCK * BLOCK, at % BLOCK);
                let wanted = if lane < first {
                    a[pixel + lane]
                } else if lane < first + second {
                    b[pixel + lane - first]
                } else {
                    zero_point
                };
                prop_assert_eq!(*got, wanted);
            }
        }
    }

    /// Within one level of the float kernel on the same numbers.
    #[test]
    fn resampling_follows_the_floats(half_height in 1usize..7, half_width in 1usize..20, seed: u64) {
        use crate::draem::Upsampling;
        use crate::engine::kernels::float;
        let small = Sides { height: half_height, width: half_width };
        let large = Sides { height: 2 * half_height, width: 2 * half_width };
        let bytes = planes(BLOCK, small, 3, seed);
        let floats: Vec<f32> = bytes.iter().map(|&b| f32::from(b)).collect();
        for upsampling in [Upsampling::AlignCorners, Upsampling::HalfPixel] {
            let mut got = vec![0; large.plane()];
            let (v, h) = (Taps::new(half_height, upsampling), Taps::new(half_width, upsampling));
            let to = &mut Lines::ringed(large, &mut got);
            let level = float::Level::detect();
            upsample(level, small, &v, &h, &bytes, to, &mut vec![0; upsampling_words(small)]);
            let mut wanted = vec![0.0; large.plane()];
            let taps = |n| float::Taps::new(n, upsampling);
            float::upsample(
                float::Level::PORTABLE, small, &taps(half_height), &taps(half_width), &floats,
                &mut Lines::ringed(large, &mut wanted), &mut Vec::new(),
            );
            for (got, wanted) in got.iter().zip(&wanted) {
                prop_assert!((f32::from(*got) - wanted).abs() <= 2.0, "{} {}", got, wanted);
            }
        }
        let bytes = planes(BLOCK, large, 3, seed);
        let mut got = vec![0; small.plane()];
        max_pool(float::Level::detect(), large, &bytes, &mut Lines::ringed(small, &mut got));
        for line in 0..half_height {
            for at in 0..half_width * BLOCK {
                let (x, lane) = (at / BLOCK, at % BLOCK);
                let seen = |dy: usize, dx: usize| {
                    bytes[large.line(2 * line + dy).start + (2 * x + dx) * BLOCK + lane]
                };
                let wanted = seen(0, 0).max(seen(0, 1)).max(seen(1, 0)).max(seen(1, 1));
                prop_assert_eq!(got[small.line(line).start + at], wanted);
            }
        }
    }
}

#[test]
fn sums_that_leave_32_bits_are_refused() {
    let shape = Shape {
        inputs: vec![8192],
        outputs: 1,
    };
    let packed = Packed::new(Level::SCALAR, shape, 0, |_, _, _| 127, &[0], &[1e-3]);
    assert!(packed.is_none());
}

/// The greatest products there are, alike and unlike in sign: AVX2's `vpmaddubsw` would cut their sums.
#[test]
fn no_level_saturates() {
    for sign in 0..4usize {
        let shape = Shape {
            inputs: vec![8],
            outputs: 16,
        };
        let sides = Sides {
            height: 2,
            width: 9,
        };
        let mut case = Case::new(shape, sides, 0, 1);
        case.inputs[0].fill(255);
        Lines::ringed(sides, &mut case.inputs[0]).clear_ring(0);
        for (at, weight) in case.weights.iter_mut().enumerate() {
            // Tap by tap of an input channel; the channel's parity chooses.
            *weight = if sign >> (at / 9 % 2) & 1 == 0 {
                127
            } else {
                -127
            };
        }
        let twin = case.floats(Level::SCALAR);
        assert_eq!(twin[4], case.by_definition(0, 0, 4) as f32 * case.scale[0]);
        for level in Level::available() {
            assert_eq!(case.floats(level), twin, "{level:?}");
        }
    }
}

proptest! {
    /// Weights of every size under the least and the greatest activations: AVX2 adds what stays in 16 bits before it widens.
    #[test]
    fn no_level_saturates_whatever_is_added_before_it_is_widened(
        first in 1usize..20, second in 0usize..20, outputs in 1usize..20, width in 1usize..20,
        greatest in 1i32..128, zero_point: u8, seed in 0u64..u64::MAX / 2,
    ) {
        let inputs = if second == 0 { vec![first] } else { vec![first, second] };
        let sides = Sides { height: 2, width };
        let mut case = Case::new(Shape { inputs, outputs }, sides, zero_point, seed);
        for weight in &mut case.weights {
            *weight = (i32::from(*weight) * greatest / 127) as i8;
        }
        for input in &mut case.inputs {
            for value in input.iter_mut() {
                *value = if *value < 128 { 0 } else { 255 };
            }
        }
        let twin = case.floats(Level::SCALAR);
        for level in Level::available() {
            prop_assert_eq!(&case.floats(level), &twin, "{:?}", level);
        }
    }
}
