//! Static int8: u8 activations with a scale per value, i8 weights with a scale per output channel.
//!
//! Ranges are chosen on held-out goods **with simulated defects**: goods alone never excite the path
//! that finds defects. ReLU outputs start at zero, so every zero point is 0. Values that are pooled,
//! upsampled or joined share one scale, so nothing is rescaled between convolutions.

mod imitation;
mod range;
mod report;

pub use crate::grid::{ByteWeights, Grids, WEIGHT_LEVELS};
pub use imitation::Student;
pub use range::Range;
pub use report::{LayerNoise, Output, Report};

use crate::backend::Batch;
use crate::cpu::CpuEngine;
use crate::grid::LEVELS;
use crate::weights::{Weights, WeightsError};
use blemish::draem::{Graph, NodeId, Op};

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
