//! The journal's one schema.

use super::State;
use crate::geometry::Count;
use crate::pins::{Jitter, Moment};
use crate::reject::{Accounting, ConfirmSums, RejectEvent, VerdictUse};
use crate::verdict::{Reason, Span, Verdict};
use crate::web::Region;
use serde::{Deserialize, Serialize};

/// Version of [`Record`] that this program writes and reads.
pub const JOURNAL_SCHEMA: u32 = 1;

/// Records that may wait for the disk: at 8 verdicts a second, two hours of a disk that hangs.
pub const RECORD_PLACES: usize = 1 << 16;

/// How far a wall clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WallQuality {
    /// Set by a time server since the system started.
    Ntp,
    /// From a clock with a battery.
    Rtc,
    /// The system had to guess: only `boot`, `ns` and the order of records mean something.
    Guessed,
    /// There is none: time was simulated or replayed.
    None,
}

/// The time of day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    pub quality: WallQuality,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId {
    pub name: String,
    pub sha256: String,
}

/// Something that keeps the station from inspecting, or that it did wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Fault {
    /// The camera is gone.
    Camera { message: String },
    /// Lines that came without pixels to be trusted.
    Lines { span: Span, reason: Reason },
    /// Lines are too dark, too bright or without contrast, or the light has drifted.
    Light { message: String },
    /// A block that cannot follow the last one.
    LineNumbers { message: String },
    /// The engine failed on a tile, from `first_line` on.
    Engine { first_line: u64, message: String },
    /// The ledger says so.
    Ledger { ledger: RejectEvent },
    /// The encoder cannot be read, or has lost edges.
    Encoder { message: String },
    /// An output cannot be driven.
    Pins { message: String },
    /// The web has come from camera to ejector without a verdict ok or defect.
    Uninspected { message: String },
    /// A reject was missed where that stops the line.
    LineStop { message: String },
    /// A pulse was not confirmed by the ejector.
    Ejector { message: String },
    /// The ejector's confirmation cannot be read, or rises while nothing is rejected.
    Confirm { message: String },
    /// The station did not run for a while.
    Stalled { message: String },
    /// The board is so hot, or its supply so weak, that it has slowed itself down.
    Throttled { message: String },
    /// Records that were lost because the disk did not take them.
    JournalLost { records: u64 },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    Start {
        station: String,
        version: String,
        model: ModelId,
        threshold: f32,
        min_area_px: u32,
    },
    /// A span was inspected.
    Verdict {
        span: Span,
        verdict: Verdict,
        /// Whether the ledger could still use it.
        taken: Taken,
        /// Regions that were completed since the last verdict.
        regions: Vec<Region>,
    },
    /// A span was not inspected, and is rejected.
    NotInspected {
        span: Span,
        reason: Reason,
    },
    RejectFired {
        span: Option<Span>,
        why: Verdict,
        commanded_count: Count,
        fired_count: Count,
    },
    RejectReleased {
        held_ns: u64,
    },
    /// What the ledger does besides: stops, turns, resets, holds.
    Ledger {
        ledger: RejectEvent,
    },
    State {
        state: State,
    },
    Fault {
        fault: Fault,
    },
    Recovered {
        fault: Fault,
    },
    ThresholdChanged {
        from: f32,
        to: f32,
        why: String,
    },
    ModelChanged {
        from: ModelId,
        to: ModelId,
    },
    /// The bundle's golden tile was run on this machine.
    GoldenChecked {
        difference: f32,
        tolerance: f32,
    },
    /// Something that is worth knowing and no fault.
    Note {
        text: String,
    },
    Stop {
        why: String,
        accounting: Box<Accounting>,
        /// Absent in journals of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jitter: Option<Box<Jitter>>,
        /// Where the ejector confirms its pulses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirmations: Option<ConfirmSums>,
    },
}

/// What the ledger made of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    InTime,
    Late,
    Ignored,
}

impl From<VerdictUse> for Taken {
    fn from(used: VerdictUse) -> Self {
        match used {
            VerdictUse::Taken => Self::InTime,
            VerdictUse::Late => Self::Late,
            VerdictUse::Ignored => Self::Ignored,
        }
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    /// Which start of the machine `ns` belongs to.
    pub boot: String,
    #[serde(flatten)]
    pub at: Moment,
    pub wall: Wall,
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// Whether a power cut must not take it: all but the verdicts, which come many times a second.
    pub(super) fn is_urgent(&self) -> bool {
        !matches!(
            self.event,
            Event::Verdict { .. } | Event::NotInspected { .. } | Event::RejectReleased { .. }
        )
    }
}
