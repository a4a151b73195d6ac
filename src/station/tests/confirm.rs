//! An ejector that confirms its pulses, jams, and is freed.

use super::*;
use crate::evidence::Fault;
use crate::pins::{ConfirmEvent, ConfirmInput, Outputs};
use crate::reject::{ConfirmConfig, OnMissing};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};

const MS: u64 = 1_000_000;
const ANSWER_NS: u64 = 3 * MS;

/// Moves of the ejector that its switch has not shown yet.
type Moves = Arc<Mutex<VecDeque<u64>>>;

/// Outputs that move an ejector, which stands still while it is jammed.
struct Ejector {
    pins: RecordedOutputs,
    accepts: bool,
    jammed: Range<u64>,
    moves: Moves,
}

impl Outputs for Ejector {
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError> {
        if output == Output::Reject {
            let rejects = std::mem::replace(&mut self.accepts, energised) && !energised;
            if rejects && !self.jammed.contains(&now.ns) {
                self.moves.lock().unwrap().push_back(now.ns + ANSWER_NS);
            }
        }
        self.pins.drive(output, energised, now)
    }

    fn release_all(&mut self, now: Moment) -> Result<(), PinError> {
        self.pins.release_all(now)
    }
}

/// Its switch. A hand moves the ejector once when it is freed.
struct Switch {
    moves: Moves,
    freed_ns: Option<u64>,
}

impl ConfirmInput for Switch {
    fn next_event(&mut self, until_ns: u64) -> Option<ConfirmEvent> {
        let rose = |ns| ConfirmEvent::Rose { ns, edges: 1 };
        if self.freed_ns.is_some_and(|freed_ns| freed_ns <= until_ns) {
            return self.freed_ns.take().map(rose);
        }
        let mut moves = self.moves.lock().unwrap();
        moves.pop_front_if(|ns| *ns <= until_ns).map(rose)
    }
}

#[derive(Default)]
struct Faults {
    missing: Vec<u64>,
    recovered: Vec<u64>,
}

impl Witness for Faults {
    fn fault(&mut self, now: Moment, fault: &Fault) {
        if let Fault::Ejector { message } = fault {
            assert!(message.contains("was not confirmed"), "{message}");
            self.missing.push(now.ns);
        }
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        if matches!(fault, Fault::Ejector { .. }) {
            self.recovered.push(now.ns);
        }
    }
}

fn run_with(on_missing: OnMissing, jammed: Range<u64>) -> (Summary, Vec<Edge>, Faults) {
    run_within(20, on_missing, jammed)
}

fn run_within(
    within_ms: u32,
    on_missing: OnMissing,
    jammed: Range<u64>,
) -> (Summary, Vec<Edge>, Faults) {
    let mut world = World::calm(11);
    world.reject.confirm = ConfirmConfig {
        within_ms,
        within_counts: 0,
        on_missing,
    };
    let moves = Moves::default();
    let mut outputs = Ejector {
        pins: RecordedOutputs::default(),
        accepts: false,
        jammed: jammed.clone(),
        moves: Arc::clone(&moves),
    };
    let freed_ns = (!jammed.is_empty()).then_some(jammed.end);
    let setup = Setup {
        is_confirmed: true,
        confirm: Some(Box::new(Switch { moves, freed_ns })),
        ..world.setup(Box::new(world.camera()))
    };
    let mut faults = Faults::default();
    let summary = run(setup, &mut outputs, &mut faults).unwrap();
    (summary, outputs.pins.edges().to_vec(), faults)
}

fn is_energised(output: Output, edges: &[Edge], ns: u64) -> bool {
    edges
        .iter()
        .rfind(|edge| edge.output == output && edge.at.ns <= ns)
        .is_some_and(|edge| edge.energised)
}

fn ready_at(edges: &[Edge], ns: u64) -> bool {
    is_energised(Output::Ready, edges, ns)
}

#[test]
fn an_ejector_that_answers_is_never_doubted() {
    let (summary, _, faults) = run_with(OnMissing::Stop, 0..0);
    let sums = summary.confirmations.unwrap();
    let pulses = summary.accounting.pulses;
    assert!(pulses > 2);
    assert_eq!(sums.confirmed + sums.unwatched, pulses, "{sums:?}");
    assert_eq!((sums.missing, sums.unasked), (0, 0));
    assert!(faults.missing.is_empty());
}

#[test]
fn a_jammed_ejector_takes_ready_away_until_it_moves() {
    let (summary, edges, faults) = run_with(OnMissing::Stop, 0..2000 * MS);
    let (told, over) = (faults.missing[0], faults.recovered[0]);
    assert!(told < over && over >= 2000 * MS, "{told} {over}");
    assert!(ready_at(&edges, told - 1));
    for ns in (told..over).step_by(10_000_000) {
        assert!(!ready_at(&edges, ns), "ready at {ns}");
    }
    let rejects = edges.iter().filter(|edge| edge.output == Output::Reject);
    assert!(
        rejects
            .filter(|edge| (told..over).contains(&edge.at.ns))
            .all(|edge| !edge.energised),
        "accepts web that nobody could throw out"
    );
    assert_eq!(
        summary.confirmations.unwrap().missing,
        faults.missing.len() as u64
    );
}

#[test]
fn reject_follows_a_jammed_ejector_in_the_same_moment_as_ready() {
    let mut accepted_before = 0;
    for within_ms in (100..600).step_by(50) {
        let (_, edges, faults) = run_within(within_ms, OnMissing::Stop, 0..2000 * MS);
        let told = faults.missing[0];
        assert!(!ready_at(&edges, told) && !is_energised(Output::Reject, &edges, told));
        let accepted = is_energised(Output::Reject, &edges, told - 1);
        accepted_before += u32::from(accepted && ready_at(&edges, told - 1));
    }
    assert!(accepted_before > 0, "a pulse stood each time");
}

#[test]
fn a_warning_leaves_ready_as_it_is() {
    let (summary, edges, faults) = run_with(OnMissing::Warn, 0..2000 * MS);
    assert!(!faults.missing.is_empty());
    assert!(ready_at(&edges, faults.missing[0]));
    assert_eq!(
        summary.confirmations.unwrap().missing,
        faults.missing.len() as u64
    );
}

/// A switch that rises by itself every 20 ms.
struct Chattering {
    next_ns: u64,
}

impl ConfirmInput for Chattering {
    fn next_event(&mut self, until_ns: u64) -> Option<ConfirmEvent> {
        (self.next_ns <= until_ns).then(|| {
            let ns = self.next_ns;
            self.next_ns += 20 * MS;
            ConfirmEvent::Rose { ns, edges: 1 }
        })
    }
}

/// Faults of the confirmation itself.
#[derive(Default)]
struct Chatter(Vec<u64>);

impl Witness for Chatter {
    fn fault(&mut self, now: Moment, fault: &Fault) {
        if let Fault::Confirm { message } = fault {
            assert!(message.contains("while nothing was rejected"), "{message}");
            self.0.push(now.ns);
        }
    }
}

#[test]
fn a_switch_that_chatters_confirms_nothing_and_stops_the_station() {
    for on_missing in [OnMissing::Stop, OnMissing::Warn] {
        let mut world = World::calm(11);
        world.reject.confirm = ConfirmConfig {
            within_ms: 25,
            within_counts: 0,
            on_missing,
        };
        let setup = Setup {
            is_confirmed: true,
            confirm: Some(Box::new(Chattering { next_ns: 0 })),
            ..world.setup(Box::new(world.camera()))
        };
        let (mut outputs, mut chatter) = (RecordedOutputs::default(), Chatter::default());
        let summary = run(setup, &mut outputs, &mut chatter).unwrap();
        let [told] = chatter.0[..] else {
            panic!("told {} times", chatter.0.len())
        };
        let edges = outputs.edges();
        let accepts = edges
            .iter()
            .any(|edge| edge.output == Output::Reject && edge.energised && edge.at.ns > told);
        let stops = on_missing == OnMissing::Stop;
        assert_eq!(accepts, !stops);
        assert_eq!(ready_at(edges, told), !stops);
        let sums = summary.confirmations.unwrap();
        // The web is accepted from 1 s on.
        assert!(told >= 1000 * MS + u64::from(crate::reject::MOST_STRAY_PER_MINUTE) * 20 * MS);
        assert!(sums.unwatched > 0 || stops, "{sums:?}");
    }
}
