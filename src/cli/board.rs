//! `blemish board`: the boards that are known, and this machine's lines.

use super::Outcome;
use super::check::tell;
use super::run::Terminal;
use blemish::board::{ASSUMED_SHARE_OF_PEAK, Board, BoardError, Tiling};
use blemish::health::board_rows;
use blemish::model::{Bundle, Preparation};
use blemish::pins::seen_lines;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the boards
    List,
    /// Print what is known of a board, how fast it is predicted to be, and the [pins] for its header
    Show {
        /// Its name; without it, this machine's
        name: Option<String>,
        /// Pixels of a line, for the predicted line rate
        #[arg(long, value_name = "PX", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
        width_px: u32,
    },
    /// Look whether this machine is that board and has its lines
    Check {
        /// Its name; without it, this machine's
        name: Option<String>,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// List this machine's GPIO lines with who holds them
    Lines,
}

/// Runs `blemish board`.
///
/// # Errors
/// Where there is no such board.
pub fn run(args: &Args) -> Outcome {
    let terminal = Terminal::default();
    match &args.command {
        Command::List => {
            let here = Board::here().map(|(name, _)| name);
            for name in Board::names() {
                let mark = if here == Some(name) {
                    "  (this machine)"
                } else {
                    ""
                };
                terminal.say(&format!("{name:18}{}{mark}", Board::named(name)?.name));
            }
        }
        Command::Show { name, width_px } => {
            let board = board(name.as_deref())?;
            say_facts(&terminal, &board);
            say_prediction(&terminal, &board, &Bundle::embedded()?, *width_px);
            say_pins(&terminal, &board);
        }
        Command::Check { name, json } => {
            return tell(&board_rows(&board(name.as_deref())?), *json);
        }
        Command::Lines => {
            for line in seen_lines()? {
                terminal.say(&format!(
                    "{} ({}) {:3}  {:16} {:6} {}",
                    line.chip,
                    line.label,
                    line.offset,
                    if line.name.is_empty() {
                        "-"
                    } else {
                        &line.name
                    },
                    if line.is_output { "output" } else { "input" },
                    line.holder.as_deref().unwrap_or("free")
                ));
            }
        }
    }
    terminal.finish_for_reader()?;
    Ok(ExitCode::SUCCESS)
}

fn board(name: Option<&str>) -> Result<Board, BoardError> {
    match (name, Board::here()) {
        (Some(name), _) => Board::named(name),
        (None, Some((_, board))) => Ok(board),
        (None, None) => Board::named("generic-pc"),
    }
}

fn say_facts(terminal: &Terminal, board: &Board) {
    terminal.say(&board.name);
    terminal.say(&format!("target      {}", board.target));
    let dot = if board.int8_dot_product { "yes" } else { "no" };
    terminal.say(&format!("int8 dot    {dot}"));
    terminal.say(&format!(
        "threads     {} workers on processors {:?}, the line on {:?}",
        board.workers, board.worker_cpus, board.line_cpus
    ));
    if let Some(watchdog) = &board.watchdog {
        terminal.say(&format!("watchdog    {}", watchdog.display()));
    }
    terminal.say(&format!(
        "heat        zone {}, slows down above {} degrees C",
        board.thermal_zone, board.throttles_above_c
    ));
    for note in &board.notes {
        terminal.say(&format!("note        {note}"));
    }
}

/// The shipped model's speed, worked out and never measured.
fn say_prediction(terminal: &Terminal, board: &Board, bundle: &Bundle, width_px: u32) {
    let say = |text: &str| terminal.say(&format!("predicted   {text}"));
    let macs = bundle.plan().nodes().iter().map(|node| node.macs).sum();
    let facts = bundle.metadata();
    let tiling = Tiling {
        width_px,
        tile: facts.tile,
        overlap_px: match facts.preparation {
            Preparation::Native { overlap_px } => overlap_px,
            Preparation::Resize { .. } => 0,
        },
    };
    let (Some(processor), Some(seconds), Some(lines_per_s)) = (
        &board.processor,
        board.predicted_seconds_per_tile(macs),
        board.predicted_lines_per_s(macs, tiling),
    ) else {
        say("nothing: its processor is not known; 'blemish bench' measures it");
        return;
    };
    say(&format!(
        "{:.0} ms per tile of {}x{} px of the model that comes with the program, on one core",
        seconds * 1e3,
        tiling.tile.width_px,
        tiling.tile.height_px,
    ));
    say(&format!(
        "{lines_per_s:.0} lines/s of {width_px} px with {} workers",
        board.workers
    ));
    say(&format!(
        "from {:.0} million multiply-accumulates per tile, {:.0} per cycle of a {} at {} MHz, and {:.0} % of that reached; never measured on a board",
        macs as f64 / 1e6,
        processor.peak_macs_per_cycle(board.int8_dot_product),
        processor.core,
        processor.clock_mhz,
        ASSUMED_SHARE_OF_PEAK * 100.0,
    ));
}

fn say_pins(terminal: &Terminal, board: &Board) {
    let Some(gpio) = &board.gpio else {
        return;
    };
    terminal.say(&format!(
        "\n# the header's pins on {}, for the station's TOML",
        gpio.chip
    ));
    let wiring = &gpio.wiring;
    for (role, pin) in [
        ("reject", wiring.reject),
        ("ready", wiring.ready),
        ("heartbeat", wiring.heartbeat),
    ] {
        terminal.say(&format!("[pins.{role}]  # pin {pin}"));
        say_line(terminal, gpio.line(pin));
    }
    terminal.say("[pins.encoder]\nkind = \"gpio\"");
    for (channel, pin) in [("a", wiring.encoder_a), ("b", wiring.encoder_b)] {
        terminal.say(&format!("[pins.encoder.{channel}]  # pin {pin}"));
        say_line(terminal, gpio.line(pin));
    }
}

fn say_line(terminal: &Terminal, line: Option<blemish::pins::LineConfig>) {
    if let Some(text) = line.and_then(|line| toml::to_string(&line).ok()) {
        terminal.say(text.trim_end());
    }
}
