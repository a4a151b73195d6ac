//! Networks with random weights whose maps vary enough to show a mistake.
#![allow(dead_code, reason = "each test binary uses its part")]

use blemish::draem::score::Window;
use blemish::draem::{Graph, NetworkSpec, Upsampling};
use blemish::geometry::TileSize;
use blemish::model::{
    ColorOrder, Golden, Metadata, Preparation, SCHEMA_VERSION, ScoreRule, Threshold, Training,
};
use blemish_train::weights::{Array, Weights};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn spec(reconstructive: usize, discriminative: usize, upsampling: Upsampling) -> NetworkSpec {
    NetworkSpec {
        upsampling,
        ..NetworkSpec::official(reconstructive, discriminative)
    }
}

pub fn with_poolings(network: NetworkSpec, reconstructive_poolings: usize) -> NetworkSpec {
    NetworkSpec {
        reconstructive_poolings,
        ..network
    }
}

pub fn metadata(network: NetworkSpec, tile: TileSize) -> Metadata {
    Metadata {
        schema: SCHEMA_VERSION,
        name: "random weights".to_owned(),
        network,
        tile,
        color_order: ColorOrder::Rgb,
        grey: false,
        preparation: Preparation::Native { overlap_px: 8 },
        score: ScoreRule {
            window_px: Window::OFFICIAL,
        },
        threshold: Threshold {
            score: 0.5,
            min_area_px: 16,
            basis: "none: the weights are random".to_owned(),
            goods: 0,
            expected_rejects_per_1000: 1000.0,
            upper_95_rejects_per_1000: 1000.0,
        },
        flat_field: false,
        training: Training {
            data_fingerprint: String::new(),
            pictures: 0,
            seed: 1,
            steps: 0,
            batch: 0,
            trainer: env!("CARGO_PKG_VERSION").to_owned(),
            simulation: "none".to_owned(),
        },
        golden: Golden::default(),
        light: None,
    }
}

/// Weights that keep a signal's size through all layers (He), with norms away from the identity.
pub fn random_weights(graph: &Graph, seed: u64) -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Weights::default();
    for (node, key, in_channels) in graph.convolutions() {
        let out = node.channels;
        let reach = (6.0 / (9.0 * in_channels as f32)).sqrt();
        let mut put = |name: String, shape: &[usize], low: f32, high: f32| {
            let count = shape.iter().product();
            let values = (0..count).map(|_| rng.random_range(low..high)).collect();
            let shape = shape.to_vec();
            weights.0.insert(name, Array { shape, values });
        };
        let shape = [out, in_channels, 3, 3];
        put(format!("{}.weight", key.conv), &shape, -reach, reach);
        put(format!("{}.bias", key.conv), &[out], -0.1, 0.1);
        if let Some(norm) = &key.norm {
            put(format!("{norm}.weight"), &[out], 0.7, 1.2);
            put(format!("{norm}.bias"), &[out], -0.1, 0.2);
            put(format!("{norm}.running_mean"), &[out], -0.1, 0.1);
            put(format!("{norm}.running_var"), &[out], 0.5, 1.5);
        }
    }
    weights
}

/// Stripes, noise and a bright square: 8-bit RGB, interleaved.
pub fn picture(tile: TileSize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rgb = Vec::with_capacity(3 * tile.area());
    for line in 0..tile.height_px {
        for column in 0..tile.width_px {
            let square = (8..20).contains(&line) && (10..24).contains(&column);
            for channel in 0..3 {
                let stripe = 60 + 8 * ((line + 2 * column + 5 * channel) % 9);
                let level = if square { 230 } else { stripe };
                rgb.push((level + rng.random_range(0..16)) as u8);
            }
        }
    }
    rgb
}

/// Greatest difference of two lists of numbers; a NaN counts as infinite.
pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .map(|difference| {
            if difference.is_nan() {
                f32::INFINITY
            } else {
                difference
            }
        })
        .fold(0.0, f32::max)
}
