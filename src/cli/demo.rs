//! The demonstration: the program's own model on the built-in web, through the same code as a
//! station, and what it found held against what is known.

use super::Outcome;
use super::run::{
    Done, Judged, Paint, Session, Terminal, account, check_places, pages, write_report,
};
use blemish::camera::{BeltSpec, FaultRates, Move};
use blemish::reject::RejectConfig;
use blemish::station::{Pace, SimulatedPace, Source, Sources, StationConfig};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where to put what is shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for report, journal, pictures and pulses
    #[arg(long, value_name = "DIR", default_value = "blemish-demo")]
    out: PathBuf,
    /// Lines of web
    #[arg(long, value_name = "LINES", default_value_t = 6000, value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    lines: u64,
    /// Bundle instead of the program's own
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Another number gives another web with other defects
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            out: PathBuf::from("blemish-demo"),
            lines: 6000,
            model: None,
            seed: 7,
        }
    }
}

fn config(args: &Args) -> StationConfig {
    let share = |part: u64| args.lines * part / 10;
    StationConfig {
        name: "built-in woven web".to_owned(),
        source: Source::Synthetic {
            width_px: 512,
            lines: args.lines,
            lines_per_block: 64,
            defect_spacing_lines: 430,
            web_seed: args.seed,
            camera_seed: 1,
        },
        belt: BeltSpec {
            line_rate_hz: 1000.0,
            counts_per_line: 4,
            moves: vec![
                Move::Speed {
                    before_line: share(3),
                    line_rate_hz: 700.0,
                },
                Move::Stop {
                    before_line: share(5),
                    stop_ms: 1500,
                },
                Move::Reverse {
                    before_line: share(7),
                    lines: 60,
                },
                Move::Speed {
                    before_line: share(8),
                    line_rate_hz: 1000.0,
                },
            ],
        },
        faults: FaultRates {
            seed: 3,
            dropped: 0.012,
            ..FaultRates::default()
        },
        reject: RejectConfig {
            distance_counts: 12_000,
            max_speed_counts_per_s: 4000,
            span_lines: 128,
            latency_us: 1_500_000,
            ..RejectConfig::default()
        },
        pace: Pace::Simulated(SimulatedPace {
            tile_us: 60_000,
            workers: 4,
            ..SimulatedPace::default()
        }),
        ..StationConfig::default()
    }
}

/// Runs the demonstration; see the module.
///
/// # Errors
/// Where the embedded bundle is refused on this machine or the folder cannot be written.
pub fn run(args: &Args) -> Outcome {
    std::fs::create_dir_all(&args.out).map_err(|error| {
        format!(
            "cannot use the folder '{}': {error}; give another one with 'blemish demo --out DIR'",
            args.out.display()
        )
    })?;
    let mut config = config(args);
    config.model.path = args.model.clone();
    config.evidence.folder = Some(args.out.join("evidence"));
    let spec = config.synthetic();
    let (path, pulses) = (args.out.join("report.html"), args.out.join("pulses.jsonl"));
    let read = config.files(&Sources::default());
    check_places(Some(&path), Some(&pulses), &read)?;
    let mut session = Session::open(config, Sources::default())?;
    session.pulses = Some(pulses);
    session.keep_pieces = true;
    session.whole_lines = Some(args.lines as usize);
    introduce(&session);
    let done = session.run()?;
    account::tell(&session.terminal, &done);
    let judged = match (spec, &done.whole) {
        (Some(spec), Some(whole)) => Some(Judged::new(spec.truth(), whole)),
        _ => None,
    };
    if let Some(judged) = &judged {
        tell(&session.terminal, judged, &done);
    }
    let report = pages::report("Demonstration", &session, &done, judged.as_ref())?;
    write_report(&session.terminal, &report, &path)?;
    session.terminal.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn introduce(session: &Session) {
    let metadata = session.bundle.metadata();
    session.terminal.say(&format!(
        "model     {}: tiles of {} x {} px, threshold {:.3}, golden map equal within {:.1e}",
        metadata.name,
        metadata.tile.width_px,
        metadata.tile.height_px,
        metadata.threshold.score,
        session.bundle.parity()
    ));
    session.terminal.say(
        "web       built-in twill under a line camera, 512 px; the belt changes speed, stops and turns back\n",
    );
}

fn tell(terminal: &Terminal, judged: &Judged, done: &Done) {
    let paint = Paint::of_stdout();
    terminal.say(&format!(
        "\ntruth     {} defects on this web",
        judged.defects.len()
    ));
    let (mut unseen, mut missed) = (0, 0);
    for defect in &judged.defects {
        let truth = &defect.truth;
        let word = match (defect.peak, defect.inspected) {
            (Some(peak), _) => paint.good(&format!("found, peak {peak:.2}")),
            (None, true) => {
                missed += 1;
                paint.bad("missed")
            }
            (None, false) => {
                unseen += 1;
                paint.doubtful("not inspected, and rejected for it")
            }
        };
        terminal.say(&format!(
            "          {:<12} line {:>6}, column {:>4}  {word}",
            truth.kind.name().replace('_', " "),
            truth.first_line,
            truth.first_column
        ));
    }
    terminal.say(&format!(
        "result    {} found, {missed} missed, {unseen} not inspected and rejected, {} false; {} stretches of web rejected as defective",
        judged.found(),
        judged.false_regions.len(),
        done.pieces.len()
    ));
}
