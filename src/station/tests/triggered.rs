//! A camera whose lines the belt triggers and whose driver stamps frames: times within a frame say nothing.

use super::super::core::LineCounts;
use super::wires::{accepts, nothing_unproven_passes};
use super::*;
use crate::block::TimedLine;
use crate::camera::Move;
use crate::evidence::Fault;
use crate::geometry::Count;
use crate::reject::RejectEvent;
use proptest::prelude::*;

/// A frame of the camera behind it as V4L2 tells it: counts by line number from a beginning of their own,
/// times spread evenly from the end of the frame before or, by the last frame's length, from its first line.
struct Framed<C> {
    camera: C,
    counts_per_line: i64,
    stamped_at_start: bool,
    before: (u64, u64),
    /// No line may be told earlier.
    told_ns: u64,
    lines: i64,
}

impl<C: Camera> Camera for Framed<C> {
    fn format(&self) -> LineFormat {
        self.camera.format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        self.camera.start()
    }

    fn next_block(&mut self, time: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        let event = self.camera.next_block(time, into)?;
        let (Some(first), Some(last)) = (into.stamps.first(), into.stamps.last()) else {
            return Ok(event);
        };
        if event != BlockEvent::Filled {
            return Ok(event);
        }
        let (first_ns, last_ns) = (first.exposure_ns, last.exposure_ns);
        let lines = into.stamps.len();
        let (from, to, place, exposure_ns) = match self.stamped_at_start {
            true => {
                // Here when the last line is: nothing of it is later.
                let to = (first_ns + (first_ns - self.before.0)).min(last_ns);
                (first_ns, to, 0, first_ns)
            }
            false => (self.before.1, last_ns, lines - 1, last_ns),
        };
        self.before = (first_ns, last_ns);
        let from = from.max(self.told_ns);
        let to = to.max(from);
        self.told_ns = to;
        for (at, stamp) in into.stamps.iter_mut().enumerate() {
            self.lines += 1;
            // A frame is there when its last line is exposed.
            let line = at as u64 + u64::from(!self.stamped_at_start);
            stamp.exposure_ns = from + (to - from) * line / lines as u64;
            stamp.count = Count(123 + self.counts_per_line * self.lines);
        }
        into.timed_line = Some(TimedLine { place, exposure_ns });
        Ok(event)
    }

    fn stop(&mut self) {
        self.camera.stop();
    }
}

/// Stops and changes of speed at any line.
fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0u64..3000, 1u64..2000).prop_map(|(before_line, stop_ms)| Move::Stop {
            before_line,
            stop_ms
        }),
        (0u64..3000, 200.0..2000.0f64).prop_map(|(before_line, line_rate_hz)| Move::Speed {
            before_line,
            line_rate_hz
        }),
    ];
    prop::collection::vec(one, 0..6)
}

fn framed(seed: u64, moves: Vec<Move>, lines_per_block: u32) -> World {
    let mut world = World::calm(seed);
    world.belt.moves = moves;
    world.lines_per_block = lines_per_block;
    // A frame is judged when its last line is there, and a slow belt may take seconds for one.
    world.reject.distance_counts = 16_000;
    world.reject.max_counts_per_line = 4 * world.belt.counts_per_line;
    world
}

fn setup(world: &World, stamped_at_start: bool, line_counts: LineCounts) -> Setup<BrightEngine> {
    let camera = Framed {
        camera: world.camera(),
        counts_per_line: i64::from(world.belt.counts_per_line),
        stamped_at_start,
        before: (0, 0),
        told_ns: 0,
        lines: 0,
    };
    Setup {
        line_counts,
        ..world.setup(Box::new(camera))
    }
}

fn outcome(world: &World, stamped_at_start: bool, line_counts: LineCounts) -> Outcome {
    Outcome::of(setup(world, stamped_at_start, line_counts))
}

/// Verdicts, when the encoder was told to be at fault and to be well again, and when lines were lost.
#[derive(Default)]
struct Heard {
    told: Told,
    faults_ns: Vec<u64>,
    over_ns: Vec<u64>,
    lost_ns: Vec<u64>,
    resets: u64,
}

impl Witness for Heard {
    fn verdict(&mut self, now: Moment, verdict: SpanVerdict, used: VerdictUse) {
        self.told.verdict(now, verdict, used);
    }

    fn fault(&mut self, now: Moment, fault: &Fault) {
        match fault {
            Fault::Encoder { .. } => self.faults_ns.push(now.ns),
            Fault::LineNumbers { .. } => self.lost_ns.push(now.ns),
            _ => {}
        }
    }

    fn ledger(&mut self, _: Moment, event: RejectEvent) {
        self.resets += u64::from(matches!(event, RejectEvent::Reset { .. }));
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        if matches!(fault, Fault::Encoder { .. }) {
            self.over_ns.push(now.ns);
        }
    }
}

/// A belt's encoder of which nothing, or one channel only, is heard for a while.
struct Dying {
    belt: BeltEncoder,
    dead: std::ops::Range<u64>,
    trembles: bool,
    /// An edge is lost when it is heard again.
    loses_edge: bool,
    /// It cannot be read for this time.
    gone: std::ops::Range<u64>,
    is_gone: bool,
    count: i64,
    missing: i64,
}

impl Dying {
    fn new(world: &World, dead: std::ops::Range<u64>) -> Self {
        Self {
            belt: BeltEncoder::new(&world.belt).unwrap(),
            dead,
            trembles: false,
            loses_edge: false,
            gone: 0..0,
            is_gone: false,
            count: 0,
            missing: 0,
        }
    }
}

impl Encoder for Dying {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        loop {
            let next = self.belt.next_event(until_ns)?;
            let Some(EncoderEvent::Position(mut at)) = next else {
                return Ok(next);
            };
            let shown = at.count.0 - self.missing;
            let is_gone = self.gone.contains(&at.ns);
            if !self.dead.contains(&at.ns) && !is_gone && !self.is_gone {
                (at.count.0, self.count) = (shown, shown);
                if at.ns >= self.dead.end && std::mem::take(&mut self.loses_edge) {
                    return Ok(Some(EncoderEvent::EdgesLost { at, edges: 1 }));
                }
                return Ok(Some(EncoderEvent::Position(at)));
            }
            let way = shown - self.count;
            self.missing += way;
            if std::mem::replace(&mut self.is_gone, is_gone) != is_gone {
                return Ok(Some(match is_gone {
                    true => EncoderEvent::Gone("the chip is gone".to_owned()),
                    false => EncoderEvent::Back,
                }));
            }
            if is_gone {
                continue;
            }
            if self.trembles {
                at.count.0 = self.count + (at.ns / 500_000 % 2) as i64;
                return Ok(Some(EncoderEvent::Position(at)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_unproven_passes_however_the_belt_pauses_in_a_frame(
        seed in any::<u64>(),
        moves in moves(),
        lines_per_block in 1u32..600,
        stamped_at_start in any::<bool>(),
    ) {
        let world = framed(seed, moves, lines_per_block);
        let mut outputs = RecordedOutputs::default();
        let mut heard = Heard::default();
        let setup = setup(&world, stamped_at_start, LineCounts::Triggered);
        run(setup, &mut outputs, &mut heard).unwrap();
        nothing_unproven_passes(&world, outputs.edges(), &heard.told.0)?;
        prop_assert!(heard.faults_ns.is_empty(), "the encoder is well");
        prop_assert!(heard.lost_ns.is_empty(), "and its lines are where they say");
    }
}

const SECOND_NS: u64 = 1_000_000_000;

/// Compared every second frame, one of which may have begun before.
const NOTICED_NS: u64 = 4 * 32_000_000 + 10_000_000;

/// 8 s of 2000 lines a second of 4 counts, 16000 counts to the ejector, in frames of 32 ms.
fn with_encoder(dying: impl FnOnce(&World) -> Dying) -> (Vec<Edge>, Heard, Summary) {
    let mut world = framed(4, vec![], 64);
    world.lines = 16_000;
    let setup = Setup {
        encoder: Box::new(dying(&world)),
        ..setup(&world, false, LineCounts::Triggered)
    };
    let mut outputs = RecordedOutputs::default();
    let mut heard = Heard::default();
    let summary = run(setup, &mut outputs, &mut heard).unwrap();
    (outputs.edges().to_vec(), heard, summary)
}

#[test]
fn an_encoder_that_dies_while_lines_come_rejects_until_it_moves_with_them_again() {
    let dead = 4 * SECOND_NS..5 * SECOND_NS;
    for (trembles, loses_edge) in [(false, false), (true, false), (false, true)] {
        let (edges, heard, summary) = with_encoder(|world| Dying {
            trembles,
            loses_edge,
            ..Dying::new(world, dead.clone())
        });
        let told = 1 + usize::from(loses_edge);
        let (&[begun_ns, ..], [over_ns]) = (&*heard.faults_ns, &*heard.over_ns) else {
            panic!("{:?} {:?}", heard.faults_ns, heard.over_ns)
        };
        assert_eq!(heard.faults_ns.len(), told, "{:?}", heard.faults_ns);
        assert!(
            (dead.start..dead.start + NOTICED_NS).contains(&begun_ns),
            "{begun_ns}"
        );
        assert!(
            (dead.end..dead.end + NOTICED_NS).contains(over_ns),
            "{over_ns}"
        );
        assert!(
            accepts(&edges, 2 * SECOND_NS, begun_ns),
            "it had accepted web"
        );
        // What lay between camera and ejector takes two seconds.
        assert!(!accepts(
            &edges,
            begun_ns + 1,
            over_ns + 19 * SECOND_NS / 10
        ));
        assert!(
            accepts(&edges, over_ns + 2 * SECOND_NS, u64::MAX),
            "it comes back"
        );
        assert!(!summary.held);
        // Of some thirty frames, whose web is held.
        let resets = summary.accounting.resets;
        assert!(resets < 12, "{resets}");
    }
}

#[test]
fn an_encoder_that_goes_away_as_it_moves_again_is_not_back() {
    let dead = 4 * SECOND_NS..5 * SECOND_NS;
    let (_, heard, _) = with_encoder(|world| Dying::new(world, dead.clone()));
    let compared_ns = heard.over_ns[0];
    let gone = compared_ns - 10_000_000..compared_ns + SECOND_NS / 2;
    let (edges, heard, _) = with_encoder(|world| Dying {
        gone: gone.clone(),
        ..Dying::new(world, dead)
    });
    assert_eq!(heard.faults_ns.len(), 2, "{:?}", heard.faults_ns);
    let [over_ns] = heard.over_ns[..] else {
        panic!("{:?}", heard.over_ns)
    };
    // Simulated wires are asked as of the next look, 2 ms ahead.
    assert!(
        (gone.end - 2_000_000..=gone.end).contains(&over_ns),
        "{over_ns}"
    );
    assert!(!accepts(&edges, gone.start, over_ns + 19 * SECOND_NS / 10));
}

#[test]
fn good_web_is_accepted_as_with_counts_from_the_camera_itself() {
    let stop = Move::Stop {
        before_line: 1700,
        stop_ms: 900,
    };
    let stop = vec![stop];
    for (moves, stamped_at_start) in [
        (vec![], false),
        (vec![], true),
        (stop.clone(), false),
        (stop, true),
    ] {
        let world = framed(4, moves, 256);
        let accepted = |outcome: Outcome| outcome.summary.accounting.accepted_counts;
        let by_camera = accepted(world.run());
        assert!(by_camera > 2000, "{by_camera}");
        let triggered = accepted(outcome(&world, stamped_at_start, LineCounts::Triggered));
        assert_eq!(by_camera, triggered);
    }
}

/// A camera that triggers are too fast for: of each frame it leaves out lines that no number tells of.
struct Deaf<C> {
    camera: C,
    /// Lines that come before it hears no more, and how many it does not hear then.
    hears: i64,
    missing: i64,
    /// How many more with each frame.
    more: i64,
}

impl<C: Camera> Camera for Deaf<C> {
    fn format(&self) -> LineFormat {
        self.camera.format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        self.camera.start()
    }

    fn next_block(&mut self, time: Duration, into: &mut Block) -> Result<BlockEvent, CameraError> {
        let event = self.camera.next_block(time, into)?;
        self.hears -= into.stamps.len() as i64;
        if event == BlockEvent::Filled && self.hears < 0 {
            for stamp in &mut into.stamps {
                stamp.count.0 -= self.missing;
            }
            self.missing += self.more;
        }
        Ok(event)
    }

    fn stop(&mut self) {
        self.camera.stop();
    }
}

#[test]
fn web_whose_place_numbers_and_encoder_disagree_about_is_rejected() {
    let mut world = framed(4, vec![], 64);
    world.lines = 12_000;
    let mut setup = setup(&world, false, LineCounts::Triggered);
    setup.camera = Box::new(Deaf {
        camera: setup.camera,
        hears: 6400,
        missing: 100,
        more: 0,
    });
    let mut outputs = RecordedOutputs::default();
    let mut heard = Heard::default();
    run(setup, &mut outputs, &mut heard).unwrap();
    let [lost_ns] = heard.lost_ns[..] else {
        panic!("{:?}", heard.lost_ns)
    };
    let edges = outputs.edges();
    let of_reject = || edges.iter().filter(|edge| edge.output == Output::Reject);
    assert!(of_reject().any(|edge| edge.energised && edge.at.ns < lost_ns));
    // 16000 counts at 2000 lines of 4 a second.
    let accepted = of_reject().find(|edge| edge.energised && edge.at.ns > lost_ns);
    let after_ns = accepted.map_or(u64::MAX, |edge| edge.at.ns - lost_ns);
    assert!(
        (1_900_000_000..2_400_000_000).contains(&after_ns),
        "{after_ns}"
    );
    nothing_unproven_passes(&world, edges, &heard.told.0).unwrap();
}

#[test]
fn a_camera_that_misses_triggers_all_the_time_is_told_of_once_and_never_trusted() {
    let mut world = framed(4, vec![], 64);
    world.lines = 12_000;
    let mut setup = setup(&world, false, LineCounts::Triggered);
    setup.camera = Box::new(Deaf {
        camera: setup.camera,
        hears: 6400,
        missing: 100,
        more: 100,
    });
    let mut outputs = RecordedOutputs::default();
    let mut heard = Heard::default();
    let summary = run(setup, &mut outputs, &mut heard).unwrap();
    let [lost_ns] = heard.lost_ns[..] else {
        panic!("{:?}", heard.lost_ns)
    };
    // One with each of the last frames, and one at the end.
    let resets = summary.accounting.resets;
    assert!(resets > 80 && heard.resets == 2, "{resets}");
    assert!(!accepts(outputs.edges(), lost_ns + 1, u64::MAX));
    nothing_unproven_passes(&world, outputs.edges(), &heard.told.0).unwrap();
}
