//! Seconds of one training step on this machine:
//! `cargo run --release -p blemish-train --example step_time -- 16 8 128 8 1`
//! (reconstructive width, discriminative width, tile side, pictures, threads).

use blemish::draem::{NetworkSpec, Upsampling};
use blemish_train::backend::{AdamState, Backend, Batch};
use blemish_train::cpu::CpuEngine;
use std::time::Instant;

/// Steps that are timed, after two that are not.
const STEPS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Result<Vec<usize>, _> = std::env::args().skip(1).map(|a| a.parse()).collect();
    let [
        reconstructive_width,
        discriminative_width,
        side,
        pictures,
        threads,
    ] = numbers?[..]
    else {
        return Err(
            "give five numbers: widths of both networks, tile side, pictures, threads".into(),
        );
    };
    let spec = NetworkSpec {
        reconstructive_width,
        discriminative_width,
        upsampling: Upsampling::AlignCorners,
    };
    let mut engine = CpuEngine::new(spec, threads)?;
    let mut state = 1u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    let mut weights = engine.weights();
    for (name, array) in &mut weights.0 {
        let scale = array.shape.len() == 1 && name.ends_with("weight");
        for value in &mut array.values {
            let one = scale || name.ends_with("running_var");
            *value = if one { 1.0 } else { (number() - 0.5) * 0.07 };
        }
    }
    engine.restore(&weights, &AdamState::default())?;
    let pixels = pictures * side * side;
    let clean: Vec<f32> = (0..3 * pixels).map(|_| number()).collect();
    let batch = Batch {
        pictures,
        width_px: side,
        height_px: side,
        seen: clean.clone(),
        clean,
        mask: vec![0.0; pixels],
    };
    let mut seconds = Vec::new();
    for step in 0..STEPS + 2 {
        let started = Instant::now();
        engine.step(&batch, 1e-4)?;
        if step >= 2 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "median {:.3} s, least {:.3} s",
        seconds[STEPS / 2],
        seconds[0]
    );
    Ok(())
}
