//! From judged lines to a verdict per span.
//!
//! Spans lie on a grid of line numbers and are split where inspected lines and others meet, so that
//! every line is in exactly one span. A span waits until all its lines are scored and every region
//! that reaches into it is known to reject or is complete.

use super::Sink;
use crate::geometry::LineNumber;
use crate::verdict::{Reason, Span, SpanVerdict, Verdict};
use std::collections::VecDeque;

#[derive(Debug, Clone, Copy)]
struct Cell {
    first_line: u64,
    end_line: u64,
    /// Whether no line can be added.
    complete: bool,
    /// Lines of a segment and lines of a fault never share a cell.
    inspected: bool,
    defect: bool,
    /// Why the first of the lines that were not inspected was not.
    reason: Option<Reason>,
}

impl Cell {
    fn verdict(&self) -> SpanVerdict {
        SpanVerdict {
            span: Span {
                first_line: LineNumber(self.first_line),
                lines: (self.end_line - self.first_line) as u32,
            },
            verdict: match (self.defect, self.reason) {
                (true, _) => Verdict::Defect,
                (false, Some(reason)) => Verdict::NotInspected(reason),
                (false, None) => Verdict::Ok,
            },
        }
    }
}

#[derive(Debug)]
pub(super) struct Spans {
    span_lines: u64,
    /// Spans without a verdict, in order; only the last is not complete.
    cells: VecDeque<Cell>,
}

impl Spans {
    pub(super) fn new(span_lines: u32, max_region_lines: u32) -> Self {
        let waiting = (max_region_lines / span_lines).min(1 << 12) as usize + 8;
        Self {
            span_lines: u64::from(span_lines),
            cells: VecDeque::with_capacity(waiting),
        }
    }

    /// Adds a scored line of a segment.
    pub(super) fn add_line(&mut self, line: u64, trouble: Option<Reason>) {
        match self.cells.back_mut() {
            Some(cell) if !cell.complete && cell.inspected => {
                cell.end_line = line + 1;
                cell.reason = cell.reason.or(trouble);
            }
            _ => {
                self.complete_last();
                self.cells.push_back(Cell {
                    first_line: line,
                    end_line: line + 1,
                    complete: false,
                    inspected: true,
                    defect: false,
                    reason: trouble,
                });
            }
        }
        if (line + 1).is_multiple_of(self.span_lines) {
            self.complete_last();
        }
    }

    /// Adds lines that were not inspected. No region is open.
    pub(super) fn add_fault(
        &mut self,
        first_line: u64,
        lines: u64,
        reason: Reason,
        sink: &mut (impl Sink + ?Sized),
    ) {
        let end = first_line + lines;
        let mut line = first_line;
        while line < end {
            let border = (line / self.span_lines + 1) * self.span_lines;
            let until = border.min(end);
            match self.cells.back_mut() {
                Some(cell) if !cell.complete && !cell.inspected && cell.reason == Some(reason) => {
                    cell.end_line = until;
                }
                _ => {
                    self.complete_last();
                    self.cells.push_back(Cell {
                        first_line: line,
                        end_line: until,
                        complete: false,
                        inspected: false,
                        defect: false,
                        reason: Some(reason),
                    });
                }
            }
            if until == border {
                self.complete_last();
            }
            self.settle(None, sink);
            line = until;
        }
    }

    /// No line will be added to the last span.
    pub(super) fn complete_last(&mut self) {
        if let Some(cell) = self.cells.back_mut() {
            cell.complete = true;
        }
    }

    /// A region that rejects reaches from the first to the last line.
    pub(super) fn mark_defect(&mut self, first_line: u64, last_line: u64) {
        for cell in &mut self.cells {
            if cell.first_line <= last_line && first_line < cell.end_line {
                cell.defect = true;
            }
        }
    }

    /// Gives the verdicts that nothing can change; `oldest_undecided` is the first line of the oldest
    /// region that may yet reject.
    pub(super) fn settle(
        &mut self,
        oldest_undecided: Option<u64>,
        sink: &mut (impl Sink + ?Sized),
    ) {
        while let Some(cell) = self.cells.front() {
            let waits = !cell.defect && oldest_undecided.is_some_and(|line| line < cell.end_line);
            if !cell.complete || waits {
                return;
            }
            sink.verdict(cell.verdict());
            self.cells.pop_front();
        }
    }
}
