//! Floating point: what the trainer computes with, and float bundles on a station.

mod conv;
mod planes;
mod resample;
mod sigmoid;
mod vector;

pub use super::{BLOCK, Lines, Sides};
pub use conv::{Activation, Group, Packed, Slot, Start, convolve, groups, multiply_in_registers};
pub use planes::{Planes, from_planar, to_planar};
pub use resample::{Taps, max_pool, upsample};
pub use sigmoid::sigmoid;
pub use vector::{Instructions, Lanes, Level, Vector};
#[cfg(target_arch = "x86_64")]
pub use vector::{Ymm, Zmm};
