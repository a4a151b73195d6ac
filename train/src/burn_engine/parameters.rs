//! Learnable parameters with Adam's moments and the norms' running statistics, on the device.

use super::adam::Adam;
use super::convolution::Convolved;
use super::network::Moments;
use crate::backend::AdamState;
use crate::weights::{Array, Weights, WeightsError};
use blemish::draem::Graph;
use burn::tensor::{Device, Gradients, Tensor, TensorData, Transaction};
use std::ops::Range;

/// Share of the newest batch in running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// Arrays end to end in one tensor.
#[derive(Default)]
struct Layout {
    places: Vec<Place>,
    length: usize,
}

struct Place {
    name: String,
    shape: Vec<usize>,
    start: usize,
}

impl Layout {
    /// Number of the array that is put behind those there are.
    fn add(&mut self, name: String, shape: &[usize]) -> usize {
        self.places.push(Place {
            name,
            shape: shape.to_vec(),
            start: self.length,
        });
        self.length += shape.iter().product::<usize>();
        self.places.len() - 1
    }

    fn range(&self, number: usize) -> Range<usize> {
        let place = &self.places[number];
        place.start..place.start + place.shape.iter().product::<usize>()
    }

    fn slice(&self, flat: &Tensor<1>, number: usize) -> Tensor<1> {
        flat.clone().slice([self.range(number)])
    }

    /// All arrays of `from`, whose names end with `suffix` behind the layout's, on the device.
    fn upload(
        &self,
        from: &Weights,
        suffix: &str,
        device: &Device,
    ) -> Result<Tensor<1>, WeightsError> {
        let mut values = Vec::with_capacity(self.length);
        for place in &self.places {
            let name = format!("{}{suffix}", place.name);
            values.extend_from_slice(from.array(&name, &place.shape)?);
        }
        let data = TensorData::new(values, [self.length]);
        Ok(Tensor::from_data(data, device))
    }

    /// As [`Layout::upload`], where Adam has begun; else zeros.
    fn upload_moment(
        &self,
        adam: &AdamState,
        from: &Weights,
        device: &Device,
    ) -> Result<Tensor<1>, WeightsError> {
        match adam.steps {
            0 => Ok(Tensor::zeros([self.length], device)),
            _ => self.upload(from, "", device),
        }
    }

    /// Gives `to` the arrays of `flat`, with `suffix` behind the layout's names.
    fn split(&self, flat: &[f32], suffix: &str, to: &mut Weights) {
        for (number, place) in self.places.iter().enumerate() {
            let array = Array {
                shape: place.shape.clone(),
                values: flat[self.range(number)].to_vec(),
            };
            to.0.insert(format!("{}{suffix}", place.name), array);
        }
    }
}

/// One convolution of the graph: numbers of its arrays.
struct Layer {
    /// `out x in x 3 x 3`.
    shape: [usize; 4],
    weight: usize,
    /// The norm's shift, or the convolution's bias where there is no norm.
    shift: usize,
    norm: Option<Norm>,
}

struct Norm {
    scale: usize,
    /// Among the norms.
    number: usize,
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

impl Values {
    /// `out x in x 3 x 3`.
    pub fn kernel(&self) -> Tensor<4> {
        self.weight.clone().reshape(self.shape)
    }
}

/// All convolutions in the graph's order.
pub struct Parameters {
    layers: Vec<Layer>,
    learning: Layout,
    adam: Adam,
    /// By the name of the norm without its last part.
    norms: Layout,
    running_mean: Tensor<1>,
    running_var: Tensor<1>,
    /// Of the convolutions in front of the norms. The norms take them away again, so they change
    /// nothing and stay as they are, and so do their moments.
    biases: Layout,
    bias: Tensor<1>,
    bias_first_moment: Tensor<1>,
    bias_second_moment: Tensor<1>,
    device: Device,
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
        let mut learning = Layout::default();
        let mut norms = Layout::default();
        let mut biases = Layout::default();
        let layers = graph.convolutions().map(|(node, key, in_channels)| {
            let channels = node.channels;
            let shape = [channels, in_channels, 3, 3];
            let bias = format!("{}.bias", key.conv);
            let weight = learning.add(format!("{}.weight", key.conv), &shape);
            let Some(norm) = &key.norm else {
                return Layer {
                    shape,
                    weight,
                    shift: learning.add(bias, &[channels]),
                    norm: None,
                };
            };
            biases.add(bias, &[channels]);
            Layer {
                shape,
                weight,
                shift: learning.add(format!("{norm}.bias"), &[channels]),
                norm: Some(Norm {
                    scale: learning.add(format!("{norm}.weight"), &[channels]),
                    number: norms.add(norm.clone(), &[channels]),
                }),
            }
        });
        let layers = layers.collect();
        Ok(Self {
            layers,
            adam: Adam {
                value: learning.upload(weights, "", device)?,
                first_moment: learning.upload_moment(adam, &adam.first_moment, device)?,
                second_moment: learning.upload_moment(adam, &adam.second_moment, device)?,
                steps: adam.steps,
            },
            running_mean: norms.upload(weights, ".running_mean", device)?,
            running_var: norms.upload(weights, ".running_var", device)?,
            bias: biases.upload(weights, "", device)?,
            bias_first_moment: biases.upload_moment(adam, &adam.first_moment, device)?,
            bias_second_moment: biases.upload_moment(adam, &adam.second_moment, device)?,
            learning,
            norms,
            biases,
            device: device.clone(),
        })
    }

    /// For a training step: every parameter but the kernels is a leaf whose gradient is kept.
    pub fn leaves(&self) -> Vec<Values> {
        let leaf = |value: Tensor<1>| value.autodiff().require_grad();
        let values = |layer: &Layer| {
            let values = self.values(layer);
            Values {
                shift: leaf(values.shift),
                scale: values.scale.map(leaf),
                ..values
            }
        };
        self.layers.iter().map(values).collect()
    }

    /// For evaluation: with running statistics.
    pub fn evaluation(&self) -> Vec<Values> {
        let mean = self.running_mean.clone() - self.bias.clone();
        let values = |layer: &Layer| Values {
            running: layer.norm.as_ref().map(|norm| {
                let of = |flat| self.norms.slice(flat, norm.number);
                (of(&mean), of(&self.running_var))
            }),
            ..self.values(layer)
        };
        self.layers.iter().map(values).collect()
    }

    fn values(&self, layer: &Layer) -> Values {
        let value = |number| self.learning.slice(&self.adam.value, number);
        Values {
            shape: layer.shape,
            weight: value(layer.weight),
            shift: value(layer.shift),
            scale: layer.norm.as_ref().map(|norm| value(norm.scale)),
            running: None,
        }
    }

    /// One Adam step.
    pub fn learn(&mut self, gradient: Tensor<1>, learning_rate: f64) {
        self.adam.step(gradient, learning_rate);
    }

    /// What cards that learn together must agree on: a gradient, and the running statistics.
    pub fn shared(&self, gradient: Tensor<1>) -> Tensor<1> {
        let statistics = [self.running_mean.clone(), self.running_var.clone()];
        Tensor::cat([gradient].into_iter().chain(statistics).collect(), 0)
    }

    /// One Adam step by what [`Parameters::shared`] is in the mean over the cards.
    pub fn learn_shared(&mut self, mean: Tensor<1>, learning_rate: f64) {
        let (learning, norms) = (self.learning.length, self.norms.length);
        let part = |start, length| mean.clone().narrow(0, start, length);
        self.running_mean = part(learning, norms);
        self.running_var = part(learning + norms, norms);
        self.learn(part(0, learning), learning_rate);
    }

    /// Brings the running statistics up to date, with the convolutions' biases and with variances
    /// divided by `count - 1`.
    pub fn follow(&mut self, moments: Vec<Option<Moments>>) {
        let (mut means, mut variances, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for seen in moments.into_iter().flatten() {
            let (count, [channels]) = (seen.count as f32, seen.mean.dims());
            factors.resize(factors.len() + channels, count / (count - 1.0).max(1.0));
            means.push(seen.mean);
            variances.push(seen.variance);
        }
        if means.is_empty() {
            return;
        }
        let factors = TensorData::new(factors, [self.norms.length]);
        let factors = Tensor::<1>::from_data(factors, &self.device);
        let mean = Tensor::cat(means, 0) + self.bias.clone();
        let variance = Tensor::cat(variances, 0) * factors;
        self.running_mean
            .inplace(|running| running * (1.0 - MOMENTUM) + mean * MOMENTUM);
        self.running_var
            .inplace(|running| running * (1.0 - MOMENTUM) + variance * MOMENTUM);
    }

    /// Gradients by name; zero for biases in front of a norm.
    ///
    /// # Errors
    /// Names the parameter that the device gave no gradient for, or says why reading failed.
    pub fn gradients(
        &self,
        leaves: &[Values],
        convolved: Vec<Convolved>,
        gradients: &mut Gradients,
    ) -> Result<Weights, String> {
        let gradient = self.gradient(leaves, convolved, gradients)?;
        let mut named = Weights::default();
        let [gradient] = read([&gradient])?;
        self.learning.split(&gradient, "", &mut named);
        let zeros = vec![0.0; self.biases.length];
        self.biases.split(&zeros, "", &mut named);
        Ok(named)
    }

    /// Parameters and buffers by name.
    ///
    /// # Errors
    /// Says why the device could not be read.
    pub fn weights(&self) -> Result<Weights, String> {
        let flat = [
            &self.adam.value,
            &self.bias,
            &self.running_mean,
            &self.running_var,
        ];
        let [value, bias, mean, variance] = read(flat)?;
        let mut named = Weights::default();
        self.learning.split(&value, "", &mut named);
        self.biases.split(&bias, "", &mut named);
        self.norms.split(&mean, ".running_mean", &mut named);
        self.norms.split(&variance, ".running_var", &mut named);
        Ok(named)
    }

    /// Adam's state by name.
    ///
    /// # Errors
    /// Says why the device could not be read.
    pub fn adam(&self) -> Result<AdamState, String> {
        let mut state = AdamState {
            steps: self.adam.steps,
            ..AdamState::default()
        };
        for (learning, bias, named) in [
            (
                &self.adam.first_moment,
                &self.bias_first_moment,
                &mut state.first_moment,
            ),
            (
                &self.adam.second_moment,
                &self.bias_second_moment,
                &mut state.second_moment,
            ),
        ] {
            let [learning, bias] = read([learning, bias])?;
            self.learning.split(&learning, "", named);
            self.biases.split(&bias, "", named);
        }
        Ok(state)
    }

    /// All gradients end to end, as the parameters lie.
    ///
    /// # Errors
    /// Names the parameter that the device gave no gradient for.
    pub fn gradient(
        &self,
        leaves: &[Values],
        convolved: Vec<Convolved>,
        gradients: &mut Gradients,
    ) -> Result<Tensor<1>, String> {
        // In the order in which `new` laid them out.
        let mut all = Vec::with_capacity(self.learning.places.len());
        for (values, convolved) in leaves.iter().zip(convolved) {
            let kernel = convolved.kernel_gradient(gradients);
            all.push(kernel.map(|kernel| kernel.flatten(0, 3)));
            all.push(values.shift.grad_remove(gradients));
            all.extend((values.scale.iter()).map(|scale| scale.grad_remove(gradients)));
        }
        let all: Result<Vec<_>, String> = (all.into_iter().zip(&self.learning.places))
            .map(|(gradient, place)| {
                gradient.ok_or_else(|| format!("the device gave no gradient for '{}'", place.name))
            })
            .collect();
        Ok(Tensor::cat(all?, 0))
    }
}

/// Reads tensors at once: each read alone would wait for the device.
fn read<const N: usize>(tensors: [&Tensor<1>; N]) -> Result<[Vec<f32>; N], String> {
    let mut transaction = Transaction::default();
    for tensor in tensors {
        transaction = transaction.register(tensor.clone());
    }
    let unreadable = |error| format!("parameters could not be read back: {error}");
    let data = transaction
        .try_execute()
        .map_err(|error| unreadable(format!("{error:?}")))?;
    let values: Result<Vec<_>, _> = data
        .into_iter()
        .map(|data| data.try_into_vec::<f32>())
        .collect();
    values
        .map_err(|error| unreadable(format!("{error:?}")))?
        .try_into()
        .map_err(|_| unreadable("some are missing".to_owned()))
}
