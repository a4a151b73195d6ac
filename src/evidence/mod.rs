//! What stays when the web has gone: the journal and the pictures of rejects, both bounded, both
//! written by one slow thread that the line never waits for.
//!
//! * **record**: one line of the journal;
//! * **torn line**: what a power cut leaves of a record that was being written.

mod journal;
mod keeper;
mod pictures;
mod record;
mod state;

pub use journal::{JournalFile, JournalLimits, last_start, read_journal};
pub use keeper::{Keeper, KeeperReport, WhenFull};
pub use pictures::PictureStore;
pub use record::{
    Event, Fault, JOURNAL_SCHEMA, ModelId, RECORD_PLACES, Record, Taken, Wall, WallQuality,
};
pub use state::State;

use std::path::PathBuf;

/// Whether a disk is full or may only be read.
pub(crate) fn is_disk_at_its_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(
        error.kind(),
        StorageFull | ReadOnlyFilesystem | QuotaExceeded
    )
}

/// Why evidence cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// A folder or file that cannot be used.
    #[error(
        "cannot use '{path}' for evidence: {source}; check that it may be written and has room"
    )]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A folder that another process writes into.
    #[error(
        "another station keeps its journal and pictures in '{folder}'; give each one evidence.folder of its own"
    )]
    InUse { folder: PathBuf },
    /// A line in the middle of a journal that is no record.
    #[error("'{path}' line {line} is no record of this program's journal ({reason})")]
    Damaged {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    /// The thread that writes is gone.
    #[error("the thread that writes the journal ended early; its first error is in the log")]
    Thread,
}

impl EvidenceError {
    /// Whether the disk is full or may only be read, which no setting mends.
    pub fn is_disk_at_its_end(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_disk_at_its_end(source))
    }

    fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_folder_of_somebody_else() {
        let of = |code| {
            let error = std::io::Error::from_raw_os_error(code);
            EvidenceError::io("kept")(error).is_disk_at_its_end()
        };
        assert!(of(libc::ENOSPC) && of(libc::EROFS) && of(libc::EDQUOT));
        assert!(!of(libc::EACCES) && !of(libc::ENOTDIR));
        assert!(!EvidenceError::Thread.is_disk_at_its_end());
    }
}
