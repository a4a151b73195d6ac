//! The reference forward against PyTorch's evaluation of the authors' networks.

mod common;
mod support;

use blemish::draem::{Graph, Upsampling};
use blemish::geometry::TileSize;
use blemish_train::reference::{forward, forward_training};
use blemish_train::weights::{Array, Weights};
use support::{Npz, golden};

struct Trace(Npz);

impl Trace {
    fn open() -> Option<Self> {
        Some(Self(Npz::open(golden()?.join("train_trace_4_4_64.npz"))))
    }

    /// The two pictures of an array, one after the other.
    fn pictures(&mut self, name: &str) -> [Vec<f32>; 2] {
        let array = self.0.f32(name);
        assert_eq!(array.shape()[0], 2);
        let values = array.into_values();
        let (first, second) = values.split_at(values.len() / 2);
        [first.to_vec(), second.to_vec()]
    }

    fn weights(&mut self, moment: &str, graph: &Graph) -> Weights {
        let mut weights = Weights::default();
        for (_, key, _) in graph.convolutions() {
            let mut names = vec![format!("{}.weight", key.conv), format!("{}.bias", key.conv)];
            for part in ["weight", "bias", "running_mean", "running_var"] {
                names.extend(key.norm.iter().map(|norm| format!("{norm}.{part}")));
            }
            for name in names {
                let array = self.0.f32(&format!("{moment}/{name}"));
                let shape = array.shape().to_vec();
                let values = array.into_values();
                weights.0.insert(name, Array { shape, values });
            }
        }
        weights
    }
}

#[test]
fn the_first_step_of_the_trace_gives_pytorchs_outputs() {
    let Some(mut trace) = Trace::open() else {
        return;
    };
    let graph = Graph::new(common::spec(4, 4, Upsampling::AlignCorners));
    let weights = trace.weights("init", &graph);
    let seen = trace.pictures("X");
    let (recon, logits) = (
        trace.pictures("step0/recon"),
        trace.pictures("step0/logits"),
    );
    let tile = TileSize::square(64);
    let results = forward_training(&graph, &weights, &[&seen[0], &seen[1]], tile).unwrap();
    for (index, result) in results.iter().enumerate() {
        let recon_error = common::largest_difference(&result.reconstruction, &recon[index]);
        let logit_error = common::largest_difference(&result.logits, &logits[index]);
        println!("reconstruction {recon_error:e}, logits {logit_error:e}");
        assert!(recon_error < 1e-4, "{recon_error}");
        assert!(logit_error < 1e-4, "{logit_error}");
    }
}

/// The trace's last networks give flat maps, so this proves little beyond the biases and the softmax;
/// ONNX Runtime and tract are compared on livelier ones.
#[test]
fn the_last_networks_of_the_trace_give_pytorchs_outputs() {
    let Some(mut trace) = Trace::open() else {
        return;
    };
    let graph = Graph::new(common::spec(4, 4, Upsampling::AlignCorners));
    let weights = trace.weights("final", &graph);
    let seen = trace.pictures("X");
    let (recon, mask) = (trace.pictures("eval/recon"), trace.pictures("eval/mask"));
    let tile = TileSize::square(64);
    for index in 0..2 {
        let result = forward(&graph, &weights, &seen[index], tile).unwrap();
        let recon_error = common::largest_difference(&result.reconstruction, &recon[index]);
        let map_error = common::largest_difference(&result.anomaly_map, &mask[index][64 * 64..]);
        assert!(recon_error < 1e-6, "{recon_error}");
        assert!(map_error < 1e-6, "{map_error}");
    }
}
