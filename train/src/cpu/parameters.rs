//! Learnable parameters with their gradients and Adam's moments, in PyTorch's layout, and their
//! packed copies for the kernels.

use crate::backend::AdamState;
use crate::grid::ByteWeights;
use crate::weights::{Array, Weights};
use blemish::draem::Graph;
use blemish::engine::kernels::float::BLOCK;
use blemish::engine::kernels::float::{Packed, groups};
use rayon::prelude::*;

/// Adam's constants (Kingma and Ba 2015, PyTorch's defaults).
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// One learnable array.
#[derive(Debug, Clone, Default)]
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
    pub gradient: Vec<f32>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
}

impl Parameter {
    fn new(name: String, shape: Vec<usize>) -> Self {
        let length = shape.iter().product();
        Self {
            name,
            shape,
            values: vec![0.0; length],
            gradient: vec![0.0; length],
            first_moment: vec![0.0; length],
            second_moment: vec![0.0; length],
        }
    }

    /// One Adam update; `step` counts from 1.
    fn update(&mut self, step: u64, learning_rate: f64) {
        let exponent = step.min(i32::MAX as u64) as i32;
        let rate = (learning_rate / (1.0 - BETA1.powi(exponent))) as f32;
        let root = ((1.0 - BETA2.powi(exponent)).sqrt()) as f32;
        let (beta1, beta2) = (BETA1 as f32, BETA2 as f32);
        let (rest1, rest2) = ((1.0 - BETA1) as f32, (1.0 - BETA2) as f32);
        let moments = self.first_moment.iter_mut().zip(&mut self.second_moment);
        let rows = self.values.iter_mut().zip(&self.gradient).zip(moments);
        for ((value, &gradient), (first, second)) in rows {
            *first = beta1 * *first + rest1 * gradient;
            *second = beta2 * *second + rest2 * gradient * gradient;
            *value -= rate * *first / (second.sqrt() / root + EPSILON);
        }
    }
}

/// Batch norm's parameters and running statistics.
#[derive(Debug, Clone, Default)]
pub struct Norm {
    pub gamma: Parameter,
    pub beta: Parameter,
    /// Name without the last part, as in the checkpoint.
    key: String,
    pub running_mean: Vec<f32>,
    pub running_var: Vec<f32>,
}

/// One convolution of the graph.
#[derive(Debug, Clone, Default)]
pub struct Conv {
    pub in_channels: usize,
    pub out_channels: usize,
    pub weight: Parameter,
    pub bias: Parameter,
    pub norm: Option<Norm>,
    /// For the forward pass.
    pub packed: Packed,
    /// Turned by 180 degrees and transposed, for the gradient by the input.
    pub turned: Packed,
}

impl Conv {
    /// Brings the packed copies up to date; rounded to bytes, where the network is quantized.
    pub fn pack(&mut self, bytes: bool) {
        let inputs = self.in_channels;
        // The logits become one channel, their difference, and are rounded as that.
        let rounded: Vec<f32>;
        let weight = match bytes && (self.norm.is_some() || self.out_channels != 2) {
            true => {
                rounded = ByteWeights::new(&self.weight.values, self.out_channels)
                    .values()
                    .collect();
                &rounded
            }
            false => &self.weight.values,
        };
        self.packed
            .fill(inputs, self.out_channels, |output, input, tap| {
                weight[(output * inputs + input) * 9 + tap]
            });
        // Batch norm takes any constant away again; left out, it costs no precision either.
        if self.norm.is_none() {
            self.packed.bias_mut()[..self.out_channels].copy_from_slice(&self.bias.values);
        }
        self.turned
            .fill(self.out_channels, inputs, |output, input, tap| {
                weight[(input * inputs + output) * 9 + 8 - tap]
            });
    }

    /// Takes the gradient out of the order of `super::weight_gradient`.
    pub fn unpack_gradient(&mut self, sums: &[f32]) {
        let in_blocks = self.in_channels.div_ceil(BLOCK);
        let per_output = in_blocks * BLOCK * 9;
        for group in groups(self.out_channels.div_ceil(BLOCK)) {
            let lanes = group.blocks * BLOCK;
            let first = group.first_block * BLOCK;
            let rows = sums[first * per_output..][..lanes * per_output].chunks_exact(lanes);
            for (row, from) in rows.enumerate() {
                let (channel, tap) = (row / (9 * BLOCK) * BLOCK + row % BLOCK, row / BLOCK % 9);
                if channel >= self.in_channels {
                    continue;
                }
                for (lane, &value) in from.iter().enumerate() {
                    let output = first + lane;
                    if output < self.out_channels {
                        self.weight.gradient[(output * self.in_channels + channel) * 9 + tap] =
                            value;
                    }
                }
            }
        }
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let norm = self.norm.iter().flat_map(|norm| [&norm.gamma, &norm.beta]);
        [&self.weight, &self.bias].into_iter().chain(norm)
    }

    fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let norm = self
            .norm
            .iter_mut()
            .flat_map(|norm| [&mut norm.gamma, &mut norm.beta]);
        [&mut self.weight, &mut self.bias].into_iter().chain(norm)
    }
}

/// All convolutions in the graph's order, and Adam's step count.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    pub convolutions: Vec<Conv>,
    pub steps: u64,
    /// Whether the packed copies are rounded to bytes.
    bytes: bool,
}

impl Parameters {
    /// Zeros of the right shapes.
    pub fn new(graph: &Graph) -> Self {
        let convolutions = graph
            .convolutions()
            .map(|(node, key, in_channels)| {
                let out = node.channels;
                Conv {
                    in_channels,
                    out_channels: out,
                    weight: Parameter::new(
                        format!("{}.weight", key.conv),
                        vec![out, in_channels, 3, 3],
                    ),
                    bias: Parameter::new(format!("{}.bias", key.conv), vec![out]),
                    norm: key.norm.as_ref().map(|key| Norm {
                        gamma: Parameter::new(format!("{key}.weight"), vec![out]),
                        beta: Parameter::new(format!("{key}.bias"), vec![out]),
                        key: key.clone(),
                        running_mean: vec![0.0; out],
                        running_var: vec![1.0; out],
                    }),
                    ..Conv::default()
                }
            })
            .collect();
        Self {
            convolutions,
            steps: 0,
            bytes: false,
        }
    }

    /// From now on the kernels get weights that are rounded to bytes; the parameters stay float.
    pub fn round_to_bytes(&mut self) {
        self.bytes = true;
        self.convolutions
            .par_iter_mut()
            .for_each(|conv| conv.pack(true));
    }

    /// One Adam step with the gradients at hand, then packs.
    pub fn update(&mut self, learning_rate: f64) {
        self.steps += 1;
        let (step, bytes) = (self.steps, self.bytes);
        self.convolutions.par_iter_mut().for_each(|conv| {
            for parameter in conv.parameters_mut() {
                parameter.update(step, learning_rate);
            }
            conv.pack(bytes);
        });
    }

    fn collect(&self, of: impl Fn(&Parameter) -> &Vec<f32>) -> Weights {
        let mut weights = Weights::default();
        for parameter in self.convolutions.iter().flat_map(Conv::parameters) {
            weights.0.insert(
                parameter.name.clone(),
                Array {
                    shape: parameter.shape.clone(),
                    values: of(parameter).clone(),
                },
            );
        }
        weights
    }

    /// Parameters and buffers by name.
    pub fn weights(&self) -> Weights {
        let mut weights = self.collect(|parameter| &parameter.values);
        for norm in self
            .convolutions
            .iter()
            .filter_map(|conv| conv.norm.as_ref())
        {
            for (part, values) in [
                ("running_mean", &norm.running_mean),
                ("running_var", &norm.running_var),
            ] {
                weights.0.insert(
                    format!("{}.{part}", norm.key),
                    Array {
                        shape: vec![values.len()],
                        values: values.clone(),
                    },
                );
            }
        }
        weights
    }

    /// Gradients of the last step by name.
    pub fn gradients(&self) -> Weights {
        self.collect(|parameter| &parameter.gradient)
    }

    /// Adam's state by name.
    pub fn adam(&self) -> AdamState {
        AdamState {
            steps: self.steps,
            first_moment: self.collect(|parameter| &parameter.first_moment),
            second_moment: self.collect(|parameter| &parameter.second_moment),
        }
    }

    /// Takes weights and, where given, Adam's state.
    ///
    /// # Errors
    /// Names the array that is missing or has another shape; nothing is changed then.
    pub fn restore(&mut self, weights: &Weights, adam: &AdamState) -> Result<(), String> {
        let mut next = self.clone();
        for conv in &mut next.convolutions {
            for parameter in conv.parameters_mut() {
                let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
                parameter.values = take(weights, &name, &shape)?;
                if adam.steps > 0 {
                    parameter.first_moment = take(&adam.first_moment, &name, &shape)?;
                    parameter.second_moment = take(&adam.second_moment, &name, &shape)?;
                } else {
                    parameter.first_moment.fill(0.0);
                    parameter.second_moment.fill(0.0);
                }
            }
            if let Some(norm) = &mut conv.norm {
                let shape = [conv.out_channels];
                norm.running_mean = take(weights, &format!("{}.running_mean", norm.key), &shape)?;
                norm.running_var = take(weights, &format!("{}.running_var", norm.key), &shape)?;
            }
        }
        next.steps = adam.steps;
        let bytes = next.bytes;
        next.convolutions
            .par_iter_mut()
            .for_each(|conv| conv.pack(bytes));
        *self = next;
        Ok(())
    }
}

fn take(from: &Weights, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let array = from
        .0
        .get(name)
        .ok_or_else(|| format!("the array '{name}' is missing"))?;
    if array.shape != shape || array.values.len() != shape.iter().product::<usize>() {
        return Err(format!(
            "the array '{name}' has the shape {:?}; this network needs {shape:?}",
            array.shape
        ));
    }
    Ok(array.values.clone())
}
