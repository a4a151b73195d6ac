//! Outputs that write down every edge: for tests, replay and the demo.

use super::{Moment, Output, Outputs, PinError};
use serde::{Deserialize, Serialize};

/// A change of an output's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    pub output: Output,
    pub energised: bool,
    pub at: Moment,
}

/// Remembers every edge, for a run that ends. All outputs start without current, as hardware does.
#[derive(Debug, Default)]
pub struct RecordedOutputs {
    edges: Vec<Edge>,
    energised: [bool; 3],
}

impl RecordedOutputs {
    /// Every edge so far, in the order of time.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }
}

impl Outputs for RecordedOutputs {
    fn drive(&mut self, output: Output, energised: bool, now: Moment) -> Result<(), PinError> {
        let level = &mut self.energised[output as usize];
        if *level != energised {
            *level = energised;
            self.edges.push(Edge {
                output,
                energised,
                at: now,
            });
        }
        Ok(())
    }

    fn release_all(&mut self, now: Moment) -> Result<(), PinError> {
        for output in [Output::Reject, Output::Ready, Output::Heartbeat] {
            self.drive(output, false, now)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Count;

    #[test]
    fn only_changes_are_edges_and_the_end_is_without_current() {
        let mut outputs = RecordedOutputs::default();
        let at = |ns| Moment {
            ns,
            count: Count(ns as i64),
        };
        outputs.drive(Output::Reject, false, at(1)).unwrap();
        outputs.drive(Output::Reject, true, at(2)).unwrap();
        outputs.drive(Output::Reject, true, at(3)).unwrap();
        outputs.drive(Output::Ready, true, at(4)).unwrap();
        outputs.release_all(at(5)).unwrap();
        let edges: Vec<(Output, bool, u64)> = outputs
            .edges()
            .iter()
            .map(|edge| (edge.output, edge.energised, edge.at.ns))
            .collect();
        assert_eq!(
            edges,
            [
                (Output::Reject, true, 2),
                (Output::Ready, true, 4),
                (Output::Reject, false, 5),
                (Output::Ready, false, 5),
            ]
        );
    }
}
