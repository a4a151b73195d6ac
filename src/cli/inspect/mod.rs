//! `blemish inspect`: pictures from files through the core of the line.

mod conveyor;
mod figures;
mod files;
mod looks;
mod output;
mod pages;

use super::Outcome;
use blemish::engine::TractInspector;
use blemish::geometry::Columns;
use blemish::metrics::Row;
use blemish::model::Bundle;
use blemish::text::printable;
use blemish::verdict::Verdict;
use blemish::web::PictureRules;
use conveyor::{Conveyor, Inspected, Settings};
use figures::Figures;
use files::Input;
use indicatif::{ProgressBar, ProgressStyle};
use looks::Looks;
use output::{Line, Output, word};
use pages::{Facts, Pages};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Exit code where `--fail-on-defect` was given and there is a defect.
const EXIT_DEFECT: u8 = 1;

/// Regions of a picture that are told without `--json`.
const TOLD: usize = 8;

/// Steps of the progress bar for each picture.
const STEPS: f64 = 1000.0;

/// Inspect a picture, a folder of pictures or a strip of any size.
///
/// Pictures are cut into overlapping tiles; the tiles' anomaly maps are joined, so that a defect across
/// two tiles is found once. Exit code: 0 when all was inspected and written, 2 when anything was not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A picture (PNG, JPEG, TIFF, BMP; 8 or 16 bit; grey or colour), or a folder of them.
    path: PathBuf,
    /// Bundle to inspect with [default: the one that comes with the program].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Compare with DIR/ground_truth/<kind>/<name>_mask.png (MVTec layout); PATH may be DIR.
    #[arg(long, value_name = "DIR")]
    truth: Option<PathBuf>,
    /// Take the folder's pictures as consecutive strips of one web, in the order of their names, numbers by
    /// their value: s2 before s10.
    #[arg(long, conflicts_with = "truth")]
    join: bool,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
    /// Write annotated pictures into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write anomaly maps into this folder, as grey PNG of 16 bits.
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// Write a report, one HTML file with everything in it.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Inspect these columns only: what lies outside, such as the web's edge, is never seen. END is the
    /// column after the last.
    #[arg(long, value_name = "FIRST..END")]
    columns: Option<Columns>,
    /// Score that a region must reach to be a defect, in (0, 1] [default: the bundle's].
    #[arg(long, value_name = "X", value_parser = score)]
    threshold: Option<f32>,
    /// Pixels of the picture that must reach the threshold; a region with fewer is no defect [default: the
    /// bundle's, which counts pixels of its tile where it was trained with --resize].
    #[arg(long, value_name = "PX")]
    min_area: Option<u32>,
    /// Tiles that are inspected at one time [default: the number of cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Exit with 1 where there is a defect.
    #[arg(long)]
    fail_on_defect: bool,
}

fn score(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(score) if score > 0.0 && score <= 1.0 => Ok(score),
        _ => Err("a score lies above 0 and is at most 1".to_owned()),
    }
}

/// What the pictures came to.
#[derive(Default)]
struct Tally {
    ok: usize,
    defect: usize,
    failed: usize,
    /// Inspected, but not all that was asked for could be written.
    unwritten: usize,
}

/// Inspects and writes all results.
///
/// # Errors
/// What cannot be read or written, before the work starts where that can be known.
pub fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    let mut inputs = files::find(&args.path, args.truth.as_deref())?;
    if args.join {
        inputs = vec![files::join(&args.path, inputs)];
    }
    let output = Output::prepare(
        args.json,
        args.out.as_deref(),
        args.maps.as_deref(),
        args.report.as_deref(),
        &inputs,
        args.model.as_deref(),
    )?;
    let bundle = match &args.model {
        Some(path) => Bundle::read(path)?,
        None => Bundle::embedded()?,
    };
    let metadata = bundle.metadata();
    let mut rules = PictureRules::of(metadata, output.report().is_some());
    rules.threshold = args.threshold.unwrap_or(rules.threshold);
    rules.columns = args.columns;
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let settings = Settings {
        rules,
        min_area_px: args.min_area,
        tile: metadata.tile,
        tiles_in_flight: 2 * threads,
    };
    settings.check()?;
    if metadata.flat_field {
        log::warn!("the model expects flat-field corrected pictures; these are taken as they are");
    }
    let workers: Vec<TractInspector> = (0..threads).map(|_| bundle.inspector()).collect();
    let mut conveyor = Conveyor::start(settings, workers, &inputs)?;
    let bar = progress_bar(inputs.len());
    let mut tally = Tally::default();
    let mut figures = Figures::new(args.columns);
    let mut looks = Looks::new(metadata);
    let mut pages = Pages::new(rules.threshold);
    let mut tell = |done: f64| bar.set_position((done * STEPS) as u64);
    while let Some((input, outcome)) = conveyor.next(&mut tell) {
        match outcome {
            Ok(found) => {
                pages.megapixels += found.map.len() as f64 / 1e6;
                looks.see(&input, &found.picture);
                bar.suspend(|| report_picture(&output, &input, &found, rules.threshold));
                figures.add(&input, &found);
                let shown = match output.report() {
                    Some(_) => pages.add(&input, &found),
                    None => Ok(()),
                };
                let written = [
                    output.annotated(&input, &found),
                    output.map(&input, &found),
                    shown,
                ];
                tally.unwritten += usize::from(written.iter().any(Result::is_err));
                for error in written.into_iter().filter_map(Result::err) {
                    bar.suspend(|| report_failure(&output, &input, &error));
                }
                match found.verdict {
                    Verdict::Ok => tally.ok += 1,
                    _ => tally.defect += 1,
                }
            }
            Err(failure) => {
                tally.failed += 1;
                pages.add_failure(&input, &failure.to_string());
                bar.suspend(|| report_failure(&output, &input, &failure));
            }
        }
        if output.is_unheard() {
            output.finish()?;
        }
    }
    bar.finish_and_clear();
    looks.warn();
    if tally.failed == 0 {
        figures.warn_of_unmarked();
    }
    let facts = Facts {
        bundle: &bundle,
        path: args.path.display().to_string(),
        when: today(),
        ok: tally.ok,
        defect: tally.defect,
        failed: tally.failed,
        unwritten: tally.unwritten,
        seconds: started.elapsed().as_secs_f64(),
        threads,
        threshold: rules.threshold,
        least_area: settings.least_area(),
    };
    let (metrics, lacks_metrics) = match (args.truth.is_some(), tally.failed) {
        (true, 0) => (figures.rows(), false),
        (with_truth, _) => (Ok(Vec::new()), with_truth),
    };
    let rows = metrics.as_deref().unwrap_or_default();
    // First of all: whatever else goes wrong does not cost the report.
    let reported = match output.report() {
        Some(path) => pages
            .finish(&facts, rows, lacks_metrics)
            .write(path)
            .map_err(|source| output::failed(path, source)),
        None => Ok(()),
    };
    print_metrics(&output, rows, args.json);
    output.say(
        &Line::summary(&facts, inputs.len()),
        &summary_text(&facts, &pages),
    );
    reported?;
    output.finish()?;
    metrics?;
    complete(&facts, inputs.len(), lacks_metrics)?;
    if args.fail_on_defect && tally.defect > 0 {
        return Ok(ExitCode::from(EXIT_DEFECT));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether everything that was asked for is there.
///
/// # Errors
/// What is not.
fn complete(facts: &Facts<'_>, pictures: usize, lacks_metrics: bool) -> Result<(), String> {
    let mut missing = Vec::new();
    if facts.failed > 0 {
        let metrics = match lacks_metrics {
            true => ", so there are no metrics",
            false => "",
        };
        missing.push(format!(
            "{} of {pictures} pictures could not be inspected{metrics}; the reasons are above",
            facts.failed
        ));
    }
    if facts.unwritten > 0 {
        missing.push(format!(
            "of {} of {pictures} pictures not all results could be written; the reasons are above",
            facts.unwritten
        ));
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(missing.join(", and ")),
    }
}

/// On stderr, and only where that is a terminal.
fn progress_bar(pictures: usize) -> ProgressBar {
    let bar = ProgressBar::new(pictures as u64 * STEPS as u64);
    let style =
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {elapsed} of about {duration}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn report_picture(output: &Output, input: &Input, found: &Inspected, threshold: f32) {
    let mut text = format!(
        "{:<7} {:.3}  {}",
        word(found.verdict),
        found.score,
        printable(&input.name)
    );
    for region in found.regions.iter().take(TOLD) {
        let _ = write!(
            text,
            "\n          line {}..{}, column {}..{}: {} px, peak {:.3}",
            region.first_line.0,
            region.first_line.0 + u64::from(region.lines),
            region.first_column,
            u64::from(region.first_column) + u64::from(region.columns),
            region.area_px,
            region.peak
        );
        if !region.defect {
            let _ = write!(
                text,
                ", too small ({} px reach the threshold, a defect has {})",
                region.reaching_px, found.min_area_px
            );
        }
    }
    if found.regions.len() > TOLD {
        let more = found.regions.len() - TOLD;
        let _ = write!(text, "\n          and {more} more regions");
    }
    let path = input.path.to_string_lossy();
    output.say(&Line::picture(&path, found, threshold, input), &text);
}

/// Says on standard error what was not done with a picture, and among the JSON lines.
fn report_failure(output: &Output, input: &Input, failure: &dyn std::error::Error) {
    super::say(failure);
    if output.json() {
        let path = input.path.to_string_lossy();
        output.say(&Line::error(&path, failure.to_string()), "");
    }
}

fn print_metrics(output: &Output, rows: &[Row], json: bool) {
    let names = [
        "kind",
        "pictures",
        "image AUROC",
        "image AP",
        "pixel AUROC",
        "pixel AP",
        "AUPRO 0.3",
    ];
    for (index, row) in rows.iter().enumerate() {
        let mut text = String::new();
        if index == 0 && !json {
            let _ = write!(text, "\n{:<20} {:>8}", names[0], names[1]);
            for name in &names[2..] {
                let _ = write!(text, " {name:>11}");
            }
            text.push('\n');
        }
        let _ = write!(text, "{:<20} {:>8}", row.kind, row.pictures);
        for value in row.values() {
            let _ = write!(text, " {:>11}", output::figure(value));
        }
        output.say(&Line::metrics(row), &text);
    }
}

fn summary_text(facts: &Facts<'_>, pages: &Pages) -> String {
    let mut text = format!("\n{} defect, {} ok", facts.defect, facts.ok);
    if facts.failed > 0 {
        let _ = write!(text, ", {} not inspected", facts.failed);
    }
    if facts.unwritten > 0 {
        let _ = write!(text, ", {} not written", facts.unwritten);
    }
    let _ = write!(
        text,
        "; {:.1} Mpx in {:.1} s; threshold {:.3}",
        pages.megapixels, facts.seconds, facts.threshold
    );
    text
}

/// The day as people write it, from the system's clock.
fn today() -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs());
    // Days since 1 March of year 0, in eras of 400 years (Hinnant, "chrono-compatible low-level date
    // algorithms").
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}
