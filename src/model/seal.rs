//! The two metadata properties of a bundle: what it says about itself and the hash of its content.
//!
//! The hash is taken over the decoded model without the hash itself, encoded again by prost: fields in
//! the order of their numbers, defaults left out, unknown fields dropped. So it covers every value that
//! the engine reads, and does not depend on how another writer would have laid the same model out.

use super::{LIGHT_KEY, METADATA_KEY, Metadata, Problem};
use prost::Message;
use sha2::{Digest, Sha256};
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

/// Key in ONNX `metadata_props` that holds the SHA-256 of the rest, in lower-case hexadecimal.
pub const HASH_KEY: &str = "blemish_sha256";

/// Writes `metadata` and the hash into `model` and encodes it: the bytes of a bundle.
///
/// # Errors
/// Where the metadata cannot be written as JSON.
pub fn seal(mut model: ModelProto, metadata: &Metadata) -> Result<Vec<u8>, serde_json::Error> {
    let strict = Metadata {
        light: None,
        ..metadata.clone()
    };
    let light = metadata.light.map(|light| serde_json::to_string(&light));
    let properties = [
        (METADATA_KEY, Some(serde_json::to_string(&strict)?)),
        (LIGHT_KEY, light.transpose()?),
    ];
    for (key, json) in properties {
        model.metadata_props.retain(|property| property.key != key);
        model
            .metadata_props
            .extend(json.map(|value| StringStringEntryProto {
                key: key.to_owned(),
                value,
            }));
    }
    Ok(reseal(model))
}

/// Encodes `model` with a hash that fits its present content.
pub fn reseal(mut model: ModelProto) -> Vec<u8> {
    let value = content_hash(&mut model);
    model
        .metadata_props
        .retain(|property| property.key != HASH_KEY);
    model.metadata_props.push(StringStringEntryProto {
        key: HASH_KEY.to_owned(),
        value,
    });
    model.encode_to_vec()
}

/// Hash of everything but the property that holds the hash; `model` is left as it was.
pub(super) fn content_hash(model: &mut ModelProto) -> String {
    let stated = std::mem::take(&mut model.metadata_props);
    model.metadata_props = stated
        .iter()
        .filter(|property| property.key != HASH_KEY)
        .cloned()
        .collect();
    let digest = Sha256::digest(model.encode_to_vec());
    model.metadata_props = stated;
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The property `key`, where it is there exactly once.
pub(super) fn property<'a>(model: &'a ModelProto, key: &'static str) -> Result<&'a str, Problem> {
    let mut found = model
        .metadata_props
        .iter()
        .filter(|property| property.key == key);
    match (found.next(), found.next()) {
        (Some(property), None) => Ok(&property.value),
        _ => Err(Problem::Property(key)),
    }
}

/// Reads the metadata, the schema's number first: another version's fields would only confuse.
pub(super) fn read_metadata(json: &str, light: Option<&str>) -> Result<Metadata, Problem> {
    let unreadable = |error: serde_json::Error| Problem::Metadata(error.to_string());
    let value: serde_json::Value = serde_json::from_str(json).map_err(unreadable)?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(super::SCHEMA_VERSION) => {}
        Some(schema) => {
            return Err(Problem::Schema {
                found: schema.to_string(),
            });
        }
        None => {
            return Err(Problem::Schema {
                found: "(none)".to_owned(),
            });
        }
    }
    let mut metadata: Metadata = serde_json::from_value(value).map_err(unreadable)?;
    if let Some(json) = light {
        metadata.light = Some(serde_json::from_str(json).map_err(unreadable)?);
    }
    metadata.check()?;
    Ok(metadata)
}
