//! Lines by name.

use super::super::{LineConfig, PinError};
use gpiocdev::line::Direction;
use gpiocdev::{Chip, FoundLine};
use serde::Serialize;
use std::path::Path;

/// A line of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenLine {
    /// `gpiochip0`.
    pub chip: String,
    /// The driver's name for the chip.
    pub label: String,
    pub offset: u32,
    /// Empty where the line has none.
    pub name: String,
    /// Who holds it, as that program calls itself; `None` where the line is free.
    pub holder: Option<String>,
    pub is_output: bool,
}

/// All lines of all chips that may be opened.
///
/// # Errors
/// Where `/dev` cannot be read.
pub fn seen_lines() -> Result<Vec<SeenLine>, gpiocdev::Error> {
    let mut seen = Vec::new();
    for path in gpiocdev::chip::chips()? {
        let Ok(chip) = Chip::from_path(&path) else {
            continue;
        };
        let Ok(about) = chip.info() else {
            continue;
        };
        for offset in 0..about.num_lines {
            if let Ok(info) = chip.line_info(offset) {
                seen.push(SeenLine {
                    chip: about.name.clone(),
                    label: about.label.clone(),
                    offset,
                    name: info.name,
                    holder: info.used.then_some(info.consumer),
                    is_output: info.direction == Direction::Output,
                });
            }
        }
    }
    Ok(seen)
}

/// The one line among `seen` that `wanted` means.
///
/// # Errors
/// Where there is none, or more than one has the name.
pub fn find_line<'a>(
    seen: &'a [SeenLine],
    role: &'static str,
    wanted: &LineConfig,
) -> Result<&'a SeenLine, PinError> {
    let refuse = |reason: String, remedy: &str| PinError::Line {
        role,
        line: wanted.to_string(),
        reason,
        remedy: remedy.to_owned(),
    };
    let is_chip = |line: &SeenLine| {
        wanted.chip.as_ref().is_none_or(|chip| {
            *chip == line.chip
                || *chip == line.label
                || Path::new("/dev").join(&line.chip) == Path::new(chip)
        })
    };
    let found: Vec<&SeenLine> = seen
        .iter()
        .filter(|line| is_chip(line))
        .filter(|line| match (&wanted.line, wanted.offset) {
            (Some(name), _) => line.name == *name,
            (None, offset) => Some(line.offset) == offset,
        })
        .collect();
    match found[..] {
        [line] => Ok(line),
        [] if seen.is_empty() => Err(refuse(
            "no GPIO chip can be opened".to_owned(),
            "check that /dev/gpiochip0 exists and that this user is in its group",
        )),
        [] => Err(refuse(
            format!("not found among {} lines", seen.len()),
            "run 'blemish board lines' to list them",
        )),
        [first, second, ..] => Err(refuse(
            format!("{} and {} both have it", place(first), place(second)),
            "give the chip as well, by its label",
        )),
    }
}

/// The line as `gpiocdev` wants it, and how messages name it.
pub(super) fn look_up(role: &'static str, wanted: &LineConfig) -> Result<FoundLine, PinError> {
    let seen = seen_lines().map_err(|error| PinError::Line {
        role,
        line: wanted.to_string(),
        reason: error.to_string(),
        remedy: "check that /dev/gpiochip0 exists and that this user is in its group".to_owned(),
    })?;
    let line = find_line(&seen, role, wanted)?;
    let mut found = FoundLine {
        chip: Path::new("/dev").join(&line.chip),
        ..FoundLine::default()
    };
    found.info.offset = line.offset;
    found.info.consumer = line.holder.clone().unwrap_or_default();
    Ok(found)
}

/// Why a request was refused, with the holder's name where there is one.
pub(super) fn refused(
    role: &'static str,
    wanted: &LineConfig,
    found: &FoundLine,
    error: &gpiocdev::Error,
) -> PinError {
    let (reason, remedy) = if found.info.consumer.is_empty() {
        (
            format!("refused by the kernel: {error}"),
            "run 'blemish check' to see who may use it",
        )
    } else {
        (
            format!("held by \"{}\"", found.info.consumer),
            "end that program, or choose another line",
        )
    };
    PinError::Line {
        role,
        line: wanted.to_string(),
        reason,
        remedy: remedy.to_owned(),
    }
}

fn place(line: &SeenLine) -> String {
    format!("{} ({}) {}", line.chip, line.label, line.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(chip: &str, label: &str, offset: u32, name: &str) -> SeenLine {
        SeenLine {
            chip: chip.to_owned(),
            label: label.to_owned(),
            offset,
            name: name.to_owned(),
            holder: None,
            is_output: false,
        }
    }

    fn named(name: &str, chip: Option<&str>) -> LineConfig {
        LineConfig {
            line: Some(name.to_owned()),
            chip: chip.map(str::to_owned),
            offset: None,
        }
    }

    #[test]
    fn a_name_is_found_once_or_refused() {
        let seen = [
            line("gpiochip0", "sim.0", 0, "REJECT"),
            line("gpiochip0", "sim.0", 1, ""),
            line("gpiochip1", "sim.1", 3, "TWICE"),
            line("gpiochip2", "sim.2", 3, "TWICE"),
        ];
        let find =
            |wanted: &LineConfig| find_line(&seen, "reject", wanted).map(|line| line.chip.as_str());
        assert_eq!(find(&named("REJECT", None)), Ok("gpiochip0"));
        assert_eq!(find(&named("TWICE", Some("sim.2"))), Ok("gpiochip2"));
        assert_eq!(find(&named("TWICE", Some("gpiochip1"))), Ok("gpiochip1"));
        assert_eq!(
            find(&named("TWICE", Some("/dev/gpiochip1"))),
            Ok("gpiochip1")
        );
        let offset = LineConfig {
            line: None,
            chip: Some("sim.1".to_owned()),
            offset: Some(3),
        };
        assert_eq!(find(&offset), Ok("gpiochip1"));
        let twice = find(&named("TWICE", None)).unwrap_err().to_string();
        assert_eq!(
            twice,
            "the line \"TWICE\" for reject: gpiochip1 (sim.1) 3 and gpiochip2 (sim.2) 3 both have it; give the chip as well, by its label"
        );
        let none = find(&named("EJECT", None)).unwrap_err().to_string();
        assert!(none.contains("not found among 4 lines; run"), "{none}");
        let empty = find_line(&[], "reject", &named("A", None)).unwrap_err();
        assert!(empty.to_string().contains("/dev/gpiochip0"));
    }
}
