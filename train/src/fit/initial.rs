//! First weights (draem.md 1.2): convolutions N(0, 0.02), their biases U(+-1/sqrt(fan-in)), the norms'
//! scale N(1, 0.02), shift 0, running mean 0 and variance 1. One thing is not the authors': the last bias
//! says that a defect is rare, [`DEFECT_PRIOR`].

use crate::backend::AdamState;
use crate::weights::{Array, Weights};
use blemish::draem::{Graph, NetworkSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Probability of a defect that the discriminative network gives every pixel at first (Lin et al. 2017,
/// arXiv 1708.02002, section 4.1, where the focal loss comes from).
///
/// Without it the first thing that training does is to make every feature of the last layer speak for
/// `good`, since nearly all pixels are. A defect is then where all of them are silent behind their ReLU:
/// its probability is that of the bias alone, below 0.6 however plain the defect, and no gradient passes
/// the silent features to teach better ones. Networks of 4 and 8 channels stayed like that.
pub const DEFECT_PRIOR: f32 = 0.02;

/// The weights a run with `seed` starts from. Each array has a generator of its own, seeded by its
/// name, so that a change of one layer changes no other.
pub fn weights(spec: NetworkSpec, seed: u64) -> Weights {
    let mut weights = Weights::default();
    let graph = Graph::new(spec);
    for (node, key, in_channels) in graph.convolutions() {
        let out_channels = node.channels;
        let fan_in = 9 * in_channels;
        let bound = 1.0 / (fan_in as f64).sqrt();
        let name = format!("{}.weight", key.conv);
        let values = normal(seed, &name, fan_in * out_channels, 0.0);
        insert(
            &mut weights,
            name,
            vec![out_channels, in_channels, 3, 3],
            values,
        );
        let name = format!("{}.bias", key.conv);
        let mut draw = generator(seed, &name);
        let values = (0..out_channels)
            .map(|_| ((2.0 * uniform(&mut draw) - 1.0) * bound) as f32)
            .collect();
        let values = match node.name == graph.nodes[graph.logits].name {
            true => rare_defects(),
            false => values,
        };
        insert(&mut weights, name, vec![out_channels], values);
        if let Some(norm) = &key.norm {
            let name = format!("{norm}.weight");
            let scale = normal(seed, &name, out_channels, 1.0);
            insert(&mut weights, name, vec![out_channels], scale);
            for (part, value) in [("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
                let values = vec![value; out_channels];
                insert(
                    &mut weights,
                    format!("{norm}.{part}"),
                    vec![out_channels],
                    values,
                );
            }
        }
    }
    weights
}

/// Biases of good and defect whose softmax is [`DEFECT_PRIOR`].
fn rare_defects() -> Vec<f32> {
    let half = ((1.0 - DEFECT_PRIOR) / DEFECT_PRIOR).ln() / 2.0;
    vec![half, -half]
}

/// The weights a run with `seed` starts from, with Adam's moments at 0 for every learnable array.
pub fn state(spec: NetworkSpec, seed: u64) -> (Weights, AdamState) {
    let weights = weights(spec, seed);
    let zero = |array: &Array| Array {
        shape: array.shape.clone(),
        values: vec![0.0; array.values.len()],
    };
    let moments: BTreeMap<String, Array> = (weights.0.iter())
        .filter(|(name, _)| !name.contains(".running_"))
        .map(|(name, array)| (name.clone(), zero(array)))
        .collect();
    let adam = AdamState {
        steps: 0,
        first_moment: Weights(moments.clone()),
        second_moment: Weights(moments),
    };
    (weights, adam)
}

fn insert(weights: &mut Weights, name: String, shape: Vec<usize>, values: Vec<f32>) {
    weights.0.insert(name, Array { shape, values });
}

fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut digest = Sha256::new();
    digest.update(b"blemish first weights");
    digest.update(seed.to_le_bytes());
    digest.update(name);
    ChaCha8Rng::from_seed(digest.finalize().into())
}

/// In [0, 1), with 53 random bits.
fn uniform(draw: &mut ChaCha8Rng) -> f64 {
    (draw.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// `count` draws from N(mean, 0.02), by Box and Muller.
fn normal(seed: u64, name: &str, count: usize, mean: f64) -> Vec<f32> {
    let mut draw = generator(seed, name);
    (0..count)
        .map(|_| {
            let radius = (-2.0 * (1.0 - uniform(&mut draw)).ln()).sqrt();
            let angle = std::f64::consts::TAU * uniform(&mut draw);
            (mean + 0.02 * radius * angle.cos()) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use blemish::draem::Cost;
    use blemish::geometry::TileSize;

    const SPEC: NetworkSpec = NetworkSpec::official(8, 8);

    fn moments(values: &[f32]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let square = values
            .iter()
            .map(|&v| (f64::from(v) - mean).powi(2))
            .sum::<f64>();
        (mean, (square / count).sqrt())
    }

    #[test]
    fn distributions_are_the_authors() {
        let weights = weights(SPEC, 3);
        let (mean, deviation) = moments(&weights.0["rec.encoder.block5.3.weight"].values);
        assert!(
            mean.abs() < 5e-4 && (deviation - 0.02).abs() < 5e-4,
            "{mean} {deviation}"
        );
        let bias = &weights.0["rec.encoder.block5.3.bias"].values;
        let bound = 1.0 / (9.0f32 * 64.0).sqrt();
        assert!(bias.iter().all(|value| value.abs() <= bound));
        assert!(bias.iter().any(|value| value.abs() > bound / 2.0));
        let (mean, deviation) = moments(&weights.0["seg.encoder_segment.block6.4.weight"].values);
        assert!((mean - 1.0).abs() < 0.01 && (0.01..0.03).contains(&deviation));
        assert!(
            weights.0["rec.encoder.block1.1.running_var"]
                .values
                .iter()
                .all(|&v| v == 1.0)
        );
    }

    #[test]
    fn a_defect_is_rare_at_first() {
        let bias = &weights(SPEC, 3).0["seg.decoder_segment.fin_out.0.bias"].values;
        let softmax = 1.0 / (1.0 + (bias[0] - bias[1]).exp());
        assert!((softmax - DEFECT_PRIOR).abs() < 1e-6, "{softmax}");
    }

    #[test]
    fn every_learnable_parameter_has_a_value_and_the_seed_decides_it() {
        let first = weights(SPEC, 1);
        let learnable: usize = (first.0.iter())
            .filter(|(name, _)| !name.contains("running"))
            .map(|(_, array)| array.values.len())
            .sum();
        let cost = Cost::of(SPEC, TileSize::square(32));
        assert_eq!(learnable as u64, cost.parameters());
        assert_eq!(first, weights(SPEC, 1));
        assert_ne!(first, weights(SPEC, 2));
        let (one, other) = ("rec.encoder.block1.0.bias", "rec.encoder.block1.3.bias");
        assert_ne!(first.0[one].values, first.0[other].values);
    }
}
