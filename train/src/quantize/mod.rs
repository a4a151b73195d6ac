//! Static int8: u8 activations with a scale per value, i8 weights with a scale per output channel.
//!
//! Ranges are chosen on held-out goods **with simulated defects**: goods alone never excite the path
//! that finds defects. ReLU outputs start at zero, so every zero point is 0. Values that are pooled,
//! upsampled or joined share one scale, so nothing is rescaled between convolutions.

mod range;
mod report;

pub use range::Range;
pub use report::{LayerNoise, Report};

use crate::backend::Batch;
use crate::cpu::CpuEngine;
use crate::export::Folded;
use crate::weights::{Weights, WeightsError};
use blemish::draem::{Graph, NodeId, Op};

/// Greatest byte.
const LEVELS: f32 = 255.0;
/// Greatest weight: symmetric, so -128 is never used.
pub const WEIGHT_LEVELS: f32 = 127.0;

/// The scale of every node's output; zero points are 0. `None` for the logits, which stay float.
#[derive(Debug, Clone, PartialEq)]
pub struct Grids {
    pub scales: Vec<Option<f32>>,
}

/// One convolution's weights on their grid.
#[derive(Debug, Clone, PartialEq)]
pub struct ByteWeights {
    /// `out x in x 3 x 3`, from -127 to 127.
    pub levels: Vec<i8>,
    /// One per output channel.
    pub scales: Vec<f32>,
}

impl ByteWeights {
    /// Per output channel symmetric, the greatest weight at 127.
    pub fn new(folded: &Folded) -> Self {
        let per_output = folded.weight.len() / folded.bias.len();
        let mut weights = ByteWeights {
            levels: Vec::with_capacity(folded.weight.len()),
            scales: Vec::with_capacity(folded.bias.len()),
        };
        for channel in folded.weight.chunks_exact(per_output) {
            let greatest = channel.iter().fold(0f32, |most, w| most.max(w.abs()));
            let scale = if greatest > 0.0 {
                greatest / WEIGHT_LEVELS
            } else {
                1.0
            };
            let levels = channel.iter().map(|w| (w / scale).round_ties_even() as i8);
            weights.levels.extend(levels);
            weights.scales.push(scale);
        }
        weights
    }
}

/// Chooses the grids of `graph` by running `engine`, which holds `weights`, over `batches`.
///
/// # Errors
/// A sentence for people where the engine failed or a weight is missing.
pub fn calibrate(
    graph: &Graph,
    weights: &Weights,
    engine: &mut CpuEngine,
    batches: &[Batch],
) -> Result<(Grids, Report), String> {
    let mut ranges = vec![Range::default(); graph.nodes.len()];
    // The greatest values first: they set the bins of the histograms.
    for counting in [false, true] {
        for batch in batches {
            engine.observe(
                &batch.seen,
                batch.pictures,
                (batch.width_px, batch.height_px),
                &mut |node, values| match counting {
                    false => ranges[node].stretch(values),
                    true => ranges[node].count(values),
                },
            )?;
        }
    }
    let grids = grids(graph, &ranges);
    let report = report::report(graph, weights, &ranges, &grids)
        .map_err(|error: WeightsError| error.to_string())?;
    Ok((grids, report))
}

fn grids(graph: &Graph, ranges: &[Range]) -> Grids {
    let mut scales: Vec<Option<f32>> = graph
        .nodes
        .iter()
        .enumerate()
        .map(|(id, node)| match node.op {
            // The picture is in [0, 1], and the reconstruction is cut to it in front of the
            // discriminative network.
            Op::Image => Some(1.0 / LEVELS),
            Op::Conv { .. } if id == graph.reconstruction => Some(1.0 / LEVELS),
            Op::Conv { .. } if id == graph.logits => None,
            _ => Some(ranges[id].best() / LEVELS),
        })
        .collect();
    // Joined values take the greater scale; what follows a value without weights takes its scale.
    for node in graph.nodes.iter().filter(|node| node.op == Op::Concat) {
        let greatest = node
            .inputs
            .iter()
            .filter_map(|&id| scales[id])
            .fold(0f32, f32::max);
        for &id in &node.inputs {
            scales[id] = Some(greatest);
        }
    }
    for id in 0..graph.nodes.len() {
        if !matches!(graph.nodes[id].op, Op::Conv { .. } | Op::Image) {
            scales[id] = scales[source(graph, id)];
        }
    }
    Grids { scales }
}

/// The convolution or picture whose values a node hands on.
fn source(graph: &Graph, id: NodeId) -> NodeId {
    match graph.nodes[id].op {
        Op::Conv { .. } | Op::Image => id,
        _ => source(graph, graph.nodes[id].inputs[0]),
    }
}
