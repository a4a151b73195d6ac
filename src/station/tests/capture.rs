//! The capture thread in real time: what it waits with, and what ends its waiting.

use super::super::Clock;
use super::super::capture::{Capture, Captured, PLACES};
use super::*;
use crate::block::LineStamp;
use crate::evidence::{Wall, WallQuality};
use crate::geometry::Count;
use heapless::spsc::Queue;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SECOND_NS: u64 = 1_000_000_000;

/// A clock on which time passes only while somebody sleeps, and that ends the run a second after its start.
#[derive(Default)]
struct OneSecond {
    now_ns: AtomicU64,
    stop: AtomicBool,
}

impl Clock for OneSecond {
    fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    fn wall(&self) -> Wall {
        Wall {
            unix_ms: 0,
            quality: WallQuality::None,
        }
    }

    fn boot(&self) -> String {
        "script".to_owned()
    }

    fn sleep(&self, time: Duration) {
        let passed = time.as_nanos() as u64;
        let now_ns = self.now_ns.fetch_add(passed, Ordering::Relaxed) + passed;
        self.stop.fetch_or(now_ns >= SECOND_NS, Ordering::Relaxed);
    }
}

/// One block whose line is said to be exposed ten minutes from now.
struct FromTheFuture(Option<LineStamp>);

impl Camera for FromTheFuture {
    fn format(&self) -> LineFormat {
        LineFormat {
            width_px: WIDTH_PX,
            channels: 1,
            sixteen_bit: false,
            lines_per_block: 1,
        }
    }

    fn start(&mut self) -> Result<(), CameraError> {
        Ok(())
    }

    fn next_block(&mut self, _: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        let Some(stamp) = self.0.take() else {
            return Ok(BlockEvent::End);
        };
        into.stamps.push(stamp);
        Ok(BlockEvent::Filled)
    }

    fn stop(&mut self) {}
}

/// When the capture thread had ended, and whether the block had come before that.
fn captured(is_live: bool) -> (u64, bool) {
    let clock = OneSecond::default();
    let mut filled = Queue::<Captured, PLACES>::new();
    let mut emptied = Queue::<Block, PLACES>::new();
    let (filled_in, mut filled_out) = filled.split();
    let (_emptied_in, emptied_out) = emptied.split();
    let gone = AtomicBool::new(false);
    let capture = Capture {
        camera: Box::new(FromTheFuture(Some(LineStamp {
            exposure_ns: 600 * SECOND_NS,
            count: Count(4),
        }))),
        filled: filled_in,
        emptied: emptied_out,
        stop: &clock.stop,
        gone: &gone,
        clock: Some(&clock),
        is_live,
    };
    capture.run();
    assert!(gone.load(Ordering::Relaxed));
    let came = matches!(filled_out.dequeue(), Some(Captured::Block(_)));
    (clock.now_ns(), came)
}

#[test]
fn lines_of_a_live_camera_are_not_waited_with_whatever_time_they_carry() {
    assert_eq!(captured(true), (0, true));
}

#[test]
fn waiting_for_the_time_of_lines_ends_with_the_run() {
    let (ended_ns, _) = captured(false);
    assert_eq!(ended_ns, SECOND_NS);
}
