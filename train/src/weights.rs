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
