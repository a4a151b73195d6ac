//! The journal's files: JSON lines, rotated and bounded by bytes.
//!
//! Invariants:
//!
//! 1. a line that ends with a line feed is a whole record; only the last line of the newest file may
//!    be torn, and opening the journal removes it;
//! 2. files are numbered upwards and never written again once a newer one exists;
//! 3. all files together hold at most `max_total_bytes` and one record; the oldest go first;
//! 4. one process writes: the file `lock` beside them is held by it, and let go however it ends.

use super::{Event, EvidenceError, Record};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Room for the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalLimits {
    /// A file that has come to this size is followed by a new one.
    pub max_file_bytes: u64,
    /// The oldest files are removed above this.
    pub max_total_bytes: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            max_file_bytes: 8 << 20,
            max_total_bytes: 256 << 20,
        }
    }
}

/// The newest file of a journal, open for appending.
#[derive(Debug)]
pub struct JournalFile {
    folder: PathBuf,
    limits: JournalLimits,
    file: File,
    path: PathBuf,
    number: u64,
    bytes: u64,
    text: Vec<u8>,
    /// Kept open for as long as nobody else may write.
    _lock: Option<File>,
}

const LOCK: &str = "lock";
const PREFIX: &str = "journal-";
const SUFFIX: &str = ".jsonl";

impl JournalFile {
    /// Opens the journal in `folder`, which is made where it does not exist, and removes a torn last
    /// line.
    ///
    /// # Errors
    /// Where the folder or its newest file cannot be used, or another station writes into it.
    pub fn open(folder: &Path, limits: JournalLimits) -> Result<Self, EvidenceError> {
        std::fs::create_dir_all(folder).map_err(EvidenceError::io(folder))?;
        let lock = lock(folder)?;
        let number = files(folder)?.last().map_or(1, |(number, _)| *number);
        let path = path_of(folder, number);
        let mut file = append_to(&path)?;
        let bytes = mend(&mut file).map_err(EvidenceError::io(&path))?;
        sync_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            limits,
            file,
            path,
            number,
            bytes,
            text: Vec::new(),
            _lock: lock,
        })
    }

    /// Appends a record; it may be lost by a power cut until [`sync`](Self::sync).
    ///
    /// # Errors
    /// Where the disk does not take it; nothing of it is kept then.
    pub fn append(&mut self, record: &Record) -> Result<(), EvidenceError> {
        if self.bytes >= self.limits.max_file_bytes {
            self.rotate()?;
        }
        self.text.clear();
        let unwritable = EvidenceError::io(&self.path);
        if let Err(error) = serde_json::to_writer(&mut self.text, record) {
            return Err(unwritable(error.into()));
        }
        self.text.push(b'\n');
        if let Err(error) = self.file.write_all(&self.text) {
            // What was written of the line is cut off again; mend() does it otherwise at the next start.
            let _ = self.file.set_len(self.bytes);
            return Err(unwritable(error));
        }
        self.bytes += self.text.len() as u64;
        Ok(())
    }

    /// Brings all records to the disk.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn sync(&mut self) -> Result<(), EvidenceError> {
        self.file.sync_data().map_err(EvidenceError::io(&self.path))
    }

    fn rotate(&mut self) -> Result<(), EvidenceError> {
        self.sync()?;
        let number = self.number + 1;
        let path = path_of(&self.folder, number);
        self.file = append_to(&path)?;
        self.path = path;
        self.number = number;
        self.bytes = 0;
        let mut total = 0;
        for (number, path) in files(&self.folder)?.into_iter().rev() {
            total += std::fs::metadata(&path).map_or(0, |file| file.len());
            let keep = self
                .limits
                .max_total_bytes
                .saturating_sub(self.limits.max_file_bytes);
            if total > keep && number != self.number {
                std::fs::remove_file(&path).map_err(EvidenceError::io(path))?;
            }
        }
        sync_folder(&self.folder)
    }
}

/// All whole records of a journal, oldest first. A torn last line is left out.
///
/// # Errors
/// Where a file cannot be read, or a line that is not the last is no record.
pub fn read_journal(folder: &Path) -> Result<Vec<Record>, EvidenceError> {
    let mut records = Vec::new();
    for (_, path) in files(folder)? {
        let text = std::fs::read(&path).map_err(EvidenceError::io(&path))?;
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        for (line, text) in text[..whole].split(|&byte| byte == b'\n').enumerate() {
            if text.is_empty() {
                continue;
            }
            let record = serde_json::from_slice(text).map_err(|error| EvidenceError::Damaged {
                path: path.clone(),
                line: line + 1,
                reason: error.to_string(),
            })?;
            records.push(record);
        }
    }
    Ok(records)
}

/// The newest [`Event::Start`] of a journal, if there is one.
///
/// # Errors
/// Where a file cannot be read. Lines that are no records are passed over.
pub fn last_start(folder: &Path) -> Result<Option<Event>, EvidenceError> {
    for (_, path) in files(folder)?.iter().rev() {
        let text = std::fs::read(path).map_err(EvidenceError::io(path))?;
        let newest = text
            .rsplit(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Record>(line).ok())
            .map(|record| record.event)
            .find(|event| matches!(event, Event::Start { .. }));
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

/// Holds the folder against other processes; `None` on a file system that knows no locks.
fn lock(folder: &Path) -> Result<Option<File>, EvidenceError> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(EvidenceError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(EvidenceError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
            Ok(None)
        }
        Err(TryLockError::Error(error)) => Err(EvidenceError::io(path)(error)),
    }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number:08}{SUFFIX}"))
}

/// The journal's files by number.
fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, EvidenceError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(EvidenceError::io(folder))? {
        let entry = entry.map_err(EvidenceError::io(folder))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| {
            name.strip_prefix(PREFIX)?
                .strip_suffix(SUFFIX)?
                .parse()
                .ok()
        });
        if let Some(number) = number {
            files.push((number, entry.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn append_to(path: &Path) -> Result<File, EvidenceError> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(EvidenceError::io(path))
}

/// Cuts a torn last line off; gives the size.
fn mend(file: &mut File) -> std::io::Result<u64> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    let whole = text
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    if whole < text.len() {
        file.set_len(whole as u64)?;
        file.sync_data()?;
    }
    Ok(whole as u64)
}

/// A new file's name is on the disk only after this.
fn sync_folder(folder: &Path) -> Result<(), EvidenceError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(EvidenceError::io(folder))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{JOURNAL_SCHEMA, Wall, WallQuality};
    use super::*;
    use crate::geometry::{Count, LineNumber};
    use crate::pins::Moment;
    use crate::verdict::{Reason, Span};

    pub fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("blemish-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    pub fn record(number: u64) -> Record {
        Record {
            schema: JOURNAL_SCHEMA,
            boot: "b".to_owned(),
            at: Moment {
                ns: number,
                count: Count(-(number as i64)),
            },
            wall: Wall {
                unix_ms: 1,
                quality: WallQuality::Guessed,
            },
            event: Event::NotInspected {
                span: Span {
                    first_line: LineNumber(number),
                    lines: 5,
                },
                reason: Reason::Dropped,
            },
        }
    }

    /// A journal whose disk has no room.
    #[cfg(target_os = "linux")]
    pub fn on_full_disk() -> JournalFile {
        let path = PathBuf::from("/dev/full");
        JournalFile {
            folder: PathBuf::new(),
            limits: JournalLimits::default(),
            file: OpenOptions::new().write(true).open(&path).unwrap(),
            path,
            number: 1,
            bytes: 0,
            text: Vec::new(),
            _lock: None,
        }
    }

    #[test]
    fn a_record_is_one_flat_line() {
        let text = serde_json::to_string(&record(7)).unwrap();
        assert_eq!(
            text,
            r#"{"schema":1,"boot":"b","ns":7,"count":-7,"wall":{"unix_ms":1,"quality":"guessed"},"event":"not_inspected","span":{"first_line":7,"lines":5},"reason":"dropped"}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record(7));
    }

    #[test]
    fn a_power_cut_at_any_byte_costs_the_torn_record_only() {
        let folder = folder("cut");
        let mut journal = JournalFile::open(&folder, JournalLimits::default()).unwrap();
        for number in 0..3 {
            journal.append(&record(number)).unwrap();
        }
        drop(journal);
        let path = path_of(&folder, 1);
        let text = std::fs::read(&path).unwrap();
        for cut in 0..=text.len() {
            std::fs::write(&path, &text[..cut]).unwrap();
            let whole = text[..cut].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(read_journal(&folder).unwrap().len(), whole, "cut at {cut}");
            let mut journal = JournalFile::open(&folder, JournalLimits::default()).unwrap();
            journal.append(&record(99)).unwrap();
            drop(journal);
            let records = read_journal(&folder).unwrap();
            assert_eq!(records.len(), whole + 1, "cut at {cut}");
            assert_eq!(records[whole], record(99));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_journal_stays_below_its_limit_and_keeps_the_newest() {
        let folder = folder("bounded");
        let limits = JournalLimits {
            max_file_bytes: 1000,
            max_total_bytes: 5000,
        };
        let mut journal = JournalFile::open(&folder, limits).unwrap();
        for number in 0..500 {
            journal.append(&record(number)).unwrap();
            let files = files(&folder).unwrap();
            let total: u64 = files
                .iter()
                .map(|(_, path)| path.metadata().unwrap().len())
                .sum();
            assert!(total <= 5200, "{total} bytes after record {number}");
        }
        let records = read_journal(&folder).unwrap();
        assert!(records.len() > 15, "{} records", records.len());
        let expected = 500 - records.len() as u64..500;
        assert!(records.iter().map(|record| record.at.ns).eq(expected));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_second_station_may_not_write_into_the_folder_of_a_first() {
        let folder = folder("locked");
        let first = JournalFile::open(&folder, JournalLimits::default()).unwrap();
        let second = JournalFile::open(&folder, JournalLimits::default());
        let error = second.unwrap_err().to_string();
        assert!(error.contains("another station keeps"), "{error}");
        drop(first);
        assert!(JournalFile::open(&folder, JournalLimits::default()).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let folder = folder("foreign");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(path_of(&folder, 1), "{}\n").unwrap();
        let error = read_journal(&folder).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
