//! The lowest threshold that keeps a promise of few false rejects, from goods of another imaging run.
//!
//! Let `k` of `n` independent goods be rejected by a threshold that stands between the `k`-th and the
//! next score. The share of further goods that it rejects is then Beta(k + 1, n - k) distributed,
//! whatever the scores' distribution (Wilks 1941); its mean is `(k + 1) / (n + 1)` and its 95 % point
//! Clopper and Pearson's upper end. The more of the goods may be rejected, the lower the threshold, and
//! the less is missed; so the greatest `k` whose 95 % point keeps the promise is taken.

use super::{LEAST_MARGIN, SHARE_OF_GAP, goods_needed, upper_95};
use std::fmt;

/// A promise that too few goods were given for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TooFew {
    pub goods: u32,
    pub needed: u32,
    pub rejects_per_1000: f64,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            goods,
            needed,
            rejects_per_1000,
        } = self;
        let best = 1000.0 * upper_95(0, *goods);
        write!(
            f,
            "{goods} good pictures cannot promise at most {rejects_per_1000} false rejects per 1000 with \
             95 % confidence: at least {needed} are needed; with these, ask for --rejects-per-1000 {:.0} or more",
            best.ceil()
        )
    }
}

impl std::error::Error for TooFew {}

/// A promise that no threshold keeps: more goods than it allows have the greatest score there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtTheTop {
    pub goods: u32,
    /// Goods that the highest threshold rejects.
    pub rejected: u32,
}

impl fmt::Display for AtTheTop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} good pictures have the greatest possible score, 1, which every threshold rejects, and that is \
             more than the promise allows: look whether these are good and taken as those of training were, \
             or train with such pictures",
            self.rejected, self.goods
        )
    }
}

impl std::error::Error for AtTheTop {}

/// Where the promise puts the limit among sorted values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Goods that are rejected.
    pub rejected: u32,
    /// Greatest value of a good that is not rejected.
    pub accepted: f64,
    /// Smallest value of a good that is rejected, where there is one.
    pub next: Option<f64>,
}

/// Refuses a promise that so many goods cannot keep, whatever their values are.
///
/// # Errors
/// There are too few.
pub fn enough(goods: u32, rejects_per_1000: f64) -> Result<(), TooFew> {
    match goods > 0 && 1000.0 * upper_95(0, goods) <= rejects_per_1000 {
        true => Ok(()),
        false => Err(TooFew {
            goods,
            needed: goods_needed(rejects_per_1000),
            rejects_per_1000,
        }),
    }
}

/// The limit with the most rejected goods that keeps the promise. Values are what the limit is set on:
/// scores, or areas.
///
/// # Errors
/// If so few goods allow no such promise.
pub fn limit(values: &[f64], rejects_per_1000: f64) -> Result<Limit, TooFew> {
    let goods = values.len() as u32;
    let keeps = |rejected: u32| 1000.0 * upper_95(rejected, goods) <= rejects_per_1000;
    enough(goods, rejects_per_1000)?;
    let mut allowed = 0;
    while allowed + 1 < goods && keeps(allowed + 1) {
        allowed += 1;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    // Goods of equal value are rejected together or not at all.
    let accepted = sorted[allowed as usize];
    let rejected = sorted.iter().take_while(|&&value| value > accepted).count();
    Ok(Limit {
        rejected: rejected as u32,
        accepted,
        next: rejected.checked_sub(1).map(|last| sorted[last]),
    })
}

impl Limit {
    /// The score that stands for the limit among `scores`: halfway to the rejected good with the lowest score, or
    /// above all goods by as much as [`choose`](super::choose) would set it below `weakest_defect`.
    ///
    /// # Errors
    /// It would reject more than [`Limit::rejected`], for there is no score above 1.
    pub fn score(&self, scores: &[f64], weakest_defect: Option<f64>) -> Result<f32, AtTheTop> {
        let margin = match (self.next, weakest_defect) {
            (Some(next), _) => 0.5 * (next - self.accepted),
            (None, Some(defect)) => (SHARE_OF_GAP * (defect - self.accepted)).max(LEAST_MARGIN),
            (None, None) => LEAST_MARGIN,
        };
        let score = (self.accepted + margin).min(1.0) as f32;
        // Rounding must not put a good back on the threshold that is to be accepted.
        let score = if f64::from(score) <= self.accepted && score < 1.0 {
            score.next_up()
        } else {
            score
        };
        let reached = scores.iter().filter(|&&good| good >= f64::from(score));
        let rejected = reached.count() as u32;
        match rejected > self.rejected {
            true => Err(AtTheTop {
                goods: scores.len() as u32,
                rejected,
            }),
            false => Ok(score),
        }
    }

    /// Expected rejects and their 95 % bound per 1000 further goods, of `goods` seen.
    pub fn per_1000(&self, goods: u32) -> (f64, f64) {
        let expected = f64::from(self.rejected + 1) / f64::from(goods + 1);
        (1000.0 * expected, 1000.0 * upper_95(self.rejected, goods))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_few_goods_are_told_how_many_are_needed() {
        let error = limit(&[0.1; 100], 10.0).unwrap_err();
        assert_eq!(error.needed, 299);
        let words = error.to_string();
        assert!(words.contains("at least 299 are needed"), "{words}");
        // 1 - 0.05^(1/100) is 0.0295.
        assert!(words.contains("--rejects-per-1000 30 "), "{words}");
        assert!(limit(&[0.1; 299], 10.0).is_ok());
        assert!(limit(&[], 1000.0).is_err());
    }

    #[test]
    fn more_goods_allow_some_to_be_rejected() {
        let scores: Vec<f64> = (0..1000).map(|i| f64::from(i) / 2000.0).collect();
        let found = limit(&scores, 10.0).unwrap();
        // Clopper and Pearson: 4 of 1000 gives 9.13 per 1000, 5 of 1000 gives 10.48.
        assert_eq!(found.rejected, 4);
        let score = found.score(&scores, None).unwrap();
        assert_eq!(scores.iter().filter(|&&s| s >= f64::from(score)).count(), 4);
    }

    #[test]
    fn without_a_rejected_good_a_weak_defect_pulls_the_threshold_up_by_a_quarter() {
        let found = limit(&[0.2; 40], 100.0).unwrap();
        let score = |weakest| found.score(&[0.2; 40], weakest).unwrap();
        assert!((score(Some(0.6)) - 0.3).abs() < 1e-6);
        assert!((score(Some(0.1)) - 0.21).abs() < 1e-6);
        assert!((score(None) - 0.21).abs() < 1e-6);
    }

    #[test]
    fn goods_with_the_greatest_score_break_the_promise() {
        let scores = [[1.0; 3].as_slice(), &[0.4; 97]].concat();
        // 3 of 100 give 75.7 per 1000, 2 give 61.6.
        let lax = limit(&scores, 80.0).unwrap();
        assert_eq!(lax.rejected, 3);
        assert!(lax.score(&scores, None).is_ok());
        let strict = limit(&scores, 70.0).unwrap();
        let error = strict.score(&scores, None).unwrap_err();
        assert_eq!((error.rejected, error.goods), (3, 100));
        let words = error.to_string();
        assert!(
            words.contains("3 of 100 good pictures have the greatest"),
            "{words}"
        );
    }

    proptest! {
        /// The promise is on the goods that the score rejects, ties and rounding included.
        #[test]
        fn the_score_rejects_as_many_as_the_limit_says(
            // As scores are: what f32 holds.
            scores in prop::collection::vec((0u16..=200).prop_map(|s| f64::from(f32::from(s) / 200.0)), 30..200),
            at_the_top in 0usize..40,
        ) {
            let scores = [scores, vec![1.0; at_the_top]].concat();
            let goods = scores.len() as u32;
            let found = limit(&scores, 100.0).unwrap();
            match found.score(&scores, None) {
                Ok(score) => {
                    let rejected = scores.iter().filter(|&&s| s as f32 >= score).count();
                    prop_assert!(rejected <= found.rejected as usize);
                    prop_assert!(found.per_1000(goods).1 <= 100.0);
                }
                Err(_) => {
                    let most = scores.iter().filter(|&&s| s == 1.0).count() as u32;
                    prop_assert!(1000.0 * upper_95(most, goods) > 100.0);
                }
            }
        }
    }
}
