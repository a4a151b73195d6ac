//! How much quantizing loses, layer by layer.

use super::{ByteWeights, Grids, Range};
use crate::export::Folded;
use crate::weights::{Weights, WeightsError};
use blemish::draem::Graph;
use std::fmt;

/// Signal to noise of one convolution, in decibels.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNoise {
    pub layer: String,
    /// Of its weights.
    pub weights_db: f64,
    pub output: Output,
}

/// What becomes of a layer's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output {
    /// Stays float.
    Float,
    /// All values were 0: there is no signal to lose.
    Dead,
    /// Signal to noise of its bytes.
    Decibels(f64),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Float => f.write_str("float"),
            Output::Dead => f.write_str("dead"),
            Output::Decibels(db) => write!(f, "{db:.1} dB"),
        }
    }
}

/// All convolutions, in the graph's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub layers: Vec<LayerNoise>,
}

impl Report {
    /// The layers that lose most, the worst first, without dead ones.
    pub fn worst(&self, count: usize) -> Vec<&LayerNoise> {
        let alive = (self.layers.iter()).filter(|layer| layer.output != Output::Dead);
        let mut layers: Vec<&LayerNoise> = alive.collect();
        let least = |layer: &LayerNoise| match layer.output {
            Output::Decibels(db) => db.min(layer.weights_db),
            Output::Float | Output::Dead => layer.weights_db,
        };
        layers.sort_by(|a, b| least(a).total_cmp(&least(b)));
        layers.truncate(count);
        layers
    }

    /// Names of the dead layers.
    pub fn dead(&self) -> Vec<&str> {
        let dead = (self.layers.iter()).filter(|layer| layer.output == Output::Dead);
        dead.map(|layer| layer.layer.as_str()).collect()
    }
}

fn output(range: &Range, scale: Option<f32>) -> Output {
    match scale {
        None => Output::Float,
        Some(_) if range.is_dead() => Output::Dead,
        Some(scale) => Output::Decibels(decibels(range.power(), range.error(scale * 255.0))),
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
            output: output(&ranges[id], grids.scales[id]),
        });
    }
    Ok(Report { layers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Range {
        let mut range = Range::default();
        range.stretch(values);
        range.count(values);
        range
    }

    #[test]
    fn a_dead_layer_is_called_so_and_leads_no_ranking() {
        let alive = of(&[0.0, 0.2, 1.0]);
        let layer = |name: &str, output| LayerNoise {
            layer: name.to_owned(),
            weights_db: 40.0,
            output,
        };
        let scale = Some(1.0 / 255.0);
        let report = Report {
            layers: vec![
                layer("dead", output(&of(&[0.0, -1.0]), scale)),
                layer("float", output(&alive, None)),
                layer("bytes", output(&alive, scale)),
            ],
        };
        let words = report.layers.iter().map(|layer| layer.output.to_string());
        let words: Vec<String> = words.collect();
        assert_eq!(words[..2], ["dead", "float"]);
        assert!(
            words[2].ends_with(" dB") && words[2] != "0.0 dB",
            "{words:?}"
        );
        assert_eq!(report.dead(), ["dead"]);
        let worst: Vec<&str> = report.worst(5).iter().map(|l| l.layer.as_str()).collect();
        assert_eq!(worst, ["float", "bytes"]);
    }
}
