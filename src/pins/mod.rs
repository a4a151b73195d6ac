//! The wires between station and machine: outputs to ejector and PLC, counts from the encoder.
//!
//! * **energised**: current flows. `reject` is energised while web is accepted, so that a dead
//!   process, a cut wire or an unpowered board means reject;
//! * **ready**: energised while the station is able to inspect;
//! * **heartbeat**: changes its level with verdicts ok and defect, never by a timer, so that a hung or blind
//!   station has no pulse;
//! * **confirm**: the ejector, or a sensor behind it, says that a reject happened.

mod both;
mod config;
mod counting;
#[cfg(target_os = "linux")]
mod gpio;
mod jitter;
mod line_encoder;
mod recorded;
mod triggered_lines;

pub use both::WatchedOutputs;
pub use config::{Bias, ConfirmPin, Drive, EncoderConfig, LineConfig, OutputConfig, PinsConfig};
pub use counting::{
    BeltEncoder, Channel, ChannelEdge, ChannelNews, ChannelWatch, CountedEdges, Decoding,
    EdgeCounter, TimeEncoder, Track,
};
#[cfg(target_os = "linux")]
pub use gpio::{GpioConfirm, GpioEncoder, GpioOutputs, SeenLine, find_line, seen_lines};
pub use jitter::Jitter;
pub use line_encoder::CameraLineEncoder;
pub use recorded::{Edge, RecordedOutputs};
pub use triggered_lines::{Placing, ProvenWay, TriggeredLines};

use crate::block::LineStamp;
use crate::geometry::Count;
use crate::histogram::Histogram;
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
    /// Changes with verdicts ok and defect.
    Heartbeat,
}

/// The outputs of a station.
pub trait Outputs: Send {
    /// Brings one output to a level. `now` is when and where; a device that stamps by itself may
    /// ignore it.
    ///
    /// # Errors
    /// Where the line is gone or taken. The caller counts on nothing then: without this process the
    /// hardware falls to reject. [`check`](Self::check) gets it back.
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError>;

    /// Looks whether every line is still held, and takes back what was lost, without current. Called
    /// a few times a second.
    ///
    /// # Errors
    /// Where a line is lost; a loss is told at least once before the line is taken back.
    fn check(&mut self, _now: Moment) -> Result<(), PinError> {
        Ok(())
    }

    /// Takes the current from all outputs: reject, not ready. Called last of all.
    ///
    /// # Errors
    /// As [`drive`](Self::drive).
    fn release_all(&mut self, now: Moment) -> Result<(), PinError>;

    /// Microseconds from the moment that a pulse was decided for until it was on the pin, where the
    /// outputs can tell.
    fn pulse_delays_us(&self) -> Option<&Histogram> {
        None
    }
}

impl Outputs for Box<dyn Outputs> {
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError> {
        (**self).drive(output, energised, now)
    }

    fn check(&mut self, now: Moment) -> Result<(), PinError> {
        (**self).check(now)
    }

    fn release_all(&mut self, now: Moment) -> Result<(), PinError> {
        (**self).release_all(now)
    }

    fn pulse_delays_us(&self) -> Option<&Histogram> {
        (**self).pulse_delays_us()
    }
}

/// What an encoder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncoderEvent {
    /// The web is, or was then, here.
    Position(Moment),
    /// Edges were lost: the position is no longer that of the web that was seen before.
    EdgesLost { at: Moment, edges: u64 },
    /// Positions told before were off by so many counts. The web is here now.
    PlaceLost { at: Moment, off_counts: u64 },
    /// The encoder cannot be read, for this reason, until it is [`Back`](Self::Back).
    Gone(String),
    /// It can be read again; what the web did in between is unknown.
    Back,
}

/// Where the web is.
pub trait Encoder: Send {
    /// The next thing that happened at or before `until_ns`, in the order of time; `None` where there
    /// is no more yet. Positions may be as far apart as a line.
    ///
    /// # Errors
    /// Where the encoder cannot be read and trying again is no use.
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError>;

    /// Lines that the camera has delivered, for an encoder that counts by them.
    fn lines(&mut self, _stamps: &[LineStamp]) {}

    /// The camera is lost, and with it the place of an encoder that counts by its lines.
    fn camera_lost(&mut self) {}
}

/// What the ejector's confirmation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmEvent {
    /// It rose so often since the last event, the last time at `ns`.
    Rose { ns: u64, edges: u64 },
    /// It cannot be read, for this reason, until it is [`Back`](Self::Back).
    Gone(String),
    /// It can be read again.
    Back,
}

/// Whether the ejector did what it was told.
pub trait ConfirmInput: Send {
    /// What has happened up to `until_ns` and was not told yet; `None` where nothing has.
    fn next_event(&mut self, until_ns: u64) -> Option<ConfirmEvent>;
}

/// Why a wire does not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// A line that cannot be found, requested, read or driven.
    #[error("the line {line} for {role}: {reason}; {remedy}")]
    Line {
        /// What it is for: `reject`, `encoder`.
        role: &'static str,
        line: String,
        reason: String,
        remedy: String,
    },
    /// An encoder that cannot work as it is set.
    #[error("the encoder: {0}")]
    Encoder(String),
}
