//! Where lines come from: the trait of a line camera, and everything that stands in for one.
//!
//! * **block**: consecutive lines as one camera buffer holds them ([`Block`]);
//! * **belt**: when each line is exposed and where the encoder stands then ([`Belt`]);
//! * **fault**: lines that passed but whose pixels prove nothing; they come as blocks as well, so that
//!   lines are never missing from the account.
//!
//! A camera promises that line numbers are consecutive from block to block and that stamps never go
//! back in time. Waiting for a trigger is not a fault: the belt may stand.

mod belt;
mod dataset;
mod error;
mod fault_injector;
mod random;
mod recorder;
mod replay;
mod strips;
mod synthetic;
#[cfg(target_os = "linux")]
mod v4l2;
mod web_texture;

pub use belt::{Belt, BeltSpec, Move};
pub use dataset::{DatasetSpec, write_dataset};
pub use error::CameraError;
pub use fault_injector::{FaultInjector, FaultRates};
pub use random::Random;
pub use recorder::{RECORDING_SCHEMA, Recorder, RecordingHeader};
pub use replay::Replay;
pub use strips::Strips;
pub use synthetic::{Synthetic, SyntheticSpec};
#[cfg(target_os = "linux")]
pub use v4l2::{ControlValue, DeviceError, PixelFormat, V4l2Camera, V4l2Spec, Zero};
pub use web_texture::{
    Defect, DefectKind, LEAST_DEFECT_SPACING_LINES, Truth, WebSpec, WebTexture, plan_defects,
};

use crate::block::{Block, LineStamp};
use crate::geometry::LineNumber;
use crate::picture::{Picture, Samples};
use std::time::Duration;

/// Added to all counts of a live camera whose lines are counted by their number, each time that web
/// may have passed it unseen: more than any web can have travelled, so that the ledger takes it as an
/// encoder fault and rejects all web between camera and ejector.
pub const PLACE_LOST_COUNTS: i64 = 1 << 30;

/// How the lines of a camera look, from its start to its stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineFormat {
    pub width_px: u32,
    /// 1 (grey) or 3 (R, G, B).
    pub channels: u32,
    /// Whether samples have 16 bits instead of 8.
    pub sixteen_bit: bool,
    /// Lines in a whole block; the last of a run may be shorter.
    pub lines_per_block: u32,
}

impl LineFormat {
    /// Samples in a line.
    pub const fn samples_per_line(&self) -> usize {
        self.width_px as usize * self.channels as usize
    }

    /// A block to be filled again and again.
    pub fn empty_block(&self) -> Block {
        let capacity = self.samples_per_line() * self.lines_per_block as usize;
        Block {
            first_line: LineNumber(0),
            picture: Picture {
                width_px: self.width_px as usize,
                height_px: 0,
                channels: self.channels as usize,
                samples: if self.sixteen_bit {
                    Samples::U16(Vec::with_capacity(capacity))
                } else {
                    Samples::U8(Vec::with_capacity(capacity))
                },
            },
            stamps: Vec::with_capacity(self.lines_per_block as usize),
            timed_line: None,
            fault: None,
        }
    }
}

/// What [`Camera::next_block`] came back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockEvent {
    /// The block holds the next lines.
    Filled,
    /// Nothing came in time. The belt may stand still; the block is as it was.
    Waiting,
    /// There will be no more lines: the end of a folder or recording. Never from a live camera.
    End,
}

/// A line camera, or what stands in for one.
pub trait Camera: Send {
    /// How its lines look. Does not change while it runs.
    fn format(&self) -> LineFormat;

    /// Begins to deliver. Line numbers go on where they stopped.
    ///
    /// # Errors
    /// Where the device or folder refuses; the message says what to do.
    fn start(&mut self) -> Result<(), CameraError>;

    /// Waits up to `patience` for the next lines and puts them into `into`, whose buffers are kept and
    /// whose old content is lost. Lines that passed unseen come as a block with its fault set, before
    /// the lines that follow them.
    ///
    /// # Errors
    /// Where the camera is lost. The caller stops it, starts it again and goes on; until then every
    /// line that passes is not inspected.
    fn next_block(
        &mut self,
        patience: Duration,
        into: &mut Block,
    ) -> Result<BlockEvent, CameraError>;

    /// Ends the delivery; lines exposed until [`start`](Self::start) are not seen.
    fn stop(&mut self);
}

impl Camera for Box<dyn Camera> {
    fn format(&self) -> LineFormat {
        (**self).format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        (**self).start()
    }

    fn next_block(
        &mut self,
        patience: Duration,
        into: &mut Block,
    ) -> Result<BlockEvent, CameraError> {
        (**self).next_block(patience, into)
    }

    fn stop(&mut self) {
        (**self).stop();
    }
}

/// Empties `block` for lines from `first_line` on.
fn begin(block: &mut Block, first_line: LineNumber) {
    block.first_line = first_line;
    block.fault = None;
    block.timed_line = None;
    block.stamps.clear();
    block.picture.height_px = 0;
    match &mut block.picture.samples {
        Samples::U8(samples) => samples.clear(),
        Samples::U16(samples) => samples.clear(),
    }
}

/// Adds a stamp whose line is already in the picture.
fn push_stamp(block: &mut Block, stamp: LineStamp) {
    block.stamps.push(stamp);
    block.picture.height_px += 1;
}
