//! The most that one core can multiply and accumulate: what speed is a share of.
//!
//! A loop of the best instruction on registers alone, with enough independent sums to
//! hide its latency. Clocks move, so a figure is only comparable with work timed next to it.

use super::{Levels, float, int8};
use std::hint::black_box;
use std::time::Instant;

/// Turns of one timed run: about a quarter of a millisecond on a fast core, so that some runs are
/// not interrupted even on a busy machine.
const TURNS: u32 = 20_000;

/// Multiply-accumulates per second of one core.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Peak {
    /// u8 times i8 into i32.
    pub int8: f64,
    /// f32, fused.
    pub f32: f64,
}

impl Peak {
    /// The best of `runs` short runs on the calling thread.
    pub fn measure(levels: Levels, runs: u32) -> Self {
        let (int8, f32) = (levels.int8, levels.float);
        let best = |turn: &dyn Fn() -> u64| (0..runs).map(|_| rate(turn)).fold(0.0, f64::max);
        Self {
            int8: best(&|| int8::multiply_in_registers(int8, TURNS)),
            f32: best(&|| float::multiply_in_registers(f32, TURNS)),
        }
    }

    /// The greater of each.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            int8: self.int8.max(other.int8),
            f32: self.f32.max(other.f32),
        }
    }
}

fn rate(turn: &dyn Fn() -> u64) -> f64 {
    let start = Instant::now();
    let macs = black_box(turn());
    macs as f64 / start.elapsed().as_secs_f64()
}
