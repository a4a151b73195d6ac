//! The loop on a backend of a few numbers: what is tested is stopping, resuming and failing.

use super::*;
use crate::backend::{AdamState, Inference};
use crate::weights::{Array, Weights};
use std::cell::Cell;
use std::path::PathBuf;

/// Its weights depend on every batch, in order, on the learning rate and on Adam's state.
struct Toy {
    weight: f32,
    adam: AdamState,
    /// After how many of its own steps somebody presses Ctrl-C.
    interrupt: Option<(u64, Stop)>,
    /// At which step of the run the loss is NaN.
    explode_at: Option<u64>,
    own_steps: Cell<u64>,
}

fn one(value: f32) -> Weights {
    let array = Array {
        shape: vec![1],
        values: vec![value],
    };
    Weights([("w".to_owned(), array)].into())
}

impl Toy {
    fn new() -> Self {
        Self {
            weight: 1.0,
            adam: AdamState {
                steps: 0,
                first_moment: one(0.0),
                second_moment: one(0.0),
            },
            interrupt: None,
            explode_at: None,
            own_steps: Cell::new(0),
        }
    }
}

impl Backend for Toy {
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Losses, String> {
        let moment = 0.9 * self.adam.first_moment.0["w"].values[0] + batch.seen[0];
        self.weight = self.weight * 0.999 + moment * learning_rate as f32;
        self.adam.steps += 1;
        self.adam.first_moment = one(moment);
        self.own_steps.set(self.own_steps.get() + 1);
        if let Some((after, stop)) = &self.interrupt
            && *after == self.own_steps.get()
        {
            stop.ask(2);
        }
        let exploded = self.explode_at == Some(self.adam.steps);
        Ok(Losses {
            l2: self.weight,
            ssim: if exploded { f32::NAN } else { 0.5 },
            focal: 0.1,
        })
    }

    fn infer(&mut self, _: &[f32], _: usize, _: usize, _: usize) -> Result<Inference, String> {
        Ok(Inference::default())
    }

    fn weights(&self) -> Weights {
        one(self.weight)
    }

    fn adam(&self) -> AdamState {
        self.adam.clone()
    }

    fn restore(&mut self, weights: &Weights, adam: &AdamState) -> Result<(), String> {
        self.weight = weights.0["w"].values[0];
        self.adam = adam.clone();
        Ok(())
    }
}

struct Numbers;

impl Source for Numbers {
    fn batch(&self, number: u64) -> Result<Batch, String> {
        if number == 1000 {
            return Err("good/7.png has become unreadable".to_owned());
        }
        Ok(Batch {
            pictures: 1,
            width_px: 1,
            height_px: 1,
            clean: vec![0.0],
            seen: vec![(number as f32 * 0.7).sin()],
            mask: vec![0.0],
            scored: Vec::new(),
        })
    }
}

struct Bench {
    root: PathBuf,
    config: FitConfig,
}

impl Bench {
    fn new(name: &str, steps: u64) -> Self {
        let root = std::env::temp_dir().join(format!("blemish-fit-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let mut config = FitConfig {
            checkpoint_every: 5,
            validate_every: 0,
            ..FitConfig::default()
        };
        config.recipe.steps = steps;
        Self { root, config }
    }

    fn run(&self, backend: &mut Toy, stop: &Stop) -> Result<Outcome, FitError> {
        let (folder, done) = match RunFolder::open(&self.root) {
            Ok((folder, _)) => {
                let latest = RunFolder::latest(&self.root)?.checkpoint;
                let done = latest.map_or(0, |checkpoint| {
                    let restored = backend.restore(&checkpoint.weights, &checkpoint.adam);
                    restored.expect("a toy takes everything");
                    checkpoint.step
                });
                (folder, done)
            }
            Err(_) => (RunFolder::create(&self.root, &self.config)?, 0),
        };
        let fitting = Fitting {
            config: &self.config,
            folder: &folder,
            data_fingerprint: "data",
            textures: None,
            masks: None,
            source: &Numbers,
            validate: None,
            stop,
            quiet: true,
        };
        fitting.run(backend, done)
    }

    /// Checkpoint and losses at the end.
    fn result(&self) -> (Checkpoint, Vec<(u64, Losses)>) {
        let latest = RunFolder::latest(&self.root).expect("readable").checkpoint;
        let records = metrics_log::read(&self.root.join("metrics.jsonl")).expect("readable");
        let losses = records.iter().filter_map(|record| match record {
            Record::Step { step, losses, .. } => Some((*step, *losses)),
            Record::Validation { .. } => None,
        });
        (latest.expect("a checkpoint"), losses.collect())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

#[test]
fn a_stopped_and_resumed_run_equals_one_that_was_not() {
    let whole = Bench::new("whole", 23);
    let outcome = whole.run(&mut Toy::new(), &Stop::default());
    assert_eq!(outcome.expect("no trouble"), Outcome::Finished);

    let parts = Bench::new("parts", 23);
    for (after, step) in [(7, 7), (1, 8), (13, 21)] {
        let stop = Stop::default();
        let mut toy = Toy::new();
        toy.interrupt = Some((after, stop.clone()));
        let outcome = parts.run(&mut toy, &stop).expect("no trouble");
        assert_eq!(outcome, Outcome::Stopped { signal: 2, step });
    }
    let outcome = parts.run(&mut Toy::new(), &Stop::default());
    assert_eq!(outcome.expect("no trouble"), Outcome::Finished);
    assert_eq!(whole.result(), parts.result());
    let steps: Vec<u64> = whole.result().1.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=23).collect::<Vec<_>>());
}

#[test]
fn a_killed_run_repeats_the_steps_after_its_last_checkpoint() {
    let whole = Bench::new("unkilled", 12);
    whole
        .run(&mut Toy::new(), &Stop::default())
        .expect("no trouble");

    let killed = Bench::new("killed", 12);
    let mut toy = Toy::new();
    toy.explode_at = Some(9);
    killed
        .run(&mut toy, &Stop::default())
        .expect_err("a crash at step 9, checkpoint at 5");
    killed
        .run(&mut Toy::new(), &Stop::default())
        .expect("no trouble");
    assert_eq!(whole.result(), killed.result());
}

#[test]
fn a_loss_that_is_no_number_stops_with_step_cause_and_what_is_kept() {
    let bench = Bench::new("nan", 12);
    let mut toy = Toy::new();
    toy.explode_at = Some(8);
    let error = bench
        .run(&mut toy, &Stop::default())
        .expect_err("NaN")
        .to_string();
    for part in [
        "step 8",
        "SSIM loss is NaN",
        "weights diverged",
        "checkpoint of step 5",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(bench.result().0.step, 5);
}

#[test]
fn an_unreadable_picture_stops_with_its_name() {
    let bench = Bench::new("source", 1002);
    let error = bench
        .run(&mut Toy::new(), &Stop::default())
        .expect_err("picture");
    assert_eq!(
        error.to_string(),
        "step 1001: good/7.png has become unreadable"
    );
}

#[test]
fn two_checkpoints_are_kept_and_a_damaged_one_is_passed_over() {
    let bench = Bench::new("damaged", 12);
    bench
        .run(&mut Toy::new(), &Stop::default())
        .expect("no trouble");
    let path = |step: u64| bench.root.join(format!("checkpoint-{step:08}.safetensors"));
    assert!(path(12).exists() && path(10).exists() && !path(5).exists());

    let bytes = std::fs::read(path(12)).expect("readable");
    std::fs::write(path(12), &bytes[..bytes.len() - 1]).expect("writable");
    let latest = RunFolder::latest(&bench.root).expect("one is whole");
    assert_eq!(latest.checkpoint.expect("step 10").step, 10);
    assert!(latest.refused[0].contains("00000012.safetensors is damaged"));

    std::fs::write(path(10), b"").expect("writable");
    let error = RunFolder::latest(&bench.root)
        .expect_err("none is whole")
        .to_string();
    assert!(
        error.contains("no checkpoint") && error.contains("00000010"),
        "{error}"
    );
}

#[test]
fn a_run_folder_is_used_by_one_process_at_a_time_and_never_overwritten() {
    let bench = Bench::new("lock", 1);
    let folder = RunFolder::create(&bench.root, &bench.config).expect("new");
    let busy = RunFolder::open(&bench.root)
        .expect_err("locked")
        .to_string();
    assert!(busy.contains("in use"), "{busy}");
    drop(folder);
    let exists = RunFolder::create(&bench.root, &bench.config).expect_err("there");
    assert!(exists.to_string().contains("fit --resume"), "{exists}");
}

#[test]
fn what_a_killed_write_left_is_removed_when_the_run_goes_on() {
    let bench = Bench::new("partial", 5);
    let folder = RunFolder::create(&bench.root, &bench.config).expect("new");
    let at = |name: &str| bench.root.join(name);
    let names = ["checkpoint-00000040.safetensors.partial", "notes.partial"];
    for name in names {
        std::fs::write(at(name), b"half").expect("writable");
    }
    RunFolder::open(&bench.root).expect_err("in use");
    assert!(at(names[0]).exists(), "it may still be written");
    drop(folder);
    RunFolder::open(&bench.root).expect("free");
    assert_eq!(names.map(|name| at(name).exists()), [false, true]);
}

#[test]
fn a_damaged_best_checkpoint_is_named_with_what_to_do() {
    let bench = Bench::new("best", 5);
    bench
        .run(&mut Toy::new(), &Stop::default())
        .expect("no trouble");
    let best = bench.root.join("best.safetensors");
    std::fs::write(&best, b"half").expect("writable");
    let error = RunFolder::chosen(&bench.root)
        .expect_err("damaged")
        .to_string();
    for part in ["best.safetensors is damaged", "restore it", "move it away"] {
        assert!(error.contains(part), "{error}");
    }
    std::fs::remove_file(&best).expect("there");
    let newest = RunFolder::chosen(&bench.root).expect("whole");
    assert_eq!(newest.expect("step 5").step, 5);
}

#[test]
fn checkpoints_without_a_config_are_not_taken_for_those_of_a_new_run() {
    let bench = Bench::new("remains", 1);
    std::fs::create_dir_all(&bench.root).expect("writable");
    for name in ["checkpoint-00000040.safetensors", "best.safetensors"] {
        std::fs::write(bench.root.join(name), b"weights").expect("writable");
        let error = RunFolder::create(&bench.root, &bench.config)
            .expect_err("there are weights")
            .to_string();
        assert!(error.contains(name) && error.contains("--out"), "{error}");
        assert!(!bench.root.join("config.toml").exists());
        std::fs::remove_file(bench.root.join(name)).expect("there");
    }
    RunFolder::create(&bench.root, &bench.config).expect("empty again");
}
