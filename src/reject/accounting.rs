//! The accounting identity: everything that passes has one word, and the words add up.

use crate::verdict::{Reason, Verdict};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount of web by what was decided about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    pub ok: u64,
    pub defect: u64,
    /// In the order of [`Reason::ALL`].
    pub not_inspected: [u64; Reason::ALL.len()],
}

impl Tally {
    /// Adds `amount` to what `verdict` names.
    pub fn add(&mut self, verdict: Verdict, amount: u64) {
        let place = match verdict {
            Verdict::Ok => &mut self.ok,
            Verdict::Defect => &mut self.defect,
            Verdict::NotInspected(reason) => &mut self.not_inspected[Self::place(reason)],
        };
        *place = place.saturating_add(amount);
    }

    fn place(reason: Reason) -> usize {
        // `Reason::ALL` lists the variants in the order of their declaration; tested below.
        reason as usize
    }

    /// The amount for one reason.
    pub fn not_inspected_for(&self, reason: Reason) -> u64 {
        self.not_inspected[Self::place(reason)]
    }

    /// The amount for all reasons.
    pub fn not_inspected_total(&self) -> u64 {
        self.not_inspected.iter().sum()
    }

    /// Everything.
    pub fn total(&self) -> u64 {
        self.ok + self.defect + self.not_inspected_total()
    }
}

/// Sums since the start of the run, through every fault and reset.
///
/// Lines are counted at the camera and get their word from the verdict. Counts are counted at the
/// ejector, where each count of forward travel brings one count of web past it for the first time;
/// web that returns after a reverse is not counted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounting {
    /// Lines that have passed the camera, those known only from a gap in line numbers included.
    pub lines_travelled: u64,
    pub lines: Tally,
    /// Lines that wait for their verdict.
    pub lines_pending: u64,
    /// Counts of new web that have passed the ejector.
    pub counts_travelled: u64,
    pub counts: Tally,
    /// Counts that passed while the ejector was effective.
    pub rejected_counts: u64,
    /// Counts that passed untouched.
    pub accepted_counts: u64,
    /// Accepted though not ok: missed rejects.
    pub missed_counts: u64,
    /// Accepted uninspected because `accept_startup_web` is set.
    pub startup_accepted_counts: u64,
    /// Rejected though ok: margins, bridged gaps, minimum pulses and holds.
    pub rejected_ok_counts: u64,
    /// Lines with a verdict `ok` that came too late: good product rejected.
    pub late_ok_lines: u64,
    /// Lines with a verdict `defect` that came too late; they were rejected all the same.
    pub late_defect_lines: u64,
    /// Lines with a verdict `not_inspected` that came too late.
    pub late_not_inspected_lines: u64,
    /// Verdicts for lines that were never armed, repeated, or already settled without a verdict.
    pub ignored_lines: u64,
    pub pulses: u64,
    pub missed_spans: u64,
    pub late_spans: u64,
    pub queue_full: u64,
    pub reversals: u64,
    pub resets: u64,
    pub encoder_faults: u64,
    /// Calls whose time was before the last call's.
    pub clock_backward: u64,
    /// Events for which the event queue had no place.
    pub events_lost: u64,
}

/// The identity does not hold: a fault of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentityError {
    #[error(
        "{travelled} lines travelled, but {settled} are settled and {pending} pending; keep the journal and report a bug"
    )]
    Lines {
        travelled: u64,
        settled: u64,
        pending: u64,
    },
    #[error(
        "{travelled} counts travelled, but {settled} have a word; keep the journal and report a bug"
    )]
    Counts { travelled: u64, settled: u64 },
    #[error(
        "{travelled} counts travelled, but {rejected} were rejected and {accepted} accepted; keep the journal and report a bug"
    )]
    Ejector {
        travelled: u64,
        rejected: u64,
        accepted: u64,
    },
}

impl Accounting {
    /// Checks `travelled == ok + defect + not_inspected + pending` in lines, the same in counts, and
    /// `travelled == rejected + accepted` at the ejector.
    ///
    /// # Errors
    /// The first sum that is wrong.
    pub fn identity(&self) -> Result<(), IdentityError> {
        let settled = self.lines.total();
        if self.lines_travelled != settled + self.lines_pending {
            return Err(IdentityError::Lines {
                travelled: self.lines_travelled,
                settled,
                pending: self.lines_pending,
            });
        }
        let settled = self.counts.total();
        if self.counts_travelled != settled {
            return Err(IdentityError::Counts {
                travelled: self.counts_travelled,
                settled,
            });
        }
        if self.counts_travelled != self.rejected_counts + self.accepted_counts {
            return Err(IdentityError::Ejector {
                travelled: self.counts_travelled,
                rejected: self.rejected_counts,
                accepted: self.accepted_counts,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place() {
        let mut tally = Tally::default();
        for (amount, reason) in (1..).zip(Reason::ALL) {
            tally.add(Verdict::NotInspected(reason), amount);
        }
        for (amount, reason) in (1..).zip(Reason::ALL) {
            assert_eq!(tally.not_inspected_for(reason), amount);
        }
        assert_eq!(tally.total(), 55);
    }

    #[test]
    fn a_wrong_sum_is_named() {
        let mut sums = Accounting {
            lines_travelled: 3,
            lines_pending: 3,
            ..Accounting::default()
        };
        assert_eq!(sums.identity(), Ok(()));
        sums.lines.add(Verdict::Defect, 1);
        assert!(matches!(
            sums.identity(),
            Err(IdentityError::Lines { settled: 1, .. })
        ));
        sums.lines_pending = 2;
        sums.counts_travelled = 1;
        assert!(matches!(
            sums.identity(),
            Err(IdentityError::Counts { settled: 0, .. })
        ));
        sums.counts.add(Verdict::Ok, 1);
        assert!(matches!(
            sums.identity(),
            Err(IdentityError::Ejector { rejected: 0, .. })
        ));
    }
}
