//! `export`: the bundle of a run's last checkpoint.

use super::{Done, parse_tile};
use crate::checkpoint::{Checkpoint, write_atomically};
use crate::config::FitConfig;
use crate::fit::prepare::Prepared;
use crate::fit::validation;
use crate::run_folder::RunFolder;
use crate::threshold;
use crate::{bundle, device};
use blemish::geometry::TileSize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the run.
    run: PathBuf,
    /// File to write; RUN/model.onnx if left out.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Tile of the bundle, if not that of training.
    #[arg(long, value_parser = parse_tile)]
    tile: Option<TileSize>,
    /// Where the run's pictures are now, if they were moved: the threshold needs them.
    #[arg(long, value_name = "PATH")]
    pictures: Option<PathBuf>,
}

impl Args {
    pub fn run(self) -> Done {
        let mut config = RunFolder::read_config(&self.run)?;
        if let Some(pictures) = self.pictures {
            config.pictures = pictures;
        }
        let tile = self.tile.unwrap_or(config.recipe.tile);
        if config.recipe.resize && tile != config.recipe.tile {
            return Err("a run with --resize has one tile size; leave --tile out".into());
        }
        let latest = RunFolder::latest(&self.run)?;
        let checkpoint = latest.checkpoint.ok_or_else(|| {
            format!(
                "{} holds no checkpoint yet; let 'fit' reach one",
                self.run.display()
            )
        })?;
        let prepared = Prepared::open(&config)?;
        if checkpoint.data_fingerprint != prepared.fingerprint {
            return Err(format!(
                "the pictures in {} are not those of the run; give theirs with --pictures",
                config.pictures.display()
            )
            .into());
        }
        let out = self.out.unwrap_or_else(|| self.run.join("model.onnx"));
        finish(&config, &prepared, &checkpoint, tile, &out)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Sets the threshold, writes the bundle and says what may be expected of it.
pub fn finish(
    config: &FitConfig,
    prepared: &Prepared,
    checkpoint: &Checkpoint,
    tile: TileSize,
    out: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut backend = device::open(&config.device, config.recipe.network, config.threads)?;
    backend.restore(&checkpoint.weights, &checkpoint.adam)?;
    let choice = match prepared.validation.is_empty() {
        true => threshold::choose(&[], &[], 1),
        false => {
            let judged = validation::judge(&mut *backend, &prepared.validation)?;
            threshold::choose(&judged.good_scores, &judged.defect_scores, 1)
        }
    };
    let metadata = bundle::metadata(config, prepared, checkpoint, tile, choice.threshold.clone());
    let bytes = bundle::write(checkpoint, metadata, prepared.mean)?;
    write_atomically(out, |file| file.write_all(&bytes))?;
    println!(
        "threshold   {:.4}: {}",
        choice.threshold.score, choice.threshold.basis
    );
    println!(
        "            expected false rejects per 1000: {:.1}, with 95 % confidence at most {:.1}",
        choice.threshold.expected_rejects_per_1000, choice.threshold.upper_95_rejects_per_1000
    );
    if choice.simulated_defects > 0 {
        println!(
            "            {} of {} simulated defects would be missed",
            choice.simulated_missed, choice.simulated_defects
        );
    }
    println!("bundle      {}", out.display());
    Ok(())
}
