//! Kernels of our own, chosen at run time by what the processor can do.

pub mod float;
pub mod int8;
mod peak;

pub use peak::Peak;
