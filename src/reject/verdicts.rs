//! The inspection's side of the ledger: verdicts.

use super::record::{Fate, Record};
use super::{Accounting, Ledger, RejectEvent};
use crate::geometry::Count;
use crate::verdict::{Reason, SpanVerdict, Verdict};

/// What a verdict did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictUse {
    /// It settled lines in time.
    Taken,
    /// At least some of its lines had already been committed to reject.
    Late,
    /// It named no line that waits for a verdict.
    Ignored,
}

impl<const N: usize> Ledger<N> {
    /// Takes a span's verdict; only `Ok` disarms, and only what is not yet committed to reject.
    ///
    /// Verdicts come in the order of lines and each line has one; a span may cover parts of armed
    /// spans or several of them. Lines named again, or never armed, are ignored and counted.
    pub fn verdict(&mut self, given: SpanVerdict) -> VerdictUse {
        let first = given.span.first_line.0;
        let end = first.saturating_add(u64::from(given.span.lines));
        let armed_to = self.camera.next_line.unwrap_or(0);
        let from = first.max(self.camera.decided_to);
        let to = end.min(armed_to);
        if from >= to {
            self.sums.ignored_lines += end - first;
            return VerdictUse::Ignored;
        }
        self.sums.ignored_lines += (end - first) - (to - from);
        self.camera.decided_to = to;

        let verdict = given.verdict;
        let (mut taken, mut late, mut fixed) = (0, 0, 0);
        for record in &mut self.memory.records {
            let here = to.min(record.end_line());
            let lines = here.saturating_sub(from.max(record.first_line));
            if lines == 0 {
                continue;
            }
            if matches!(record.fate, Fate::Fixed(_)) {
                fixed += lines;
                continue;
            }
            let decided = lines.min(record.undecided);
            late += lines - decided;
            taken += decided;
            record.undecided -= decided;
            if decided > 0 && !verdict.passes() {
                record.fate = match record.fate {
                    Fate::Bad(known) if verdict != Verdict::Defect => Fate::Bad(known),
                    _ => Fate::Bad(verdict),
                };
            }
        }
        self.sums.lines.add(verdict, taken);
        self.sums.lines_pending -= taken;

        let unknown = (to - from) - taken - late - fixed;
        let forgotten = unknown.min(self.camera.forgotten_to.saturating_sub(from));
        late += forgotten;
        self.sums.ignored_lines += fixed + unknown - forgotten;
        if late > 0 {
            let sum = match verdict {
                Verdict::Ok => &mut self.sums.late_ok_lines,
                Verdict::Defect => &mut self.sums.late_defect_lines,
                Verdict::NotInspected(_) => &mut self.sums.late_not_inspected_lines,
            };
            *sum += late;
            self.alarms.late = true;
            self.event(RejectEvent::Late {
                span: given.span,
                verdict,
                lines: u32::try_from(late).unwrap_or(u32::MAX),
                count: Count(self.count),
            });
            VerdictUse::Late
        } else if taken > 0 {
            VerdictUse::Taken
        } else {
            VerdictUse::Ignored
        }
    }

    /// Settles a record's undecided lines as late; whether there were any.
    pub(super) fn expire(record: &mut Record, sums: &mut Accounting) -> bool {
        if record.undecided == 0 {
            return false;
        }
        sums.lines
            .add(Verdict::NotInspected(Reason::Late), record.undecided);
        sums.lines_pending -= record.undecided;
        record.undecided = 0;
        if record.fate == Fate::Armed {
            record.fate = Fate::Late;
        }
        true
    }
}
