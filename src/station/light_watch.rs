//! What the web's side of the station looks at before a block is inspected: its light.

use super::Witness;
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
}

impl LightWatch {
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
            let fault = Fault::Light { message };
            match watched {
                Watched::Darker { .. } | Watched::Brighter { .. } => witness.fault(now, &fault),
                Watched::Even => witness.recovered(now, &fault),
            }
        }
        if block.fault.is_some() {
            return None;
        }
        let bad = self.judge.as_ref()?.judge(&block.picture)?;
        block.fault = Some(Reason::Light);
        Some(bad)
    }
}
