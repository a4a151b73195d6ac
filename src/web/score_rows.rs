//! The 21x21 mean, row by row, together with the rows of the map that it belongs to.

use crate::draem::score::{WINDOW_PX, WindowRows};
use crate::verdict::Reason;

/// Rows of the map that the mean holds back, and the row itself.
const HELD_ROWS: usize = WINDOW_PX / 2 + 1;

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
    /// The last rows of the map, row `n` at `n % HELD_ROWS`.
    held: Vec<f32>,
    lines: [(u64, Option<Reason>); HELD_ROWS],
    taken: usize,
    given: usize,
}

impl ScoreRows {
    pub(super) fn new(width: usize) -> Self {
        Self {
            width,
            mean: WindowRows::new(width),
            held: vec![0.0; HELD_ROWS * width],
            lines: [(0, None); HELD_ROWS],
            taken: 0,
            given: 0,
        }
    }

    /// Takes the next row and gives the one 10 above.
    pub(super) fn push(
        &mut self,
        line: u64,
        trouble: Option<Reason>,
        anomaly: &[f32],
    ) -> Option<ScoredRow<'_>> {
        let slot = self.taken % HELD_ROWS;
        self.held[slot * self.width..(slot + 1) * self.width].copy_from_slice(anomaly);
        self.lines[slot] = (line, trouble);
        self.taken += 1;
        let score = self.mean.push(anomaly)?;
        let slot = self.given % HELD_ROWS;
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
        let slot = self.given % HELD_ROWS;
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
