//! Heat: a board that slows itself down makes late verdicts, and people should know why.

use super::Row;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Degrees that the board must cool down below its limit before it counts as cool again.
const HYSTERESIS_C: f32 = 5.0;

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(5);

/// Raspberry Pi's firmware: bit 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft limit; now.
const FIRMWARE: &str = "/sys/devices/platform/soc/soc:firmware/get_throttled";

/// A thermal zone of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    folder: PathBuf,
}

impl Zone {
    /// The zone of this type below `root` (`/sys/class/thermal`); the first zone where `kind` is `None`.
    pub fn find(root: &Path, kind: Option<&str>) -> Option<Self> {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("temp").exists())
            .collect();
        folders.sort();
        let is_it = |folder: &PathBuf| {
            kind.is_none_or(|kind| {
                std::fs::read_to_string(folder.join("type")).is_ok_and(|text| text.trim() == kind)
            })
        };
        folders
            .into_iter()
            .find(is_it)
            .map(|folder| Self { folder })
    }

    /// Degrees Celsius; `None` where the zone cannot be read.
    pub fn celsius(&self) -> Option<f32> {
        let text = std::fs::read_to_string(self.folder.join("temp")).ok()?;
        Some(text.trim().parse::<i32>().ok()? as f32 / 1000.0)
    }
}

/// Whether a board is too hot, with memory. No device.
#[derive(Debug, Clone)]
pub struct Heat {
    throttles_above_c: f32,
    throttled: bool,
}

impl Heat {
    /// A cool board that slows itself down above `throttles_above_c`.
    pub fn new(throttles_above_c: u32) -> Self {
        Self {
            throttles_above_c: throttles_above_c as f32,
            throttled: false,
        }
    }

    /// Takes a reading; says what has changed: `Some(Err(why))` where the board has begun to slow itself
    /// down, `Some(Ok(()))` where it runs at full speed again.
    pub fn take(&mut self, celsius: Option<f32>, firmware: u32) -> Option<Result<(), String>> {
        let celsius = celsius.unwrap_or(0.0);
        let hot = celsius >= self.throttles_above_c;
        let cool = celsius < self.throttles_above_c - HYSTERESIS_C;
        let slowed = firmware & 0b1111 != 0;
        if !self.throttled && (hot || slowed) {
            self.throttled = true;
            let why = if firmware & 1 != 0 {
                "the supply's voltage is too low and the board has slowed itself down; use the maker's supply".to_owned()
            } else {
                format!(
                    "the board is at {celsius:.0} degrees C and slows itself down, verdicts may be late; give it air or a heat sink"
                )
            };
            return Some(Err(why));
        }
        if self.throttled && cool && !slowed {
            self.throttled = false;
            return Some(Ok(()));
        }
        None
    }
}

fn firmware() -> u32 {
    let text = std::fs::read_to_string(FIRMWARE).unwrap_or_default();
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap_or(0)
}

/// Reads a zone every few seconds on a thread of its own, since firmware may take its time.
#[derive(Debug)]
pub struct ThermalWatch {
    news: Receiver<Option<Result<(), String>>>,
}

impl ThermalWatch {
    /// Begins to watch. The thread ends when this is dropped.
    ///
    /// # Errors
    /// Where there are no more threads.
    pub fn start(zone: Zone, throttles_above_c: u32) -> std::io::Result<Self> {
        let (to, news) = channel();
        let mut heat = Heat::new(throttles_above_c);
        std::thread::Builder::new()
            .name("thermal".to_owned())
            .spawn(move || {
                while to.send(heat.take(zone.celsius(), firmware())).is_ok() {
                    std::thread::sleep(PERIOD);
                }
            })?;
        Ok(Self { news })
    }

    /// What has changed since the last call, if anything has; never waits.
    pub fn changed(&self) -> Option<Result<(), String>> {
        loop {
            match self.news.try_recv() {
                Ok(Some(change)) => return Some(change),
                Ok(None) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
    }
}

/// How hot it is.
pub fn thermal_row(root: &Path, kind: Option<&str>, throttles_above_c: u32) -> Row {
    const ITEM: &str = "temperature";
    let Some(celsius) = Zone::find(root, kind).and_then(|zone| zone.celsius()) else {
        return Row::amber(
            ITEM,
            format!("no thermal zone {}", kind.unwrap_or("at all")),
            "heat will not be told; look at the board's cooling by hand",
        );
    };
    match Heat::new(throttles_above_c).take(Some(celsius), firmware()) {
        Some(Err(why)) => {
            let (found, fix) = why.rsplit_once("; ").unwrap_or((&why, "cool it"));
            Row::amber(ITEM, found, fix)
        }
        _ => Row::green(
            ITEM,
            format!("{celsius:.0} degrees C, slows down above {throttles_above_c}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_needs_five_degrees_to_go_back() {
        let mut heat = Heat::new(80);
        assert_eq!(heat.take(Some(79.9), 0), None);
        let why = heat.take(Some(80.0), 0).unwrap().unwrap_err();
        assert!(why.contains("80 degrees C"), "{why}");
        assert_eq!(heat.take(Some(90.0), 0), None);
        assert_eq!(heat.take(Some(76.0), 0), None);
        assert_eq!(heat.take(Some(74.0), 0), Some(Ok(())));
        // Under-voltage slows a cool board; bits of the past (16 and above) do not count.
        assert_eq!(heat.take(Some(40.0), 0x50000), None);
        assert!(
            heat.take(Some(40.0), 0x50005)
                .unwrap()
                .unwrap_err()
                .contains("voltage")
        );
        assert_eq!(heat.take(None, 0x50000), Some(Ok(())));
    }

    #[test]
    fn a_zone_is_found_by_its_type() {
        let root = std::env::temp_dir().join(format!("blemish-thermal-{}", std::process::id()));
        for (number, kind, temp) in [(0, "gpu", "50000"), (1, "cpu-thermal", "61500")] {
            let folder = root.join(format!("thermal_zone{number}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("type"), format!("{kind}\n")).unwrap();
            std::fs::write(folder.join("temp"), format!("{temp}\n")).unwrap();
        }
        let zone = Zone::find(&root, Some("cpu-thermal")).unwrap();
        assert_eq!(zone.celsius(), Some(61.5));
        assert_eq!(Zone::find(&root, Some("ddr")), None);
        let row = thermal_row(&root, Some("cpu-thermal"), 80);
        assert_eq!(row.found, "62 degrees C, slows down above 80");
        assert_eq!(
            thermal_row(&root, Some("ddr"), 80).status,
            super::super::Status::Amber
        );
        std::fs::remove_dir_all(root).unwrap();
    }
}
