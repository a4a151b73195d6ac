//! Early stopping on simulated validation.

use super::metrics_log::{Record, Validation};

/// Watches validations for the best one.
#[derive(Debug, Clone, PartialEq)]
pub struct Patience {
    limit: u64,
    best: Option<f64>,
    /// Validations since the best one.
    since: u64,
}

impl Patience {
    /// Has seen the validations in `records`. With `limit` 0 nothing is ever better and the run never
    /// ends early.
    pub fn new(limit: u64, records: &[Record]) -> Self {
        let mut patience = Self {
            limit,
            best: None,
            since: 0,
        };
        for record in records {
            if let Record::Validation { figures, .. } = record {
                patience.is_better(figures);
            }
        }
        patience
    }

    /// Whether this is the best validation so far: by the mean of image and pixel AP, which both rare
    /// misses and false alarms lower.
    pub fn is_better(&mut self, figures: &Validation) -> bool {
        if self.limit == 0 {
            return false;
        }
        let value = (figures.image_ap + figures.pixel_ap) / 2.0;
        let better = self.best.is_none_or(|best| value > best);
        self.since += 1;
        if better {
            self.best = Some(value);
            self.since = 0;
        }
        better
    }

    /// Whether so many validations brought nothing better that the run ends.
    pub fn is_over(&self) -> bool {
        self.limit > 0 && self.since >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blemish::draem::score::Window;

    fn validation(pixel_ap: f64) -> Validation {
        Validation {
            tiles: 8,
            window_px: Window::OFFICIAL,
            image_auroc: 0.5,
            image_ap: 0.5,
            pixel_ap,
        }
    }

    #[test]
    fn it_ends_after_so_many_that_were_no_better() {
        let mut patience = Patience::new(2, &[]);
        let better: Vec<bool> = [0.1, 0.3, 0.3, 0.2]
            .map(|ap| {
                assert!(!patience.is_over());
                patience.is_better(&validation(ap))
            })
            .into();
        assert_eq!(better, [true, true, false, false]);
        assert!(patience.is_over());
    }

    #[test]
    fn what_was_logged_counts_and_none_means_never() {
        let records: Vec<Record> = [0.4, 0.2, 0.1]
            .map(|ap| Record::Validation {
                step: 1,
                figures: validation(ap),
            })
            .into();
        assert!(Patience::new(2, &records).is_over());
        assert!(!Patience::new(3, &records).is_over());
        let mut never = Patience::new(0, &records);
        assert!(!never.is_over() && !never.is_better(&validation(0.9)));
    }
}
