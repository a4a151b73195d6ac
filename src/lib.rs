//! blemish: surface-defect inspection on a Raspberry Pi or a Jetson.
//!
//! The library is built from the inside out:
//!
//! * [`geometry`], [`histogram`], [`picture`], [`draem`] and [`metrics`] know pixels and numbers only;
//! * [`web`] turns lines into tiles and anomaly maps into verdicts, [`reject`] turns verdicts into
//!   ejector pulses; neither knows a thread, a clock, a file or a device;
//! * [`model`] reads bundles and [`engine`] runs them with tract;
//! * [`light`] makes a camera's columns answer alike;
//! * [`camera`], [`pins`] and [`evidence`] are the edges of a station, [`station`] the thin shell of
//!   threads and clocks that joins them, [`page`] what people look at;
//! * [`board`] knows machines by name, `health` looks whether this one can be a station.
//!
//! The trainer (`blemish-train`) uses the same library, so a tile is cut, scaled and scored by one
//! piece of code in training and on the line.

pub mod block;
pub mod board;
pub mod camera;
pub mod draem;
pub mod engine;
pub mod evidence;
pub mod geometry;
#[cfg(target_os = "linux")]
pub mod health;
pub mod histogram;
pub mod light;
pub mod metrics;
pub mod model;
pub mod page;
pub mod picture;
pub mod pins;
pub mod reject;
pub mod station;
#[cfg(test)]
mod test_golden;
pub mod text;
pub mod verdict;
pub mod web;
mod whole_file;
