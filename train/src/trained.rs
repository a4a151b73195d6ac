//! The training pictures' contents in a bundle, so that none of them sets its threshold under another name.
//!
//! They are a property of the ONNX file beside the metadata, which stations read strictly: a station knows
//! nothing of them and need not.

use std::collections::HashSet;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

/// Key in ONNX `metadata_props` that holds the contents, each as its short hash, between spaces.
const KEY: &str = "blemish.trained";

/// Writes into the bundle what it was trained on; [`seal`](blemish::model::seal) it afterwards.
pub fn write(model: &mut ModelProto, contents: &[String]) {
    let properties = &mut model.metadata_props;
    properties.retain(|property| property.key != KEY);
    properties.push(StringStringEntryProto {
        key: KEY.to_owned(),
        value: contents.join(" "),
    });
}

/// What the bundle was trained on; nothing where it does not say, as bundles from before it was kept.
pub fn read(model: &ModelProto) -> HashSet<&str> {
    let kept = (model.metadata_props.iter()).find(|property| property.key == KEY);
    kept.map_or_else(HashSet::new, |kept| kept.value.split_whitespace().collect())
}
