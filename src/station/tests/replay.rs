//! A recording run again is the run, bit by bit.

use super::*;
use crate::camera::Move;

fn rough(seed: u64) -> World {
    World {
        belt: BeltSpec {
            moves: vec![
                Move::Reverse {
                    before_line: 700,
                    lines: 40,
                },
                Move::Speed {
                    before_line: 1200,
                    line_rate_hz: 900.0,
                },
                Move::Stop {
                    before_line: 1500,
                    stop_ms: 700,
                },
            ],
            ..BeltSpec::default()
        },
        faults: FaultRates {
            seed,
            dropped: 0.03,
            short: 0.03,
            lost: 0.02,
            lost_blocks: 3,
            ..FaultRates::default()
        },
        pace: SimulatedPace {
            tile_us: 5000,
            hiccup_share: 0.02,
            hiccup_us: 900_000,
            ..SimulatedPace::default()
        },
        broken_tiles: 30,
        ..World::calm(seed)
    }
}

#[test]
fn a_replay_gives_the_same_verdicts_and_pulses_whatever_the_threads() {
    for seed in 0..3 {
        let folder = folder(&format!("station-replay-{seed}"));
        let world = rough(seed);
        let recorded = world.record(&folder);
        assert_eq!(recorded, world.run(), "recording changes nothing");
        assert!(recorded.summary.faults > 5 && recorded.summary.accounting.pulses > 2);
        for workers in [1, 3] {
            let other = World {
                workers,
                // A replay takes its times from the recording.
                pace: SimulatedPace::default(),
                ..world.clone()
            };
            assert_eq!(other.replay(&folder), recorded);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// By the clock, nothing is the same twice; a recording of it still is.
#[test]
fn a_run_in_real_time_can_be_replayed() {
    let folder = folder("station-real");
    let world = World {
        lines: 1200,
        ..World::calm(8)
    };
    let recorder = Recorder::new(world.camera(), &folder).unwrap();
    let mut recorded = Outcome::of(Setup {
        pace: Pace::Real,
        record: Some(folder.clone()),
        ..world.setup(Box::new(recorder))
    });
    let sums = &recorded.summary.accounting;
    assert_eq!(sums.lines_travelled, sums.lines.total());
    assert!(
        recorded.summary.ended.ns > 600_000_000,
        "it took the belt's time"
    );
    // How busy this machine was is no part of the recording.
    let looks_us = recorded.summary.jitter.between_looks_us.take();
    assert!(looks_us.is_some_and(|looks_us| looks_us.total() > 100));
    assert_eq!(world.replay(&folder), recorded);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_recording_cut_short_is_refused() {
    let folder = folder("station-short");
    let world = rough(1);
    world.record(&folder);
    let path = folder.join("inputs.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let half = text.lines().take(500).map(|line| format!("{line}\n"));
    std::fs::write(&path, half.collect::<String>()).unwrap();
    let setup = Setup {
        replay: Some(folder.clone()),
        encoder: Box::new(Deaf) as Box<dyn Encoder>,
        ..world.setup(Box::new(Replay::open(&folder).unwrap()))
    };
    let mut outputs = RecordedOutputs::default();
    let error = run(setup, &mut outputs, &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("inputs.jsonl") && error.contains("record the run again"),
        "{error}"
    );
    let last = outputs
        .edges()
        .iter()
        .rfind(|edge| edge.output == Output::Reject);
    assert!(
        last.is_none_or(|edge| !edge.energised),
        "a failed run rejects"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_recording_that_ends_early_is_told_as_what_it_is() {
    let folder = folder("station-cut");
    let world = World::calm(2);
    world.record(&folder);
    let told = || {
        let setup = Setup {
            replay: Some(folder.clone()),
            encoder: Box::new(Deaf),
            ..world.setup(Box::new(Replay::open(&folder).unwrap()))
        };
        run(setup, &mut RecordedOutputs::default(), &mut ())
            .unwrap_err()
            .to_string()
    };
    let (blocks, samples) = (folder.join("blocks.jsonl"), folder.join("samples.raw"));
    let whole = std::fs::read(&samples).unwrap();
    std::fs::write(&samples, &whole[..whole.len() / 2]).unwrap();
    let error = told();
    assert!(error.contains("samples.raw"), "{error}");
    std::fs::write(&samples, whole).unwrap();
    let text = std::fs::read_to_string(&blocks).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&blocks, lines[..lines.len() / 2].join("\n")).unwrap();
    let error = told();
    assert!(error.contains("the recording ends before line"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
