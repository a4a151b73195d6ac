//! The list of layers, interpreted in burn's tensors.

use super::parameters::Values;
use super::resample::Upsampler;
use blemish::draem::{Graph, NodeId, Op};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
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
}

/// Mean and biased variance of a convolution without its bias, over a batch.
pub struct Moments {
    pub mean: Tensor<1>,
    pub variance: Tensor<1>,
    /// Values per channel.
    pub count: usize,
}

/// Runs both networks on `seen` (`N x 3 x H x W`). `values` holds the convolutions in the graph's
/// order; where they hold running statistics the norms use those, else the batch's own.
pub fn forward(
    graph: &Graph,
    values: &[Values],
    upsampler: &mut Upsampler,
    seen: Tensor<4>,
) -> Outputs {
    let last_users = last_users(graph);
    let mut results: Vec<Option<Tensor<4>>> = Vec::with_capacity(graph.nodes.len());
    let mut moments = Vec::with_capacity(values.len());
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
                let (result, seen) = convolve(layer, input());
                moments.push(seen);
                result
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

fn convolve(layer: &Values, x: Tensor<4>) -> (Tensor<4>, Option<Moments>) {
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let weight = layer.weight.clone().reshape(layer.shape);
    let shift = layer.shift.clone();
    let Some(scale) = layer.scale.clone() else {
        return (module::conv2d(x, weight, Some(shift), options), None);
    };
    // Batch norm takes any constant away again, so the convolution's bias is left out.
    let x = module::conv2d(x, weight, None, options);
    if let Some((mean, variance)) = layer.running.clone() {
        let x = module::batch_norm(x, scale, shift, mean, variance, EPSILON);
        return (activation::relu(x), None);
    }
    let [pictures, _, height, width] = x.dims();
    let norm = module::batch_norm_train(x, scale, shift, EPSILON);
    let moments = Moments {
        mean: norm.mean.without_autodiff(),
        variance: norm.variance.without_autodiff(),
        count: pictures * height * width,
    };
    (activation::relu(norm.output), Some(moments))
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
            weight: leaves[1].clone(),
            shift: leaves[3].clone(),
            scale: Some(leaves[2].clone()),
            running: None,
        };
        let x = leaves[0].clone().reshape([PICTURES, INPUTS, HEIGHT, WIDTH]);
        let (output, moments) = convolve(&layer, x);
        assert_eq!(moments.unwrap().count, PICTURES * AREA);
        let weighted = output * flat(&by).reshape([PICTURES, OUTPUTS, HEIGHT, WIDTH]);
        let total = weighted.sum();
        let gradients = total.backward();
        let value = |arrays: &[Vec<f64>; 4]| {
            by_definition(&arrays[0], &arrays[1], &arrays[2], &arrays[3], &by)
        };
        let (got, wanted) = (f64::from(total.into_scalar::<f32>()), value(&arrays));
        assert!((got - wanted).abs() < 1e-4, "{got} {wanted}");
        for (array, leaf) in leaves.iter().enumerate() {
            let got = leaf
                .grad(&gradients)
                .unwrap()
                .try_into_vec_as::<f32>()
                .unwrap();
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
