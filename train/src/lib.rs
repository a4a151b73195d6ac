//! Trains DRAEM on pictures of good product and exports the bundle that `blemish` runs.

pub mod agreement;
pub mod atomic_file;
pub mod backend;
pub mod budget;
pub mod bundle;
#[cfg(feature = "burn")]
pub mod burn_engine;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod cpu;
pub mod data;
pub mod device;
pub mod eval;
pub mod export;
pub mod fit;
pub mod golden;
pub mod grid;
pub mod import;
pub mod inspectors;
pub mod light;
pub mod loss;
pub mod quantize;
pub mod reference;
pub mod report;
pub mod run_folder;
pub mod simulate;
#[cfg(test)]
mod test_golden;
pub mod threshold;
pub mod trained;
pub mod weights;
