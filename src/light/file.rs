//! The calibration as a file, with the settings that it holds for.

use super::{Dark, LightError, White};
use crate::camera::LineFormat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the file that this program reads and writes.
const SCHEMA: u32 = 1;

/// The camera's settings by name: what changes its pixels.
pub type Settings = BTreeMap<String, String>;

/// What the file holds. Its numbers are f32, which come back from JSON as they were: the hash is of
/// what was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlatFieldFile {
    pub width_px: u32,
    pub channels: u32,
    pub sixteen_bit: bool,
    pub settings: Settings,
    pub dark: Dark,
    /// None until white was calibrated.
    pub white: Option<White>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    schema: u32,
    /// Of `calibration` as this program writes it.
    sha256: String,
    calibration: FlatFieldFile,
}

impl FlatFieldFile {
    /// A dark calibration, still without white.
    pub fn new(format: LineFormat, settings: Settings, dark: Dark) -> Self {
        Self {
            width_px: format.width_px,
            channels: format.channels,
            sixteen_bit: format.sixteen_bit,
            settings,
            dark,
            white: None,
        }
    }

    /// # Errors
    /// Where it cannot be read, is damaged, or of another version.
    pub fn read(path: &Path) -> Result<Self, LightError> {
        let damaged = |reason: String| LightError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|source| io(path, source))?;
        let sealed: Sealed =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if sealed.schema != SCHEMA {
            return Err(damaged(format!(
                "its schema is {}, this program's is {SCHEMA}",
                sealed.schema
            )));
        }
        let calibration = sealed.calibration;
        let found = calibration.sha256().map_err(&damaged)?;
        if found != sealed.sha256 {
            return Err(damaged(format!(
                "its hash is {found}, but it states {}",
                sealed.sha256
            )));
        }
        let samples = calibration.width_px as usize * calibration.channels as usize;
        let gains = calibration.white.as_ref().map(|white| white.gain.len());
        if calibration.dark.offset.len() != samples || gains.is_some_and(|gains| gains != samples) {
            return Err(damaged("it has not one value for each column".to_owned()));
        }
        Ok(calibration)
    }

    /// Writes a whole file or none.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LightError> {
        let sealed = Sealed {
            schema: SCHEMA,
            sha256: self.sha256().map_err(|reason| LightError::Damaged {
                path: path.to_owned(),
                reason,
            })?,
            calibration: self.clone(),
        };
        let text = serde_json::to_vec(&sealed).map_err(|error| io(path, error.into()))?;
        let beside = Self::beside(path);
        std::fs::write(&beside, text).map_err(|source| io(path, source))?;
        std::fs::rename(&beside, path).map_err(|source| io(path, source))
    }

    /// Where a file is until it is whole.
    pub fn beside(path: &Path) -> PathBuf {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        beside.into()
    }

    fn sha256(&self) -> Result<String, String> {
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        let hash = Sha256::digest(bytes);
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Refuses other lines and other settings than it was made with.
    ///
    /// # Errors
    /// The first difference, and what to do.
    pub fn check(
        &self,
        path: &Path,
        format: LineFormat,
        settings: &Settings,
    ) -> Result<(), LightError> {
        let differs = |made: String, now: String| LightError::Settings {
            path: path.to_owned(),
            made,
            now,
        };
        let describe = |width_px: u32, channels: u32, sixteen_bit: bool| {
            let depth = if sixteen_bit { 16 } else { 8 };
            format!("lines of {width_px} px, {channels} channels, {depth} bit")
        };
        let made = describe(self.width_px, self.channels, self.sixteen_bit);
        let now = describe(format.width_px, format.channels, format.sixteen_bit);
        if made != now {
            return Err(differs(made, now));
        }
        let names = self.settings.keys().chain(settings.keys());
        for name in names {
            let told = |settings: &Settings| match settings.get(name) {
                Some(value) => format!("{name} = {value}"),
                None => format!("no {name}"),
            };
            if self.settings.get(name) != settings.get(name) {
                return Err(differs(told(&self.settings), told(settings)));
            }
        }
        Ok(())
    }
}

fn io(path: &Path, source: std::io::Error) -> LightError {
    LightError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (FlatFieldFile, LineFormat, Settings) {
        let format = LineFormat {
            width_px: 3,
            channels: 1,
            sixteen_bit: false,
            lines_per_block: 64,
        };
        let settings = Settings::from([("Gain".to_owned(), "8".to_owned())]);
        let dark = Dark {
            lines: 2048,
            offset: vec![1.1, 2.3, 1.0 / 3.0],
            dsnu: 0.1,
            temporal_noise: 1.0 / 7.0,
        };
        let mut file = FlatFieldFile::new(format, settings.clone(), dark);
        file.white = Some(White {
            lines: 4096,
            gain: vec![1.0, 1.000_015_3, 3.999_999],
            level: 200.123,
            prnu: 0.01,
            temporal_noise: 1.5,
        });
        (file, format, settings)
    }

    #[test]
    fn survives_the_disk_and_shows_every_change() {
        let path = std::env::temp_dir().join(format!("blemish-flat-{}.json", std::process::id()));
        let (file, ..) = file();
        file.write(&path).unwrap();
        assert_eq!(FlatFieldFile::read(&path).unwrap(), file);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, says) in [
            ("200.123", "201.123", "its hash is"),
            ("\"schema\":1", "\"schema\":2", "its schema is 2"),
            ("\"dsnu\"", "\"snu\"", "unknown field"),
        ] {
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let error = FlatFieldFile::read(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        let gone = FlatFieldFile::read(&path).unwrap_err();
        assert!(matches!(gone, LightError::Io { .. }));
    }

    #[test]
    fn other_settings_and_other_lines_are_refused_by_name() {
        let (file, format, settings) = file();
        let path = Path::new("flat.json");
        file.check(path, format, &settings).unwrap();
        let wide = LineFormat {
            width_px: 4,
            ..format
        };
        let other = Settings::from([("Gain".to_owned(), "9".to_owned())]);
        let mut more = settings.clone();
        more.insert("ExposureTime".to_owned(), "100".to_owned());
        for (format, settings, says) in [
            (
                wide,
                &settings,
                "3 px, 1 channels, 8 bit, but the configuration has lines of 4 px",
            ),
            (
                format,
                &other,
                "Gain = 8, but the configuration has Gain = 9",
            ),
            (
                format,
                &more,
                "no ExposureTime, but the configuration has ExposureTime = 100",
            ),
        ] {
            let error = file.check(path, format, settings).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
