//! A reject that was missed, where it stops the line.

use super::super::State;
use super::super::core::{Core, Surroundings};
use super::super::input::Input;
use super::super::inspection::{Found, Step};
use super::*;
use crate::block::LineStamp;
use crate::evidence::Fault;
use crate::geometry::Count;
use crate::verdict::Span;

#[derive(Default)]
struct Seen {
    stops: Vec<String>,
    states: Vec<State>,
    held: bool,
}

impl Witness for Seen {
    fn fault(&mut self, _: Moment, fault: &Fault) {
        if let Fault::LineStop { message } = fault {
            self.stops.push(message.clone());
        }
    }

    fn state(&mut self, _: Moment, state: State) {
        self.states.push(state);
    }

    fn alive(&mut self, _: Moment, held: bool) {
        self.held |= held;
    }
}

/// A line that no tile can be cut of: the camera is not silent.
fn line(core: &mut Core, at: Moment, number: u64, out: &mut Surroundings<'_>) {
    let stamp = LineStamp {
        exposure_ns: at.ns,
        count: at.count,
    };
    let mut step = Step {
        first_line: LineNumber(number),
        stamps: vec![stamp],
        idle: true,
        ..Step::default()
    };
    let (ns, first_line) = (at.ns, number);
    core.take(Input::Block { ns, first_line }, &mut step, out)
        .unwrap();
}

/// 3 s of a web of 4000 counts/s, whose lines come and are inspected by nobody; its first 8000 counts are accepted.
/// The station does not look at the wires for the 25 ms in which the first of the rest comes to the ejector.
fn missed(line_stop_on_missed: bool) -> (Seen, Vec<Edge>) {
    let mut reject = World::calm(1).reject;
    reject.accept_startup_web = true;
    reject.line_stop_on_missed = line_stop_on_missed;
    // Longer than the web takes: what is missed is the only cause to be held.
    reject.max_hold_ms = 60_000;
    let mut core = Core::new(reject, LineCounts::Camera, false).unwrap();
    let mut outputs = RecordedOutputs::default();
    let mut seen = Seen::default();
    let mut out = Surroundings {
        outputs: &mut outputs,
        witness: &mut seen,
    };
    let at = |ms: u64| Moment {
        ns: ms * 1_000_000,
        count: Count(4 * ms as i64),
    };
    core.operate(&mut out);
    for ms in 0..1900 {
        core.position(at(ms), &mut out);
        line(&mut core, at(ms), ms, &mut out);
    }
    // An engine that works.
    let span = Span {
        first_line: LineNumber(0),
        lines: 1,
    };
    let verdict = Verdict::Ok;
    let mut step = Step {
        found: vec![Found::Verdict(SpanVerdict { span, verdict })],
        ..Step::default()
    };
    let (ns, number) = (at(1899).ns, 0);
    core.take(Input::Tile { ns, number }, &mut step, &mut out)
        .unwrap();
    let looks = (1900..1980).chain(2005..3000);
    for ms in looks {
        core.position(at(ms), &mut out);
        line(&mut core, at(ms), ms, &mut out);
    }
    assert!(core.summary().accounting.missed_counts > 0);
    core.stop(at(3001).ns, &Step::default(), &mut out).unwrap();
    assert!(!core.summary().held, "a watchdog must not acknowledge it");
    (seen, outputs.edges().to_vec())
}

#[test]
fn a_missed_reject_takes_ready_away_until_the_station_is_restarted() {
    let (seen, edges) = missed(true);
    let words = "line stop: a reject was missed; restart the station to acknowledge";
    assert_eq!(seen.stops, [words]);
    let last: Vec<State> = seen.states.iter().rev().take(2).copied().collect();
    assert_eq!(last, [State::Stopped, State::Held]);
    assert!(!seen.held);
    for output in [Output::Ready, Output::Reject] {
        let last = edges.iter().rfind(|edge| edge.output == output).unwrap();
        assert!(!last.energised && last.at.ns < 2_010_000_000, "{last:?}");
    }

    let (seen, _) = missed(false);
    assert!(seen.stops.is_empty() && !seen.states.contains(&State::Held));
}
