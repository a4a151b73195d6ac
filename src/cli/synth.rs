//! `blemish synth`: pictures of the built-in web with known defects, for training and judging.

use super::Outcome;
use super::run::Terminal;
use blemish::camera::{DatasetSpec, WebSpec, write_dataset};
use std::path::PathBuf;
use std::process::ExitCode;

/// What to write. Every picture shows another piece of web under the same camera: roller and selvedge
/// in view, uneven light, noise. `train/good` and `test` never share web.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write; made where it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Good pictures for training.
    #[arg(long, value_name = "N", default_value_t = 200)]
    good: u32,
    /// Good pictures for the test.
    #[arg(long, value_name = "N", default_value_t = 50)]
    test_good: u32,
    /// Test pictures of each kind of defect.
    #[arg(long, value_name = "N", default_value_t = 10)]
    defect: u32,
    /// Pixels of a line.
    #[arg(long, value_name = "PX", default_value_t = 512, value_parser = clap::value_parser!(u32).range(256..=16384))]
    width: u32,
    /// Lines of a picture.
    #[arg(long, value_name = "LINES", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=65536))]
    lines: u32,
    /// Another number gives other web under the same camera.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Writes the pictures and says where they are.
///
/// # Errors
/// Where a folder or file cannot be written.
pub fn run(args: &Args) -> Outcome {
    let spec = DatasetSpec {
        web: WebSpec {
            width_px: args.width,
            web_seed: args.seed,
            ..WebSpec::default()
        },
        lines_per_picture: args.lines,
        train_good: args.good,
        test_good: args.test_good,
        per_defect: args.defect,
    };
    let bar = indicatif::ProgressBar::new(0);
    write_dataset(&args.out, &spec, |written, wanted| {
        bar.set_length(u64::from(wanted));
        bar.set_position(u64::from(written));
    })?;
    bar.finish_and_clear();
    let terminal = Terminal::default();
    terminal.say(&format!(
        "wrote {} good pictures for training, {} for the test and {} of each kind of defect to {}",
        args.good,
        args.test_good,
        args.defect,
        args.out.display()
    ));
    terminal.finish_for_reader()?;
    Ok(ExitCode::SUCCESS)
}
