//! Scores against what people marked, at the pictures' own resolution.

use super::conveyor::Inspected;
use super::files::Known;
use blemish::metrics::{MetricError, Ranking, Scores};
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
    /// The five metrics in the order of the fields.
    pub const fn values(&self) -> [f64; 5] {
        [
            self.image_auroc,
            self.image_ap,
            self.pixel_auroc,
            self.pixel_ap,
            self.aupro,
        ]
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
    /// Adds a picture.
    ///
    /// # Errors
    /// If a score is not a number.
    pub fn add(&mut self, known: &Known, found: &Inspected) -> Result<(), MetricError> {
        let Some(mask) = &found.mask else {
            return Ok(());
        };
        let defect = known.mask.is_some();
        let kind = if defect {
            self.defects.entry(known.kind.clone()).or_default()
        } else {
            &mut self.good
        };
        kind.pictures += 1;
        kind.by_picture.push(found.score, defect)?;
        kind.by_pixel.push_map(&found.map, mask)
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
        let mut rows = Vec::new();
        for (name, kind) in &self.defects {
            rows.push(row(name, &[kind])?);
        }
        let kinds: Vec<&Kind> = self.defects.values().collect();
        let all = row("all", &kinds)?;
        let mean =
            |value: fn(&Row) -> f64| rows.iter().map(value).sum::<f64>() / rows.len().max(1) as f64;
        let mean = Row {
            kind: "mean".to_owned(),
            pictures: all.pictures,
            image_auroc: mean(|row| row.image_auroc),
            image_ap: mean(|row| row.image_ap),
            pixel_auroc: mean(|row| row.pixel_auroc),
            pixel_ap: mean(|row| row.pixel_ap),
            aupro: mean(|row| row.aupro),
        };
        rows.extend([mean, all]);
        Ok(rows)
    }
}
