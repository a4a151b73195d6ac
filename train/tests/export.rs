//! Exported bundles: tract gives what the reference gives, and nothing else is accepted.

mod common;

use blemish::draem::{Cost, Graph, Upsampling};
use blemish::engine::{Inspector, Prediction};
use blemish::geometry::TileSize;
use blemish::model::{Bundle, Check, ColorOrder, Preparation, planes};
use blemish_train::export::{ExportError, write_bundle};
use blemish_train::reference::forward;
use common::{largest_difference, metadata, picture, random_weights, spec, with_poolings};

#[test]
fn tract_gives_what_the_reference_gives() {
    let wide = TileSize {
        width_px: 96,
        height_px: 64,
    };
    let cases = [
        (
            4,
            4,
            Upsampling::AlignCorners,
            TileSize::square(64),
            ColorOrder::Rgb,
        ),
        (8, 8, Upsampling::AlignCorners, wide, ColorOrder::Rgb),
        (
            8,
            4,
            Upsampling::HalfPixel,
            TileSize::square(64),
            ColorOrder::Bgr,
        ),
        (
            4,
            8,
            Upsampling::HalfPixel,
            TileSize::square(32),
            ColorOrder::Rgb,
        ),
    ];
    let mut cases: Vec<_> = cases
        .map(|(rec, seg, upsampling, tile, order)| (spec(rec, seg, upsampling), tile, order))
        .into();
    for poolings in 1..4 {
        let network = with_poolings(cases[0].0, poolings);
        cases.push((network, TileSize::square(32), ColorOrder::Rgb));
    }
    for (network, tile, order) in cases {
        let graph = Graph::new(network);
        let weights = random_weights(&graph, 7);
        let mut facts = metadata(network, tile);
        facts.color_order = order;
        let bytes = write_bundle(&weights, facts, &picture(tile, 1)).unwrap();
        let mut checks = Vec::new();
        let bundle = Bundle::from_bytes(bytes, "test", &mut |check| checks.push(check)).unwrap();
        assert_eq!(checks, Check::ALL);
        assert_eq!(bundle.metadata().network, network);
        // One on a thread, one on several.
        let threads = std::num::NonZero::new(3).unwrap();
        let mut workers = [bundle.inspector(), bundle.plan().worker_on(threads)];
        for seed in 2..5 {
            let seen = planes(&picture(tile, seed), order);
            let expected = forward(&graph, &weights, &seen, tile).unwrap();
            let spread = largest_difference(&expected.anomaly_map, &vec![0.5; tile.area()]);
            assert!(
                spread > 0.05,
                "the map must vary to prove anything: {spread}"
            );
            let mut first: Option<Prediction> = None;
            for worker in &mut workers {
                let mut found = Prediction::default();
                worker.inspect(&seen, &mut found).unwrap();
                assert!(*first.get_or_insert(found.clone()) == found);
                let map = largest_difference(&found.anomaly_map, &expected.anomaly_map);
                let painted = largest_difference(&found.reconstruction, &expected.reconstruction);
                let size = expected
                    .reconstruction
                    .iter()
                    .fold(0f32, |m, v| m.max(v.abs()));
                println!("{network:?}: map {map:e}, reconstruction {painted:e} of {size}");
                assert!(
                    map < 1e-5 && painted < 2e-5 * size.max(1.0),
                    "{network:?}: {map:e} {painted:e}"
                );
            }
        }
    }
}

#[test]
fn the_plan_states_the_cost_of_the_description() {
    let (network, tile) = (spec(4, 4, Upsampling::AlignCorners), TileSize::square(32));
    let weights = random_weights(&Graph::new(network), 7);
    let bytes = write_bundle(&weights, metadata(network, tile), &picture(tile, 1)).unwrap();
    let bundle = Bundle::from_bytes(bytes, "test", &mut |_| {}).unwrap();
    let nodes = bundle.plan().nodes();
    let macs: u64 = nodes.iter().map(|node| node.macs).sum();
    // One logit is folded away: half of the last convolution.
    let folded = 9 * 4 * tile.area() as u64;
    assert_eq!(macs, Cost::of(network, tile).macs() - folded, "{nodes:#?}");
}

#[test]
fn what_cannot_be_exported_says_why() {
    let (network, tile) = (spec(4, 4, Upsampling::AlignCorners), TileSize::square(32));
    let weights = random_weights(&Graph::new(network), 7);
    let facts = metadata(network, tile);
    let rgb = picture(tile, 1);
    let message = |result: Result<Vec<u8>, ExportError>| result.unwrap_err().to_string();

    let mut missing = weights.clone();
    missing.0.remove("rec.encoder.block1.1.running_var");
    let said = message(write_bundle(&missing, facts.clone(), &rgb));
    assert!(
        said.contains("no array 'rec.encoder.block1.1.running_var'"),
        "{said}"
    );

    let mut wider = facts.clone();
    wider.network.discriminative_width = 8;
    let said = message(write_bundle(&weights, wider, &rgb));
    assert!(
        said.contains("has shape") && said.contains("check the widths"),
        "{said}"
    );

    let mut diverged = weights.clone();
    diverged
        .0
        .get_mut("seg.decoder_segment.db1.3.weight")
        .unwrap()
        .values[5] = f32::NAN;
    let said = message(write_bundle(&diverged, facts.clone(), &rgb));
    assert!(
        said.contains("'seg.decoder_segment.db1.3.weight' holds a NaN"),
        "{said}"
    );

    let said = message(write_bundle(&weights, facts.clone(), &rgb[3..]));
    assert!(said.contains("3069 samples and a tile has 3072"), "{said}");

    let mut overlapping = facts;
    overlapping.preparation = Preparation::Native { overlap_px: 32 };
    let said = message(write_bundle(&weights, overlapping, &rgb));
    assert!(said.contains("'preparation' has an overlap"), "{said}");
}
