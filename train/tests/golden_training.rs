//! The CPU engine against what the authors' code computed: losses, gradients, six Adam steps.

mod support;

use blemish::draem::NetworkSpec;
use blemish::engine::kernels::float::Level;
use blemish_train::backend::{AdamState, Backend, Batch};
use blemish_train::cpu::CpuEngine;
use blemish_train::loss;
use blemish_train::weights::{Array, Weights};
use support::{Npz, golden};

fn scalars() -> Option<serde_json::Value> {
    let path = golden()?.join("scalars.json");
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

fn weights(npz: &mut Npz, folder: &str) -> Weights {
    let mut weights = Weights::default();
    for name in npz.names() {
        let Some(key) = name.strip_prefix(folder) else {
            continue;
        };
        if key.ends_with("num_batches_tracked") {
            continue;
        }
        let array = npz.f32(&name);
        weights.0.insert(
            key.to_owned(),
            Array {
                shape: array.shape().to_vec(),
                values: array.iter().copied().collect(),
            },
        );
    }
    weights
}

#[test]
fn losses_and_their_gradients_equal_the_authors() {
    let (Some(folder), Some(scalars)) = (golden(), scalars()) else {
        return;
    };
    let mut units = Npz::open(folder.join("units.npz"));
    let target = units.f32("target");
    let (width, area) = (target.shape()[3], target.shape()[2] * target.shape()[3]);
    let target: Vec<f32> = target.iter().copied().collect();
    for case in ["L1", "L2"] {
        let seen: Vec<f32> = units
            .f32(&format!("ssim_{case}_recon"))
            .iter()
            .copied()
            .collect();
        let wanted: Vec<f32> = units
            .f32(&format!("ssim_{case}_grad"))
            .iter()
            .copied()
            .collect();
        for level in Level::available() {
            let mut gradient = vec![0.0; seen.len()];
            let value = loss::ssim(level, &seen, &target, width, area, &mut gradient);
            let expected = scalars[format!("ssim_loss_{case}")].as_f64().unwrap() as f32;
            assert!(
                (value - expected).abs() < 1e-5,
                "{case}: {value} {expected}"
            );
            let worst = largest_difference(&gradient, &wanted);
            assert!(worst < 1e-5, "{case}: gradient off by {worst}");
            let size = wanted.iter().fold(0f32, |most, g| most.max(g.abs()));
            assert!(worst < 2e-3 * size, "{case}: {worst} of {size}");
        }
    }
    let seen: Vec<f32> = units.f32("ssim_L1_recon").iter().copied().collect();
    let mut gradient = vec![0.0; seen.len()];
    let l2 = loss::l2(&seen, &target, &mut gradient);
    assert!((l2 - scalars["l2_L1"].as_f64().unwrap() as f32).abs() < 1e-5);
    let logits = units.f32("logits");
    let area = logits.shape()[2] * logits.shape()[3];
    let logits: Vec<f32> = logits.iter().copied().collect();
    let mask: Vec<f32> = units.f32("mask").iter().copied().collect();
    let wanted: Vec<f32> = units.f32("focal_grad_logits").iter().copied().collect();
    let mut gradient = vec![0.0; logits.len()];
    let focal = loss::focal(&logits, &mask, area, &mut gradient);
    assert!((focal - scalars["focal"].as_f64().unwrap() as f32).abs() < 1e-5);
    let worst = largest_difference(&gradient, &wanted);
    let size = wanted.iter().fold(0f32, |most, g| most.max(g.abs()));
    assert!(worst < 1e-5 && worst < 1e-4 * size, "{worst} of {size}");
}

/// Six steps from the authors' initial weights: the first step's outputs, the losses of all six, the
/// direction of the first gradient and the batch norm buffers.
///
/// From the second step on the bounds are those of rounding itself: Adam's first steps follow the
/// sign of every gradient. PyTorch with the authors' own layers repeats its losses to 4e-3 and the
/// buffers to 1.3e-3 in mean once it rounds otherwise (two threads, without oneDNN, in double
/// precision): `benches/peers/trace.py`.
#[test]
fn six_steps_follow_the_authors() {
    let (Some(folder), Some(scalars)) = (golden(), scalars()) else {
        return;
    };
    let mut trace = Npz::open(folder.join("train_trace_4_4_64.npz"));
    let batch = Batch {
        pictures: 2,
        width_px: 64,
        height_px: 64,
        clean: trace.f32("I").iter().copied().collect(),
        seen: trace.f32("X").iter().copied().collect(),
        mask: trace.f32("M").iter().copied().collect(),
        scored: Vec::new(),
    };
    let spec = NetworkSpec::official(4, 4);
    let initial = weights(&mut trace, "init/");
    let last = weights(&mut trace, "final/");
    let first_gradient = weights(&mut trace, "grad0/");
    for level in Level::available() {
        let mut engine = CpuEngine::with_level(spec, 1, level).unwrap();
        engine.restore(&initial, &AdamState::default()).unwrap();

        let (_, gradients) = engine.gradients(&batch).unwrap();
        let (mut dot, mut ours, mut theirs) = (0f64, 0f64, 0f64);
        for (name, wanted) in &first_gradient.0 {
            // Biases in front of batch norm have a true gradient of zero; theirs is rounding noise.
            let before_norm =
                name.ends_with(".bias") && wanted.values.iter().all(|g| g.abs() < 1e-6);
            if before_norm {
                continue;
            }
            let got = &gradients.0[name];
            assert_eq!(got.shape, wanted.shape, "{name}");
            for (a, b) in got.values.iter().zip(&wanted.values) {
                dot += f64::from(*a) * f64::from(*b);
                ours += f64::from(*a) * f64::from(*a);
                theirs += f64::from(*b) * f64::from(*b);
            }
        }
        let cosine = dot / (ours.sqrt() * theirs.sqrt());
        assert!(
            cosine > 0.9999,
            "cosine of the first gradients {cosine} at {level:?}"
        );
        let longer = ours.sqrt() / theirs.sqrt();
        assert!(
            (longer - 1.0).abs() < 0.002,
            "the first gradient is {longer} times theirs at {level:?}"
        );

        engine.restore(&initial, &AdamState::default()).unwrap();
        let expected = scalars["train_trace_l2_ssim_focal_total"]
            .as_array()
            .unwrap();
        for (step, wanted) in expected.iter().enumerate() {
            let losses = engine.step(&batch, 1e-4).unwrap();
            let got = [losses.l2, losses.ssim, losses.focal, losses.total()];
            for (term, (got, wanted)) in got.iter().zip(wanted.as_array().unwrap()).enumerate() {
                let wanted = wanted.as_f64().unwrap() as f32;
                let off = (got - wanted).abs() / wanted;
                let bound = [1e-5, 5e-4, 6e-3][step.min(2)];
                assert!(
                    off < bound,
                    "step {step} term {term}: {got} not {wanted} at {level:?}"
                );
            }
        }
        let trained = engine.weights();
        let (mut sum, mut count) = (0f64, 0usize);
        for (name, wanted) in last.0.iter().filter(|(name, _)| name.contains("running_")) {
            let got = &trained.0[name].values;
            assert!(
                largest_difference(got, &wanted.values) < 5e-2,
                "{name} at {level:?}"
            );
            for (got, wanted) in got.iter().zip(&wanted.values) {
                sum += f64::from((got - wanted).abs());
                count += 1;
            }
        }
        let mean = sum / count as f64;
        assert!(
            mean < 2e-3,
            "batch norm buffers off by {mean} in mean at {level:?}"
        );
    }
}

/// The first step's reconstruction and logits, and the final network in evaluation mode.
#[test]
fn outputs_equal_the_authors() {
    let Some(folder) = golden() else { return };
    let mut trace = Npz::open(folder.join("train_trace_4_4_64.npz"));
    let names = trace.names();
    assert!(
        names.iter().any(|name| name.starts_with("step0/")),
        "{names:?}"
    );
    let seen: Vec<f32> = trace.f32("X").iter().copied().collect();
    let spec = NetworkSpec::official(4, 4);
    let mut engine = CpuEngine::new(spec, 2).unwrap();
    let initial = weights(&mut trace, "init/");
    engine.restore(&initial, &AdamState::default()).unwrap();
    let (reconstruction, logits) = engine.train_forward(&seen, 2, 64, 64).unwrap();
    for (got, name) in [(reconstruction, "recon"), (logits, "logits")] {
        let wanted: Vec<f32> = trace
            .f32(&format!("step0/{name}"))
            .iter()
            .copied()
            .collect();
        let worst = largest_difference(&got, &wanted);
        assert!(worst < 1e-4, "step0/{name} off by {worst}");
    }
    let last = weights(&mut trace, "final/");
    engine.restore(&last, &AdamState::default()).unwrap();
    let got = engine.infer(&seen, 2, 64, 64).unwrap();
    let wanted: Vec<f32> = trace.f32("eval/recon").iter().copied().collect();
    let worst = largest_difference(&got.reconstruction, &wanted);
    assert!(worst < 1e-4, "eval/recon off by {worst}");
}
