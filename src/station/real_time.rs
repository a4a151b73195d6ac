//! The order of inputs as the clock makes it.

use super::capture::Captured;
use super::core::Core;
use super::feed::Feed;
use super::input::Input;
use super::{Clock, StationError};
use std::time::Duration;

pub(super) struct RealTime<'c> {
    clock: &'c dyn Clock,
    ended: bool,
}

impl<'c> RealTime<'c> {
    pub fn new(clock: &'c dyn Clock) -> Self {
        Self {
            clock,
            ended: false,
        }
    }

    /// Waits for the next input, at most for half the ledger's call period.
    pub fn next(&mut self, feed: &mut Feed<'_>, core: &Core) -> Result<Input, StationError> {
        loop {
            let ns = self.clock.now_ns();
            if let Some(event) = feed.encoder(ns)? {
                return Ok(Input::of_encoder(event, ns));
            }
            if let Some(number) = feed.finished() {
                return Ok(Input::Tile { ns, number });
            }
            if !self.ended {
                match feed.peek() {
                    Some(Captured::Block(block)) => {
                        return Ok(Input::Block {
                            ns,
                            first_line: block.first_line.0,
                        });
                    }
                    Some(Captured::Lost(_)) => return Ok(Input::Lost { ns }),
                    Some(Captured::End | Captured::Failed(_)) => {
                        self.ended = true;
                        return Ok(Input::End { ns });
                    }
                    None => {}
                }
            }
            if core.is_over() && feed.outstanding() == 0 {
                return Ok(Input::Stop { ns });
            }
            let period_ns = core.call_period_ns();
            if ns.saturating_sub(core.now().ns) >= period_ns / 2 {
                return Ok(Input::Tick { ns });
            }
            self.clock.sleep(Duration::from_nanos(period_ns / 4));
        }
    }
}
