//! Nothing uninspected passes, every line is accounted for, and good web is not thrown away.

use super::*;
use crate::camera::Move;
use proptest::prelude::*;

/// The account of a run, held against what the camera saw and what the pins did.
fn check(world: &World) -> Result<Outcome, TestCaseError> {
    let outcome = world.run();
    let sums = &outcome.summary.accounting;
    let verdicts = outcome.by_line();
    prop_assert_eq!(verdicts.len() as u64, world.lines);
    prop_assert_eq!(sums.lines_travelled, world.lines);
    prop_assert_eq!(sums.lines_pending, 0);
    prop_assert_eq!(sums.lines.total(), world.lines);
    prop_assert_eq!(sums.missed_counts, 0);
    prop_assert_eq!(sums.clock_backward, 0);
    prop_assert_eq!(sums.encoder_faults, 0);

    let seen = world.seen_lines();
    let untouched = untouched(world, &outcome.edges);
    for line in 0..world.lines as usize {
        let passes = untouched[line];
        prop_assert!(
            !passes || seen[line],
            "line {} was never seen and passed",
            line
        );
        prop_assert!(
            !passes || !world.is_defective(line as u64),
            "line {} has a defect and passed",
            line
        );
        prop_assert!(
            !passes || verdicts[line] == Verdict::Ok,
            "line {} passed as {:?}",
            line,
            verdicts[line]
        );
    }
    Ok(outcome)
}

fn moves(lines: u64) -> impl Strategy<Value = Vec<Move>> {
    let before_line = 0..lines;
    let one = prop_oneof![
        (before_line.clone(), 200.0..2000.0).prop_map(|(before_line, line_rate_hz)| Move::Speed {
            before_line,
            line_rate_hz
        }),
        (before_line.clone(), 1u64..1500).prop_map(|(before_line, stop_ms)| Move::Stop {
            before_line,
            stop_ms
        }),
        (before_line, 1u32..200)
            .prop_map(|(before_line, lines)| Move::Reverse { before_line, lines }),
    ];
    prop::collection::vec(one, 0..6)
}

fn faults() -> impl Strategy<Value = FaultRates> {
    let rate = || prop_oneof![2 => Just(0.0), 1 => 0.0..0.15];
    (
        any::<u64>(),
        rate(),
        rate(),
        rate(),
        rate(),
        rate(),
        1u32..20,
    )
        .prop_map(
            |(seed, dropped, error_flag, short, stale, lost, lost_blocks)| FaultRates {
                seed,
                dropped,
                error_flag,
                short,
                stale,
                lost,
                lost_blocks,
            },
        )
}

fn pace() -> impl Strategy<Value = SimulatedPace> {
    let hiccup_share = prop_oneof![Just(0.0), 0.0..0.2];
    (
        0u64..60_000,
        1u32..4,
        500u64..20_000,
        hiccup_share,
        0u64..3_000_000,
        any::<u64>(),
    )
        .prop_map(
            |(transfer_us, workers, tile_us, hiccup_share, hiccup_us, seed)| SimulatedPace {
                transfer_us,
                workers,
                tile_us,
                hiccup_share,
                hiccup_us,
                seed,
            },
        )
}

fn world() -> impl Strategy<Value = World> {
    (500u64..4000, any::<u64>(), 1u32..80)
        .prop_flat_map(|(lines, seed, lines_per_block)| {
            let rest = (
                moves(lines),
                faults(),
                pace(),
                1usize..4,
                prop_oneof![Just(0), 5u64..60],
            );
            (Just((lines, seed, lines_per_block)), rest)
        })
        .prop_map(|((lines, seed, lines_per_block), rest)| {
            let (moves, faults, pace, workers, broken_tiles) = rest;
            World {
                lines,
                lines_per_block,
                belt: BeltSpec {
                    moves,
                    ..BeltSpec::default()
                },
                faults,
                pace,
                workers,
                broken_tiles,
                ..World::calm(seed)
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_uninspected_passes_and_every_line_is_accounted_for(world in world()) {
        check(&world)?;
    }

    #[test]
    fn the_number_of_threads_changes_nothing(world in world()) {
        let one = World { workers: 1, ..world.clone() }.run();
        let three = World { workers: 3, ..world }.run();
        prop_assert_eq!(one, three);
    }
}

#[test]
fn a_calm_web_loses_no_more_than_the_spans_around_its_defects() {
    let world = World::calm(3);
    let outcome = check(&world).unwrap();
    let untouched = untouched(&world, &outcome.edges);
    let span = u64::from(world.reject.span_lines);
    let near_defect = |line: u64| {
        let first = line.saturating_sub(2 * span);
        (first..line + 2 * span).any(|near| world.is_defective(near))
    };
    let mut good = 0;
    for line in 0..world.lines - 2 * span {
        if !near_defect(line) {
            good += 1;
            assert!(untouched[line as usize], "good line {line} was rejected");
        }
    }
    assert!(good > 500, "only {good} lines are far from a defect");
    assert!(outcome.summary.defect_spans > 0);
    assert_eq!(outcome.summary.faults, 0);
}

#[test]
fn an_engine_too_slow_makes_late_lines_and_rejects_them() {
    let world = World {
        pace: SimulatedPace {
            tile_us: 400_000,
            workers: 1,
            ..SimulatedPace::default()
        },
        ..World::calm(4)
    };
    let outcome = check(&world).unwrap();
    let late = outcome
        .summary
        .accounting
        .lines
        .not_inspected_for(crate::verdict::Reason::Late);
    assert!(
        late > world.lines / 2,
        "{late} of {} lines are late",
        world.lines
    );
}

#[test]
fn a_lost_camera_is_held_and_comes_back() {
    struct States(Vec<super::super::State>);
    impl Witness for States {
        fn state(&mut self, _: Moment, state: super::super::State) {
            self.0.push(state);
        }
    }
    let world = World {
        faults: FaultRates {
            seed: 2,
            lost: 0.02,
            lost_blocks: 4,
            ..FaultRates::default()
        },
        ..World::calm(5)
    };
    check(&world).unwrap();
    let mut states = States(Vec::new());
    let setup = world.setup(Box::new(world.camera()));
    run(setup, &mut RecordedOutputs::default(), &mut states).unwrap();
    let words: Vec<&str> = states.0.iter().map(|state| state.word()).collect();
    assert_eq!(words.first(), Some(&"idle"));
    assert_eq!(words[words.len() - 2..], ["stopping", "stopped"]);
    assert!(
        words.windows(2).any(|pair| pair == ["held", "execute"]),
        "{words:?}"
    );
}
