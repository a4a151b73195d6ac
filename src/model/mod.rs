//! The bundle: one ONNX file that any runtime runs, with everything a station must know in its
//! `metadata_props`.

mod metadata;

pub use metadata::{
    ColorOrder, Golden, Metadata, Preparation, ScoreRule, Threshold, Training, METADATA_KEY,
    SCHEMA_VERSION,
};
