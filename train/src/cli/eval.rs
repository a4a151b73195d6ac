//! `eval`: bundles' scores on test sets in MVTec's or DAGM's layout.

use super::{Done, figure};
use crate::agreement::{Agreement, agreement, cut_alike};
use crate::data::Class;
use crate::eval::{ClassReport, EvalError, Report, classes, evaluate};
use blemish::metrics::Row;
use blemish::model::Bundle;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle, folder of a run that has one, or folder of runs named as the classes.
    model: PathBuf,
    /// Class folder in MVTec's or DAGM's layout, or a folder of class folders.
    pictures: PathBuf,
    /// Another bundle of the same tiles: says on how many tiles both give the same verdict.
    #[arg(long, value_name = "BUNDLE")]
    beside: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Done {
        let classes = with_bundles(&self.model, classes(&self.pictures)?)?;
        // Before the evaluation, which may take hours.
        let other = self.beside.as_ref().map(Bundle::read).transpose()?;
        if let Some(other) = &other {
            (classes.iter()).try_for_each(|(_, bundle)| cut_alike(bundle, other))?;
        }
        let pictures: usize = classes.iter().map(|(class, _)| class.tests.len()).sum();
        // Drawn on standard error, and only where that is a terminal.
        let bar = ProgressBar::new(pictures as u64);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pictures, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let report = evaluate(&classes, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let beside = match &other {
            Some(other) => compare(&classes, other)?,
            None => Vec::new(),
        };
        let mut out = io::stdout().lock();
        if self.json {
            let report = Json {
                report: &report,
                beside: &beside,
            };
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        for (number, class) in report.classes.iter().enumerate() {
            table(&mut out, class)?;
            if let Some(found) = beside.get(number) {
                writeln!(
                    out,
                    "equal verdicts: {:.2} % of {} tiles; the other rejects {} more and passes {} more",
                    100.0 * found.equal(),
                    found.tiles,
                    found.only_second_rejects,
                    found.only_first_rejects
                )?;
            }
        }
        if report.classes.len() > 1 {
            writeln!(out, "{}", row("mean of classes", "", &report.mean))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// With `--beside`, of every class.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    beside: &'a [Agreement],
}

fn compare(classes: &[ClassAndBundle], other: &Bundle) -> Result<Vec<Agreement>, EvalError> {
    let of = |(class, bundle): &ClassAndBundle| agreement(bundle, other, class);
    classes.iter().map(of).collect()
}

type ClassAndBundle = (Class, Arc<Bundle>);

/// Every class with its bundle: the one, or that of its own run.
fn with_bundles(model: &Path, classes: Vec<Class>) -> Result<Vec<ClassAndBundle>, Box<dyn Error>> {
    let one = match model.is_dir() {
        true => model.join("model.onnx"),
        false => model.to_owned(),
    };
    if !model.is_dir() || one.is_file() {
        let bundle = Arc::new(Bundle::read(&one)?);
        let with = |class| (class, Arc::clone(&bundle));
        return Ok(classes.into_iter().map(with).collect());
    }
    let own = |class: Class| {
        let path = model.join(&class.name).join("model.onnx");
        match path.is_file() {
            true => Ok((class, Arc::new(Bundle::read(&path)?))),
            false => Err(format!(
                "neither {} is there nor {} for the class '{}'; give a bundle or the folder of a finished run, \
                 or train with 'fit'",
                one.display(),
                path.display(),
                class.name
            )
            .into()),
        }
    };
    classes.into_iter().map(own).collect()
}

fn table(out: &mut dyn Write, class: &ClassReport) -> io::Result<()> {
    writeln!(out, "pixel figures {}", class.pixels)?;
    writeln!(
        out,
        "{:<20} {:>11}  image AUROC     AP  pixel AUROC     AP  AUPRO",
        class.class, "rejected"
    )?;
    let share = |kind: &str| {
        let found = class.verdicts.iter().find(|verdicts| verdicts.kind == kind);
        found.map_or_else(String::new, |found| {
            format!("{}/{}", found.rejected, found.pictures)
        })
    };
    writeln!(out, "{:<20} {:>11}", "good", share("good"))?;
    for figures in &class.rows {
        writeln!(
            out,
            "{}",
            row(&figures.kind, &share(&figures.kind), figures)
        )?;
    }
    writeln!(
        out,
        "rejected: pictures with a region of score {:.4} or more and at least {} px",
        class.threshold.score, class.threshold.min_area_px
    )
}

fn row(name: &str, share: &str, figures: &Row) -> String {
    let [image_auroc, image_ap, pixel_auroc, pixel_ap, aupro] = figures.values().map(figure);
    format!(
        "{name:<20} {share:>11} {image_auroc:>12} {image_ap:>6} {pixel_auroc:>12} {pixel_ap:>6} {aupro:>6}"
    )
}
