//! Metrics against the truth.

use super::conveyor::Inspected;
use super::files::Input;
use blemish::geometry::Columns;
use blemish::metrics::{Evaluation, MetricError, Row};
use blemish::picture::Mask;
use std::ops::Range;

/// Gathers scores and maps with what is known of the pictures.
pub struct Figures {
    evaluation: Evaluation,
    /// What is inspected of a picture: the rest has no score, so it says nothing.
    columns: Option<Columns>,
    failed: Option<MetricError>,
}

impl Figures {
    pub fn new(columns: Option<Columns>) -> Self {
        Self {
            evaluation: Evaluation::new(),
            columns,
            failed: None,
        }
    }

    /// Adds a picture, where something is known of it.
    pub fn add(&mut self, input: &Input, found: &Inspected) {
        let (Some(known), Some(mask)) = (&input.truth, &found.mask) else {
            return;
        };
        let kind = known.mask.as_ref().map(|_| known.kind.as_str());
        let columns = self
            .columns
            .and_then(|columns| columns.of_lines(u32::try_from(mask.width_px).ok()?));
        let added = match columns {
            None => self.evaluation.add(kind, found.score, &found.map, mask),
            Some(columns) => {
                let columns = columns.start as usize..columns.end as usize;
                let map = cut(&found.map, mask.width_px, &columns);
                let mask = Mask {
                    width_px: columns.len(),
                    height_px: mask.height_px,
                    defect: cut(&mask.defect, mask.width_px, &columns),
                };
                self.evaluation.add(kind, found.score, &map, &mask)
            }
        };
        if let Err(error) = added {
            self.failed.get_or_insert(error);
        }
    }

    /// Warns of kinds with masks that mark nothing.
    pub fn warn_of_unmarked(&self) {
        for kind in self.evaluation.unmarked() {
            log::warn!(
                "of the {} masks of '{}' {} mark nothing, so their pictures count as defective and their pixels as good",
                kind.pictures,
                kind.kind,
                kind.unmarked
            );
        }
    }

    /// One row for each kind, their mean, and all together.
    ///
    /// # Errors
    /// Why there are none.
    pub fn rows(self) -> Result<Vec<Row>, MetricError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.evaluation.rows(),
        }
    }
}

/// These columns of row-major values.
fn cut<T: Copy>(values: &[T], width_px: usize, columns: &Range<usize>) -> Vec<T> {
    let rows = values.chunks_exact(width_px);
    rows.flat_map(|row| &row[columns.clone()])
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_every_row_are_cut() {
        assert_eq!(cut(&[0, 1, 2, 3, 4, 5], 3, &(1..3)), [1, 2, 4, 5]);
    }
}
