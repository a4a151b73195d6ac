//! What happens, as records of the journal.

use super::core::is_fault;
use super::{Clock, Summary, Witness};
use crate::evidence::{Event, Fault, JOURNAL_SCHEMA, Keeper, Record};
use crate::pins::Moment;
use crate::reject::{RejectEvent, VerdictUse};
use crate::verdict::{SpanVerdict, Verdict};
use crate::web::Region;
use std::cell::RefCell;

/// A witness that writes the journal.
pub struct Journaling<'a> {
    keeper: &'a RefCell<Keeper>,
    clock: &'a dyn Clock,
    boot: String,
    regions: Vec<Region>,
    /// Records that the queue had no place for.
    refused: u64,
    /// Of the newest record.
    last: Moment,
}

impl<'a> Journaling<'a> {
    pub fn new(keeper: &'a RefCell<Keeper>, clock: &'a dyn Clock) -> Self {
        Self {
            boot: clock.boot(),
            keeper,
            clock,
            regions: Vec::new(),
            refused: 0,
            last: Moment::default(),
        }
    }

    /// Writes what is not a station's event of its own: start, golden check, changes.
    pub fn write(&mut self, at: Moment, event: Event) {
        self.last = at;
        let lost = std::mem::take(&mut self.refused);
        if lost > 0
            && !self.give(
                at,
                Event::Fault {
                    fault: Fault::JournalLost { records: lost },
                },
            )
        {
            self.refused = lost;
        }
        if !self.give(at, event) {
            self.refused += 1;
        }
    }

    /// Writes why a run ended before its end, of which no witness is told.
    pub fn failed(&mut self, error: &str) {
        let text = format!("the run ended with an error: {error}");
        self.write(self.last, Event::Note { text });
    }

    fn give(&mut self, at: Moment, event: Event) -> bool {
        self.keeper.borrow_mut().record(Record {
            schema: JOURNAL_SCHEMA,
            boot: self.boot.clone(),
            at,
            wall: self.clock.wall(),
            event,
        })
    }
}

impl Witness for Journaling<'_> {
    fn region(&mut self, _: Moment, region: &Region) {
        self.regions.push(*region);
    }

    fn verdict(&mut self, now: Moment, verdict: SpanVerdict, used: VerdictUse) {
        let event = match verdict.verdict {
            Verdict::NotInspected(reason) => Event::NotInspected {
                span: verdict.span,
                reason,
            },
            Verdict::Ok | Verdict::Defect => Event::Verdict {
                span: verdict.span,
                verdict: verdict.verdict,
                taken: used.into(),
                regions: std::mem::take(&mut self.regions),
            },
        };
        self.write(now, event);
    }

    fn ledger(&mut self, now: Moment, event: RejectEvent) {
        let event = match event {
            RejectEvent::Fired {
                span,
                why,
                commanded_count,
                fired_count,
                ..
            } => Event::RejectFired {
                span,
                why,
                commanded_count,
                fired_count,
            },
            RejectEvent::Released { held_ns, .. } => Event::RejectReleased { held_ns },
            RejectEvent::Freed { .. }
            | RejectEvent::Returned { .. }
            | RejectEvent::Moving { .. } => Event::Recovered {
                fault: Fault::Ledger { ledger: event },
            },
            event if is_fault(&event) => Event::Fault {
                fault: Fault::Ledger { ledger: event },
            },
            event => Event::Ledger { ledger: event },
        };
        self.write(now, event);
    }

    fn fault(&mut self, now: Moment, fault: &Fault) {
        let fault = fault.clone();
        self.write(now, Event::Fault { fault });
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        let fault = fault.clone();
        self.write(now, Event::Recovered { fault });
    }

    fn state(&mut self, now: Moment, state: super::State) {
        self.write(now, Event::State { state });
    }

    fn note(&mut self, now: Moment, text: &str) {
        let text = text.to_owned();
        self.write(now, Event::Note { text });
    }

    fn ended(&mut self, now: Moment, summary: &Summary) {
        self.write(
            now,
            Event::Stop {
                why: match summary.source_ended {
                    true => "the source has ended and its web has passed",
                    false => "the program was told to end",
                }
                .to_owned(),
                accounting: Box::new(summary.accounting),
                jitter: Some(Box::new(summary.jitter)),
                confirmations: summary.confirmations,
            },
        );
    }
}
