//! Whole numbers by powers of two.

use serde::{Deserialize, Serialize};

/// Cells: 0, 1, 2..3, 4..7 and so on; the last takes everything above.
const CELLS: usize = 24;

/// How often which size was seen. Takes no memory after construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    cells: [u64; CELLS],
    max: u64,
}

impl Histogram {
    /// Counts one more.
    pub fn add(&mut self, value: u64) {
        let cell = (u64::BITS - value.leading_zeros()) as usize;
        self.cells[cell.min(CELLS - 1)] += 1;
        self.max = self.max.max(value);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// The greatest of all.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The least value that at least `share` of all are not above, rounded up to its cell's end.
    pub fn at_most(&self, share: f64) -> u64 {
        let wanted = (self.total() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (cell, &count) in self.cells.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return ((1u64 << cell) - 1).min(self.max);
            }
        }
        self.max
    }

    /// Cells that hold something: first value, last value, how many.
    pub fn cells(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let max = self.max;
        self.cells
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(move |(cell, &count)| {
                let last = (1u64 << cell) - 1;
                let last = if cell == CELLS - 1 { max } else { last };
                ((1u64 << cell) >> 1, last, count)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_their_cell() {
        let mut histogram = Histogram::default();
        for value in [0, 0, 0, 1, 2, 3, 4, 700, u64::MAX] {
            histogram.add(value);
        }
        let cells: Vec<_> = histogram.cells().collect();
        assert_eq!(
            cells,
            [
                (0, 0, 3),
                (1, 1, 1),
                (2, 3, 2),
                (4, 7, 1),
                (512, 1023, 1),
                (1 << 22, u64::MAX, 1)
            ]
        );
        assert_eq!((histogram.total(), histogram.max()), (9, u64::MAX));
        assert_eq!(histogram.at_most(0.3), 0);
        assert_eq!(histogram.at_most(0.6), 3);
        assert_eq!(histogram.at_most(0.0), 0);
    }
}
