//! What reaches the core, and the file that keeps its order.

use super::StationError;
use crate::pins::{ConfirmEvent, EncoderEvent, Moment};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// File of a recording that holds the inputs in order.
pub(super) const INPUTS_FILE: &str = "inputs.jsonl";

/// One thing that happened outside of the core. Times are the station's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Input {
    /// The web is, or was then, here.
    Position(Moment),
    /// The encoder lost edges, and has this position now.
    EdgesLost { at: Moment, edges: u64 },
    /// The positions before this one were off by so many counts.
    PlaceLost { at: Moment, off_counts: u64 },
    /// The encoder cannot be read.
    EncoderGone { ns: u64, message: String },
    /// It can be read again.
    EncoderBack { ns: u64 },
    /// The ejector's confirmation rose so often, the last time then.
    Confirmed { ns: u64, edges: u64 },
    /// The confirmation cannot be read.
    ConfirmGone { ns: u64, message: String },
    /// It can be read again.
    ConfirmBack { ns: u64 },
    /// An output cannot be driven.
    PinsLost { ns: u64, message: String },
    /// All outputs can be driven again.
    PinsBack { ns: u64 },
    /// Nobody looked at encoder and pins for so long.
    Stalled { ns: u64, stalled_ns: u64 },
    /// Time has passed.
    Tick { ns: u64 },
    /// The block from this line on has arrived.
    Block { ns: u64, first_line: u64 },
    /// The camera is lost.
    Lost { ns: u64 },
    /// The tile that was handed out as this number has come back.
    Tile { ns: u64, number: u64 },
    /// No more lines will come.
    End { ns: u64 },
    /// All web has passed the ejector.
    Stop { ns: u64 },
}

impl Input {
    /// What the encoder says, at `ns`.
    pub fn of_encoder(event: EncoderEvent, ns: u64) -> Self {
        match event {
            EncoderEvent::Position(at) => Self::Position(at),
            EncoderEvent::EdgesLost { at, edges } => Self::EdgesLost { at, edges },
            EncoderEvent::PlaceLost { at, off_counts } => Self::PlaceLost { at, off_counts },
            EncoderEvent::Gone(message) => Self::EncoderGone { ns, message },
            EncoderEvent::Back => Self::EncoderBack { ns },
        }
    }

    /// What the ejector's confirmation says, at `ns`.
    pub fn of_confirm(event: ConfirmEvent, ns: u64) -> Self {
        match event {
            ConfirmEvent::Rose { ns, edges } => Self::Confirmed { ns, edges },
            ConfirmEvent::Gone(message) => Self::ConfirmGone { ns, message },
            ConfirmEvent::Back => Self::ConfirmBack { ns },
        }
    }

    /// One of the web's inputs, as it reaches the ledger at `now_ns`.
    pub fn taken_at(mut self, now_ns: u64) -> Self {
        if let Self::Block { ns, .. }
        | Self::Lost { ns }
        | Self::Tile { ns, .. }
        | Self::End { ns }
        | Self::Stop { ns } = &mut self
        {
            *ns = now_ns;
        }
        self
    }

    /// When it happened.
    pub fn ns(&self) -> u64 {
        match *self {
            Self::Position(at) | Self::EdgesLost { at, .. } | Self::PlaceLost { at, .. } => at.ns,
            Self::EncoderGone { ns, .. }
            | Self::EncoderBack { ns }
            | Self::Confirmed { ns, .. }
            | Self::ConfirmGone { ns, .. }
            | Self::ConfirmBack { ns }
            | Self::PinsLost { ns, .. }
            | Self::PinsBack { ns }
            | Self::Stalled { ns, .. }
            | Self::Tick { ns }
            | Self::Block { ns, .. }
            | Self::Lost { ns }
            | Self::Tile { ns, .. }
            | Self::End { ns }
            | Self::Stop { ns } => ns,
        }
    }
}

/// Writes inputs down.
#[derive(Debug)]
pub(super) struct InputWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl InputWriter {
    pub fn create(folder: &Path) -> Result<Self, StationError> {
        let path = folder.join(INPUTS_FILE);
        match File::create_new(&path) {
            Ok(file) => Ok(Self {
                file: BufWriter::new(file),
                path,
            }),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    pub fn write(&mut self, input: &Input) -> Result<(), StationError> {
        let written = serde_json::to_writer(&mut self.file, input).map_err(std::io::Error::from);
        written
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| unusable(&self.path, &error))
    }

    /// Why it cannot be used, though it was written.
    pub fn refuse(self, reason: &str) -> StationError {
        unusable(&self.path, &reason)
    }

    pub fn finish(mut self) -> Result<(), StationError> {
        self.file
            .flush()
            .map_err(|error| unusable(&self.path, &error))
    }
}

/// Reads inputs back.
#[derive(Debug)]
pub(super) struct InputReader {
    path: PathBuf,
    file: BufReader<File>,
    text: String,
}

impl InputReader {
    pub fn open(folder: &Path) -> Result<Self, StationError> {
        let path = folder.join(INPUTS_FILE);
        match File::open(&path) {
            Ok(file) => Ok(Self {
                file: BufReader::new(file),
                path,
                text: String::new(),
            }),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    /// The next input; an error at the end, since the last input is read by nobody after it.
    pub fn next(&mut self) -> Result<Input, StationError> {
        self.text.clear();
        match self.file.read_line(&mut self.text) {
            Ok(0) => Err(unusable(&self.path, &"it ends before the run did")),
            Ok(_) => serde_json::from_str(&self.text).map_err(|error| unusable(&self.path, &error)),
            Err(error) => Err(unusable(&self.path, &error)),
        }
    }
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> StationError {
    StationError::Inputs {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
