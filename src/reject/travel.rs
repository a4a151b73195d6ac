//! The web that passes the ejector between two calls, and the words it gets.

use super::{Ledger, RejectEvent};
use crate::geometry::Count;
use crate::verdict::Verdict;

impl<const N: usize> Ledger<N> {
    /// Accounts the new web that passed since the last call, under the output of that call.
    ///
    /// The ejector is effective `lead_us` after its command; a release acts at once. Both are the
    /// safe side for finding what was missed.
    pub(super) fn pass_web(&mut self, now_ns: u64, count: i64) {
        if count <= self.farthest {
            return;
        }
        let mut from = self.farthest - self.distance;
        let to = count - self.distance;
        let effective_from = self.effective_from(now_ns, count);
        self.sums.counts_travelled += from.abs_diff(to);
        while from < to {
            let piece = self.memory.piece(from, to);
            let mut hi = piece.hi;
            if from < effective_from && effective_from < hi {
                hi = effective_from;
            }
            let counts = from.abs_diff(hi);
            self.sums.counts.add(piece.word, counts);
            if from >= effective_from {
                self.sums.rejected_counts += counts;
                if piece.word.passes() {
                    self.sums.rejected_ok_counts += counts;
                }
            } else {
                self.sums.accepted_counts += counts;
                if from < self.memory.accepted_to && piece.record.is_none() {
                    self.sums.startup_accepted_counts += counts;
                } else if !piece.word.passes() {
                    self.missed(now_ns, piece.record, piece.word, from, hi);
                }
            }
            from = hi;
        }
        self.farthest = count;
    }

    /// Web count from which on the ejector was effective during this step.
    fn effective_from(&self, now_ns: u64, count: i64) -> i64 {
        if !self.reject {
            return i64::MAX;
        }
        if self.effective_ns <= self.now_ns {
            return i64::MIN;
        }
        if self.effective_ns >= now_ns {
            return i64::MAX;
        }
        let step = i128::from(count - self.count);
        let part = i128::from(self.effective_ns - self.now_ns);
        let whole = i128::from(now_ns - self.now_ns);
        // 0 <= part < whole, so this lies between the two counts.
        let moved = (step * part + whole - 1) / whole;
        self.count + moved as i64 - self.distance
    }

    fn missed(&mut self, at_ns: u64, record: Option<usize>, what: Verdict, from: i64, to: i64) {
        let counts = from.abs_diff(to);
        self.sums.missed_counts += counts;
        self.alarms.missed = true;
        let mut span = None;
        let mut new = self.missed_to != from;
        if let Some(record) = record.and_then(|at| self.memory.records.iter_mut().nth(at)) {
            new = !record.missed;
            record.missed = true;
            span = record.span();
        }
        self.missed_to = to;
        if new {
            self.sums.missed_spans += 1;
            self.event(RejectEvent::Missed {
                at_ns,
                span,
                what,
                web_count: Count(from),
                counts,
            });
        }
    }
}
