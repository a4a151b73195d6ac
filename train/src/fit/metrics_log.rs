//! `metrics.jsonl`: one line per step and one per validation, for people and plots.

use crate::atomic_file::write_atomically;
use crate::backend::Losses;
use crate::checkpoint::CheckpointError;
use blemish::draem::score::Window;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
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

/// Lines on their way to a file. What a full disk does not take is kept and follows when it does, from the very
/// byte where it was cut: patience counts by whole lines.
#[derive(Debug)]
struct Lines<W> {
    out: W,
    left: Vec<u8>,
}

impl<W: Write> Lines<W> {
    fn new(out: W) -> Self {
        let left = Vec::new();
        Self { out, left }
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.left.extend(line(record)?);
        self.push()
    }

    /// Writes what is left.
    fn push(&mut self) -> io::Result<()> {
        while !self.left.is_empty() {
            match self.out.write(&self.left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.left.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An open `metrics.jsonl`.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    lines: Lines<File>,
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
            (kept.iter()).try_for_each(|record| out.write_all(&line(record)?))
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
            lines: Lines::new(file.map_err(fail("write"))?),
            seconds_before,
            kept,
            failed: false,
        })
    }

    /// Adds a line. One that cannot be written waits for the next: a failure is reported once.
    pub fn write(&mut self, record: &Record) {
        let result = self.lines.write(record);
        self.note(result);
    }

    /// Brings everything to the disk: patience counts by it after a loss of power.
    pub fn flush(&mut self) {
        let result = (self.lines.push()).and_then(|()| self.lines.out.sync_data());
        self.note(result);
    }

    fn note(&mut self, result: io::Result<()>) {
        if let (Err(error), false) = (result, self.failed) {
            self.failed = true;
            log::warn!(
                "cannot write {}: {error}; training goes on, and the lines follow when they can be written",
                self.path.display()
            );
        }
    }
}

/// The lines of a `metrics.jsonl`. Those that cannot be read, such as one that a crash cut short, are left out
/// with a warning.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    let (records, bad) = parse(&std::fs::read(path)?);
    if !bad.is_empty() {
        let numbers: Vec<String> = bad.iter().map(usize::to_string).collect();
        log::warn!(
            "{}: what is no record is left out: line {}",
            path.display(),
            numbers.join(", ")
        );
    }
    Ok(records)
}

/// The records, and the numbers of lines that are none.
fn parse(bytes: &[u8]) -> (Vec<Record>, Vec<usize>) {
    let (mut records, mut bad) = (Vec::new(), Vec::new());
    for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => bad.push(at + 1),
        }
    }
    (records, bad)
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> Record {
        Record::Step {
            step,
            losses: Losses {
                l2: 0.5,
                ssim: 0.25,
                focal: 0.125,
            },
            learning_rate: 1e-3,
            seconds: step as f64,
        }
    }

    /// A disk that takes so many bytes more.
    struct Disk {
        room: usize,
        holds: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.holds.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_no_line_once_there_is_room() {
        for room in 0..200 {
            let holds = Vec::new();
            let mut lines = Lines::new(Disk { room, holds });
            let full = (1..=4).filter(|&number| lines.write(&step(number)).is_err());
            assert!(full.count() > 0, "{room} bytes hold four lines");
            lines.out.room = usize::MAX;
            lines.push().expect("there is room");
            let expected: Vec<Record> = (1..=4).map(step).collect();
            assert_eq!(parse(&lines.out.holds), (expected, vec![]), "{room}");
        }
    }

    #[test]
    fn a_bad_line_costs_itself_alone_and_a_resume_keeps_the_others() {
        let name = format!("blemish-metrics-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        let text = |number| String::from_utf8(line(&step(number)).unwrap()).unwrap();
        let cut = &text(2)[..20];
        let bytes = [&text(1), "\n", cut, "\n", &text(3), cut].concat();
        assert_eq!(
            parse(bytes.as_bytes()),
            (vec![step(1), step(3)], vec![3, 5])
        );
        std::fs::write(&path, bytes).unwrap();
        let mut log = Log::open(&path, 3).unwrap();
        assert_eq!(log.kept, [step(1), step(3)]);
        log.write(&step(4));
        let after = std::fs::read_to_string(&path).unwrap();
        assert_eq!(after, [text(1), text(3), text(4)].concat());
        std::fs::remove_file(&path).unwrap();
    }
}
