//! How well scores tell defects from good: AUROC, average precision and AUPRO.
//!
//! * **AUROC**: area under the curve of true over false positive rate; ties count half, as in
//!   scikit-learn's `roc_auc_score`;
//! * **average precision** (AP): precision weighted by the steps of recall, not interpolated, as in
//!   scikit-learn's `average_precision_score`;
//! * **AUPRO**: mean overlap of the ground truth's regions over the false positive rate up to 0.3,
//!   divided by 0.3 (Bergmann et al., IJCV 2021).
//!
//! All are exact over every distinct score that they are given; none is binned here. Where maps are stitched from
//! overlapping tiles, scores are multiples of 2^-40 before. A good pixel costs 4 bytes, a pixel of a defect 8, however many
//! rankings share it.

mod evaluation;
mod regions;

pub use evaluation::{Evaluation, Row, SUMMARIES, Unmarked};

use crate::picture::Mask;
use std::borrow::Cow;

/// False positive rate up to which AUPRO is integrated.
pub const AUPRO_GREATEST_FPR: f64 = 0.3;

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// Every score belongs to good.
    #[error(
        "there is no defect among the scores; AUROC and AP need both kinds, add defective test pictures"
    )]
    NoDefect,
    /// Every score belongs to a defect.
    #[error(
        "there is nothing good among the scores; AUROC and AUPRO need both kinds, add good test pictures"
    )]
    NoGood,
    /// NaN, infinite or negative.
    #[error(
        "the score {0} is not a finite number of at least 0; check the bundle with 'blemish model show'"
    )]
    Score(f32),
    /// Map and mask do not show the same pixels.
    #[error("a map of {map} pixels does not fit a mask of {width_px}x{height_px}")]
    Size {
        map: usize,
        width_px: usize,
        height_px: usize,
    },
}

/// Scores with their truth: one per picture, or one per pixel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scores {
    /// Bits of the scores of what is good. Floats of at least 0 are in the order of their bits.
    good: Vec<u32>,
    /// Bits of the scores of defects with the number of pixels in the ground truth's region.
    defect: Vec<(u32, u32)>,
    regions: u64,
}

impl Scores {
    /// No scores.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the score of one picture.
    ///
    /// # Errors
    /// If the score is not finite or below 0.
    pub fn push(&mut self, score: f32, defect: bool) -> Result<(), MetricError> {
        let bits = bits(score)?;
        if defect {
            self.defect.push((bits, 1));
            self.regions += 1;
        } else {
            self.good.push(bits);
        }
        Ok(())
    }

    /// Adds every pixel of a row-major anomaly map.
    ///
    /// # Errors
    /// If map and mask differ in size or a value is not finite or below 0; nothing is added then.
    pub fn push_map(&mut self, map: &[f32], mask: &Mask) -> Result<(), MetricError> {
        if map.len() != mask.defect.len() {
            return Err(MetricError::Size {
                map: map.len(),
                width_px: mask.width_px,
                height_px: mask.height_px,
            });
        }
        if let Some(&bad) = map.iter().find(|&&score| bits(score).is_err()) {
            return Err(MetricError::Score(bad));
        }
        let (labels, sizes) = regions::label(mask);
        for (&score, &label) in map.iter().zip(&labels) {
            let bits = bits(score)?;
            match label {
                0 => self.good.push(bits),
                region => self.defect.push((bits, sizes[region as usize - 1])),
            }
        }
        self.regions += sizes.len() as u64;
        Ok(())
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.good.is_empty() && self.defect.is_empty()
    }

    /// Puts the scores in order, after which any number of rankings can share them.
    pub fn sorted(mut self) -> Sorted {
        self.good.sort_unstable();
        self.defect.sort_unstable();
        Sorted(self)
    }

    /// Ranks these scores.
    ///
    /// # Errors
    /// If one of the two classes is missing.
    pub fn into_ranking(self) -> Result<Ranking<'static>, MetricError> {
        Ranking::new(vec![Cow::Owned(self.sorted())])
    }
}

/// Scores in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted(Scores);

impl Sorted {
    /// Ranks the union of several sets, for instance the good pictures and one kind of defect; none is copied.
    ///
    /// # Errors
    /// If one of the two classes is missing.
    pub fn rank<'a>(
        sets: impl IntoIterator<Item = &'a Sorted>,
    ) -> Result<Ranking<'a>, MetricError> {
        Ranking::new(sets.into_iter().map(Cow::Borrowed).collect())
    }
}

/// Order-preserving bits; -0 becomes 0.
fn bits(score: f32) -> Result<u32, MetricError> {
    if score.is_finite() && score >= 0.0 {
        Ok((score + 0.0).to_bits())
    } else {
        Err(MetricError::Score(score))
    }
}

/// The union of sets of scores in order, with at least one good and one defect among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking<'a>(Vec<Cow<'a, Sorted>>);

/// What falls on one distinct score.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    good: u64,
    defect: u64,
    /// Sum of the shares of their regions that these pixels of a defect are.
    overlap: f64,
}

impl<'a> Ranking<'a> {
    fn new(sets: Vec<Cow<'a, Sorted>>) -> Result<Self, MetricError> {
        let ranking = Self(sets);
        if ranking.defects() == 0 {
            return Err(MetricError::NoDefect);
        }
        if ranking.goods() == 0 {
            return Err(MetricError::NoGood);
        }
        Ok(ranking)
    }

    fn sets(&self) -> impl Iterator<Item = &Scores> {
        self.0.iter().map(|set| &set.0)
    }

    fn goods(&self) -> usize {
        self.sets().map(|set| set.good.len()).sum()
    }

    fn defects(&self) -> usize {
        self.sets().map(|set| set.defect.len()).sum()
    }

    /// Visits the distinct scores from the greatest to the least until `visit` returns `false`.
    fn descend(&self, mut visit: impl FnMut(Step) -> bool) {
        let mut goods: Vec<&[u32]> = self.sets().map(|set| &set.good[..]).collect();
        let mut defects: Vec<&[(u32, u32)]> = self.sets().map(|set| &set.defect[..]).collect();
        loop {
            let good = goods.iter().filter_map(|set| set.last()).max();
            let mut defect = next(&mut defects);
            let Some(score) = good.copied().max(defect.as_ref().map(|(found, _)| found.0)) else {
                return;
            };
            let mut step = Step::default();
            for set in &mut goods {
                while let [rest @ .., last] = *set
                    && *last == score
                {
                    (*set, step.good) = (rest, step.good + 1);
                }
            }
            // The greatest regions first, whatever set they are in, so that the sum is the same however the scores are
            // divided into sets.
            while let Some(((last, region_px), set)) = defect
                && last == score
            {
                *set = &set[..set.len() - 1];
                step.defect += 1;
                step.overlap += 1.0 / f64::from(region_px);
                defect = next(&mut defects);
            }
            if !visit(step) {
                return;
            }
        }
    }

    /// Area under the receiver operating characteristic, in [0, 1].
    pub fn auroc(&self) -> f64 {
        let (mut above, mut twice_area) = (0u64, 0u128);
        self.descend(|step| {
            twice_area += u128::from(step.good) * u128::from(2 * above + step.defect);
            above += step.defect;
            true
        });
        let pairs = self.goods() as f64 * self.defects() as f64;
        twice_area as f64 / 2.0 / pairs
    }

    /// Average precision, in [0, 1].
    pub fn average_precision(&self) -> f64 {
        let (mut found, mut called, mut sum) = (0u64, 0u64, 0f64);
        self.descend(|step| {
            found += step.defect;
            called += step.defect + step.good;
            sum += step.defect as f64 * (found as f64 / called as f64);
            true
        });
        sum / self.defects() as f64
    }

    /// Area under the per-region overlap up to a false positive rate of [`AUPRO_GREATEST_FPR`],
    /// divided by it, in [0, 1]. Only scores added by [`Scores::push_map`] have regions.
    pub fn aupro(&self) -> f64 {
        let good = self.goods() as f64;
        let (mut false_positives, mut overlap, mut area) = (0u64, 0f64, 0f64);
        self.descend(|step| {
            let before = (false_positives as f64 / good, overlap);
            false_positives += step.good;
            overlap += step.overlap;
            let rate = false_positives as f64 / good;
            if rate >= AUPRO_GREATEST_FPR {
                let share = (AUPRO_GREATEST_FPR - before.0) / (rate - before.0);
                let last = before.1 + share * (overlap - before.1);
                area += (AUPRO_GREATEST_FPR - before.0) * (before.1 + last) / 2.0;
                return false;
            }
            area += (rate - before.0) * (before.1 + overlap) / 2.0;
            true
        });
        let regions: u64 = self.sets().map(|set| set.regions).sum();
        area / regions as f64 / AUPRO_GREATEST_FPR
    }
}

/// The greatest of what is left of several sorted sets, with its set.
fn next<'a, 'b, T: Copy + Ord>(sets: &'b mut [&'a [T]]) -> Option<(T, &'b mut &'a [T])> {
    let left = sets.iter_mut().filter_map(|set| Some((*set.last()?, set)));
    left.max_by_key(|(last, _)| *last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_golden;
    use proptest::prelude::*;

    fn ranking(pairs: &[(f32, bool)]) -> Result<Ranking<'static>, MetricError> {
        let mut scores = Scores::new();
        for &(score, defect) in pairs {
            scores.push(score, defect)?;
        }
        scores.into_ranking()
    }

    #[test]
    fn equals_scikit_learn_with_ties() {
        let (Some(mut golden), Some(auroc), Some(ap)) = (
            test_golden::open("units.npz"),
            test_golden::scalar("roc_auc"),
            test_golden::scalar("average_precision"),
        ) else {
            return;
        };
        let truth = golden.i64("m_y").into_iter().map(|y| y == 1);
        let pairs: Vec<(f32, bool)> = golden
            .f64("m_s")
            .into_iter()
            .map(|score| score as f32)
            .zip(truth)
            .collect();
        let ranking = ranking(&pairs).unwrap();
        assert!(
            (ranking.auroc() - auroc).abs() < 1e-6,
            "{}",
            ranking.auroc()
        );
        assert!((ranking.average_precision() - ap).abs() < 1e-6);
    }

    /// The example of scikit-learn's documentation.
    #[test]
    fn a_small_case_by_hand() {
        let ranking = ranking(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]).unwrap();
        assert_eq!(ranking.auroc(), 0.75);
        assert!((ranking.average_precision() - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn one_class_and_broken_scores_are_errors() {
        assert_eq!(ranking(&[(0.5, false)]), Err(MetricError::NoDefect));
        assert_eq!(ranking(&[(0.5, true)]), Err(MetricError::NoGood));
        assert!(matches!(
            ranking(&[(f32::NAN, true)]),
            Err(MetricError::Score(_))
        ));
        assert!(matches!(
            ranking(&[(-0.1, true)]),
            Err(MetricError::Score(_))
        ));
        let mask = Mask::good(2, 2);
        assert!(matches!(
            Scores::new().push_map(&[0.0; 3], &mask),
            Err(MetricError::Size { .. })
        ));
    }

    fn by_definition(map: &[f32], mask: &Mask) -> f64 {
        let (labels, sizes) = regions::label(mask);
        let mut thresholds: Vec<f32> = map.to_vec();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let good = labels.iter().filter(|&&l| l == 0).count() as f64;
        let mut curve = vec![(0.0, 0.0)];
        for threshold in thresholds {
            let called = |label: u32| {
                let both = map.iter().zip(&labels);
                both.filter(|&(&s, &l)| s >= threshold && l == label)
                    .count() as f64
            };
            let overlap: f64 = (1..=sizes.len())
                .map(|region| called(region as u32) / f64::from(sizes[region - 1]))
                .sum();
            curve.push((called(0) / good, overlap / sizes.len() as f64));
        }
        // 30,000 equal slices of the piecewise linear curve, at their middles.
        let value = |x: f64| {
            let after = curve.iter().position(|p| p.0 > x).unwrap();
            let (a, b) = (curve[after - 1], curve[after]);
            a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)
        };
        (0..30_000)
            .map(|i| value((i as f64 + 0.5) * 1e-5))
            .sum::<f64>()
            / 30_000.0
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn aupro_equals_its_definition(
            levels in prop::collection::vec(0u8..6, 48), marks in prop::collection::vec(0u8..4, 48),
        ) {
            let map: Vec<f32> = levels.iter().map(|&v| f32::from(v) / 5.0).collect();
            let defect: Vec<bool> = marks.iter().map(|&m| m == 0).collect();
            prop_assume!(defect.contains(&true) && defect.contains(&false));
            let mask = Mask { width_px: 8, height_px: 6, defect };
            let mut scores = Scores::new();
            scores.push_map(&map, &mask).unwrap();
            let aupro = scores.into_ranking().unwrap().aupro();
            prop_assert!((aupro - by_definition(&map, &mask)).abs() < 2e-4);
        }

        #[test]
        fn sets_are_ranked_as_all_their_scores_together(
            maps in prop::collection::vec(prop::collection::vec((0u8..6, 0u8..4), 48), 1..5),
        ) {
            let (mut together, mut sets) = (Scores::new(), Vec::new());
            for pixels in &maps {
                let map: Vec<f32> = pixels.iter().map(|&(v, _)| f32::from(v) / 5.0).collect();
                let defect = pixels.iter().map(|&(_, m)| m == 0).collect();
                let mask = Mask { width_px: 8, height_px: 6, defect };
                let mut set = Scores::new();
                set.push_map(&map, &mask).unwrap();
                together.push_map(&map, &mask).unwrap();
                sets.push(set.sorted());
            }
            let figures = |ranking: Result<Ranking<'_>, MetricError>| {
                ranking.map(|r| [r.auroc(), r.average_precision(), r.aupro()].map(f64::to_bits))
            };
            prop_assert_eq!(figures(Sorted::rank(&sets)), figures(together.into_ranking()));
        }

        #[test]
        fn auroc_is_the_share_of_ordered_pairs(
            pairs in prop::collection::vec((0u8..8, any::<bool>()), 2..60),
        ) {
            let pairs: Vec<(f32, bool)> = pairs.iter().map(|&(s, d)| (f32::from(s), d)).collect();
            type Scored = Vec<(f32, bool)>;
            let (defects, goods): (Scored, Scored) = pairs.iter().copied().partition(|p| p.1);
            prop_assume!(!defects.is_empty() && !goods.is_empty());
            let mut won = 0.0;
            for defect in &defects {
                for good in &goods {
                    won += match defect.0.total_cmp(&good.0) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            let share = won / (defects.len() * goods.len()) as f64;
            prop_assert!((ranking(&pairs).unwrap().auroc() - share).abs() < 1e-12);
        }
    }
}
