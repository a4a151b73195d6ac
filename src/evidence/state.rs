//! What the station is doing, in the words of PackML (ISA-TR88.00.02).

use serde::{Deserialize, Serialize};

/// The subset of PackML's states that a station has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Checks itself; everything is rejected.
    Starting,
    /// Able to inspect; no web yet.
    Idle,
    /// Inspects.
    Execute,
    /// The web stands: nothing to inspect, nothing wrong.
    Suspended,
    /// Something of its own is missing, the camera for instance; everything is rejected.
    Held,
    /// The web has ended; what is under way is brought to its end.
    Stopping,
    /// Done.
    Stopped,
}

impl State {
    /// Whether the output `ready` is energised.
    pub const fn is_ready(self) -> bool {
        matches!(self, State::Idle | State::Execute | State::Suspended)
    }

    /// As the journal and the terminal spell it.
    pub const fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Idle => "idle",
            State::Execute => "execute",
            State::Suspended => "suspended",
            State::Held => "held",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
        }
    }
}
