//! Why a station does not run, or stops.

use crate::camera::CameraError;
use crate::evidence::EvidenceError;
use crate::light::LightError;
use crate::pins::PinError;
use crate::reject::{IdentityError, RejectConfigError};
use crate::web::ConfigError;
use std::path::PathBuf;

/// What failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StationError {
    #[error(transparent)]
    Camera(#[from] CameraError),
    #[error(transparent)]
    Light(#[from] LightError),
    #[error(transparent)]
    Pins(#[from] PinError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("the inspection's settings do not work: {0}")]
    Web(#[from] ConfigError),
    #[error("the ledger's settings do not work: {0}")]
    Reject(#[from] RejectConfigError),
    /// A configuration that cannot be read.
    #[error("cannot use the configuration '{path}': {reason}")]
    Config { path: PathBuf, reason: String },
    /// Settings that contradict each other.
    #[error("the settings contradict each other: {0}")]
    Contradiction(String),
    /// A bundle that is not for a line.
    #[error(
        "the bundle was trained on whole pictures resized to one tile, which a web never is; use a bundle trained with native tiles"
    )]
    ResizedBundle,
    /// A recording's order of inputs.
    #[error("cannot use the recording's '{path}': {reason}; record the run again")]
    Inputs { path: PathBuf, reason: String },
    /// A recording that was cut short, or whose files are of different runs.
    #[error(
        "the recording ends before line {first_line}, which its order of inputs names; record the run again"
    )]
    BlockMissing { first_line: u64 },
    /// A recording whose lines or settings were changed.
    #[error(
        "the recording's order of inputs names tile {number}, which was not cut: its lines, light.limits or bundle are not those that it was made with; set them back, or record the run again"
    )]
    TileMissing { number: u64 },
    /// The hardware watchdog.
    #[error("the watchdog '{path}' of supervision.watchdog {reason}")]
    Watchdog { path: PathBuf, reason: String },
    /// No more threads.
    #[error("the system gives no more threads: {0}")]
    Threads(std::io::Error),
    /// A thread of the station ended on its own.
    #[error("the {0} thread ended early; see the messages above")]
    ThreadLost(&'static str),
    /// The account does not add up.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}
