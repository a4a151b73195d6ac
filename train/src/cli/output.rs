//! Where results go: tried before the work, and not over what a person has set.

use crate::atomic_file;
use crate::threshold::is_of_training;
use blemish::model::{METADATA_KEY, Metadata};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::ModelProto;

/// Refuses a place that nothing can be written to, before hours go into what would be.
pub fn probe(path: &Path) -> Result<(), String> {
    atomic_file::probe(path).map_err(|error| {
        format!(
            "cannot write {}: {error}; choose another place with --out",
            path.display()
        )
    })
}

/// What the bundle at `path` says about itself, where it is one and its threshold is not of training but was set
/// by 'threshold'.
pub fn with_set_threshold(path: &Path) -> Option<Metadata> {
    let bytes = std::fs::read(path).ok()?;
    let model = ModelProto::decode(bytes.as_slice()).ok()?;
    let json = (model.metadata_props.iter()).find(|property| property.key == METADATA_KEY)?;
    let metadata: Metadata = serde_json::from_str(&json.value).ok()?;
    (!is_of_training(&metadata.threshold)).then_some(metadata)
}
