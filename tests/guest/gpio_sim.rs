//! A simulated GPIO chip (`gpio-sim`), and what the kernel saw on its lines.

use crate::process::{tool, wait_for};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONFIG: &str = "/sys/kernel/config/gpio-sim/station";
const TRACING: &str = "/sys/kernel/tracing";

/// Lines of the chip, by their numbers.
pub const REJECT: u32 = 17;
pub const READY: u32 = 18;
pub const HEARTBEAT: u32 = 19;
pub const CONFIRM: u32 = 20;
pub const ENCODER_A: u32 = 23;
pub const ENCODER_B: u32 = 24;

const NAMES: [(u32, &str); 6] = [
    (REJECT, "REJECT"),
    (READY, "READY"),
    (HEARTBEAT, "HEARTBEAT"),
    (CONFIRM, "CONFIRM"),
    (ENCODER_A, "ENCODER_A"),
    (ENCODER_B, "ENCODER_B"),
];

/// A chip of 32 lines; removed with the test.
pub struct Chip {
    lines: PathBuf,
}

impl Chip {
    pub fn new() -> Self {
        tool("modprobe gpio-sim");
        let config = Path::new(CONFIG);
        for (number, name) in NAMES {
            let line = config.join("bank").join(format!("line{number}"));
            fs::create_dir_all(&line).unwrap();
            fs::write(line.join("name"), name).unwrap();
        }
        fs::write(config.join("bank/num_lines"), "32").unwrap();
        fs::write(config.join("bank/label"), "station").unwrap();
        let mut chip = Self {
            lines: PathBuf::new(),
        };
        chip.insert();
        chip
    }

    /// Plugs the chip in.
    pub fn insert(&mut self) {
        let config = Path::new(CONFIG);
        fs::write(config.join("live"), "1").unwrap();
        let read = |name: &str| fs::read_to_string(config.join(name)).unwrap();
        self.lines = Path::new("/sys/devices/platform")
            .join(read("dev_name").trim())
            .join(read("bank/chip_name").trim());
        let node = Path::new("/dev").join(read("bank/chip_name").trim());
        wait_for("the chip's node", Duration::from_secs(5), || {
            node.exists().then_some(())
        });
    }

    /// Pulls the chip out, also from under a program that holds its lines.
    pub fn remove(&self) {
        fs::write(Path::new(CONFIG).join("live"), "0").unwrap();
    }

    /// What another device on the wire would see.
    pub fn is_high(&self, line: u32) -> bool {
        self.wires().is_high(line)
    }

    /// The far ends of the lines, for another thread.
    pub fn wires(&self) -> Wires {
        Wires {
            lines: self.lines.clone(),
        }
    }
}

/// What is wired to the chip.
#[derive(Clone)]
pub struct Wires {
    lines: PathBuf,
}

impl Wires {
    pub fn is_high(&self, line: u32) -> bool {
        let path = self.lines.join(format!("sim_gpio{line}/value"));
        fs::read_to_string(path).unwrap().trim() == "1"
    }

    /// Drives an input. The simulated chip loses an edge that comes before its interrupt thread has seen the
    /// one before: leave some milliseconds between two.
    pub fn set(&self, line: u32, high: bool) {
        let path = self.lines.join(format!("sim_gpio{line}/pull"));
        fs::write(path, if high { "pull-up" } else { "pull-down" }).unwrap();
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        let _ = fs::write(Path::new(CONFIG).join("live"), "0");
        for (number, _) in NAMES {
            let _ = fs::remove_dir(Path::new(CONFIG).join("bank").join(format!("line{number}")));
        }
        let _ = fs::remove_dir(Path::new(CONFIG).join("bank"));
        let _ = fs::remove_dir(CONFIG);
    }
}

/// A change of an output, by the kernel's own clock (CLOCK_MONOTONIC).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    pub seconds: f64,
    pub high: bool,
}

/// The kernel's record of every value that was set on a line: the second pair of eyes beside the program's own word.
pub struct Trace;

impl Trace {
    /// Traces the ends of threads as well.
    pub fn start_with_exits() -> Self {
        let trace = Self::start();
        fs::write(
            Path::new(TRACING).join("events/sched/sched_process_exit/enable"),
            "1",
        )
        .unwrap();
        trace
    }

    /// When the last thread has ended so far; by then the kernel has freed its memory, and its files are next.
    pub fn last_exit(&self) -> Option<f64> {
        let text = fs::read_to_string(Path::new(TRACING).join("trace")).unwrap();
        let exit = text
            .lines()
            .rfind(|line| line.contains(": sched_process_exit: "))?;
        let (before, _) = exit.split_once(": sched_process_exit: ")?;
        before.split_whitespace().last()?.parse().ok()
    }

    pub fn start() -> Self {
        for (file, value) in [
            ("tracing_on", "0"),
            ("trace_clock", "mono"),
            ("buffer_size_kb", "4096"),
            ("trace", ""),
            ("events/gpio/gpio_value/enable", "1"),
            ("tracing_on", "1"),
        ] {
            fs::write(Path::new(TRACING).join(file), value).unwrap();
        }
        Self
    }

    /// Changes of a line's level since the start; setting the level that is there already is none.
    pub fn edges(&self, line: u32) -> Vec<Edge> {
        let number = first_number() + line;
        let text = fs::read_to_string(Path::new(TRACING).join("trace")).unwrap();
        let mut edges: Vec<Edge> = Vec::new();
        for entry in text.lines() {
            let Some((before, after)) = entry.split_once(": gpio_value: ") else {
                continue;
            };
            let words: Vec<&str> = after.split_whitespace().collect();
            let [found, "set", level] = words[..] else {
                continue;
            };
            if found.parse() != Ok(number) {
                continue;
            }
            let seconds = before.split_whitespace().last().unwrap().parse().unwrap();
            let high = level == "1";
            if edges.last().is_none_or(|edge| edge.high != high) {
                edges.push(Edge { seconds, high });
            }
        }
        edges
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        for file in ["tracing_on", "events/sched/sched_process_exit/enable"] {
            let _ = fs::write(Path::new(TRACING).join(file), "0");
        }
    }
}

/// The kernel's number for the chip's first line.
fn first_number() -> u32 {
    let text = fs::read_to_string("/sys/kernel/debug/gpio").unwrap();
    let chip = text
        .lines()
        .find(|line| line.starts_with("gpiochip") && line.contains("gpio-sim"))
        .unwrap_or_else(|| panic!("no chip in {text}"));
    let (_, after) = chip.split_once("GPIOs ").unwrap();
    after.split('-').next().unwrap().parse().unwrap()
}
