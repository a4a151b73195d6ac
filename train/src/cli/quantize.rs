//! `quantize`: the bundle of what a run learnt in integers.

use super::{Done, export, tell};
use crate::backend::Backend;
use crate::bundle::score_window;
use crate::checkpoint::Checkpoint;
use crate::config::FitConfig;
use crate::cpu::CpuEngine;
use crate::fit::Source;
use crate::fit::prepare::Prepared;
use crate::fit::progress::duration;
use crate::quantize::{Grids, Student, calibrate};
use crate::weights::Weights;
use blemish::draem::Graph;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Layers named in the report.
const NAMED: usize = 5;
/// Learning rate of the fine-tuning, as a share of that of training.
const SHARE_OF_TRAINING: f64 = 1.0 / 40.0;
const LINE_EVERY: Duration = Duration::from_secs(10);

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err("must lie above 0 and at most at 1".to_owned()),
    }
}

#[derive(Debug, clap::Args)]
#[command(mut_arg("out", |out| out.help("File to write; RUN/model.int8.onnx if left out")))]
pub struct Args {
    #[command(flatten)]
    export: export::Args,
    /// Steps of fine-tuning in which the integer network learns to say what the float one says; 0 for none.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    steps: u64,
    /// Adam's learning rate of the fine-tuning, which falls to nought as a cosine [default: the training's / 40].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    learning_rate: Option<f64>,
}

impl Args {
    pub fn run(self) -> Done {
        let out = self.export.place("model.int8.onnx");
        let (config, prepared, mut checkpoint) = self.export.open(&out)?;
        if prepared.validation.is_empty() {
            return Err(
                "ranges are chosen on held-out goods and this run held none out; \
                        fit again with --hold-out 0.1"
                    .into(),
            );
        }
        let graph = Graph::new(config.recipe.network);
        let recipe = &config.recipe;
        let mut engine = CpuEngine::new(recipe.network, config.threads)?;
        engine.restore(&checkpoint.weights, &checkpoint.adam)?;
        let pictures: usize = prepared.validation.iter().map(|batch| batch.pictures).sum();
        tell(format_args!(
            "ranges      from {pictures} held-out tiles, about half with a simulated defect"
        ));
        let (grids, report) = calibrate(
            &graph,
            &checkpoint.weights,
            &mut engine,
            &prepared.validation,
        )?;
        for layer in report.worst(NAMED) {
            tell(format_args!(
                "noise       {:<36} weights {:.1} dB, output {}",
                layer.layer, layer.weights_db, layer.output
            ));
        }
        let dead = report.dead();
        if let Some(first) = dead.first() {
            tell(format_args!(
                "dead        {} of {} layers, whose outputs are all 0 on these tiles; the first is {first}",
                dead.len(),
                report.layers.len()
            ));
        }
        // The float network's: its verdicts are those to be given.
        let window = score_window(&config, &prepared, &mut engine)?;
        if self.steps > 0 {
            checkpoint.weights = self.fine_tuned(&config, &prepared, &checkpoint, &grids)?;
        }
        let place = || Ok(out.clone());
        let integers = Some((&grids, window));
        export::finish(&config, &prepared, &checkpoint, &place, integers)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The weights with which the integer network is nearest to the float one.
    fn fine_tuned(
        &self,
        config: &FitConfig,
        prepared: &Prepared,
        checkpoint: &Checkpoint,
        grids: &Grids,
    ) -> Result<Weights, Box<dyn Error>> {
        let recipe = &config.recipe;
        let rate = (self.learning_rate).unwrap_or(recipe.learning_rate * SHARE_OF_TRAINING);
        let weights = &checkpoint.weights;
        let plan = (self.steps, rate);
        let mut student = Student::new(recipe.network, weights, grids, config.threads, plan)?;
        let before = student.measure(&prepared.validation)?;
        let (started, mut told) = (Instant::now(), Instant::now());
        for step in 0..self.steps {
            // Batches that training never saw.
            student.learn(&prepared.batch(recipe.steps + step)?)?;
            if told.elapsed() >= LINE_EVERY {
                told = Instant::now();
                let left = started.elapsed() / (step + 1) as u32 * (self.steps - step - 1) as u32;
                let (done, left) = (step + 1, duration(left.as_secs_f64()));
                tell(format_args!(
                    "step        {done}/{}, {left} left",
                    self.steps
                ));
            }
        }
        let after = student.measure(&prepared.validation)?;
        tell(format_args!(
            "fine-tuned  {} steps: the maps' distance from the float network's is {before:.4} before and \
             {after:.4} after (root mean square on held-out tiles)",
            self.steps
        ));
        if after < before {
            return Ok(student.weights());
        }
        log::warn!("fine-tuning brought nothing and is thrown away; try another --learning-rate");
        Ok(weights.clone())
    }
}
