//! burn's devices against the CPU engine and against what the authors' code computed.
//!
//! On the first of burn's devices that this program was built with: `flex`, burn's own for processors;
//! else `wgpu`, on whatever adapter this machine has, Mesa's software one included; else a real card.
#![cfg(feature = "burn")]

mod common;
mod support;

use blemish::draem::{Graph, NetworkSpec, Upsampling};
use blemish_train::backend::{AdamState, Backend, Batch, Losses};
use blemish_train::burn_engine::BurnEngine;
use blemish_train::cpu::CpuEngine;
use blemish_train::device::compiled;
use blemish_train::weights::{Array, Weights};
use common::{largest_difference, random_weights, spec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Mutex;
use support::{Npz, golden, say_skipped};

/// Two tests at once on one adapter only wait for each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn open(spec: NetworkSpec) -> Option<BurnEngine> {
    match BurnEngine::open(compiled()[1], None, spec) {
        Ok(engine) => Some(engine),
        Err(error) if error.contains("this machine has no device") => {
            say_skipped(&error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Random pictures of soft blobs; a square of every second one is painted over.
fn batch(pictures: usize, side: usize, seed: u64) -> Batch {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let area = side * side;
    let mut batch = Batch {
        pictures,
        width_px: side,
        height_px: side,
        clean: Vec::new(),
        seen: Vec::new(),
        mask: Vec::new(),
        scored: Vec::new(),
    };
    for picture in 0..pictures {
        let defect = |at: usize| {
            let (x, y) = (at % side, at / side);
            picture % 2 == 0 && (5..19).contains(&x) && (9..25).contains(&y)
        };
        for _ in 0..3 {
            let (a, b) = (rng.random_range(0.1..0.5), rng.random_range(0.1..0.5));
            for at in 0..area {
                let wave = (a * (at % side) as f32).sin() + (b * (at / side) as f32).cos();
                let clean = 0.5 + 0.15 * wave + rng.random_range(0.0..0.1);
                batch.clean.push(clean);
                batch
                    .seen
                    .push(if defect(at) { rng.random() } else { clean });
            }
        }
        batch
            .mask
            .extend((0..area).map(|at| f32::from(u8::from(defect(at)))));
    }
    batch
}

fn pairs(a: Losses, b: Losses) -> [(f32, f32); 3] {
    [(a.l2, b.l2), (a.ssim, b.ssim), (a.focal, b.focal)]
}

fn near(what: &str, got: Losses, wanted: Losses, relative: f32) {
    for (got, wanted) in pairs(got, wanted) {
        let off = (got - wanted).abs() / wanted;
        assert!(off < relative, "{what}: {got} and {wanted}, off by {off}");
    }
}

fn cosine(a: &Weights, b: &Weights) -> f64 {
    let (mut dot, mut aa, mut bb) = (0f64, 0f64, 0f64);
    for (name, a) in &a.0 {
        for (&a, &b) in a.values.iter().zip(&b.0[name].values) {
            dot += f64::from(a) * f64::from(b);
            aa += f64::from(a) * f64::from(a);
            bb += f64::from(b) * f64::from(b);
        }
    }
    dot / (aa.sqrt() * bb.sqrt())
}

/// How far the CPU engine goes from itself when the convolutions' weights move by half a unit in their
/// last place, the rounding that no f32 engine is free of.
#[derive(Default)]
struct Spread {
    /// Greatest relative change of a loss.
    loss: f32,
    /// Greatest distance of the gradients' direction: 1 - cosine.
    direction: f64,
    /// The same of the last layers alone.
    last_layers: f64,
    /// Greatest mean difference between the ways that parameters go in an Adam step, in steps.
    parting: f64,
}

/// Learning rate of the steps that are compared.
const RATE: f64 = 1e-4;

/// Four times the rounding of the weights alone: an engine also rounds every sum and product.
const ROUNDINGS: f64 = 4.0;
/// Losses are sums themselves, of up to 288 products a layer: rounded one after another they stray as the
/// root of their number.
const LOSS_ROUNDINGS: f32 = 17.0;

impl Spread {
    fn of(spec: NetworkSpec, state: (&Weights, &AdamState), batch: &Batch) -> Self {
        let (weights, adam) = state;
        let mut cpu = CpuEngine::new(spec, 2).unwrap();
        let mut look = |from: &Weights| {
            cpu.restore(from, adam).unwrap();
            let (losses, gradients) = cpu.gradients(batch).unwrap();
            cpu.restore(from, adam).unwrap();
            cpu.step(batch, RATE).unwrap();
            (losses, gradients, way(from, &cpu.weights()))
        };
        let (losses, straight, straight_way) = look(weights);
        let mut spread = Spread::default();
        for seed in 0..6 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut moved = weights.clone();
            for array in moved.0.values_mut().filter(|array| array.shape.len() == 4) {
                for value in &mut array.values {
                    *value *= 1.0 + f32::EPSILON * rng.random_range(-0.5f32..0.5);
                }
            }
            let (by_moved, moved, moved_way) = look(&moved);
            for (got, wanted) in pairs(by_moved, losses) {
                spread.loss = spread.loss.max((got - wanted).abs() / wanted);
            }
            let direction = 1.0 - cosine(&moved, &straight);
            spread.direction = spread.direction.max(direction);
            let last = 1.0 - cosine(&last_layers(&moved), &last_layers(&straight));
            spread.last_layers = spread.last_layers.max(last);
            spread.parting = spread.parting.max(parting(&moved_way, &straight_way));
        }
        // flex passed with the fixed bounds, so they stay its bounds.
        if compiled()[1] == "flex" {
            spread = Spread {
                last_layers: spread.last_layers,
                ..Spread::default()
            };
        }
        spread
    }

    /// Bound of a loss's relative difference.
    fn loss(&self) -> f32 {
        (LOSS_ROUNDINGS * self.loss).max(1e-5)
    }

    /// Bound of the gradients' cosine.
    fn cosine(&self) -> f64 {
        1.0 - (ROUNDINGS * self.direction).max(1e-3)
    }

    /// Bound of how far parameters may part in a step.
    fn parting(&self) -> f64 {
        (ROUNDINGS * self.parting).max(0.05)
    }

    /// Bound of the last layers' cosine.
    fn last_cosine(&self) -> f64 {
        1.0 - (ROUNDINGS * self.last_layers).max(1e-5)
    }
}

/// What a step changed, in steps; running statistics are none of it.
fn way(before: &Weights, after: &Weights) -> Vec<f64> {
    let learnt = |name: &&String| !name.contains("running_");
    let names = before.0.keys().filter(learnt);
    names
        .flat_map(|name| before.0[name].values.iter().zip(&after.0[name].values))
        .map(|(before, after)| f64::from(after - before) / RATE)
        .collect()
}

/// Mean difference of two ways.
fn parting(a: &[f64], b: &[f64]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
    sum / a.len() as f64
}

/// The arrays of the layers nearest to the losses, whose gradients no kink lies in front of.
fn last_layers(gradients: &Weights) -> Weights {
    let last = |name: &str| name.contains("fin_out");
    let kept = gradients.0.iter().filter(|(name, _)| last(name));
    Weights(
        kept.map(|(name, array)| (name.clone(), array.clone()))
            .collect(),
    )
}

#[test]
fn steps_and_outputs_equal_the_cpu_engines() {
    let _alone = ONE_AT_A_TIME.lock();
    for (upsampling, side) in [(Upsampling::AlignCorners, 64), (Upsampling::HalfPixel, 32)] {
        let spec = spec(4, 2, upsampling);
        let Some(mut burn) = open(spec) else { return };
        let mut cpu = CpuEngine::new(spec, 2).unwrap();
        let weights = random_weights(&Graph::new(spec), 7);
        burn.restore(&weights, &AdamState::default()).unwrap();
        cpu.restore(&weights, &AdamState::default()).unwrap();

        let first = batch(4, side, 1);
        let pictures = batch(2, side, 9).seen;
        let got = burn.infer(&pictures, 2, side, side).unwrap();
        let wanted = cpu.infer(&pictures, 2, side, side).unwrap();
        let worst = largest_difference(&got.reconstruction, &wanted.reconstruction);
        assert!(worst < 1e-4, "reconstruction off by {worst}");
        let worst = largest_difference(&got.anomaly_map, &wanted.anomaly_map);
        assert!(worst < 1e-5, "anomaly map off by {worst}");

        let (losses, gradients) = burn.gradients(&first).unwrap();
        let (wanted, wanted_gradients) = cpu.gradients(&first).unwrap();
        let spread = Spread::of(spec, (&weights, &AdamState::default()), &first);
        near("first step", losses, wanted, spread.loss());
        let direction = cosine(&gradients, &wanted_gradients);
        let bound = spread.cosine();
        assert!(
            direction > bound,
            "cosine of the gradients {direction}, {bound} asked"
        );
        let last = cosine(&last_layers(&gradients), &last_layers(&wanted_gradients));
        let bound = spread.last_cosine();
        assert!(
            last > bound,
            "cosine of the last layers' gradients {last}, {bound} asked"
        );
        for (name, array) in burn.weights().0 {
            let worst = largest_difference(&array.values, &cpu.weights().0[&name].values);
            assert!(worst < 1e-4, "{name} off by {worst} after one batch");
        }

        // From the same state each time: Adam's first steps follow the sign of every gradient, however
        // small, and two roundings soon part.
        let mut last_direction = 0.0;
        for number in 0..4 {
            let (before, adam) = (burn.weights(), burn.adam());
            cpu.restore(&before, &adam).unwrap();
            let batch = batch(4, side, number);
            let losses = burn.step(&batch, RATE).unwrap();
            let wanted = cpu.step(&batch, RATE).unwrap();
            let spread = Spread::of(spec, (&before, &adam), &batch);
            near(&format!("step {number}"), losses, wanted, spread.loss());
            last_direction = spread.direction;
            let (ours, theirs) = (burn.weights(), cpu.weights());
            for (name, array) in ours.0.iter().filter(|(name, _)| name.contains("running_")) {
                let worst = largest_difference(&array.values, &theirs.0[name].values);
                assert!(worst < 1e-4, "{name} off by {worst} after step {number}");
            }
            let off = parting(&way(&before, &ours), &way(&before, &theirs));
            let bound = spread.parting();
            assert!(
                off < bound,
                "parameters part by {off} of a step in step {number}, {bound} asked"
            );
        }
        let (ours, theirs) = (burn.adam(), cpu.adam());
        assert_eq!((ours.steps, theirs.steps), (4, 4));
        for (ours, theirs) in [
            (&ours.first_moment, &theirs.first_moment),
            (&ours.second_moment, &theirs.second_moment),
        ] {
            let direction = cosine(ours, theirs);
            let bound = 1.0 - (ROUNDINGS * last_direction).clamp(0.01, 0.05);
            assert!(
                direction > bound,
                "cosine of the moments {direction}, {bound} asked"
            );
        }
    }
}

/// A run continues on the same device to the bit, and its state moves between devices unchanged.
#[test]
fn a_restored_engine_continues_where_it_stopped() {
    let _alone = ONE_AT_A_TIME.lock();
    let spec = spec(4, 2, Upsampling::AlignCorners);
    let Some(mut straight) = open(spec) else {
        return;
    };
    let weights = random_weights(&Graph::new(spec), 3);
    straight.restore(&weights, &AdamState::default()).unwrap();
    assert_eq!(straight.weights(), weights, "what goes in comes out");
    straight.step(&batch(2, 64, 0), 1e-3).unwrap();
    let (weights, adam) = (straight.weights(), straight.adam());

    let Some(mut resumed) = open(spec) else {
        return;
    };
    resumed.restore(&weights, &adam).unwrap();
    assert_eq!(resumed.weights(), weights);
    assert_eq!(resumed.adam(), adam);
    let ours = straight.step(&batch(2, 64, 1), 1e-3).unwrap();
    let theirs = resumed.step(&batch(2, 64, 1), 1e-3).unwrap();
    assert_eq!(ours, theirs);
    assert_eq!(straight.weights(), resumed.weights());

    let mut cpu = CpuEngine::new(spec, 1).unwrap();
    cpu.restore(&weights, &adam).unwrap();
    assert_eq!(cpu.weights(), weights);
    assert_eq!(cpu.adam(), adam);
    let losses = cpu.step(&batch(2, 64, 1), 1e-3).unwrap();
    near("on the CPU", losses, theirs, 1e-4);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let _alone = ONE_AT_A_TIME.lock();
    let spec = spec(4, 2, Upsampling::AlignCorners);
    let Some(mut burn) = open(spec) else { return };
    let weights = random_weights(&Graph::new(spec), 3);
    burn.restore(&weights, &AdamState::default()).unwrap();
    let name = "seg.encoder_segment.block1.0.weight";
    let mut missing = weights.clone();
    missing.0.remove(name);
    let mut other = weights.clone();
    other.0.get_mut(name).unwrap().shape = vec![1];
    for bad in [missing, other] {
        let error = burn.restore(&bad, &AdamState::default()).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    assert_eq!(burn.weights(), weights);

    let mut short = batch(2, 64, 0);
    short.clean.pop();
    assert!(
        burn.step(&short, 1e-4)
            .unwrap_err()
            .contains("2 pictures of 64x64")
    );
    let mut bare = batch(2, 64, 0);
    bare.mask.pop();
    assert!(burn.step(&bare, 1e-4).unwrap_err().contains("mask"));
    let error = burn.infer(&[0.0; 3 * 48 * 64], 1, 48, 64).unwrap_err();
    assert!(error.contains("multiples of 32"), "{error}");
    assert_eq!(burn.weights(), weights);
    assert!(BurnEngine::open(compiled()[1], Some(99), spec).is_err());
}

fn named(npz: &mut Npz, folder: &str) -> Weights {
    let names: Vec<String> = npz.names();
    let keys = names.iter().filter_map(|name| {
        let key = name.strip_prefix(folder)?;
        (!key.ends_with("num_batches_tracked")).then_some((name, key))
    });
    let arrays = keys.map(|(name, key)| {
        let array = npz.f32(name);
        let (shape, values) = (array.shape().to_vec(), array.iter().copied().collect());
        (key.to_owned(), Array { shape, values })
    });
    Weights(arrays.collect())
}

/// Six steps from the authors' initial weights; bounds as for the CPU engine.
#[test]
fn six_steps_follow_the_authors() {
    let _alone = ONE_AT_A_TIME.lock();
    let Some(folder) = golden() else { return };
    let scalars = std::fs::read(folder.join("scalars.json")).unwrap();
    let scalars: serde_json::Value = serde_json::from_slice(&scalars).unwrap();
    let mut trace = Npz::open(folder.join("train_trace_4_4_64.npz"));
    let mut array = |name: &str| trace.f32(name).iter().copied().collect::<Vec<f32>>();
    let batch = Batch {
        pictures: 2,
        width_px: 64,
        height_px: 64,
        clean: array("I"),
        seen: array("X"),
        mask: array("M"),
        scored: Vec::new(),
    };
    let outputs = [
        array("step0/recon"),
        array("step0/logits"),
        array("eval/recon"),
    ];
    let Some(mut engine) = open(spec(4, 4, Upsampling::AlignCorners)) else {
        return;
    };
    let initial = named(&mut trace, "init/");
    engine.restore(&initial, &AdamState::default()).unwrap();
    let (reconstruction, logits) = engine.train_forward(&batch).unwrap();
    for (got, wanted) in [(&reconstruction, &outputs[0]), (&logits, &outputs[1])] {
        let worst = largest_difference(got, wanted);
        assert!(worst < 1e-4, "first outputs off by {worst}");
    }
    let (_, gradients) = engine.gradients(&batch).unwrap();
    // Biases in front of batch norm have a true gradient of zero; theirs is rounding noise.
    let mut theirs = named(&mut trace, "grad0/");
    let noise = |name: &str, array: &Array| {
        name.ends_with(".bias") && array.values.iter().all(|g| g.abs() < 1e-6)
    };
    theirs.0.retain(|name, array| !noise(name, array));
    let direction = cosine(&theirs, &gradients);
    assert!(
        direction > 0.9999,
        "cosine of the first gradients {direction}"
    );

    engine.restore(&initial, &AdamState::default()).unwrap();
    let expected = scalars["train_trace_l2_ssim_focal_total"]
        .as_array()
        .unwrap();
    for (step, wanted) in expected.iter().enumerate() {
        let losses = engine.step(&batch, 1e-4).unwrap();
        let wanted = |term: usize| wanted[term].as_f64().unwrap() as f32;
        let wanted = Losses {
            l2: wanted(0),
            ssim: wanted(1),
            focal: wanted(2),
        };
        let bound = [1e-5, 1e-3, 1e-2][step.min(2)];
        near(&format!("step {step}"), losses, wanted, bound);
    }
    let trained = engine.weights();
    let last = named(&mut trace, "final/");
    let (mut sum, mut count) = (0f64, 0usize);
    for (name, wanted) in last.0.iter().filter(|(name, _)| name.contains("running_")) {
        let got = &trained.0[name].values;
        let worst = largest_difference(got, &wanted.values);
        assert!(worst < 5e-2, "{name} off by {worst}");
        for (got, wanted) in got.iter().zip(&wanted.values) {
            sum += f64::from((got - wanted).abs());
            count += 1;
        }
    }
    let mean = sum / count as f64;
    assert!(mean < 2e-3, "batch norm buffers off by {mean} in mean");

    engine.restore(&last, &AdamState::default()).unwrap();
    let got = engine.infer(&batch.seen, 2, 64, 64).unwrap();
    let worst = largest_difference(&got.reconstruction, &outputs[2]);
    assert!(worst < 1e-4, "eval/recon off by {worst}");
}
