//! The eject thread and what waits for it, or it for nothing.

use super::super::core::{Core, Surroundings};
use super::super::eject::{Eject, ORDERS, Order, STEPS};
use super::super::input::Input;
use super::super::inspection::{Found, Step};
use super::super::outbox::{Inbox, Letters, Outbox, PLACES, Signs};
use super::super::wires::Wires;
use super::super::{Clock, State};
use super::*;
use crate::block::LineStamp;
use crate::evidence::{Fault, Wall, WallQuality};
use crate::geometry::Count;
use crate::histogram::Histogram;
use crate::pins::Outputs;
use crate::reject::RejectEvent;
use crate::verdict::{Reason, Span};
use heapless::spsc::Queue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A clock on which time passes only while somebody sleeps.
#[derive(Default)]
struct Script(AtomicU64);

impl Clock for Script {
    fn now_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
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
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// 4 counts a millisecond, for four seconds.
struct Turning(i64);

impl Encoder for Turning {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        if until_ns > 4_000_000_000 {
            return Err(PinError::Encoder("the test is over".to_owned()));
        }
        let count = (until_ns / 250_000) as i64;
        let moves = std::mem::replace(&mut self.0, count) != count;
        Ok(moves.then_some(EncoderEvent::Position(Moment {
            ns: until_ns,
            count: Count(count),
        })))
    }
}

/// Pulses: the first line, where they were due and where they were commanded.
#[derive(Default)]
struct Pulses(Vec<(Option<u64>, i64, i64)>);

impl Witness for Pulses {
    fn ledger(&mut self, _: Moment, event: RejectEvent) {
        if let RejectEvent::Fired {
            span,
            commanded_count,
            fired_count,
            ..
        } = event
        {
            let line = span.map(|span| span.first_line.0);
            self.0.push((line, commanded_count.0, fired_count.0));
        }
    }
}

#[test]
fn a_pulse_is_on_time_though_a_tile_is_cut_for_seconds() {
    let mut reject = World::calm(1).reject;
    reject.accept_startup_web = true;
    let mut core = Core::new(reject, LineCounts::Camera, false).unwrap();
    let mut orders = Queue::<Order, ORDERS>::new();
    let mut spent = Queue::<Step, STEPS>::new();
    let mut letters = Box::new(Letters::new());
    let (mut orders_in, orders_out) = orders.split();
    let (spent_in, mut spent_out) = spent.split();
    let (letters_in, letters_out) = letters.split();
    let (signs, abandoned) = (Signs::default(), AtomicBool::new(false));
    let stamps = (0..64).map(|line| LineStamp {
        exposure_ns: line * 1_000_000,
        count: Count(4 * line as i64),
    });
    let block = Order {
        input: Input::Block {
            ns: 0,
            first_line: 0,
        },
        step: Step {
            stamps: stamps.collect(),
            ..Step::default()
        },
    };
    // The last that is heard of the web.
    orders_in.enqueue(block).unwrap();
    let clock = Script::default();
    let eject = Eject {
        clock: &clock,
        wires: Wires::new(Box::new(Turning(0)), None),
        orders: orders_out,
        spent: spent_in,
        abandoned: &abandoned,
        looked_ns: None,
        stalled_to_ns: None,
        looks_us: Histogram::default(),
    };
    let mut outputs = RecordedOutputs::default();
    let outbox = Outbox::new(letters_in, &signs, false);
    let ended = eject.run(&RealtimeConfig::default(), &mut core, &mut outputs, outbox);
    assert!(ended.unwrap_err().to_string().contains("the test is over"));
    assert!(spent_out.dequeue().is_some(), "the step comes back");
    let mut pulses = Pulses::default();
    Inbox::new(letters_out, &signs)
        .hand_on(&mut pulses, |_| Ok::<_, ()>(()))
        .unwrap();
    let [(line, due, commanded)] = pulses.0[..] else {
        panic!("{:?}", pulses.0)
    };
    assert_eq!(line, Some(0));
    // Two counts pass between two looks.
    assert!((0..=2).contains(&(commanded - due)), "{due} {commanded}");
    let mut edges = outputs.edges().iter();
    let last = edges.rfind(|edge| edge.output == Output::Reject).unwrap();
    assert!(!last.energised && last.at.count.0 == commanded, "{last:?}");
}

/// As [`Turning`], and whenever there is nothing to tell the thread that asked does not run for 10 ms.
struct Preempting<'c>(Turning, &'c Script);

impl Encoder for Preempting<'_> {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        let told = self.0.next_event(until_ns)?;
        if told.is_none() {
            self.1.sleep(Duration::from_millis(10));
        }
        Ok(told)
    }
}

#[derive(Default)]
struct Faults(Vec<RejectEvent>);

impl Witness for Faults {
    fn ledger(&mut self, _: Moment, event: RejectEvent) {
        if matches!(event, RejectEvent::EncoderFault { .. }) {
            self.0.push(event);
        }
    }
}

/// A clock on which looking takes time as well, as on any machine.
#[derive(Default)]
struct Running(Script);

impl Clock for Running {
    fn now_ns(&self) -> u64 {
        self.0.sleep(Duration::from_micros(3));
        self.0.now_ns()
    }

    fn wall(&self) -> Wall {
        self.0.wall()
    }

    fn boot(&self) -> String {
        self.0.boot()
    }

    fn sleep(&self, time: Duration) {
        self.0.sleep(time);
    }
}

/// Jumps of a web of 4000 counts/s whose thread is kept from running for 10 ms whenever the encoder is asked in vain.
fn jumps(clock: &'static dyn Clock, script: &'static Script) -> Vec<RejectEvent> {
    let mut reject = World::calm(1).reject;
    reject.max_speed_counts_per_s = 4100;
    let mut core = Core::new(reject, LineCounts::Encoder, false).unwrap();
    let mut orders = Queue::<Order, ORDERS>::new();
    let mut spent = Queue::<Step, STEPS>::new();
    let mut letters = Box::new(Letters::new());
    let (mut orders_in, orders_out) = orders.split();
    let (spent_in, _spent_out) = spent.split();
    let (letters_in, letters_out) = letters.split();
    let (signs, abandoned) = (Signs::default(), AtomicBool::new(false));
    for number in 0..60 {
        let input = Input::Tile { ns: 0, number };
        let step = Step::default();
        orders_in.enqueue(Order { input, step }).unwrap();
    }
    let eject = Eject {
        clock,
        wires: Wires::new(Box::new(Preempting(Turning(0), script)), None),
        orders: orders_out,
        spent: spent_in,
        abandoned: &abandoned,
        looked_ns: None,
        stalled_to_ns: None,
        looks_us: Histogram::default(),
    };
    let mut outputs = RecordedOutputs::default();
    let outbox = Outbox::new(letters_in, &signs, false);
    let ended = eject.run(&RealtimeConfig::default(), &mut core, &mut outputs, outbox);
    assert!(ended.unwrap_err().to_string().contains("the test is over"));
    let mut faults = Faults::default();
    Inbox::new(letters_out, &signs)
        .hand_on(&mut faults, |_| Ok::<_, ()>(()))
        .unwrap();
    faults.0
}

#[test]
fn a_thread_that_was_kept_from_running_takes_no_place_for_a_jump() {
    let script: &'static Script = Box::leak(Box::default());
    assert_eq!(jumps(script, script), []);
    let running: &'static Running = Box::leak(Box::default());
    assert_eq!(jumps(running, &running.0), []);
}

#[test]
fn lines_that_come_after_their_place_is_forgotten_own_no_web() {
    let mut reject = World::calm(1).reject;
    reject.max_speed_counts_per_s = 8000;
    let mut core = Core::new(reject, LineCounts::Encoder, false).unwrap();
    let mut out = Surroundings {
        outputs: &mut RecordedOutputs::default(),
        witness: &mut (),
    };
    core.operate(&mut out);
    let mut step = Step::default();
    for ns in (0..20_000_000_000u64).step_by(250_000) {
        let at = Moment {
            ns,
            count: Count((ns / 250_000) as i64),
        };
        core.take(Input::Position(at), &mut step, &mut out).unwrap();
    }
    // Seen in the first second, and found ok, by a web thread that was kept from its work since.
    step.stamps = (1..=64)
        .map(|line| LineStamp {
            exposure_ns: line * 1_000_000,
            count: Count(0),
        })
        .collect();
    step.found.push(Found::Verdict(SpanVerdict {
        span: Span {
            first_line: LineNumber(0),
            lines: 64,
        },
        verdict: Verdict::Ok,
    }));
    let block = Input::Block {
        ns: 20_000_000_000,
        first_line: 0,
    };
    core.take(block, &mut step, &mut out).unwrap();
    let sums = core.summary().accounting;
    assert_eq!(sums.lines.not_inspected_for(Reason::Stale), 64);
    assert_eq!((sums.lines.ok, sums.lines_pending), (0, 0));
}

/// Outputs that show whether web is accepted.
struct Shown(RecordedOutputs, Arc<AtomicBool>);

impl Outputs for Shown {
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError> {
        if output == Output::Reject {
            self.1.store(energised, Ordering::Release);
        }
        self.0.drive(output, energised, now)
    }

    fn release_all(&mut self, now: Moment) -> Result<(), PinError> {
        self.0.release_all(now)
    }
}

/// Hangs once web is accepted, until it is no longer.
struct Hanging {
    accepts: Arc<AtomicBool>,
    hung: bool,
}

impl Witness for Hanging {
    fn block(&mut self, _: Moment, _: &Block) {
        if !self.hung && self.accepts.load(Ordering::Acquire) {
            self.hung = true;
            let began = std::time::Instant::now();
            while self.accepts.load(Ordering::Acquire) {
                assert!(began.elapsed().as_secs() < 60, "web passes that nobody saw");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn web_that_nobody_could_look_at_is_rejected_while_the_webs_side_hangs() {
    let world = World {
        lines: 5000,
        ..World::calm(8)
    };
    let accepts = Arc::new(AtomicBool::new(false));
    let mut outputs = Shown(RecordedOutputs::default(), Arc::clone(&accepts));
    let mut hanging = Hanging {
        accepts,
        hung: false,
    };
    let setup = Setup {
        pace: Pace::Real,
        ..world.setup(Box::new(world.camera()))
    };
    let summary = run(setup, &mut outputs, &mut hanging).unwrap();
    assert!(hanging.hung);
    let sums = &summary.accounting;
    assert_eq!(sums.lines_travelled, sums.lines.total());
    assert!(sums.lines.not_inspected_total() > 0);
}

#[derive(Default)]
struct Heard {
    events: usize,
    lost: u64,
    states: Vec<State>,
}

impl Witness for Heard {
    fn ledger(&mut self, _: Moment, _: RejectEvent) {
        self.events += 1;
    }

    fn fault(&mut self, _: Moment, fault: &Fault) {
        if let Fault::JournalLost { records } = fault {
            self.lost += records;
        }
    }

    fn state(&mut self, _: Moment, state: State) {
        self.states.push(state);
    }
}

#[test]
fn what_the_queue_has_no_place_for_is_counted_and_the_state_is_told_later() {
    let signs = Signs::default();
    let mut letters = Box::new(Letters::new());
    let (letters_in, letters_out) = letters.split();
    let mut outbox = Outbox::new(letters_in, &signs, true);
    let mut inbox = Inbox::new(letters_out, &signs);
    let now = Moment::default();
    let event = RejectEvent::Stopped {
        at_ns: 0,
        count: Count(0),
    };
    for _ in 0..PLACES + 100 {
        outbox.ledger(now, event);
    }
    outbox.state(now, State::Held);
    outbox.input(now, &Input::Tick { ns: 1 });
    assert!(signs.input_lost.load(Ordering::Relaxed));
    let mut heard = Heard::default();
    let record = |_: &Input| Ok::<_, ()>(());
    inbox.hand_on(&mut heard, record).unwrap();
    outbox.ledger(now, event);
    inbox.hand_on(&mut heard, record).unwrap();
    assert_eq!(heard.events as u64 + heard.lost, PLACES as u64 + 101);
    assert_eq!(heard.states, [State::Held]);
}
