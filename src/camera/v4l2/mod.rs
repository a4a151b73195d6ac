//! A live line camera behind V4L2.
//!
//! * **frame**: a buffer of the driver; here a block of `lines_per_block` lines;
//! * **sys** holds the kernel's calls, **format** and **controls** what the device is told,
//!   **pixels** what its bytes mean, **frames** what its buffers mean.
//!
//! Of the crate `v4l` only the device, the bindings and the calls are used, never its stream.
//!
//! | what the driver shows | what comes of it |
//! |---|---|
//! | a gap in `sequence` | blocks `dropped`, their times spread between the frames around them |
//! | `V4L2_BUF_FLAG_ERROR` | a block `error_flag` |
//! | fewer bytes than the lines need | a block `short` |
//! | a repeated `sequence`, a time that is not after the last, or before the stream began | a block `stale` |
//! | nothing | [`BlockEvent::Waiting`]; after `timeout_ms`, where set, the camera is lost |
//! | EIO, POLLERR, ENODEV, a `sequence` begun anew | the camera is lost, or its place is; it is opened again by its path |

mod controls;
mod error;
#[cfg(test)]
mod failing_driver;
mod format;
mod frames;
mod pixels;
mod sys;

pub use controls::ControlValue;
pub use error::DeviceError;
pub use pixels::PixelFormat;

use super::{BlockEvent, Camera, CameraError, LineFormat, PLACE_LOST_COUNTS, begin};
use crate::block::{Block, LineStamp, TimedLine};
use crate::geometry::{Count, LineNumber};
use format::Layout;
use frames::{BufferFacts, FrameCounts, Frames, Judged, Run, Timed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sys::{Node, Queue, Ready, Taken};
use v4l::v4l_sys::{
    V4L2_BUF_FLAG_ERROR, V4L2_BUF_FLAG_TIMESTAMP_MASK, V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC,
    V4L2_BUF_FLAG_TSTAMP_SRC_MASK, V4L2_BUF_FLAG_TSTAMP_SRC_SOE,
};

/// A live camera's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V4l2Spec {
    /// The camera's node; a name below `/dev/v4l/by-path` survives a new numbering.
    pub device: PathBuf,
    /// One of the device's inputs, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u32>,
    pub width_px: u32,
    /// Height of a frame.
    pub lines_per_block: u32,
    #[serde(default)]
    pub format: PixelFormat,
    /// Lines per second that the camera runs at, or at most where it is triggered by the belt.
    pub line_rate_hz: f64,
    /// Encoder counts from one line to the next.
    pub counts_per_line: u32,
    /// Buffers that the driver may fill ahead.
    #[serde(default = "default_buffers")]
    pub buffers: u32,
    /// A camera that is silent for so long is lost; 0 where the belt may stand, since then the
    /// camera is triggered by it.
    #[serde(default)]
    pub timeout_ms: u32,
    /// SFNC's features, and V4L2's controls by their own names behind `v4l2:`.
    #[serde(default)]
    pub controls: BTreeMap<String, ControlValue>,
}

const fn default_buffers() -> u32 {
    4
}

impl V4l2Spec {
    /// Whether the belt's encoder triggers every line, so that they are `counts_per_line` apart whatever
    /// the time between them.
    pub fn is_triggered(&self) -> bool {
        self.timeout_ms == 0
    }

    /// Whether every setting can be used.
    ///
    /// # Errors
    /// The first that cannot, with the rule.
    pub fn check(&self) -> Result<(), DeviceError> {
        let setting = |key, reason: &str| {
            Err(DeviceError::Setting {
                key,
                reason: reason.to_owned(),
            })
        };
        if !(1..=65536).contains(&self.width_px) {
            return setting("width_px", "give 1 to 65536");
        }
        if !(1..=65536).contains(&self.lines_per_block) {
            return setting("lines_per_block", "give 1 to 65536");
        }
        if !(self.line_rate_hz > 0.0 && self.line_rate_hz <= 1e6) {
            return setting("line_rate_hz", "give a rate above 0 and at most 1000000");
        }
        if self.counts_per_line == 0 {
            return setting("counts_per_line", "give at least 1");
        }
        if !(2..=32).contains(&self.buffers) {
            return setting(
                "buffers",
                "give 2 to 32; with one the camera would lose every second block",
            );
        }
        Ok(())
    }
}

/// The station's time 0.
#[derive(Debug, Clone, Copy)]
pub struct Zero {
    pub at: Instant,
    /// The same on CLOCK_MONOTONIC, which drivers stamp frames with.
    pub monotonic_ns: u64,
}

/// A camera whose lines have counts by their number: the first line is at `counts_per_line`, each line
/// of new web as much farther. Where it is lost, its place is: from then on all counts are
/// [`PLACE_LOST_COUNTS`] greater, which no web can have travelled.
pub struct V4l2Camera {
    spec: V4l2Spec,
    zero: Zero,
    /// How far counts are from `counts_per_line` for every line.
    offset_counts: i64,
    frames: Frames,
    /// Open, but not streaming.
    opened: Option<(Node, Layout)>,
    stream: Option<Stream>,
    started_before: bool,
    told_other_clock: bool,
    restarts: u64,
}

struct Stream {
    node: Node,
    layout: Layout,
    queue: Queue,
    /// A frame whose missing lines, or whose own, have not been delivered yet.
    pending: Option<(Taken, Judged)>,
    silent_since_ns: u64,
}

impl V4l2Camera {
    /// Opens and sets the camera.
    ///
    /// # Errors
    /// Where the device does not take the settings; the message names the key.
    pub fn open(spec: &V4l2Spec, zero: Zero) -> Result<Self, CameraError> {
        spec.check()?;
        let mut camera = Self {
            frames: Frames::new(spec.lines_per_block, spec.line_rate_hz),
            spec: spec.clone(),
            zero,
            offset_counts: 0,
            opened: None,
            stream: None,
            started_before: false,
            told_other_clock: false,
            restarts: 0,
        };
        camera.opened = Some(camera.open_device()?);
        Ok(camera)
    }

    fn open_device(&self) -> Result<(Node, Layout), DeviceError> {
        let (node, layout) = format::open(&self.spec)?;
        controls::set_all(&node, &self.spec)?;
        Ok((node, layout))
    }

    fn now_ns(&self) -> u64 {
        self.zero.at.elapsed().as_nanos() as u64
    }

    fn facts(&mut self, taken: &Taken, layout: &Layout) -> BufferFacts {
        let monotonic =
            taken.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        if !monotonic && !self.told_other_clock {
            log::warn!(
                "'{}' does not stamp its frames with CLOCK_MONOTONIC; the time of their arrival is taken, so counts looked up by time are late by the transfer",
                self.spec.device.display()
            );
            self.told_other_clock = true;
        }
        BufferFacts {
            sequence: taken.sequence,
            stamp_ns: monotonic.then(|| taken.stamp_ns.saturating_sub(self.zero.monotonic_ns)),
            stamped_at_start: taken.flags & V4L2_BUF_FLAG_TSTAMP_SRC_MASK
                == V4L2_BUF_FLAG_TSTAMP_SRC_SOE,
            arrival_ns: self.now_ns(),
            error_flag: taken.flags & V4L2_BUF_FLAG_ERROR != 0,
            whole_lines: layout.whole_lines(taken.bytes_used) as u32,
        }
    }

    /// Waits for a frame and judges it.
    fn next_frame(&mut self, stream: &mut Stream, patience: Duration) -> Result<bool, CameraError> {
        let lost = |what: &str, error: &std::io::Error| {
            CameraError::Lost(format!(
                "{what} of '{}': {error}",
                self.spec.device.display()
            ))
        };
        let ready = stream.node.wait(patience);
        let ready = ready.map_err(|error| lost("waiting for a frame", &error))?;
        let taken = match ready {
            Ready::Nothing => None,
            // DQBUF says why.
            Ready::Buffer | Ready::Failed => stream
                .queue
                .take()
                .map_err(|error| lost("the stream", &error))?,
        };
        let Some(taken) = taken else {
            let silent_ms = self.now_ns().saturating_sub(stream.silent_since_ns) / 1_000_000;
            let most_ms = u64::from(self.spec.timeout_ms);
            if ready == Ready::Failed || (most_ms > 0 && silent_ms > most_ms) {
                return Err(CameraError::Lost(format!(
                    "no frame from '{}' for {silent_ms} ms",
                    self.spec.device.display()
                )));
            }
            return Ok(false);
        };
        let facts = self.facts(&taken, &stream.layout);
        stream.silent_since_ns = facts.arrival_ns;
        let judged = self.frames.judge(facts);
        if judged.place_lost {
            self.lose_place();
        }
        stream.pending = Some((taken, judged));
        Ok(true)
    }

    fn lose_place(&mut self) {
        self.offset_counts += PLACE_LOST_COUNTS;
    }

    /// Delivers the next piece of a judged frame.
    fn deliver(&mut self, stream: &mut Stream, into: &mut Block) -> Result<(), CameraError> {
        let Some((taken, mut judged)) = stream.pending.take() else {
            return Ok(());
        };
        if judged.missing.lines > 0 {
            let piece = judged.missing.split(u64::from(self.spec.lines_per_block));
            begin(into, LineNumber(piece.first_line));
            into.fault = Some(judged.missing_for);
            self.stamp(&piece, into);
            stream.pending = Some((taken, judged));
            return Ok(());
        }
        begin(into, LineNumber(judged.own.first_line));
        into.fault = judged.fault;
        let bytes = stream.queue.bytes(&taken);
        let width_px = self.spec.width_px as usize;
        let layout = &stream.layout;
        let lines = bytes.chunks(layout.stride_bytes).take(layout.lines);
        for line in lines.filter(|line| line.len() >= layout.line_bytes) {
            self.spec
                .format
                .append(line, width_px, &mut into.picture.samples);
            into.picture.height_px += 1;
        }
        self.stamp(&judged.own, into);
        into.timed_line = timed_line(&judged);
        stream.queue.give_back(taken).map_err(|error| {
            CameraError::Lost(format!(
                "'{}' does not take a buffer back: {error}",
                self.spec.device.display()
            ))
        })
    }

    fn stamp(&self, run: &Run, into: &mut Block) {
        let counts_per_line = i64::from(self.spec.counts_per_line);
        for place in 0..run.lines {
            let counts = counts_per_line.saturating_mul(run.web_lines(place) as i64);
            into.stamps.push(LineStamp {
                exposure_ns: run.exposure_ns(place),
                count: Count(counts.saturating_add(self.offset_counts)),
            });
        }
    }
}

/// The line that the driver's time of a frame is the exposure of.
fn timed_line(judged: &Judged) -> Option<TimedLine> {
    let (line, exposure_ns) = judged.timed?;
    let place = match line {
        Timed::First => 0,
        Timed::Last => judged.own.lines.checked_sub(1)? as usize,
    };
    Some(TimedLine { place, exposure_ns })
}

impl Camera for V4l2Camera {
    fn format(&self) -> LineFormat {
        self.spec
            .format
            .line_format(self.spec.width_px, self.spec.lines_per_block)
    }

    fn start(&mut self) -> Result<(), CameraError> {
        let (node, layout) = match self.opened.take() {
            Some(opened) => opened,
            None => self.open_device()?,
        };
        let began_ns = self.now_ns();
        let queue = Queue::start(&node, self.spec.buffers).map_err(|error| {
            let asked = format!("a stream with {} buffers", self.spec.buffers);
            DeviceError::refused("buffers", &self.spec.device, asked, error)
        })?;
        self.frames.stream_begins(began_ns);
        if self.started_before {
            self.restarts += 1;
        }
        self.started_before = true;
        self.stream = Some(Stream {
            node,
            layout,
            queue,
            pending: None,
            silent_since_ns: self.now_ns(),
        });
        Ok(())
    }

    fn next_block(
        &mut self,
        patience: Duration,
        into: &mut Block,
    ) -> Result<BlockEvent, CameraError> {
        let Some(mut stream) = self.stream.take() else {
            return Err(CameraError::Lost(format!(
                "'{}' is not started",
                self.spec.device.display()
            )));
        };
        let more = match stream.pending {
            Some(_) => Ok(true),
            None => self.next_frame(&mut stream, patience),
        };
        let more = more.and_then(|more| self.deliver(&mut stream, into).map(|()| more));
        // A lost stream closes everything here: a driver may wait for that before it lets go.
        let more = more.inspect_err(|_| self.lose_place())?;
        self.stream = Some(stream);
        Ok(if more {
            BlockEvent::Filled
        } else {
            BlockEvent::Waiting
        })
    }

    fn stop(&mut self) {
        self.opened = None;
        if self.stream.take().is_some() || self.frames.counts != FrameCounts::default() {
            let FrameCounts {
                frames,
                missing_frames,
                error_flag,
                short,
                stale,
            } = self.frames.counts;
            log::info!(
                "'{}': {frames} frames, {missing_frames} missing, {error_flag} with the error flag, {short} short, {stale} stale, stream begun again {} times",
                self.spec.device.display(),
                self.restarts
            );
        }
    }
}
