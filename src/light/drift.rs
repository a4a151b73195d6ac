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

/// What a block says about the light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// The light has drifted, or has come back.
    pub news: Option<Watched>,
    /// This block alone is so dark or bright that its lines may not be judged.
    pub is_beyond: bool,
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

    fn line_sum(&self, picture: &Picture, row: usize) -> Option<u64> {
        match picture.line(row).samples {
            LineSamples::U8(line) => line.get(self.samples.clone()).map(sum),
            LineSamples::U16(line) => line.get(self.samples.clone()).map(sum),
        }
    }

    /// Looks at a block. Until there is something to compare with, no block is beyond the limit.
    pub fn look(&mut self, picture: &Picture) -> Look {
        if self.most_percent == 0 && self.reject_percent == 0 {
            return Look::default();
        }
        let sum: Option<u64> = (0..picture.height_px)
            .map(|row| self.line_sum(picture, row))
            .sum();
        let samples = picture.height_px * self.samples.len();
        let Some(sum) = sum.filter(|_| samples > 0) else {
            return Look::default();
        };
        self.sum += sum;
        self.lines += picture.height_px as u64;
        let news = if self.lines < LINES {
            None
        } else {
            self.news()
        };
        Look {
            news,
            is_beyond: self.is_beyond(sum as f64 / samples as f64),
        }
    }

    fn is_beyond(&self, level: f64) -> bool {
        let limit = f64::from(self.reject_percent);
        self.reject_percent > 0
            && self
                .baseline
                .is_some_and(|baseline| percent_off(level, baseline).abs() > limit)
    }

    /// What the last [`LINES`] lines say.
    fn news(&mut self) -> Option<Watched> {
        let level = self.sum as f64 / (self.lines as f64 * self.samples.len() as f64);
        (self.sum, self.lines) = (0, 0);
        let baseline = *self.baseline.get_or_insert(level);
        if self.most_percent == 0 {
            return None;
        }
        let off = percent_off(level, baseline);
        let drifted = off.abs() > f64::from(self.most_percent);
        let news = drifted != self.drifted;
        self.drifted = drifted;
        let (percent, of) = ((100.0 + off).round() as u32, self.of);
        news.then_some(match drifted {
            false => Watched::Even,
            true if off < 0.0 => Watched::Darker { percent, of },
            true => Watched::Brighter { percent, of },
        })
    }
}

/// How far a level is from what it was, in percent of that.
fn percent_off(level: f64, baseline: f64) -> f64 {
    100.0 * level / baseline.max(1e-9) - 100.0
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
        let mut see = |line| (drift.look(&block(line)), drift.look(&block(line))).1.news;
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
        let mut drift = Drift::new(FORMAT, Some([2, 4]), 200.0, 10).unwrap();
        let dark = drift.look(&block([0, 0, 20, 20]));
        assert!(!dark.is_beyond, "no limit is set");
        let mut drift = drift.rejecting(40);
        for (level, beyond) in [
            (200, false),
            (121, false),
            (119, true),
            (0, true),
            (255, false),
        ] {
            assert_eq!(
                drift.look(&block([7, 7, level, level])).is_beyond,
                beyond,
                "{level}"
            );
        }
        let mut by_start = Drift::new(FORMAT, None, 200.0, 0).unwrap().rejecting(40);
        let nothing_to_compare_with = by_start.look(&block([100; 4]));
        assert_eq!(nothing_to_compare_with, Look::default());
        assert_eq!(by_start.look(&block([100; 4])), Look::default());
        assert!(by_start.look(&block([50; 4])).is_beyond);
        assert!(!by_start.look(&block([70; 4])).is_beyond);
    }

    #[test]
    fn without_reference_columns_the_start_of_the_run_is_the_measure() {
        let mut drift = Drift::new(FORMAT, None, 200.0, 10).unwrap();
        let mut see = |line| (drift.look(&block(line)), drift.look(&block(line))).1.news;
        assert_eq!(see([100; 4]), None);
        let of = Baseline::RunStart;
        assert_eq!(see([50; 4]), Some(Watched::Darker { percent: 50, of }));
        assert!(Drift::new(FORMAT, Some([3, 5]), 1.0, 10).is_err());
        assert!(Drift::new(FORMAT, Some([2, 2]), 1.0, 10).is_err());
        assert_eq!(Drift::off().look(&block([0; 4])), Look::default());
    }
}
