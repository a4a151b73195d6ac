//! A tile takes no memory once the worker is warm, and everything of a quantized bundle is integers but
//! what the bundle leaves in float.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations;
use blemish::engine::{Inspector, Prediction};
use blemish::model::Bundle;

#[test]
fn a_warm_worker_takes_no_memory() {
    let bundle = Bundle::embedded().unwrap();
    let mut worker = bundle.inspector();
    let area = worker.tile_size().area();
    let tiles: Vec<Vec<f32>> = (0..3)
        .map(|n| {
            (0..3 * area)
                .map(|at| (at * (n + 3) % 251) as f32 / 250.0)
                .collect()
        })
        .collect();
    let mut prediction = Prediction::default();
    let cold = allocations();
    worker.inspect(&tiles[0], &mut prediction).unwrap();
    let warm = allocations();
    assert!(warm > cold, "the counter must count something");
    let first = prediction.clone();
    let before = allocations();
    for tile in tiles.iter().cycle().take(12) {
        worker.inspect(tile, &mut prediction).unwrap();
    }
    worker
        .inspect_timed(&tiles[0], &mut prediction, &mut |_| {})
        .unwrap();
    assert_eq!(allocations(), before);
    // Memory that is used again must not carry anything from tile to tile.
    assert_eq!(prediction, first);
}

#[test]
fn no_convolution_of_the_shipped_bundle_is_in_float() {
    let bundle = Bundle::embedded().unwrap();
    assert!(
        bundle.plan().workspace_bytes().is_some(),
        "tract runs a node"
    );
    let mut convolutions = 0;
    for node in bundle.plan().nodes() {
        if node.macs == 0 {
            continue;
        }
        convolutions += 1;
        // The one without a QuantizeLinear behind it is left to give its sums as they are.
        let integer = match node.name.as_str() {
            "anomaly_logit" => "ByteConvToFloat",
            _ => "ByteConv",
        };
        assert_eq!(node.operator, integer, "{}", node.name);
    }
    assert_eq!(convolutions, 51);
}
