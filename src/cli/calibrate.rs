//! `blemish calibrate`: dark and white for the flat field.

use super::Outcome;
use super::places::spare;
use super::run::Terminal;
use blemish::camera::{BlockEvent, Camera, CameraError};
use blemish::light::{Dark, FlatFieldFile, LEAST_LINES, Measurement, Settings, White};
use blemish::station::{RealClock, Source, Sources, StationConfig, open_source};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A camera that is silent for so long gets no trigger.
const MOST_SILENCE: Duration = Duration::from_secs(10);

/// Makes every column of the camera answer alike: first dark with the lens covered, then white.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Measure every column's offset; cover the lens, as nothing may be seen
    Dark(StepArgs),
    /// Measure every column's gain, under the running light on an even white
    White(StepArgs),
}

#[derive(Debug, clap::Args)]
struct StepArgs {
    /// The station's TOML, with the camera as it will run
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take the pictures of a folder instead of the configured camera
    #[arg(long, value_name = "DIR")]
    strips: Option<PathBuf>,
    /// The flat field's file to write and, for white, to go on with; without it, the configuration's light.flat_field
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Lines to average
    #[arg(long, value_name = "LINES", default_value_t = 2 * LEAST_LINES, value_parser = clap::value_parser!(u64).range(LEAST_LINES..=10_000_000))]
    lines: u64,
}

/// What a step works with.
struct Bench {
    path: PathBuf,
    settings: Settings,
    measured: Measurement,
}

/// Takes lines, judges them and writes the file.
///
/// # Errors
/// What is wrong with the lines and in which columns, or with the files.
pub fn run(args: &Args) -> Outcome {
    match &args.step {
        Step::Dark(args) => dark(args),
        Step::White(args) => white(args),
    }
}

fn dark(args: &StepArgs) -> Outcome {
    let terminal = Terminal::default();
    let bench = Bench::measure(args)?;
    let dark = Dark::of(&bench.measured)?;
    terminal.say(&format!(
        "dark: {} lines; DSNU {:.2}, temporal noise {:.2}, of {}",
        dark.lines,
        dark.dsnu,
        dark.temporal_noise,
        bench.measured.full_scale()
    ));
    let file = FlatFieldFile::new(bench.measured.format(), bench.settings, dark);
    file.write(&bench.path)?;
    terminal.say(&format!(
        "wrote {}; now light the web and run `blemish calibrate white`",
        bench.path.display()
    ));
    terminal.finish_for_reader()?;
    Ok(ExitCode::SUCCESS)
}

fn white(args: &StepArgs) -> Outcome {
    let terminal = Terminal::default();
    let path = args.path()?;
    let mut file = FlatFieldFile::read(&path)?;
    let bench = Bench::measure(args)?;
    file.check(&path, bench.measured.format(), &bench.settings)?;
    let white = White::of(&bench.measured, &file.dark)?;
    terminal.say(&format!(
        "white: {} lines; PRNU with lamp and lens {:.1} %, temporal noise {:.2}, gains up to {:.2}",
        white.lines,
        100.0 * white.prnu,
        white.temporal_noise,
        white.gain.iter().copied().fold(0.0, f32::max)
    ));
    file.white = Some(white);
    file.write(&path)?;
    terminal.say(&format!("wrote {}", path.display()));
    terminal.finish_for_reader()?;
    Ok(ExitCode::SUCCESS)
}

impl StepArgs {
    fn config(&self) -> Result<StationConfig, Box<dyn Error>> {
        let mut config = StationConfig::read(&self.config)?;
        if let Some(folder) = &self.strips {
            config.source = Source::Strips {
                folder: folder.clone(),
                lines_per_block: 64,
            };
        }
        Ok(config)
    }

    /// The file to write, which is none that is read but itself.
    fn path(&self) -> Result<PathBuf, Box<dyn Error>> {
        let mut config = self.config()?;
        let configured = config.light.flat_field.take();
        let path = self.out.clone().or(configured);
        let path = path.ok_or("no file to write; give --out FILE, or set light.flat_field")?;
        let read = config.files(&Sources::default());
        let places = [path.clone(), FlatFieldFile::beside(&path)];
        spare(read.iter().chain([&self.config]), places)?;
        Ok(path)
    }
}

impl Bench {
    fn measure(args: &StepArgs) -> Result<Self, Box<dyn Error>> {
        let path = args.path()?;
        let config = args.config()?;
        let settings = config.camera_settings();
        let mut camera = open_source(&config, &RealClock::start())?;
        let measured = lines(&mut *camera, args.lines, &path)?;
        Ok(Self {
            path,
            settings,
            measured,
        })
    }
}

fn lines(camera: &mut dyn Camera, wanted: u64, path: &Path) -> Result<Measurement, Box<dyn Error>> {
    let mut measured = Measurement::new(camera.format());
    let mut block = camera.format().empty_block();
    let bar = indicatif::ProgressBar::new(wanted);
    bar.set_message(path.display().to_string());
    camera.start()?;
    let mut heard = Instant::now();
    while measured.lines() < wanted {
        match camera.next_block(Duration::from_millis(100), &mut block)? {
            BlockEvent::Filled => heard = Instant::now(),
            BlockEvent::Waiting if heard.elapsed() < MOST_SILENCE => continue,
            BlockEvent::Waiting => {
                let silent = format!(
                    "no line for {} s; let the belt or the trigger run",
                    MOST_SILENCE.as_secs()
                );
                return Err(CameraError::Lost(silent).into());
            }
            BlockEvent::End => break,
        }
        if block.fault.is_none() {
            for row in 0..block.picture.height_px {
                measured.add(block.picture.line(row).samples);
            }
        }
        bar.set_position(measured.lines());
    }
    camera.stop();
    bar.finish_and_clear();
    Ok(measured)
}
