//! A station's TOML.

use super::StationError;
#[cfg(target_os = "linux")]
use crate::camera::V4l2Spec;
use crate::camera::{BeltSpec, FaultRates};
use crate::evidence::JournalLimits;
use crate::geometry::Columns;
use crate::light::{LightLimits, Settings};
use crate::pins::PinsConfig;
use crate::reject::RejectConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that can be set. Keys may be left out, but those that name a source or a line; unknown ones are
/// refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StationConfig {
    /// For the journal and the report.
    pub name: String,
    pub model: ModelConfig,
    pub source: Source,
    /// How the web runs, where the source does not know it: not for a live camera.
    pub belt: BeltSpec,
    /// Faults put into the source on purpose.
    pub faults: FaultRates,
    pub light: LightConfig,
    pub web: WebLimits,
    pub engine: EngineConfig,
    pub reject: RejectConfig,
    pub pace: Pace,
    pub evidence: EvidenceConfig,
    /// Which lines drive what; without them, outputs are recorded and the web is `belt`.
    pub pins: PinsConfig,
    pub realtime: RealtimeConfig,
    pub supervision: SupervisionConfig,
}

impl Default for StationConfig {
    fn default() -> Self {
        Self {
            name: "station".to_owned(),
            model: ModelConfig::default(),
            source: Source::default(),
            belt: BeltSpec::default(),
            faults: FaultRates::default(),
            light: LightConfig::default(),
            web: WebLimits::default(),
            engine: EngineConfig::default(),
            reject: RejectConfig::default(),
            pace: Pace::default(),
            evidence: EvidenceConfig::default(),
            pins: PinsConfig::default(),
            realtime: RealtimeConfig::default(),
            supervision: SupervisionConfig::default(),
        }
    }
}

/// Which model, and what of it is overruled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// A bundle; the program's own where there is none.
    pub path: Option<PathBuf>,
    /// Instead of the bundle's.
    pub threshold: Option<f32>,
    /// Instead of the bundle's.
    pub min_area_px: Option<u32>,
}

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// The built-in web.
    Synthetic {
        #[serde(default = "defaults::width_px")]
        width_px: u32,
        #[serde(default = "defaults::lines")]
        lines: u64,
        #[serde(default = "defaults::lines_per_block")]
        lines_per_block: u32,
        /// One defect in so many lines, at least 250; 0 for none.
        #[serde(default = "defaults::defect_spacing_lines")]
        defect_spacing_lines: u64,
        #[serde(default = "defaults::seed")]
        web_seed: u64,
        #[serde(default = "defaults::seed")]
        camera_seed: u64,
    },
    /// A folder of pictures, sorted by name, as consecutive web.
    Strips {
        folder: PathBuf,
        #[serde(default = "defaults::lines_per_block")]
        lines_per_block: u32,
    },
    /// A live line camera.
    #[cfg(target_os = "linux")]
    V4l2(V4l2Spec),
}

impl Source {
    /// Whether lines come when they come: such a source cannot run in simulated time.
    pub const fn is_live(&self) -> bool {
        match self {
            Source::Synthetic { .. } | Source::Strips { .. } => false,
            #[cfg(target_os = "linux")]
            Source::V4l2(_) => true,
        }
    }
}

mod defaults {
    pub const fn width_px() -> u32 {
        512
    }
    pub const fn lines() -> u64 {
        6000
    }
    pub const fn lines_per_block() -> u32 {
        64
    }
    pub const fn defect_spacing_lines() -> u64 {
        450
    }
    pub const fn seed() -> u64 {
        1
    }
}

impl Default for Source {
    fn default() -> Self {
        Source::Synthetic {
            width_px: defaults::width_px(),
            lines: defaults::lines(),
            lines_per_block: defaults::lines_per_block(),
            defect_spacing_lines: defaults::defect_spacing_lines(),
            web_seed: defaults::seed(),
            camera_seed: defaults::seed(),
        }
    }
}

/// Light and its calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightConfig {
    /// What `blemish calibrate` wrote; lines are not corrected where there is none.
    pub flat_field: Option<PathBuf>,
    /// First column and the one after the last of those that see nothing but the white reference.
    pub reference_columns: Option<[u32; 2]>,
    /// A change of level that is warned of; 0 for none.
    pub max_drift_percent: u32,
    /// A change of level beyond which lines are not inspected, for `light`; 0 for none.
    pub reject_drift_percent: u32,
    /// Instead of the bundle's: what a block's light must be for its lines to be inspected.
    pub limits: Option<LimitsSetting>,
}

/// Limits of the light, or none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "light.limits must be \"off\", or a table of least_level, greatest_level and least_contrast, each a share of full scale"
)]
pub enum LimitsSetting {
    None(Off),
    Limits(LightLimits),
}

/// The word `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    Off,
}

/// Where the limits of the light come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitsOrigin {
    /// `light.limits`.
    Setting,
    Bundle,
    /// Neither says anything.
    Floor,
}

impl LightConfig {
    /// The limits that hold with a bundle that has `of_bundle`, and where they come from; `None` for no
    /// limits.
    pub fn limits_with(
        &self,
        of_bundle: Option<LightLimits>,
    ) -> (Option<LightLimits>, LimitsOrigin) {
        match (self.limits, of_bundle) {
            (Some(LimitsSetting::None(Off::Off)), _) => (None, LimitsOrigin::Setting),
            (Some(LimitsSetting::Limits(limits)), _) => (Some(limits), LimitsOrigin::Setting),
            (None, Some(limits)) => (Some(limits), LimitsOrigin::Bundle),
            (None, None) => (Some(LightLimits::FLOOR), LimitsOrigin::Floor),
        }
    }
}

impl Default for LightConfig {
    fn default() -> Self {
        Self {
            flat_field: None,
            reference_columns: None,
            max_drift_percent: 15,
            reject_drift_percent: 0,
            limits: None,
        }
    }
}

/// Sizes of the inspection that the bundle does not fix. Lines of a span are `reject.span_lines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebLimits {
    /// First column and the one after the last of those that are inspected; all where there is none.
    pub columns: Option<Columns>,
    /// A region that has come to this many lines is reported, and its rest is a new region.
    pub max_region_lines: u32,
    /// Lines kept until their tiles are cut; 0 for four tiles and four blocks.
    pub rolling_lines: u32,
    /// Runs of good lines between two faults that are shorter are not inspected.
    pub min_segment_lines: u32,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            columns: None,
            max_region_lines: 1024,
            rolling_lines: 0,
            min_segment_lines: crate::web::MIN_SEGMENT_LINES,
        }
    }
}

/// The workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Workers, one tile each; 0 for as many as the cores allow.
    pub workers: u32,
    /// Threads of each worker, all on one tile; 0 for 1. More answer sooner and inspect less in all.
    pub threads_per_tile: u32,
    /// Tiles under way at once; 0 for 8. Beyond them lines wait in the rolling image, and then are
    /// late.
    pub tiles_in_flight: u32,
}

/// Which time counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum Pace {
    /// As fast as the machine can, with the times that a station would have had: the same result on
    /// every machine.
    Simulated(SimulatedPace),
    /// By the clock: lines that this machine is too slow for are late.
    Real,
}

impl Default for Pace {
    fn default() -> Self {
        Pace::Simulated(SimulatedPace::default())
    }
}

/// The station that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatedPace {
    /// From the exposure of a block's last line until it is in memory.
    pub transfer_us: u64,
    pub workers: u32,
    /// A worker's time for a tile.
    pub tile_us: u64,
    /// Share of tiles that take `hiccup_us` longer.
    pub hiccup_share: f64,
    pub hiccup_us: u64,
    /// Of the hiccups.
    pub seed: u64,
}

impl Default for SimulatedPace {
    fn default() -> Self {
        Self {
            transfer_us: 2000,
            workers: 4,
            tile_us: 40_000,
            hiccup_share: 0.0,
            hiccup_us: 0,
            seed: 1,
        }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceConfig {
    /// Where journal and pictures go; none are kept where there is none.
    pub folder: Option<PathBuf>,
    pub journal: JournalLimits,
    /// Pictures of rejects, the newest that fit; 0 for none.
    pub pictures_max_bytes: u64,
}

impl Default for EvidenceConfig {
    fn default() -> Self {
        Self {
            folder: None,
            journal: JournalLimits::default(),
            pictures_max_bytes: 1 << 30,
        }
    }
}

/// What is asked of the system, in real time only. What is refused is told, and the station runs
/// without it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealtimeConfig {
    /// SCHED_FIFO priority of the eject thread, which drives the pins, at most 99; 0 for none.
    pub fifo_priority: u8,
    /// Keep all memory out of the swap.
    pub lock_memory: bool,
    /// Processors of the eject thread; all where there are none.
    pub line_cpus: Vec<usize>,
    /// Processors of engine workers and camera; all where there are none.
    pub worker_cpus: Vec<usize>,
}

/// Who restarts what, in real time only. The service manager's watchdog needs no setting here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionConfig {
    /// The board's hardware watchdog, such as `/dev/watchdog0`; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<PathBuf>,
    /// Time without a sign of life after which it resets the machine; its driver must take exactly this.
    pub watchdog_timeout_s: u32,
    /// A station that is held by a fault gives no sign of life, so that the machine is reset.
    pub reset_when_held: bool,
}

impl Default for SupervisionConfig {
    fn default() -> Self {
        Self {
            watchdog: None,
            watchdog_timeout_s: 10,
            reset_when_held: false,
        }
    }
}

impl StationConfig {
    /// Reads a station's TOML.
    ///
    /// # Errors
    /// Where the file cannot be read, is no TOML, or has an unknown key or a wrong value.
    pub fn read(path: &Path) -> Result<Self, StationError> {
        let unusable = |reason: String| StationError::Config {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        toml::from_str(&text).map_err(|error| unusable(error.to_string()))
    }

    /// What of the configuration changes the camera's pixels: a calibration holds for nothing else.
    pub fn camera_settings(&self) -> Settings {
        let mut settings = Settings::new();
        let mut set = |name: &str, value: String| settings.insert(name.to_owned(), value);
        match &self.source {
            Source::Synthetic { camera_seed, .. } => {
                set("kind", "synthetic".to_owned());
                set("camera_seed", camera_seed.to_string());
            }
            Source::Strips { .. } => {
                set("kind", "strips".to_owned());
            }
            #[cfg(target_os = "linux")]
            Source::V4l2(spec) => {
                set("kind", "v4l2".to_owned());
                set("format", spec.format.to_string());
                for (name, value) in &spec.controls {
                    set(name, value.to_string());
                }
            }
        }
        settings
    }

    /// The whole configuration as TOML.
    ///
    /// # Errors
    /// Where a number does not fit TOML's.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Move;

    #[test]
    fn defaults_survive_their_own_toml() {
        let config = StationConfig::default();
        let text = config.to_toml().unwrap();
        assert_eq!(toml::from_str::<StationConfig>(&text).unwrap(), config);
    }

    #[test]
    fn the_reference_shows_keys_that_exist_and_true_defaults() {
        let page = include_str!("../../docs/ref/config.md");
        let (_, rest) = page.split_once("```toml").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let shown: StationConfig = toml::from_str(text).unwrap();
        let default = StationConfig::default();
        assert_eq!(
            shown.light.max_drift_percent,
            default.light.max_drift_percent
        );
        assert_eq!(
            shown.light.reject_drift_percent,
            default.light.reject_drift_percent
        );
        let web = WebLimits {
            columns: shown.web.columns,
            ..default.web
        };
        assert_eq!(shown.web, web);
        assert_eq!(shown.engine, default.engine);
        assert_eq!(shown.pace, default.pace);
        assert_eq!(shown.reject, default.reject);
        assert_eq!(shown.evidence.journal, default.evidence.journal);
        assert_eq!(shown.realtime.line_cpus, default.realtime.line_cpus);
        assert_eq!(shown.realtime.worker_cpus, default.realtime.worker_cpus);
        assert_eq!(
            shown.supervision.watchdog_timeout_s,
            default.supervision.watchdog_timeout_s
        );
        assert!(shown.supervision.watchdog.is_some());
        assert_eq!(shown.pins.validate(), Ok(()));
        assert_eq!(shown.pins.lines().len(), 6, "all of them are shown");
        assert_eq!(shown.belt.moves.len(), 3);
        let limits = Some(LimitsSetting::Limits(LightLimits::FLOOR));
        assert_eq!(shown.light.limits, limits);
        let read: toml::Table = toml::from_str(text).unwrap();
        let all = toml::Table::try_from(&shown).unwrap();
        for key in keys(&all, "") {
            // What one line of [pins] may have, another may have too.
            let is_shown = match key
                .strip_prefix("pins.")
                .and_then(|pin| pin.rsplit('.').next())
            {
                Some(last) => keys(&read, "").iter().any(|shown| {
                    shown.starts_with("pins.") && shown.rsplit('.').next() == Some(last)
                }),
                None => keys(&read, "").contains(&key),
            };
            assert!(is_shown, "docs/ref/config.md does not show {key}");
        }
        // The other kind of source is shown behind comment signs.
        let other = text.lines().filter_map(|line| line.strip_prefix("# "));
        let other: Vec<&str> = other.collect();
        let source: Source = toml::from_str(&other.join("\n")).unwrap();
        assert_eq!(source, default.source);
    }

    /// Every key with its tables before it.
    fn keys(table: &toml::Table, before: &str) -> Vec<String> {
        let of = |(key, value): (&String, &toml::Value)| match value {
            toml::Value::Table(table) => keys(table, &format!("{before}{key}.")),
            _ => vec![format!("{before}{key}")],
        };
        table.iter().flat_map(of).collect()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_guides_station_has_keys_that_exist_and_a_ledger_that_works() {
        let page = include_str!("../../docs/guide/station.md");
        let (_, rest) = page.split_once("```toml").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let shown: StationConfig = toml::from_str(text).unwrap();
        assert!(shown.source.is_live());
        assert_eq!(shown.reject.validate(crate::station::SPANS), Ok(()));
        assert_eq!(shown.pace, Pace::Real);
        let columns = shown.web.columns.unwrap();
        assert_eq!(columns.of_lines(2048), Some(60..1990));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_reference_shows_all_keys_of_a_live_camera() {
        use crate::camera::{ControlValue, PixelFormat};
        let page = include_str!("../../docs/ref/config.md");
        let (_, rest) = page.split_once("## A live camera").unwrap();
        let (_, rest) = rest.split_once("```toml").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let shown: StationConfig = toml::from_str(&text.replace("# input", "input")).unwrap();
        assert!(shown.source.is_live());
        let Source::V4l2(spec) = &shown.source else {
            panic!()
        };
        let written = toml::to_string(spec).unwrap();
        let keys = written.lines().filter_map(|line| line.split_once(" = "));
        for (key, _) in keys {
            assert!(text.contains(&format!("{key} = ")), "{key}");
        }
        assert_eq!(spec.controls["ExposureTime"], ControlValue::Integer(200));
        let least = "kind = 'v4l2'\ndevice = 'd'\nwidth_px = 1\nlines_per_block = 1\nline_rate_hz = 1.0\ncounts_per_line = 1";
        let Source::V4l2(defaults) = toml::from_str(least).unwrap() else {
            panic!()
        };
        assert_eq!(
            (spec.format, spec.buffers, spec.timeout_ms),
            (defaults.format, defaults.buffers, defaults.timeout_ms)
        );
        assert_eq!(defaults.format, PixelFormat::Grey);
        let config = StationConfig {
            source: shown.source,
            ..StationConfig::default()
        };
        let text = config.to_toml().unwrap();
        assert_eq!(toml::from_str::<StationConfig>(&text).unwrap(), config);
        assert!(toml::from_str::<Source>(&format!("{least}\ngain = 1")).is_err());
    }

    #[test]
    fn keys_have_units_and_unknown_ones_are_refused() {
        let config: StationConfig = toml::from_str(
            r#"
            name = "slitter 3"
            [source]
            kind = "strips"
            folder = "strips"
            [belt]
            line_rate_hz = 1500.0
            moves = [{ do = "stop", before_line = 10, stop_ms = 5 }]
            [reject]
            distance_counts = 30000
            [pace]
            kind = "simulated"
            tile_us = 90000
            "#,
        )
        .unwrap();
        assert_eq!(config.reject.distance_counts, 30_000);
        assert_eq!(
            config.belt.moves,
            [Move::Stop {
                before_line: 10,
                stop_ms: 5
            }]
        );
        assert!(matches!(
            config.source,
            Source::Strips {
                lines_per_block: 64,
                ..
            }
        ));
        for text in [
            "speed = 1",
            "[belt]\nline_rate = 1.0",
            "[source]\nkind = \"synthetic\"\nfolder = \"x\"",
            "[pace]\nkind = \"simulated\"\nlatency = 1",
            "[reject]\ndistance_counts = -1",
        ] {
            assert!(toml::from_str::<StationConfig>(text).is_err(), "{text}");
        }
    }
}
