//! The reference forward against PyTorch's evaluation of the authors' networks.

mod common;

use blemish::draem::{Graph, Upsampling};
use blemish::geometry::TileSize;
use blemish_train::reference::forward;
use blemish_train::weights::{Array, Weights};
use ndarray::{ArrayD, Axis};
use ndarray_npy::NpzReader;
use std::path::PathBuf;

fn golden(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BLEMISH_GOLDEN").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden")),
        PathBuf::from,
    );
    let path = folder.join(file);
    if !path.exists() {
        eprintln!(
            "SKIPPED: no golden file {}; set BLEMISH_GOLDEN",
            path.display()
        );
        return None;
    }
    Some(path)
}

#[test]
fn the_final_networks_of_the_trace_give_pytorchs_outputs() {
    let Some(path) = golden("train_trace_4_4_64.npz") else {
        return;
    };
    let mut npz = NpzReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut array = |name: &str| -> ArrayD<f32> { npz.by_name(&format!("{name}.npy")).unwrap() };
    let graph = Graph::new(common::spec(4, 4, Upsampling::AlignCorners));
    let mut weights = Weights::default();
    for (_, key, _) in graph.convolutions() {
        let mut names = vec![format!("{}.weight", key.conv), format!("{}.bias", key.conv)];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            names.extend(key.norm.iter().map(|norm| format!("{norm}.{part}")));
        }
        for name in names {
            let values = array(&format!("final/{name}"));
            let shape = values.shape().to_vec();
            let values = values.iter().copied().collect();
            weights.0.insert(name, Array { shape, values });
        }
    }
    let (seen, recon, mask) = (array("X"), array("eval/recon"), array("eval/mask"));
    let tile = TileSize::square(64);
    for index in 0..2 {
        let plane = |array: &ArrayD<f32>| -> Vec<f32> {
            array.index_axis(Axis(0), index).iter().copied().collect()
        };
        let result = forward(&graph, &weights, &plane(&seen), tile).unwrap();
        let recon_error = common::largest_difference(&result.reconstruction, &plane(&recon));
        let map_error = common::largest_difference(&result.anomaly_map, &plane(&mask)[64 * 64..]);
        println!("reconstruction {recon_error:e}, map {map_error:e}");
        assert!(recon_error < 1e-6, "{recon_error}");
        assert!(map_error < 1e-6, "{map_error}");
    }
}
