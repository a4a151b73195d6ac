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

    /// The 40-pin header of every Raspberry Pi since 2014: physical pin and BCM number
    /// (<https://pinout.xyz>). The numbers are also the offsets on the header's chip.
    const RASPBERRY_PI: [(u32, u32); 26] = [
        (3, 2),
        (5, 3),
        (7, 4),
        (8, 14),
        (10, 15),
        (11, 17),
        (12, 18),
        (13, 27),
        (15, 22),
        (16, 23),
        (18, 24),
        (19, 10),
        (21, 9),
        (22, 25),
        (23, 11),
        (24, 8),
        (26, 7),
        (29, 5),
        (31, 6),
        (32, 12),
        (33, 13),
        (35, 19),
        (36, 16),
        (37, 26),
        (38, 20),
        (40, 21),
    ];

    /// NVIDIA's Jetson.GPIO 2.1.2, `gpio_pin_data.py`, JETSON_ORIN_NX_PIN_DEFS.
    const ORIN: [(u32, u32, &str); 22] = [
        (7, 144, "PAC.06"),
        (11, 112, "PR.04"),
        (12, 50, "PH.07"),
        (13, 122, "PY.00"),
        (15, 85, "PN.01"),
        (16, 126, "PY.04"),
        (18, 125, "PY.03"),
        (19, 135, "PZ.05"),
        (21, 134, "PZ.04"),
        (22, 123, "PY.01"),
        (23, 133, "PZ.03"),
        (24, 136, "PZ.06"),
        (26, 137, "PZ.07"),
        (29, 105, "PQ.05"),
        (31, 106, "PQ.06"),
        (32, 41, "PG.06"),
        (33, 43, "PH.00"),
        (35, 53, "PI.02"),
        (36, 113, "PR.05"),
        (37, 124, "PY.02"),
        (38, 52, "PI.01"),
        (40, 51, "PI.00"),
    ];

    /// The same file, JETSON_NANO_PIN_DEFS.
    const NANO: [(u32, u32); 22] = [
        (7, 216),
        (11, 50),
        (12, 79),
        (13, 14),
        (15, 194),
        (16, 232),
        (18, 15),
        (19, 16),
        (21, 17),
        (22, 13),
        (23, 18),
        (24, 19),
        (26, 20),
        (29, 149),
        (31, 200),
        (32, 168),
        (33, 38),
        (35, 76),
        (36, 51),
        (37, 12),
        (38, 77),
        (40, 78),
    ];

    fn header(name: &str) -> BTreeMap<u32, (u32, Option<String>)> {
        let gpio = Board::named(name).unwrap().gpio.unwrap();
        let pins = gpio.header.into_iter();
        pins.map(|(pin, line)| (pin.parse().unwrap(), (line.offset, line.line)))
            .collect()
    }

    #[test]
    fn headers_are_those_of_the_public_tables() {
        let pi: BTreeMap<_, _> = RASPBERRY_PI
            .map(|(pin, bcm)| (pin, (bcm, Some(format!("GPIO{bcm}")))))
            .into();
        for name in ["raspberry-pi-4", "raspberry-pi-5", "zero-2-w"] {
            assert_eq!(header(name), pi, "{name}");
        }
        let orin = ORIN.map(|(pin, offset, line)| (pin, (offset, Some(line.to_owned()))));
        assert_eq!(header("jetson-orin-nano"), orin.into());
        let nano = NANO.map(|(pin, offset)| (pin, (offset, None)));
        assert_eq!(header("jetson-nano"), nano.into());
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
