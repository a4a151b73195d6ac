//! `export`: the bundle of what a run learnt.

use super::settings::{ScoreWindow, parse_window};
use super::{Done, output, tell};
use crate::atomic_file::write_atomically;
use crate::backend::Backend;
use crate::bundle;
use crate::checkpoint::Checkpoint;
use crate::config::FitConfig;
use crate::cpu::CpuEngine;
use crate::fit::prepare::Prepared;
use crate::quantize::Grids;
use crate::run_folder::RunFolder;
use crate::threshold;
use blemish::draem::score::Window;
use blemish::geometry::TileSize;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// False rejects per 1000 that people ask for.
const CLAIM: f64 = 10.0;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the run.
    pub run: PathBuf,
    /// File to write; RUN/model.onnx if left out.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Tile of the bundle, if not that of training.
    #[arg(long)]
    tile: Option<TileSize>,
    /// Where the run's pictures are now, if they were moved: the threshold needs them.
    #[arg(long, value_name = "PATH")]
    pictures: Option<PathBuf>,
    /// Side of the square that a picture's score averages over, odd, or 'auto' [default: as in training].
    #[arg(long, value_name = "PX|auto", value_parser = parse_window)]
    score_window: Option<ScoreWindow>,
    /// Write over a bundle whose threshold was set with 'threshold', and lose that.
    #[arg(long)]
    discard_threshold: bool,
}

impl Args {
    pub fn run(self) -> Done {
        let out = self.place("model.onnx");
        let (config, prepared, checkpoint) = self.open(&out)?;
        finish(&config, &prepared, &checkpoint, &|| Ok(out.clone()), None)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The file to write, `name` in the run's folder where none was named.
    pub fn place(&self, name: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| self.run.join(name))
    }

    /// The run's configuration, pictures and checkpoint, from which a bundle at `out` is to be made.
    pub fn open(&self, out: &Path) -> Result<(FitConfig, Prepared, Checkpoint), Box<dyn Error>> {
        let mut config = read_config(&self.run, self.pictures.as_deref())?;
        output::probe(out)?;
        if let (false, Some(set)) = (self.discard_threshold, output::with_set_threshold(out)) {
            return Err(format!(
                "{} has a threshold that was set with 'threshold' ({}) and would be lost: choose another file with \
                 --out, or give --discard-threshold and set it again",
                out.display(),
                set.threshold.basis
            )
            .into());
        }
        let checkpoint = RunFolder::chosen(&self.run)?.ok_or_else(|| {
            format!(
                "{} holds no checkpoint yet; let 'fit' reach one",
                self.run.display()
            )
        })?;
        refuse_edited(&self.run, &config, &checkpoint)?;
        if let Some(window) = self.score_window {
            config.score_window_px = window.px();
        }
        let trained = config.recipe.tile;
        config.recipe.tile = self.tile.unwrap_or(trained);
        config.recipe.check_tile()?;
        if config.recipe.resize && config.recipe.tile != trained {
            return Err("a run with --resize has one tile size; leave --tile out".into());
        }
        let prepared = Prepared::open(&config)?;
        if checkpoint.data_fingerprint != prepared.fingerprint {
            return Err(format!(
                "the pictures in {} are not those of the run; give theirs with --pictures",
                config.pictures.display()
            )
            .into());
        }
        prepared.check_painted(&config.recipe, &checkpoint)?;
        Ok((config, prepared, checkpoint))
    }
}

/// Refuses a `config.toml` with another recipe than the weights were trained by: the bundle would say of itself
/// what is not so.
fn refuse_edited(
    run: &Path,
    config: &FitConfig,
    checkpoint: &Checkpoint,
) -> Result<(), Box<dyn Error>> {
    let differences = config.recipe.differences(&checkpoint.recipe()?);
    match differences.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} does not belong to the checkpoint: {}; the weights were trained as it was, so write that back",
            run.join("config.toml").display(),
            differences.join(", ")
        )
        .into()),
    }
}

/// The run's configuration and pictures, which are in `pictures` now where that is given.
///
/// # Errors
/// What cannot be read, or `config.toml` is not that of the run's checkpoint, where it has one.
pub fn open_pictures(
    run: &Path,
    pictures: Option<&Path>,
) -> Result<(FitConfig, Prepared), Box<dyn Error>> {
    let config = read_config(run, pictures)?;
    let mut trained = None;
    match RunFolder::chosen(run) {
        Ok(Some(checkpoint)) => {
            refuse_edited(run, &config, &checkpoint)?;
            trained = Some(checkpoint);
        }
        Ok(None) => {}
        Err(error) => {
            log::warn!("{error}; whether config.toml is as the run was trained cannot be told")
        }
    }
    let prepared = Prepared::open(&config)?;
    if let Some(checkpoint) = trained {
        prepared.check_painted(&config.recipe, &checkpoint)?;
    }
    Ok((config, prepared))
}

fn read_config(run: &Path, pictures: Option<&Path>) -> Result<FitConfig, Box<dyn Error>> {
    let mut config = RunFolder::read_config(run)?;
    if let Some(pictures) = pictures {
        config.pictures = pictures.to_owned();
    }
    Ok(config)
}

/// Sets the threshold, writes the bundle where `place` says when it is made, and says what may be expected of it;
/// gives its place. `integers` are those of a network that was quantized, with the score's window of the float one.
pub fn finish(
    config: &FitConfig,
    prepared: &Prepared,
    checkpoint: &Checkpoint,
    place: &dyn Fn() -> Result<PathBuf, String>,
    integers: Option<(&Grids, Window)>,
) -> Result<PathBuf, Box<dyn Error>> {
    let recipe = &config.recipe;
    // A bundle is the same wherever its run was trained, and can be made where that device is not.
    let mut engine = CpuEngine::new(recipe.network, config.threads)?;
    engine.restore(&checkpoint.weights, &checkpoint.adam)?;
    let (grids, window) = integers.unzip();
    let with_window = FitConfig {
        score_window_px: window.or(config.score_window_px),
        ..config.clone()
    };
    let finished = bundle::finish(
        &with_window,
        prepared,
        checkpoint,
        recipe.tile,
        &mut engine,
        grids,
    )?;
    let out = place()?;
    write_atomically(&out, |file| file.write_all(&finished.bytes))?;
    let (choice, set) = (&finished.choice, &finished.choice.threshold);
    tell(format_args!(
        "score       the greatest mean of the map over {0}x{0} px{1}",
        finished.window.side_px(),
        match config.score_window_px {
            Some(_) => "",
            None if prepared.validation.is_empty() =>
                ", the authors': without held-out goods there is nothing to choose it by",
            None => ", the one that tells simulated defects apart best",
        }
    ));
    tell(format_args!("threshold   {:.4}: {}", set.score, set.basis));
    if set.goods > 0 {
        tell(format_args!(
            "            of 1000 good pictures like these {:.1} are expected to be rejected, with 95 % \
             confidence at most {:.1};\n            to promise fewer than {CLAIM} takes {} held-out goods",
            set.expected_rejects_per_1000,
            set.upper_95_rejects_per_1000,
            threshold::goods_needed(CLAIM)
        ));
        let chosen = [
            (config.score_window_px.is_none(), "the score's window"),
            (recipe.patience > 0, "the checkpoint"),
            (grids.is_some(), "the ranges of its integers"),
        ];
        let chosen: Vec<&str> = (chosen.iter())
            .filter_map(|&(is_chosen, what)| is_chosen.then_some(what))
            .collect();
        if !chosen.is_empty() {
            tell(format_args!(
                "            so much holds for goods that had no part in choosing anything, and these chose {} as well: \
                 give\n            'blemish-train threshold' goods of another day for a promise to rely on",
                chosen.join(" and ")
            ));
        }
    }
    if choice.simulated_defects > 0 {
        tell(format_args!(
            "            {} of {} simulated defects on held-out goods are missed at it",
            choice.simulated_missed, choice.simulated_defects
        ));
    }
    if 2 * choice.simulated_missed > choice.simulated_defects {
        log::warn!(
            "this bundle misses more than half of even the simulated defects: train longer, and see \
             metrics.jsonl whether the losses fall"
        );
    }
    tell(format_args!("bundle      {}", out.display()));
    Ok(out)
}
