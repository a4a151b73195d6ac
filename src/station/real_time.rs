//! The order of inputs as the clock makes it.

use super::capture::Captured;
use super::core::Core;
use super::feed::Feed;
use super::input::Input;
use super::{Clock, StationError};
use crate::histogram::Histogram;
use std::time::Duration;

pub(super) struct RealTime<'c> {
    clock: &'c dyn Clock,
    ended: bool,
    looked_ns: Option<u64>,
    looks_us: Histogram,
}

impl<'c> RealTime<'c> {
    pub fn new(clock: &'c dyn Clock) -> Self {
        Self {
            clock,
            ended: false,
            looked_ns: None,
            looks_us: Histogram::default(),
        }
    }

    /// Microseconds between two looks at encoder and pins.
    pub fn looks_us(&self) -> &Histogram {
        &self.looks_us
    }

    /// What cannot wait: encoder, confirmation, and the ledger's call where half its period is over.
    pub fn look(
        &mut self,
        feed: &mut Feed<'_>,
        core: &Core,
    ) -> Result<Option<Input>, StationError> {
        let ns = self.clock.now_ns();
        if let Some(looked_ns) = self.looked_ns.replace(ns) {
            let since_ns = ns.saturating_sub(looked_ns);
            self.looks_us.add(since_ns / 1000);
            if since_ns > core.call_period_ns() {
                let stalled_ns = since_ns;
                return Ok(Some(Input::Stalled { ns, stalled_ns }));
            }
        }
        if let Some(event) = feed.confirm(ns) {
            return Ok(Some(Input::of_confirm(event, ns)));
        }
        if let Some(event) = feed.encoder(ns)? {
            return Ok(Some(Input::of_encoder(event, ns)));
        }
        let is_due = ns.saturating_sub(core.now().ns) >= core.call_period_ns() / 2;
        Ok(is_due.then_some(Input::Tick { ns }))
    }

    /// Waits for the next input, at most for half the ledger's call period.
    pub fn next(&mut self, feed: &mut Feed<'_>, core: &Core) -> Result<Input, StationError> {
        loop {
            let urgent = self.look(feed, core)?;
            // A tick only says the time, which any other input does as well.
            let tick = match urgent {
                Some(tick @ Input::Tick { .. }) => Some(tick),
                Some(input) => return Ok(input),
                None => None,
            };
            let ns = self.clock.now_ns();
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
            if let Some(tick) = tick {
                return Ok(tick);
            }
            self.clock
                .sleep(Duration::from_nanos(core.call_period_ns() / 4));
        }
    }
}
