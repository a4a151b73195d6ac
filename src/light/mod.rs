//! Even light: what a line camera gives of an even white web, made even.
//!
//! Words of EMVA 1288:
//!
//! * **dark offset**: what a column gives without light; its spread over the columns is **DSNU**;
//! * **PRNU**: the spread of the columns' answer to the same light, here together with lamp and lens;
//! * **temporal noise**: the spread of a column from line to line under unchanged light.
//!
//! `corrected = (sample - dark offset) * gain`, column by column, where the gains make every column
//! give what the brightest gives, so that what is saturated stays so. [`measure`](Measurement) collects
//! lines, [`Dark`] and [`White`] judge them, [`Corrected`] corrects on the way from the camera.
//! [`LightJudge`] says of every block whether its light is one that can be inspected.

mod correct;
mod drift;
mod file;
mod judge;
mod limits;
mod measure;

pub use correct::{Corrected, DriftNews};
pub use drift::{Drift, Look, Watched};
pub use file::{FlatFieldFile, Settings};
pub use judge::{Columns, Dark, LEAST_LINES, Refusal, White};
pub use limits::{BadLight, LightJudge, LightLimits, Seen};
pub use measure::Measurement;

use std::path::PathBuf;

/// Why a calibration is not made or not used.
#[derive(Debug, thiserror::Error)]
pub enum LightError {
    /// Lines from which no calibration can be made.
    #[error("no calibration: {0}")]
    Refused(#[from] Refusal),
    /// The file system.
    #[error(
        "cannot use the flat field '{path}': {source}; name a file that may be read and written"
    )]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Not what this program wrote.
    #[error(
        "the flat field '{path}' is damaged ({reason}); run `blemish calibrate dark` and `blemish calibrate white` again"
    )]
    Damaged { path: PathBuf, reason: String },
    /// Half a calibration.
    #[error("the flat field '{path}' has no white yet; run `blemish calibrate white`")]
    NoWhite { path: PathBuf },
    /// Made under other settings.
    #[error(
        "the flat field '{path}' was made with {made}, but the configuration has {now}; set it back, or calibrate again"
    )]
    Settings {
        path: PathBuf,
        made: String,
        now: String,
    },
    /// Columns of the drift watch.
    #[error(
        "light.reference_columns {first}..{end} are not columns of lines of {width_px} px; give [first, end]"
    )]
    ReferenceColumns { first: u32, end: u32, width_px: u32 },
}
