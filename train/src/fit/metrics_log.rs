//! `metrics.jsonl`: one line per step and one per validation, for people and plots.

use crate::backend::Losses;
use crate::checkpoint::{CheckpointError, write_atomically};
use blemish::draem::score::Window;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    Step {
        /// Steps done with this one.
        step: u64,
        #[serde(flatten)]
        losses: Losses,
        learning_rate: f64,
        /// Seconds of training since the run began, pauses between resumes left out.
        seconds: f64,
    },
    Validation {
        step: u64,
        #[serde(flatten)]
        figures: Validation,
    },
}

/// How well simulated defects on held-out good tiles are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Tiles, about half of them with a defect.
    pub tiles: usize,
    /// Side of the window that the tiles were scored over.
    #[serde(default = "official")]
    pub window_px: Window,
    pub image_auroc: f64,
    pub image_ap: f64,
    pub pixel_ap: f64,
}

/// The window of logs that do not name one.
fn official() -> Window {
    Window::OFFICIAL
}

impl Record {
    fn step(&self) -> u64 {
        match self {
            Record::Step { step, .. } | Record::Validation { step, .. } => *step,
        }
    }
}

/// An open `metrics.jsonl`.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    out: BufWriter<File>,
    /// Seconds of training before this process.
    pub seconds_before: f64,
    /// The lines before this process.
    pub kept: Vec<Record>,
    failed: bool,
}

impl Log {
    /// Opens the file for a run that has done `step` steps; lines of later steps, which a crash left
    /// behind, are removed because those steps are done again.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self, CheckpointError> {
        let fail = |action| {
            move |source| CheckpointError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        let kept: Vec<Record> = match read(path) {
            Ok(records) => records.into_iter().filter(|r| r.step() <= step).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(fail("read")(error)),
        };
        write_atomically(path, |out| {
            kept.iter().try_for_each(|record| write_line(out, record))
        })?;
        let seconds_before = (kept.iter().rev())
            .find_map(|record| match record {
                Record::Step { seconds, .. } => Some(*seconds),
                Record::Validation { .. } => None,
            })
            .unwrap_or(0.0);
        let file = OpenOptions::new().append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(file.map_err(fail("write"))?),
            seconds_before,
            kept,
            failed: false,
        })
    }

    /// Adds a line. Losing one costs a point of a curve, not the run: a failure is reported once.
    pub fn write(&mut self, record: &Record) {
        let result = write_line(&mut self.out, record);
        self.note(result);
    }

    /// Brings everything to the disk: patience counts by it after a loss of power.
    pub fn flush(&mut self) {
        let result = (self.out.flush()).and_then(|()| self.out.get_ref().sync_data());
        self.note(result);
    }

    fn note(&mut self, result: io::Result<()>) {
        if let (Err(error), false) = (result, self.failed) {
            self.failed = true;
            log::warn!(
                "cannot write {}: {error}; training goes on",
                self.path.display()
            );
        }
    }
}

/// The lines of a `metrics.jsonl`; a line that a crash cut short ends it.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    Ok(text
        .lines()
        .map_while(|line| serde_json::from_str(line).ok())
        .collect())
}

fn write_line(out: &mut dyn Write, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}
