//! What the core makes of its wires: faults of encoder, outputs and ejector, and time that it missed.

use super::super::standing::Part;
use super::{Core, Surroundings};
use crate::evidence::Fault;
use crate::geometry::Count;
use crate::pins::Moment;
use crate::reject::{MOST_STRAY_PER_MINUTE, OnMissing, Unconfirmed};
use crate::verdict::Reason;

/// A station that did not look at its wires for longer than this has lost its hold on the web.
const STALL_NS: u64 = 500_000_000;

/// A stall whose positions are still coming.
#[derive(Debug, Clone, Copy)]
pub(super) struct CatchingUp {
    pub until_ns: u64,
    pub count: Count,
    stalled_ns: u64,
}

impl Core {
    /// Nobody looked at encoder and pins for the last `stalled_ns`. The positions that follow and are
    /// older than `ns` are one step for the ledger: the web went by under the level that stood on the pin.
    pub fn stalled(&mut self, ns: u64, stalled_ns: u64) {
        self.catching_up = Some(CatchingUp {
            until_ns: ns,
            count: self.now.count,
            stalled_ns,
        });
    }

    /// Accounts for the web of a stall; called before anything but what has a time within it.
    pub fn catch_up(&mut self, out: &mut Surroundings<'_>) {
        let Some(stall) = self.catching_up.take() else {
            return;
        };
        self.refresh(stall.until_ns, stall.count, out);
        if stall.stalled_ns >= STALL_NS {
            let message = format!(
                "the station did not run for {} ms, stopped or starved by other programs; web between camera and ejector is rejected",
                stall.stalled_ns / 1_000_000
            );
            self.fault(Fault::Stalled { message }, out);
            self.ledger
                .reset(Reason::Stale, self.now.ns, self.now.count);
            self.refresh(self.now.ns, self.now.count, out);
        }
    }

    /// Edges of the encoder were lost: which web is where is no longer known.
    pub fn edges_lost(&mut self, at: Moment, edges: u64, out: &mut Surroundings<'_>) {
        let message = format!(
            "{edges} edges of the encoder were lost; web between camera and ejector is rejected; give pins.encoder.debounce_us where it bounces, or fewer edges per second"
        );
        self.misplaced(at, message, out);
    }

    /// The web was elsewhere than it was taken to be.
    pub fn place_lost(&mut self, at: Moment, off_counts: u64, out: &mut Surroundings<'_>) {
        let message = format!(
            "the camera's lines came so late that the web's place was off by {off_counts} counts; web between camera and ejector is rejected; raise reject.margin_counts, lower source.lines_per_block, or wire an encoder"
        );
        self.misplaced(at, message, out);
    }

    fn misplaced(&mut self, at: Moment, message: String, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(at.ns);
        self.track.push(at);
        self.fault(Fault::Encoder { message }, out);
        self.ledger.reset(Reason::Stale, self.now.ns, at.count);
        self.refresh(self.now.ns, at.count, out);
    }

    /// The encoder cannot be read: everything is rejected until it can.
    pub fn encoder_gone(&mut self, ns: u64, message: String, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.fault(
            Fault::Encoder {
                message: message.clone(),
            },
            out,
        );
        self.standing
            .begin(Part::Encoder, Fault::Encoder { message });
        self.hold_if_blind();
        self.refresh(ns, self.now.count, out);
    }

    pub fn encoder_back(&mut self, ns: u64, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.end_fault(Part::Encoder, out);
        self.ledger
            .reset(Reason::Stale, self.now.ns, self.now.count);
        self.hold_if_blind();
        self.refresh(ns, self.now.count, out);
    }

    /// An output cannot be driven. The hardware rejects, and so does the account until it is back.
    pub fn pins_lost(&mut self, ns: u64, message: String, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.undriven = None;
        self.begin_fault(Part::Pins, Fault::Pins { message }, out);
        self.hold_if_blind();
        self.refresh(ns, self.now.count, out);
    }

    pub fn pins_back(&mut self, ns: u64, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.undriven = None;
        self.end_fault(Part::Pins, out);
        self.hold_if_blind();
        self.refresh(ns, self.now.count, out);
    }

    /// The ejector's confirmation rose `edges` times, the last time at `ns`.
    pub fn confirmed(&mut self, ns: u64, edges: u64, out: &mut Surroundings<'_>) {
        // By its own time: an edge may be read after a limit that it kept.
        self.look_for_unconfirmed(ns, out);
        let count = self.now.count;
        let is_asked =
            (self.confirmations.as_mut()).is_some_and(|watch| watch.rose(ns, count, edges));
        if is_asked {
            self.end_fault(Part::Ejector, out);
        }
        self.look_for_chatter(ns, out);
        self.hold_if_blind();
        if self.catching_up.is_none() {
            self.refresh(ns.max(self.now.ns), self.now.count, out);
        }
    }

    /// The confirmation cannot be read: pulses are not known to have had an effect.
    pub fn confirm_gone(&mut self, ns: u64, message: String, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.begin_fault(Part::Confirm, Fault::Confirm { message }, out);
        if let Some(confirmations) = &mut self.confirmations {
            confirmations.forget();
        }
        self.hold_if_blind();
        self.refresh(ns, self.now.count, out);
    }

    pub fn confirm_back(&mut self, ns: u64, out: &mut Surroundings<'_>) {
        self.now.ns = self.now.ns.max(ns);
        self.end_fault(Part::Confirm, out);
        self.hold_if_blind();
        self.refresh(ns, self.now.count, out);
    }

    /// A confirmation that rises by itself would call a jammed ejector well.
    pub(super) fn look_for_chatter(&mut self, ns: u64, out: &mut Surroundings<'_>) {
        let Some(confirmations) = &mut self.confirmations else {
            return;
        };
        let chatters = confirmations.chatters(ns);
        if chatters == self.standing.has(Part::Chatter) {
            return;
        }
        if chatters {
            confirmations.forget();
            let message = format!(
                "the ejector's confirmation rose more than {MOST_STRAY_PER_MINUTE} times in a minute while nothing was rejected, so it says nothing about pulses; look at its switch and cable, or give pins.confirm.debounce_us"
            );
            self.begin_fault(Part::Chatter, Fault::Confirm { message }, out);
        } else {
            self.end_fault(Part::Chatter, out);
        }
        self.hold_if_blind();
    }

    pub(super) fn look_for_unconfirmed(&mut self, ns: u64, out: &mut Surroundings<'_>) {
        while let Some(missing) = self
            .confirmations
            .as_mut()
            .and_then(|confirmations| confirmations.overdue(ns, self.now.count))
        {
            self.unconfirmed(missing, out);
        }
    }

    fn unconfirmed(&mut self, missing: Unconfirmed, out: &mut Surroundings<'_>) {
        let fault = Fault::Ejector {
            message: missing.to_string(),
        };
        self.fault(fault.clone(), out);
        self.standing.begin(Part::Ejector, fault);
        self.hold_if_blind();
    }

    /// Why an output could not be driven, if that is news.
    pub fn undriven(&mut self) -> Option<String> {
        let message = self.undriven.take();
        message.filter(|_| !self.pins_are_lost())
    }

    pub fn pins_are_lost(&self) -> bool {
        self.standing.has(Part::Pins)
    }

    /// Whether the web goes by and nothing of it is inspected, which no other fault explains. By the way from
    /// camera to ejector every verdict must be there.
    pub(super) fn look_for_inspection(&mut self, out: &mut Surroundings<'_>) {
        let travelled = self.ledger.accounting().counts_travelled;
        if self.standing.has(Part::Inspection) {
            return;
        }
        if self.ended || self.is_held() {
            self.inspected_at = travelled;
            return;
        }
        let counts = travelled.saturating_sub(self.inspected_at);
        if counts > u64::from(self.reject.distance_counts) {
            let message = format!(
                "{counts} counts of web, more than reject.distance_counts, have passed without a verdict ok or defect; look at the faults before this one, at camera and light, and at engine.workers"
            );
            self.begin_fault(Part::Inspection, Fault::Uninspected { message }, out);
        }
    }

    /// A reject was missed. Says whether the line is stopped for it from now on.
    pub(super) fn stop_line(&mut self, out: &mut Surroundings<'_>) -> bool {
        if !self.reject.line_stop_on_missed || self.standing.has(Part::LineStop) {
            return false;
        }
        let message =
            "line stop: a reject was missed; restart the station to acknowledge".to_owned();
        self.begin_fault(Part::LineStop, Fault::LineStop { message }, out);
        self.hold_if_blind();
        true
    }

    /// Neither a position that is not known, nor an output that is not held, nor an ejector that does not
    /// answer, nor a line that shall stop may accept web.
    pub(super) fn hold_if_blind(&mut self) {
        self.ledger.hold(
            self.standing.has(Part::Encoder)
                || self.standing.has(Part::Pins)
                || self.standing.has(Part::LineStop)
                || self.is_stopped_by_ejector(),
        );
    }

    pub(super) fn is_stopped_by_ejector(&self) -> bool {
        self.reject.confirm.on_missing == OnMissing::Stop
            && [Part::Ejector, Part::Confirm, Part::Chatter]
                .into_iter()
                .any(|part| self.standing.has(part))
    }

    /// Told once, until it is over.
    pub(super) fn begin_fault(&mut self, part: Part, fault: Fault, out: &mut Surroundings<'_>) {
        if !self.standing.has(part) {
            self.fault(fault.clone(), out);
            self.standing.begin(part, fault);
        }
    }

    pub(super) fn end_fault(&mut self, part: Part, out: &mut Surroundings<'_>) {
        if let Some(fault) = self.standing.end(part) {
            out.witness.recovered(self.now, &fault);
        }
    }

    pub(super) fn add_delay(&mut self, at_ns: u64, due: Count, fired: Count) {
        let counts = fired.0.abs_diff(due.0);
        // What was due before the last look became due by news, not by way.
        let step = fired.0.abs_diff(self.looked.count.0).max(1);
        let step_ns = at_ns.saturating_sub(self.looked.ns);
        let since_due_ns = u128::from(step_ns) * u128::from(counts.min(step)) / u128::from(step);
        self.jitter.due_to_decided_counts.add(counts);
        self.jitter
            .due_to_decided_us
            .add((since_due_ns / 1000) as u64);
    }

    pub(super) fn expect_confirmation(
        &mut self,
        at_ns: u64,
        count: Count,
        out: &mut Surroundings<'_>,
    ) {
        let is_blind = self.standing.has(Part::Confirm)
            || self.standing.has(Part::Chatter)
            || self.pins_are_lost();
        let Some(confirmations) = &mut self.confirmations else {
            return;
        };
        if is_blind {
            confirmations.unwatched();
        } else if let Some(missing) = confirmations.fired(at_ns, count) {
            self.unconfirmed(missing, out);
        }
    }
}
