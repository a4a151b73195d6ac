//! The threshold from good pictures alone, and how sure one may be of it.
//!
//! A picture is rejected where its score reaches the threshold. With `n` good pictures below it, the
//! chance that the next good picture of the same kind reaches it is at most 1/(n+1) in expectation, and
//! with 95 % confidence at most the upper end of Clopper and Pearson's interval, `1 - 0.05^(1/n)`, about
//! 3/n. Both hold for a threshold placed above the greatest of the `n` scores, whatever their
//! distribution (order statistics). Neither holds for pictures of another day, lamp or material: only
//! goods of another imaging run can tell.

pub mod promise;

use blemish::model::Threshold;

/// Where the threshold goes in the gap between the goods and the simulated defects: nearer to the
/// goods, because real defects are fainter than simulated ones.
const SHARE_OF_GAP: f64 = 0.25;
/// Share of the simulated defects that may lie below the gap's upper end.
const DEFECTS_BELOW_GAP: f64 = 0.05;
/// Above the greatest good score by this much where there is no gap.
const LEAST_MARGIN: f64 = 0.01;
/// Used where no good picture was held out.
const UNKNOWN: f32 = 0.5;
/// What the sentence says, of [`choose`]'s alone, on how a threshold came about.
const OWN_RUN: &str = "the training's own imaging run";
const NO_DATA: &str = "not set from data";

/// Upper end of Clopper and Pearson's one-sided 95 % interval for a rate of which `hits` were seen in
/// `trials`; 1 where nothing was tried.
pub fn upper_95(hits: u32, trials: u32) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    // 60 halvings are beyond f64's resolution of the interval.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if at_most(hits, trials, middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Probability of at most `hits` in `trials` at rate `p`, in (0, 1).
fn at_most(hits: u32, trials: u32, p: f64) -> f64 {
    let (n, log_p, log_q) = (f64::from(trials), p.ln(), (1.0 - p).ln());
    let mut log_choose = 0.0;
    let mut sum = 0.0;
    for k in 0..=hits {
        let k = f64::from(k);
        sum += (log_choose + k * log_p + (n - k) * log_q).exp();
        log_choose += ((n - k) / (k + 1.0)).ln();
    }
    sum
}

/// Good pictures needed, all below the threshold, before 95 % confidence allows the claim of at most
/// `rejects_per_1000`.
pub fn goods_needed(rejects_per_1000: f64) -> u32 {
    (0.05f64.ln() / (1.0 - rejects_per_1000 / 1000.0).ln()).ceil() as u32
}

/// Whether [`choose`] set the threshold, as every export does, so that nothing is lost where it is set again.
pub fn is_of_training(threshold: &Threshold) -> bool {
    [OWN_RUN, NO_DATA]
        .iter()
        .any(|words| threshold.basis.contains(words))
}

/// What a threshold was chosen from and what it would miss.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub threshold: Threshold,
    /// Simulated defects on held-out goods, and how many of them the threshold misses.
    pub simulated_defects: usize,
    pub simulated_missed: usize,
}

/// Chooses the threshold from the scores of held-out goods and, where there are any, of simulated
/// defects on held-out goods.
pub fn choose(goods: &[f32], defects: &[f32], min_area_px: u32) -> Choice {
    let missed = |score: f32| defects.iter().filter(|&&defect| defect < score).count();
    let Some(greatest) = goods.iter().copied().reduce(f32::max) else {
        return Choice {
            threshold: Threshold {
                score: UNKNOWN,
                min_area_px,
                basis: format!("{NO_DATA}: no good picture was held out"),
                goods: 0,
                expected_rejects_per_1000: 1000.0,
                upper_95_rejects_per_1000: 1000.0,
            },
            simulated_defects: defects.len(),
            simulated_missed: missed(UNKNOWN),
        };
    };
    let mut sorted = defects.to_vec();
    sorted.sort_by(f32::total_cmp);
    let weak = sorted.get((DEFECTS_BELOW_GAP * sorted.len() as f64) as usize);
    let top = f64::from(greatest);
    let gap = weak.map_or(0.0, |&weak| f64::from(weak) - top);
    let (margin, reason) = match SHARE_OF_GAP * gap {
        share if share > LEAST_MARGIN => (
            share,
            "a quarter of the way to the score that 95 % of simulated defects exceed",
        ),
        _ => (LEAST_MARGIN, "0.01 above it"),
    };
    let score = (top + margin).min(1.0) as f32;
    let count = goods.len() as u32;
    // Only goods with the greatest possible score can reach a threshold of 1.
    let rejected = goods.iter().filter(|&&good| good >= score).count() as u32;
    let plural = if count == 1 { "picture" } else { "pictures" };
    Choice {
        threshold: Threshold {
            score,
            min_area_px,
            basis: format!(
                "greatest score {greatest:.4} of {count} held-out good {plural} of {OWN_RUN}, \
                 then {reason}; goods of another run may score higher"
            ),
            goods: count,
            expected_rejects_per_1000: 1000.0 * f64::from(rejected + 1) / f64::from(count + 1),
            upper_95_rejects_per_1000: 1000.0 * upper_95(rejected, count),
        },
        simulated_defects: defects.len(),
        simulated_missed: missed(score),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_equal_published_ones() {
        // Rule of three, exact: 1 - 0.05^(1/n).
        for n in [1u32, 10, 29, 299] {
            let exact = 1.0 - 0.05f64.powf(1.0 / f64::from(n));
            assert!((upper_95(0, n) - exact).abs() < 1e-12);
        }
        // Computed with exact integers in another language.
        assert!((upper_95(1, 10) - 0.394_163_30).abs() < 1e-7);
        assert!((upper_95(5, 50) - 0.198_833_00).abs() < 1e-7);
        assert_eq!(upper_95(0, 0), 1.0);
        assert_eq!(goods_needed(10.0), 299);
    }

    #[test]
    fn with_a_gap_the_threshold_stands_in_it() {
        let defects: Vec<f32> = (0..100).map(|i| 0.6 + i as f32 * 0.004).collect();
        let choice = choose(&[0.1, 0.2, 0.15], &defects, 1);
        assert!((choice.threshold.score - (0.2 + 0.25 * 0.42)).abs() < 1e-6);
        assert_eq!(choice.simulated_missed, 0);
        assert_eq!(choice.threshold.goods, 3);
        assert!((choice.threshold.expected_rejects_per_1000 - 250.0).abs() < 1e-9);
        assert!(choice.threshold.upper_95_rejects_per_1000 > 600.0);
    }

    #[test]
    fn without_a_gap_it_stands_just_above_the_goods_and_counts_what_is_missed() {
        let choice = choose(&[0.5, 0.7], &[0.3, 0.4, 0.9], 1);
        assert!((choice.threshold.score - 0.71).abs() < 1e-6);
        assert_eq!((choice.simulated_missed, choice.simulated_defects), (2, 3));
    }

    #[test]
    fn no_goods_claim_nothing() {
        let threshold = choose(&[], &[], 1).threshold;
        assert_eq!(threshold.goods, 0);
        assert_eq!(threshold.upper_95_rejects_per_1000, 1000.0);
        assert!(threshold.basis.contains("not set from data"));
    }

    #[test]
    fn a_threshold_says_whether_training_set_it() {
        let of_training = [choose(&[], &[], 1), choose(&[0.1, 0.2], &[0.9], 1)];
        for choice in of_training {
            assert!(is_of_training(&choice.threshold), "{choice:?}");
            let basis = "2 of 300 good pictures in monday are rejected by score".to_owned();
            let set = Threshold {
                basis,
                ..choice.threshold
            };
            assert!(!is_of_training(&set));
        }
    }

    #[test]
    fn goods_that_look_like_the_worst_defect_are_counted() {
        let threshold = choose(&[1.0, 0.2, 1.0], &[], 1).threshold;
        assert_eq!(threshold.score, 1.0);
        assert!((threshold.expected_rejects_per_1000 - 750.0).abs() < 1e-9);
        assert!((threshold.upper_95_rejects_per_1000 - 1000.0 * upper_95(2, 3)).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn no_held_out_good_is_rejected(
            goods in prop::collection::vec(0f32..=1.0, 1..40),
            defects in prop::collection::vec(0f32..=1.0, 0..40),
        ) {
            let score = choose(&goods, &defects, 1).threshold.score;
            prop_assert!(goods.iter().all(|&good| good < score || good == 1.0));
            prop_assert!((0.0..=1.0).contains(&score));
        }
    }
}
