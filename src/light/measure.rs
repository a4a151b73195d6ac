//! Sums over lines, column by column.

use crate::camera::LineFormat;
use crate::picture::LineSamples;

/// What is known of one column of one channel.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    sum: u64,
    squares: u64,
    /// Squares of the differences from line to line.
    steps: u64,
    last: u16,
    /// Samples at full scale.
    full: u64,
}

/// Lines seen under unchanged light. Memory is taken once.
#[derive(Debug, Clone)]
pub struct Measurement {
    format: LineFormat,
    full_scale: u16,
    lines: u64,
    columns: Vec<Sums>,
    /// Sum and squares of the lines' means.
    line_means: (f64, f64),
}

impl Measurement {
    pub fn new(format: LineFormat) -> Self {
        Self {
            format,
            full_scale: if format.sixteen_bit { u16::MAX } else { 255 },
            lines: 0,
            columns: vec![Sums::default(); format.samples_per_line()],
            line_means: (0.0, 0.0),
        }
    }

    /// Adds a line; one of another length or depth is left out.
    pub fn add(&mut self, line: LineSamples<'_>) {
        match line {
            LineSamples::U8(line) if !self.format.sixteen_bit => {
                self.take(line.iter().map(|&sample| u16::from(sample)), line.len());
            }
            LineSamples::U16(line) if self.format.sixteen_bit => {
                self.take(line.iter().copied(), line.len());
            }
            _ => {}
        }
    }

    fn take(&mut self, line: impl Iterator<Item = u16>, length: usize) {
        if length != self.columns.len() || length == 0 {
            return;
        }
        let mut total = 0;
        for (sums, sample) in self.columns.iter_mut().zip(line) {
            let value = u64::from(sample);
            total += value;
            sums.sum += value;
            sums.squares += value * value;
            if self.lines > 0 {
                sums.steps += u64::from(sample.abs_diff(sums.last)).pow(2);
            }
            sums.last = sample;
            sums.full += u64::from(sample == self.full_scale);
        }
        let mean = total as f64 / length as f64;
        self.line_means.0 += mean;
        self.line_means.1 += mean * mean;
        self.lines += 1;
    }

    pub fn lines(&self) -> u64 {
        self.lines
    }

    pub fn format(&self) -> LineFormat {
        self.format
    }

    /// Greatest value of a sample.
    pub fn full_scale(&self) -> f64 {
        f64::from(self.full_scale)
    }

    fn count(&self) -> f64 {
        self.lines.max(1) as f64
    }

    /// Mean of every column, channels interleaved.
    pub fn means(&self) -> Vec<f64> {
        let means = self.columns.iter().map(|sums| sums.sum as f64);
        means.map(|sum| sum / self.count()).collect()
    }

    /// Standard deviation of every column over the lines.
    pub(super) fn deviations(&self) -> Vec<f64> {
        let deviations = self.columns.iter().map(|sums| {
            let mean = sums.sum as f64 / self.count();
            (sums.squares as f64 / self.count() - mean * mean)
                .max(0.0)
                .sqrt()
        });
        deviations.collect()
    }

    /// The part of it that changes from each line to the next: temporal noise.
    pub(super) fn noises(&self) -> Vec<f64> {
        let steps = self.lines.saturating_sub(1).max(1) as f64;
        let noises = self
            .columns
            .iter()
            .map(|sums| (sums.steps as f64 / steps / 2.0).sqrt());
        noises.collect()
    }

    /// Share of every column's samples at full scale.
    pub(super) fn full_shares(&self) -> Vec<f64> {
        let shares = self.columns.iter().map(|sums| sums.full as f64);
        shares.map(|full| full / self.count()).collect()
    }

    /// Standard deviation of the lines' means.
    pub(super) fn line_deviation(&self) -> f64 {
        let (sum, squares) = self.line_means;
        let mean = sum / self.count();
        (squares / self.count() - mean * mean).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_deviations_and_noise_are_those_of_the_columns() {
        let format = LineFormat {
            width_px: 3,
            channels: 1,
            sixteen_bit: false,
            lines_per_block: 1,
        };
        let mut measured = Measurement::new(format);
        // Even; a step from line to line; a slow change.
        for line in 0..4u8 {
            measured.add(LineSamples::U8(&[
                255,
                10 + 2 * (line % 2),
                20 + line / 2 * 8,
            ]));
        }
        measured.add(LineSamples::U8(&[1, 2]));
        measured.add(LineSamples::U16(&[1, 2, 3]));
        assert_eq!(measured.lines(), 4);
        assert_eq!(measured.means(), [255.0, 11.0, 24.0]);
        assert_eq!(measured.deviations(), [0.0, 1.0, 4.0]);
        let noises = measured.noises();
        assert_eq!(noises[0], 0.0);
        assert!((noises[1] - 2f64.sqrt()).abs() < 1e-9);
        assert!((noises[2] - (64.0f64 / 3.0 / 2.0).sqrt()).abs() < 1e-9);
        assert_eq!(measured.full_shares(), [1.0, 0.0, 0.0]);
    }
}
