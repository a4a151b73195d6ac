//! Which tiles the web is cut into, and what is settled in which order.
//!
//! Whole numbers only, no pixels. Lines are named twice: by their number in the web, and by how many
//! lines were **stored** in the rolling image before them, which has no gaps.

use super::config::WebConfig;
use super::pieces::{Fault, Piece, Segment, Step, TileRow};
use crate::geometry::tile_starts;
use crate::verdict::Reason;
use std::collections::VecDeque;

/// The pieces of web that are not settled, and the rows of tiles over them.
#[derive(Debug)]
pub(super) struct Plan {
    tile_lines: u64,
    stride: u64,
    min_segment: u64,
    /// First columns of the tiles of a row.
    columns: Vec<u32>,
    pieces: VecDeque<Piece>,
    rows: VecDeque<TileRow>,
    /// Rows that were settled and removed: the number of the first in `rows`.
    rows_before: u64,
    last_fault: Option<Reason>,
    most_pieces: usize,
}

impl Plan {
    pub(super) fn new(config: &WebConfig) -> Self {
        let tile_lines = u64::from(config.tile.height_px);
        let stride = config.stride_lines();
        let min_segment = u64::from(config.min_segment_lines.max(1)).min(tile_lines);
        let rolling = u64::from(config.rolling_lines);
        let inspected = config.inspected();
        let length_px = inspected.end - inspected.start;
        let mut columns = tile_starts(length_px, config.tile.width_px, config.overlap_px);
        for column in &mut columns {
            *column += inspected.start;
        }
        let most_rows = rolling / min_segment.min(stride) + rolling / tile_lines + 4;
        let in_flight = u64::from(config.tiles_in_flight);
        let most_pieces = 2 * (rolling / min_segment) as usize + 16;
        Self {
            tile_lines,
            stride,
            min_segment,
            columns,
            pieces: VecDeque::with_capacity(most_pieces + 4),
            rows: VecDeque::with_capacity((most_rows + in_flight) as usize),
            rows_before: 0,
            last_fault: None,
            most_pieces,
        }
    }

    pub(super) fn columns(&self) -> &[u32] {
        &self.columns
    }

    fn across(&self) -> u32 {
        self.columns.len() as u32
    }

    /// Whether every line is settled.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether there are more pieces than ever wait for an engine that still answers.
    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() >= self.most_pieces
    }

    /// Adds a good line below the last one.
    pub(super) fn add_line(&mut self, line: u64, stored: u64) {
        if !matches!(self.pieces.back(), Some(Piece::Segment(s)) if s.open) {
            self.pieces.push_back(Piece::Segment(Segment {
                first_line: line,
                first_stored: stored,
                end_line: line,
                open: true,
                next_start: line,
                planned_to: line,
                cut_to: line,
                settled_to: line,
                before: self.last_fault.take(),
            }));
        }
        let Some(Piece::Segment(segment)) = self.pieces.back_mut() else {
            return;
        };
        segment.end_line = line + 1;
        let start = segment.next_start;
        if segment.end_line == start + self.tile_lines {
            segment.planned_to = segment.end_line;
            segment.next_start = start + self.stride;
            self.rows.push_back(TileRow {
                first_line: start,
                first_stored: segment.first_stored + (start - segment.first_line),
                lines: self.tile_lines as u32,
                from_line: start,
                until_line: start + self.stride,
                cut: 0,
                finished: 0,
            });
        }
    }

    /// Adds lines that are not inspected below the last one.
    pub(super) fn add_fault(&mut self, first_line: u64, lines: u64, reason: Reason) {
        if lines == 0 {
            return;
        }
        self.end_segment(reason);
        let at = self.pieces.len();
        self.insert_fault(at, first_line, lines, reason);
        self.last_fault = Some(reason);
    }

    /// Ends the open segment as a picture ends; `cause` is the fault behind it.
    pub(super) fn end_segment(&mut self, cause: Reason) {
        let Some(Piece::Segment(segment)) = self.pieces.back_mut() else {
            return;
        };
        if !segment.open {
            return;
        }
        segment.open = false;
        let Segment {
            first_line,
            first_stored,
            end_line,
            next_start,
            planned_to,
            ..
        } = *segment;
        let lines = end_line - first_line;
        if planned_to > first_line {
            if planned_to < end_line {
                let start = end_line - self.tile_lines;
                self.rows.push_back(TileRow {
                    first_line: start,
                    first_stored: first_stored + (start - first_line),
                    lines: self.tile_lines as u32,
                    from_line: next_start,
                    until_line: end_line,
                    cut: 0,
                    finished: 0,
                });
            }
        } else if lines >= self.min_segment {
            self.rows.push_back(TileRow {
                first_line,
                first_stored,
                lines: lines as u32,
                from_line: first_line,
                until_line: end_line,
                cut: 0,
                finished: 0,
            });
        } else {
            let reason = segment.before.unwrap_or(cause);
            self.pieces.pop_back();
            let at = self.pieces.len();
            self.insert_fault(at, first_line, lines, reason);
        }
    }

    /// The first row that has tiles to cut, with its place.
    pub(super) fn uncut(&self) -> Option<(usize, &TileRow)> {
        let across = self.across();
        self.rows
            .iter()
            .enumerate()
            .find(|(_, row)| row.cut < across)
    }

    /// The number of the row at a place: it stays the same while the row waits.
    pub(super) fn number_of(&self, place: usize) -> u64 {
        self.rows_before + place as u64
    }

    /// The row with this number, where it is not settled.
    pub(super) fn row(&self, number: u64) -> Option<&TileRow> {
        self.rows
            .get(number.checked_sub(self.rows_before)? as usize)
    }

    pub(super) fn first_row(&self) -> Option<&TileRow> {
        self.rows.front()
    }

    /// Takes the next tile of the row at a place and gives its column.
    pub(super) fn cut(&mut self, place: usize) -> Option<u32> {
        let row = self.rows.get_mut(place)?;
        let column = *self.columns.get(row.cut as usize)?;
        row.cut += 1;
        let (from, end) = (row.from_line, row.first_line + u64::from(row.lines));
        if row.cut == 1 {
            let at = self.segment_at(from)?;
            if let Some(Piece::Segment(segment)) = self.pieces.get_mut(at) {
                segment.cut_to = end;
            }
        }
        Some(column)
    }

    /// One tile of this row need not be waited for any more.
    pub(super) fn finish(&mut self, number: u64) {
        if let Some(place) = number.checked_sub(self.rows_before)
            && let Some(row) = self.rows.get_mut(place as usize)
        {
            row.finished += 1;
        }
    }

    /// The tiles of the row at a place that were not cut never will be.
    pub(super) fn finish_uncut(&mut self, place: usize) {
        let across = self.across();
        if let Some(row) = self.rows.get_mut(place) {
            row.finished += across - row.cut;
            row.cut = across;
        }
    }

    fn segment_at(&self, line: u64) -> Option<usize> {
        self.pieces.iter().position(
            |piece| matches!(piece, Piece::Segment(s) if (s.first_line..s.end_line).contains(&line)),
        )
    }

    /// Removes a row of which no tile was cut. The lines that only it would have covered become a
    /// fault, so that what is left above and below are two segments.
    pub(super) fn drop_row(&mut self, place: usize, reason: Reason) {
        let Some(row) = self.rows.remove(place) else {
            return;
        };
        let Some(at) = self.segment_at(row.from_line) else {
            return;
        };
        let Piece::Segment(segment) = self.pieces[at] else {
            return;
        };
        let above_end = segment.cut_to;
        let next = self
            .rows
            .get_mut(place)
            .filter(|next| next.from_line < segment.end_line);
        let planned = next.is_some();
        let below_first = match next {
            Some(next) => {
                // A last row that was shifted back may cover more than its regular share.
                next.from_line = next.first_line;
                next.first_line
            }
            None if segment.open => segment.next_start,
            None => segment.end_line,
        };
        if below_first <= above_end {
            if !planned && let Some(Piece::Segment(segment)) = self.pieces.get_mut(at) {
                segment.planned_to = above_end;
            }
            return;
        }
        self.pieces.remove(at);
        let mut at = at;
        if above_end > segment.first_line {
            let above = Segment {
                end_line: above_end,
                open: false,
                ..segment
            };
            self.pieces.insert(at, Piece::Segment(above));
            at += 1;
        }
        at = self.insert_fault(at, above_end, below_first - above_end, reason);
        if planned || segment.open {
            let below = Segment {
                first_line: below_first,
                first_stored: segment.first_stored + (below_first - segment.first_line),
                planned_to: if planned {
                    segment.planned_to
                } else {
                    below_first
                },
                cut_to: below_first,
                settled_to: below_first,
                before: Some(reason),
                ..segment
            };
            self.pieces.insert(at, Piece::Segment(below));
        }
    }

    /// Inserts a fault, or makes the one just above longer; gives the place behind it.
    fn insert_fault(&mut self, at: usize, first_line: u64, lines: u64, reason: Reason) -> usize {
        if lines == 0 {
            return at;
        }
        if let Some(Piece::Fault(above)) = at.checked_sub(1).and_then(|i| self.pieces.get_mut(i))
            && above.reason == reason
        {
            above.lines += lines;
            return at;
        }
        self.pieces.insert(
            at,
            Piece::Fault(Fault {
                first_line,
                lines,
                reason,
            }),
        );
        at + 1
    }

    /// What can be settled next; `None` while it waits for tiles or lines.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        let across = self.across();
        let segment = match self.pieces.front_mut()? {
            Piece::Fault(fault) => {
                let Fault {
                    first_line,
                    lines,
                    reason,
                } = *fault;
                self.pieces.pop_front();
                return Some(Step::Fault {
                    first_line,
                    lines,
                    reason,
                });
            }
            Piece::Segment(segment) => segment,
        };
        let until = match self.rows.front() {
            Some(row) if row.from_line < segment.end_line => {
                if row.finished < across {
                    return None;
                }
                let until = row.until_line;
                self.rows.pop_front();
                self.rows_before += 1;
                until
            }
            _ if segment.open => return None,
            _ if segment.settled_to < segment.end_line => segment.end_line,
            _ => {
                self.pieces.pop_front();
                return Some(Step::SegmentEnd);
            }
        };
        let first_line = segment.settled_to;
        segment.settled_to = until;
        Some(Step::Lines {
            first_line,
            first_stored: segment.first_stored + (first_line - segment.first_line),
            lines: until - first_line,
        })
    }
}
