//! `blemish check`: everything that a station depends on.

use super::Outcome;
use super::run::Terminal;
use blemish::health::{Row, Status, station_rows};
use blemish::model::Bundle;
use blemish::station::StationConfig;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code where something is red.
const EXIT_RED: u8 = 1;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The station's TOML; without it, every setting has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Prints a row for each dependency; the exit code is 1 where any is red.
///
/// # Errors
/// Where the configuration cannot be read.
pub fn run(args: &Args) -> Outcome {
    let config = match &args.config {
        Some(path) => StationConfig::read(path)?,
        None => StationConfig::default(),
    };
    let bundle = match &config.model.path {
        Some(path) => Bundle::read(path),
        None => Bundle::embedded(),
    };
    tell(&station_rows(&config, bundle.as_ref()), args.json)
}

/// Prints rows and gives the exit code for them.
pub fn tell(rows: &[Row], json: bool) -> Outcome {
    let terminal = Terminal::default();
    if json {
        terminal.say(&serde_json::to_string_pretty(rows)?);
    } else {
        let paint = super::run::Paint::of_stdout();
        let wide = rows.iter().map(|row| row.item.len()).max().unwrap_or(0);
        for row in rows {
            let word = match row.status {
                Status::Green => paint.good("green"),
                Status::Amber => paint.doubtful("amber"),
                Status::Red => paint.bad("red  "),
            };
            terminal.say(&format!("{word}  {:wide$}  {}", row.item, row.found));
            if !row.fix.is_empty() {
                terminal.say(&format!("       {:wide$}  -> {}", "", row.fix));
            }
        }
    }
    terminal.finish_for_reader()?;
    let red = rows.iter().any(|row| row.status == Status::Red);
    Ok(ExitCode::from(if red { EXIT_RED } else { 0 }))
}
