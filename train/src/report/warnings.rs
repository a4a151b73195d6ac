//! What is wrong with a set of good pictures, as far as the pictures themselves tell.

use super::file_name;
use super::look::Look;
use crate::threshold::{goods_needed, upper_95};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Good pictures for training below which there is a warning: few show all that good product may
/// look like.
const FEW_GOODS: usize = 30;
/// False rejects per 1000 that people ask for.
const CLAIM: f64 = 10.0;
/// Correlation of thumbnails from which two pictures show the same piece of product.
const SAME: f32 = 0.95;
/// From so many pictures on, what all have in common (a printed pattern, the sample's outline) is
/// taken off before they are compared.
const COMMON_FROM: usize = 8;
/// Pictures that are compared each with each; a few seconds.
const COMPARED: usize = 5000;
/// Share of a picture's samples at the end of the scale.
const SATURATED: f64 = 0.01;
/// Least drift that matters: of the brightness in levels of 8 bit, of the spread as a share.
const DRIFT_LEVELS: f64 = 2.0;
const DRIFT_SHARE: f64 = 0.1;
/// Standard errors beyond which a drift is no chance.
const DRIFT_ERRORS: f64 = 3.0;
/// Files that are named.
const NAMED: usize = 5;

/// The sets of good pictures of a run.
pub struct Goods<'a> {
    pub train: &'a [Look],
    pub held_out: &'a [Look],
    /// Held-out pictures that are training pictures, or other held-out ones, under other names and judge nothing.
    pub copies: &'a [Look],
    /// Goods of another imaging run.
    pub other: &'a [Look],
}

/// Sentences for people, the gravest first; empty where nothing was found.
pub fn warnings(goods: &Goods<'_>) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(few(goods));
    found.extend(leaks(goods));
    let held_out = goods.held_out.iter().chain(goods.copies);
    let own: Vec<&Look> = goods.train.iter().chain(held_out).collect();
    found.extend(duplicates(&own, goods.other));
    found.extend(saturated(&own, "training's own run"));
    if !goods.other.is_empty() {
        let other: Vec<&Look> = goods.other.iter().collect();
        found.extend(saturated(&other, "the other run"));
        found.extend(drift(&own, &other));
    }
    found
}

fn few(goods: &Goods<'_>) -> Vec<String> {
    // A copy says nothing that its original does not.
    let different = |looks: &[Look]| {
        looks
            .iter()
            .map(|look| look.digest)
            .collect::<HashSet<_>>()
            .len()
    };
    let [train, held, other] = [goods.train, goods.held_out, goods.other].map(different);
    let mut found = Vec::new();
    if train < FEW_GOODS {
        found.push(format!(
            "too few goods: {train} pictures for training; take {FEW_GOODS} or more, from all that good product \
             may look like"
        ));
    }
    let needed = goods_needed(CLAIM);
    let judged = held.max(other);
    if judged < needed as usize {
        let promise = 1000.0 * upper_95(0, judged as u32);
        found.push(format!(
            "too few goods for the threshold: {judged} allow no better promise than {promise:.0} false rejects per \
             1000; {CLAIM} per 1000 needs {needed} goods that training never saw"
        ));
    }
    found
}

/// Pictures that training saw and that are to judge it.
fn leaks(goods: &Goods<'_>) -> Option<String> {
    let seen: HashMap<&[u8; 32], &Look> = goods
        .train
        .iter()
        .map(|look| (&look.digest, look))
        .collect();
    let judges = goods.held_out.iter().chain(goods.other);
    let leaked: Vec<String> = judges
        .filter_map(|look| Some(pair(&seen.get(&look.digest)?.path, &look.path)))
        .collect();
    (!leaked.is_empty()).then(|| {
        format!(
            "{} of the goods that set or check the threshold are training pictures as well, so it is too low: {}",
            leaked.len(),
            named(&leaked)
        )
    })
}

/// Exact ones in all pictures; near ones in training's own run alone, for what the pictures of one run share and those of
/// another do not would be taken for the same piece of product.
fn duplicates(own: &[&Look], other: &[Look]) -> Vec<String> {
    let mut first: HashMap<&[u8; 32], &Look> = HashMap::new();
    let mut exact = Vec::new();
    let mut different: Vec<&Look> = Vec::new();
    for (number, look) in own.iter().copied().chain(other).enumerate() {
        match first.get(&look.digest) {
            Some(before) => exact.push(pair(&before.path, &look.path)),
            None => {
                first.insert(&look.digest, look);
                different.extend((number < own.len()).then_some(look));
            }
        }
    }
    let mut found = Vec::new();
    if !exact.is_empty() {
        found.push(format!(
            "exact duplicates: {} pixel for pixel: {}",
            counted(exact.len(), "pair"),
            named(&exact)
        ));
    }
    let left_out = different.len().saturating_sub(COMPARED);
    different.truncate(COMPARED);
    let near: Vec<String> = (alike(&different).into_iter())
        .map(|(a, b)| pair(&different[a].path, &different[b].path))
        .collect();
    if !near.is_empty() {
        let rest = match left_out {
            0 => String::new(),
            count => format!(" ({count} more pictures were not compared)"),
        };
        found.push(format!(
            "near duplicates: {} of pictures with the same piece of product; where one is held out and the other is \
             not, the threshold is too low: {}{rest}",
            counted(near.len(), "pair"),
            named(&near)
        ));
    }
    found
}

/// Pairs whose thumbnails are the same up to brightness and contrast, each picture named once.
fn alike(looks: &[&Look]) -> Vec<(usize, usize)> {
    let length = looks.first().map_or(0, |look| look.thumbnail.len());
    let mut common = vec![0f32; length];
    if looks.len() >= COMMON_FROM {
        for look in looks {
            for (sum, value) in common.iter_mut().zip(&look.thumbnail) {
                *sum += value / looks.len() as f32;
            }
        }
    }
    let directions: Vec<Vec<f32>> = (looks.iter())
        .map(|look| {
            let own: Vec<f32> = (look.thumbnail.iter().zip(&common))
                .map(|(value, common)| value - common)
                .collect();
            let size = own.iter().map(|v| v * v).sum::<f32>().sqrt();
            // A picture without any structure is like no other.
            let factor = if size > 1e-2 { 1.0 / size } else { 0.0 };
            own.into_iter().map(|value| value * factor).collect()
        })
        .collect();
    let partner = |later: usize| {
        (0..later)
            .map(|earlier| (earlier, dot(&directions[earlier], &directions[later])))
            .filter(|(_, correlation)| *correlation >= SAME)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(earlier, _)| (earlier, later))
    };
    (0..looks.len())
        .into_par_iter()
        .filter_map(partner)
        .collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (a, b) = (a.as_chunks::<16>().0, b.as_chunks::<16>().0);
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

fn saturated(looks: &[&Look], set: &str) -> Vec<String> {
    type Share = fn(&Look) -> f64;
    let ends: [(&str, &str, Share); 2] = [
        ("white", "shorten the exposure", |look| look.white_share),
        (
            "black",
            "lengthen the exposure, or keep what is no product out of the picture",
            |look| look.black_share,
        ),
    ];
    ends.into_iter()
        .filter_map(|(end, cure, share)| {
            let hit: Vec<String> = (looks.iter())
                .filter(|look| share(look) > SATURATED)
                .map(|look| format!("{} ({:.1} %)", file_name(&look.path), 100.0 * share(look)))
                .collect();
            (!hit.is_empty()).then(|| {
                format!(
                    "saturated: in {} of {} pictures of {set} more than {} % of the samples are {end}, where no \
                     defect can be seen; {cure}: {}",
                    hit.len(),
                    looks.len(),
                    100.0 * SATURATED,
                    named(&hit)
                )
            })
        })
        .collect()
}

/// How two sets differ in one number for each picture.
struct Difference {
    means: [f64; 2],
    standard_error: f64,
}

impl Difference {
    fn of(a: &[&Look], b: &[&Look], value: fn(&Look) -> f64) -> Self {
        let sets = [a, b].map(|looks| {
            let count = looks.len().max(1) as f64;
            let mean = looks.iter().map(|look| value(look)).sum::<f64>() / count;
            let squares: f64 = looks.iter().map(|look| (value(look) - mean).powi(2)).sum();
            (count, mean, squares)
        });
        let [(n, first, squares), (m, second, more)] = sets;
        let pooled = (squares + more) / (n + m - 2.0).max(1.0);
        let largest = n.max(m);
        let error = |(count, _, squares): (f64, f64, f64)| {
            let own = squares / (count - 1.0).max(1.0);
            // One picture has no spread, and a few may be alike by chance.
            let variance = if count < largest {
                own.max(pooled)
            } else {
                own
            };
            variance / count
        };
        Self {
            means: [first, second],
            standard_error: sets.map(error).iter().sum::<f64>().sqrt(),
        }
    }

    fn exceeds(&self, least: f64) -> bool {
        let difference = (self.means[1] - self.means[0]).abs();
        difference >= least && difference > DRIFT_ERRORS * self.standard_error
    }
}

fn drift(own: &[&Look], other: &[&Look]) -> Vec<String> {
    let brightness = Difference::of(own, other, |look| look.mean);
    let spread = Difference::of(own, other, |look| look.spread);
    let least = DRIFT_SHARE * spread.means[0].max(1.0);
    [
        (brightness, DRIFT_LEVELS, "brightness", "the lamp, the exposure and the flat field"),
        (spread, least, "contrast", "focus, lamp and material"),
    ]
    .into_iter()
    .filter(|(difference, least, ..)| difference.exceeds(*least))
    .map(|(difference, _, what, check)| {
        format!(
            "drift: the {what} of the other run's goods is {:.1} on average, in training's own run {:.1} (levels of 8 \
             bit): check {check}, or train on both",
            difference.means[1], difference.means[0]
        )
    })
    .collect()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn pair(a: &Path, b: &Path) -> String {
    match file_name(a) == file_name(b) {
        true => format!("{} and {}", a.display(), b.display()),
        false => format!("{} and {}", file_name(a), file_name(b)),
    }
}

fn named(items: &[String]) -> String {
    let mut text = items[..items.len().min(NAMED)].join(", ");
    if items.len() > NAMED {
        text.push_str(&format!(" and {} more", items.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Draws;
    use blemish::picture::Picture;

    /// A noisy picture of its own for every seed, brighter by `offset`.
    fn look(seed: u64, offset: f64) -> Look {
        let mut draws = Draws::of_sample(seed, 0);
        let samples = (0..64 * 64).map(|_| draws.between(60.0, 120.0) + offset);
        let picture = Picture::from_grey8(64, 64, samples.map(|v| v as u8).collect()).unwrap();
        Look::at(format!("{seed}.png").as_ref(), &picture)
    }

    fn looks(seeds: std::ops::Range<u64>, offset: f64) -> Vec<Look> {
        seeds.map(|seed| look(seed, offset)).collect()
    }

    fn told(train: &[Look], held_out: &[Look], other: &[Look]) -> Vec<String> {
        warnings(&Goods {
            train,
            held_out,
            copies: &[],
            other,
        })
    }

    #[test]
    fn enough_good_pictures_of_two_runs_give_no_warning() {
        assert_eq!(
            told(&looks(0..40, 0.0), &[], &looks(100..400, 0.5)),
            [""; 0],
            "no warning"
        );
    }

    #[test]
    fn too_few_goods_say_how_many_are_needed() {
        let found = told(&looks(0..10, 0.0), &looks(10..12, 0.0), &[]);
        assert!(
            found[0].starts_with("too few goods: 10 pictures"),
            "{found:?}"
        );
        assert!(found[1].contains("promise than 776 false rejects") && found[1].contains("299"));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_training_picture_does_not_judge_unnoticed() {
        let train = looks(0..30, 0.0);
        let found = told(&train, &[look(3, 0.0)], &[look(4, 0.0)]);
        let leak = found
            .iter()
            .find(|text| text.contains("are training pictures as well"));
        assert!(
            leak.is_some_and(|text| text.starts_with("2 of the goods")),
            "{found:?}"
        );
    }

    #[test]
    fn duplicates_are_found_exact_and_near() {
        let mut train = looks(0..30, 0.0);
        train.push(Look {
            path: "copy.png".into(),
            ..look(5, 0.0)
        });
        // The same piece of product under another lamp.
        train.push(Look {
            path: "brighter.png".into(),
            ..look(7, 40.0)
        });
        let found = told(&train, &[], &[]);
        let has = |text: &str| found.iter().any(|warning| warning.contains(text));
        assert!(has("exact duplicates: 1 pair pixel"), "{found:?}");
        assert!(has("5.png and copy.png"), "{found:?}");
        assert!(
            has("near duplicates: 1 pair of") && has("7.png and brighter.png"),
            "{found:?}"
        );
    }

    #[test]
    fn drift_and_saturation_are_told() {
        let found = told(&looks(0..40, 0.0), &[], &looks(100..110, 150.0));
        let has = |text: &str| found.iter().any(|warning| warning.contains(text));
        assert!(has("drift: the brightness"), "{found:?}");
        assert!(
            has("saturated: in 10 of 10 pictures of the other run"),
            "{found:?}"
        );
        let slight = told(&looks(0..40, 0.0), &[], &looks(100..110, 1.0));
        assert!(
            slight.iter().all(|text| !text.contains("drift")),
            "{slight:?}"
        );
    }

    #[test]
    fn one_picture_drifts_where_it_lies_outside_of_what_the_own_ones_show() {
        let own: Vec<Look> = (0..40)
            .map(|seed| look(seed, 2.0 * (seed % 10) as f64))
            .collect();
        let drifts = |train: &[Look], other: &[Look]| {
            let found = told(train, &[], other);
            found.iter().any(|text| text.contains("drift"))
        };
        assert!(!drifts(&own, &[look(100, 15.0)]));
        assert!(drifts(&own, &[look(100, 60.0)]));
        assert!(!drifts(&[look(100, 15.0)], &own));
        // Two that are equally bright by chance.
        let alike = [look(100, 15.0), look(101, 15.0)];
        assert!(!drifts(&own, &alike));
    }

    #[test]
    fn copies_are_counted_once_and_told() {
        let copies: Vec<Look> = (0..300)
            .map(|number| Look {
                path: format!("{number}.png").into(),
                ..look(100, 0.0)
            })
            .collect();
        let found = told(&looks(0..40, 0.0), &[], &copies);
        let has = |text: &str| found.iter().any(|warning| warning.contains(text));
        assert!(has("too few goods for the threshold: 1 allow"), "{found:?}");
        assert!(has("exact duplicates: 299 pairs"), "{found:?}");
        let found = told(&copies, &[], &[]);
        assert!(found[0].contains("too few goods: 1 pictures"), "{found:?}");
    }
}
