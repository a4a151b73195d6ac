//! Where results go: tried before the work, and not over what a person has set.

use crate::atomic_file;
use crate::threshold::is_of_training;
use blemish::model::{METADATA_KEY, Metadata};
use prost::Message;
use std::path::{Path, PathBuf};
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

/// What the bundle at `path` says about itself, where it is one.
pub fn metadata(path: &Path) -> Option<Metadata> {
    let bytes = std::fs::read(path).ok()?;
    let model = ModelProto::decode(bytes.as_slice()).ok()?;
    let json = (model.metadata_props.iter()).find(|property| property.key == METADATA_KEY)?;
    serde_json::from_str(&json.value).ok()
}

/// The same where its threshold is not of training but was set by 'threshold'.
pub fn with_set_threshold(path: &Path) -> Option<Metadata> {
    metadata(path).filter(|metadata| !is_of_training(&metadata.threshold))
}

/// Refuses a run whose bundle goes to `path` where one lies there whose threshold was set by 'threshold'.
pub fn refuse_over_set(path: &Path) -> Result<(), String> {
    match with_set_threshold(path) {
        None => Ok(()),
        Some(set) => Err(format!(
            "{} has a threshold that was set with 'threshold' ({}), and this run would write over it: move that file \
             away first",
            path.display(),
            set.threshold.basis
        )),
    }
}

/// Where the bundle of a run that has ended goes: `path`, or `NAME.new.onnx` beside it where the one at `path` got its
/// threshold by 'threshold' while the run went on.
pub fn not_over_set(path: &Path) -> Result<PathBuf, String> {
    if with_set_threshold(path).is_none() {
        return Ok(path.to_owned());
    }
    let beside = path.with_extension("new.onnx");
    refuse_over_set(&beside)?;
    Ok(beside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threshold;
    use blemish::draem::NetworkSpec;
    use blemish::draem::score::Window;
    use blemish::geometry::TileSize;
    use blemish::model::{
        ColorOrder, Golden, Preparation, SCHEMA_VERSION, ScoreRule, Threshold, Training,
    };
    use tract_onnx::pb::StringStringEntryProto;

    /// A file with the metadata of a bundle, whose threshold came about by `basis`.
    fn bundle(basis: Option<&str>) -> Vec<u8> {
        let of_training = threshold::choose(&[], &[], 1).threshold;
        let metadata = Metadata {
            schema: SCHEMA_VERSION,
            name: "felt".to_owned(),
            network: NetworkSpec::official(4, 4),
            tile: TileSize::square(32),
            color_order: ColorOrder::Rgb,
            grey: true,
            preparation: Preparation::Native { overlap_px: 8 },
            score: ScoreRule {
                window_px: Window::OFFICIAL,
            },
            threshold: Threshold {
                basis: basis.map_or_else(|| of_training.basis.clone(), str::to_owned),
                ..of_training
            },
            flat_field: false,
            training: Training {
                data_fingerprint: String::new(),
                pictures: 1,
                seed: 0,
                steps: 1,
                batch: 1,
                trainer: String::new(),
                simulation: String::new(),
            },
            golden: Golden::default(),
            light: None,
        };
        let model = ModelProto {
            metadata_props: vec![StringStringEntryProto {
                key: METADATA_KEY.to_owned(),
                value: serde_json::to_string(&metadata).expect("serialisable"),
            }],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    #[test]
    fn a_bundle_of_a_person_is_left_and_the_new_one_goes_beside_it() {
        let name = format!("blemish-output-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("temporary folder");
        let (path, beside) = (folder.join("model.onnx"), folder.join("model.new.onnx"));
        let set = bundle(Some(
            "2 of 40 good pictures in monday are rejected by score",
        ));
        let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).expect("room");
        assert_eq!(not_over_set(&path).as_ref(), Ok(&path), "nothing is there");
        write(&path, &bundle(None));
        assert_eq!(not_over_set(&path).as_ref(), Ok(&path));
        assert_eq!(refuse_over_set(&path), Ok(()));
        write(&path, &set);
        assert_eq!(not_over_set(&path).as_ref(), Ok(&beside));
        write(&beside, &bundle(None));
        assert_eq!(not_over_set(&path).as_ref(), Ok(&beside));
        write(&beside, &set);
        for refused in [refuse_over_set(&path), not_over_set(&path).map(drop)] {
            let words = refused.expect_err("both are a person's");
            assert!(words.contains("of 40 good pictures in monday"), "{words}");
            assert!(words.contains("move that file away first"), "{words}");
        }
        std::fs::remove_dir_all(&folder).expect("removable");
    }
}
