//! The slow thread: takes records and pictures from a bounded queue and brings them to the disk.
//!
//! When the disk is too slow, pictures are dropped and counted, records never: they have
//! [`RECORD_PLACES`] places of their own, and the caller says what a full queue means.
//!
//! Records reach the disk within a second; starts, stops, faults and rejects at once. A power cut
//! therefore costs at most the verdicts of the last second.

use super::{Event, EvidenceError, Fault, JournalFile, PictureStore, RECORD_PLACES, Record};
use crate::picture::Picture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pictures that may wait for the disk.
const PICTURE_PLACES: usize = 16;

/// Longest time until a verdict is on the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What to do where records have no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for the disk: simulated time has time.
    Wait,
    /// Hand the record back: a line cannot wait.
    Refuse,
}

/// Makes a picture, on the thread that keeps it.
type Draw = Box<dyn FnOnce() -> Option<Picture> + Send>;

enum Item {
    Record(Box<Record>),
    Picture(String, Draw),
}

/// What was kept and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeeperReport {
    pub records: u64,
    /// Records that the disk did not take.
    pub records_lost: u64,
    pub pictures: u64,
    /// Pictures dropped because the disk was too slow or did not take them.
    pub pictures_lost: u64,
    /// The first error of the disk.
    pub error: Option<String>,
}

/// The queue's near end.
#[derive(Debug)]
pub struct Keeper {
    items: SyncSender<Item>,
    waiting_pictures: Arc<AtomicUsize>,
    refused_pictures: u64,
    when_full: WhenFull,
    thread: JoinHandle<KeeperReport>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub fn start(
        journal: JournalFile,
        pictures: Option<PictureStore>,
        when_full: WhenFull,
    ) -> Result<Self, EvidenceError> {
        let (items, queue) = mpsc::sync_channel(RECORD_PLACES);
        let waiting_pictures = Arc::new(AtomicUsize::new(0));
        let waiting = waiting_pictures.clone();
        let thread = std::thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || {
                let mut desk = Desk {
                    journal,
                    pictures,
                    report: KeeperReport::default(),
                    unsaid: 0,
                };
                desk.work(&queue, &waiting);
                desk.report
            })
            .map_err(|_| EvidenceError::Thread)?;
        Ok(Self {
            items,
            waiting_pictures,
            refused_pictures: 0,
            when_full,
            thread,
        })
    }

    /// Gives a record to the thread; false where it was refused.
    pub fn record(&mut self, record: Record) -> bool {
        let item = Item::Record(Box::new(record));
        match self.when_full {
            WhenFull::Wait => self.items.send(item).is_ok(),
            WhenFull::Refuse => match self.items.try_send(item) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            },
        }
    }

    /// Gives a picture to the thread, which draws it, or drops it where too many wait.
    pub fn picture(
        &mut self,
        name: String,
        draw: impl FnOnce() -> Option<Picture> + Send + 'static,
    ) {
        if self.waiting_pictures.load(Ordering::Acquire) >= PICTURE_PLACES {
            self.refused_pictures += 1;
            return;
        }
        self.waiting_pictures.fetch_add(1, Ordering::AcqRel);
        if self
            .items
            .try_send(Item::Picture(name, Box::new(draw)))
            .is_err()
        {
            self.waiting_pictures.fetch_sub(1, Ordering::AcqRel);
            self.refused_pictures += 1;
        }
    }

    /// Waits until all is on the disk.
    ///
    /// # Errors
    /// Where the thread is gone.
    pub fn finish(self) -> Result<KeeperReport, EvidenceError> {
        drop(self.items);
        let mut report = self.thread.join().map_err(|_| EvidenceError::Thread)?;
        report.pictures_lost += self.refused_pictures;
        Ok(report)
    }
}

struct Desk {
    journal: JournalFile,
    pictures: Option<PictureStore>,
    report: KeeperReport,
    /// Lost records that the journal does not know of yet.
    unsaid: u64,
}

impl Desk {
    fn work(&mut self, queue: &Receiver<Item>, waiting_pictures: &AtomicUsize) {
        let mut last_sync = Instant::now();
        let (mut dirty, mut urgent) = (false, false);
        loop {
            let item = if dirty {
                let left = SYNC_EVERY.saturating_sub(last_sync.elapsed());
                queue.recv_timeout(if urgent { Duration::ZERO } else { left })
            } else {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let mut idle = false;
            match item {
                Ok(Item::Record(record)) => {
                    urgent |= record.is_urgent();
                    dirty = true;
                    self.write(*record);
                }
                Ok(Item::Picture(name, draw)) => {
                    match draw() {
                        Some(picture) => self.keep(&name, &picture),
                        None => self.report.pictures_lost += 1,
                    }
                    waiting_pictures.fetch_sub(1, Ordering::AcqRel);
                }
                Err(RecvTimeoutError::Timeout) => idle = true,
                Err(RecvTimeoutError::Disconnected) => {
                    self.sync();
                    return;
                }
            }
            if dirty && (idle || last_sync.elapsed() >= SYNC_EVERY) {
                self.sync();
                last_sync = Instant::now();
                (dirty, urgent) = (false, false);
            }
        }
    }

    fn write(&mut self, record: Record) {
        if self.unsaid > 0 {
            let told = Record {
                event: Event::Fault {
                    fault: Fault::JournalLost {
                        records: self.unsaid,
                    },
                },
                ..record.clone()
            };
            if self.journal.append(&told).is_ok() {
                self.unsaid = 0;
            }
        }
        match self.journal.append(&record) {
            Ok(()) => self.report.records += 1,
            Err(error) => {
                self.unsaid += 1;
                self.report.records_lost += 1;
                self.trouble(&error);
            }
        }
    }

    fn keep(&mut self, name: &str, picture: &Picture) {
        let Some(pictures) = &mut self.pictures else {
            return;
        };
        match pictures.keep(name, picture) {
            Ok(()) => self.report.pictures += 1,
            Err(error) => {
                self.report.pictures_lost += 1;
                self.trouble(&error);
            }
        }
    }

    fn sync(&mut self) {
        if let Err(error) = self.journal.sync() {
            self.trouble(&error);
        }
    }

    fn trouble(&mut self, error: &EvidenceError) {
        if self.report.error.is_none() {
            log::error!("{error}");
            self.report.error = Some(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::{folder, record};
    use super::super::{JournalLimits, read_journal};
    use super::*;

    #[test]
    fn everything_given_is_on_the_disk_at_the_end() {
        let folder = folder("keeper");
        let journal = JournalFile::open(&folder, JournalLimits::default()).unwrap();
        let pictures = PictureStore::open(&folder.join("pictures"), 1 << 20).unwrap();
        let mut keeper = Keeper::start(journal, Some(pictures), WhenFull::Wait).unwrap();
        let picture = Picture::from_grey8(8, 8, vec![7; 64]).unwrap();
        for number in 0..1000 {
            assert!(keeper.record(record(number)));
            if number % 100 == 0 {
                let picture = picture.clone();
                keeper.picture(format!("{number:04}"), move || Some(picture));
            }
        }
        let report = keeper.finish().unwrap();
        assert_eq!((report.records, report.records_lost), (1000, 0));
        assert_eq!(report.pictures + report.pictures_lost, 10);
        assert!(report.pictures > 0);
        let records = read_journal(&folder).unwrap();
        assert!(records.iter().map(|record| record.at.ns).eq(0..1000));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_counted_and_stops_nothing() {
        let journal = super::super::journal::tests::on_full_disk();
        let mut keeper = Keeper::start(journal, None, WhenFull::Refuse).unwrap();
        for number in 0..10 {
            assert!(keeper.record(record(number)));
        }
        let report = keeper.finish().unwrap();
        assert_eq!((report.records, report.records_lost), (0, 10));
        assert!(report.error.unwrap().contains("/dev/full"));
    }
}
