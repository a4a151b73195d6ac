//! The commands of `blemish-train`, one file each.

mod board;
mod cost;
mod eval;
mod export;
mod fit;
mod import;
mod output;
mod quantize;
mod report;
mod settings;
mod sweep;
mod threshold;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// Trains DRAEM on pictures of good product and exports the bundle that `blemish` runs.
#[derive(Debug, Parser)]
#[command(name = "blemish-train", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train on good pictures, set the threshold and write the bundle.
    Fit(Box<fit::Args>),
    /// Score bundles on test sets in MVTec's or DAGM's layout.
    Eval(eval::Args),
    /// Train several widths and print accuracy against cost.
    Sweep(Box<sweep::Args>),
    /// Write the bundle of what a run learnt.
    Export(export::Args),
    /// Write the bundle of what a run learnt in integers
    Quantize(quantize::Args),
    /// Set a bundle's threshold from good pictures of another imaging run.
    Threshold(threshold::Args),
    /// Write one HTML file on a run: losses, scores, pictures, warnings.
    Report(report::Args),
    /// Turn the authors' PyTorch checkpoints into a bundle.
    Import(import::Args),
    /// Parameters, multiply-accumulates and times of a pair of networks, before anything is trained.
    Cost(cost::Args),
}

/// What commands return: how the program ends, or a sentence for people.
type Done = Result<ExitCode, Box<dyn Error>>;

/// Bad usage, input or output.
const EXIT_FAILED: u8 = 2;

/// Runs the command. Exit codes: 0 the work is done; 2 bad usage, input or output, with the reason on
/// standard error; 128 + n stopped by signal n with a resumable run left behind.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Fit(args) => args.run(),
        Command::Eval(args) => args.run(),
        Command::Sweep(args) => args.run(),
        Command::Export(args) => args.run(),
        Command::Quantize(args) => args.run(),
        Command::Threshold(args) => args.run(),
        Command::Report(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::Cost(args) => args.run(),
    };
    done.unwrap_or_else(|error| {
        let closed = (error.downcast_ref::<io::Error>())
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if closed {
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitCode::from(EXIT_FAILED)
    })
}

/// Prints a line for people about a run. Nobody reading any more must not end a training of hours, so
/// a closed output is ignored.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A figure in [0, 1] where there is one.
fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

/// `1,529,333`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_the_file_that_is_written() {
        let mut program = Cli::command();
        for (command, file) in [("export", "model.onnx"), ("quantize", "model.int8.onnx")] {
            let command = program.find_subcommand_mut(command).expect("a command");
            let help = command.render_long_help().to_string();
            let words = format!("File to write; RUN/{file} if left out");
            assert!(help.contains(&words), "{help}");
        }
    }

    #[test]
    fn the_help_of_a_sweep_names_no_option_that_it_refuses() {
        let mut program = Cli::command();
        let mut help = |command| {
            let command = program.find_subcommand_mut(command).expect("a command");
            command.render_long_help().to_string()
        };
        let (fit, sweep) = (help("fit"), help("sweep"));
        for option in ["network", "reconstructive-width", "discriminative-width"] {
            let line = format!("      --{option} <");
            assert!(fit.contains(&line) && !sweep.contains(&line), "{sweep}");
        }
        assert!(sweep.contains("--reconstructive-poolings"), "{sweep}");
    }

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [7, 999, 1000, 1_529_333].map(grouped).into();
        assert_eq!(shown, ["7", "999", "1,000", "1,529,333"]);
    }
}
