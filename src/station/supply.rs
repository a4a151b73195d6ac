//! The web's suppliers: blocks from the capture thread, finished tiles from the workers.

use super::StationError;
use super::capture::Captured;
use crate::block::Block;
use crate::engine::{Crew, EngineError, Job, Refused};
use crate::web::TileJob;
use heapless::spsc::{Consumer, Producer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A tile's place in the order in which tiles are handed out, and what it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ticket {
    pub number: u64,
    pub job: TileJob,
}

type Finished = (Job<Ticket>, Result<(), EngineError>);

pub(super) struct Supply<'q> {
    captured: Consumer<'q, Captured>,
    emptied: Producer<'q, Block>,
    capture_gone: &'q AtomicBool,
    next: Option<Captured>,
    crew: Crew<Ticket>,
    finished: Vec<Finished>,
    spare: Vec<Job<Ticket>>,
    handed_out: u64,
    taken_back: u64,
}

impl<'q> Supply<'q> {
    pub fn new(
        captured: Consumer<'q, Captured>,
        emptied: Producer<'q, Block>,
        capture_gone: &'q AtomicBool,
        crew: Crew<Ticket>,
    ) -> Self {
        Self {
            captured,
            emptied,
            capture_gone,
            next: None,
            crew,
            finished: Vec::new(),
            spare: Vec::new(),
            handed_out: 0,
            taken_back: 0,
        }
    }

    /// What the camera delivers next, if it is there.
    pub fn peek(&mut self) -> Option<&Captured> {
        if self.next.is_none() {
            self.next = self.captured.dequeue();
        }
        self.next.as_ref()
    }

    /// What the camera delivers next; waits for it.
    pub fn peek_waiting(&mut self) -> Result<&Captured, StationError> {
        while self.next.is_none() {
            let gone = self.capture_gone.load(Ordering::Acquire);
            self.next = self.captured.dequeue();
            if self.next.is_none() {
                if gone {
                    return Err(StationError::ThreadLost("capture"));
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        self.next
            .as_ref()
            .ok_or(StationError::ThreadLost("capture"))
    }

    /// Takes what was peeked at.
    pub fn take(&mut self) -> Result<Captured, StationError> {
        self.peek_waiting()?;
        self.next.take().ok_or(StationError::ThreadLost("capture"))
    }

    /// Gives a block back to be filled again; one too many is let go.
    pub fn give_back(&mut self, block: Block) {
        let _ = self.emptied.enqueue(block);
    }

    /// Tiles handed out and not taken back.
    pub fn outstanding(&self) -> u64 {
        self.handed_out - self.taken_back
    }

    /// A job to cut a tile into.
    pub fn spare(&mut self) -> Job<Ticket> {
        self.spare.pop().unwrap_or_default()
    }

    pub fn keep_spare(&mut self, job: Job<Ticket>) {
        self.spare.push(job);
    }

    /// Hands a tile to the workers and gives its number. The crew's queue has a place for every tile
    /// that may be outstanding, so this does not wait.
    pub fn hand_out(&mut self, mut job: Job<Ticket>) -> Result<u64, StationError> {
        let number = self.handed_out;
        job.tag.number = number;
        self.handed_out += 1;
        match self.crew.submit(job) {
            Ok(()) => Ok(number),
            Err(Refused::Full(_) | Refused::Closed(_)) => Err(StationError::ThreadLost("engine")),
        }
    }

    /// The number of a finished tile, if there is one.
    pub fn finished(&mut self) -> Option<u64> {
        if self.finished.is_empty() {
            self.finished.extend(self.crew.ready());
        }
        self.finished.first().map(|(job, _)| job.tag.number)
    }

    /// Takes a tile back; waits until it is finished.
    pub fn take_back(&mut self, number: u64) -> Result<Finished, StationError> {
        if number >= self.handed_out {
            return Err(StationError::TileMissing { number });
        }
        loop {
            let place = self
                .finished
                .iter()
                .position(|(job, _)| job.tag.number == number);
            if let Some(place) = place {
                self.taken_back += 1;
                return Ok(self.finished.swap_remove(place));
            }
            if self.outstanding() == self.finished.len() as u64 {
                return Err(StationError::ThreadLost("engine"));
            }
            let next = self.crew.wait();
            self.finished
                .push(next.ok_or(StationError::ThreadLost("engine"))?);
        }
    }
}
