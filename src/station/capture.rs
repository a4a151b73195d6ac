//! The capture thread: from the camera into a queue of [`PLACES`] blocks.
//!
//! When the queue is full, simulated time waits. Real time throws the new block away: its lines are a
//! gap in the line numbers, which web and ledger count as `not_inspected(dropped)`.

use super::Clock;
use crate::block::Block;
use crate::camera::{BlockEvent, Camera, CameraError};
use heapless::spsc::{Consumer, Producer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Blocks between camera and core, plus one that the queue needs for itself.
pub(super) const PLACES: usize = 9;

/// Longest wait for lines before the thread looks whether it shall stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Time between two tries to get a lost camera back.
const RETRY: Duration = Duration::from_millis(500);

/// What the capture thread says.
#[derive(Debug)]
pub(super) enum Captured {
    Block(Block),
    /// The camera is gone; it is tried again.
    Lost(String),
    /// No more lines.
    End,
    /// Lines cannot be had, and trying again is no use.
    Failed(CameraError),
}

/// The thread's side of the station.
pub(super) struct Capture<'q> {
    pub camera: Box<dyn Camera>,
    pub filled: Producer<'q, Captured>,
    pub emptied: Consumer<'q, Block>,
    pub stop: &'q AtomicBool,
    pub gone: &'q AtomicBool,
    /// Set in real time: blocks find a place in the queue or are thrown away.
    pub clock: Option<&'q dyn Clock>,
    /// Whether lines come when they are exposed. Those of what stands in for a camera are waited with until then.
    pub is_live: bool,
}

impl Capture<'_> {
    pub fn run(mut self) {
        self.deliver();
        self.camera.stop();
        self.gone.store(true, Ordering::Release);
    }

    fn deliver(&mut self) {
        if let Err(error) = self.camera.start() {
            self.offer(Captured::Failed(error));
            return;
        }
        let format = self.camera.format();
        let mut spare = None;
        while !self.stop.load(Ordering::Acquire) {
            let mut block = spare
                .take()
                .or_else(|| self.emptied.dequeue())
                .unwrap_or_else(|| format.empty_block());
            match self.camera.next_block(PATIENCE, &mut block) {
                Ok(BlockEvent::Filled) => spare = self.offer_block(block),
                Ok(BlockEvent::Waiting) => spare = Some(block),
                Ok(BlockEvent::End) => {
                    self.offer(Captured::End);
                    return;
                }
                Err(CameraError::Lost(why)) => {
                    spare = Some(block);
                    self.offer(Captured::Lost(why));
                    self.camera.stop();
                    self.restart();
                }
                Err(error) => {
                    self.offer(Captured::Failed(error));
                    return;
                }
            }
        }
    }

    fn restart(&mut self) {
        let mut told = String::new();
        while !self.stop.load(Ordering::Acquire) {
            match self.camera.start() {
                Ok(()) => return,
                Err(error) => {
                    // Twice a second for as long as a camera is away would fill any log.
                    let why = error.to_string();
                    if why != told {
                        log::warn!("{why}");
                        told = why;
                    }
                    std::thread::sleep(RETRY);
                }
            }
        }
    }

    /// Delivers a block; gives it back where it was thrown away.
    fn offer_block(&mut self, block: Block) -> Option<Block> {
        let Some(clock) = self.clock else {
            self.offer(Captured::Block(block));
            return None;
        };
        if !self.is_live {
            self.wait_until_exposed(&block, clock);
        }
        match self.filled.enqueue(Captured::Block(block)) {
            Ok(()) => None,
            Err(Captured::Block(block)) => Some(block),
            Err(_) => None,
        }
    }

    fn wait_until_exposed(&self, block: &Block, clock: &dyn Clock) {
        let due = block.stamps.last().map_or(0, |last| last.exposure_ns);
        while !self.stop.load(Ordering::Acquire) {
            let early = Duration::from_nanos(due.saturating_sub(clock.now_ns()));
            if early.is_zero() {
                return;
            }
            clock.sleep(early.min(PATIENCE));
        }
    }

    /// Waits for a place.
    fn offer(&mut self, mut captured: Captured) {
        while let Err(back) = self.filled.enqueue(captured) {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            captured = back;
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}
