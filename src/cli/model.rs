//! `blemish model`: what a bundle is, and whether this machine may use it.

use super::run::Terminal;
use super::{EXIT_BAD_INPUT, Outcome};
use blemish::engine::PlanNode;
use blemish::model::{Bundle, Check, Metadata, Preparation};
use blemish::text::printable;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print what the bundle says about itself, what it costs and what runs each node
    Show {
        /// Bundle; without it, the one that comes with the program
        file: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make every check that loading makes and print each with its outcome
    Check {
        /// Bundle; without it, the one that comes with the program
        file: Option<PathBuf>,
    },
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Shown<'a> {
    origin: &'a str,
    sha256: &'a str,
    golden_difference: f32,
    macs: u64,
    metadata: &'a Metadata,
    nodes: &'a [PlanNode],
}

/// Runs `blemish model`.
///
/// # Errors
/// Where the bundle is refused.
pub fn run(args: &Args) -> Outcome {
    let terminal = Terminal::default();
    let code = match &args.command {
        Command::Show { file, json } => {
            let bundle = read(file.as_deref(), &mut |_| {})?;
            let nodes = bundle.plan().nodes();
            if *json {
                let shown = Shown {
                    origin: bundle.origin(),
                    sha256: bundle.sha256(),
                    golden_difference: bundle.parity(),
                    macs: nodes.iter().map(|node| node.macs).sum(),
                    metadata: bundle.metadata(),
                    nodes,
                };
                terminal.say(&serde_json::to_string_pretty(&shown)?);
            } else {
                terminal.say(format!("{}{}", about(&bundle), table(nodes)).trim_end());
            }
            ExitCode::SUCCESS
        }
        Command::Check { file } => {
            let mut checks = Check::ALL.into_iter();
            let result = read(file.as_deref(), &mut |check| {
                checks.next();
                terminal.say(&format!("{:<9} ok", check.name()));
            });
            match result {
                Ok(bundle) => {
                    terminal.say(&format!(
                        "\n{} may be used on this machine; its golden map differs by {:.1e} at most",
                        printable(bundle.origin()),
                        bundle.parity()
                    ));
                    let facts = bundle.metadata();
                    if let Some((low, high)) = facts.golden.flat(facts.tile)? {
                        terminal.say(&format!(
                            "warning: that map is almost flat ({low:.4} to {high:.4}, {:.0e} allowed) and proves little: \
                             train longer",
                            facts.golden.tolerance
                        ));
                    }
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    let failed = error.problem.check();
                    let problem = error.problem.to_string();
                    terminal.say(&format!(
                        "{:<9} REFUSED: {}",
                        failed.name(),
                        printable(&problem)
                    ));
                    for check in checks.filter(|&check| check != failed) {
                        terminal.say(&format!("{:<9} not reached", check.name()));
                    }
                    let origin = printable(&error.origin);
                    terminal.say(&format!("\n{origin} must not be used"));
                    ExitCode::from(EXIT_BAD_INPUT)
                }
            }
        }
    };
    terminal.finish_for_reader()?;
    Ok(code)
}

fn read(
    file: Option<&Path>,
    passed: &mut dyn FnMut(Check),
) -> Result<Bundle, blemish::model::ModelError> {
    match file {
        Some(path) => Bundle::read_telling(path, passed),
        None => Bundle::embedded_telling(passed),
    }
}

/// Metadata for people; what the file says is shown escaped.
fn about(bundle: &Bundle) -> String {
    let facts = bundle.metadata();
    let (tile, threshold, training) = (facts.tile, &facts.threshold, &facts.training);
    let (cut, area_of) = match facts.preparation {
        Preparation::Native { overlap_px } => (
            format!("at the camera's resolution, overlap {overlap_px} px"),
            "",
        ),
        Preparation::Resize { filter } => (
            format!("the whole picture resized to one tile, {}", filter.name()),
            " of the tile",
        ),
    };
    let rows = [
        ("bundle", bundle.origin().to_owned()),
        ("sha256", bundle.sha256().to_owned()),
        ("name", facts.name.clone()),
        (
            "network",
            format!(
                "DRAEM {}, upsampling {:?}",
                facts.network, facts.network.upsampling
            ),
        ),
        (
            "tile",
            format!("{}x{} px, {cut}", tile.width_px, tile.height_px),
        ),
        (
            "pictures",
            format!(
                "{}, channels {:?}, {}",
                if facts.grey { "grey" } else { "colour" },
                facts.color_order,
                if facts.flat_field {
                    "flat-field corrected"
                } else {
                    "not flat-field corrected"
                }
            ),
        ),
        (
            "score",
            format!(
                "maximum of the {0}x{0} mean of the anomaly map",
                facts.score.window_px.side_px()
            ),
        ),
        (
            "threshold",
            format!(
                "a score of {} or more on at least {} px{area_of}: {}",
                threshold.score, threshold.min_area_px, threshold.basis
            ),
        ),
        (
            "goods",
            format!(
                "{}; expected rejects per 1000: {:.2}, 95 % upper bound {:.2}",
                threshold.goods,
                threshold.expected_rejects_per_1000,
                threshold.upper_95_rejects_per_1000
            ),
        ),
        (
            "light",
            facts.light.map_or(
                "not said; 'blemish-train threshold' sets its limits".to_owned(),
                |limits| limits.to_string(),
            ),
        ),
        (
            "training",
            format!(
                "{} pictures, {} steps of {}, seed {}, simulation {}, {}",
                training.pictures,
                training.steps,
                training.batch,
                training.seed,
                training.simulation,
                training.trainer
            ),
        ),
        ("data", training.data_fingerprint.clone()),
        (
            "golden",
            format!(
                "differs by {:.1e} on this machine, {:.0e} allowed",
                bundle.parity(),
                facts.golden.tolerance
            ),
        ),
    ];
    let mut text = String::new();
    for (label, value) in rows {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{label:<10} {}", printable(&value));
    }
    text
}

/// One line per node of the plan, and the sum.
fn table(nodes: &[PlanNode]) -> String {
    let mut text = format!("\n{:>9}  {:<18} {:<18} node\n", "MMAC", "run by", "output");
    for node in nodes {
        let shape: Vec<String> = node.shape.iter().map(usize::to_string).collect();
        let macs = match node.macs {
            0 => String::new(),
            macs => format!("{:.3}", macs as f64 / 1e6),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{macs:>9}  {:<18} {:<18} {}",
            node.operator,
            shape.join("x"),
            printable(&node.name)
        );
    }
    let macs: u64 = nodes.iter().map(|node| node.macs).sum();
    let _ = writeln!(
        text,
        "{:>9.3}  per tile, {} nodes",
        macs as f64 / 1e6,
        nodes.len()
    );
    text
}
