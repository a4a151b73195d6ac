//! Wires that fail: outputs that are lost and come back, an encoder that loses edges or goes away.

use super::super::core::{Core, Surroundings};
use super::super::input::Input;
use super::super::inspection::Step;
use super::*;
use crate::block::LineStamp;
use crate::evidence::Fault;
use crate::geometry::Count;
use crate::pins::Outputs;
use proptest::prelude::*;

/// Outputs of which all, or one, cannot be driven for a while. What is written down is what the pins show: without
/// current while they are lost.
struct Loose {
    pins: RecordedOutputs,
    lost: std::ops::Range<u64>,
    /// The one that is lost; `None` for all.
    only: Option<Output>,
    told: bool,
}

impl Loose {
    fn new(lost: std::ops::Range<u64>, only: Option<Output>) -> Self {
        Self {
            pins: RecordedOutputs::default(),
            lost,
            only,
            told: false,
        }
    }

    fn held(&mut self, now: Moment) -> Result<(), PinError> {
        let news = now.ns >= self.lost.start && !self.told;
        if news {
            self.told = true;
            let at = Moment {
                ns: self.lost.start,
                ..now
            };
            match self.only {
                Some(output) => self.pins.drive(output, false, at)?,
                None => self.pins.release_all(at)?,
            }
        }
        if news || self.lost.contains(&now.ns) {
            return Err(PinError::Line {
                role: "reject",
                line: "\"REJECT\"".to_owned(),
                reason: "the chip is gone".to_owned(),
                remedy: "plug it in".to_owned(),
            });
        }
        Ok(())
    }
}

impl Outputs for Loose {
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError> {
        if self.only.is_none_or(|only| only == output) {
            self.held(now)?;
        }
        self.pins.drive(output, energised, now)
    }

    fn check(&mut self, now: Moment) -> Result<(), PinError> {
        self.held(now)
    }

    fn release_all(&mut self, now: Moment) -> Result<(), PinError> {
        self.pins.release_all(now)
    }
}

/// A belt's encoder that loses `edges` at one time, and cannot be read during another.
struct Shaky {
    belt: BeltEncoder,
    loses_at_ns: u64,
    edges: i64,
    gone: std::ops::Range<u64>,
    missing: i64,
    state: Reading,
}

#[derive(PartialEq)]
enum Reading {
    Well,
    Gone { count: i64 },
    Over,
}

impl Encoder for Shaky {
    fn next_event(&mut self, until_ns: u64) -> Result<Option<EncoderEvent>, PinError> {
        loop {
            let next = self.belt.next_event(until_ns)?;
            let Some(EncoderEvent::Position(mut at)) = next else {
                return Ok(next);
            };
            let truth = at.count.0;
            at.count.0 -= self.missing;
            if self.edges != 0 && at.ns >= self.loses_at_ns {
                let edges = std::mem::take(&mut self.edges);
                self.missing += edges;
                at.count.0 -= edges;
                let edges = edges.unsigned_abs();
                return Ok(Some(EncoderEvent::EdgesLost { at, edges }));
            }
            match self.state {
                Reading::Well if self.gone.contains(&at.ns) => {
                    self.state = Reading::Gone { count: at.count.0 };
                    return Ok(Some(EncoderEvent::Gone("the chip is gone".to_owned())));
                }
                Reading::Gone { .. } if self.gone.contains(&at.ns) => {}
                Reading::Gone { count } => {
                    self.missing = truth - count;
                    self.state = Reading::Over;
                    return Ok(Some(EncoderEvent::Back));
                }
                Reading::Well | Reading::Over => return Ok(Some(EncoderEvent::Position(at))),
            }
        }
    }
}

pub(super) fn nothing_unproven_passes(
    world: &World,
    edges: &[Edge],
    verdicts: &[(Moment, SpanVerdict, VerdictUse)],
) -> Result<(), TestCaseError> {
    let seen = world.seen_lines();
    let lines = verdicts
        .iter()
        .flat_map(|(_, given, _)| std::iter::repeat_n(given.verdict, given.span.lines as usize));
    let lines: Vec<Verdict> = lines.collect();
    prop_assert_eq!(lines.len() as u64, world.lines);
    for (line, passes) in untouched(world, edges).into_iter().enumerate() {
        let proven = seen[line] && lines[line] == Verdict::Ok && !world.is_defective(line as u64);
        prop_assert!(
            !passes || proven,
            "line {} passed as {:?}",
            line,
            lines[line]
        );
    }
    Ok(())
}

const SECOND_NS: u64 = 1_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn lost_outputs_reject_and_come_back(
        seed in any::<u64>(),
        from_ns in 0..SECOND_NS * 4 / 5,
        for_ns in 0..SECOND_NS / 2,
    ) {
        let world = World::calm(seed);
        let folder = folder(&format!("station-loose-{seed}-{from_ns}"));
        let recorder = Recorder::new(world.camera(), &folder).unwrap();
        let setup = Setup {
            record: Some(folder.clone()),
            ..world.setup(Box::new(recorder))
        };
        let mut outputs = Loose::new(from_ns..from_ns + for_ns, None);
        let mut told = Told::default();
        let summary = run(setup, &mut outputs, &mut told).unwrap();
        prop_assert!(summary.faults >= 1);
        nothing_unproven_passes(&world, outputs.pins.edges(), &told.0)?;
        // The web ends after 1.5 s.
        let last = outputs.pins.edges().iter().rfind(|edge| {
            edge.output == Output::Ready && edge.energised
        });
        prop_assert!(last.is_some_and(|edge| edge.at.ns >= from_ns + for_ns));

        let again = world.replay(&folder);
        prop_assert_eq!(again.summary, summary);
        prop_assert_eq!(again.verdicts, told.0);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn web_of_a_shaky_encoder_is_not_trusted(
        seed in any::<u64>(),
        loses_at_ns in 0..2 * SECOND_NS,
        edges in -300i64..300,
        gone_ns in 0..2 * SECOND_NS,
        for_ns in 0..SECOND_NS,
    ) {
        let world = World::calm(seed);
        let shaky = Shaky {
            belt: BeltEncoder::new(&world.belt).unwrap(),
            loses_at_ns,
            edges,
            gone: gone_ns..gone_ns + for_ns,
            missing: 0,
            state: Reading::Well,
        };
        let folder = folder(&format!("station-shaky-{seed}-{gone_ns}"));
        let recorder = Recorder::new(world.camera(), &folder).unwrap();
        let setup = Setup {
            encoder: Box::new(shaky),
            line_counts: LineCounts::Encoder,
            record: Some(folder.clone()),
            ..world.setup(Box::new(recorder))
        };
        let outcome = Outcome::of(setup);
        nothing_unproven_passes(&world, &outcome.edges, &outcome.verdicts)?;
        let resets = outcome.summary.accounting.resets;
        prop_assert!(resets > u64::from(edges != 0));

        let again = Outcome::of(Setup {
            line_counts: LineCounts::Encoder,
            replay: Some(folder.clone()),
            encoder: Box::new(Deaf),
            ..world.setup(Box::new(Replay::open(&folder).unwrap()))
        });
        prop_assert_eq!(again, outcome);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Whether `reject` ever accepts between the two times.
pub(super) fn accepts(edges: &[Edge], from_ns: u64, to_ns: u64) -> bool {
    let of_reject = || edges.iter().filter(|edge| edge.output == Output::Reject);
    let before = of_reject().rfind(|edge| edge.at.ns <= from_ns);
    before.is_some_and(|edge| edge.energised)
        || of_reject().any(|edge| edge.energised && (from_ns..to_ns).contains(&edge.at.ns))
}

#[test]
fn one_lost_output_takes_the_current_from_reject_too() {
    let world = World::calm(3);
    let lost = SECOND_NS * 13 / 10..SECOND_NS * 17 / 10;
    // The outputs are looked at every 100 ms.
    let (from_ns, to_ns) = (lost.start + SECOND_NS * 3 / 20, lost.end);
    let undisturbed = world.run();
    assert!(accepts(&undisturbed.edges, from_ns, to_ns));
    let mut outputs = Loose::new(lost, Some(Output::Heartbeat));
    let mut told = Told::default();
    let setup = world.setup(Box::new(world.camera()));
    let summary = run(setup, &mut outputs, &mut told).unwrap();
    assert!(summary.faults > undisturbed.summary.faults);
    let edges = outputs.pins.edges();
    assert!(!accepts(edges, from_ns, to_ns));
    assert!(accepts(edges, to_ns, u64::MAX), "it comes back");
    nothing_unproven_passes(&world, edges, &told.0).unwrap();
}

#[test]
fn a_fault_that_begins_while_the_web_runs_out_stands_at_the_end_until_it_is_over() {
    // The last line comes after 1.5 s and reaches the ejector a second later.
    for (lost, held) in [
        (SECOND_NS * 2..SECOND_NS * 9, true),
        (SECOND_NS * 18 / 10..SECOND_NS * 2, false),
        (SECOND_NS * 9..SECOND_NS * 9, false),
    ] {
        let world = World::calm(3);
        let mut outputs = Loose::new(lost.clone(), None);
        let setup = world.setup(Box::new(world.camera()));
        let summary = run(setup, &mut outputs, &mut ()).unwrap();
        assert_eq!(summary.held, held, "{lost:?}");
    }
}

/// Every state that was told.
#[derive(Default)]
struct States(Vec<super::super::State>);

impl Witness for States {
    fn state(&mut self, _: Moment, state: super::super::State) {
        self.0.push(state);
    }
}

#[test]
fn a_run_that_cannot_begin_tells_no_state() {
    let world = World::calm(3);
    let setup = Setup {
        record: Some(folder("no-such-recording")),
        ..world.setup(Box::new(world.camera()))
    };
    let mut states = States::default();
    run(setup, &mut RecordedOutputs::default(), &mut states).unwrap_err();
    assert!(states.0.is_empty(), "the watchdog would take it for begun");
}

#[test]
fn lines_without_counts_get_those_of_the_encoder() {
    let world = World::calm(3);
    let by_camera = world.run();
    let by_encoder = Outcome::of(Setup {
        line_counts: LineCounts::Encoder,
        ..world.setup(Box::new(world.camera()))
    });
    assert_eq!(by_encoder, by_camera);
}

/// When the station showed that it was alive.
#[derive(Default)]
struct Alive(Vec<u64>);

impl Witness for Alive {
    fn alive(&mut self, now: Moment, _: bool) {
        self.0.push(now.ns);
    }
}

/// The longest time without a sign of life while lines come.
fn longest_silence_ns(tile_us: u64) -> u64 {
    let mut world = World::calm(5);
    world.pace.tile_us = tile_us;
    let mut alive = Alive::default();
    let mut outputs = RecordedOutputs::default();
    run(
        world.setup(Box::new(world.camera())),
        &mut outputs,
        &mut alive,
    )
    .unwrap();
    let gaps = alive.0.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or(u64::MAX)
}

/// Too few lines for a tile are no sign of a hung engine, however long they take to come.
#[test]
fn a_slow_web_is_alive() {
    let mut world = World::calm(5);
    world.lines = 400;
    world.belt.line_rate_hz = 20.0;
    let mut alive = Alive::default();
    let setup = world.setup(Box::new(world.camera()));
    run(setup, &mut RecordedOutputs::default(), &mut alive).unwrap();
    let gaps = alive.0.windows(2).map(|pair| pair[1] - pair[0]);
    // Verdicts come once in 20 lines, a second.
    let longest_ns = gaps.max().unwrap();
    assert!(longest_ns < SECOND_NS / 5, "{longest_ns}");
}

/// An engine without work is no reason to tell a dead camera's station alive while the web moves.
#[test]
fn a_silent_camera_over_a_moving_web_is_not_alive() {
    let reject = World::calm(1).reject;
    let most = i64::from(reject.margin_counts);
    let mut core = Core::new(reject, LineCounts::Camera, false).unwrap();
    let (mut outputs, mut alive) = (RecordedOutputs::default(), Alive::default());
    let mut out = Surroundings {
        outputs: &mut outputs,
        witness: &mut alive,
    };
    core.operate(&mut out);
    let stamps = (0..24).map(|line| LineStamp {
        exposure_ns: line * 500_000,
        count: Count(4 * line as i64),
    });
    let mut step = Step {
        stamps: stamps.collect(),
        idle: true,
        ..Step::default()
    };
    let (ns, first_line) = (12_000_000, 0);
    for ms in 1..=12 {
        let count = Count(8 * ms);
        let ns = ms as u64 * 1_000_000;
        core.position(Moment { ns, count }, &mut out);
    }
    core.take(Input::Block { ns, first_line }, &mut step, &mut out)
        .unwrap();
    for ms in 13..200 {
        let count = Count(8 * ms);
        let ns = ms as u64 * 1_000_000;
        core.position(Moment { ns, count }, &mut out);
    }
    // The last line is at 92 counts; two blocks are 184.
    let last = *alive.0.last().unwrap() as i64 / 1_000_000 * 8;
    assert!((92 + 184..=92 + 184 + most + 8).contains(&last), "{last}");
}

#[test]
fn an_engine_that_hangs_is_not_alive_whatever_else_runs() {
    let calm_ns = longest_silence_ns(4000);
    assert!(calm_ns < SECOND_NS / 5, "{calm_ns}");
    // The last line comes after 1.5 s, and the web stands still for nobody until then.
    let hung_ns = longest_silence_ns(1_400_000);
    assert!(hung_ns > SECOND_NS, "{hung_ns}");
}

/// Messages of stalls.
#[derive(Default)]
struct Stalls(Vec<String>);

impl Witness for Stalls {
    fn fault(&mut self, _: Moment, fault: &Fault) {
        if let Fault::Stalled { message } = fault {
            self.0.push(message.clone());
        }
    }
}

/// 4 s of a web of 4000 counts/s that no camera sees, and a station that does not look from 1.975 s on.
/// Gives the counts that passed untouched though nobody knew them, and what was said.
fn unseen_web(is_told_of_stall: bool) -> (u64, Vec<String>) {
    let mut world = World::calm(1);
    world.reject.accept_startup_web = true;
    let mut core = Core::new(world.reject.clone(), LineCounts::Camera, false).unwrap();
    let mut outputs = RecordedOutputs::default();
    let mut told = Stalls::default();
    let mut out = Surroundings {
        outputs: &mut outputs,
        witness: &mut told,
    };
    let at = |ms: u64| Moment {
        ns: ms * 1_000_000,
        count: Count(4 * ms as i64),
    };
    core.operate(&mut out);
    for ms in 0..1975 {
        core.position(at(ms), &mut out);
    }
    if is_told_of_stall {
        core.stalled(at(4000).ns, at(4000 - 1975).ns);
    }
    for ms in 1975..4000 {
        core.position(at(ms), &mut out);
    }
    core.catch_up(&mut out);
    core.tick(at(4000).ns, &mut out);
    core.stop(at(4001).ns, &Step::default(), &mut out).unwrap();
    let missed = core.summary().accounting.missed_counts;
    let edges = outputs.edges().iter();
    let mut rejects = edges.filter(|edge| edge.output == Output::Reject);
    assert!(rejects.next_back().is_some_and(|edge| !edge.energised));
    (missed, told.0)
}

#[test]
fn web_of_a_stall_went_by_under_the_level_that_stood_on_the_pin() {
    let (missed, told) = unseen_web(false);
    assert_eq!((missed, told.len()), (0, 0), "every position was looked at");
    let (missed, told) = unseen_web(true);
    // 16000 counts travelled, of which the first 8000 are the web that is accepted at the start.
    assert!((7900..=8000).contains(&missed), "{missed}");
    assert!(told[0].starts_with("the station did not run for 2025 ms"));
}

#[test]
fn a_confirmation_that_was_read_after_a_stall_came_in_its_own_time() {
    let mut world = World::calm(1);
    world.reject.accept_startup_web = true;
    let mut core = Core::new(world.reject.clone(), LineCounts::Camera, true).unwrap();
    let mut outputs = RecordedOutputs::default();
    let mut out = Surroundings {
        outputs: &mut outputs,
        witness: &mut (),
    };
    let at = |ms: u64| Moment {
        ns: ms * 1_000_000,
        count: Count(4 * ms as i64),
    };
    core.operate(&mut out);
    // The pulse is due after 8000 counts, less margin and lead.
    for ms in 0..2010 {
        core.position(at(ms), &mut out);
    }
    core.stalled(at(3000).ns, at(990).ns);
    core.confirmed(at(2020).ns, 1, &mut out);
    core.catch_up(&mut out);
    core.stop(at(3001).ns, &Step::default(), &mut out).unwrap();
    let sums = core.summary().confirmations.unwrap();
    assert_eq!((sums.confirmed, sums.missing, sums.unasked), (1, 0, 0));
}
