//! Learnable parameters with Adam's moments and the norms' running statistics, on the device.

use super::network::Moments;
use crate::backend::AdamState;
use crate::weights::{Array, Weights, WeightsError};
use blemish::draem::{ConvKey, Graph};
use burn::tensor::{Device, Gradients, Tensor, TensorData, Transaction};

/// Adam's constants (Kingma and Ba 2015, PyTorch's defaults).
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// Share of the newest batch in running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// One learnable array, flat.
struct Parameter {
    name: String,
    shape: Vec<usize>,
    value: Tensor<1>,
    first_moment: Tensor<1>,
    second_moment: Tensor<1>,
}

impl Parameter {
    fn new(from: &Source, name: String, shape: &[usize]) -> Result<Self, WeightsError> {
        let (first_moment, second_moment) = match from.adam.steps {
            0 => (from.zeros(shape), from.zeros(shape)),
            _ => (
                from.upload(&from.adam.first_moment, &name, shape)?,
                from.upload(&from.adam.second_moment, &name, shape)?,
            ),
        };
        Ok(Self {
            value: from.upload(from.weights, &name, shape)?,
            shape: shape.to_vec(),
            name,
            first_moment,
            second_moment,
        })
    }

    /// One Adam update.
    fn update(&mut self, gradient: Tensor<1>, rate: f64, root: f64) {
        self.first_moment
            .inplace(|moment| moment * BETA1 + gradient.clone() * (1.0 - BETA1));
        self.second_moment
            .inplace(|moment| moment * BETA2 + gradient.clone() * gradient * (1.0 - BETA2));
        let deviation = self.second_moment.clone().sqrt() / root + EPSILON;
        let change = self.first_moment.clone() * rate / deviation;
        self.value.inplace(|value| value - change);
    }

    fn array(&self, of: &Tensor<1>) -> Named {
        Named {
            name: self.name.clone(),
            shape: self.shape.clone(),
            values: of.clone(),
        }
    }
}

/// Batch norm's parameters and running statistics.
struct Norm {
    gamma: Parameter,
    beta: Parameter,
    /// Name without the last part, as in the checkpoint.
    key: String,
    running_mean: Tensor<1>,
    running_var: Tensor<1>,
}

/// One convolution of the graph.
struct Layer {
    shape: [usize; 4],
    weight: Parameter,
    bias: Parameter,
    norm: Option<Norm>,
}

impl Layer {
    fn new(
        from: &Source,
        key: &ConvKey,
        channels: usize,
        in_channels: usize,
    ) -> Result<Self, WeightsError> {
        let shape = [channels, in_channels, 3, 3];
        let norm = key.norm.as_ref().map(|key| {
            let running =
                |part: &str| from.upload(from.weights, &format!("{key}.{part}"), &[channels]);
            Ok(Norm {
                gamma: Parameter::new(from, format!("{key}.weight"), &[channels])?,
                beta: Parameter::new(from, format!("{key}.bias"), &[channels])?,
                key: key.clone(),
                running_mean: running("running_mean")?,
                running_var: running("running_var")?,
            })
        });
        Ok(Self {
            shape,
            weight: Parameter::new(from, format!("{}.weight", key.conv), &shape)?,
            bias: Parameter::new(from, format!("{}.bias", key.conv), &[channels])?,
            norm: norm.transpose()?,
        })
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let norm = self.norm.iter().flat_map(|norm| [&norm.gamma, &norm.beta]);
        [&self.weight, &self.bias].into_iter().chain(norm)
    }

    /// What a forward pass needs, each parameter taken as `of` says.
    fn values(&self, of: impl Fn(&Tensor<1>) -> Tensor<1>) -> Values {
        let shift = self.norm.as_ref().map_or(&self.bias, |norm| &norm.beta);
        let scale = self.norm.as_ref().map(|norm| of(&norm.gamma.value));
        Values {
            shape: self.shape,
            weight: of(&self.weight.value),
            shift: of(&shift.value),
            scale,
            running: None,
        }
    }

    /// The parameters that learn, each with what stood for it in the forward pass. A bias in front of
    /// a norm changes nothing and stays as it is.
    fn learning<'a>(
        &'a mut self,
        values: &'a Values,
    ) -> impl Iterator<Item = (&'a mut Parameter, &'a Tensor<1>)> {
        let (shift, gamma) = match &mut self.norm {
            Some(norm) => (&mut norm.beta, Some(&mut norm.gamma)),
            None => (&mut self.bias, None),
        };
        let scale = gamma.zip(values.scale.as_ref());
        [(&mut self.weight, &values.weight), (shift, &values.shift)]
            .into_iter()
            .chain(scale)
    }
}

/// One convolution's parameters in a forward pass, flat.
pub struct Values {
    /// `out x in x 3 x 3`.
    pub shape: [usize; 4],
    pub weight: Tensor<1>,
    /// The norm's shift, or the convolution's bias where there is no norm.
    pub shift: Tensor<1>,
    /// The norm's scale.
    pub scale: Option<Tensor<1>>,
    /// In evaluation: mean and variance of the convolution without its bias.
    pub running: Option<(Tensor<1>, Tensor<1>)>,
}

/// An array to be read back.
struct Named {
    name: String,
    shape: Vec<usize>,
    values: Tensor<1>,
}

/// What parameters are made of.
struct Source<'a> {
    weights: &'a Weights,
    adam: &'a AdamState,
    device: &'a Device,
}

impl Source<'_> {
    fn zeros(&self, shape: &[usize]) -> Tensor<1> {
        Tensor::zeros([shape.iter().product::<usize>()], self.device)
    }

    fn upload(
        &self,
        from: &Weights,
        name: &str,
        shape: &[usize],
    ) -> Result<Tensor<1>, WeightsError> {
        let values = from.array(name, shape)?.to_vec();
        let length = values.len();
        Ok(Tensor::from_data(
            TensorData::new(values, [length]),
            self.device,
        ))
    }
}

/// All convolutions in the graph's order, and Adam's step count.
#[derive(Default)]
pub struct Parameters {
    layers: Vec<Layer>,
    steps: u64,
}

impl Parameters {
    /// Parameters, buffers and, where it has begun, Adam's state.
    ///
    /// # Errors
    /// Names the array that is missing, has another shape or is not finite.
    pub fn new(
        graph: &Graph,
        weights: &Weights,
        adam: &AdamState,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let from = Source {
            weights,
            adam,
            device,
        };
        let layers = graph
            .convolutions()
            .map(|(node, key, in_channels)| Layer::new(&from, key, node.channels, in_channels));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            steps: adam.steps,
        })
    }

    /// For a training step: every parameter is a leaf whose gradient is kept.
    pub fn leaves(&self) -> Vec<Values> {
        let leaf = |value: &Tensor<1>| value.clone().autodiff().require_grad();
        self.layers.iter().map(|layer| layer.values(leaf)).collect()
    }

    /// For evaluation: with running statistics.
    pub fn evaluation(&self) -> Vec<Values> {
        let values = |layer: &Layer| Values {
            running: layer.norm.as_ref().map(|norm| {
                let mean = norm.running_mean.clone() - layer.bias.value.clone();
                (mean, norm.running_var.clone())
            }),
            ..layer.values(Tensor::clone)
        };
        self.layers.iter().map(values).collect()
    }

    /// One Adam step.
    ///
    /// # Errors
    /// Names the parameter that the device gave no gradient for.
    pub fn learn(
        &mut self,
        leaves: &[Values],
        gradients: &mut Gradients,
        learning_rate: f64,
    ) -> Result<(), String> {
        self.steps += 1;
        let exponent = self.steps.min(i32::MAX as u64) as i32;
        let rate = learning_rate / (1.0 - BETA1.powi(exponent));
        let root = (1.0 - BETA2.powi(exponent)).sqrt();
        for (layer, values) in self.layers.iter_mut().zip(leaves) {
            for (parameter, leaf) in layer.learning(values) {
                let gradient = leaf
                    .grad_remove(gradients)
                    .ok_or_else(|| no_gradient(&parameter.name))?;
                parameter.update(gradient, rate, root);
            }
        }
        Ok(())
    }

    /// Brings the running statistics up to date, with the convolutions' biases and with variances
    /// divided by `count - 1`.
    pub fn follow(&mut self, moments: Vec<Option<Moments>>) {
        for (layer, seen) in self.layers.iter_mut().zip(moments) {
            let (Some(norm), Some(seen)) = (&mut layer.norm, seen) else {
                continue;
            };
            let count = seen.count as f64;
            let mean = seen.mean + layer.bias.value.clone();
            let variance = seen.variance * (count / (count - 1.0).max(1.0));
            norm.running_mean
                .inplace(|running| running * (1.0 - MOMENTUM) + mean * MOMENTUM);
            norm.running_var
                .inplace(|running| running * (1.0 - MOMENTUM) + variance * MOMENTUM);
        }
    }

    /// Gradients by name; zero for biases in front of a norm.
    ///
    /// # Errors
    /// Names the parameter that the device gave no gradient for, or says why reading failed.
    pub fn gradients(
        &mut self,
        leaves: &[Values],
        gradients: &mut Gradients,
    ) -> Result<Weights, String> {
        let mut arrays = Vec::new();
        for (layer, values) in self.layers.iter_mut().zip(leaves) {
            if layer.norm.is_some() {
                arrays.push(layer.bias.array(&layer.bias.value.zeros_like()));
            }
            for (parameter, leaf) in layer.learning(values) {
                let gradient = leaf
                    .grad_remove(gradients)
                    .ok_or_else(|| no_gradient(&parameter.name))?;
                arrays.push(parameter.array(&gradient));
            }
        }
        read(arrays)
    }

    /// Parameters and buffers by name.
    ///
    /// # Errors
    /// Says why the device could not be read.
    pub fn weights(&self) -> Result<Weights, String> {
        let mut arrays = self.collect(|parameter| &parameter.value);
        for norm in self.layers.iter().filter_map(|layer| layer.norm.as_ref()) {
            for (part, values) in [
                ("running_mean", &norm.running_mean),
                ("running_var", &norm.running_var),
            ] {
                arrays.push(Named {
                    name: format!("{}.{part}", norm.key),
                    shape: norm.gamma.shape.clone(),
                    values: values.clone(),
                });
            }
        }
        read(arrays)
    }

    /// Adam's state by name.
    ///
    /// # Errors
    /// Says why the device could not be read.
    pub fn adam(&self) -> Result<AdamState, String> {
        Ok(AdamState {
            steps: self.steps,
            first_moment: read(self.collect(|parameter| &parameter.first_moment))?,
            second_moment: read(self.collect(|parameter| &parameter.second_moment))?,
        })
    }

    fn collect(&self, of: impl Fn(&Parameter) -> &Tensor<1>) -> Vec<Named> {
        let parameters = self.layers.iter().flat_map(Layer::parameters);
        parameters
            .map(|parameter| parameter.array(of(parameter)))
            .collect()
    }
}

fn no_gradient(name: &str) -> String {
    format!("the device gave no gradient for '{name}'")
}

/// Reads all arrays at once: each read alone would wait for the device.
fn read(arrays: Vec<Named>) -> Result<Weights, String> {
    let mut transaction = Transaction::default();
    let mut names = Vec::with_capacity(arrays.len());
    for array in arrays {
        transaction = transaction.register(array.values);
        names.push((array.name, array.shape));
    }
    let data = transaction
        .try_execute()
        .map_err(|error| format!("parameters could not be read back: {error:?}"))?;
    let mut weights = Weights::default();
    for ((name, shape), data) in names.into_iter().zip(data) {
        let values = data
            .try_into_vec::<f32>()
            .map_err(|error| format!("'{name}' could not be read back: {error:?}"))?;
        weights.0.insert(name, Array { shape, values });
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::super::devices::for_tests;
    use super::*;

    /// Two steps against the formulas of Kingma and Ba in f64.
    #[test]
    fn adam_moves_as_published() {
        let Some(device) = for_tests() else { return };
        let tensor = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device);
        let mut parameter = Parameter {
            name: "p".to_owned(),
            shape: vec![3],
            value: tensor([1.0, -2.0, 0.5]),
            first_moment: tensor([0.0; 3]),
            second_moment: tensor([0.0; 3]),
        };
        let mut wanted = [(1.0f64, 0.0f64, 0.0f64), (-2.0, 0.0, 0.0), (0.5, 0.0, 0.0)];
        for (step, gradient) in [(1, [0.3f32, -1e-4, 0.0]), (2, [-0.1, 2e-4, 1e-6])] {
            let bias = |beta: f64| 1.0 - beta.powi(step);
            parameter.update(tensor(gradient), 0.01 / bias(BETA1), bias(BETA2).sqrt());
            for ((value, first, second), gradient) in wanted.iter_mut().zip(gradient) {
                let gradient = f64::from(gradient);
                *first = 0.9 * *first + 0.1 * gradient;
                *second = 0.999 * *second + 0.001 * gradient * gradient;
                *value -= 0.01 * (*first / bias(0.9)) / ((*second / bias(0.999)).sqrt() + 1e-8);
            }
        }
        let got = parameter.value.try_into_vec_as::<f32>().unwrap();
        for (got, (wanted, ..)) in got.iter().zip(wanted) {
            assert!((f64::from(*got) - wanted).abs() < 1e-6, "{got} {wanted}");
        }
    }
}
