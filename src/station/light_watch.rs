//! What the web's side of the station looks at before a block is inspected: its light.

use super::Witness;
use super::core::LIGHT_IS_BACK_NS;
use crate::block::Block;
use crate::evidence::Fault;
use crate::light::{BadLight, DriftNews, LightJudge, Watched};
use crate::pins::Moment;
use crate::verdict::Reason;

/// The limits of the light, and the drift watch behind the camera; by default neither.
#[derive(Debug, Default)]
pub struct LightWatch {
    pub judge: Option<LightJudge>,
    pub drift: Option<DriftNews>,
    /// When lines were last refused for their light, until that fault is over.
    refused_ns: Option<u64>,
}

impl LightWatch {
    /// Nothing has been seen yet.
    pub fn new(judge: Option<LightJudge>, drift: Option<DriftNews>) -> Self {
        Self {
            judge,
            drift,
            refused_ns: None,
        }
    }

    /// Marks a block whose light cannot be inspected, and tells of drift.
    pub(super) fn look(
        &mut self,
        block: &mut Block,
        now: Moment,
        witness: &mut dyn Witness,
    ) -> Option<BadLight> {
        while let Some(watched) = self
            .drift
            .as_mut()
            .and_then(|drift| drift.up_to(block.first_line.0))
        {
            let message = watched.to_string();
            if watched == Watched::Even && self.refused_ns.is_some() {
                // Nobody may read that the light is well while lines are rejected for it.
                let text =
                    format!("{message} on the whole, and lines are still rejected for theirs");
                witness.note(now, &text);
                continue;
            }
            let fault = Fault::Light { message };
            match watched {
                Watched::Darker { .. } | Watched::Brighter { .. } => witness.fault(now, &fault),
                Watched::Even => witness.recovered(now, &fault),
            }
        }
        let bad = self.judged(block);
        match (block.fault, self.refused_ns) {
            (Some(Reason::Light), _) => self.refused_ns = Some(now.ns),
            (None, Some(refused_ns)) if now.ns.saturating_sub(refused_ns) >= LIGHT_IS_BACK_NS => {
                self.refused_ns = None;
            }
            _ => {}
        }
        bad
    }

    fn judged(&self, block: &mut Block) -> Option<BadLight> {
        if block.fault.is_some() {
            return None;
        }
        let bad = self.judge.as_ref()?.judge(&block.picture)?;
        block.fault = Some(Reason::Light);
        Some(bad)
    }
}
