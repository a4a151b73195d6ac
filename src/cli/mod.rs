//! The command line: one file per subcommand, each with its `Args` and its `run`.
//!
//! Exit codes: 0 the work is done; 1 it is done and what was asked not to happen did (a defect with
//! `--fail-on-defect`, a red row of `check`); 2 bad usage, input or output, with the reason on stderr.

mod bench;
#[cfg(target_os = "linux")]
mod board;
mod calibrate;
#[cfg(target_os = "linux")]
mod check;
mod demo;
mod inspect;
mod memory;
mod model;
mod places;
mod run;
mod synth;

use blemish::text::printable;
pub use memory::give_great_blocks_back;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Bad usage, input or output.
pub const EXIT_BAD_INPUT: u8 = 2;

/// What every subcommand gives back.
pub type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Surface-defect inspection on a Raspberry Pi or a Jetson.
#[derive(Debug, clap::Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Measure what a model costs on this machine: time, share of the processor, memory, throughput
    Bench(bench::Args),
    /// Show the boards that are known, or look whether this machine is one
    #[cfg(target_os = "linux")]
    Board(board::Args),
    /// Look at everything that a station depends on, and say what to do
    #[cfg(target_os = "linux")]
    Check(check::Args),
    /// Make the columns of a camera answer alike: dark, then white
    Calibrate(calibrate::Args),
    /// Run the program's own model on a built-in web with known defects (also without a subcommand)
    Demo(demo::Args),
    /// Inspect a picture, a folder of pictures or a strip of any size
    Inspect(inspect::Args),
    /// Show a bundle, or check whether this machine may use it
    Model(model::Args),
    /// Run a station: from lines to reject pulses
    Run(run::Args),
    /// Write pictures of the built-in web with known defects, for training and judging
    Synth(synth::Args),
}

/// Runs the subcommand; without one, the demonstration.
///
/// # Errors
/// What the subcommand says: what failed, where, and what to do.
pub fn run(cli: Cli) -> Outcome {
    match cli.command {
        Some(Command::Bench(args)) => bench::run(&args),
        #[cfg(target_os = "linux")]
        Some(Command::Board(args)) => board::run(&args),
        #[cfg(target_os = "linux")]
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Calibrate(args)) => calibrate::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Model(args)) => model::run(&args),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Synth(args)) => synth::run(&args),
        None => demo::run(&demo::Args::default()),
    }
}

/// Prints an error and its causes on stderr.
///
/// Names of files and what is in them cannot command the terminal.
pub fn say(error: &dyn Error) {
    let mut message = format!("error: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        // thiserror's messages here already hold their cause's words.
        let text = next.to_string();
        if !error.to_string().contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = next.source();
    }
    for line in message.lines() {
        // Whoever hears nothing of it loses no result by it.
        let _ = writeln!(std::io::stderr().lock(), "{}", printable(line));
    }
}
