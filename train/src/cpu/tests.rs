//! Every kernel against its definition, on every instruction set of this processor, and the gradients
//! against the forward pass.

use super::CpuEngine;
use super::resample::{max_pool_gradient, upsample_gradient};
use super::weight_gradient;
use crate::backend::{AdamState, Backend, Batch};
use crate::fit::initial;
use blemish::draem::{NetworkSpec, Upsampling};
use blemish::engine::kernels::float::{Activation, Packed, Slot, Start, convolve};
use blemish::engine::kernels::float::{BLOCK, Level};
use blemish::engine::kernels::float::{Lines, Planes, Sides, from_planar, to_planar};
use blemish::engine::kernels::float::{Taps, max_pool, upsample};
use proptest::prelude::*;

/// Numbers that need no generator: a fixed sequence of small fractions, so that sums are exact.
fn numbers(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((state >> 59) as f32 - 16.0) / 16.0
        })
        .collect()
}

fn planes(channels: usize, height: usize, width: usize, planar: &[f32]) -> Planes {
    let mut planes = Planes::new(1, channels.div_ceil(BLOCK), height, width);
    let sides = Sides { height, width };
    from_planar(
        &mut Lines::ringed(sides, &mut planes.values),
        0,
        planar,
        channels,
    );
    planes
}

struct Case {
    inputs: usize,
    outputs: usize,
    height: usize,
    width: usize,
}

impl Case {
    fn seen(&self, image: &[f32], channel: usize, y: isize, x: isize) -> f32 {
        let inside =
            (0..self.height as isize).contains(&y) && (0..self.width as isize).contains(&x);
        if inside {
            image[(channel * self.height + y as usize) * self.width + x as usize]
        } else {
            0.0
        }
    }

    /// By definition: `sum over input channels and taps of weight * shifted input`.
    fn convolve(&self, image: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let mut output = Vec::new();
        for out in 0..self.outputs {
            for y in 0..self.height as isize {
                for x in 0..self.width as isize {
                    let mut sum = bias[out];
                    for channel in 0..self.inputs {
                        for tap in 0..9 {
                            sum += weight[(out * self.inputs + channel) * 9 + tap]
                                * self.seen(
                                    image,
                                    channel,
                                    y + tap as isize / 3 - 1,
                                    x + tap as isize % 3 - 1,
                                );
                        }
                    }
                    output.push(sum);
                }
            }
        }
        output
    }

    fn gradient(&self, image: &[f32], by_output: &[f32]) -> Vec<f32> {
        let mut gradient = vec![0.0; self.outputs * self.inputs * 9];
        for out in 0..self.outputs {
            for channel in 0..self.inputs {
                for tap in 0..9 {
                    let mut sum = 0.0;
                    for y in 0..self.height as isize {
                        for x in 0..self.width as isize {
                            sum += by_output
                                [(out * self.height + y as usize) * self.width + x as usize]
                                * self.seen(
                                    image,
                                    channel,
                                    y + tap as isize / 3 - 1,
                                    x + tap as isize % 3 - 1,
                                );
                        }
                    }
                    gradient[(out * self.inputs + channel) * 9 + tap] = sum;
                }
            }
        }
        gradient
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Inputs are sixteenths and sums stay small, so every order of summation gives the same bits.
    #[test]
    fn convolution_equals_its_definition(
        inputs in 1usize..20, outputs in 1usize..42, height in 1usize..7, width in 1usize..37, seed: u64,
    ) {
        let case = Case { inputs, outputs, height, width };
        let image = numbers(inputs * height * width, seed);
        let weight = numbers(outputs * inputs * 9, seed ^ 1);
        let bias = numbers(outputs, seed ^ 2);
        let wanted = case.convolve(&image, &weight, &bias);
        let from = planes(inputs, height, width, &image);
        let mut packed = Packed::default();
        packed.fill(inputs, outputs, |o, i, tap| weight[(o * inputs + i) * 9 + tap]);
        packed.bias_mut()[..outputs].copy_from_slice(&bias);
        for level in Level::available() {
            let mut to = Planes::new(1, outputs.div_ceil(BLOCK) + 1, height, width);
            let sides = Sides { height, width };
            let slot = Slot { first_block: 1 };
            let mut lines = 0;
            for start in [Start::Bias, Start::Output] {
                convolve(
                    level, &packed, &from.values, Slot { first_block: 0 },
                    &mut Lines::ringed(sides, &mut to.values), slot, start, Activation::None,
                    |_, _, line| lines += line.len() / BLOCK,
                );
            }
            prop_assert_eq!(lines, 2 * outputs.div_ceil(BLOCK) * height * width);
            let mut got = vec![0.0; wanted.len()];
            to_planar(&to.values, BLOCK, &mut Lines::bare(sides, &mut got));
            // The second run starts from the first one's output instead of the bias.
            let per = height * width;
            for (pixel, (got, once)) in got.iter().zip(&wanted).enumerate() {
                prop_assert_eq!(*got, once + once - bias[pixel / per], "{:?}", level);
            }
        }
    }

    /// Wide ones are gone through in strips of lines, the last of them short.
    #[test]
    fn weight_gradient_equals_its_definition(
        (inputs, outputs, height, width) in prop_oneof![
            7 => (1usize..20, 1usize..42, 1usize..7, 1usize..37),
            1 => (1usize..5, 1usize..12, 35usize..45, 60usize..64),
        ],
        seed: u64,
    ) {
        let case = Case { inputs, outputs, height, width };
        let image = numbers(inputs * height * width, seed);
        let by_output = numbers(outputs * height * width, seed ^ 1);
        let wanted = case.gradient(&image, &by_output);
        let from = planes(inputs, height, width, &image);
        let by = planes(outputs, height, width, &by_output);
        let (ib, ob) = (inputs.div_ceil(BLOCK), outputs.div_ceil(BLOCK));
        for level in Level::available() {
            let mut sums = vec![0.0; weight_gradient::length(ib, ob)];
            weight_gradient::accumulate(
                level, &from, &from.values, Slot { first_block: 0 }, ib, &by, &by.values, &mut sums,
            );
            let mut conv = super::parameters::Conv {
                in_channels: inputs,
                out_channels: outputs,
                ..Default::default()
            };
            conv.weight.gradient = vec![f32::NAN; wanted.len()];
            conv.unpack_gradient(&sums);
            prop_assert_eq!(&conv.weight.gradient, &wanted, "{:?}", level);
        }
    }

    /// `<up(x), g> = <x, up*(g)>`, and the same for pooling, which is linear around a given input.
    #[test]
    fn resampling_gradients_are_adjoint(half_height in 1usize..6, half_width in 1usize..9, seed: u64) {
        let (height, width) = (2 * half_height, 2 * half_width);
        let small = Sides { height: half_height, width: half_width };
        let large = Sides { height, width };
        let channels = 11;
        let x = planes(channels, half_height, half_width, &numbers(channels * half_height * half_width, seed));
        let g = planes(channels, height, width, &numbers(channels * height * width, seed ^ 1));
        for level in Level::available() {
            for upsampling in [Upsampling::AlignCorners, Upsampling::HalfPixel] {
                let (v, h) = (Taps::new(half_height, upsampling), Taps::new(half_width, upsampling));
                let mut up = Planes::new(1, 2, height, width);
                let to = &mut Lines::ringed(large, &mut up.values);
                upsample(level, small, &v, &h, &x.values, to, &mut Vec::new());
                let mut back = Planes::new(1, 2, half_height, half_width);
                back.values.fill(7.0);
                upsample_gradient(level, small, &v, &h, &g.values, &mut back.values, &mut Vec::new());
                let forward = dot(&up, &g, large, channels);
                let backward = dot(&x, &back, small, channels);
                prop_assert!((forward - backward).abs() < 1e-3, "{} {}", forward, backward);
            }
            let mut pooled = Planes::new(1, 2, half_height, half_width);
            max_pool(level, large, &g.values, &mut Lines::ringed(small, &mut pooled.values));
            let mut back = Planes::new(1, 2, height, width);
            back.values.fill(1.0);
            max_pool_gradient(level, large, &g.values, &x.values, &mut back.values, true);
            // Added onto ones: the ones' part is the sum of the input itself.
            let ones: f64 = sum(&g, large, channels);
            let forward = dot(&pooled, &x, small, channels);
            let backward = dot(&g, &back, large, channels) - ones;
            prop_assert!((forward - backward).abs() < 1e-3, "{} {}", forward, backward);
        }
    }
}

fn dot(a: &Planes, b: &Planes, sides: Sides, channels: usize) -> f64 {
    let mut planar = [Vec::new(), Vec::new()];
    for (planar, planes) in planar.iter_mut().zip([a, b]) {
        planar.resize(channels * sides.height * sides.width, 0.0);
        to_planar(&planes.values, 0, &mut Lines::bare(sides, planar));
    }
    let products = planar[0].iter().zip(&planar[1]);
    products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn sum(a: &Planes, sides: Sides, channels: usize) -> f64 {
    let mut planar = vec![0.0; channels * sides.height * sides.width];
    to_planar(&a.values, 0, &mut Lines::bare(sides, &mut planar));
    planar.iter().map(|&value| f64::from(value)).sum()
}

/// The slope along the gradient is the gradient's length, with running statistics that do not move.
#[test]
fn imitation_falls_along_its_gradient() {
    let spec = NetworkSpec::official(4, 2);
    let (side, pictures) = (32, 2);
    let batch = Batch {
        pictures,
        width_px: side,
        height_px: side,
        clean: numbers(pictures * 3 * side * side, 1),
        mask: vec![0.0; pictures * side * side],
        scored: Vec::new(),
        seen: numbers(pictures * 3 * side * side, 1),
    };
    let engine = |seed: u64| {
        let (mut weights, adam) = initial::state(spec, seed);
        // First weights give almost nothing; these give maps and gradients well above rounding.
        for (name, array) in &mut weights.0 {
            let factor = match name.contains("fin_out") && name.ends_with("weight") {
                true => 20.0,
                false => 1.0,
            };
            array.values.iter_mut().for_each(|value| *value *= factor);
        }
        let mut engine = CpuEngine::new(spec, 1).unwrap();
        engine.restore(&weights, &adam).unwrap();
        for seed in 0..40 {
            let seen = numbers(batch.seen.len(), seed);
            engine.train_forward(&seen, pictures, side, side).unwrap();
        }
        engine
    };
    let mut teacher = engine(8);
    let wanted = teacher.infer(&batch.seen, pictures, side, side).unwrap();
    let mut student = engine(9);
    student.imitate(&batch, &wanted, 0.0).unwrap();
    let (start, gradients) = (student.weights(), student.parameters.gradients());
    for name in [
        "rec.encoder.block1.0.weight",
        "rec.decoder.db2.1.bias",
        "seg.encoder_segment.block1.4.weight",
        "seg.decoder_segment.fin_out.0.weight",
    ] {
        let gradient = &gradients.0[name].values;
        let length = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
        let length = length.sqrt();
        let step = 0.002 / length;
        let mut loss_at = |way: f64| {
            let mut moved = start.clone();
            let values = &mut moved.0.get_mut(name).unwrap().values;
            for (value, &gradient) in values.iter_mut().zip(gradient) {
                *value += (way * step * f64::from(gradient)) as f32;
            }
            student.restore(&moved, &AdamState::default()).unwrap();
            student.imitate(&batch, &wanted, 0.0).unwrap()
        };
        let slope = (loss_at(1.0) - loss_at(-1.0)) / (2.0 * step * length);
        println!("{name}: slope {slope}, gradient {length}");
        assert!(
            (slope / length - 1.0).abs() < 0.05,
            "{name}: {slope} {length}"
        );
    }
}

/// A norm makes its channel's mean of what is not a number, and a ReLU of its own would make zeros of that.
#[test]
fn what_is_not_a_number_is_seen_in_the_losses() {
    let spec = NetworkSpec::official(4, 2);
    let batch = Batch {
        pictures: 1,
        width_px: 32,
        height_px: 32,
        clean: numbers(3 * 32 * 32, 1),
        seen: numbers(3 * 32 * 32, 1),
        mask: vec![0.0; 32 * 32],
        scored: Vec::new(),
    };
    for level in Level::available() {
        for name in [
            "rec.encoder.block2.0.weight",
            "seg.encoder_segment.block1.0.weight",
        ] {
            let (mut weights, adam) = initial::state(spec, 3);
            weights.0.get_mut(name).unwrap().values[5] = f32::NAN;
            let mut engine = CpuEngine::with_level(spec, 1, level).unwrap();
            engine.restore(&weights, &adam).unwrap();
            let losses = engine.step(&batch, 1e-3).unwrap();
            assert!(losses.total().is_nan(), "{name} at {level:?}: {losses:?}");
        }
    }
}
