//! `sweep`: several widths on the same pictures, accuracy against cost.

use super::fit::{Ended, RunFigures, Trainer};
use super::settings::{Settings, absolute};
use super::{Done, board, figure, grouped, tell};
use crate::atomic_file::write_atomically;
use crate::data::Class;
use crate::eval::{both_kinds, classes, evaluate};
use crate::fit::metrics_log::Validation;
use crate::fit::stop::Stop;
use crate::run_folder::RunFolder;
use blemish::draem::{Cost, OFFICIAL_POOLINGS};
use blemish::metrics;
use blemish::model::Bundle;
use serde::Serialize;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Settings of every run; --network, --reconstructive-width and --discriminative-width are replaced by --widths.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("network", |option| option.hide(true)),
    mut_arg("reconstructive_width", |option| option.hide(true)),
    mut_arg("discriminative_width", |option| option.hide(true))
)]
pub struct Args {
    /// Folder of good pictures, or a class folder.
    pictures: PathBuf,
    /// Reconstructive and discriminative width, and where wished the reconstructive network's poolings.
    #[arg(long, value_name = "R/D[/P],...", value_delimiter = ',', default_value = "8/8,16/8,16/16,32/16", value_parser = parse_candidate)]
    widths: Vec<Candidate>,
    /// Class folder with real defects, or a folder of class folders, for figures beside the simulated
    /// ones: never choose by them what is then said to be tested on them.
    #[arg(long, value_name = "DIR")]
    test: Option<PathBuf>,
    /// Folder of the runs and of sweep.json; runs/NAME-sweep if left out. What is done there is kept.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    board: board::Args,
}

/// Widths of both networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    reconstructive: usize,
    discriminative: usize,
    /// Of the reconstructive network; the settings' where none are named.
    poolings: Option<usize>,
}

impl Candidate {
    /// Its numbers with `between` them.
    fn joined(self, between: &str) -> String {
        let numbers = [
            Some(self.reconstructive),
            Some(self.discriminative),
            self.poolings,
        ];
        let numbers = numbers
            .into_iter()
            .flatten()
            .map(|number| number.to_string());
        numbers.collect::<Vec<_>>().join(between)
    }
}

/// What `sweep.json` says of a candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    reconstructive_width: usize,
    discriminative_width: usize,
    reconstructive_poolings: usize,
    parameters: u64,
    macs_per_tile: u64,
    /// Steps of the weights that were judged.
    steps: u64,
    training_seconds_per_step: f64,
    /// On held-out goods with simulated defects; absent where none were held out.
    simulated: Option<Validation>,
    /// On the real test set: the mean over its classes.
    real: Option<metrics::Row>,
    predicted: Option<Predicted>,
}

/// On the board that was named, int8, from published figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Predicted {
    board: String,
    seconds_per_tile: f64,
    lines_per_s: f64,
    keeps_up: bool,
}

impl Args {
    pub fn run(self) -> Done {
        let settings = &self.settings;
        if settings
            .reconstructive_width
            .or(settings.discriminative_width)
            .is_some()
            || settings.network.is_some()
        {
            return Err(
                "the networks of a sweep are given with --widths, such as 8/4/2,8/8,16/8".into(),
            );
        }
        // Before anything is trained: a folder that is not there must not cost a night.
        let test = self.test.as_deref().map(classes).transpose()?;
        test.iter().flatten().try_for_each(both_kinds)?;
        let stop = Stop::on_signals()?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => {
                let pictures = absolute(&self.pictures);
                let name = pictures.file_name().unwrap_or_default().to_string_lossy();
                Path::new("runs").join(format!("{name}-sweep"))
            }
        };
        let mut rows = Vec::new();
        for &candidate in &self.widths {
            let mut settings = self.settings.clone();
            settings.reconstructive_width = Some(candidate.reconstructive);
            settings.discriminative_width = Some(candidate.discriminative);
            if candidate.poolings.is_some() {
                settings.reconstructive_poolings = candidate.poolings;
            }
            let trainer = Trainer {
                settings: &settings,
                board: &self.board,
                stop: &stop,
            };
            let root = out.join(candidate.joined("-"));
            tell(format_args!("widths      {}", candidate.joined("/")));
            let ended = trainer.ensure(&self.pictures, &root)?;
            if ended != Ended::Finished {
                tell(format_args!("the same command goes on from here"));
                return Ok(ended.exit());
            }
            rows.push(self.row(&root, test.as_deref())?);
            rows.sort_by_key(|row| row.macs_per_tile);
            let json = serde_json::to_vec_pretty(&rows)?;
            write_atomically(&out.join("sweep.json"), |file| file.write_all(&json))?;
        }
        self.table(&rows);
        tell(format_args!(
            "\nas JSON     {}",
            out.join("sweep.json").display()
        ));
        Ok(ExitCode::SUCCESS)
    }

    fn row(&self, root: &Path, test: Option<&[Class]>) -> Result<Row, Box<dyn Error>> {
        let config = RunFolder::read_config(root)?;
        let (spec, tile) = (config.recipe.network, config.recipe.tile);
        let figures = RunFigures::of(root)?;
        let cost = Cost::of(spec, tile);
        let real = match test {
            Some(test) => {
                let bundle = Arc::new(Bundle::read(root.join("model.onnx"))?);
                let classes: Vec<_> = (test.iter())
                    .map(|class| (class.clone(), Arc::clone(&bundle)))
                    .collect();
                Some(evaluate(&classes, &|| ())?.mean)
            }
            None => None,
        };
        let predicted = match self.board.line(tile, config.overlap_px) {
            Some(line) => {
                let forecast = line.forecast(spec)?;
                Some(Predicted {
                    seconds_per_tile: forecast.seconds_per_tile,
                    lines_per_s: forecast.lines_per_s,
                    keeps_up: forecast.lines_per_s >= line.rate_hz,
                    board: line.board,
                })
            }
            None => None,
        };
        Ok(Row {
            reconstructive_width: spec.reconstructive_width,
            discriminative_width: spec.discriminative_width,
            reconstructive_poolings: spec.reconstructive_poolings,
            parameters: cost.parameters(),
            macs_per_tile: cost.macs(),
            steps: figures.steps,
            training_seconds_per_step: figures.seconds_per_step,
            simulated: figures.validation,
            real,
            predicted,
        })
    }

    fn table(&self, rows: &[Row]) {
        let mut head = format!(
            "\n{:<8} {:>11} {:>10} {:>6} {:>7}  simulated: AUROC  pixel AP",
            "widths", "parameters", "MMAC/tile", "steps", "s/step"
        );
        if self.test.is_some() {
            head.push_str("  real: AUROC  pixel AP  AUPRO");
        }
        if rows.iter().any(|row| row.predicted.is_some()) {
            head.push_str("  predicted: ms/tile  lines/s");
        }
        tell(format_args!("{head}"));
        for row in rows {
            let widths = Candidate {
                reconstructive: row.reconstructive_width,
                discriminative: row.discriminative_width,
                poolings: Some(row.reconstructive_poolings),
            };
            let widths = widths.joined("/");
            let (auroc, ap) = match &row.simulated {
                Some(figures) => (
                    format!("{:.3}", figures.image_auroc),
                    format!("{:.3}", figures.pixel_ap),
                ),
                None => ("-".to_owned(), "-".to_owned()),
            };
            let mut line = format!(
                "{widths:<8} {:>11} {:>10.1} {:>6} {:>7.3} {auroc:>17} {ap:>9}",
                grouped(row.parameters),
                row.macs_per_tile as f64 / 1e6,
                row.steps,
                row.training_seconds_per_step,
            );
            if let Some(real) = &row.real {
                line.push_str(&format!(
                    " {:>12.3} {:>9} {:>6}",
                    real.image_auroc,
                    figure(real.pixel_ap),
                    figure(real.aupro)
                ));
            }
            if let Some(predicted) = &row.predicted {
                let mark = if predicted.keeps_up { "" } else { "  too slow" };
                line.push_str(&format!(
                    " {:>19.1} {:>8.0}{mark}",
                    1e3 * predicted.seconds_per_tile,
                    predicted.lines_per_s
                ));
            }
            tell(format_args!("{line}"));
        }
    }
}

fn parse_candidate(text: &str) -> Result<Candidate, String> {
    let numbers: Result<Vec<usize>, _> = text.split('/').map(str::parse).collect();
    let candidate = match numbers.unwrap_or_default()[..] {
        [reconstructive, discriminative] => Some((reconstructive, discriminative, None)),
        [reconstructive, discriminative, poolings] => {
            Some((reconstructive, discriminative, Some(poolings)))
        }
        _ => None,
    };
    candidate
        .map(|(reconstructive, discriminative, poolings)| Candidate {
            reconstructive,
            discriminative,
            poolings,
        })
        .filter(|candidate| {
            let widths = [candidate.reconstructive, candidate.discriminative];
            let poolings = candidate.poolings.unwrap_or(OFFICIAL_POOLINGS);
            widths.iter().all(|width| (1..=1024).contains(width))
                && (1..=OFFICIAL_POOLINGS).contains(&poolings)
        })
        .ok_or_else(|| {
            format!(
                "'{text}' is not a pair of widths from 1 to 1024, such as 16/8, or with 1 to 4 poolings behind \
                 it, such as 16/8/2"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_parsed_and_checked() {
        for good in ["16/8", "8/4/2"] {
            let candidate = parse_candidate(good).expect("a candidate");
            assert_eq!(candidate.joined("/"), good);
        }
        let candidate = parse_candidate("16/8/2").expect("a candidate");
        assert_eq!(candidate.poolings, Some(2));
        for bad in [
            "16", "16/", "0/8", "16/8/5", "16/8/0", "16/8/4/2", "a/b", "2048/8",
        ] {
            assert!(parse_candidate(bad).is_err(), "{bad}");
        }
    }
}
