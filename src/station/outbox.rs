//! From the eject thread to whoever wants to know: a queue that it never waits for.
//!
//! When the queue is full, what does not fit is counted and told as lost records; the state is told later
//! instead, and a recording that lost an input is refused at the end of the run.

use super::input::Input;
use super::{State, Witness};
use crate::evidence::Fault;
use crate::pins::Moment;
use crate::reject::{RejectEvent, VerdictUse};
use crate::verdict::SpanVerdict;
use crate::web::Region;
use heapless::spsc::{Consumer, Producer, Queue};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Places of the queue: seconds of positions, ticks and verdicts.
pub(super) const PLACES: usize = 8192;

/// One thing that the eject thread says.
#[derive(Debug)]
pub(super) enum Told {
    Input(Input),
    Region(Region),
    Verdict(SpanVerdict, VerdictUse),
    Ledger(RejectEvent),
    Fault(Fault),
    Recovered(Fault),
    State(State),
    Note(String),
}

pub(super) type Letters = Queue<(Moment, Told), PLACES>;

/// What is shared beside the queue.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Twice the time of the last sign of life, plus one where the station was held.
    alive: AtomicU64,
    /// An input found no place.
    pub input_lost: AtomicBool,
}

/// The eject thread's end.
pub(super) struct Outbox<'q> {
    letters: Producer<'q, (Moment, Told)>,
    signs: &'q Signs,
    recorded: bool,
    lost: u64,
    /// A state that found no place.
    untold: Option<(Moment, State)>,
}

impl<'q> Outbox<'q> {
    pub fn new(letters: Producer<'q, (Moment, Told)>, signs: &'q Signs, recorded: bool) -> Self {
        Self {
            letters,
            signs,
            recorded,
            lost: 0,
            untold: None,
        }
    }

    /// Tells the recording, where there is one.
    pub fn input(&mut self, now: Moment, input: &Input) {
        let told = || (now, Told::Input(input.clone()));
        if self.recorded && self.letters.enqueue(told()).is_err() {
            self.signs.input_lost.store(true, Ordering::Relaxed);
        }
    }

    fn send(&mut self, now: Moment, told: Told) {
        if self.lost > 0 {
            let fault = Fault::JournalLost { records: self.lost };
            if self.letters.enqueue((now, Told::Fault(fault))).is_ok() {
                self.lost = 0;
            }
        }
        if let Some((at, state)) = self.untold.take()
            && self.letters.enqueue((at, Told::State(state))).is_err()
        {
            self.untold = Some((at, state));
        }
        match self.letters.enqueue((now, told)) {
            Ok(()) => {}
            Err((at, Told::State(state))) => self.untold = Some((at, state)),
            Err(_) => self.lost += 1,
        }
    }
}

impl Witness for Outbox<'_> {
    fn region(&mut self, now: Moment, region: &Region) {
        self.send(now, Told::Region(*region));
    }

    fn verdict(&mut self, now: Moment, verdict: SpanVerdict, used: VerdictUse) {
        self.send(now, Told::Verdict(verdict, used));
    }

    fn ledger(&mut self, now: Moment, event: RejectEvent) {
        self.send(now, Told::Ledger(event));
    }

    fn fault(&mut self, now: Moment, fault: &Fault) {
        self.send(now, Told::Fault(fault.clone()));
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        self.send(now, Told::Recovered(fault.clone()));
    }

    fn state(&mut self, now: Moment, state: State) {
        self.send(now, Told::State(state));
    }

    fn alive(&mut self, now: Moment, held: bool) {
        let sign = (now.ns << 1) | u64::from(held);
        self.signs.alive.store(sign, Ordering::Release);
    }

    fn note(&mut self, now: Moment, text: &str) {
        self.send(now, Told::Note(text.to_owned()));
    }
}

/// The other end: hands on to the witnesses, which may take their time.
pub(super) struct Inbox<'q> {
    letters: Consumer<'q, (Moment, Told)>,
    signs: &'q Signs,
    alive: u64,
    /// The latest moment that was told of.
    pub now: Moment,
}

impl<'q> Inbox<'q> {
    pub fn new(letters: Consumer<'q, (Moment, Told)>, signs: &'q Signs) -> Self {
        Self {
            letters,
            signs,
            alive: 0,
            now: Moment::default(),
        }
    }

    /// Hands everything on that is there; inputs are for the recording.
    pub fn hand_on<E>(
        &mut self,
        witness: &mut dyn Witness,
        mut record: impl FnMut(&Input) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some((now, told)) = self.letters.dequeue() {
            match told {
                Told::Input(input) => record(&input)?,
                Told::Region(region) => witness.region(now, &region),
                Told::Verdict(verdict, used) => witness.verdict(now, verdict, used),
                Told::Ledger(event) => witness.ledger(now, event),
                Told::Fault(fault) => witness.fault(now, &fault),
                Told::Recovered(fault) => witness.recovered(now, &fault),
                Told::State(state) => witness.state(now, state),
                Told::Note(text) => witness.note(now, &text),
            }
            self.now = now;
        }
        let alive = self.signs.alive.load(Ordering::Acquire);
        if std::mem::replace(&mut self.alive, alive) != alive {
            self.now.ns = self.now.ns.max(alive >> 1);
            witness.alive(self.now, alive & 1 == 1);
        }
        Ok(())
    }
}
