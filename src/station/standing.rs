//! Faults that have not passed yet, one for each part of the station.

use crate::evidence::Fault;

/// A part that can be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Camera,
    /// No line of a camera that is not lost, while the web moves.
    Silence,
    Encoder,
    /// The outputs.
    Pins,
    /// A pulse had no effect.
    Ejector,
    /// The input by which the ejector says so.
    Confirm,
    /// That input rises while nothing is rejected.
    Chatter,
    /// Lamp, lens or exposure.
    Light,
    /// A reject was missed, and the line shall stop for it.
    LineStop,
    /// Web passes, and nothing of it is found ok or defective.
    Inspection,
}

/// The first fault of each part, until it is over.
#[derive(Debug, Default)]
pub(super) struct Standing([Option<Fault>; 10]);

impl Standing {
    pub fn has(&self, part: Part) -> bool {
        self.0[part as usize].is_some()
    }

    /// Keeps the fault, if the part had none.
    pub fn begin(&mut self, part: Part, fault: Fault) {
        self.0[part as usize].get_or_insert(fault);
    }

    /// What the part had, which is over.
    pub fn end(&mut self, part: Part) -> Option<Fault> {
        self.0[part as usize].take()
    }
}
