//! The station: the thin shell of threads, queues and clocks around the core.
//!
//! * **input**: whatever reaches the core from outside, in one order: positions of the encoder, blocks,
//!   finished tiles, the passing of time;
//! * **schedule**: what decides that order: the clock, a model of one, or a recording;
//! * **witness**: whoever wants to know what happens: the journal, a terminal, a report.
//!
//! ```text
//! camera --(blocks)--> main thread: web --(tiles)--> n engine workers
//!                       |  ^  ^---------(maps)----------'
//!                       |  |
//!             (verdicts)|  |(what happened)--> witnesses --(records, pictures)--> evidence thread
//!                       v  |
//!   encoder --------> eject thread: ledger --> pins
//! ```
//!
//! Everything that the core decides follows from its inputs in their order, and the recording keeps
//! both; therefore a replay gives bit-equal verdicts and pulses, however many threads run.

mod assemble;
mod capture;
mod clock;
mod config;
mod core;
mod eject;
mod error;
mod input;
mod inspection;
mod journaling;
mod light_watch;
mod outbox;
mod real_time;
mod reel;
#[cfg(target_os = "linux")]
pub mod rights;
mod run;
mod settings;
mod simulation;
mod standing;
#[cfg(target_os = "linux")]
mod supervision;
mod supply;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
pub(crate) mod watchdog;
mod wires;
mod witness;

pub use self::core::{LineCounts, SPANS};
pub use crate::evidence::State;
pub use assemble::{Sources, assemble, open_outputs, open_source};
pub use clock::{Clock, RealClock, SimulatedClock};
pub use config::{
    EngineConfig, EvidenceConfig, LightConfig, LimitsOrigin, LimitsSetting, ModelConfig, Off, Pace,
    RealtimeConfig, SimulatedPace, Source, StationConfig, SupervisionConfig, WebLimits,
};
pub use error::StationError;
pub use journaling::Journaling;
pub use light_watch::LightWatch;
pub use reel::{Cutter, Piece};
pub use run::{Setup, Summary, run};
pub use settings::check_settings;
#[cfg(target_os = "linux")]
pub use supervision::Supervision;
#[cfg(target_os = "linux")]
pub use watchdog::Watchdog;
pub use witness::{Witness, Witnesses};
