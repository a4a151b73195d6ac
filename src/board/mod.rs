//! Boards that a station runs on: their pins by name, processors, watchdog and thermal zone.
//!
//! One TOML each in `boards/`, compiled in.

mod prediction;

pub use prediction::{ASSUMED_SHARE_OF_PEAK, Tiling};

use crate::pins::LineConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

const FILES: [(&str, &str); 6] = [
    (
        "raspberry-pi-4",
        include_str!("../../boards/raspberry-pi-4.toml"),
    ),
    (
        "raspberry-pi-5",
        include_str!("../../boards/raspberry-pi-5.toml"),
    ),
    ("zero-2-w", include_str!("../../boards/zero-2-w.toml")),
    (
        "jetson-orin-nano",
        include_str!("../../boards/jetson-orin-nano.toml"),
    ),
    ("jetson-nano", include_str!("../../boards/jetson-nano.toml")),
    ("generic-pc", include_str!("../../boards/generic-pc.toml")),
];

/// What is known of a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    pub name: String,
    /// Beginnings of `/proc/device-tree/model`.
    pub models: Vec<String>,
    /// Rust's target triple.
    pub target: String,
    /// Whether the processor has int8 dot products (`sdot`).
    pub int8_dot_product: bool,
    /// What its speed is predicted from; none where machines of this kind differ.
    pub processor: Option<Processor>,
    /// Threads for `engine.workers`; 0 for one per core.
    pub workers: u32,
    /// Processors for `realtime.worker_cpus`.
    pub worker_cpus: Vec<usize>,
    /// Processors for `realtime.line_cpus`.
    pub line_cpus: Vec<usize>,
    pub watchdog: Option<PathBuf>,
    /// `type` of the zone in `/sys/class/thermal` that slows the processor.
    pub thermal_zone: String,
    /// Degrees Celsius above which the board slows down.
    pub throttles_above_c: u32,
    pub notes: Vec<String>,
    pub gpio: Option<BoardGpio>,
}

/// Published figures of a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processor {
    /// Arm's name of the core.
    pub core: String,
    /// Greatest clock in the board's data sheet.
    pub clock_mhz: u32,
    /// Vector instructions of 128 bits for integers that a core starts in one cycle: its software
    /// optimization guide, for Cortex-A53, which has none, LLVM's `AArch64SchedA53.td`.
    pub vector_instructions_per_cycle: u32,
}

/// The 40-pin header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardGpio {
    /// Label of the header's chip.
    pub chip: String,
    pub wiring: Wiring,
    /// By the pin's number on the header.
    pub header: BTreeMap<String, HeaderPin>,
}

/// Header pins that a station uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wiring {
    pub reject: u32,
    pub ready: u32,
    pub heartbeat: u32,
    pub encoder_a: u32,
    pub encoder_b: u32,
}

impl Wiring {
    /// The pins with what they are for.
    pub fn pins(&self) -> [(&'static str, u32); 5] {
        [
            ("reject", self.reject),
            ("ready", self.ready),
            ("heartbeat", self.heartbeat),
            ("encoder A", self.encoder_a),
            ("encoder B", self.encoder_b),
        ]
    }
}

/// A line on the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderPin {
    /// Number on the chip.
    pub offset: u32,
    /// The kernel's name, where kernels agree on it.
    pub line: Option<String>,
}

impl BoardGpio {
    /// The line at a pin of the header, as a configuration names it.
    pub fn line(&self, pin: u32) -> Option<LineConfig> {
        let header = self.header.get(&pin.to_string())?;
        let offset = header.line.is_none().then_some(header.offset);
        Some(LineConfig {
            line: header.line.clone(),
            chip: Some(self.chip.clone()),
            offset,
        })
    }
}

/// A board's file that is no board.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    #[error("no board is called '{0}'; there are {1}")]
    Unknown(String, String),
    #[error("boards/{0}.toml: {1}")]
    Unusable(String, String),
}

impl Board {
    /// Names that [`Board::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.into_iter().map(|(name, _)| name)
    }

    /// The board with this file name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn named(name: &str) -> Result<Self, BoardError> {
        let Some((_, text)) = FILES.into_iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = Self::names().collect();
            return Err(BoardError::Unknown(name.to_owned(), names.join(", ")));
        };
        toml::from_str(text)
            .map_err(|error| BoardError::Unusable(name.to_owned(), error.to_string()))
    }

    /// File name and board of a machine that calls itself `model`; the longest beginning wins.
    pub fn of_model(model: &str) -> Option<(&'static str, Self)> {
        Self::names()
            .filter_map(|name| Some((name, Self::named(name).ok()?)))
            .filter_map(|(name, board)| {
                let known = board
                    .models
                    .iter()
                    .filter(|known| model.starts_with(*known));
                Some((known.map(String::len).max()?, name, board))
            })
            .max_by_key(|(length, _, _)| *length)
            .map(|(_, name, board)| (name, board))
    }

    /// The board of this machine, by its device tree.
    pub fn here() -> Option<(&'static str, Self)> {
        let model = std::fs::read_to_string("/proc/device-tree/model").ok()?;
        Self::of_model(model.trim_end_matches('\0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RASPBERRY_PI: &str = include_str!("../../tests/boards/raspberry-pi.txt");
    const ORIN_NANO: &str = include_str!("../../tests/boards/jetson-orin-nano.txt");
    const NANO: &str = include_str!("../../tests/boards/jetson-nano.txt");
    const DEVICE_TREES: &str = include_str!("../../tests/boards/device-trees.txt");

    /// Words of a table's lines; what begins with '#' says where they are from.
    fn table(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
    }

    /// The rows that begin with a number, a pin of the header.
    fn pins(text: &'static str) -> impl Iterator<Item = (u32, u32, Vec<&'static str>)> {
        table(text).filter_map(|row| {
            let [pin, offset, names @ ..] = row.as_slice() else {
                return None;
            };
            Some((pin.parse().ok()?, offset.parse().ok()?, names.to_vec()))
        })
    }

    fn header(name: &str) -> BTreeMap<u32, (u32, Option<String>)> {
        let gpio = Board::named(name).unwrap().gpio.unwrap();
        let pins = gpio.header.into_iter();
        pins.map(|(pin, line)| (pin.parse().unwrap(), (line.offset, line.line)))
            .collect()
    }

    #[test]
    fn headers_are_those_of_the_public_tables() {
        let named = |(pin, offset, names): (u32, u32, Vec<&str>)| {
            (pin, (offset, Some(names[0].to_owned())))
        };
        let pi: BTreeMap<_, _> = pins(RASPBERRY_PI).map(named).collect();
        assert_eq!(pi.len(), 26);
        for name in ["raspberry-pi-4", "raspberry-pi-5", "zero-2-w"] {
            assert_eq!(header(name), pi, "{name}");
        }
        let orin: BTreeMap<_, _> = pins(ORIN_NANO).map(named).collect();
        assert_eq!((header("jetson-orin-nano"), orin.len()), (orin, 22));
        let nano: BTreeMap<_, _> = pins(NANO)
            .map(|(pin, offset, _)| (pin, (offset, None)))
            .collect();
        assert_eq!((header("jetson-nano"), nano.len()), (nano, 22));
    }

    #[test]
    fn what_a_station_is_wired_to_has_one_name_in_all_kernels() {
        for name in ["raspberry-pi-4", "raspberry-pi-5", "zero-2-w"] {
            for (role, pin) in Board::named(name).unwrap().gpio.unwrap().wiring.pins() {
                let (_, _, names) = pins(RASPBERRY_PI).find(|row| row.0 == pin).unwrap();
                assert_eq!(names.len(), 3);
                let alike = names.iter().all(|name| name == &names[0]);
                assert!(alike, "{name}: {role} on pin {pin} is {names:?}");
            }
        }
    }

    /// The makers' tables against the kernel's own numbering.
    #[test]
    fn numbers_of_jetsons_are_those_of_the_kernels_ports() {
        let row = table(ORIN_NANO).find(|row| row[0] == "ports").unwrap();
        let ports: Vec<(&str, u32)> = row[1..]
            .iter()
            .map(|port| port.split_once(':').unwrap())
            .map(|(name, lines)| (name, lines.parse().unwrap()))
            .collect();
        for (_, offset, names) in pins(ORIN_NANO) {
            let (port, place) = names[0].split_once('.').unwrap();
            let before = ports
                .iter()
                .take_while(|(name, _)| port != format!("P{name}"));
            let first: u32 = before.map(|(_, lines)| lines).sum();
            assert_eq!(offset, first + place.parse::<u32>().unwrap(), "{names:?}");
        }
        for (_, offset, names) in pins(NANO) {
            let port = names[1]
                .trim_start_matches('P')
                .trim_end_matches(char::is_numeric);
            let letter = u32::from(port.as_bytes()[0] - b'A') + 26 * (port.len() as u32 - 1);
            let place: u32 = names[1][1 + port.len()..].parse().unwrap();
            assert_eq!(offset, 8 * letter + place, "{names:?}");
        }
    }

    #[test]
    fn boards_are_what_their_device_trees_say() {
        assert_eq!(table(DEVICE_TREES).count(), Board::names().count() - 1);
        for row in table(DEVICE_TREES) {
            let [name, cores, core, zone, model @ ..] = row.as_slice() else {
                panic!("{row:?}");
            };
            let (board, model) = (Board::named(name).unwrap(), model.join(" "));
            let cpus = board.worker_cpus.iter().chain(&board.line_cpus).count();
            assert!(["-", &cpus.to_string()].contains(cores), "{name}: {cpus}");
            let kind = board.processor.unwrap().core;
            assert!(kind.starts_with(core), "{name}: {kind}");
            assert!(["-", &board.thermal_zone].contains(zone), "{name}: {zone}");
            let mut models = board.models.iter();
            let same = |known: &String| known.starts_with(&model) || model.starts_with(known);
            assert!(models.any(same), "{name}: {model}");
        }
    }

    #[test]
    fn every_board_is_whole_and_its_wiring_is_on_its_header() {
        for name in Board::names() {
            let board = Board::named(name).unwrap();
            assert!(board.target.contains("-linux-gnu"), "{name}");
            let cpus = board
                .worker_cpus
                .iter()
                .filter(|cpu| board.line_cpus.contains(cpu));
            assert_eq!(cpus.count(), 0, "{name}: a processor for both");
            assert_eq!(board.workers as usize, board.worker_cpus.len(), "{name}");
            // DRAEM's kernels use sdot where Armv8.2 has it: Cortex-A76 and A78AE, not A53, A57 and A72.
            let dot = ["raspberry-pi-5", "jetson-orin-nano"].contains(&name);
            assert_eq!(board.int8_dot_product, dot, "{name}");
            assert_eq!(board.processor.is_none(), name == "generic-pc", "{name}");
            let Some(gpio) = board.gpio else {
                continue;
            };
            let mut used = Vec::new();
            for (role, pin) in gpio.wiring.pins() {
                assert!(gpio.line(pin).is_some(), "{name}: {role} on pin {pin}");
                assert!(!used.contains(&pin), "{name}: pin {pin} twice");
                used.push(pin);
            }
        }
    }

    #[test]
    fn a_machine_is_known_by_its_model() {
        for (model, name) in [
            ("Raspberry Pi 4 Model B Rev 1.5", Some("raspberry-pi-4")),
            ("Raspberry Pi 5 Model B Rev 1.0", Some("raspberry-pi-5")),
            ("Raspberry Pi Zero 2 W Rev 1.0", Some("zero-2-w")),
            (
                "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
                Some("jetson-orin-nano"),
            ),
            ("NVIDIA Jetson Nano Developer Kit", Some("jetson-nano")),
            ("Raspberry Pi Compute Module 1", None),
        ] {
            assert_eq!(
                Board::of_model(model).map(|(name, _)| name),
                name,
                "{model}"
            );
        }
        let error = Board::named("pi5").unwrap_err().to_string();
        assert!(
            error.contains("'pi5'; there are raspberry-pi-4, "),
            "{error}"
        );
    }
}
