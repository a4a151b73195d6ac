//! The camera's side of the ledger: lines that were exposed.

use super::exposure::Exposure;
use super::record::{Fate, Record};
use super::{Ledger, RejectEvent, ReversePolicy, SANE_COUNT};
use crate::geometry::{Count, LineNumber};
use crate::verdict::{Reason, Verdict};
use thiserror::Error;

/// Why lines were not taken; the ledger is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ArmError {
    #[error("the exposure at line {first_line} has no lines; leave it out")]
    Empty { first_line: u64 },
    #[error(
        "line {first_line} was exposed before line {expected}, which is already armed; arm lines in order and once"
    )]
    OutOfOrder { first_line: u64, expected: u64 },
    #[error(
        "{lines} lines from line {first_line} on go beyond the last line number; start a new run"
    )]
    LineNumbers { first_line: u64, lines: u32 },
}

/// The camera's side: which line comes next, and where the last ones were.
#[derive(Debug, Clone)]
pub(super) struct Camera {
    pub next_line: Option<u64>,
    /// Lines below were decided.
    pub decided_to: u64,
    /// Lines below have left the memory.
    pub forgotten_to: u64,
    /// Whether any line since the reset is in the memory.
    pub seen: bool,
    /// Count of the last line whose web is continued by the next.
    pub run: Option<i64>,
    /// Count of the last line, and whether it was accepted.
    pub previous: Option<(i64, bool)>,
    /// Whether the newest record may take more lines.
    pub open: bool,
    /// Lines exposed before belong to web from before the last reset.
    pub since_ns: u64,
}

impl<const N: usize> Ledger<N> {
    /// Takes lines that were exposed: their web will be rejected unless a verdict finds them ok in
    /// time. Web of which no line is ever armed is rejected too.
    ///
    /// Call it in the order of line numbers and before the verdicts of these lines. A gap in line
    /// numbers, or more than `max_counts_per_line` since the line before, is web that was not
    /// inspected (`dropped`). Lines from before the last reset, with impossible counts, or refused
    /// by the reverse policy are accounted at once and own no web.
    ///
    /// # Errors
    /// No lines, lines out of order, or line numbers beyond their range.
    pub fn arm(&mut self, exposure: &Exposure) -> Result<(), ArmError> {
        let first_line = exposure.first_line.0;
        let lines = u64::from(exposure.lines);
        if lines == 0 {
            return Err(ArmError::Empty { first_line });
        }
        let Some(end) = first_line.checked_add(lines) else {
            return Err(ArmError::LineNumbers {
                first_line,
                lines: exposure.lines,
            });
        };
        let expected = self.camera.next_line.unwrap_or(first_line);
        if first_line < expected {
            return Err(ArmError::OutOfOrder {
                first_line,
                expected,
            });
        }
        if self.camera.next_line.is_none() {
            self.camera.decided_to = first_line;
            self.camera.forgotten_to = first_line;
        }
        let gap = first_line - expected;
        self.camera.next_line = Some(end);
        self.sums.lines_travelled += gap + lines;

        let (c0, c1) = (exposure.first.count.0, exposure.last.count.0);
        if let Some(reason) = self.refused(exposure, c0, c1) {
            self.settle_lines(gap, Verdict::NotInspected(Reason::Dropped));
            self.settle_lines(lines, Verdict::NotInspected(reason));
            self.camera.open = false;
            return Ok(());
        }
        if !self.camera.seen {
            self.memory.known_from = c0;
            self.memory.known_to = c0;
            self.memory.origin = c0;
            if self.memory.accepted_to > i64::MIN {
                self.memory.accepted_to = c0;
            }
            self.camera.seen = true;
        }
        let from = match (self.config.reverse, self.camera.run) {
            (ReversePolicy::TrackBackward, _) => self.memory.known_to,
            (_, Some(run)) => run,
            (_, None) => c0.min(self.memory.known_to),
        };
        let most = i64::from(self.config.max_counts_per_line);
        let tracked = self.config.reverse == ReversePolicy::TrackBackward;
        let step = if tracked {
            (c0 - from).max(0)
        } else {
            (c0 - from).abs()
        };
        let mut from = from;
        if gap > 0 || step > most {
            let to = if tracked { c0.max(from) } else { c0 };
            self.camera.open = false;
            self.keep(
                expected,
                gap,
                (from.min(to), from.max(to)),
                Fate::Fixed(Reason::Dropped),
            );
            from = to;
        }
        let hi = from.max(c0).max(c1);
        let lo = if tracked { from } else { from.min(c0).min(c1) };
        let travelled = (c1 - c0).unsigned_abs();
        let whole = travelled <= (lines - 1).saturating_mul(most.unsigned_abs());
        let fate = if whole {
            Fate::Armed
        } else {
            Fate::Fixed(Reason::Dropped)
        };
        if !whole || first_line.is_multiple_of(u64::from(self.config.span_lines.max(1))) {
            self.camera.open = false;
        }
        self.keep(first_line, lines, (lo, hi), fate);
        self.camera.run = Some(c1);
        Ok(())
    }

    /// Why these lines own no web, if they do not; keeps the direction of the lines.
    fn refused(&mut self, exposure: &Exposure, c0: i64, c1: i64) -> Option<Reason> {
        if exposure.first.exposure_ns < self.camera.since_ns {
            return Some(self.memory.origin_reason);
        }
        let (least, most) = (c0.min(c1), c0.max(c1));
        let ahead = self.count.saturating_add(self.distance);
        if least < -SANE_COUNT || most > SANE_COUNT || most > ahead {
            return Some(Reason::Stale);
        }
        let accepted = match self.config.reverse {
            ReversePolicy::TrackBackward => !self.camera.seen || most >= self.memory.known_to,
            ReversePolicy::IgnoreBackward => match self.camera.previous {
                _ if c1 != c0 => c1 > c0,
                Some((previous, accepted)) => c0 > previous || (c0 == previous && accepted),
                None => true,
            },
            ReversePolicy::BiDirectional => true,
        };
        self.camera.previous = Some((c1, accepted));
        if accepted {
            None
        } else {
            self.camera.run = None;
            Some(Reason::Stale)
        }
    }

    /// Gives lines without a record their word.
    pub(super) fn settle_lines(&mut self, lines: u64, verdict: Verdict) {
        self.sums.lines.add(verdict, lines);
    }

    /// Adds lines and their web to the newest record or as a new one.
    fn keep(&mut self, first_line: u64, lines: u64, (lo, hi): (i64, i64), fate: Fate) {
        let before = self.memory.known_to;
        self.memory.known_to = before.max(hi);
        let armed = fate == Fate::Armed;
        let undecided = if armed { lines } else { 0 };
        let extends = armed && self.camera.open && !self.memory.records.is_empty();
        if !extends && !self.has_place() {
            self.overflow(first_line, lines, (lo, hi));
            return;
        }
        if armed {
            self.sums.lines_pending += lines;
        } else if let Fate::Fixed(reason) = fate {
            self.settle_lines(lines, Verdict::NotInspected(reason));
        }
        match self.memory.records.back_mut() {
            Some(newest) if extends => {
                newest.lines += lines;
                newest.undecided += undecided;
                newest.lo = newest.lo.min(lo);
                newest.hi = newest.hi.max(hi);
            }
            _ => {
                let record = Record {
                    first_line,
                    lines,
                    lo,
                    hi,
                    undecided,
                    fate,
                    missed: false,
                };
                // `has_place` was just asked.
                let _ = self.memory.records.push_back(record);
            }
        }
        self.camera.open = armed;
        let committed = self.committed;
        if let Some(newest) = self.memory.records.back_mut()
            && newest.lo < committed
        {
            let late = Self::expire(newest, &mut self.sums);
            self.sums.late_spans += u64::from(late);
        }
    }

    /// Makes a place where that loses nothing that can still reach the ejector.
    fn has_place(&mut self) -> bool {
        if !self.memory.records.is_full() {
            return true;
        }
        let behind = self
            .count
            .saturating_sub(self.distance)
            .saturating_sub(self.margin);
        while let Some(oldest) = self.memory.records.front() {
            if oldest.hi.saturating_add(self.memory.reach) > behind {
                break;
            }
            self.forget_oldest();
        }
        if !self.memory.records.is_full() {
            return true;
        }
        self.memory.join_ok()
    }

    /// The stated answer for a full ledger: nothing is dropped from it, the new lines are not
    /// inspected, and the output is held until their web has passed.
    fn overflow(&mut self, first_line: u64, lines: u64, (lo, hi): (i64, i64)) {
        self.settle_lines(lines, Verdict::NotInspected(Reason::Config));
        self.camera.open = false;
        self.sums.queue_full += 1;
        if self.memory.hole.is_none() {
            self.event(RejectEvent::QueueFull {
                first_line: LineNumber(first_line),
                web_count: Count(lo),
            });
        }
        let (from, to) = self.memory.hole.unwrap_or((lo, hi));
        self.memory.hole = Some((from.min(lo), to.max(hi)));
    }
}
