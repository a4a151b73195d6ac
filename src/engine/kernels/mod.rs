//! Kernels of our own, chosen at run time by what the processor can do.

pub mod float;
pub mod int8;
mod levels;
mod lines;
mod peak;
mod sides;

pub use levels::Levels;
pub use lines::Lines;
pub use peak::Peak;
pub use sides::{BLOCK, Sides};
