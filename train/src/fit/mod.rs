//! The fitting loop: batches in, Adam steps, checkpoints, validation, and a clean stop.
//!
//! Step `k` uses batch `k`, whatever happened before: a run that was stopped and resumed gives the
//! same weights, bit for bit, as one that was not.

pub mod initial;
pub mod metrics_log;
pub mod patience;
pub mod prepare;
pub mod progress;
pub mod schedule;
pub mod score_window;
pub mod stop;
pub mod validation;

use crate::backend::{Backend, Batch, Losses};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::FitConfig;
use crate::run_folder::{RunError, RunFolder};
use metrics_log::{Log, Record, Validation};
use patience::Patience;
use progress::Progress;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use stop::Stop;

/// A checkpoint is also written when the last is older than this: wide networks are slow.
const OLDEST_CHECKPOINT: Duration = Duration::from_secs(600);
/// Batches simulated ahead of the step that needs them.
const BATCHES_AHEAD: usize = 2;

/// Where batches come from.
pub trait Source: Sync {
    /// Batch `number`, counted from 0: always the same for the same number.
    ///
    /// # Errors
    /// A sentence for people, such as a picture that has become unreadable.
    fn batch(&self, number: u64) -> Result<Batch, String>;
}

/// Judges the networks as they are.
pub type Validate<'a> = &'a dyn Fn(&mut dyn Backend) -> Result<Validation, String>;

/// A run: what the loop needs besides the backend.
pub struct Fitting<'a> {
    pub config: &'a FitConfig,
    pub folder: &'a RunFolder,
    /// SHA-256 of the training pictures.
    pub data_fingerprint: &'a str,
    /// SHA-256 of the textures, where there are any.
    pub textures: Option<&'a str>,
    /// SHA-256 of the product's masks, where there are any.
    pub masks: Option<&'a str>,
    pub source: &'a dyn Source,
    pub validate: Option<Validate<'a>>,
    pub stop: &'a Stop,
    /// Whether nothing is to be printed.
    pub quiet: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// A signal came; the checkpoint holds this many steps.
    Stopped {
        signal: i32,
        step: u64,
    },
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error(
        "step {step}: {cause}. The last finite state is {kept}. Try a lower --learning-rate; the \
         same seed will fail at the same step"
    )]
    NotFinite {
        step: u64,
        cause: String,
        kept: String,
    },
    #[error("step {step}: {what}")]
    Step { step: u64, what: String },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Log(#[from] CheckpointError),
}

impl Fitting<'_> {
    /// Steps from `done` to the last one, to the end of the recipe's patience, or to a signal. All ways
    /// end with a checkpoint.
    ///
    /// # Errors
    /// NaN or infinity, a failing device or picture, or a checkpoint at the end that cannot be written.
    pub fn run(&self, backend: &mut dyn Backend, done: u64) -> Result<Outcome, FitError> {
        let mut log = Log::open(&self.folder.metrics_path(), done)?;
        let patience = Patience::new(self.config.recipe.patience, &log.kept);
        let (send, batches) = sync_channel(BATCHES_AHEAD);
        let numbers = done..self.config.recipe.steps;
        let source = self.source;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in numbers {
                    if send.send(source.batch(number)).is_err() {
                        break;
                    }
                }
            });
            let outcome = self.steps(backend, done, batches, &mut log, patience);
            log.flush();
            outcome
        })
    }

    fn steps(
        &self,
        backend: &mut dyn Backend,
        first: u64,
        batches: Receiver<Result<Batch, String>>,
        log: &mut Log,
        mut patience: Patience,
    ) -> Result<Outcome, FitError> {
        let (config, recipe) = (self.config, &self.config.recipe);
        let mut progress = Progress::new(recipe.steps, first, self.quiet);
        let mut saved = (first > 0).then_some(first);
        let mut saved_at = Instant::now();
        for before in first..recipe.steps {
            if patience.is_over() {
                progress.say(&format!(
                    "ends at step {before}: {} validations were no better than the best",
                    recipe.patience
                ));
                log.flush();
                if saved != Some(before) {
                    self.save(backend, before, saved)?;
                }
                break;
            }
            if let Some(signal) = self.stop.asked() {
                progress.close();
                log.flush();
                if saved != Some(before) {
                    self.save(backend, before, saved)?;
                }
                return Ok(Outcome::Stopped {
                    signal,
                    step: before,
                });
            }
            let step = before + 1;
            let fail = |what| FitError::Step { step, what };
            let batch = batches
                .recv()
                .map_err(|_| fail("the simulation of defects ended early".to_owned()))?
                .map_err(fail)?;
            let learning_rate = schedule::learning_rate(recipe.learning_rate, before, recipe.steps);
            let losses = backend.step(&batch, learning_rate).map_err(fail)?;
            if let Some(cause) = not_finite(&losses, &batch) {
                return Err(FitError::NotFinite {
                    step,
                    cause,
                    kept: kept(saved),
                });
            }
            log.write(&Record::Step {
                step,
                losses,
                learning_rate,
                seconds: log.seconds_before + progress.seconds(),
            });
            progress.step(step, &losses);
            let last = step == recipe.steps;
            let due = |every: u64| every > 0 && (step.is_multiple_of(every) || last);
            if let (true, Some(validate)) = (due(config.validate_every), self.validate) {
                let figures = validate(backend).map_err(fail)?;
                log.write(&Record::Validation { step, figures });
                let window = figures.window_px.side_px();
                progress.say(&format!(
                    "step {step}: on {} held-out tiles, half with simulated defects: image AUROC \
                     {:.3}, AP {:.3} by means over {window}x{window} px, pixel AP {:.3}",
                    figures.tiles, figures.image_auroc, figures.image_ap, figures.pixel_ap
                ));
                if patience.is_better(&figures) {
                    log.flush();
                    let best = self.checked(backend, step, saved)?;
                    self.folder.save_best(&best)?;
                }
            }
            if due(config.checkpoint_every) || saved_at.elapsed() > OLDEST_CHECKPOINT {
                log.flush();
                saved_at = Instant::now();
                match self.save(backend, step, saved) {
                    Ok(()) => saved = Some(step),
                    // Hours of work are worth more than one checkpoint: somebody may free the disk.
                    Err(FitError::Run(error)) if !last => progress.say(&format!(
                        "warning: {error}; training goes on, {} is kept",
                        kept(saved)
                    )),
                    Err(error) => return Err(error),
                }
            }
        }
        progress.close();
        Ok(Outcome::Finished)
    }

    fn save(&self, backend: &dyn Backend, step: u64, saved: Option<u64>) -> Result<(), FitError> {
        Ok(self.folder.save(&self.checked(backend, step, saved)?)?)
    }

    /// The checkpoint of this step, which is finite.
    fn checked(
        &self,
        backend: &dyn Backend,
        step: u64,
        saved: Option<u64>,
    ) -> Result<Checkpoint, FitError> {
        let checkpoint = self.checkpoint(backend, step)?;
        if let Some(array) = checkpoint.not_finite() {
            return Err(FitError::NotFinite {
                step,
                cause: format!("'{array}' holds a value that is not finite"),
                kept: kept(saved),
            });
        }
        Ok(checkpoint)
    }

    fn checkpoint(&self, backend: &dyn Backend, step: u64) -> Result<Checkpoint, FitError> {
        let recipe = toml::to_string(&self.config.recipe);
        Ok(Checkpoint {
            step,
            recipe: recipe.map_err(|error| FitError::Step {
                step,
                what: format!("the settings have no TOML form: {error}"),
            })?,
            data_fingerprint: self.data_fingerprint.to_owned(),
            textures: self.textures.map(str::to_owned),
            masks: self.masks.map(str::to_owned),
            weights: backend.weights(),
            adam: backend.adam(),
        })
    }
}

fn kept(saved: Option<u64>) -> String {
    match saved {
        Some(step) => format!("the checkpoint of step {step}"),
        None => "the start: no checkpoint was written yet".to_owned(),
    }
}

fn not_finite(losses: &Losses, batch: &Batch) -> Option<String> {
    let terms = [
        ("L2", losses.l2),
        ("SSIM", losses.ssim),
        ("focal", losses.focal),
    ];
    let (name, value) = terms.into_iter().find(|(_, value)| !value.is_finite())?;
    let inputs = batch.clean.iter().chain(&batch.seen).chain(&batch.mask);
    let blame = match inputs.into_iter().all(|value| value.is_finite()) {
        true => "the batch is finite, so the weights diverged",
        false => "the batch itself holds a value that is not finite",
    };
    Some(format!("the {name} loss is {value}; {blame}"))
}

#[cfg(test)]
mod tests;
