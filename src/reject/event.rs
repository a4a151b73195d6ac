//! What the ledger tells the journal and the alarms.

use crate::geometry::{Count, LineNumber};
use crate::verdict::{Reason, Span, Verdict};
use serde::{Deserialize, Serialize};

/// Why the output is forced to reject, whatever the web below the ejector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// The ledger was full: web went by whose fate it could not keep.
    QueueFull,
    /// The shell asked for it.
    Asked,
}

/// One thing that happened. `count` is the encoder's, `web_count` is the count a piece of web had
/// at the camera; both are raw counts of the encoder. Times are CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum RejectEvent {
    /// The output went from accept to reject.
    Fired {
        at_ns: u64,
        /// The span that asked for it; none for web of which no line is known.
        span: Option<Span>,
        why: Verdict,
        /// Where the pulse was due.
        commanded_count: Count,
        /// Where it was commanded.
        fired_count: Count,
    },
    /// The output went from reject to accept.
    Released {
        at_ns: u64,
        count: Count,
        held_ns: u64,
    },
    /// Web that was not proven ok passed the ejector untouched. It is told as soon as the first of a span has passed, and
    /// once for each span: `counts` are those of that moment. What followed is in the account's `missed_counts`.
    Missed {
        at_ns: u64,
        span: Option<Span>,
        what: Verdict,
        web_count: Count,
        counts: u64,
    },
    /// A verdict came after its web had been committed to reject; the web stays rejected. Lines of
    /// `span` whose pulse was not yet due are not counted in `lines`.
    Late {
        span: Span,
        verdict: Verdict,
        lines: u32,
        count: Count,
    },
    /// The output is forced to reject from here on.
    Held { cause: HoldCause, count: Count },
    /// The cause has gone and its web has passed.
    Freed { cause: HoldCause, count: Count },
    /// No place for this line and those behind it; see [`HoldCause::QueueFull`].
    QueueFull {
        first_line: LineNumber,
        web_count: Count,
    },
    /// A pulse lasts longer than `max_hold_ms` on a moving web.
    ContinuousReject { at_ns: u64, count: Count },
    /// More than `max_pulses_per_minute` pulses within a minute.
    PulseRate { at_ns: u64, pulses: u32 },
    /// The web runs backwards from `from`.
    Reversed { at_ns: u64, from: Count },
    /// The web is again where it turned.
    Returned { at_ns: u64, count: Count },
    /// The count has stood still for `stationary_after_ms`.
    Stopped { at_ns: u64, count: Count },
    /// The count moves again.
    Moving { at_ns: u64, count: Count },
    /// The count jumped farther than the web can travel; a reset follows.
    EncoderFault { at_ns: u64, from: Count, to: Count },
    /// Everything between camera and ejector is not inspected for this reason, and rejected.
    Reset {
        at_ns: u64,
        count: Count,
        reason: Reason,
    },
}
