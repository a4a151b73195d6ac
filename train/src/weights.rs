//! Parameters and buffers of both networks by name, in PyTorch's layout: the form that checkpoints,
//! export, import and every backend share.

use std::collections::BTreeMap;

/// A named array. Convolutions are `out x in x 3 x 3`; everything else is one-dimensional.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Arrays by the names of `blemish::draem::ConvKey` (`rec.encoder.block1.0.weight`, ...): for each
/// convolution `.weight` and `.bias`; for each norm `.weight`, `.bias`, `.running_mean` and
/// `.running_var`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights(pub BTreeMap<String, Array>);

/// An array that a network needs and [`Weights`] does not hold as needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    #[error("weights have no array '{name}'; they belong to another network")]
    Missing { name: String },
    #[error(
        "array '{name}' has shape {found:?} and the network needs {expected:?}; check the widths"
    )]
    Shape {
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    #[error(
        "array '{name}' holds a NaN or infinity; training diverged: take an earlier checkpoint"
    )]
    NotFinite { name: String },
}

impl Weights {
    /// The values of the array `name`, which must be there, have that shape and be finite.
    ///
    /// # Errors
    /// Names the array and what is wrong with it.
    pub fn array(&self, name: &str, shape: &[usize]) -> Result<&[f32], WeightsError> {
        let owned = || name.to_owned();
        let array = self
            .0
            .get(name)
            .ok_or_else(|| WeightsError::Missing { name: owned() })?;
        if array.shape != shape || array.values.len() != shape.iter().product::<usize>() {
            return Err(WeightsError::Shape {
                name: owned(),
                found: array.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        if array.values.iter().any(|value| !value.is_finite()) {
            return Err(WeightsError::NotFinite { name: owned() });
        }
        Ok(&array.values)
    }
}
