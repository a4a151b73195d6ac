//! Seconds of one training step on this machine:
//! `cargo run --release -p blemish-train --example step_time -- 16 8 128 8 1`
//! (reconstructive width, discriminative width, tile side, pictures, threads).

use blemish::draem::NetworkSpec;
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
    let spec = NetworkSpec::official(reconstructive_width, discriminative_width);
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
        scored: Vec::new(),
    };
    let mut seconds = Vec::new();
    let mut used = 0.0;
    for step in 0..STEPS + 2 {
        if step == 2 {
            used = processor_seconds()?;
        }
        let started = Instant::now();
        engine.step(&batch, 1e-4)?;
        if step >= 2 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "median {:.3} s, least {:.3} s, processor {:.3} s",
        seconds[STEPS / 2],
        seconds[0],
        (processor_seconds()? - used) / STEPS as f64
    );
    Ok(())
}

/// Processor time of this process so far: what other work on the machine changes least (proc(5), fields
/// 14 and 15 of `stat`, in hundredths of a second).
fn processor_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Result<Vec<f64>, _> = (fields.split_whitespace().skip(11).take(2))
        .map(str::parse)
        .collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}
