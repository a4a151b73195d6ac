//! How much quantizing loses, layer by layer.

use super::{ByteWeights, Grids, Range};
use crate::export::Folded;
use crate::weights::{Weights, WeightsError};
use blemish::draem::Graph;

/// Signal to noise of one convolution, in decibels.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNoise {
    pub layer: String,
    /// Of its weights.
    pub weights_db: f64,
    /// Of its output; `None` where the output stays float.
    pub output_db: Option<f64>,
}

/// All convolutions, in the graph's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub layers: Vec<LayerNoise>,
}

impl Report {
    /// The layers that lose most, the worst first.
    pub fn worst(&self, count: usize) -> Vec<&LayerNoise> {
        let mut layers: Vec<&LayerNoise> = self.layers.iter().collect();
        let least = |layer: &LayerNoise| {
            layer
                .output_db
                .map_or(layer.weights_db, |output| output.min(layer.weights_db))
        };
        layers.sort_by(|a, b| least(a).total_cmp(&least(b)));
        layers.truncate(count);
        layers
    }
}

fn decibels(signal: f64, noise: f64) -> f64 {
    10.0 * (signal.max(1e-30) / noise.max(1e-30)).log10()
}

pub(super) fn report(
    graph: &Graph,
    weights: &Weights,
    ranges: &[Range],
    grids: &Grids,
) -> Result<Report, WeightsError> {
    let mut layers = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let blemish::draem::Op::Conv { in_channels, key } = &node.op else {
            continue;
        };
        let folded = Folded::new(weights, key, *in_channels, node.channels)?;
        let bytes = ByteWeights::new(&folded.weight, folded.bias.len());
        let (mut signal, mut noise) = (0f64, 0f64);
        for (weight, kept) in folded.weight.iter().zip(bytes.values()) {
            signal += f64::from(weight * weight);
            noise += f64::from((weight - kept) * (weight - kept));
        }
        layers.push(LayerNoise {
            layer: node.name.clone(),
            weights_db: decibels(signal, noise),
            output_db: grids.scales[id]
                .map(|scale| decibels(ranges[id].power(), ranges[id].error(scale * 255.0))),
        });
    }
    Ok(Report { layers })
}
