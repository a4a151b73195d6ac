//! `blemish inspect`: pictures from files through the core of the line.

use super::Outcome;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `blemish inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A picture (PNG, JPEG, TIFF, BMP; 8 or 16 bit; grey or colour) or a folder of them
    path: PathBuf,
}

/// Inspects; see the module.
pub fn run(args: &Args) -> Outcome {
    log::debug!("{}", args.path.display());
    Ok(ExitCode::SUCCESS)
}
