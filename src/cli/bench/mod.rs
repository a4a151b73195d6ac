//! `blemish bench`: what a model costs on this machine, and what part of the processor it uses.

mod measure;
mod print;

use super::Outcome;
use super::run::Terminal;
use blemish::engine::kernels::Levels;
use blemish::geometry::TileSize;
use blemish::model::Bundle;
use measure::Measured;
use std::path::PathBuf;
use std::process::ExitCode;

/// Time of a tile and of each layer, share of this core's peak, memory and throughput. Without an
/// option: the program's own model. Speed needs a quiet machine; least times bear a busy one best.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle; without it, the one that comes with the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Tile, WIDTHxHEIGHT or one side for both, multiples of 32; without it, the bundle's own
    #[arg(long, value_name = "PX")]
    tile: Option<TileSize>,
    /// Numbers of threads to measure, as workers with a tile each and all on one tile; without it, 1 and all
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Measure with lesser kernels than this processor's best: what a processor without them would take
    #[arg(long, value_name = "NAME", value_parser = parse_kernels)]
    kernels: Option<Levels>,
    /// Tiles of each measurement
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    tiles: u32,
    /// Write the tile and its map there as bare little-endian f32, for comparison with other engines
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// Where the bundle is refused, a tile fails or a file cannot be written.
pub fn run(args: &Args) -> Outcome {
    let mut workers: Vec<usize> = args.threads.iter().map(|&n| n.into()).collect();
    if workers.is_empty() {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        workers = if all > 1 { vec![1, all] } else { vec![1] };
    }
    let measured = Measured::take(args, &workers)?;
    let terminal = Terminal::default();
    if args.json {
        terminal.say(&serde_json::to_string_pretty(&measured)?);
    } else {
        terminal.say(print::report(&measured).trim_end());
    }
    terminal.finish_for_reader()?;
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Args) -> Result<Bundle, blemish::model::ModelError> {
    match &args.model {
        Some(path) => Bundle::read(path),
        None => Bundle::embedded(),
    }
}

fn parse_kernels(text: &str) -> Result<Levels, String> {
    let all = Levels::available();
    let names: Vec<&str> = all.iter().map(|levels| levels.name()).collect();
    match names.iter().position(|&name| name == text) {
        Some(at) => Ok(all[at]),
        None => Err(format!("this processor has {}", names.join(", "))),
    }
}
