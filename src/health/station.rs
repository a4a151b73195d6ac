//! What a station's configuration depends on.

use super::released::{MODULES, released_row};
use super::{Row, machine_rows, own_watchdog_row, red_error, thermal_row, watchdog_row};
use crate::board::Board;
use crate::evidence::is_disk_at_its_end;
use crate::light::{FlatFieldFile, LightError};
use crate::model::{Bundle, ModelError};
use crate::pins::{LineConfig, SeenLine, find_line, seen_lines};
use crate::station::{LimitsOrigin, Source, StationConfig, check_settings};
use crate::text::printable;
use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const THERMAL: &str = "/sys/class/thermal";

/// Every dependency of the station that `config` describes. `bundle` is the outcome of reading it.
pub fn station_rows(config: &StationConfig, bundle: Result<&Bundle, &ModelError>) -> Vec<Row> {
    let mut rows = vec![model_row(bundle), ledger_row(config)];
    rows.extend(bundle.ok().map(|bundle| settings_row(config, bundle)));
    rows.push(source_row(&config.source));
    rows.extend(light_row(config));
    rows.extend(bundle.ok().map(|bundle| limits_row(config, bundle)));
    rows.extend(pin_rows(
        config,
        seen_lines().unwrap_or_default().as_slice(),
    ));
    rows.push(evidence_row(config));
    rows.extend(machine_rows(&config.realtime));
    rows.extend(config.supervision.watchdog.as_deref().map(own_watchdog_row));
    let board =
        Board::here().map_or_else(|| Board::named("generic-pc").ok(), |(_, board)| Some(board));
    rows.extend(board.iter().flat_map(supply_rows));
    rows
}

/// Whether this machine is the board that the file describes.
pub fn board_rows(board: &Board) -> Vec<Row> {
    let mut rows = Vec::new();
    let model = std::fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
    let model = model.trim_end_matches('\0');
    rows.push(
        if board.models.iter().any(|known| model.starts_with(known)) {
            Row::green("model", model)
        } else if board.models.is_empty() {
            Row::green("model", "any")
        } else {
            Row::red(
                "model",
                if model.is_empty() {
                    "no device tree"
                } else {
                    model
                },
                "run 'blemish board list' and choose this machine's board",
            )
        },
    );
    let seen = seen_lines().unwrap_or_default();
    if let Some(gpio) = &board.gpio {
        for (role, pin) in gpio.wiring.pins() {
            let item = format!("pin {pin}, {role}");
            rows.push(match gpio.line(pin) {
                Some(line) => line_row(item, &line, &seen),
                None => Row::red(item, "not on the header", "mend the board's file"),
            });
        }
    }
    rows.extend(supply_rows(board));
    rows
}

fn supply_rows(board: &Board) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(board.watchdog.as_deref().map(watchdog_row));
    rows.push(thermal_row(
        Path::new(THERMAL),
        Some(&board.thermal_zone),
        board.throttles_above_c,
    ));
    rows
}

fn model_row(bundle: Result<&Bundle, &ModelError>) -> Row {
    match bundle {
        Ok(bundle) => Row::green(
            "model",
            format!(
                "{} {}, golden map within {:.1e}",
                printable(&bundle.metadata().name),
                &bundle.sha256()[..12.min(bundle.sha256().len())],
                bundle.parity()
            ),
        ),
        Err(error) => red_error("model", error),
    }
}

fn ledger_row(config: &StationConfig) -> Row {
    let reject = &config.reject;
    match reject.validate(crate::station::SPANS) {
        Ok(()) => Row::green(
            "ledger",
            format!(
                "{} counts to the ejector, {} needed",
                reject.distance_counts,
                reject.needed_distance_counts()
            ),
        ),
        Err(error) => red_error("ledger", &error),
    }
}

/// Whether the settings fit each other and the bundle.
fn settings_row(config: &StationConfig, bundle: &Bundle) -> Row {
    match check_settings(config, bundle.metadata()) {
        Ok(()) => Row::green("settings", "fit together"),
        Err(error) => red_error("settings", &error),
    }
}

/// The flat field. `None` for pictures that need none.
fn light_row(config: &StationConfig) -> Option<Row> {
    const ITEM: &str = "light";
    let Some(path) = &config.light.flat_field else {
        let is_camera = matches!(config.source, Source::V4l2(_));
        return is_camera.then(|| {
            Row::amber(
                ITEM,
                "the camera's columns are taken as they answer",
                "set light.flat_field and run 'blemish calibrate dark' and 'blemish calibrate white'",
            )
        });
    };
    Some(match FlatFieldFile::read(path) {
        Err(error) => red_error(ITEM, &error),
        Ok(FlatFieldFile { white: None, .. }) => {
            red_error(ITEM, &LightError::NoWhite { path: path.clone() })
        }
        Ok(FlatFieldFile {
            width_px,
            white: Some(white),
            ..
        }) => Row::green(
            ITEM,
            format!("flat field of {width_px} px, white at {:.0}", white.level),
        ),
    })
}

/// Outside of what light lines are not inspected, and who says so.
fn limits_row(config: &StationConfig, bundle: &Bundle) -> Row {
    const ITEM: &str = "light limits";
    let (limits, origin) = config.light.limits_with(bundle.metadata().light);
    let Some(limits) = limits else {
        return Row::amber(
            ITEM,
            "off: web in the dark is called ok if the model says so",
            "remove light.limits, or give it numbers",
        );
    };
    match origin {
        LimitsOrigin::Setting => Row::green(ITEM, format!("{limits}, by light.limits")),
        LimitsOrigin::Bundle => Row::green(ITEM, format!("{limits}, by the bundle")),
        LimitsOrigin::Floor => Row::amber(
            ITEM,
            format!(
                "{limits}: the bundle says nothing of its light, and a web that only dims is inspected"
            ),
            "run 'blemish-train threshold' with good pictures of this station, or set light.limits",
        ),
    }
}

fn source_row(source: &Source) -> Row {
    match source {
        Source::Synthetic { .. } => Row::green("source", "the built-in web"),
        Source::Strips { folder, .. } if folder.is_dir() => {
            Row::green("source", format!("pictures in '{}'", folder.display()))
        }
        Source::Strips { folder, .. } => Row::red(
            "source",
            format!("'{}' is no folder", folder.display()),
            "set source.folder to the folder of the strips",
        ),
        Source::V4l2(spec) => {
            let device = spec.device.display();
            if let Err(error) = spec.check() {
                return red_error("source", &error);
            }
            match File::options().read(true).write(true).open(&spec.device) {
                Ok(_) => Row::green(
                    "source",
                    format!(
                        "camera {device}, {} px wide, {}",
                        spec.width_px, spec.format
                    ),
                ),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Row::red(
                    "source",
                    format!("source.device '{device}': {error}"),
                    "put the service's user into the group 'video'",
                ),
                Err(error) => Row::red(
                    "source",
                    format!("source.device '{device}': {error}"),
                    "check the camera's cable and power, and look for its node below /dev/v4l/by-path",
                ),
            }
        }
    }
}

fn pin_rows(config: &StationConfig, seen: &[SeenLine]) -> Vec<Row> {
    let pins = &config.pins;
    if let Err(why) = pins.validate() {
        return vec![red_error("pins", &why)];
    }
    let mut rows = Vec::new();
    if pins.reject.is_none() {
        rows.push(Row::amber(
            "pins",
            "none: outputs are only recorded",
            "name the lines in [pins]; 'blemish board show' lists the header's",
        ));
    }
    let lines = pins.lines().into_iter();
    rows.extend(lines.map(|(role, line)| line_row(format!("line {role}"), &line, seen)));
    for (output, line) in pins.outputs().map(|(output, line)| (output, line.at())) {
        let label = find_line(seen, "check", &line).map_or("", |line| line.label.as_str());
        rows.extend(released_row(output.word(), label, Path::new(MODULES)));
    }
    rows
}

fn line_row(item: String, wanted: &LineConfig, seen: &[SeenLine]) -> Row {
    match find_line(seen, "check", wanted) {
        Ok(line) => {
            let place = format!("{wanted} is {} ({}) {}", line.chip, line.label, line.offset);
            match line.holder.as_deref() {
                None => Row::green(item, format!("{place}, free")),
                Some("blemish") => Row::amber(
                    item,
                    format!("{place}, held by a running station"),
                    "stop that station before another is started",
                ),
                Some(holder) => Row::red(
                    item,
                    format!("{place}, held by \"{holder}\""),
                    "end that program, or choose another line",
                ),
            }
        }
        Err(error) => red_error(item, &error),
    }
}

fn evidence_row(config: &StationConfig) -> Row {
    const ITEM: &str = "evidence";
    let evidence = &config.evidence;
    let Some(folder) = &evidence.folder else {
        return Row::amber(ITEM, "not kept", "set evidence.folder");
    };
    let probe = folder.join(".writable");
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, b"1"));
    if let Err(error) = written {
        let what = format!("'{}' cannot be written: {error}", folder.display());
        // A line must not stand still for it.
        if is_disk_at_its_end(&error) {
            return Row::amber(
                ITEM,
                what,
                "make room; until then no journal and no pictures are kept",
            );
        }
        return Row::red(
            ITEM,
            what,
            "give the service's user a folder that it may write and that has room",
        );
    }
    let _ = std::fs::remove_file(&probe);
    let wanted = evidence.journal.max_total_bytes + evidence.pictures_max_bytes;
    match free_bytes(folder) {
        Some(free) if free < wanted => Row::amber(
            ITEM,
            format!("{} MB free, up to {} MB wanted", free >> 20, wanted >> 20),
            "make room, or lower evidence.pictures_max_bytes",
        ),
        Some(free) => Row::green(ITEM, format!("{} MB free", free >> 20)),
        None => Row::amber(ITEM, "free space unknown", "look at it by hand"),
    }
}

/// Bytes that an ordinary user may still write there.
fn free_bytes(folder: &Path) -> Option<u64> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: all-zero is a valid statvfs, a struct of integers.
    let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends with a zero byte and `about` is a place for one statvfs.
    let failed = unsafe { libc::statvfs(path.as_ptr(), &raw mut about) };
    #[allow(clippy::unnecessary_cast, reason = "32 bits on 32-bit targets")]
    (failed == 0).then(|| about.f_bavail as u64 * about.f_frsize as u64)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use crate::pins::{OutputConfig, PinsConfig};

    fn line(name: &str, holder: Option<&str>) -> SeenLine {
        SeenLine {
            chip: "gpiochip0".to_owned(),
            label: "sim".to_owned(),
            offset: 3,
            name: name.to_owned(),
            holder: holder.map(str::to_owned),
            is_output: false,
        }
    }

    #[test]
    fn a_line_is_green_only_if_it_is_there_and_free() {
        let reject = OutputConfig {
            line: Some("REJECT".to_owned()),
            ..OutputConfig::default()
        };
        let config = StationConfig {
            pins: PinsConfig {
                reject: Some(reject),
                ..PinsConfig::default()
            },
            ..StationConfig::default()
        };
        let status = |seen: &[SeenLine]| pin_rows(&config, seen)[0].status;
        assert_eq!(status(&[line("REJECT", None)]), Status::Green);
        assert_eq!(status(&[line("REJECT", Some("blemish"))]), Status::Amber);
        assert_eq!(status(&[line("REJECT", Some("gpioset"))]), Status::Red);
        assert_eq!(status(&[line("OTHER", None)]), Status::Red);
        let rows = pin_rows(&StationConfig::default(), &[]);
        assert_eq!((rows.len(), rows[0].status), (1, Status::Amber));
    }
}
