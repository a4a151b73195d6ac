//! Smooth noise: changes slowly across the web and slowly from line to line.

use super::super::random::Random;

/// Knots across the web, each a twice low-passed random walk along it.
#[derive(Debug)]
pub(super) struct Drift {
    knots: Vec<[f32; 2]>,
    px_per_knot: f32,
    keep: f32,
    amplitude: f32,
    random: Random,
}

impl Drift {
    /// Standard deviation `amplitude`; correlation lengths `across_px` and `along_lines`.
    pub fn new(
        mut random: Random,
        width_px: usize,
        across_px: f32,
        along_lines: f32,
        amplitude: f32,
    ) -> Self {
        let keep = 1.0 - 1.0 / along_lines.max(2.0);
        let count = (width_px as f32 / across_px) as usize + 2;
        let knots = (0..count).map(|_| {
            let value = random.bell();
            [value, value * (1.0 + keep * keep).sqrt() / (1.0 + keep)]
        });
        Self {
            knots: knots.collect(),
            px_per_knot: across_px,
            keep,
            // The second low-pass leaves (1 + k^2) / (1 + k)^2 of the variance.
            amplitude: amplitude * (1.0 + keep) / (1.0 + keep * keep).sqrt(),
            random,
        }
    }

    /// One value that changes along the web only.
    pub fn scalar(random: Random, along_lines: f32, amplitude: f32) -> Self {
        Self::new(random, 0, 1.0, along_lines, amplitude)
    }

    fn advance(&mut self) {
        let kick = (1.0 - self.keep * self.keep).sqrt();
        for [walk, smooth] in &mut self.knots {
            *walk = self.keep * *walk + kick * self.random.bell();
            *smooth = self.keep * *smooth + (1.0 - self.keep) * *walk;
        }
    }

    /// Values of the next line, one per column.
    pub fn next_line(&mut self, out: &mut [f32]) {
        self.advance();
        let step = 1.0 / self.px_per_knot;
        for (column, value) in out.iter_mut().enumerate() {
            let place = column as f32 * step;
            let knot = (place as usize).min(self.knots.len() - 2);
            let share = place - knot as f32;
            let (left, right) = (self.knots[knot][1], self.knots[knot + 1][1]);
            *value = self.amplitude * (left + share * (right - left));
        }
    }

    /// The next line's value of a [`scalar`](Self::scalar).
    pub fn next_value(&mut self) -> f32 {
        self.advance();
        self.amplitude * self.knots[0][1]
    }
}
