//! Delivers a recording again.

use super::recorder::{BLOCKS_FILE, BlockRecord, HEADER_FILE, SAMPLES_FILE, stamp};
use super::{
    BlockEvent, Camera, CameraError, LineFormat, RECORDING_SCHEMA, RecordingHeader, begin,
};
use crate::block::Block;
use crate::picture::Samples;
use crate::reject::SANE_COUNT;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The blocks of a recording, bit by bit as the camera delivered them, faults included; never waits.
#[derive(Debug)]
pub struct Replay {
    folder: PathBuf,
    format: LineFormat,
    blocks: BufReader<File>,
    samples: BufReader<File>,
    text: String,
    bytes: Vec<u8>,
}

impl Replay {
    /// Files of a recording that are read.
    pub fn files(folder: &Path) -> [PathBuf; 3] {
        [HEADER_FILE, BLOCKS_FILE, SAMPLES_FILE].map(|name| folder.join(name))
    }

    /// # Errors
    /// Where the folder holds no recording that this program can read.
    pub fn open(folder: &Path) -> Result<Self, CameraError> {
        let open = |name: &str| {
            File::open(folder.join(name))
                .map(BufReader::new)
                .map_err(|source| CameraError::Recording {
                    path: folder.join(name),
                    source,
                })
        };
        let damaged = |reason: String| CameraError::DamagedRecording {
            path: folder.join(HEADER_FILE),
            reason,
        };
        let header: RecordingHeader = serde_json::from_reader(open(HEADER_FILE)?)
            .map_err(|error| damaged(error.to_string()))?;
        if header.schema != RECORDING_SCHEMA {
            return Err(damaged(format!(
                "its schema is {}, this program reads {RECORDING_SCHEMA}",
                header.schema
            )));
        }
        Ok(Self {
            folder: folder.to_owned(),
            format: header.format,
            blocks: open(BLOCKS_FILE)?,
            samples: open(SAMPLES_FILE)?,
            text: String::new(),
            bytes: Vec::new(),
        })
    }

    fn unreadable(&self, name: &str, source: std::io::Error) -> CameraError {
        CameraError::Recording {
            path: self.folder.join(name),
            source,
        }
    }

    fn damaged(&self, reason: String) -> CameraError {
        CameraError::DamagedRecording {
            path: self.folder.join(BLOCKS_FILE),
            reason,
        }
    }

    fn read_samples(&mut self, rows: usize, into: &mut Block) -> Result<(), CameraError> {
        let count = rows * self.format.samples_per_line();
        let read = match &mut into.picture.samples {
            Samples::U8(samples) => {
                samples.resize(count, 0);
                self.samples.read_exact(samples)
            }
            Samples::U16(samples) => {
                self.bytes.resize(2 * count, 0);
                let read = self.samples.read_exact(&mut self.bytes);
                let pairs = self.bytes.chunks_exact(2);
                samples.extend(pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
                read
            }
        };
        read.map_err(|source| self.unreadable(SAMPLES_FILE, source))?;
        into.picture.height_px = rows;
        Ok(())
    }
}

impl Camera for Replay {
    fn format(&self) -> LineFormat {
        self.format
    }

    fn start(&mut self) -> Result<(), CameraError> {
        Ok(())
    }

    fn next_block(&mut self, _: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        self.text.clear();
        let length = self
            .blocks
            .read_line(&mut self.text)
            .map_err(|source| self.unreadable(BLOCKS_FILE, source))?;
        if length == 0 {
            return Ok(BlockEvent::End);
        }
        let record = serde_json::from_str(&self.text);
        match record.map_err(|error| self.damaged(error.to_string()))? {
            BlockRecord::Lost(why) => Err(CameraError::Lost(why)),
            BlockRecord::Block {
                first_line,
                rows,
                fault,
                timed_line,
                stamps,
            } => {
                if rows > stamps.len() {
                    return Err(self.damaged(format!(
                        "block at line {} has {rows} rows and {} stamps",
                        first_line.0,
                        stamps.len()
                    )));
                }
                if timed_line.is_some_and(|line| line.place >= stamps.len()) {
                    return Err(self.damaged(format!(
                        "block at line {} has {} stamps, none for its timed line",
                        first_line.0,
                        stamps.len()
                    )));
                }
                let beyond = |&(_, count): &(u64, i64)| count.unsigned_abs() > SANE_COUNT as u64;
                if let Some(place) = stamps.iter().position(beyond) {
                    return Err(self.damaged(format!(
                        "line {} has the count {}, which no encoder reaches",
                        first_line.0.saturating_add(place as u64),
                        stamps[place].1
                    )));
                }
                begin(into, first_line);
                into.fault = fault;
                into.timed_line = timed_line;
                into.stamps.extend(stamps.into_iter().map(stamp));
                self.read_samples(rows, into)?;
                Ok(BlockEvent::Filled)
            }
        }
    }

    fn stop(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::{
        BeltSpec, FaultInjector, FaultRates, Recorder, Synthetic, SyntheticSpec, WebSpec,
    };
    use super::*;

    /// Everything a camera gives; lost cameras as their message.
    fn all(camera: &mut dyn Camera) -> Vec<Result<Block, String>> {
        let mut block = camera.format().empty_block();
        let mut seen = Vec::new();
        loop {
            match camera.next_block(Duration::ZERO, &mut block) {
                Ok(BlockEvent::End) => return seen,
                Ok(_) => seen.push(Ok(block.clone())),
                Err(error) => seen.push(Err(error.to_string())),
            }
        }
    }

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("blemish-{name}-{}", std::process::id()))
    }

    fn source() -> FaultInjector<Synthetic> {
        let spec = SyntheticSpec {
            web: WebSpec {
                width_px: 128,
                margin_px: 16,
                ..WebSpec::default()
            },
            defects: Vec::new(),
            lines: 1000,
            lines_per_block: 16,
            belt: BeltSpec::default(),
        };
        let rates = FaultRates {
            seed: 1,
            dropped: 0.1,
            short: 0.1,
            lost: 0.05,
            lost_blocks: 2,
            ..FaultRates::default()
        };
        FaultInjector::new(Synthetic::new(&spec).unwrap(), rates)
    }

    #[test]
    fn a_replay_equals_what_was_recorded_faults_included() {
        let folder = folder("replay");
        let mut recorder = Recorder::new(source(), &folder).unwrap();
        let recorded = all(&mut recorder);
        recorder.stop();
        assert!(recorded.iter().any(Result::is_err));
        assert_eq!(recorded, all(&mut source()));
        assert_eq!(all(&mut Replay::open(&folder).unwrap()), recorded);
        assert!(
            Recorder::new(source(), &folder).is_err(),
            "no recording over another"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn sixteen_bit_samples_survive() {
        struct Deep(u16);
        impl Camera for Deep {
            fn format(&self) -> LineFormat {
                LineFormat {
                    width_px: 2,
                    channels: 3,
                    sixteen_bit: true,
                    lines_per_block: 1,
                }
            }
            fn start(&mut self) -> Result<(), CameraError> {
                Ok(())
            }
            fn next_block(
                &mut self,
                _: Duration,
                into: &mut Block,
            ) -> Result<BlockEvent, CameraError> {
                if self.0 == 3 {
                    return Ok(BlockEvent::End);
                }
                begin(into, crate::geometry::LineNumber(u64::from(self.0)));
                if let Samples::U16(samples) = &mut into.picture.samples {
                    samples.extend((0..6).map(|i| 0x1234 * (self.0 + 1) + i));
                }
                super::super::push_stamp(into, stamp((7, -5)));
                self.0 += 1;
                Ok(BlockEvent::Filled)
            }
            fn stop(&mut self) {}
        }
        let folder = folder("deep");
        let recorded = all(&mut Recorder::new(Deep(0), &folder).unwrap());
        assert_eq!(recorded.len(), 3);
        assert_eq!(all(&mut Replay::open(&folder).unwrap()), recorded);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn damaged_recordings_are_refused_with_the_file() {
        let folder = folder("damaged");
        all(&mut Recorder::new(source(), &folder).unwrap());
        let samples = folder.join(SAMPLES_FILE);
        let bytes = std::fs::read(&samples).unwrap();
        std::fs::write(&samples, &bytes[..bytes.len() / 2]).unwrap();
        let error = all_or_first_error(&folder);
        assert!(error.contains(SAMPLES_FILE), "{error}");
        std::fs::write(folder.join(BLOCKS_FILE), "{\"block\":1}\n").unwrap();
        let error = all_or_first_error(&folder);
        assert!(error.contains(BLOCKS_FILE), "{error}");
        std::fs::write(folder.join(HEADER_FILE), "{}").unwrap();
        let error = Replay::open(&folder).unwrap_err().to_string();
        assert!(error.contains(HEADER_FILE), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(
            Replay::open(&folder),
            Err(CameraError::Recording { .. })
        ));
    }

    #[test]
    fn a_count_that_no_encoder_reaches_is_refused_with_its_line() {
        let folder = folder("far");
        all(&mut Recorder::new(source(), &folder).unwrap());
        for (count, is_refused) in [(1 << 61, false), (i64::MIN, true), (i64::MAX, true)] {
            let block = BlockRecord::Block {
                first_line: crate::geometry::LineNumber(40),
                rows: 0,
                fault: None,
                timed_line: None,
                stamps: vec![(1, 2), (2, count)],
            };
            let text = serde_json::to_string(&block).unwrap();
            std::fs::write(folder.join(BLOCKS_FILE), text).unwrap();
            let error = all_or_first_error(&folder);
            assert_eq!(
                error.contains("line 41 has the count"),
                is_refused,
                "{error}"
            );
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn all_or_first_error(folder: &Path) -> String {
        let mut replay = Replay::open(folder).unwrap();
        let mut block = replay.format().empty_block();
        loop {
            match replay.next_block(Duration::ZERO, &mut block) {
                Ok(BlockEvent::End) => return "no error".to_owned(),
                Ok(_) | Err(CameraError::Lost(_)) => {}
                Err(error) => return error.to_string(),
            }
        }
    }
}
