//! The wires between station and machine: outputs to ejector and PLC, counts from the encoder.
//!
//! * **energised**: current flows. `reject` is energised while web is accepted, so that a dead
//!   process, a cut wire or an unpowered board means reject;
//! * **ready**: energised while the station is able to inspect;
//! * **heartbeat**: changes its level with every verdict, never by a timer, so that a hung station has
//!   no pulse.

mod belt_encoder;
mod line_encoder;
mod recorded;

pub use belt_encoder::BeltEncoder;
pub use line_encoder::LineEncoder;
pub use recorded::{Edge, RecordedOutputs};

use crate::block::LineStamp;
use crate::geometry::Count;
use serde::{Deserialize, Serialize};

/// A moment of the machine: CLOCK_MONOTONIC and the encoder's position then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    pub ns: u64,
    pub count: Count,
}

/// A wire that the station drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Energised: web is accepted.
    Reject,
    /// Energised: the station inspects.
    Ready,
    /// Changes with every verdict.
    Heartbeat,
}

/// The outputs of a station.
pub trait Outputs: Send {
    /// Brings one output to a level. `now` is when and where; a device that stamps by itself may
    /// ignore it.
    ///
    /// # Errors
    /// Where the line is gone or taken. The caller counts on nothing then: without this process the
    /// hardware falls to reject.
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError>;

    /// Takes the current from all outputs: reject, not ready. Called last of all.
    ///
    /// # Errors
    /// As [`drive`](Self::drive).
    fn release_all(&mut self, now: Moment) -> Result<(), PinError>;
}

/// Where the web is.
pub trait Encoder: Send {
    /// The next position that was reached at or before `until_ns`, in the order of time; `None` where
    /// there is no more yet. Positions may be as far apart as a line.
    ///
    /// # Errors
    /// Where the encoder cannot be read any more; all web is rejected until it can.
    fn next_position(&mut self, until_ns: u64) -> Result<Option<Moment>, PinError>;

    /// Lines that the camera has delivered, for an encoder that counts by them.
    fn lines(&mut self, _stamps: &[LineStamp]) {}

    /// The camera is lost, and with it the place of an encoder that counts by its lines.
    fn camera_lost(&mut self) {}
}

/// Why a wire does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// An output that cannot be driven.
    #[error(
        "cannot drive the output {output:?}: {reason}; check that no other program holds the line"
    )]
    Drive { output: Output, reason: String },
    /// An encoder that cannot be read.
    #[error(
        "cannot read the encoder: {0}; check its wiring and that no other program holds the line"
    )]
    Encoder(String),
}
