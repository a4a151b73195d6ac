//! Web that goes by uninspected, and a station that does not call that inspecting.

use super::super::State;
use super::*;
use crate::evidence::Fault;

#[derive(Default)]
struct Seen {
    began: Vec<Moment>,
    over: Vec<Moment>,
    states: Vec<State>,
}

impl Witness for Seen {
    fn fault(&mut self, now: Moment, fault: &Fault) {
        if matches!(fault, Fault::Uninspected { .. }) {
            self.began.push(now);
        }
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        if matches!(fault, Fault::Uninspected { .. }) {
            self.over.push(now);
        }
    }

    fn state(&mut self, _: Moment, state: State) {
        self.states.push(state);
    }
}

/// Lines for 2.5 times the way from camera to ejector.
fn world(error_flag: f64) -> World {
    let mut world = World::calm(3);
    world.lines = 5000;
    world.faults = FaultRates {
        seed: 1,
        error_flag,
        ..FaultRates::default()
    };
    world
}

fn run_of(world: &World, camera: Box<dyn Camera>) -> (Seen, Vec<Edge>) {
    let (mut seen, mut outputs) = (Seen::default(), RecordedOutputs::default());
    run(world.setup(camera), &mut outputs, &mut seen).unwrap();
    (seen, outputs.edges().to_vec())
}

#[test]
fn a_station_whose_every_line_is_refused_is_not_ready_and_has_no_heartbeat() {
    let world = world(1.0);
    let (seen, edges) = run_of(&world, Box::new(world.camera()));
    let distance = i64::from(world.reject.distance_counts);
    let [began] = seen.began[..] else {
        panic!("{:?}", seen.began)
    };
    let way = began.count.0 - distance;
    assert!((1..=16).contains(&way), "{way}");
    assert!(seen.over.is_empty());
    assert_eq!(seen.states[..2], [State::Idle, State::Held]);
    let ready: Vec<bool> = (edges.iter())
        .filter(|edge| edge.output == Output::Ready)
        .map(|edge| edge.energised)
        .collect();
    assert_eq!(ready, [true, false]);
    assert!(!edges.iter().any(|edge| edge.output == Output::Heartbeat));
}

#[test]
fn a_station_that_inspects_some_of_its_web_is_ready() {
    for error_flag in [0.0, 0.5] {
        let world = world(error_flag);
        let (seen, _) = run_of(&world, Box::new(world.camera()));
        assert!(seen.began.is_empty() && !seen.states.contains(&State::Held));
    }
}

/// Every block has the driver's error flag for a while.
struct Flagged {
    web: FaultInjector<BrightCamera>,
    lines: std::ops::Range<u64>,
}

impl Camera for Flagged {
    fn format(&self) -> LineFormat {
        self.web.format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        self.web.start()
    }

    fn next_block(&mut self, wait: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        let event = self.web.next_block(wait, into)?;
        if self.lines.contains(&into.first_line.0) {
            into.fault = Some(crate::verdict::Reason::ErrorFlag);
        }
        Ok(event)
    }

    fn stop(&mut self) {
        self.web.stop();
    }
}

#[test]
fn ready_comes_back_with_the_first_verdict() {
    let world = world(0.0);
    let camera = Flagged {
        web: world.camera(),
        lines: 480..3600,
    };
    let (seen, edges) = run_of(&world, Box::new(camera));
    assert_eq!((seen.began.len(), seen.over.len()), (1, 1));
    // Line 3600 comes at count 14400.
    let over = seen.over[0].count.0;
    assert!((14_400..15_200).contains(&over), "{over}");
    let of_ready = |edge: &&Edge| edge.output == Output::Ready;
    let ready: Vec<bool> = (edges.iter().filter(of_ready))
        .map(|edge| edge.energised)
        .collect();
    assert_eq!(ready, [true, false, true, false]);
}
