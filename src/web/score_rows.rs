//! The window's mean, row by row, together with the rows of the map that it belongs to.

use crate::draem::score::{Window, WindowRows};
use crate::verdict::Reason;

/// A row of the map and of its mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScoredRow<'a> {
    pub line: u64,
    pub trouble: Option<Reason>,
    pub anomaly: &'a [f32],
    pub score: &'a [f32],
}

#[derive(Debug)]
pub(super) struct ScoreRows {
    width: usize,
    mean: WindowRows,
    /// The rows of the map that the mean holds back, and the row itself: row `n` at `n % held rows`.
    held: Vec<f32>,
    lines: Vec<(u64, Option<Reason>)>,
    taken: usize,
    given: usize,
}

impl ScoreRows {
    pub(super) fn new(width: usize, window: Window) -> Self {
        let held_rows = window.reach_px() + 1;
        Self {
            width,
            mean: WindowRows::new(width, window),
            held: vec![0.0; held_rows * width],
            lines: vec![(0, None); held_rows],
            taken: 0,
            given: 0,
        }
    }

    /// Takes the next row and gives the one whose mean is now complete.
    pub(super) fn push(
        &mut self,
        line: u64,
        trouble: Option<Reason>,
        anomaly: &[f32],
    ) -> Option<ScoredRow<'_>> {
        let slot = self.taken % self.lines.len();
        self.held[slot * self.width..(slot + 1) * self.width].copy_from_slice(anomaly);
        self.lines[slot] = (line, trouble);
        self.taken += 1;
        let score = self.mean.push(anomaly)?;
        let slot = self.given % self.lines.len();
        self.given += 1;
        Some(scored(
            &self.held,
            self.width,
            slot,
            self.lines[slot],
            score,
        ))
    }

    /// After the last row of a segment: the rows still missing; then `None`, and a new segment may
    /// begin.
    pub(super) fn flush(&mut self) -> Option<ScoredRow<'_>> {
        let score = self.mean.flush()?;
        let slot = self.given % self.lines.len();
        self.given += 1;
        Some(scored(
            &self.held,
            self.width,
            slot,
            self.lines[slot],
            score,
        ))
    }
}

fn scored<'a>(
    held: &'a [f32],
    width: usize,
    slot: usize,
    (line, trouble): (u64, Option<Reason>),
    score: &'a [f32],
) -> ScoredRow<'a> {
    ScoredRow {
        line,
        trouble,
        anomaly: &held[slot * width..(slot + 1) * width],
        score,
    }
}
