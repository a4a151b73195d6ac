//! Whether a device computes what the CPU engine does.
//!
//! Drivers and kernels picked by timing have given wrong results before without any error. One step
//! of the very networks, on a small batch, shows it in seconds.
//!
//! Bounds: tensor cores round the factors of a product to 11 bits (TF32). With the weights rounded so
//! on the CPU, losses move by less than 0.2 %, gradients of the last four layers keep a cosine above
//! 0.99, and the gradient of everything falls to a cosine of 0.5 to 0.9, from layer to layer back to
//! the picture: that is this network at its first weights, not a fault. In f32 it stays above 0.995.

use super::BurnEngine;
use crate::backend::{AdamState, Backend, Batch};
use crate::cpu::CpuEngine;
use crate::fit::initial;
use crate::weights::Weights;

/// Greatest relative difference of a loss.
const LOSS_OFF: f32 = 0.02;
/// Smallest cosine of the gradients nearest to the losses.
const LAST_LAYERS_COSINE: f64 = 0.95;
const LAST_LAYERS: [&str; 4] = [
    "seg.decoder_segment.up4.",
    "seg.decoder_segment.db4.",
    "seg.decoder_segment.fin_out.",
    "rec.decoder.fin_out.",
];
/// Smallest cosine of all gradients, and the one below which the device rounds more than f32 does.
const COSINE: f64 = 0.2;
const COSINE_F32: f64 = 0.99;
/// Greatest mean difference of an output in evaluation.
const OUTPUT_OFF: f64 = 0.01;
/// Small, but no norm sees fewer than sixteen values.
const SIDE_PX: usize = 64;
const PICTURES: usize = 4;

/// Compares losses, gradients and evaluation.
///
/// # Errors
/// What differs and by how much.
pub fn run(engine: &mut BurnEngine) -> Result<(), String> {
    let spec = engine.graph.spec;
    let weights = initial::weights(spec, 0);
    let batch = batch();
    let mut cpu = CpuEngine::new(spec, 0)?;
    cpu.restore(&weights, &AdamState::default())?;
    let (wanted, wanted_gradients) = cpu.gradients(&batch)?;
    engine.restore(&weights, &AdamState::default())?;
    let (got, gradients) = engine.gradients(&batch)?;
    for (name, got, wanted) in [
        ("L2", got.l2, wanted.l2),
        ("SSIM", got.ssim, wanted.ssim),
        ("focal", got.focal, wanted.focal),
    ] {
        at_most(
            (got - wanted).abs().into(),
            (LOSS_OFF * wanted.abs()).into(),
            || format!("the {name} loss is {got}, on the CPU {wanted}"),
        )?;
    }
    for layer in LAST_LAYERS {
        let cosine = cosine(&gradients, &wanted_gradients, layer);
        at_most(LAST_LAYERS_COSINE, cosine, || {
            format!("the gradient of '{layer}' points elsewhere than the CPU's: cosine {cosine:.3}")
        })?;
    }
    let cosine = cosine(&gradients, &wanted_gradients, "");
    at_most(COSINE, cosine, || {
        format!("the gradient points elsewhere than the CPU's: cosine {cosine:.3}")
    })?;
    if cosine < COSINE_F32 {
        log::warn!(
            "this device rounds more than f32 does: cosine of the gradients {cosine:.3}; a model \
             trained on it needs its own scores"
        );
    }
    let infer = |backend: &mut dyn Backend| {
        backend.infer(&batch.seen, batch.pictures, batch.width_px, batch.height_px)
    };
    let (got, wanted) = (infer(engine)?, infer(&mut cpu)?);
    for (name, got, wanted) in [
        (
            "reconstruction",
            &got.reconstruction,
            &wanted.reconstruction,
        ),
        ("anomaly map", &got.anomaly_map, &wanted.anomaly_map),
    ] {
        let off = mean_difference(got, wanted);
        at_most(off, OUTPUT_OFF, || {
            format!("the {name} differs from the CPU's by {off:.3} in mean")
        })?;
    }
    Ok(())
}

/// A NaN on either side is an error too.
fn at_most(value: f64, bound: f64, error: impl FnOnce() -> String) -> Result<(), String> {
    match value <= bound {
        true => Ok(()),
        false => Err(error()),
    }
}

/// Pictures of stripes, every second one with a bright square that is not in the clean one.
pub(super) fn batch() -> Batch {
    let area = SIDE_PX * SIDE_PX;
    let mut batch = Batch {
        pictures: PICTURES,
        width_px: SIDE_PX,
        height_px: SIDE_PX,
        clean: Vec::with_capacity(3 * PICTURES * area),
        seen: Vec::with_capacity(3 * PICTURES * area),
        mask: vec![0.0; PICTURES * area],
        scored: Vec::new(),
    };
    for picture in 0..PICTURES {
        for channel in 0..3 {
            for pixel in 0..area {
                let (x, y) = (pixel % SIDE_PX, pixel / SIDE_PX);
                let phase = (2 * x + 3 * y + 5 * channel + 7 * picture) as f32;
                let clean = 0.5 + 0.3 * (0.2 * phase).sin();
                let defect = picture % 2 == 1 && (20..36).contains(&x) && (12..30).contains(&y);
                batch.clean.push(clean);
                batch.seen.push(if defect { 0.95 } else { clean });
                if defect {
                    batch.mask[picture * area + pixel] = 1.0;
                }
            }
        }
    }
    batch
}

/// Of the gradients whose names begin with `prefix`, as one vector.
fn cosine(a: &Weights, b: &Weights, prefix: &str) -> f64 {
    let (mut dot, mut aa, mut bb) = (0f64, 0f64, 0f64);
    for (name, a) in a.0.iter().filter(|(name, _)| name.starts_with(prefix)) {
        let Some(b) = b.0.get(name) else {
            return f64::NAN;
        };
        for (&a, &b) in a.values.iter().zip(&b.values) {
            let (a, b) = (f64::from(a), f64::from(b));
            dot += a * b;
            aa += a * a;
            bb += b * b;
        }
    }
    dot / (aa.sqrt() * bb.sqrt())
}

fn mean_difference(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_a_number_fails() {
        let refused = |value, bound| at_most(value, bound, || "refused".to_owned()).is_err();
        assert!(!refused(0.5, 0.5));
        assert!(refused(0.6, 0.5));
        assert!(refused(f64::NAN, 0.5));
        assert!(refused(0.5, f64::NAN));
    }
}
