//! `blemish board`: the boards that are known, and this machine's lines.

use super::Outcome;
use super::check::tell;
use super::run::Terminal;
use blemish::board::{Board, BoardError};
use blemish::health::board_rows;
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
    /// Print what is known of a board, and the [pins] for its header
    Show {
        /// Its name; without it, this machine's
        name: Option<String>,
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
        Command::Show { name } => show(&terminal, &board(name.as_deref())?),
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
    terminal.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn board(name: Option<&str>) -> Result<Board, BoardError> {
    match (name, Board::here()) {
        (Some(name), _) => Board::named(name),
        (None, Some((_, board))) => Ok(board),
        (None, None) => Board::named("generic-pc"),
    }
}

fn show(terminal: &Terminal, board: &Board) {
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
