//! The figures of a test set: every kind of defect against all good pictures, and all together.

use super::{MetricError, Ranking, Scores, Sorted};
use crate::picture::Mask;
use serde::Serialize;
use std::collections::BTreeMap;

/// What rows are called that sum up all kinds of defects; no kind can be called so.
pub const SUMMARIES: [&str; 2] = ["mean", "all"];

/// Scores of one kind of pictures.
#[derive(Debug, Default)]
struct Kind {
    pictures: u32,
    /// Those whose masks mark nothing.
    unmarked: u32,
    by_picture: Scores,
    by_pixel: Scores,
}

/// The same in order.
struct SortedKind {
    pictures: u32,
    by_picture: Sorted,
    by_pixel: Sorted,
}

impl Kind {
    fn sorted(self) -> SortedKind {
        SortedKind {
            pictures: self.pictures,
            by_picture: self.by_picture.sorted(),
            by_pixel: self.by_pixel.sorted(),
        }
    }
}

/// Collects scores with their truth, kind by kind.
#[derive(Debug, Default)]
pub struct Evaluation {
    good: Kind,
    defects: BTreeMap<String, Kind>,
}

/// How well one kind of defect is told from good, or all kinds together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// A kind of defect, `mean` of the kinds, or `all` pictures together.
    pub kind: String,
    /// Defective pictures.
    pub pictures: u32,
    pub image_auroc: f64,
    pub image_ap: f64,
    /// Absent, as the two below, where no pixel is marked.
    pub pixel_auroc: Option<f64>,
    pub pixel_ap: Option<f64>,
    /// Up to a false positive rate of 0.3.
    pub aupro: Option<f64>,
}

/// A kind of defect of which some masks mark nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmarked<'a> {
    pub kind: &'a str,
    pub pictures: u32,
    /// Those that nothing is marked on; where these are all, there are no figures by pixel.
    pub unmarked: u32,
}

impl Row {
    /// The five figures in the order of the fields.
    pub const fn values(&self) -> [Option<f64>; 5] {
        [
            Some(self.image_auroc),
            Some(self.image_ap),
            self.pixel_auroc,
            self.pixel_ap,
            self.aupro,
        ]
    }

    /// Plain mean of the figures of `rows`, each over those that have it; by picture zeros for none. Their pictures are
    /// added.
    pub fn mean<'a>(kind: &str, rows: impl IntoIterator<Item = &'a Row> + Clone) -> Self {
        let mean = |value: fn(&Row) -> Option<f64>| {
            let found = || rows.clone().into_iter().filter_map(value);
            let count = found().count();
            (count > 0).then(|| found().sum::<f64>() / count as f64)
        };
        Self {
            kind: kind.to_owned(),
            pictures: rows.clone().into_iter().map(|row| row.pictures).sum(),
            image_auroc: mean(|row| Some(row.image_auroc)).unwrap_or(0.0),
            image_ap: mean(|row| Some(row.image_ap)).unwrap_or(0.0),
            pixel_auroc: mean(|row| row.pixel_auroc),
            pixel_ap: mean(|row| row.pixel_ap),
            aupro: mean(|row| row.aupro),
        }
    }

    fn of(kind: &str, pictures: u32, picture: &Ranking<'_>, pixel: Option<&Ranking<'_>>) -> Self {
        Self {
            kind: kind.to_owned(),
            pictures,
            image_auroc: picture.auroc(),
            image_ap: picture.average_precision(),
            pixel_auroc: pixel.map(Ranking::auroc),
            pixel_ap: pixel.map(Ranking::average_precision),
            aupro: pixel.map(Ranking::aupro),
        }
    }
}

impl Evaluation {
    /// No pictures.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a picture: its kind of defect (`None` for good, which the folder says, not the mask), its
    /// score, and its map with the mask of the same size.
    ///
    /// # Errors
    /// If map and mask differ in size or a score is not a number.
    pub fn add(
        &mut self,
        defect: Option<&str>,
        score: f32,
        map: &[f32],
        mask: &Mask,
    ) -> Result<(), MetricError> {
        let kind = match defect {
            Some(name) => self.defects.entry(name.to_owned()).or_default(),
            None => &mut self.good,
        };
        kind.by_picture.push(score, defect.is_some())?;
        kind.by_pixel.push_map(map, mask)?;
        kind.pictures += 1;
        kind.unmarked += u32::from(!mask.defect.contains(&true));
        Ok(())
    }

    /// Kinds of defects with masks that mark nothing.
    pub fn unmarked(&self) -> impl Iterator<Item = Unmarked<'_>> {
        let kinds = self.defects.iter().map(|(name, kind)| Unmarked {
            kind: name,
            pictures: kind.pictures,
            unmarked: kind.unmarked,
        });
        kinds.filter(|kind| kind.unmarked > 0)
    }

    /// One row for each kind of defect against all good pictures, their mean, and all together. A kind of which
    /// nothing is marked has no figures by pixel and no part in the mean of these.
    ///
    /// # Errors
    /// If there are no good or no defective pictures, or no pixel is good.
    pub fn rows(self) -> Result<Vec<Row>, MetricError> {
        let good = self.good.sorted();
        let defects: BTreeMap<String, SortedKind> = (self.defects.into_iter())
            .map(|(name, kind)| (name, kind.sorted()))
            .collect();
        let row = |name: &str, kinds: &[&SortedKind]| {
            let all = || kinds.iter().copied().chain([&good]);
            let by_picture = Sorted::rank(all().map(|kind| &kind.by_picture))?;
            let by_pixel = match Sorted::rank(all().map(|kind| &kind.by_pixel)) {
                Err(MetricError::NoDefect) => None,
                ranked => Some(ranked?),
            };
            let pictures = kinds.iter().map(|kind| kind.pictures).sum();
            Ok(Row::of(name, pictures, &by_picture, by_pixel.as_ref()))
        };
        let kinds: Vec<&SortedKind> = defects.values().collect();
        let [mean_of_kinds, all_kinds] = SUMMARIES;
        let all = row(all_kinds, &kinds)?;
        let mut rows = (defects.iter())
            .map(|(name, kind)| row(name, &[kind]))
            .collect::<Result<Vec<_>, _>>()?;
        let mean = Row::mean(mean_of_kinds, &rows);
        rows.extend([mean, all]);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(defect: &[bool]) -> Mask {
        Mask {
            width_px: defect.len(),
            height_px: 1,
            defect: defect.to_vec(),
        }
    }

    #[test]
    fn kinds_are_compared_with_the_goods_only_and_the_folder_says_what_is_good() {
        let mut evaluation = Evaluation::new();
        let good = mask(&[false; 2]);
        evaluation.add(None, 0.4, &[0.1, 0.2], &good).unwrap();
        let marked = mask(&[true, false]);
        evaluation
            .add(Some("hole"), 0.9, &[0.9, 0.0], &marked)
            .unwrap();
        // Nothing is marked on this one; it still counts as defective.
        evaluation
            .add(Some("hole"), 0.3, &[0.0, 0.0], &good)
            .unwrap();
        evaluation
            .add(Some("stain"), 0.5, &[0.15, 0.0], &marked)
            .unwrap();
        let rows = evaluation.rows().unwrap();
        let named: Vec<(&str, u32)> = (rows.iter())
            .map(|row| (row.kind.as_str(), row.pictures))
            .collect();
        assert_eq!(named, [("hole", 2), ("stain", 1), ("mean", 3), ("all", 3)]);
        let auroc: Vec<f64> = rows.iter().map(|row| row.image_auroc).collect();
        assert_eq!(auroc, [0.5, 1.0, 0.75, 2.0 / 3.0]);
        assert_eq!(rows[0].pixel_auroc, Some(1.0));
        // Of the three good pixels one lies above the stain.
        assert!((rows[1].pixel_auroc.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_kind_of_which_nothing_is_marked_has_no_figures_by_pixel_and_spoils_no_mean() {
        let mut evaluation = Evaluation::new();
        let good = mask(&[false; 2]);
        evaluation.add(None, 0.4, &[0.1, 0.2], &good).unwrap();
        for name in ["dust", "dust", "hole"] {
            let marked = mask(&[name == "hole", false]);
            let map = [0.9, 0.0];
            evaluation.add(Some(name), 0.9, &map, &marked).unwrap();
        }
        let unmarked = Unmarked {
            kind: "dust",
            pictures: 2,
            unmarked: 2,
        };
        assert_eq!(evaluation.unmarked().collect::<Vec<_>>(), [unmarked]);
        let [dust, hole, mean, all] = &evaluation.rows().unwrap()[..] else {
            panic!("two kinds and their summaries");
        };
        assert_eq!(dust.image_auroc, 1.0);
        assert_eq!(dust.values()[2..], [None; 3]);
        assert_eq!(
            (mean.pixel_auroc, mean.pixel_ap),
            (hole.pixel_auroc, hole.pixel_ap)
        );
        assert!(all.pixel_ap.is_some());
        assert_eq!(
            serde_json::to_value(dust).unwrap()["pixel_ap"],
            serde_json::Value::Null
        );

        let mut blank = Evaluation::new();
        blank.add(None, 0.4, &[0.1, 0.2], &good).unwrap();
        blank.add(Some("dust"), 0.9, &[0.1, 0.2], &good).unwrap();
        let rows = blank.rows().unwrap();
        assert!(
            rows.iter()
                .all(|row| row.aupro.is_none() && row.image_ap == 1.0)
        );
    }

    #[test]
    fn without_goods_or_defects_there_are_no_figures() {
        let mut evaluation = Evaluation::new();
        evaluation.add(None, 0.4, &[0.1], &mask(&[false])).unwrap();
        assert_eq!(evaluation.rows(), Err(MetricError::NoDefect));
        let mut evaluation = Evaluation::new();
        evaluation
            .add(Some("hole"), 0.4, &[0.1], &mask(&[true]))
            .unwrap();
        assert_eq!(evaluation.rows(), Err(MetricError::NoGood));
    }
}
