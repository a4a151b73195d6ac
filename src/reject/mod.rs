//! The ledger: from verdicts to the ejector's pulses.
//!
//! * **web count**: the count that a piece of web had at the camera; it is at the ejector
//!   `distance_counts` later;
//! * **armed**: will be rejected unless found ok in time;
//! * **committed**: so near the ejector that its fate is fixed;
//! * **hold**: the output rejects whatever lies below it.
//!
//! What always holds:
//!
//! 1. A piece of web goes past the ejector untouched only if every line that saw it belongs to a
//!    span found ok before the web was committed. Web that no line saw is rejected. Where a delayed
//!    call or a change of speed makes this impossible, the web is reported as missed and counted.
//! 2. Everything that passes has one word; see [`Accounting::identity`].
//! 3. After construction nothing allocates, waits, or reads a clock.
//!
//! The order of calls is [`Ledger::arm`] for lines, [`Ledger::verdict`] for spans, and
//! [`Ledger::advance`] with the present time and count at least every `call_period_us`; its
//! [`Outputs`] go to the pins, and [`Ledger::pop_event`] gives what the journal wants to know.
//! The reasons are in `docs/design/ledger.md`.

mod accounting;
mod config;
mod confirm;
mod event;
mod exposure;
mod ledger;
mod lines;
mod pulses;
mod record;
mod speed;
#[cfg(test)]
mod tests;
mod travel;
mod verdicts;

pub use accounting::{Accounting, IdentityError, Tally};
pub use config::{RejectConfig, RejectConfigError, ReversePolicy};
pub use confirm::{
    ConfirmConfig, ConfirmSums, Confirmations, MOST_STRAY_PER_MINUTE, OnMissing, Unconfirmed,
};
pub use event::{HoldCause, RejectEvent};
pub use exposure::{Exposure, Exposures};
pub(crate) use ledger::OVERSPEED;
pub use ledger::{Alarms, Ledger, Outputs};
pub use lines::ArmError;
pub use speed::SpeedEstimate;
pub use verdicts::VerdictUse;

/// Counts beyond this can come from no real encoder (at 10 MHz it is 7000 years away): they are
/// taken as this one, which keeps every sum of counts inside 64 bits.
pub(crate) const SANE_COUNT: i64 = 1 << 61;
