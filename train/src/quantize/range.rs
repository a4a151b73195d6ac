//! What a value's range is, and where to cut it.

/// Bins of a histogram.
const BINS: usize = 2048;
/// Cuts that are tried, as shares of the greatest value.
const CUTS: usize = 96;

/// Histogram of one node's positive values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Range {
    greatest: f32,
    counts: Vec<u64>,
}

impl Range {
    /// Takes in the greatest of `values`.
    pub fn stretch(&mut self, values: &[f32]) {
        self.greatest = values.iter().copied().fold(self.greatest, f32::max);
    }

    /// Counts `values` in bins up to the greatest value seen.
    pub fn count(&mut self, values: &[f32]) {
        self.counts.resize(BINS, 0);
        if self.greatest <= 0.0 {
            return;
        }
        let per_unit = BINS as f32 / self.greatest;
        for &value in values.iter().filter(|&&value| value > 0.0) {
            let bin = ((value * per_unit) as usize).min(BINS - 1);
            self.counts[bin] += 1;
        }
    }

    /// Whether no value was above zero.
    pub fn is_dead(&self) -> bool {
        self.greatest <= 0.0
    }

    /// The end of the range that gives the least squared error with 255 steps: cutting rare great
    /// values gives finer steps to all others.
    pub fn best(&self) -> f32 {
        if self.greatest <= 0.0 {
            return 1.0;
        }
        let cuts = (1..=CUTS).map(|cut| self.greatest * cut as f32 / CUTS as f32);
        let errors = cuts.map(|cut| (self.error(cut), cut));
        errors
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(self.greatest, |(_, cut)| cut)
    }

    /// Mean squared error of values above zero, cut at `cut` and rounded to 255 steps.
    pub fn error(&self, cut: f32) -> f64 {
        let step = f64::from(cut) / 255.0;
        let (mut sum, mut count) = (0f64, 0u64);
        for (bin, &values) in self.counts.iter().enumerate() {
            let value = self.middle(bin);
            let lost = (value - f64::from(cut)).max(0.0);
            let error = if lost > 0.0 {
                lost * lost
            } else {
                step * step / 12.0
            };
            sum += error * values as f64;
            count += values;
        }
        sum / count.max(1) as f64
    }

    /// Mean square of the values above zero.
    pub fn power(&self) -> f64 {
        let counts = self.counts.iter().enumerate();
        let (sum, count) = counts.fold((0f64, 0u64), |(sum, count), (bin, &values)| {
            let value = self.middle(bin);
            (sum + value * value * values as f64, count + values)
        });
        sum / count.max(1) as f64
    }

    fn middle(&self, bin: usize) -> f64 {
        (bin as f64 + 0.5) * f64::from(self.greatest) / BINS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_far_value_is_cut_and_an_even_spread_is_not() {
        let mut spread: Vec<f32> = (0..100_000).map(|i| i as f32 / 100_000.0).collect();
        let of = |values: &[f32]| {
            let mut range = Range::default();
            range.stretch(values);
            range.count(values);
            range
        };
        assert!(of(&spread).best() > 0.97);
        spread.push(40.0);
        let cut = of(&spread);
        // (40 - c)^2 / 100001 + (c / 255)^2 / 12 is least at c = 35.5.
        assert!((cut.best() - 35.5).abs() < 0.8, "{}", cut.best());
        assert!(cut.error(cut.best()) < cut.error(40.0));
        assert!((of(&[]).best() - 1.0).abs() < 1e-9);
    }
}
