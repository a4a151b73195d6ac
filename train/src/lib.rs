//! Trains DRAEM on pictures of good product and exports the bundle that `blemish` runs.

pub mod backend;
pub mod weights;
