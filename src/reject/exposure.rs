//! Lines as the ledger takes them: runs of lines that it can treat as one.

use super::RejectConfig;
use crate::block::LineStamp;
use crate::geometry::LineNumber;

/// Consecutive lines of one span, exposed while the web moved one way (or stood). It is plain data,
/// so it goes through a queue without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    pub first_line: LineNumber,
    /// At least 1.
    pub lines: u32,
    /// Of the first line.
    pub first: LineStamp,
    /// Of the last line.
    pub last: LineStamp,
}

/// Cuts a block's stamps into exposures: behind its first line, at the borders of the grid of spans,
/// where the web turns, and where two lines lie farther apart than `max_counts_per_line`.
#[derive(Debug, Clone)]
pub struct Exposures<'a> {
    next_line: u64,
    stamps: &'a [LineStamp],
    span_lines: u64,
    max_counts_per_line: i64,
    /// The line before and the direction it came from; none at the start of the block.
    before: Option<(i64, i64)>,
}

impl RejectConfig {
    /// The exposures of a block whose first line is `first_line`, in order.
    pub fn exposures<'a>(&self, first_line: LineNumber, stamps: &'a [LineStamp]) -> Exposures<'a> {
        Exposures {
            next_line: first_line.0,
            stamps,
            span_lines: u64::from(self.span_lines.max(1)),
            max_counts_per_line: i64::from(self.max_counts_per_line),
            before: None,
        }
    }
}

impl Iterator for Exposures<'_> {
    type Item = Exposure;

    fn next(&mut self) -> Option<Exposure> {
        let first = *self.stamps.first()?;
        let to_border = self.span_lines - self.next_line % self.span_lines;
        // Where the web came from to a block's first line is known to the ledger alone, so that line
        // is a run by itself.
        let (most, mut way) = match self.before {
            None => (1, 0),
            Some((count, way)) => {
                let most = usize::try_from(to_border).unwrap_or(usize::MAX);
                let step = first.count.0.saturating_sub(count).signum();
                (most, if step == 0 { way } else { step })
            }
        };
        let most = most.min(self.stamps.len());
        let mut lines = 1;
        let mut last = first;
        while lines < most {
            let next = self.stamps[lines];
            let step = next.count.0.saturating_sub(last.count.0);
            if step.unsigned_abs() > self.max_counts_per_line.unsigned_abs()
                || step.signum() * way < 0
            {
                break;
            }
            if step != 0 {
                way = step.signum();
            }
            last = next;
            lines += 1;
        }
        self.before = Some((last.count.0, way));
        let exposure = Exposure {
            first_line: LineNumber(self.next_line),
            // A span has at most u32::MAX lines.
            lines: lines as u32,
            first,
            last,
        };
        self.stamps = &self.stamps[lines..];
        self.next_line = self.next_line.saturating_add(lines as u64);
        Some(exposure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Count;

    #[test]
    fn a_run_goes_one_way_from_the_line_before_it() {
        let config = RejectConfig {
            span_lines: 100,
            max_counts_per_line: 3,
            ..RejectConfig::default()
        };
        let stamps: Vec<LineStamp> = [10, 12, 11, 13, 13, 12, 12, 13]
            .iter()
            .map(|&count| LineStamp {
                exposure_ns: 0,
                count: Count(count),
            })
            .collect();
        let runs: Vec<(i64, i64)> = config
            .exposures(LineNumber(0), &stamps)
            .map(|e| (e.first.count.0, e.last.count.0))
            .collect();
        assert_eq!(
            runs,
            [(10, 10), (12, 12), (11, 11), (13, 13), (12, 12), (13, 13)]
        );
    }

    #[test]
    fn runs_end_at_borders_turns_and_gaps() {
        let config = RejectConfig {
            span_lines: 4,
            max_counts_per_line: 3,
            ..RejectConfig::default()
        };
        let stamps: Vec<LineStamp> = [10, 12, 12, 14, 16, 15, 14, 20, 21]
            .iter()
            .map(|&count| LineStamp {
                exposure_ns: 0,
                count: Count(count),
            })
            .collect();
        let runs: Vec<(u64, u32, i64, i64)> = config
            .exposures(LineNumber(6), &stamps)
            .map(|e| (e.first_line.0, e.lines, e.first.count.0, e.last.count.0))
            .collect();
        assert_eq!(
            runs,
            [
                (6, 1, 10, 10),
                (7, 1, 12, 12),
                (8, 3, 12, 16),
                (11, 1, 15, 15),
                (12, 1, 14, 14),
                (13, 2, 20, 21),
            ]
        );
        assert!(config.exposures(LineNumber(6), &[]).next().is_none());
    }
}
