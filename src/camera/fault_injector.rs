//! Faults at will, around any camera.

use super::{BlockEvent, Camera, CameraError, LineFormat, Random};
use crate::block::Block;
use crate::picture::Samples;
use crate::verdict::Reason;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often what goes wrong, each as the share of blocks; their sum is at most 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultRates {
    pub seed: u64,
    /// The buffer is lost; its lines come without pixels.
    pub dropped: f64,
    /// The driver marks the buffer as damaged.
    pub error_flag: f64,
    /// The buffer ends early.
    pub short: f64,
    /// The lines cannot be proven new.
    pub stale: f64,
    /// The camera is lost, and with it so many blocks as `lost_blocks` says.
    pub lost: f64,
    pub lost_blocks: u32,
}

impl FaultRates {
    fn draw(&self, random: &mut Random) -> Option<Fault> {
        let mut draw = f64::from(random.unit());
        for (rate, fault) in [
            (self.dropped, Fault::Block(Reason::Dropped)),
            (self.error_flag, Fault::Block(Reason::ErrorFlag)),
            (self.short, Fault::Block(Reason::Short)),
            (self.stale, Fault::Block(Reason::Stale)),
            (self.lost, Fault::Lost),
        ] {
            if draw < rate {
                return Some(fault);
            }
            draw -= rate;
        }
        None
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Block(Reason),
    Lost,
}

/// A camera with faults. The same seed gives the same faults.
#[derive(Debug)]
pub struct FaultInjector<C> {
    camera: C,
    rates: FaultRates,
    random: Random,
    /// Blocks still to be lost before the camera is back.
    to_lose: u32,
}

impl<C: Camera> FaultInjector<C> {
    pub fn new(camera: C, rates: FaultRates) -> Self {
        Self {
            camera,
            random: Random::stream(rates.seed, 30),
            rates,
            to_lose: 0,
        }
    }
}

impl<C: Camera> Camera for FaultInjector<C> {
    fn format(&self) -> LineFormat {
        self.camera.format()
    }

    fn start(&mut self) -> Result<(), CameraError> {
        self.camera.start()
    }

    fn next_block(
        &mut self,
        patience: Duration,
        into: &mut Block,
    ) -> Result<BlockEvent, CameraError> {
        if self.to_lose == 0 {
            match self.rates.draw(&mut self.random) {
                Some(Fault::Lost) => {
                    self.to_lose = self.rates.lost_blocks.max(1);
                    return Err(CameraError::Lost("fault injected".to_owned()));
                }
                Some(Fault::Block(reason)) => {
                    let event = self.camera.next_block(patience, into)?;
                    if event == BlockEvent::Filled {
                        spoil(into, reason);
                    }
                    return Ok(event);
                }
                None => return self.camera.next_block(patience, into),
            }
        }
        let event = self.camera.next_block(patience, into)?;
        if event == BlockEvent::Filled {
            self.to_lose -= 1;
            spoil(into, Reason::Dropped);
        }
        Ok(event)
    }

    fn stop(&mut self) {
        self.camera.stop();
    }
}

/// Leaves of the pixels what such a fault leaves.
fn spoil(block: &mut Block, reason: Reason) {
    block.fault = Some(reason);
    let rows = match reason {
        Reason::Dropped => 0,
        Reason::Short => block.picture.height_px / 2,
        _ => block.picture.height_px,
    };
    let samples = rows * block.picture.width_px * block.picture.channels;
    block.picture.height_px = rows;
    match &mut block.picture.samples {
        Samples::U8(all) => all.truncate(samples),
        Samples::U16(all) => all.truncate(samples),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BeltSpec, Synthetic, SyntheticSpec, WebSpec};
    use super::*;

    /// Faults and line counts of all blocks; None for a lost camera.
    fn run(rates: FaultRates) -> Vec<Option<(Option<Reason>, usize, usize)>> {
        let spec = SyntheticSpec {
            web: WebSpec {
                width_px: 128,
                margin_px: 16,
                ..WebSpec::default()
            },
            defects: Vec::new(),
            lines: 3200,
            lines_per_block: 16,
            belt: BeltSpec::default(),
        };
        let mut camera = FaultInjector::new(Synthetic::new(&spec).unwrap(), rates);
        let mut block = camera.format().empty_block();
        let mut seen = Vec::new();
        loop {
            match camera.next_block(Duration::ZERO, &mut block) {
                Ok(BlockEvent::Filled) => {
                    seen.push(Some((
                        block.fault,
                        block.stamps.len(),
                        block.picture.height_px,
                    )));
                }
                Ok(BlockEvent::Waiting) => unreachable!("the synthetic camera never waits"),
                Ok(BlockEvent::End) => return seen,
                Err(_) => seen.push(None),
            }
        }
    }

    #[test]
    fn no_line_is_lost_from_the_account_and_every_fault_shows() {
        let rates = FaultRates {
            seed: 5,
            dropped: 0.1,
            error_flag: 0.1,
            short: 0.1,
            stale: 0.1,
            lost: 0.05,
            lost_blocks: 3,
        };
        let seen = run(rates);
        assert_eq!(seen, run(rates));
        assert_ne!(seen, run(FaultRates { seed: 6, ..rates }));
        let lines: usize = seen.iter().flatten().map(|(_, lines, _)| lines).sum();
        assert_eq!(lines, 3200);
        for (reason, rows) in [
            (None, 16),
            (Some(Reason::Dropped), 0),
            (Some(Reason::ErrorFlag), 16),
            (Some(Reason::Short), 8),
            (Some(Reason::Stale), 16),
        ] {
            assert!(seen.contains(&Some((reason, 16, rows))), "{reason:?}");
        }
        let lost = seen
            .iter()
            .position(Option::is_none)
            .expect("a lost camera");
        for after in &seen[lost + 1..lost + 4] {
            assert_eq!(*after, Some((Some(Reason::Dropped), 16, 0)));
        }
    }
}
