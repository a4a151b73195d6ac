//! A web that moves under a camera of which nothing is heard.

use super::super::State;
use super::super::core::{Core, Surroundings};
use super::super::input::Input;
use super::super::inspection::{Found, Step};
use super::*;
use crate::block::LineStamp;
use crate::evidence::Fault;
use crate::geometry::Count;
use crate::verdict::Span;

const MS: u64 = 1_000_000;
const COUNTS_PER_MS: i64 = 8;
const DISTANCE_COUNTS: i64 = 8000;

/// Signs of life, states and faults of the camera, each with the count then.
#[derive(Default)]
struct Heard {
    alive: Vec<i64>,
    states: Vec<(i64, State)>,
    begun: Vec<i64>,
    over: Vec<i64>,
}

impl Witness for Heard {
    fn alive(&mut self, now: Moment, _: bool) {
        self.alive.push(now.count.0);
    }

    fn state(&mut self, now: Moment, state: State) {
        self.states.push((now.count.0, state));
    }

    fn fault(&mut self, now: Moment, fault: &Fault) {
        if matches!(fault, Fault::Camera { .. }) {
            self.begun.push(now.count.0);
        }
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        if matches!(fault, Fault::Camera { .. }) {
            self.over.push(now.count.0);
        }
    }
}

/// A block of 24 lines that ends at this time, of which no tile can be cut.
fn block(core: &mut Core, end_ms: u64, first_line: u64, out: &mut Surroundings<'_>) {
    let stamps = (0..24).map(|line| LineStamp {
        exposure_ns: end_ms * MS - (23 - line) * MS / 2,
        count: Count(COUNTS_PER_MS * end_ms as i64 - 4 * (23 - line as i64)),
    });
    let mut step = Step {
        first_line: LineNumber(first_line),
        stamps: stamps.collect(),
        idle: true,
        ..Step::default()
    };
    let ns = end_ms * MS;
    core.take(Input::Block { ns, first_line }, &mut step, out)
        .unwrap();
}

/// A verdict on the block's first line: the station inspects.
fn verdict(core: &mut Core, at_ms: u64, first_line: u64, out: &mut Surroundings<'_>) {
    let span = Span {
        first_line: LineNumber(first_line),
        lines: 1,
    };
    let verdict = Verdict::Ok;
    let mut step = Step {
        found: vec![Found::Verdict(SpanVerdict { span, verdict })],
        idle: true,
        ..Step::default()
    };
    let (ns, number) = (at_ms * MS, first_line);
    core.take(Input::Tile { ns, number }, &mut step, out)
        .unwrap();
}

/// The web runs for three seconds, three times the way to the ejector; a block comes at these times.
fn heard(blocks_ms: &[u64]) -> Heard {
    let reject = World::calm(1).reject;
    assert_eq!(i64::from(reject.distance_counts), DISTANCE_COUNTS);
    let mut core = Core::new(reject, LineCounts::Camera, false).unwrap();
    let mut heard = Heard::default();
    let mut outputs = RecordedOutputs::default();
    let mut out = Surroundings {
        outputs: &mut outputs,
        witness: &mut heard,
    };
    core.operate(&mut out);
    let mut lines = 0;
    for ms in 1..3000 {
        let count = Count(COUNTS_PER_MS * ms as i64);
        core.position(Moment { ns: ms * MS, count }, &mut out);
        if blocks_ms.contains(&ms) {
            block(&mut core, ms, lines, &mut out);
            verdict(&mut core, ms, lines, &mut out);
            lines += 24;
        }
    }
    heard
}

#[test]
fn a_camera_that_falls_silent_is_not_alive_though_all_its_lines_have_passed() {
    let heard = heard(&[12]);
    // The last line is at 96 counts; two blocks are 184, and the margin 40.
    assert!(*heard.alive.last().unwrap() <= 96 + 184 + 40 + COUNTS_PER_MS);
    let silent = 96 + DISTANCE_COUNTS;
    let (count, state) = *heard.states.last().unwrap();
    assert_eq!(state, State::Held);
    assert!(
        (silent..silent + 2 * COUNTS_PER_MS).contains(&count),
        "{count}"
    );
    assert_eq!((heard.begun.len(), heard.over.len()), (1, 0));
}

#[test]
fn a_camera_that_never_delivers_is_alive_for_the_way_to_the_ejector_only() {
    let heard = heard(&[]);
    let near = |count: i64| (count - DISTANCE_COUNTS).abs() <= 2 * COUNTS_PER_MS;
    assert!(near(*heard.alive.last().unwrap()), "{:?}", heard.alive);
    assert!(matches!(*heard.states, [(0, State::Idle), (count, State::Held)] if near(count)));
    assert_eq!(heard.begun.len(), 1);
}

#[test]
fn lines_that_come_again_end_the_silence() {
    let heard = heard(&[12, 2000]);
    assert_eq!(*heard.over, [16_000]);
    assert_eq!(heard.states.last().unwrap().1, State::Execute);
    assert!(heard.alive.contains(&16_000));
}
