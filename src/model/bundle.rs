//! Reading a bundle: nothing of it is used before every check has passed.

use super::graph_check::{check_graph, check_weights, graph, resize};
use super::seal::{HASH_KEY, content_hash, property, read_metadata};
use super::{Check, LIGHT_KEY, METADATA_KEY, Metadata, ModelError, Problem};
use crate::engine::kernels::Levels;
use crate::engine::{Inspector, Plan, Prediction, TractInspector};
use crate::geometry::TileSize;
use crate::whole_file::read_at_most;
use prost::Message;
use std::path::Path;
use tract_onnx::pb::ModelProto;

/// The bundle that comes with the program.
const EMBEDDED: &[u8] = include_bytes!("../../models/default.onnx");

/// Size above which a file is not read: the paper's networks take 400 MB.
pub const GREATEST_BUNDLE_BYTES: u64 = 1 << 30;

/// A model that passed every check on this machine.
#[derive(Debug, Clone)]
pub struct Bundle {
    origin: String,
    metadata: Metadata,
    sha256: String,
    parity: f32,
    plan: Plan,
}

impl Bundle {
    /// Reads and checks the bundle in a file.
    ///
    /// # Errors
    /// The first check that failed, with the reason and what to do.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::read_telling(path, &mut |_| {})
    }

    /// As [`Bundle::read`]; tells every check that passed.
    ///
    /// # Errors
    /// As [`Bundle::read`].
    pub fn read_telling(
        path: impl AsRef<Path>,
        passed: &mut dyn FnMut(Check),
    ) -> Result<Self, ModelError> {
        let origin = path.as_ref().display().to_string();
        match read_file(path.as_ref()) {
            Ok(bytes) => Self::from_bytes(bytes, &origin, passed),
            Err(problem) => Err(ModelError { origin, problem }),
        }
    }

    /// The bundle that comes with the program.
    ///
    /// # Errors
    /// Where this machine computes something else than the one that exported it.
    pub fn embedded() -> Result<Self, ModelError> {
        Self::embedded_telling(&mut |_| {})
    }

    /// As [`Bundle::embedded`]; tells every check that passed.
    ///
    /// # Errors
    /// As [`Bundle::embedded`].
    pub fn embedded_telling(passed: &mut dyn FnMut(Check)) -> Result<Self, ModelError> {
        Self::from_bytes(EMBEDDED.to_vec(), "embedded", passed)
    }

    /// Checks the bundle in `bytes`; `origin` is what messages call it. Tells every check that passed.
    ///
    /// # Errors
    /// As [`Bundle::read`].
    pub fn from_bytes(
        bytes: Vec<u8>,
        origin: &str,
        passed: &mut dyn FnMut(Check),
    ) -> Result<Self, ModelError> {
        Self::checked(bytes, origin, passed).map_err(|problem| ModelError {
            origin: origin.to_owned(),
            problem,
        })
    }

    fn checked(
        bytes: Vec<u8>,
        origin: &str,
        passed: &mut dyn FnMut(Check),
    ) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Err(Problem::Empty);
        }
        passed(Check::File);
        let mut model = ModelProto::decode(bytes.as_slice())
            .map_err(|error| Problem::NotOnnx(error.to_string()))?;
        drop(bytes);
        graph(&model)?;
        let keys = || {
            model
                .metadata_props
                .iter()
                .map(|property| property.key.as_str())
        };
        if !keys().any(|key| key == METADATA_KEY) {
            return Err(Problem::Foreign);
        }
        passed(Check::Format);
        let json = property(&model, METADATA_KEY)?.to_owned();
        let light = match keys().any(|key| key == LIGHT_KEY) {
            true => Some(property(&model, LIGHT_KEY)?.to_owned()),
            false => None,
        };
        let sha256 = content_hash(&mut model);
        let stated = property(&model, HASH_KEY)?;
        if sha256 != stated {
            return Err(Problem::Hash {
                stated: stated.to_owned(),
                found: sha256,
            });
        }
        passed(Check::Hash);
        let metadata = read_metadata(&json, light.as_deref())?;
        passed(Check::Metadata);
        check_weights(graph(&model)?)?;
        passed(Check::Weights);
        check_graph(&model, metadata.tile)?;
        passed(Check::Graph);
        let plan = Plan::new(&model, metadata.tile).map_err(Problem::Engine)?;
        drop(model);
        passed(Check::Engine);
        let parity = golden_parity(&metadata, &mut plan.worker())?;
        passed(Check::Golden);
        Ok(Self {
            origin: origin.to_owned(),
            metadata,
            sha256,
            parity,
            plan,
        })
    }

    /// The graph of a bundle, in a file or the program's own, planned for tiles of another size than it
    /// was made for, or with other kernels than this processor's best: what such tiles would cost. Nothing
    /// but the graph is checked.
    ///
    /// # Errors
    /// Where the file cannot be read or the engine cannot plan it.
    pub fn plan_for(
        path: Option<&Path>,
        tile: TileSize,
        levels: Levels,
    ) -> Result<Plan, ModelError> {
        let origin = path.map_or("embedded".to_owned(), |path| path.display().to_string());
        let plan = || {
            let bytes = path.map(read_file).transpose()?;
            let mut model = ModelProto::decode(bytes.as_deref().unwrap_or(EMBEDDED))
                .map_err(|error| Problem::NotOnnx(error.to_string()))?;
            if let Some(graph) = &mut model.graph {
                resize(graph, tile);
            }
            check_weights(graph(&model)?)?;
            check_graph(&model, tile)?;
            Plan::with_levels(&model, tile, levels).map_err(Problem::Engine)
        };
        plan().map_err(|problem| ModelError { origin, problem })
    }

    /// Where the bundle came from: a file, or `embedded`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the bundle says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// SHA-256 of the bundle's content, which names it in journals.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Greatest difference between the golden map and this machine's, per pixel.
    pub fn parity(&self) -> f32 {
        self.parity
    }

    /// The graph as this machine runs it.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A worker of its own on the plan that all of this bundle's workers share.
    pub fn inspector(&self) -> TractInspector {
        self.plan.worker()
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    read_at_most(path, GREATEST_BUNDLE_BYTES)
        .map_err(Problem::Unreadable)?
        .ok_or(Problem::TooLong {
            limit_bytes: GREATEST_BUNDLE_BYTES,
        })
}

/// Runs the golden tile and compares.
fn golden_parity(metadata: &Metadata, inspector: &mut TractInspector) -> Result<f32, Problem> {
    let input = metadata.golden.input(metadata.tile, metadata.color_order)?;
    let mut prediction = Prediction::default();
    inspector
        .inspect(&input, &mut prediction)
        .map_err(Problem::Engine)?;
    metadata
        .golden
        .compare(metadata.tile, &prediction.anomaly_map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::light::LightLimits;
    use crate::model::{reseal, seal};

    /// The program's own bundle, changed and sealed again.
    fn changed(change: impl FnOnce(&mut ModelProto)) -> Result<Bundle, ModelError> {
        let mut model = ModelProto::decode(EMBEDDED).unwrap();
        change(&mut model);
        Bundle::from_bytes(reseal(model), "changed", &mut |_| {})
    }

    /// tract panics on the sets 11 and 12 where a Resize has no region.
    #[test]
    fn every_operator_set_gives_a_bundle_or_a_sentence() {
        for version in [0, 9, 10, 11, 12, 13, 18] {
            let set = |model: &mut ModelProto| model.opset_import[0].version = version;
            let refused = changed(set).err();
            assert_eq!(refused.is_none(), version >= 13, "{version}: {refused:?}");
            if let Some(error) = refused {
                let graph = matches!(error.problem, Problem::Graph(_));
                assert_eq!(graph, matches!(version, 11 | 12), "{version}: {error}");
            }
        }
        let none = changed(|model| model.opset_import.clear());
        assert!(none.is_err());
    }

    #[test]
    fn names_in_a_bundle_do_not_command_the_terminal() {
        let error = changed(|model| {
            let node = &mut model.graph.as_mut().unwrap().node[0];
            node.name = "\u{1b}[2Jnode\n".to_owned();
            node.op_type = "Loop".to_owned();
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("'\\u{1b}[2Jnode\\n' (Loop)"), "{error}");
    }

    #[test]
    fn a_file_that_no_bundle_is_as_long_as_is_not_read() {
        let path = std::env::temp_dir().join(format!("blemish-long-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(GREATEST_BUNDLE_BYTES + 1).unwrap();
        let error = Bundle::read(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(error.problem, Problem::TooLong { .. }), "{error}");
        assert!(error.to_string().contains("more than 1024 MiB"), "{error}");
    }

    #[test]
    fn the_limits_of_the_light_are_a_property_that_other_programs_need_not_know() {
        let read = |bytes: Vec<u8>| Bundle::from_bytes(bytes, "test", &mut |_| {});
        let model = || ModelProto::decode(EMBEDDED).unwrap();
        let old = read(EMBEDDED.to_vec()).unwrap().metadata().clone();
        assert_eq!(old.light, None);
        let limits = LightLimits {
            least_level: 0.1,
            greatest_level: 0.8,
            least_contrast: 0.01,
        };
        let with = |light| Metadata {
            light: Some(light),
            ..old.clone()
        };
        let sealed = seal(model(), &with(limits)).unwrap();
        assert_eq!(*read(sealed.clone()).unwrap().metadata(), with(limits));
        let sealed = ModelProto::decode(sealed.as_slice()).unwrap();
        let json = property(&sealed, METADATA_KEY).unwrap();
        assert!(!json.contains("light"), "older programs know every field");
        let without = read(seal(sealed, &old).unwrap()).unwrap();
        assert_eq!(*without.metadata(), old);

        let upside_down = LightLimits {
            least_level: 0.9,
            ..limits
        };
        let error = read(seal(model(), &with(upside_down)).unwrap()).unwrap_err();
        let words = "the metadata's 'light' has least_level 0.9, which is not below";
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn one_bundle_serves_all_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Bundle>();
    }
}
