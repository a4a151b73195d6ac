//! Who is told what happens.

use super::{State, Summary};
use crate::block::Block;
use crate::evidence::Fault;
use crate::geometry::LineNumber;
use crate::pins::Moment;
use crate::reject::{RejectEvent, VerdictUse};
use crate::verdict::SpanVerdict;
use crate::web::{MapRow, Region};

/// Is told everything at once and in order, and must not make the line wait.
pub trait Witness {
    /// Lines came. They are told before anything else about them.
    fn block(&mut self, _now: Moment, _block: &Block) {}

    /// A line of the anomaly map is settled.
    fn row(&mut self, _row: &MapRow<'_>) {}

    /// A line of the reconstruction is settled, `3 x width` in [0, 1]; only where it is kept.
    fn reconstruction(&mut self, _line: LineNumber, _planes: &[f32]) {}

    /// A region is complete or capped.
    fn region(&mut self, _now: Moment, _region: &Region) {}

    /// A span was decided, and what the ledger made of it.
    fn verdict(&mut self, _now: Moment, _verdict: SpanVerdict, _used: VerdictUse) {}

    /// The ledger did something.
    fn ledger(&mut self, _now: Moment, _event: RejectEvent) {}

    /// Something is wrong.
    fn fault(&mut self, _now: Moment, _fault: &Fault) {}

    /// It is right again.
    fn recovered(&mut self, _now: Moment, _fault: &Fault) {}

    /// The state changed.
    fn state(&mut self, _now: Moment, _state: State) {}

    /// The station has given a verdict, or has none to give: it does not hang. `held` where a fault keeps
    /// it from accepting web.
    fn alive(&mut self, _now: Moment, _held: bool) {}

    /// Something that is worth knowing and no fault.
    fn note(&mut self, _now: Moment, _text: &str) {}

    /// The run is over.
    fn ended(&mut self, _now: Moment, _summary: &Summary) {}
}

/// Nobody.
impl Witness for () {}

/// Several, told in turn.
#[derive(Default)]
pub struct Witnesses<'a>(pub Vec<&'a mut dyn Witness>);

impl Witness for Witnesses<'_> {
    fn block(&mut self, now: Moment, block: &Block) {
        self.0.iter_mut().for_each(|w| w.block(now, block));
    }

    fn row(&mut self, row: &MapRow<'_>) {
        self.0.iter_mut().for_each(|w| w.row(row));
    }

    fn reconstruction(&mut self, line: LineNumber, planes: &[f32]) {
        self.0
            .iter_mut()
            .for_each(|w| w.reconstruction(line, planes));
    }

    fn region(&mut self, now: Moment, region: &Region) {
        self.0.iter_mut().for_each(|w| w.region(now, region));
    }

    fn verdict(&mut self, now: Moment, verdict: SpanVerdict, used: VerdictUse) {
        self.0
            .iter_mut()
            .for_each(|w| w.verdict(now, verdict, used));
    }

    fn ledger(&mut self, now: Moment, event: RejectEvent) {
        self.0.iter_mut().for_each(|w| w.ledger(now, event));
    }

    fn fault(&mut self, now: Moment, fault: &Fault) {
        self.0.iter_mut().for_each(|w| w.fault(now, fault));
    }

    fn recovered(&mut self, now: Moment, fault: &Fault) {
        self.0.iter_mut().for_each(|w| w.recovered(now, fault));
    }

    fn state(&mut self, now: Moment, state: State) {
        self.0.iter_mut().for_each(|w| w.state(now, state));
    }

    fn alive(&mut self, now: Moment, held: bool) {
        self.0.iter_mut().for_each(|w| w.alive(now, held));
    }

    fn note(&mut self, now: Moment, text: &str) {
        self.0.iter_mut().for_each(|w| w.note(now, text));
    }

    fn ended(&mut self, now: Moment, summary: &Summary) {
        self.0.iter_mut().for_each(|w| w.ended(now, summary));
    }
}
