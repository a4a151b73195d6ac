//! Why a bundle was refused.

use super::{METADATA_KEY, SCHEMA_VERSION};
use crate::engine::EngineError;
use crate::text::printable;

/// What loading a bundle checks, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// The file can be read and is not empty.
    File,
    /// It is an ONNX model with blemish's metadata.
    Format,
    /// Its content has the SHA-256 it states.
    Hash,
    /// The metadata have a schema this program knows, no unknown field and no impossible value.
    Metadata,
    /// Every array is complete and every number in it finite.
    Weights,
    /// Nodes are joined without gaps; inputs and outputs are those of a bundle.
    Graph,
    /// The engine can build a plan for this machine.
    Engine,
    /// The golden picture gives the golden map on this machine.
    Golden,
}

impl Check {
    /// All checks in the order in which they are made.
    pub const ALL: [Check; 8] = [
        Check::File,
        Check::Format,
        Check::Hash,
        Check::Metadata,
        Check::Weights,
        Check::Graph,
        Check::Engine,
        Check::Golden,
    ];

    /// One word for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Check::File => "file",
            Check::Format => "format",
            Check::Hash => "hash",
            Check::Metadata => "metadata",
            Check::Weights => "weights",
            Check::Graph => "graph",
            Check::Engine => "engine",
            Check::Golden => "golden",
        }
    }
}

/// A bundle that was refused: which one and why. Names from the file are shown escaped.
#[derive(Debug, thiserror::Error)]
#[error("bundle {}: {}", printable(origin), printable(&problem.to_string()))]
pub struct ModelError {
    /// The file, or `embedded`.
    pub origin: String,
    pub problem: Problem,
}

/// The reason for a refusal.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("the file cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error(
        "the file has more than {} MiB, which no bundle needs; name a file of 'blemish-train export'",
        limit_bytes >> 20
    )]
    TooLong { limit_bytes: u64 },
    #[error("the file is empty; copy the bundle again")]
    Empty,
    #[error(
        "this is not an ONNX file, or it was cut short ({0}); copy the bundle again or export it with \
         'blemish-train export'"
    )]
    NotOnnx(String),
    #[error(
        "this ONNX model is not a bundle: it has no metadata property '{METADATA_KEY}', so tile size, \
         score rule and threshold are unknown; export bundles with 'blemish-train export'"
    )]
    Foreign,
    #[error(
        "the metadata property '{0}' is missing or there twice; the file was edited after its export: \
         export it again"
    )]
    Property(&'static str),
    #[error(
        "the content has SHA-256 {found}, but {stated} is stated; the file was damaged or edited after \
         its export: copy it again or export it again"
    )]
    Hash { stated: String, found: String },
    #[error(
        "the metadata have schema {found} and this program reads schema {SCHEMA_VERSION}; use a blemish \
         of the same version as the blemish-train that exported the bundle"
    )]
    Schema { found: String },
    #[error("the metadata cannot be read: {0}; export the bundle again")]
    Metadata(String),
    #[error("the metadata's '{field}' {reason}; export the bundle again")]
    Field { field: &'static str, reason: String },
    #[error("array '{tensor}' {reason}; train or export the bundle again")]
    Weight { tensor: String, reason: String },
    #[error("the graph {0}; export the bundle again")]
    Graph(String),
    #[error("this machine's engine refuses the graph: {0}")]
    Engine(EngineError),
    #[error("the golden picture cannot be used: {0}; export the bundle again")]
    GoldenPicture(String),
    #[error(
        "golden parity failed: at column {column}, line {line} the engine gives {found:.5} and the map \
         says {expected:.5} (largest of {wrong_px} differences above {tolerance}); verdicts on this \
         machine would not be those of training, so export the bundle again, or report the machine"
    )]
    Golden {
        column: usize,
        line: usize,
        found: f32,
        expected: f32,
        tolerance: f32,
        wrong_px: usize,
    },
}

impl Problem {
    /// The check that failed.
    pub const fn check(&self) -> Check {
        match self {
            Problem::Unreadable(_) | Problem::TooLong { .. } | Problem::Empty => Check::File,
            Problem::NotOnnx(_) | Problem::Foreign => Check::Format,
            Problem::Property(_) | Problem::Hash { .. } => Check::Hash,
            Problem::Schema { .. } | Problem::Metadata(_) | Problem::Field { .. } => {
                Check::Metadata
            }
            Problem::Weight { .. } => Check::Weights,
            Problem::Graph(_) => Check::Graph,
            Problem::Engine(_) => Check::Engine,
            Problem::GoldenPicture(_) | Problem::Golden { .. } => Check::Golden,
        }
    }
}
