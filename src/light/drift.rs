//! Whether the light is still what it was.

use super::LightError;
use crate::camera::LineFormat;
use crate::picture::{LineSamples, Picture};

/// Lines over which the level is averaged for a warning.
const LINES: u64 = 4096;

/// What the watch says when it changes its mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    Darker { percent: u32, of: Baseline },
    Brighter { percent: u32, of: Baseline },
    Even,
}

/// What the level is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// White, as calibrated, in the reference columns.
    Calibration,
    /// The first lines of this run.
    RunStart,
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |baseline: &Baseline| match baseline {
            Baseline::Calibration => "of what it was when white was calibrated",
            Baseline::RunStart => "of what it was when this run began",
        };
        match self {
            Watched::Darker {
                percent,
                of: baseline,
            } => write!(
                f,
                "the light has fallen to {percent} % {}; clean lamp and lens, or replace the lamp, then run `blemish calibrate white`",
                of(baseline)
            ),
            Watched::Brighter {
                percent,
                of: baseline,
            } => write!(
                f,
                "the light has risen to {percent} % {}; look for stray light and whether camera settings were changed, then run `blemish calibrate white`",
                of(baseline)
            ),
            Watched::Even => f.write_str("the light is again what it was"),
        }
    }
}

/// Watches the level of corrected lines.
#[derive(Debug, Clone)]
pub struct Drift {
    /// Samples of a line that are looked at: those of the reference columns, or all.
    samples: std::ops::Range<usize>,
    baseline: Option<f64>,
    of: Baseline,
    /// 0 for no watch.
    most_percent: u32,
    /// 0 for no limit.
    reject_percent: u32,
    sum: u64,
    lines: u64,
    drifted: bool,
}

impl Drift {
    /// Watches `columns`, which see nothing but the white reference, against the calibrated `level`;
    /// without columns whole lines against the first of the run. Tells of more than `most_percent`.
    ///
    /// # Errors
    /// Where the columns are not of such a line.
    pub fn new(
        format: LineFormat,
        columns: Option<[u32; 2]>,
        level: f64,
        most_percent: u32,
    ) -> Result<Self, LightError> {
        let channels = format.channels as usize;
        let (samples, baseline, of) = match columns {
            None => (0..format.samples_per_line(), None, Baseline::RunStart),
            Some([first, end]) if first < end && end <= format.width_px => (
                first as usize * channels..end as usize * channels,
                Some(level),
                Baseline::Calibration,
            ),
            Some([first, end]) => {
                return Err(LightError::ReferenceColumns {
                    first,
                    end,
                    width_px: format.width_px,
                });
            }
        };
        Ok(Self {
            samples,
            baseline,
            of,
            most_percent,
            reject_percent: 0,
            sum: 0,
            lines: 0,
            drifted: false,
        })
    }

    /// No watch.
    pub fn off() -> Self {
        Self {
            samples: 0..0,
            baseline: None,
            of: Baseline::RunStart,
            most_percent: 0,
            reject_percent: 0,
            sum: 0,
            lines: 0,
            drifted: false,
        }
    }

    /// Lines whose level is farther off than `percent` may not be judged; 0 for no limit.
    #[must_use]
    pub fn rejecting(mut self, percent: u32) -> Self {
        self.reject_percent = percent;
        self
    }

    /// Whether this block alone is so dark or bright that its lines may not be judged. Until there is
    /// something to compare with, every block may.
    pub fn is_beyond(&self, picture: &Picture) -> bool {
        let Some(baseline) = self.baseline.filter(|_| self.reject_percent > 0) else {
            return false;
        };
        let sum: Option<u64> = (0..picture.height_px)
            .map(|row| self.line_sum(picture, row))
            .sum();
        let samples = picture.height_px * self.samples.len();
        let Some(level) = sum
            .filter(|_| samples > 0)
            .map(|sum| sum as f64 / samples as f64)
        else {
            return false;
        };
        (100.0 * level / baseline.max(1e-9) - 100.0).abs() > f64::from(self.reject_percent)
    }

    fn line_sum(&self, picture: &Picture, row: usize) -> Option<u64> {
        match picture.line(row).samples {
            LineSamples::U8(line) => line.get(self.samples.clone()).map(sum),
            LineSamples::U16(line) => line.get(self.samples.clone()).map(sum),
        }
    }

    /// Looks at a block; says something where the light has drifted, or has come back.
    pub fn watch(&mut self, picture: &Picture) -> Option<Watched> {
        if self.most_percent == 0 && self.reject_percent == 0 {
            return None;
        }
        for row in 0..picture.height_px {
            self.sum += self.line_sum(picture, row)?;
        }
        self.lines += picture.height_px as u64;
        if self.lines < LINES {
            return None;
        }
        let level = self.sum as f64 / (self.lines as f64 * self.samples.len() as f64);
        (self.sum, self.lines) = (0, 0);
        let baseline = *self.baseline.get_or_insert(level);
        let percent = 100.0 * level / baseline.max(1e-9);
        if self.most_percent == 0 {
            return None;
        }
        let drifted = (percent - 100.0).abs() > f64::from(self.most_percent);
        let news = drifted != self.drifted;
        self.drifted = drifted;
        let told = percent.round() as u32;
        news.then_some(match drifted {
            false => Watched::Even,
            true if percent < 100.0 => Watched::Darker {
                percent: told,
                of: self.of,
            },
            true => Watched::Brighter {
                percent: told,
                of: self.of,
            },
        })
    }
}

fn sum<S: Copy + Into<u64>>(samples: &[S]) -> u64 {
    samples.iter().map(|&sample| sample.into()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: LineFormat = LineFormat {
        width_px: 4,
        channels: 1,
        sixteen_bit: false,
        lines_per_block: 2048,
    };

    fn block(line: [u8; 4]) -> Picture {
        Picture::from_grey8(4, 2048, line.repeat(2048)).unwrap()
    }

    #[test]
    fn the_reference_columns_are_held_to_the_calibration_and_told_once() {
        let mut drift = Drift::new(FORMAT, Some([2, 4]), 200.0, 10).unwrap();
        let mut see = |line| (drift.watch(&block(line)), drift.watch(&block(line))).1;
        assert_eq!(see([0, 0, 195, 195]), None);
        let of = Baseline::Calibration;
        assert_eq!(
            see([200, 200, 160, 160]),
            Some(Watched::Darker { percent: 80, of })
        );
        assert_eq!(see([200, 200, 150, 150]), None);
        assert_eq!(see([0, 0, 200, 200]), Some(Watched::Even));
        let brighter = see([0, 0, 240, 240]).unwrap();
        assert_eq!(brighter, Watched::Brighter { percent: 120, of });
        assert!(
            brighter
                .to_string()
                .contains("risen to 120 % of what it was when white")
        );
    }

    #[test]
    fn a_block_beyond_the_limit_is_told_at_once_and_for_itself() {
        let drift = Drift::new(FORMAT, Some([2, 4]), 200.0, 10).unwrap();
        assert!(!drift.is_beyond(&block([0, 0, 20, 20])), "no limit is set");
        let drift = drift.rejecting(40);
        for (level, beyond) in [
            (200, false),
            (121, false),
            (119, true),
            (0, true),
            (255, false),
        ] {
            assert_eq!(
                drift.is_beyond(&block([7, 7, level, level])),
                beyond,
                "{level}"
            );
        }
        let mut by_start = Drift::new(FORMAT, None, 200.0, 0).unwrap().rejecting(40);
        assert!(
            !by_start.is_beyond(&block([0; 4])),
            "nothing to compare with"
        );
        assert_eq!(by_start.watch(&block([100; 4])), None);
        assert_eq!(by_start.watch(&block([100; 4])), None);
        assert!(by_start.is_beyond(&block([50; 4])));
        assert!(!by_start.is_beyond(&block([70; 4])));
    }

    #[test]
    fn without_reference_columns_the_start_of_the_run_is_the_measure() {
        let mut drift = Drift::new(FORMAT, None, 200.0, 10).unwrap();
        let mut see = |line| (drift.watch(&block(line)), drift.watch(&block(line))).1;
        assert_eq!(see([100; 4]), None);
        let of = Baseline::RunStart;
        assert_eq!(see([50; 4]), Some(Watched::Darker { percent: 50, of }));
        assert!(Drift::new(FORMAT, Some([3, 5]), 1.0, 10).is_err());
        assert!(Drift::new(FORMAT, Some([2, 2]), 1.0, 10).is_err());
        assert_eq!(Drift::off().watch(&block([0; 4])), None);
    }
}
