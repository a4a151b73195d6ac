//! Writes down what a camera delivers, so that [`Replay`](super::Replay) delivers it again bit by bit.
//!
//! A recording is a folder:
//!
//! * `recording.json`: the [`RecordingHeader`];
//! * `blocks.jsonl`: a [`BlockRecord`] per block or loss of the camera;
//! * `samples.raw`: the samples of all blocks, 16-bit ones with the low byte first.

use super::{BlockEvent, Camera, CameraError, LineFormat};
use crate::block::{Block, LineStamp, TimedLine};
use crate::geometry::{Count, LineNumber};
use crate::picture::Samples;
use crate::verdict::Reason;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of the recording's files that this program reads and writes.
pub const RECORDING_SCHEMA: u32 = 1;

pub(super) const HEADER_FILE: &str = "recording.json";
pub(super) const BLOCKS_FILE: &str = "blocks.jsonl";
pub(super) const SAMPLES_FILE: &str = "samples.raw";

/// What the files of a recording hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingHeader {
    pub schema: u32,
    pub format: LineFormat,
}

/// A line of `blocks.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BlockRecord {
    Block {
        first_line: LineNumber,
        /// Rows that have samples.
        rows: usize,
        fault: Option<Reason>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timed_line: Option<TimedLine>,
        /// Exposure in ns and encoder count of every line.
        stamps: Vec<(u64, i64)>,
    },
    Lost(String),
}

impl BlockRecord {
    fn of(block: &Block) -> Self {
        let pair = |stamp: &LineStamp| (stamp.exposure_ns, stamp.count.0);
        BlockRecord::Block {
            first_line: block.first_line,
            rows: block.picture.height_px,
            fault: block.fault,
            timed_line: block.timed_line,
            stamps: block.stamps.iter().map(pair).collect(),
        }
    }
}

pub(super) fn stamp((exposure_ns, count): (u64, i64)) -> LineStamp {
    LineStamp {
        exposure_ns,
        count: Count(count),
    }
}

/// Any camera, with everything it delivers written to a folder on the way.
///
/// Writing waits for the disk: record to find a fault, not for years.
#[derive(Debug)]
pub struct Recorder<C> {
    camera: C,
    folder: PathBuf,
    blocks: BufWriter<File>,
    samples: BufWriter<File>,
    bytes: Vec<u8>,
}

impl<C: Camera> Recorder<C> {
    /// Begins a recording in `folder`, which is made where it does not exist.
    ///
    /// # Errors
    /// Where the folder cannot be written or already holds a recording.
    pub fn new(camera: C, folder: &Path) -> Result<Self, CameraError> {
        let unusable = |source| CameraError::Folder {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let create = |name: &str| {
            File::create_new(folder.join(name))
                .map(BufWriter::new)
                .map_err(unusable)
        };
        let header = RecordingHeader {
            schema: RECORDING_SCHEMA,
            format: camera.format(),
        };
        serde_json::to_writer_pretty(create(HEADER_FILE)?, &header)
            .map_err(|error| unusable(error.into()))?;
        Ok(Self {
            blocks: create(BLOCKS_FILE)?,
            samples: create(SAMPLES_FILE)?,
            folder: folder.to_owned(),
            bytes: Vec::new(),
            camera,
        })
    }

    fn write(
        &mut self,
        record: &BlockRecord,
        samples: Option<&Samples>,
    ) -> Result<(), CameraError> {
        let Self {
            blocks,
            samples: raw,
            bytes,
            ..
        } = self;
        let mut write = || -> std::io::Result<()> {
            match samples {
                Some(Samples::U8(samples)) => raw.write_all(samples)?,
                Some(Samples::U16(samples)) => {
                    bytes.clear();
                    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
                    raw.write_all(bytes)?;
                }
                None => {}
            }
            serde_json::to_writer(&mut *blocks, record)?;
            blocks.write_all(b"\n")
        };
        write().map_err(|source| self.unusable(source))
    }

    fn flush(&mut self) -> Result<(), CameraError> {
        let flushed = self.samples.flush().and_then(|()| self.blocks.flush());
        flushed.map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: std::io::Error) -> CameraError {
        CameraError::Folder {
            path: self.folder.clone(),
            source,
        }
    }
}

impl<C: Camera> Camera for Recorder<C> {
    fn format(&self) -> LineFormat {
        self.camera.format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        self.camera.start()
    }

    fn next_block(
        &mut self,
        patience: Duration,
        into: &mut Block,
    ) -> Result<BlockEvent, CameraError> {
        let event = self.camera.next_block(patience, into);
        match &event {
            Ok(BlockEvent::Filled) => {
                self.write(&BlockRecord::of(into), Some(&into.picture.samples))?;
            }
            Ok(BlockEvent::Waiting) => {}
            Ok(BlockEvent::End) => self.flush()?,
            Err(CameraError::Lost(why)) => self.write(&BlockRecord::Lost(why.clone()), None)?,
            Err(_) => {}
        }
        event
    }

    fn stop(&mut self) {
        self.camera.stop();
        if let Err(error) = self.flush() {
            log::error!("the recording is not complete: {error}");
        }
    }
}
