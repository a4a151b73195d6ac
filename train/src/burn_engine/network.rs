//! The list of layers, interpreted in burn's tensors.

use super::convolution::{Convolved, convolve, convolve_learning};
use super::means;
use super::parameters::Values;
use super::resample::Upsampler;
use blemish::draem::{Graph, NodeId, Op};
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Tensor, activation, module};

/// `eps` of every batch norm (draem.md 1.1 and PyTorch's default).
const EPSILON: f64 = 1e-5;

/// What both networks give for a batch.
pub struct Outputs {
    /// `N x 3 x H x W`.
    pub reconstruction: Tensor<4>,
    /// `N x 2 x H x W`.
    pub logits: Tensor<4>,
    /// What the norms saw, one entry a convolution; empty for those without a norm and in evaluation.
    pub moments: Vec<Option<Moments>>,
    /// What their kernels' gradients are made of, one entry a convolution; empty in evaluation.
    pub convolved: Vec<Convolved>,
}

/// Mean and biased variance of a convolution without its bias, over a batch.
pub struct Moments {
    pub mean: Tensor<1>,
    pub variance: Tensor<1>,
    /// Values per channel.
    pub count: usize,
}

/// Which statistics the norms use, and whether gradients are wanted.
#[derive(Clone, Copy)]
pub enum Pass {
    /// The batch's own.
    Learning,
    /// The running ones, which `values` must hold.
    Evaluating,
}

/// Runs both networks on `seen` (`N x 3 x H x W`). `values` holds the convolutions in the graph's
/// order.
pub fn forward(
    graph: &Graph,
    pass: Pass,
    values: &[Values],
    upsampler: &mut Upsampler,
    seen: Tensor<4>,
) -> Outputs {
    let last_users = last_users(graph);
    let mut results: Vec<Option<Tensor<4>>> = Vec::with_capacity(graph.nodes.len());
    let mut moments = Vec::with_capacity(values.len());
    let mut convolved = Vec::with_capacity(values.len());
    let mut layers = values.iter();
    let mut image = Some(seen);
    for (id, node) in graph.nodes.iter().enumerate() {
        let mut inputs = node.inputs.iter().map(|&input| {
            let result = match last_users[input] == id {
                true => results[input].take(),
                false => results[input].clone(),
            };
            result.expect("the graph lists every node behind its inputs")
        });
        let mut input = || inputs.next().expect("every operator has its inputs");
        let result = match &node.op {
            Op::Image => image.take().expect("the graph has one image"),
            Op::Conv { .. } => {
                let layer = layers.next().expect("one layer for each convolution");
                match pass {
                    Pass::Evaluating => evaluate(layer, input()),
                    Pass::Learning => {
                        let (result, seen, passed) = learn(layer, input());
                        moments.push(seen);
                        convolved.push(passed);
                        result
                    }
                }
            }
            Op::MaxPool => module::max_pool2d(input(), MaxPoolOptions::new([2, 2])),
            Op::Upsample => upsampler.double(input()),
            Op::Concat => Tensor::cat(vec![input(), input()], 1),
        };
        results.push(Some(result));
    }
    let mut output = |id: NodeId| results[id].take().expect("outputs are kept");
    Outputs {
        reconstruction: output(graph.reconstruction),
        logits: output(graph.logits),
        moments,
        convolved,
    }
}

/// For each node the last one that reads it; none is ever the last reader of an output, which is kept.
fn last_users(graph: &Graph) -> Vec<NodeId> {
    let mut last = vec![NodeId::MAX; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        for &input in &node.inputs {
            last[input] = id;
        }
    }
    last[graph.reconstruction] = NodeId::MAX;
    last[graph.logits] = NodeId::MAX;
    last
}

fn evaluate(layer: &Values, x: Tensor<4>) -> Tensor<4> {
    let x = convolve(x, layer.kernel());
    let (Some(scale), Some((mean, variance))) = (layer.scale.clone(), layer.running.clone()) else {
        return x + per_channel(&layer.shift);
    };
    let x = module::batch_norm(x, scale, layer.shift.clone(), mean, variance, EPSILON);
    activation::relu(x)
}

fn learn(layer: &Values, x: Tensor<4>) -> (Tensor<4>, Option<Moments>, Convolved) {
    let (x, convolved) = convolve_learning(x, layer.kernel());
    let shift = per_channel(&layer.shift);
    let Some(scale) = &layer.scale else {
        return (x + shift, None, convolved);
    };
    // Batch norm takes any constant away again, so the convolution's bias is left out.
    let [pictures, channels, height, width] = x.dims();
    let mean = means::of_channels(x.clone());
    let centred = x - mean.clone();
    let variance = means::of_channels(centred.clone() * centred.clone());
    let factor = per_channel(scale) / (variance.clone() + EPSILON).sqrt();
    let moments = Moments {
        mean: mean.without_autodiff().reshape([channels]),
        variance: variance.without_autodiff().reshape([channels]),
        count: pictures * height * width,
    };
    let output = activation::relu(centred * factor + shift);
    (output, Some(moments), convolved)
}

/// `C` as `1 x C x 1 x 1`.
fn per_channel(values: &Tensor<1>) -> Tensor<4> {
    let [channels] = values.dims();
    values.clone().reshape([1, channels, 1, 1])
}

#[cfg(test)]
mod tests {
    use super::super::devices::for_tests;
    use super::*;
    use burn::tensor::TensorData;

    const PICTURES: usize = 2;
    const INPUTS: usize = 2;
    const OUTPUTS: usize = 3;
    const HEIGHT: usize = 5;
    const WIDTH: usize = 6;
    const AREA: usize = HEIGHT * WIDTH;

    /// Numbers in [-1, 1] without a pattern of the planes' size.
    fn numbers(length: usize, seed: f64) -> Vec<f64> {
        (0..length)
            .map(|i| (1.7 * i as f64 + seed * (i as f64).sqrt()).sin())
            .collect()
    }

    /// Sum of `weights * relu(norm(convolution))`, from the definitions.
    fn by_definition(x: &[f64], kernel: &[f64], gamma: &[f64], beta: &[f64], by: &[f64]) -> f64 {
        let mut sum = 0.0;
        for out in 0..OUTPUTS {
            let mut plane = vec![0.0; PICTURES * AREA];
            for (at, value) in plane.iter_mut().enumerate() {
                let (picture, y, x0) = (at / AREA, at % AREA / WIDTH, at % WIDTH);
                for channel in 0..INPUTS {
                    for tap in 0..9 {
                        let (line, column) = (y + tap / 3, x0 + tap % 3);
                        if (1..=HEIGHT).contains(&line) && (1..=WIDTH).contains(&column) {
                            let from = (picture * INPUTS + channel) * AREA;
                            *value += kernel[(out * INPUTS + channel) * 9 + tap]
                                * x[from + (line - 1) * WIDTH + column - 1];
                        }
                    }
                }
            }
            let count = plane.len() as f64;
            let mean = plane.iter().sum::<f64>() / count;
            let variance = plane.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
            for (at, value) in plane.iter().enumerate() {
                let normal = (value - mean) / (variance + EPSILON).sqrt();
                let output = (normal * gamma[out] + beta[out]).max(0.0);
                sum += output * by[(at / AREA * OUTPUTS + out) * AREA + at % AREA];
            }
        }
        sum
    }

    /// Central differences of the definition in f64 against burn's gradients in f32.
    #[test]
    fn one_layer_and_its_gradients_are_as_defined() {
        let Some(device) = for_tests() else { return };
        let mut arrays = [
            numbers(PICTURES * INPUTS * AREA, 0.3),
            numbers(OUTPUTS * INPUTS * 9, 1.1),
            numbers(OUTPUTS, 2.7)
                .iter()
                .map(|v| 1.0 + 0.3 * v)
                .collect(),
            numbers(OUTPUTS, 3.1).iter().map(|v| 0.2 * v).collect(),
        ];
        let by = numbers(PICTURES * OUTPUTS * AREA, 5.9);
        let flat = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), &device)
        };
        let leaves: Vec<Tensor<1>> = arrays
            .iter()
            .map(|array| flat(array).autodiff().require_grad())
            .collect();
        let layer = Values {
            shape: [OUTPUTS, INPUTS, 3, 3],
            weight: flat(&arrays[1]),
            shift: leaves[3].clone(),
            scale: Some(leaves[2].clone()),
            running: None,
        };
        let x = leaves[0].clone().reshape([PICTURES, INPUTS, HEIGHT, WIDTH]);
        let (output, moments, convolved) = learn(&layer, x);
        assert_eq!(moments.unwrap().count, PICTURES * AREA);
        let weighted = output * flat(&by).reshape([PICTURES, OUTPUTS, HEIGHT, WIDTH]);
        let total = weighted.sum();
        let mut gradients = total.backward();
        let value = |arrays: &[Vec<f64>; 4]| {
            by_definition(&arrays[0], &arrays[1], &arrays[2], &arrays[3], &by)
        };
        let (got, wanted) = (f64::from(total.into_scalar::<f32>()), value(&arrays));
        assert!((got - wanted).abs() < 1e-4, "{got} {wanted}");
        let kernel = convolved.kernel_gradient(&mut gradients).unwrap();
        let gradient = |array: usize| match array {
            1 => kernel.clone().flatten(0, 3),
            _ => leaves[array].grad(&gradients).unwrap(),
        };
        for array in 0..arrays.len() {
            let got = gradient(array).try_into_vec_as::<f32>().unwrap();
            for (at, &got) in got.iter().enumerate() {
                let middle = arrays[array][at];
                let mut at_offset = |offset: f64| {
                    arrays[array][at] = middle + offset;
                    value(&arrays)
                };
                let wanted = (at_offset(1e-6) - at_offset(-1e-6)) / 2e-6;
                arrays[array][at] = middle;
                let off = (f64::from(got) - wanted).abs();
                assert!(
                    off < 1e-3 * wanted.abs().max(1.0),
                    "{array} {at}: {got} {wanted}"
                );
            }
        }
    }
}
