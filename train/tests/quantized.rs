//! Quantized bundles of both kinds of upsampling: integers from end to end that say what ONNX defines.

mod common;

use blemish::draem::{Graph, Upsampling};
use blemish::engine::{Inspector, Plan, Prediction};
use blemish::geometry::TileSize;
use blemish::model::{Bundle, planes};
use blemish_train::backend::{AdamState, Backend, Batch};
use blemish_train::cpu::CpuEngine;
use blemish_train::export::write_quantized_bundle;
use blemish_train::fit::initial;
use blemish_train::quantize::{Student, calibrate};
use common::{metadata, picture, random_weights, spec, with_poolings};
use prost::Message;
use tract_onnx::pb::ModelProto;

#[test]
fn integers_say_what_onnx_defines() {
    let wide = TileSize {
        width_px: 96,
        height_px: 64,
    };
    let cases = [
        (spec(8, 4, Upsampling::AlignCorners), wide),
        (spec(8, 8, Upsampling::HalfPixel), wide),
        (spec(16, 8, Upsampling::HalfPixel), TileSize::square(64)),
        (with_poolings(spec(8, 8, Upsampling::AlignCorners), 2), wide),
    ];
    for (network, tile) in cases {
        let graph = Graph::new(network);
        let weights = random_weights(&graph, 7);
        let facts = metadata(network, tile);
        let (_, adam) = initial::state(network, 0);
        let mut engine = CpuEngine::new(network, 1).unwrap();
        engine.restore(&weights, &adam).unwrap();
        let batches: Vec<Batch> = (1..6)
            .map(|seed| {
                let seen = planes(&picture(tile, seed), facts.color_order);
                Batch {
                    pictures: 1,
                    width_px: tile.width_px as usize,
                    height_px: tile.height_px as usize,
                    clean: seen.clone(),
                    mask: vec![0.0; tile.area()],
                    scored: Vec::new(),
                    seen,
                }
            })
            .collect();
        let (grids, _) = calibrate(&graph, &weights, &mut engine, &batches).unwrap();
        let order = facts.color_order;
        // Confirms against tract's own arithmetic on the same graph.
        let bytes = write_quantized_bundle(&weights, facts, &picture(tile, 1), &grids).unwrap();
        let bundle = Bundle::from_bytes(bytes.clone(), "test", &mut |_| {}).unwrap();
        assert_eq!(bundle.metadata().network, network);
        let plan = bundle.plan();
        assert!(plan.workspace_bytes().is_some(), "tract runs a node");
        let upsamplings = plan.nodes().iter().filter(|n| n.operator == "ByteUpsample");
        assert_eq!(upsamplings.count(), 5 + network.reconstructive_poolings);
        let float: Vec<&str> = plan
            .nodes()
            .iter()
            .filter(|node| node.macs > 0 && node.operator != "ByteConv")
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(float, ["anomaly_logit"]);

        let seen = planes(&picture(tile, 9), order);
        let mut found = Prediction::default();
        bundle.inspector().inspect(&seen, &mut found).unwrap();
        // Tract computes the same graph in float, as ONNX defines it.
        let model = ModelProto::decode(bytes.as_slice()).unwrap();
        let mut expected = Prediction::default();
        let floats = Plan::of_tract_alone(&model, tile).unwrap();
        floats.worker().inspect(&seen, &mut expected).unwrap();
        let mean = expected.anomaly_map.iter().sum::<f32>() / tile.area() as f32;
        let (mut off, mut spread) = (0.0, 0.0);
        for (got, wanted) in found.anomaly_map.iter().zip(&expected.anomaly_map) {
            off += f64::from((got - wanted).abs());
            spread += f64::from((wanted - mean).abs());
        }
        println!("{network:?}: map off by {off} of {spread}");
        // A byte that rounds the other way goes far in random weights; an engine that is wrong is off
        // by the spread and more.
        assert!(
            off < 0.25 * spread,
            "{network:?}: map off by {off} of {spread}"
        );
        // What fine-tuning computes with rounded floats is this network, and not the float one.
        let sides = (tile.width_px as usize, tile.height_px as usize);
        let off_from = |engine: &mut CpuEngine| {
            let map = engine
                .infer(&seen, 1, sides.0, sides.1)
                .unwrap()
                .anomaly_map;
            let pairs = map.iter().zip(&expected.anomaly_map);
            pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>()
        };
        let float = off_from(&mut engine);
        engine.round_to(&grids);
        let rounded = off_from(&mut engine);
        println!("{network:?}: float off by {float}, rounded by {rounded}");
        assert!(rounded < 0.5 * float, "{network:?}: {rounded} of {float}");
        // Ours is what the second network sees: cut to [0, 1] and rounded to bytes.
        let painted = found.reconstruction.iter().zip(&expected.reconstruction);
        let off = painted.map(|(a, b)| f64::from((a - b.clamp(0.0, 1.0)).abs()));
        let mean = off.sum::<f64>() / found.reconstruction.len() as f64;
        println!("{network:?}: reconstruction off by {mean} in mean");
        assert!(mean < 0.02, "{network:?}: reconstruction off by {mean}");
    }
}

#[test]
fn an_integer_network_learns_to_say_what_the_float_one_says() {
    let tile = TileSize::square(64);
    let network = with_poolings(spec(8, 8, Upsampling::AlignCorners), 2);
    let weights = random_weights(&Graph::new(network), 7);
    let order = metadata(network, tile).color_order;
    let batch = |seed: u64| Batch {
        pictures: 1,
        width_px: 64,
        height_px: 64,
        clean: planes(&picture(tile, seed), order),
        mask: vec![0.0; tile.area()],
        scored: Vec::new(),
        seen: planes(&picture(tile, seed), order),
    };
    let batches: Vec<Batch> = (1..5).map(batch).collect();
    let mut engine = CpuEngine::new(network, 1).unwrap();
    engine.restore(&weights, &AdamState::default()).unwrap();
    let (grids, _) = calibrate(&Graph::new(network), &weights, &mut engine, &batches).unwrap();
    let mut student = Student::new(network, &weights, &grids, 1, (40, 3e-4)).unwrap();
    let unseen = [batch(9), batch(10)];
    let before = student.measure(&unseen).unwrap();
    for step in 0..40 {
        student.learn(&batch(20 + step)).unwrap();
    }
    let after = student.measure(&unseen).unwrap();
    println!("{before} before, {after} after");
    assert!(after < 0.7 * before, "{before} before, {after} after");
    assert_ne!(student.weights(), weights);
}
