//! From a configuration and a bundle to a run.

use super::input::INPUTS_FILE;
use super::settings::{check_settings, line_counts, web_config};
use super::{
    LightWatch, LimitsSetting, Off, Pace, RealClock, Setup, Source, StationConfig, StationError,
};
#[cfg(target_os = "linux")]
use crate::board::Board;
use crate::camera::{
    Camera, FaultInjector, FaultRates, Recorder, Replay, Strips, Synthetic, SyntheticSpec, WebSpec,
    plan_defects,
};
#[cfg(target_os = "linux")]
use crate::camera::{V4l2Camera, Zero};
use crate::engine::TractInspector;
#[cfg(target_os = "linux")]
use crate::health::{ThermalWatch, Zone};
use crate::light::{Corrected, Drift, DriftNews, FlatFieldFile, LightError, LightJudge};
use crate::model::Bundle;
use crate::pins::{
    BeltEncoder, CameraLineEncoder, ConfirmInput, ConfirmPin, Encoder, EncoderConfig, EncoderEvent,
    Outputs, PinError, PinsConfig, TimeEncoder,
};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// File of a recording that holds the whole configuration.
const CONFIG_FILE: &str = "station.toml";

/// What replaces or follows a configured source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// A recording to run again, with the configuration that it was made with.
    pub replay: Option<PathBuf>,
    /// Where to record this run.
    pub record: Option<PathBuf>,
}

impl StationConfig {
    /// The configuration that a recording was made with.
    ///
    /// # Errors
    /// As [`StationConfig::read`].
    pub fn of_recording(folder: &Path) -> Result<Self, StationError> {
        Self::read(&folder.join(CONFIG_FILE))
    }

    /// Files that a run reads beside the configuration: its results have no place there. Of a folder of strips,
    /// those that are there now.
    pub fn files(&self, sources: &Sources) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = match (&sources.replay, &self.source) {
            (Some(folder), _) => {
                let own = [CONFIG_FILE, INPUTS_FILE].map(|name| folder.join(name));
                own.into_iter().chain(Replay::files(folder)).collect()
            }
            // What is wrong with the folder is said where it is opened.
            (None, Source::Strips { folder, .. }) => Strips::files(folder).unwrap_or_default(),
            (None, _) => Vec::new(),
        };
        files.extend(self.light.flat_field.clone());
        files.extend(self.model.path.clone());
        files
    }

    /// The built-in web as configured; `None` for other sources.
    pub fn synthetic(&self) -> Option<SyntheticSpec> {
        match self.source {
            Source::Synthetic {
                width_px,
                lines,
                lines_per_block,
                defect_spacing_lines,
                web_seed,
                camera_seed,
            } => {
                let web = WebSpec {
                    width_px,
                    web_seed,
                    camera_seed,
                    ..WebSpec::default()
                };
                let defects = if defect_spacing_lines == 0 {
                    Vec::new()
                } else {
                    plan_defects(&web, 0, lines, defect_spacing_lines)
                };
                Some(SyntheticSpec {
                    web,
                    defects,
                    lines,
                    lines_per_block,
                    belt: self.belt.clone(),
                })
            }
            _ => None,
        }
    }
}

/// Puts a run together.
///
/// # Errors
/// Where a source cannot be opened, a recording cannot be begun, or settings contradict each other.
pub fn assemble(
    config: &StationConfig,
    bundle: &Bundle,
    sources: &Sources,
) -> Result<Setup<TractInspector>, StationError> {
    let clock = RealClock::start();
    if sources.replay.is_none() {
        check_settings(config, bundle.metadata())?;
    }
    let (mut camera, drift) = open_camera(config, sources, &clock)?;
    let encoder = match &sources.replay {
        Some(_) => Box::new(NoEncoder),
        None => open_encoder(config, &clock)?,
    };
    let confirm = match (&config.pins.confirm, &sources.replay) {
        (Some(pin), None) => Some(open_confirm(pin, &clock)?),
        _ => None,
    };
    let line_counts = line_counts(config);
    let limits = match (&sources.replay, config.light.limits) {
        (None, _) => config.light.limits_with(bundle.metadata().light).0,
        // The run's own; a recording from before limits were kept has none.
        (Some(_), Some(LimitsSetting::Limits(limits))) => Some(limits),
        (Some(_), _) => None,
    };
    if let Some(folder) = &sources.record {
        camera = Box::new(Recorder::new(camera, folder)?);
        let path = folder.join(CONFIG_FILE);
        let unusable = |reason: String| StationError::Config {
            path: path.clone(),
            reason,
        };
        let mut config = config.clone();
        config.light.limits = Some(match limits {
            Some(limits) => LimitsSetting::Limits(limits),
            None => LimitsSetting::None(Off::Off),
        });
        let text = config
            .to_toml()
            .map_err(|error| unusable(error.to_string()))?;
        std::fs::write(&path, text).map_err(|error| unusable(error.to_string()))?;
    }
    let threads_per_tile = NonZero::new(config.engine.threads_per_tile as usize);
    let threads_per_tile = threads_per_tile.unwrap_or(NonZero::<usize>::MIN);
    let workers = match config.engine.workers {
        0 => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (cores / threads_per_tile).max(1)
        }
        workers => workers as usize,
    };
    let width_px = camera.format().width_px;
    Ok(Setup {
        web: web_config(config, camera.format(), bundle.metadata())?,
        light: LightWatch::new(
            limits.map(|limits| LightJudge::new(limits, config.web.columns, width_px)),
            drift,
        ),
        reject: config.reject.clone(),
        pace: config.pace,
        camera,
        is_live: config.source.is_live(),
        encoder,
        line_counts,
        is_confirmed: config.pins.confirm.is_some(),
        confirm,
        clock,
        interrupted: Arc::default(),
        realtime: config.realtime.clone(),
        #[cfg(target_os = "linux")]
        thermal: watch_heat(config, sources)?,
        workers: (0..workers)
            .map(|_| bundle.plan().worker_on(threads_per_tile))
            .collect(),
        replay: sources.replay.clone(),
        record: sources.record.clone(),
    })
}

fn open_camera(
    config: &StationConfig,
    sources: &Sources,
    clock: &RealClock,
) -> Result<(Box<dyn Camera>, Option<DriftNews>), StationError> {
    match &sources.replay {
        // A recording holds corrected lines.
        Some(folder) => Ok((Box::new(Replay::open(folder)?), None)),
        None => corrected(open_source(config, clock)?, config),
    }
}

/// Puts the flat field behind a camera, where there is one, and the drift watch; without a flat field only a
/// live camera is watched, from the run's start on.
fn corrected(
    camera: Box<dyn Camera>,
    config: &StationConfig,
) -> Result<(Box<dyn Camera>, Option<DriftNews>), StationError> {
    let light = &config.light;
    let Some(path) = &light.flat_field else {
        if light.reference_columns.is_some() {
            log::warn!("light.reference_columns are not looked at without light.flat_field");
        }
        if !config.source.is_live() {
            return Ok((camera, None));
        }
        let drift = Drift::new(camera.format(), None, 0.0, light.max_drift_percent)?;
        let mut watched = Corrected::watched(camera, drift);
        let news = watched.news();
        return Ok((Box::new(watched), Some(news)));
    };
    let file = FlatFieldFile::read(path)?;
    let format = camera.format();
    file.check(path, format, &config.camera_settings())?;
    let Some(white) = &file.white else {
        return Err(LightError::NoWhite { path: path.clone() }.into());
    };
    let drift = Drift::new(
        format,
        light.reference_columns,
        f64::from(white.level),
        light.max_drift_percent,
    )?
    .rejecting(light.reject_drift_percent);
    let mut corrected = Corrected::new(camera, &file.dark, white, drift);
    let news = corrected.news();
    Ok((Box::new(corrected), Some(news)))
}

/// Opens the configured source, with its configured faults and as uneven as it is.
///
/// # Errors
/// Where it cannot be opened.
pub fn open_source(
    config: &StationConfig,
    clock: &RealClock,
) -> Result<Box<dyn Camera>, StationError> {
    let camera: Box<dyn Camera> = match (&config.source, config.synthetic()) {
        (_, Some(spec)) => Box::new(Synthetic::new(&spec)?),
        (
            Source::Strips {
                folder,
                lines_per_block,
            },
            None,
        ) => Box::new(Strips::open(folder, *lines_per_block, &config.belt)?),
        #[cfg(target_os = "linux")]
        (Source::V4l2(spec), None) => {
            let zero = Zero {
                at: clock.zero(),
                monotonic_ns: clock.zero_monotonic_ns(),
            };
            Box::new(V4l2Camera::open(spec, zero)?)
        }
        (Source::Synthetic { .. }, None) => {
            return Err(StationError::Contradiction(
                "a synthetic source without a web".to_owned(),
            ));
        }
    };
    Ok(if config.faults == FaultRates::default() {
        camera
    } else {
        Box::new(FaultInjector::new(camera, config.faults))
    })
}

/// The zone of this machine's board, in real time only.
#[cfg(target_os = "linux")]
fn watch_heat(
    config: &StationConfig,
    sources: &Sources,
) -> Result<Option<ThermalWatch>, StationError> {
    if config.pace != Pace::Real || sources.replay.is_some() {
        return Ok(None);
    }
    let Some((_, board)) = Board::here() else {
        return Ok(None);
    };
    Zone::find(Path::new("/sys/class/thermal"), Some(&board.thermal_zone))
        .map(|zone| ThermalWatch::start(zone, board.throttles_above_c))
        .transpose()
        .map_err(StationError::Threads)
}

/// Takes the lines of `[pins]`; `None` where outputs are only recorded.
///
/// # Errors
/// Where a line cannot be had.
pub fn open_outputs(
    config: &StationConfig,
    sources: &Sources,
    clock: &RealClock,
) -> Result<Option<Box<dyn Outputs>>, StationError> {
    if config.pins.reject.is_none() || sources.replay.is_some() {
        return Ok(None);
    }
    Ok(Some(take_lines(&config.pins, clock)?))
}

#[cfg(target_os = "linux")]
fn take_lines(pins: &PinsConfig, clock: &RealClock) -> Result<Box<dyn Outputs>, PinError> {
    let outputs = crate::pins::GpioOutputs::open(pins, clock.zero())?;
    Ok(Box::new(outputs))
}

#[cfg(not(target_os = "linux"))]
fn take_lines(_: &PinsConfig, _: &RealClock) -> Result<Box<dyn Outputs>, PinError> {
    Err(PinError::Line {
        role: "reject",
        line: "of [pins]".to_owned(),
        reason: "GPIO lines need Linux".to_owned(),
        remedy: "leave [pins] out".to_owned(),
    })
}

fn open_encoder(
    config: &StationConfig,
    clock: &RealClock,
) -> Result<Box<dyn Encoder>, StationError> {
    Ok(match (&config.pins.encoder, &config.source) {
        #[cfg(target_os = "linux")]
        (None, Source::V4l2(spec)) => Box::new(CameraLineEncoder::new(
            config.reject.margin_counts,
            spec.is_triggered(),
            config.reject.max_speed_counts_per_s,
        )),
        (None, _) => Box::new(BeltEncoder::new(&config.belt)?),
        (Some(EncoderConfig::ByTime { counts_per_s }), _) => {
            Box::new(TimeEncoder::new(*counts_per_s))
        }
        (Some(gpio @ EncoderConfig::Gpio { .. }), _) => open_gpio(gpio, clock)?,
    })
}

#[cfg(target_os = "linux")]
fn open_gpio(config: &EncoderConfig, clock: &RealClock) -> Result<Box<dyn Encoder>, PinError> {
    let encoder = crate::pins::GpioEncoder::open(config, clock.zero_monotonic_ns())?;
    Ok(Box::new(encoder))
}

#[cfg(not(target_os = "linux"))]
fn open_gpio(_: &EncoderConfig, _: &RealClock) -> Result<Box<dyn Encoder>, PinError> {
    Err(PinError::Encoder("GPIO lines need Linux".to_owned()))
}

#[cfg(target_os = "linux")]
fn open_confirm(pin: &ConfirmPin, clock: &RealClock) -> Result<Box<dyn ConfirmInput>, PinError> {
    let confirm = crate::pins::GpioConfirm::open(pin, clock.zero_monotonic_ns())?;
    Ok(Box::new(confirm))
}

#[cfg(not(target_os = "linux"))]
fn open_confirm(pin: &ConfirmPin, _: &RealClock) -> Result<Box<dyn ConfirmInput>, PinError> {
    Err(PinError::Line {
        role: "confirm",
        line: pin.at().to_string(),
        reason: "GPIO lines need Linux".to_owned(),
        remedy: "leave pins.confirm out".to_owned(),
    })
}

/// A replay's positions are among its inputs.
struct NoEncoder;

impl Encoder for NoEncoder {
    fn next_event(&mut self, _: u64) -> Result<Option<EncoderEvent>, PinError> {
        Ok(None)
    }
}
