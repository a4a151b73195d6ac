//! The web's side of a run by the clock: camera and engine on the calling thread, whose witnesses may take
//! their time, and the eject thread beside it.

use super::capture::Captured;
use super::core::{Core, Surroundings};
use super::eject::{Eject, ORDERS, Order, STEPS};
use super::input::{Input, InputWriter};
use super::inspection::{Inspection, Step};
use super::outbox::{Inbox, Letters, Outbox, Signs};
use super::run::SetOnDrop;
use super::wires::Wires;
use super::{Clock, RealtimeConfig, StationError, Summary, Witness};
use crate::histogram::Histogram;
use heapless::spsc::{Consumer, Producer, Queue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// Time between two looks for blocks, tiles and news where there are none.
const PAUSE: Duration = Duration::from_micros(250);

type Ejected<'scope> = ScopedJoinHandle<'scope, Result<Summary, StationError>>;

pub(super) struct RealTime<'q> {
    pub inspection: Inspection<'q>,
    pub recorder: Option<InputWriter>,
    pub clock: &'q dyn Clock,
    pub interrupted: Arc<AtomicBool>,
    #[cfg(target_os = "linux")]
    pub thermal: Option<crate::health::ThermalWatch>,
}

impl RealTime<'_> {
    pub fn run(
        mut self,
        wires: Wires,
        realtime: &RealtimeConfig,
        core: &mut Core,
        out: &mut Surroundings<'_>,
    ) -> Result<Summary, StationError> {
        let mut orders = Queue::<Order, ORDERS>::new();
        let mut spent = Queue::<Step, STEPS>::new();
        let mut letters = Box::new(Letters::new());
        let (orders_in, orders_out) = orders.split();
        let (spent_in, spent_out) = spent.split();
        let (letters_in, letters_out) = letters.split();
        let (signs, abandoned) = (Signs::default(), AtomicBool::new(false));
        let outbox = Outbox::new(letters_in, &signs, self.recorder.is_some());
        let mut inbox = Inbox::new(letters_out, &signs);
        let eject = Eject {
            clock: self.clock,
            wires,
            orders: orders_out,
            spent: spent_in,
            abandoned: &abandoned,
            looked_ns: None,
            stalled_to_ns: None,
            looks_us: Histogram::default(),
        };
        let (outputs, witness) = (&mut *out.outputs, &mut *out.witness);
        let (fed, ejected) = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("eject".to_owned())
                .spawn_scoped(scope, move || eject.run(realtime, core, outputs, outbox))
                .map_err(StationError::Threads)?;
            let abandon = SetOnDrop(&abandoned);
            let fed = self.feed(orders_in, spent_out, &mut inbox, &thread, witness);
            drop(abandon);
            let ejected = thread.join();
            let told = self.hand_on(&mut inbox, witness);
            Ok::<_, StationError>((fed.and(told), ejected))
        })?;
        fed?;
        let summary = ejected.unwrap_or(Err(StationError::ThreadLost("eject")))?;
        if let Some(recorder) = self.recorder.take() {
            if signs.input_lost.load(Ordering::Relaxed) {
                return Err(recorder.refuse("the disk was too slow for it, and inputs are missing"));
            }
            recorder.finish()?;
        }
        out.witness.ended(summary.ended, &summary);
        self.inspection.failed.take().map_or(Ok(summary), Err)
    }

    /// Hands to the ledger what camera and engine bring, for as long as it runs.
    fn feed(
        &mut self,
        mut orders: Producer<'_, Order>,
        mut spent: Consumer<'_, Step>,
        inbox: &mut Inbox<'_>,
        eject: &Ejected<'_>,
        witness: &mut dyn Witness,
    ) -> Result<(), StationError> {
        let (mut ended, mut stopping) = (false, false);
        while !eject.is_finished() {
            self.hand_on(inbox, witness)?;
            let next = match stopping {
                true => None,
                false => self.next(&mut ended),
            };
            let Some(input) = next else {
                self.clock.sleep(PAUSE);
                continue;
            };
            stopping = matches!(input, Input::Stop { .. });
            let mut step = spent.dequeue().unwrap_or_default();
            self.inspection
                .take(&input, inbox.now, &mut step, witness)?;
            let mut order = Order { input, step };
            while let Err(back) = orders.enqueue(order) {
                if eject.is_finished() {
                    return Ok(());
                }
                order = back;
                self.clock.sleep(PAUSE);
            }
            if !stopping {
                while self.inspection.hand_out_tile()?.is_some() {}
            }
        }
        Ok(())
    }

    /// The web's next input, if there is one; its time is that at which it reaches the ledger.
    fn next(&mut self, ended: &mut bool) -> Option<Input> {
        let ns = 0;
        if self.interrupted.load(Ordering::Relaxed) {
            return Some(Input::Stop { ns });
        }
        if let Some(number) = self.inspection.supply.finished() {
            return Some(Input::Tile { ns, number });
        }
        if *ended {
            return None;
        }
        match self.inspection.supply.peek()? {
            Captured::Block(block) => Some(Input::Block {
                ns,
                first_line: block.first_line.0,
            }),
            Captured::Lost(_) => Some(Input::Lost { ns }),
            Captured::End | Captured::Failed(_) => {
                *ended = true;
                Some(Input::End { ns })
            }
        }
    }

    fn hand_on(
        &mut self,
        inbox: &mut Inbox<'_>,
        witness: &mut dyn Witness,
    ) -> Result<(), StationError> {
        #[cfg(target_os = "linux")]
        if let Some(change) = self.thermal.as_ref().and_then(|watch| watch.changed()) {
            tell_heat(change, inbox, witness);
        }
        let recorder = &mut self.recorder;
        inbox.hand_on(witness, |input| match recorder {
            Some(recorder) => recorder.write(input),
            None => Ok(()),
        })
    }
}

/// The board slows itself down, for this reason, or does no longer.
#[cfg(target_os = "linux")]
fn tell_heat(change: Result<(), String>, inbox: &Inbox<'_>, witness: &mut dyn Witness) {
    use crate::evidence::Fault;
    let is_over = change.is_ok();
    let message = change.err().unwrap_or_default();
    let fault = Fault::Throttled { message };
    if is_over {
        witness.recovered(inbox.now, &fault);
    } else {
        witness.fault(inbox.now, &fault);
    }
}
