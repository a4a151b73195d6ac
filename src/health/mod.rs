//! Whether this machine can be a station, before and while it is one.
//!
//! * **row**: one thing that a station depends on, with what was found and what to do;
//! * **red**: the station must not operate; **amber**: it may, with less than it could have.

mod machine;
mod released;
mod station;
mod thermal;

pub use machine::{machine_rows, own_watchdog_row, watchdog_row};
pub use station::{board_rows, station_rows};
pub use thermal::{Heat, ThermalWatch, Zone, thermal_row};

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Green,
    Amber,
    Red,
}

/// One dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub item: String,
    pub status: Status,
    pub found: String,
    /// What to do; empty where nothing is.
    pub fix: String,
}

impl Row {
    /// All is well.
    pub fn green(item: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            item: item.into(),
            status: Status::Green,
            found: found.into(),
            fix: String::new(),
        }
    }

    /// It works, with less than there could be.
    pub fn amber(
        item: impl Into<String>,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            status: Status::Amber,
            fix: fix.into(),
            ..Self::green(item, found)
        }
    }

    /// It does not work.
    pub fn red(item: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Status::Red,
            fix: fix.into(),
            ..Self::green(item, found)
        }
    }
}

/// An error's message split into what was found and what to do, at its last semicolon.
fn red_error(item: impl Into<String>, error: &dyn std::fmt::Display) -> Row {
    let text = error.to_string();
    match text.rsplit_once("; ") {
        Some((found, fix)) => Row::red(item, found, fix),
        None => Row::red(item, text, "mend what it says"),
    }
}
