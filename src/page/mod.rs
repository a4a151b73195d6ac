//! What people look at: reports in one file, and pictures with what was found drawn in.
//!
//! * **overview**: a whole picture, shrunk to what a screen shows;
//! * **crop**: a piece at the camera's own resolution around a region;
//! * **heat**: the anomaly map laid over a picture, from clear over yellow to red.

mod chart;
mod curves;
mod draw;
mod entry;
mod report;

pub use chart::{ScoreGroup, score_chart, score_histogram};
pub use curves::{Curve, Scale, curve_chart};
pub use draw::{Area, Canvas, Color, annotate};
pub use entry::{PictureEntry, Truth};
pub use report::{Cell, Report, Table, Tone, escape};
