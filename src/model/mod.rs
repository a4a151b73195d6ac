//! The bundle: one ONNX file that any runtime runs, with everything a station must know in its
//! `metadata_props`.
//!
//! * **bundle**: graph, weights and [`Metadata`] in one file;
//! * **seal**: the two properties that make an ONNX model a bundle, the metadata and a hash;
//! * **golden tile**: a picture in the metadata with the map it must give;
//! * **golden parity**: this machine's map of the golden tile equals the stored one.
//!
//! Invariant: a [`Bundle`] exists only after every [`Check`] passed on this very machine.

mod bundle;
mod error;
mod golden;
mod graph_check;
mod metadata;
mod seal;
mod shapes;

pub use bundle::{Bundle, GREATEST_BUNDLE_BYTES};
pub use error::{Check, ModelError, Problem};
pub use golden::planes;
pub use graph_check::{INPUT, MAP, RECONSTRUCTION};
pub use metadata::{
    ColorOrder, Golden, LIGHT_KEY, METADATA_KEY, Metadata, Preparation, SCHEMA_VERSION, ScoreRule,
    Threshold, Training,
};
pub use seal::{HASH_KEY, reseal, seal};
