//! How late pulses were, and where the time went.

use crate::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// Commanded against fired, for every pulse of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// Counts that the web ran on from where a pulse was due until it was decided for.
    pub due_to_decided_counts: Histogram,
    /// The same way as microseconds, by the web's positions before and after.
    pub due_to_decided_us: Histogram,
    /// Microseconds from there until the pin was driven, where pins are real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_to_driven_us: Option<Histogram>,
    /// Microseconds between two looks at encoder and pins, in real time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between_looks_us: Option<Histogram>,
}
