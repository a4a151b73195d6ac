//! `eval`: a bundle's scores on a test set in MVTec's layout.

use super::Done;
use crate::eval::{ClassReport, classes, evaluate};
use blemish::metrics::Row;
use blemish::model::Bundle;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle, or the folder of a run that has one.
    model: PathBuf,
    /// Class folder in MVTec's layout, or a folder of class folders.
    pictures: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Done {
        let path = match self.model.is_dir() {
            true => self.model.join("model.onnx"),
            false => self.model,
        };
        let bundle = Bundle::read(&path)?;
        let pictures = classes(&self.pictures)?
            .iter()
            .map(|class| class.tests.len())
            .sum::<usize>();
        // Drawn on standard error, and only where that is a terminal.
        let bar = ProgressBar::new(pictures as u64);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pictures, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let report = evaluate(&bundle, &self.pictures, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let threshold = &bundle.metadata().threshold;
        for class in &report.classes {
            table(&mut out, class)?;
        }
        if report.classes.len() > 1 {
            writeln!(out, "{}", row("mean of classes", "", &report.mean))?;
        }
        writeln!(
            out,
            "rejected: pictures with a region of score {:.4} or more and at least {} px",
            threshold.score, threshold.min_area_px
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(out: &mut dyn Write, class: &ClassReport) -> io::Result<()> {
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
    Ok(())
}

fn row(name: &str, share: &str, figures: &Row) -> String {
    let [image_auroc, image_ap, pixel_auroc, pixel_ap, aupro] = figures.values();
    format!(
        "{name:<20} {share:>11} {image_auroc:>12.3} {image_ap:>6.3} {pixel_auroc:>12.3} \
         {pixel_ap:>6.3} {aupro:>6.3}"
    )
}
