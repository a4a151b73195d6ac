//! The eject thread: encoder counts, ledger and pins, in the order of inputs that the clock makes. It waits
//! for nobody.

use super::core::{Core, Surroundings};
use super::input::Input;
use super::inspection::Step;
use super::outbox::Outbox;
use super::wires::Wires;
use super::{Clock, RealtimeConfig, StationError, Summary};
use crate::histogram::Histogram;
use crate::pins::Outputs;
use heapless::spsc::{Consumer, Producer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Inputs of the web that wait for the ledger, plus one place that the queue needs for itself. When it is
/// full the web waits, and lines that the camera delivers meanwhile are dropped and counted before it.
pub(super) const ORDERS: usize = 65;

/// Steps that exist at most: those that wait, one on either side, and the queue's own place.
pub(super) const STEPS: usize = ORDERS + 2;

/// An input of the web and what it did to it.
#[derive(Debug)]
pub(super) struct Order {
    pub input: Input,
    pub step: Step,
}

pub(super) struct Eject<'q> {
    pub clock: &'q dyn Clock,
    pub wires: Wires,
    pub orders: Consumer<'q, Order>,
    /// Steps on their way back, to be filled again.
    pub spent: Producer<'q, Step>,
    /// Set where the web's side has failed: no more orders will come.
    pub abandoned: &'q AtomicBool,
    pub looked_ns: Option<u64>,
    /// The end of a stall of which the encoder was not asked yet.
    pub stalled_to_ns: Option<u64>,
    pub looks_us: Histogram,
}

impl Eject<'_> {
    /// Runs until all web has passed the ejector. The outputs are without current at the end.
    pub fn run(
        mut self,
        realtime: &RealtimeConfig,
        core: &mut Core,
        outputs: &mut dyn Outputs,
        mut outbox: Outbox<'_>,
    ) -> Result<Summary, StationError> {
        #[cfg(target_os = "linux")]
        for text in super::rights::prefer_this_thread(realtime) {
            super::Witness::note(&mut outbox, core.now(), &text);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = realtime;
        let result = self.eject(core, outputs, &mut outbox);
        if result.is_err() {
            // The error is the one to tell; the pins fall to reject in any case.
            let _ = outputs.release_all(core.now());
        }
        result
    }

    fn eject(
        &mut self,
        core: &mut Core,
        outputs: &mut dyn Outputs,
        outbox: &mut Outbox<'_>,
    ) -> Result<Summary, StationError> {
        core.operate(&mut Surroundings {
            outputs: &mut *outputs,
            witness: &mut *outbox,
        });
        let mut nothing = Step::default();
        loop {
            let (input, mut order) = match self.wires.pins_input(core, outputs) {
                Some(input) => (input, None),
                None => self.next(core)?,
            };
            let is_last = matches!(input, Input::Stop { .. });
            outbox.input(core.now(), &input);
            let step = order.as_mut().unwrap_or(&mut nothing);
            self.wires.tell_encoder(&input, step);
            let mut out = Surroundings {
                outputs: &mut *outputs,
                witness: &mut *outbox,
            };
            core.take(input, step, &mut out)?;
            if let Some(step) = order {
                // There is a place for every step.
                let _ = self.spent.enqueue(step);
            }
            if is_last {
                break;
            }
        }
        let mut summary = core.summary();
        summary.jitter.decided_to_driven_us = outputs.pulse_delays_us().copied();
        summary.jitter.between_looks_us = Some(self.looks_us);
        Ok(summary)
    }

    /// What cannot wait: encoder, confirmation, and the ledger's call where half its period is over.
    fn look(&mut self, core: &Core) -> Result<Option<Input>, StationError> {
        if let Some(ns) = self.stalled_to_ns {
            // As of the stall's own time: at a later one the web would stand until then, and jump.
            if let Some(event) = self.wires.encoder(ns)? {
                return Ok(Some(Input::of_encoder(event, ns)));
            }
            self.stalled_to_ns = None;
        }
        let ns = self.clock.now_ns();
        if let Some(looked_ns) = self.looked_ns.replace(ns) {
            let since_ns = ns.saturating_sub(looked_ns);
            self.looks_us.add(since_ns / 1000);
            if since_ns > core.call_period_ns() {
                let stalled_ns = since_ns;
                self.stalled_to_ns = Some(ns);
                return Ok(Some(Input::Stalled { ns, stalled_ns }));
            }
        }
        if let Some(event) = self.wires.confirm(ns) {
            return Ok(Some(Input::of_confirm(event, ns)));
        }
        if let Some(event) = self.wires.encoder(ns)? {
            return Ok(Some(Input::of_encoder(event, ns)));
        }
        let is_due = ns.saturating_sub(core.now().ns) >= core.call_period_ns() / 2;
        Ok(is_due.then_some(Input::Tick { ns }))
    }

    /// Waits for the next input, at most for half the ledger's call period.
    fn next(&mut self, core: &Core) -> Result<(Input, Option<Step>), StationError> {
        loop {
            // A tick only says the time, which any other input does as well.
            let tick = match self.look(core)? {
                Some(tick @ Input::Tick { .. }) => Some(tick),
                Some(input) => return Ok((input, None)),
                None => None,
            };
            // The encoder was read then. At a later time the ledger would hold the web for standing since,
            // and its next position for a jump, where this thread was kept from running in between.
            let ns = self.looked_ns.unwrap_or_default();
            if let Some(order) = self.orders.dequeue() {
                return Ok((order.input.taken_at(ns), Some(order.step)));
            }
            if self.abandoned.load(Ordering::Acquire) {
                return Err(StationError::ThreadLost("web"));
            }
            if core.is_over() {
                return Ok((Input::Stop { ns }, None));
            }
            if let Some(tick) = tick {
                return Ok((tick, None));
            }
            self.clock
                .sleep(Duration::from_nanos(core.call_period_ns() / 4));
        }
    }
}
