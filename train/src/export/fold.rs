//! Batch norm folded into the convolution before it.

use crate::reference::NORM_EPSILON;
use crate::weights::{Weights, WeightsError};
use blemish::draem::ConvKey;

/// A convolution that needs no norm behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// `out x in x 3 x 3`.
    pub weight: Vec<f32>,
    /// `out`.
    pub bias: Vec<f32>,
}

impl Folded {
    /// With `s = gamma / sqrt(running_var + eps)`: weights times `s`, bias
    /// `beta + (bias - running_mean) * s`. Computed in f64, rounded once.
    ///
    /// # Errors
    /// Names the array that is missing, has another shape or is not finite.
    pub fn new(
        weights: &Weights,
        key: &ConvKey,
        in_channels: usize,
        channels: usize,
    ) -> Result<Self, WeightsError> {
        let shape = [channels, in_channels, 3, 3];
        let mut weight = weights
            .array(&format!("{}.weight", key.conv), &shape)?
            .to_vec();
        let mut bias = weights
            .array(&format!("{}.bias", key.conv), &[channels])?
            .to_vec();
        let Some(norm) = &key.norm else {
            return Ok(Self { weight, bias });
        };
        let vector = |part: &str| weights.array(&format!("{norm}.{part}"), &[channels]);
        let (gamma, beta) = (vector("weight")?, vector("bias")?);
        let (mean, variance) = (vector("running_mean")?, vector("running_var")?);
        for (channel, kernels) in weight.chunks_exact_mut(9 * in_channels).enumerate() {
            let deviation = (f64::from(variance[channel]) + f64::from(NORM_EPSILON)).sqrt();
            let scale = f64::from(gamma[channel]) / deviation;
            for value in kernels {
                *value = (f64::from(*value) * scale) as f32;
            }
            let centred = f64::from(bias[channel]) - f64::from(mean[channel]);
            bias[channel] = (f64::from(beta[channel]) + centred * scale) as f32;
        }
        Ok(Self { weight, bias })
    }

    /// Two output channels become one: the second minus the first. A sigmoid of it equals the softmax's
    /// second channel.
    pub fn difference(&self) -> Self {
        let (normal, anomaly) = self.weight.split_at(self.weight.len() / 2);
        Self {
            weight: anomaly.iter().zip(normal).map(|(z1, z0)| z1 - z0).collect(),
            bias: vec![self.bias[1] - self.bias[0]],
        }
    }
}
