//! The order of inputs in simulated time: which of them would have come next on the station that is
//! simulated. The machine that simulates only decides how long that takes.

use super::SimulatedPace;
use super::StationError;
use super::capture::Captured;
use super::core::Core;
use super::input::Input;
use super::supply::Supply;
use super::wires::Wires;
use crate::camera::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Debug)]
pub(super) struct Simulation {
    pace: SimulatedPace,
    hiccups: Random,
    /// When each worker has finished what it was given.
    workers_free_ns: Vec<u64>,
    /// Tiles under way by the time and number at which they will be finished.
    under_way: BinaryHeap<Reverse<(u64, u64)>>,
    ended: bool,
}

impl Simulation {
    pub fn new(pace: SimulatedPace) -> Self {
        Self {
            hiccups: Random::stream(pace.seed, 40),
            workers_free_ns: vec![0; pace.workers.max(1) as usize],
            under_way: BinaryHeap::new(),
            ended: false,
            pace,
        }
    }

    /// A tile was handed out.
    pub fn handed_out(&mut self, number: u64, now_ns: u64) {
        let mut time_us = self.pace.tile_us;
        if f64::from(self.hiccups.unit()) < self.pace.hiccup_share {
            time_us += self.pace.hiccup_us;
        }
        // There is at least one worker.
        if let Some(free_ns) = self.workers_free_ns.iter_mut().min() {
            *free_ns = (*free_ns).max(now_ns) + time_us * 1000;
            self.under_way.push(Reverse((*free_ns, number)));
        }
    }

    /// The next input. Nothing else happens before it.
    pub fn next(
        &mut self,
        supply: &mut Supply<'_>,
        wires: &mut Wires,
        core: &Core,
    ) -> Result<Input, StationError> {
        let now_ns = core.now().ns;
        let tile = self.under_way.peek().map(|Reverse(next)| *next);
        let mut due = tile.map(|(ns, number)| Input::Tile {
            ns: ns.max(now_ns),
            number,
        });
        if !self.ended {
            let captured = match supply.peek_waiting()? {
                Captured::Block(block) => {
                    let exposed_ns = block.stamps.last().map_or(0, |last| last.exposure_ns);
                    Input::Block {
                        ns: now_ns.max(exposed_ns + self.pace.transfer_us * 1000),
                        first_line: block.first_line.0,
                    }
                }
                Captured::Lost(_) => Input::Lost { ns: now_ns },
                Captured::End | Captured::Failed(_) => Input::End { ns: now_ns },
            };
            if due.as_ref().is_none_or(|tile| captured.ns() < tile.ns()) {
                due = Some(captured);
            }
        }
        if due.is_none() && core.is_over() {
            return Ok(Input::Stop { ns: now_ns });
        }
        let due_ns = due.as_ref().map_or(u64::MAX, Input::ns);
        let tick_ns = now_ns + core.call_period_ns();
        if let Some(event) = wires.confirm(now_ns) {
            return Ok(Input::of_confirm(event, now_ns));
        }
        if let Some(event) = wires.encoder(due_ns.min(tick_ns))? {
            return Ok(Input::of_encoder(event, now_ns));
        }
        match due {
            Some(input) if due_ns <= tick_ns => {
                match input {
                    Input::Tile { .. } => {
                        self.under_way.pop();
                    }
                    Input::End { .. } => self.ended = true,
                    _ => {}
                }
                Ok(input)
            }
            _ => Ok(Input::Tick { ns: tick_ns }),
        }
    }
}
