//! A camera whose lines the belt triggers and whose driver stamps frames: times within a frame say nothing.

use super::super::core::LineCounts;
use super::wires::nothing_unproven_passes;
use super::*;
use crate::block::TimedLine;
use crate::camera::Move;
use crate::geometry::Count;
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
            stamp.exposure_ns = from + (to - from) * at as u64 / lines as u64;
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

fn outcome(world: &World, stamped_at_start: bool, line_counts: LineCounts) -> Outcome {
    let camera = Framed {
        camera: world.camera(),
        counts_per_line: i64::from(world.belt.counts_per_line),
        stamped_at_start,
        before: (0, 0),
        told_ns: 0,
        lines: 0,
    };
    Outcome::of(Setup {
        line_counts,
        ..world.setup(Box::new(camera))
    })
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
        let outcome = outcome(&world, stamped_at_start, LineCounts::Triggered);
        nothing_unproven_passes(&world, &outcome.edges, &outcome.verdicts)?;
    }
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
