//! `blemish run`: a station, from lines to reject pulses.

pub(super) mod account;
mod live;
pub(super) mod pages;
mod session;
mod terminal;
mod truth;

pub(super) use session::{Done, Session, check_places, write_report};
pub(super) use terminal::{Paint, Terminal};
pub(super) use truth::Judged;

use super::Outcome;
use blemish::camera::FaultRates;
use blemish::station::{Pace, Source, Sources, StationConfig};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code where `--fail-on-defect` was given and not all web was found ok.
const EXIT_NOT_OK: u8 = 1;

/// What to run. Options overrule the configuration.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The station's TOML; without it, every setting has its default and the web is the built-in one
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    config: Option<PathBuf>,
    /// Run a recording again, with the configuration that it was made with
    #[arg(long, value_name = "DIR", conflicts_with_all = ["strips", "line_rate", "record"])]
    replay: Option<PathBuf>,
    /// Take the pictures of a folder as consecutive web, in the order of their names (s2 before s10)
    #[arg(long, value_name = "DIR")]
    strips: Option<PathBuf>,
    /// Lines of a block of strips
    #[arg(long, value_name = "LINES", requires = "strips", value_parser = clap::value_parser!(u32).range(1..=65536))]
    lines_per_block: Option<u32>,
    /// Lines exposed per second; of a triggered camera, the most
    #[arg(long, value_name = "HZ")]
    line_rate: Option<f64>,
    /// Record blocks, encoder and times, so that the run can be replayed
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Bundle; without it, the configured one or the one that comes with the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Run by the clock instead of in simulated time: what this machine is too slow for is late
    #[arg(long, conflicts_with = "replay")]
    real_time: bool,
    /// Keep the journal and pictures of rejects here
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Write every edge of the outputs here, as JSON lines, when the run has ended; not for a live camera
    #[arg(long, value_name = "FILE")]
    pulses: Option<PathBuf>,
    /// Write a report of the defects here, one HTML file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the account only
    #[arg(long)]
    quiet: bool,
    /// End with exit code 1 where any line was not found ok
    #[arg(long)]
    fail_on_defect: bool,
}

impl Args {
    fn config(&self) -> Result<StationConfig, Box<dyn std::error::Error>> {
        let mut config = match (&self.config, &self.replay) {
            (_, Some(folder)) => StationConfig::of_recording(folder)?,
            (Some(path), None) => StationConfig::read(path)?,
            (None, None) => StationConfig::default(),
        };
        if let Some(folder) = &self.strips {
            let lines_per_block = self.lines_per_block.unwrap_or(64);
            config.source = Source::Strips {
                folder: folder.clone(),
                lines_per_block,
            };
        }
        if let Some(hz) = self.line_rate {
            match &mut config.source {
                #[cfg(target_os = "linux")]
                Source::V4l2(spec) => spec.line_rate_hz = hz,
                _ => config.belt.line_rate_hz = hz,
            }
        }
        if self.real_time {
            config.pace = Pace::Real;
        }
        if let Some(path) = &self.model {
            config.model.path = Some(path.clone());
        }
        if self.replay.is_some() {
            // What went wrong is in the recording.
            config.faults = FaultRates::default();
            config.evidence.folder = None;
        }
        if let Some(folder) = &self.evidence {
            config.evidence.folder = Some(folder.clone());
        }
        Ok(config)
    }
}

/// Runs the station until its source ends and its web has passed the ejector.
///
/// # Errors
/// A configuration, source, bundle or output that cannot be used, or an account that does not add up.
pub fn run(args: &Args) -> Outcome {
    let config = args.config()?;
    if args.pulses.is_some() && args.replay.is_none() && config.source.is_live() {
        return Err("--pulses keeps every edge in memory until the run ends, which a live camera's does not; leave it out, and keep the journal with --evidence, which has every pulse".into());
    }
    let sources = Sources {
        replay: args.replay.clone(),
        record: args.record.clone(),
    };
    let mut read = config.files(&sources);
    read.extend(args.config.clone());
    check_places(args.report.as_deref(), args.pulses.as_deref(), &read)?;
    let mut session = Session::open(config, sources)?;
    session.quiet = args.quiet;
    session.pulses = args.pulses.clone();
    session.keep_pieces = args.report.is_some();
    let done = session.run()?;
    account::tell(&session.terminal, &done);
    if let Some(path) = &args.report {
        let report = pages::report("Run", &session, &done, None)?;
        write_report(&session.terminal, &report, path)?;
    }
    session.terminal.finish()?;
    let sums = &done.summary.accounting;
    if args.fail_on_defect && sums.lines.ok != sums.lines.total() {
        return Ok(ExitCode::from(EXIT_NOT_OK));
    }
    Ok(ExitCode::SUCCESS)
}
