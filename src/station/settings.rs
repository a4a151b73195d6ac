//! Whether settings fit together and can work, before anything is opened: what `blemish check` shows is what
//! `blemish run` refuses.

use super::{LightConfig, LimitsSetting, LineCounts, Pace, Source, StationConfig, StationError};
#[cfg(target_os = "linux")]
use crate::camera::V4l2Spec;
use crate::camera::{BeltSpec, FaultRates, LineFormat};
use crate::model::{Metadata, Preparation};
use crate::pins::EncoderConfig;
use crate::reject::RejectConfig;
use crate::web::WebConfig;

/// Tiles under way at once where the configuration does not say.
const TILES_IN_FLIGHT: u32 = 8;

/// Workers, threads of each, and tiles under way: more is a slip of the pen, and each takes memory.
const MOST_WORKERS: u32 = 256;

/// Height of a block, as of a camera's frame.
const MOST_LINES_PER_BLOCK: u32 = 65_536;

/// Narrowest and widest line of the built-in web.
const SYNTHETIC_WIDTH_PX: std::ops::RangeInclusive<u32> = 32..=65_536;

fn contradiction<T>(text: String) -> Result<T, StationError> {
    Err(StationError::Contradiction(text))
}

/// Checks all settings that need nothing opened.
///
/// # Errors
/// The first that cannot work, with what to do.
pub fn check_settings(config: &StationConfig, metadata: &Metadata) -> Result<(), StationError> {
    if config.source.is_live() && config.pace != Pace::Real {
        return contradiction(
            "a live camera cannot run in simulated time; set pace kind = \"real\" or give --real-time"
                .to_owned(),
        );
    }
    if config.source.is_live() && config.belt != BeltSpec::default() {
        return contradiction(
            "[belt] says how a web runs that no camera sees, and this one is live; remove it, and set source.line_rate_hz and source.counts_per_line"
                .to_owned(),
        );
    }
    check_engine(config)?;
    check_source(config)?;
    check_light(&config.light)?;
    if metadata.flat_field && config.light.flat_field.is_none() && config.source.is_live() {
        return contradiction(
            "the bundle was trained on flat-field corrected lines, and this camera's are not; set light.flat_field, which 'blemish calibrate' writes, or use a bundle of uncorrected pictures"
                .to_owned(),
        );
    }
    check_pins(config)?;
    check_way(config, metadata)?;
    if let Some(format) = known_format(config) {
        if metadata.grey && format.channels != 1 && config.source.is_live() {
            return contradiction(
                "the bundle was trained on grey pictures, and this camera's are in colour; set source.format to a grey one, or YUYV or NV12, of which the luma is taken, or use a bundle of colour pictures"
                    .to_owned(),
            );
        }
        web_config(config, format, metadata)?;
    }
    Ok(())
}

/// How lines will look, where that needs no file.
fn known_format(config: &StationConfig) -> Option<LineFormat> {
    match &config.source {
        Source::Synthetic {
            width_px,
            lines_per_block,
            ..
        } => Some(LineFormat {
            width_px: *width_px,
            channels: 1,
            sixteen_bit: false,
            lines_per_block: (*lines_per_block).max(1),
        }),
        Source::Strips { .. } => None,
        #[cfg(target_os = "linux")]
        Source::V4l2(spec) => Some(spec.format.line_format(spec.width_px, spec.lines_per_block)),
    }
}

fn check_engine(config: &StationConfig) -> Result<(), StationError> {
    let engine = config.engine;
    for (key, value) in [
        ("workers", engine.workers),
        ("threads_per_tile", engine.threads_per_tile),
        ("tiles_in_flight", engine.tiles_in_flight),
    ] {
        if value > MOST_WORKERS {
            return contradiction(format!(
                "engine.{key} = {value} is more than any station has; give at most {MOST_WORKERS}, or 0 to have it chosen"
            ));
        }
    }
    Ok(())
}

fn check_source(config: &StationConfig) -> Result<(), StationError> {
    let blocks = match &config.source {
        Source::Synthetic {
            width_px,
            lines_per_block,
            defect_spacing_lines,
            ..
        } => {
            if !SYNTHETIC_WIDTH_PX.contains(width_px) {
                return contradiction(format!(
                    "source.width_px = {width_px}; the built-in web is {} to {} px wide",
                    SYNTHETIC_WIDTH_PX.start(),
                    SYNTHETIC_WIDTH_PX.end()
                ));
            }
            if (1..crate::camera::LEAST_DEFECT_SPACING_LINES).contains(defect_spacing_lines) {
                return contradiction(format!(
                    "source.defect_spacing_lines = {defect_spacing_lines}; give at least {}, or 0 for no defects",
                    crate::camera::LEAST_DEFECT_SPACING_LINES
                ));
            }
            *lines_per_block
        }
        Source::Strips {
            lines_per_block, ..
        } => *lines_per_block,
        #[cfg(target_os = "linux")]
        Source::V4l2(spec) => {
            spec.check().map_err(crate::camera::CameraError::from)?;
            spec.lines_per_block
        }
    };
    if !(1..=MOST_LINES_PER_BLOCK).contains(&blocks) {
        return contradiction(format!(
            "source.lines_per_block = {blocks}; give 1 to {MOST_LINES_PER_BLOCK}"
        ));
    }
    check_faults(&config.faults)
}

fn check_faults(faults: &FaultRates) -> Result<(), StationError> {
    let rates = [
        ("dropped", faults.dropped),
        ("error_flag", faults.error_flag),
        ("short", faults.short),
        ("stale", faults.stale),
        ("lost", faults.lost),
    ];
    for (key, rate) in rates {
        if !(0.0..=1.0).contains(&rate) {
            return contradiction(format!(
                "faults.{key} = {rate} is no share of the blocks; give 0 to 1"
            ));
        }
    }
    let sum: f64 = rates.iter().map(|(_, rate)| rate).sum();
    if sum > 1.0 {
        return contradiction(format!(
            "the shares of [faults] add up to {sum}; a block has one fault, so give 1 at most in all"
        ));
    }
    Ok(())
}

fn check_light(light: &LightConfig) -> Result<(), StationError> {
    if let Some(LimitsSetting::Limits(limits)) = light.limits
        && let Err(why) = limits.check()
    {
        return contradiction(format!(
            "light.limits {why}; mend them, or leave them out for the bundle's"
        ));
    }
    if light.flat_field.is_none() {
        if light.reject_drift_percent > 0 {
            return contradiction(
                "light.reject_drift_percent needs a calibrated camera; set light.flat_field, which 'blemish calibrate' writes"
                    .to_owned(),
            );
        }
        return Ok(());
    }
    // A black picture is 100 % off: a limit there would let darkness pass.
    if light.reject_drift_percent > 99 {
        return contradiction(format!(
            "light.reject_drift_percent = {} lets darkness pass; give 1 to 99, or 0 for none",
            light.reject_drift_percent
        ));
    }
    // Without columns that see the reference, the run's own start is the measure, in the dark as well.
    if light.reject_drift_percent > 0 && light.reference_columns.is_none() {
        return contradiction(
            "light.reject_drift_percent needs columns that always see the white reference; set light.reference_columns"
                .to_owned(),
        );
    }
    Ok(())
}

/// Pins, and whether the ledger allows what encoder, belt and camera do.
fn check_pins(config: &StationConfig) -> Result<(), StationError> {
    let pins = &config.pins;
    pins.validate().map_err(StationError::Contradiction)?;
    if (pins.reject.is_some() || pins.encoder.is_some()) && config.pace != Pace::Real {
        return contradiction(
            "[pins] are real, but the time is simulated; set pace kind = \"real\" or give --real-time"
                .to_owned(),
        );
    }
    if let Some(EncoderConfig::ByTime { counts_per_s }) = &pins.encoder {
        check_by_time(*counts_per_s, &config.reject)?;
    }
    match (&pins.encoder, &config.source) {
        #[cfg(target_os = "linux")]
        (None, Source::V4l2(spec)) => check_camera_as_encoder(spec, &config.reject),
        #[cfg(target_os = "linux")]
        (Some(_), Source::V4l2(spec)) => check_live_lines(spec, config),
        (None, _) => check_belt(config),
        (Some(_), _) => Ok(()),
    }
}

/// Whether a good line can have its verdict before it is at the ejector: not before its tile is full, which is way
/// of the web whatever its speed. `reject.latency_us` has that way in it where it is long enough for it.
fn check_way(config: &StationConfig, metadata: &Metadata) -> Result<(), StationError> {
    let reject = &config.reject;
    let (block_lines, counts_per_line) = match &config.source {
        Source::Synthetic {
            lines_per_block, ..
        }
        | Source::Strips {
            lines_per_block, ..
        } => (*lines_per_block, config.belt.counts_per_line),
        #[cfg(target_os = "linux")]
        Source::V4l2(spec) => (spec.lines_per_block, spec.counts_per_line),
    };
    let tile_lines = metadata.tile.height_px;
    let window_lines = metadata.score.window_px.reach_px() as u64;
    let lines = u64::from(tile_lines) + window_lines + u64::from(block_lines);
    let way_counts = lines.saturating_mul(u64::from(counts_per_line));
    let latency_counts =
        u64::from(reject.max_speed_counts_per_s) * u64::from(reject.latency_us) / 1_000_000;
    let needed_counts = way_counts.saturating_add(reject.needed_distance_counts());
    if latency_counts >= way_counts || u64::from(reject.distance_counts) >= needed_counts {
        return Ok(());
    }
    contradiction(format!(
        "reject.distance_counts {} is below the {needed_counts} counts the web needs between camera and ejector: {way_counts} for the {lines} lines that pass before a line can have its verdict (a tile of {tile_lines}, a block of {block_lines}, {window_lines} of the score's window), which reject.latency_us {} is too short for, and {} for the engine, a span and margins; move the ejector away from the camera, or lower source.lines_per_block",
        reject.distance_counts,
        reject.latency_us,
        reject.needed_distance_counts()
    ))
}

fn check_by_time(counts_per_s: f64, reject: &RejectConfig) -> Result<(), StationError> {
    let most = f64::from(reject.max_speed_counts_per_s);
    match counts_per_s <= most {
        true => Ok(()),
        false => contradiction(format!(
            "pins.encoder.counts_per_s is {counts_per_s}, but reject.max_speed_counts_per_s is {most}; raise it, or mend the speed"
        )),
    }
}

/// Where the web is by the camera's own lines: known to within the ledger's margin, which must be two
/// blocks at least.
#[cfg(target_os = "linux")]
fn check_camera_as_encoder(spec: &V4l2Spec, reject: &RejectConfig) -> Result<(), StationError> {
    check_travel("source", spec.counts_per_line, spec.line_rate_hz, reject)?;
    let least_counts = 2 * u64::from(spec.lines_per_block) * u64::from(spec.counts_per_line);
    if u64::from(reject.margin_counts) < least_counts {
        return contradiction(format!(
            "without an encoder the web's place is known to within two blocks, {least_counts} counts, but reject.margin_counts is {}; raise it, lower source.lines_per_block, or wire an encoder",
            reject.margin_counts
        ));
    }
    Ok(())
}

/// Sizes and rules of the inspection of `format` by the bundle that says `metadata`.
///
/// # Errors
/// Where the bundle is not for a line.
pub fn web_config(
    config: &StationConfig,
    format: LineFormat,
    metadata: &Metadata,
) -> Result<WebConfig, StationError> {
    let Preparation::Native { overlap_px } = metadata.preparation else {
        return Err(StationError::ResizedBundle);
    };
    let rolling_lines = match config.web.rolling_lines {
        0 => 4 * metadata.tile.height_px + 4 * format.lines_per_block,
        lines => lines,
    };
    let threshold = &metadata.threshold;
    let web = WebConfig {
        width_px: format.width_px,
        columns: config.web.columns,
        channels: format.channels as usize,
        sixteen_bit: format.sixteen_bit,
        tile: metadata.tile,
        overlap_px,
        color_order: metadata.color_order,
        window: metadata.score.window_px,
        threshold: config.model.threshold.unwrap_or(threshold.score),
        min_area_px: config.model.min_area_px.unwrap_or(threshold.min_area_px),
        span_lines: config.reject.span_lines,
        max_region_lines: config.web.max_region_lines,
        rolling_lines,
        tiles_in_flight: match config.engine.tiles_in_flight {
            0 => TILES_IN_FLIGHT,
            tiles => tiles,
        },
        min_segment_lines: config.web.min_segment_lines,
        keep_reconstruction: false,
    };
    check_rolling(&web, config)?;
    // Before anything is armed: a station that does not start must not be reset by its watchdog.
    web.check()?;
    Ok(web)
}

/// Minutes of any web fit in; more is a slip of the pen.
const MOST_ROLLING_MEBIBYTES: u64 = 1024;

fn check_rolling(web: &WebConfig, config: &StationConfig) -> Result<(), StationError> {
    let sample_bytes = if web.sixteen_bit { 2 } else { 1 };
    let line_bytes = u64::from(web.width_px) * web.channels as u64 * sample_bytes;
    let mebibytes = u64::from(web.rolling_lines).saturating_mul(line_bytes) >> 20;
    if mebibytes <= MOST_ROLLING_MEBIBYTES {
        return Ok(());
    }
    let mend = match config.web.rolling_lines {
        0 => "lower source.lines_per_block",
        _ => "set web.rolling_lines lower, or to 0 to have it chosen",
    };
    contradiction(format!(
        "the rolling image of {} lines would take {mebibytes} MiB; {mend}",
        web.rolling_lines
    ))
}

/// Where the counts of lines come from, by what is wired.
pub(super) fn line_counts(config: &StationConfig) -> LineCounts {
    match (&config.pins.encoder, &config.source) {
        (None, _) => LineCounts::Camera,
        #[cfg(target_os = "linux")]
        (Some(EncoderConfig::Gpio { .. }), Source::V4l2(spec)) if spec.is_triggered() => {
            LineCounts::Triggered
        }
        (Some(_), _) => LineCounts::Encoder,
    }
}

/// Whether the ledger allows what a live camera's lines do under an encoder of their own.
#[cfg(target_os = "linux")]
fn check_live_lines(spec: &V4l2Spec, config: &StationConfig) -> Result<(), StationError> {
    let reject = &config.reject;
    check_travel("source", spec.counts_per_line, spec.line_rate_hz, reject)?;
    if matches!(config.pins.encoder, Some(EncoderConfig::ByTime { .. })) {
        // Where a line falls between two counts decides whether a step has one more.
        let least = spec.counts_per_line.saturating_add(1);
        return match reject.max_counts_per_line < least {
            false => Ok(()),
            true => contradiction(format!(
                "reject.max_counts_per_line is {}, but lines are placed by their time, where a step of {} counts may have one more; give {least} or more",
                reject.max_counts_per_line, spec.counts_per_line
            )),
        };
    }
    // Counts looked up by time step by one more or less, and by more on a belt that speeds up.
    let least = spec.counts_per_line.saturating_mul(2);
    if line_counts(config) == LineCounts::Encoder && reject.max_counts_per_line < least {
        return contradiction(format!(
            "reject.max_counts_per_line is {}, but this camera's lines are placed by their time, where a step of {} counts varies; give {least} or more, or let the encoder trigger the camera (source.timeout_ms = 0)",
            reject.max_counts_per_line, spec.counts_per_line
        ));
    }
    Ok(())
}

/// The belt must not be faster, nor its lines farther apart, than the ledger is told.
fn check_belt(config: &StationConfig) -> Result<(), StationError> {
    check_travel(
        "belt",
        config.belt.counts_per_line,
        config.belt.fastest_line_rate_hz(),
        &config.reject,
    )
}

fn check_travel(
    table: &str,
    counts_per_line: u32,
    fastest_line_rate_hz: f64,
    reject: &RejectConfig,
) -> Result<(), StationError> {
    if counts_per_line > reject.max_counts_per_line {
        return contradiction(format!(
            "{table}.counts_per_line {counts_per_line} is above reject.max_counts_per_line {}; set them to the encoder's steps per line",
            reject.max_counts_per_line
        ));
    }
    let fastest = fastest_line_rate_hz * f64::from(counts_per_line);
    if fastest > f64::from(reject.max_speed_counts_per_s) {
        return contradiction(format!(
            "the belt runs at up to {fastest} counts/s, but reject.max_speed_counts_per_s is {}; raise it or slow the belt",
            reject.max_speed_counts_per_s
        ));
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::model::Bundle;

    /// What is said of a live camera under a GPIO encoder with these settings on top.
    fn judged(timeout_ms: u32, max_counts_per_line: u32, encoder: &str) -> Result<(), String> {
        let toml = format!(
            "[source]\nkind = 'v4l2'\ndevice = 'd'\nwidth_px = 512\nlines_per_block = 64\n\
             line_rate_hz = 3840.0\ncounts_per_line = 2\ntimeout_ms = {timeout_ms}\n\
             [pace]\nkind = 'real'\n[reject]\ndistance_counts = 30000\n\
             max_counts_per_line = {max_counts_per_line}\n[pins.encoder]\n{encoder}"
        );
        let config: StationConfig = toml::from_str(&toml).unwrap();
        let bundle = Bundle::embedded().unwrap();
        check_settings(&config, bundle.metadata()).map_err(|error| error.to_string())
    }

    const GPIO: &str = "kind = 'gpio'\na = { line = 'A' }\nb = { line = 'B' }";
    const BY_TIME: &str = "kind = 'by_time'\ncounts_per_s = 5000.0";

    #[test]
    fn a_step_may_vary_where_lines_are_placed_by_time_and_not_where_they_are_triggered() {
        assert_eq!(judged(0, 2, GPIO), Ok(()));
        let free = judged(500, 3, GPIO).unwrap_err();
        assert!(free.contains("give 4 or more"), "{free}");
        assert_eq!(judged(500, 4, GPIO), Ok(()));
        let by_time = judged(0, 2, BY_TIME).unwrap_err();
        assert!(by_time.contains("give 3 or more"), "{by_time}");
        assert_eq!(judged(0, 3, BY_TIME), Ok(()));
    }

    #[test]
    fn a_distance_in_which_no_tile_can_be_filled_is_refused() {
        let bundle = Bundle::embedded().unwrap();
        let tile_lines = bundle.metadata().tile.height_px;
        let window_lines = bundle.metadata().score.window_px.reach_px() as u32;
        let judged = |latency_us, distance_counts| {
            let mut config = StationConfig::default();
            config.reject.latency_us = latency_us;
            config.reject.span_lines = 32;
            config.reject.distance_counts = distance_counts;
            assert_eq!(config.reject.validate(512), Ok(()));
            let judged = check_settings(&config, bundle.metadata());
            judged.map_err(|error| error.to_string())
        };
        // 4 counts a line, blocks of 64 lines; 20 ms, lead and looks at 10 000 counts/s, a span and two margins.
        let way = 4 * (tile_lines + 64 + window_lines);
        let needed = way + 320 + 128 + 80;
        assert_eq!(judged(20_000, needed), Ok(()));
        let error = judged(20_000, needed - 1).unwrap_err();
        let told = format!(
            "distance_counts {} is below the {needed} counts the web needs between camera and ejector: {way} for the {} lines",
            needed - 1,
            tile_lines + 64 + window_lines
        );
        assert!(error.contains(&told), "{error}");
        // Measured from a line's exposure to its verdict, the latency has the way in it.
        let latency_us = 100 * way;
        assert_eq!(judged(latency_us, way + 120 + 128 + 80), Ok(()));
    }

    #[test]
    fn a_bundle_of_corrected_lines_is_for_a_corrected_camera() {
        let mut metadata = Bundle::embedded().unwrap().metadata().clone();
        metadata.flat_field = true;
        let mut config = StationConfig::default();
        assert!(check_settings(&config, &metadata).is_ok(), "no camera");
        let spec = "device = 'd'\nwidth_px = 512\nlines_per_block = 8\nline_rate_hz = 2000.0\ncounts_per_line = 2";
        config.source = Source::V4l2(toml::from_str(spec).unwrap());
        config.pace = Pace::Real;
        let error = check_settings(&config, &metadata).unwrap_err().to_string();
        assert!(error.contains("set light.flat_field"), "{error}");
        config.light.flat_field = Some("flat.json".into());
        let error = check_settings(&config, &metadata).err();
        let error = error.map_or(String::new(), |error| error.to_string());
        assert!(!error.contains("light.flat_field"), "{error}");
        metadata.flat_field = false;
        let error = check_settings(&config, &metadata).err();
        let error = error.map_or(String::new(), |error| error.to_string());
        assert!(!error.contains("flat"), "correcting is no harm: {error}");
    }
    #[test]
    fn a_bundle_of_grey_pictures_is_not_for_a_camera_in_colour() {
        let mut metadata = Bundle::embedded().unwrap().metadata().clone();
        let said = |format: &str, metadata: &Metadata| {
            let spec = format!(
                "device = 'd'\nwidth_px = 512\nlines_per_block = 8\nline_rate_hz = 2000.0\n\
                 counts_per_line = 2\nformat = '{format}'"
            );
            let config = StationConfig {
                source: Source::V4l2(toml::from_str(&spec).unwrap()),
                pace: Pace::Real,
                ..StationConfig::default()
            };
            let error = check_settings(&config, metadata).err();
            error.map_or(String::new(), |error| error.to_string())
        };
        metadata.grey = true;
        let error = said("RGB3", &metadata);
        assert!(error.contains("set source.format to a grey one"), "{error}");
        for luma in ["GREY", "YUYV"] {
            let error = said(luma, &metadata);
            assert!(!error.contains("source.format"), "{error}");
        }
        metadata.grey = false;
        for any in ["RGB3", "GREY"] {
            let error = said(any, &metadata);
            assert!(!error.contains("source.format"), "{error}");
        }
    }
}
