//! Whether the light of a block is one that the inspection can work with.
//!
//! * **level**: mean of the samples;
//! * **contrast**: mean absolute difference of neighbours in a line. Uneven light over the width does not
//!   raise it, a single defect hardly does, and a lens cap, a dead lamp or a lost focus takes it away.
//!
//! Both are shares of full scale. A model calls web even that it cannot see, so what is outside of the
//! limits may not be called ok.

use crate::geometry::Columns;
use crate::picture::{LineSamples, Picture};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Neighbouring columns that are looked at together.
const RUN_PX: usize = 64;

/// Such runs in a line; lines that are no wider than all of them are looked at whole.
const RUNS: usize = 16;

/// Pictures are looked at in parts of so many lines: a lamp may fail in the middle of a block, and a good picture
/// is as dark as its darkest part.
const PART_LINES: usize = 16;

/// What was seen of the light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    pub level: f64,
    pub contrast: f64,
}

impl Seen {
    /// Looks at each part of a picture; a rest of fewer lines goes with the part before it.
    pub fn parts(picture: &Picture, columns: Range<usize>) -> impl Iterator<Item = Self> {
        let parts = (picture.height_px / PART_LINES).max(1);
        (0..parts).filter_map(move |part| {
            let end = match part + 1 == parts {
                true => picture.height_px,
                false => (part + 1) * PART_LINES,
            };
            Self::of(picture, part * PART_LINES..end, columns.clone())
        })
    }

    /// Looks at some lines of a picture, over the columns of `columns` that it has. `None` where there is
    /// nothing to see.
    fn of(picture: &Picture, lines: Range<usize>, columns: Range<usize>) -> Option<Self> {
        let lines = lines.start..lines.end.min(picture.height_px);
        let columns = columns.start..columns.end.min(picture.width_px);
        if lines.is_empty() || columns.is_empty() {
            return None;
        }
        let (mut sums, mut full_scale) = (Sums::default(), 1.0);
        for line in lines {
            match picture.line(line).samples {
                LineSamples::U8(samples) => {
                    full_scale = f64::from(u8::MAX);
                    sums.add_line(samples, picture.channels, &columns);
                }
                LineSamples::U16(samples) => {
                    full_scale = f64::from(u16::MAX);
                    sums.add_line(samples, picture.channels, &columns);
                }
            }
        }
        let share = |sum: u64, of: u64| sum as f64 / (of.max(1) as f64 * full_scale);
        Some(Self {
            level: share(sums.level, sums.samples),
            contrast: share(sums.contrast, sums.pairs),
        })
    }
}

#[derive(Debug, Default)]
struct Sums {
    level: u64,
    samples: u64,
    contrast: u64,
    pairs: u64,
}

impl Sums {
    fn add_line<S: Copy + Into<u32>>(
        &mut self,
        line: &[S],
        channels: usize,
        columns: &Range<usize>,
    ) {
        let width = columns.len();
        let (runs, length) = match width > RUNS * RUN_PX {
            true => (RUNS, RUN_PX),
            false => (1, width),
        };
        for run in 0..runs {
            let first = columns.start + run * (width - length) / (runs - 1).max(1);
            let samples = line.get(first * channels..(first + length) * channels);
            self.add_run(samples.unwrap_or_default(), channels);
        }
    }

    fn add_run<S: Copy + Into<u32>>(&mut self, run: &[S], channels: usize) {
        // A run has at most 3 x 1024 samples of 16 bits.
        let level: u32 = run.iter().map(|&sample| sample.into()).sum();
        let next = run.get(channels..).unwrap_or_default();
        let contrast: u32 = (run.iter().zip(next))
            .map(|(&a, &b)| a.into().abs_diff(b.into()))
            .sum();
        self.level += u64::from(level);
        self.samples += run.len() as u64;
        self.contrast += u64::from(contrast);
        self.pairs += next.len() as u64;
    }
}

/// What a block's light must be for its lines to be inspected, as shares of full scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightLimits {
    pub least_level: f64,
    pub greatest_level: f64,
    /// 0 for none.
    pub least_contrast: f64,
}

impl Default for LightLimits {
    fn default() -> Self {
        Self::FLOOR
    }
}

impl LightLimits {
    /// Beyond these no camera tells anything: used where nobody knows better.
    pub const FLOOR: Self = Self {
        least_level: 0.02,
        greatest_level: 0.98,
        least_contrast: 0.0,
    };

    /// Limits from good pictures, by their darkest, brightest and flattest [parts](Seen::parts):
    /// half of the least level, halfway from the greatest to full scale, a quarter of the least contrast.
    /// `None` without pictures.
    pub fn of_goods(seen: impl IntoIterator<Item = Seen>) -> Option<Self> {
        let own = |seen: Seen| Self {
            least_level: rounded(seen.level / 2.0),
            greatest_level: rounded((seen.level + 1.0) / 2.0),
            least_contrast: rounded(seen.contrast / 4.0),
        };
        seen.into_iter().map(own).reduce(Self::widened)
    }

    /// Limits within which everything is that is within either.
    #[must_use]
    pub fn widened(self, other: Self) -> Self {
        Self {
            least_level: self.least_level.min(other.least_level),
            greatest_level: self.greatest_level.max(other.greatest_level),
            least_contrast: self.least_contrast.min(other.least_contrast),
        }
    }

    /// Whether light can be within them at all.
    ///
    /// # Errors
    /// Says what is wrong, after the limits' name.
    pub fn check(&self) -> Result<(), String> {
        let share = 0.0..=1.0;
        let values = [self.least_level, self.greatest_level, self.least_contrast];
        if values.iter().any(|value| !share.contains(value)) {
            return Err(format!(
                "has level {} to {} and contrast {}, which must be shares of full scale, 0 to 1",
                self.least_level, self.greatest_level, self.least_contrast
            ));
        }
        if self.least_level >= self.greatest_level {
            return Err(format!(
                "has least_level {}, which is not below greatest_level {}",
                self.least_level, self.greatest_level
            ));
        }
        Ok(())
    }
}

impl std::fmt::Display for LightLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "level {:.2} to {:.2} %, contrast at least {:.2} % of full scale",
            100.0 * self.least_level,
            100.0 * self.greatest_level,
            100.0 * self.least_contrast
        )
    }
}

/// Four digits are more than any lamp keeps, and read well.
fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

/// Light that the inspection cannot work with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BadLight {
    pub seen: Seen,
    pub limits: LightLimits,
}

impl std::fmt::Display for BadLight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "lines are not inspected: their level is {:.2} % and their contrast {:.2} % of full scale, outside of {}; look at lamp, lens and exposure, or at light.limits",
            100.0 * self.seen.level,
            100.0 * self.seen.contrast,
            self.limits
        )
    }
}

/// Judges the light of one block after the other, each for itself.
#[derive(Debug, Clone)]
pub struct LightJudge {
    limits: LightLimits,
    /// Those that are inspected.
    columns: Range<usize>,
}

impl LightJudge {
    /// Judges the inspected columns of lines of `width_px`: all where there are none.
    pub fn new(limits: LightLimits, columns: Option<Columns>, width_px: u32) -> Self {
        let inspected = columns.and_then(|columns| columns.of_lines(width_px));
        let inspected = inspected.unwrap_or(0..width_px);
        Self {
            limits,
            columns: inspected.start as usize..inspected.end as usize,
        }
    }

    /// Says what is wrong with the light of the first part of these lines that is not well.
    pub fn judge(&self, picture: &Picture) -> Option<BadLight> {
        let limits = self.limits;
        let is_bad = |seen: &Seen| {
            !(limits.least_level..=limits.greatest_level).contains(&seen.level)
                || seen.contrast < limits.least_contrast
        };
        let seen = Seen::parts(picture, self.columns.clone()).find(is_bad)?;
        Some(BadLight { seen, limits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Samples;
    use proptest::prelude::*;

    fn seen(picture: &Picture) -> Seen {
        Seen::of(picture, 0..picture.height_px, 0..picture.width_px).unwrap()
    }

    #[test]
    fn level_and_contrast_are_shares_of_full_scale() {
        let eight = Picture::from_grey8(4, 2, vec![0, 51, 51, 102, 0, 51, 51, 102]).unwrap();
        let deep = Samples::U16([0, 51, 51, 102].repeat(2).iter().map(|v| v * 257).collect());
        let sixteen = Picture::new(4, 2, 1, deep).unwrap();
        for picture in [eight, sixteen] {
            let seen = seen(&picture);
            assert!((seen.level - 0.2).abs() < 1e-9, "{seen:?}");
            assert!((seen.contrast - 0.4 / 3.0).abs() < 1e-9, "{seen:?}");
        }
        // Colours that differ are no contrast; neighbours that do are.
        let colour = Samples::U8(vec![255, 0, 0, 255, 0, 0, 0, 0, 0]);
        let seen = seen(&Picture::new(3, 1, 3, colour).unwrap());
        assert!((seen.level - 2.0 / 9.0).abs() < 1e-9, "{seen:?}");
        assert!((seen.contrast - 1.0 / 6.0).abs() < 1e-9, "{seen:?}");
    }

    #[test]
    fn wide_lines_are_looked_at_in_runs_from_their_first_column_to_their_last() {
        let line = |bright: Range<usize>| {
            let samples = (0..8192).map(|column| 200 * u8::from(bright.contains(&column)));
            seen(&Picture::from_grey8(8192, 1, samples.collect()).unwrap()).level
        };
        assert!(line(0..64) > 0.04 && line(8128..8192) > 0.04);
        let half = line(0..4096);
        assert!((half - 100.0 / 255.0).abs() < 0.03, "{half}");
    }

    #[test]
    fn a_lamp_that_fails_within_a_block_is_seen_in_its_last_lines_too() {
        let judge = LightJudge::new(LightLimits::FLOOR, None, 8);
        let dark_from = |line: usize| {
            let samples = (0..8 * 40).map(|at| 100 * u8::from(at / 8 < line));
            judge.judge(&Picture::from_grey8(8, 40, samples.collect()).unwrap())
        };
        assert_eq!(dark_from(40), None);
        assert_eq!(dark_from(16).unwrap().seen.level, 0.0);
        let parts = Seen::parts(&Picture::from_grey8(8, 40, vec![0; 320]).unwrap(), 0..8).count();
        assert_eq!(parts, 2, "the rest is part of the second");
    }

    #[test]
    fn only_what_is_inspected_is_judged() {
        let columns = Some(Columns { first: 2, end: 4 });
        let judge = LightJudge::new(LightLimits::FLOOR, columns, 4);
        let line =
            |samples: [u8; 4]| judge.judge(&Picture::from_grey8(4, 1, samples.into()).unwrap());
        assert_eq!(line([0, 0, 100, 100]), None);
        assert!(line([100, 100, 0, 0]).is_some());
        let bright = line([100, 100, 255, 255]).unwrap().to_string();
        assert!(
            bright.contains("level is 100.00 % and their contrast 0.00 % of full scale, outside of level 2.00 to 98.00 %"),
            "{bright}"
        );
    }

    #[test]
    fn the_limits_of_goods_keep_them_inside_and_darkness_fog_and_glare_out() {
        let weave = |level: f64, contrast: f64| {
            let samples = (0..64 * 64).map(|at| {
                let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
                (255.0 * (level + sign * contrast / 2.0)).round() as u8
            });
            Picture::from_grey8(64, 64, samples.collect()).unwrap()
        };
        let goods = [weave(0.4, 0.2), weave(0.5, 0.16)];
        let limits = LightLimits::of_goods(goods.iter().map(seen)).unwrap();
        assert!((limits.least_level - 0.2).abs() < 0.01, "{limits:?}");
        assert!((limits.greatest_level - 0.75).abs() < 0.01, "{limits:?}");
        assert!((limits.least_contrast - 0.04).abs() < 0.005, "{limits:?}");
        assert_eq!(limits.check(), Ok(()));
        let judge = LightJudge::new(limits, None, 64);
        for good in &goods {
            assert_eq!(judge.judge(good), None);
        }
        for bad in [weave(0.15, 0.1), weave(0.8, 0.2), weave(0.45, 0.02)] {
            assert!(judge.judge(&bad).is_some());
        }
        assert_eq!(LightLimits::of_goods([]), None);
    }

    #[test]
    fn limits_that_nothing_can_keep_are_refused() {
        let with = |least_level, greatest_level, least_contrast| {
            let limits = LightLimits {
                least_level,
                greatest_level,
                least_contrast,
            };
            limits.check().is_ok()
        };
        assert!(with(0.0, 1.0, 0.0) && with(0.2, 0.4, 1.0));
        assert!(!with(0.4, 0.4, 0.0) && !with(-0.1, 0.5, 0.0) && !with(0.1, 0.5, f64::NAN));
    }

    proptest! {
        #[test]
        fn goods_are_within_their_own_limits_however_they_are_widened(
            goods in prop::collection::vec((0.0f64..=1.0, 0.0f64..=1.0), 1..20),
            others in prop::collection::vec((0.0f64..=1.0, 0.0f64..=1.0), 1..20),
        ) {
            let of = |pairs: &[(f64, f64)]| {
                let seen = pairs.iter().map(|&(level, contrast)| Seen { level, contrast });
                LightLimits::of_goods(seen).unwrap()
            };
            let limits = of(&goods).widened(of(&others));
            prop_assert_eq!(limits.check(), Ok(()));
            for (level, contrast) in goods.into_iter().chain(others) {
                prop_assert!(limits.least_level <= level + 1e-4 && level <= limits.greatest_level + 1e-4);
                prop_assert!(limits.least_contrast <= contrast + 1e-4);
            }
        }
    }
}
