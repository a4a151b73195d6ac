//! The figures of a test set: every kind of defect against all good pictures, and all together.

use super::{MetricError, Ranking, Scores};
use crate::picture::Mask;
use serde::Serialize;
use std::collections::BTreeMap;

/// Scores of one kind of pictures.
#[derive(Debug, Default)]
struct Kind {
    pictures: u32,
    by_picture: Scores,
    by_pixel: Scores,
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
    pub pixel_auroc: f64,
    pub pixel_ap: f64,
    /// Up to a false positive rate of 0.3.
    pub aupro: f64,
}

impl Row {
    /// The five figures in the order of the fields.
    pub const fn values(&self) -> [f64; 5] {
        [
            self.image_auroc,
            self.image_ap,
            self.pixel_auroc,
            self.pixel_ap,
            self.aupro,
        ]
    }

    /// Plain mean of the figures of `rows`, zeros for none; their pictures are added.
    pub fn mean<'a>(kind: &str, rows: impl IntoIterator<Item = &'a Row> + Clone) -> Self {
        let count = rows.clone().into_iter().count().max(1) as f64;
        let mean = |value: fn(&Row) -> f64| {
            let sum = rows.clone().into_iter().map(value).sum::<f64>();
            sum / count
        };
        Self {
            kind: kind.to_owned(),
            pictures: rows.clone().into_iter().map(|row| row.pictures).sum(),
            image_auroc: mean(|row| row.image_auroc),
            image_ap: mean(|row| row.image_ap),
            pixel_auroc: mean(|row| row.pixel_auroc),
            pixel_ap: mean(|row| row.pixel_ap),
            aupro: mean(|row| row.aupro),
        }
    }

    fn of(kind: &str, pictures: u32, picture: &Ranking, pixel: &Ranking) -> Self {
        Self {
            kind: kind.to_owned(),
            pictures,
            image_auroc: picture.auroc(),
            image_ap: picture.average_precision(),
            pixel_auroc: pixel.auroc(),
            pixel_ap: pixel.average_precision(),
            aupro: pixel.aupro(),
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
        Ok(())
    }

    /// One row for each kind of defect against all good pictures, their mean, and all together.
    ///
    /// # Errors
    /// If there are no good or no defective pictures, or no defect is marked.
    pub fn rows(&self) -> Result<Vec<Row>, MetricError> {
        let row = |name: &str, kinds: &[&Kind]| {
            let all = || kinds.iter().copied().chain([&self.good]);
            let by_picture = Scores::rank(all().map(|kind| &kind.by_picture))?;
            let by_pixel = Scores::rank(all().map(|kind| &kind.by_pixel))?;
            let pictures = kinds.iter().map(|kind| kind.pictures).sum();
            Ok(Row::of(name, pictures, &by_picture, &by_pixel))
        };
        let kinds: Vec<&Kind> = self.defects.values().collect();
        let all = row("all", &kinds)?;
        let mut rows = (self.defects.iter())
            .map(|(name, kind)| row(name, &[kind]))
            .collect::<Result<Vec<_>, _>>()?;
        let mean = Row::mean("mean", &rows);
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
        assert_eq!(rows[0].pixel_auroc, 1.0);
        // Of the three good pixels one lies above the stain.
        assert!((rows[1].pixel_auroc - 2.0 / 3.0).abs() < 1e-12);
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
