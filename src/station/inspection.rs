//! The web's side of the station: blocks and finished tiles in, what they say about the web out.

use super::capture::Captured;
use super::input::Input;
use super::supply::Supply;
use super::{LightWatch, StationError, Witness};
use crate::block::{Block, LineStamp, TimedLine};
use crate::engine::EngineError;
use crate::geometry::LineNumber;
use crate::light::BadLight;
use crate::pins::Moment;
use crate::verdict::{Reason, SpanVerdict};
use crate::web::{MapRow, Region, Sink, Web};

/// What the web found out, in its order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Region(Region),
    Verdict(SpanVerdict),
}

/// What one input did to the web, for the ledger. Its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Of the block or the tile.
    pub first_line: LineNumber,
    /// One for each line of the block.
    pub stamps: Vec<LineStamp>,
    /// See [`Block::timed_line`].
    pub timed_line: Option<TimedLine>,
    /// Why none of the block's lines may count as inspected.
    pub fault: Option<Reason>,
    /// What is wrong with the light, where the limits say so.
    pub bad_light: Option<BadLight>,
    /// Why the block has no place on the web, the tile no result, or the camera no more lines.
    pub trouble: Option<String>,
    pub found: Vec<Found>,
    /// Every line that was pushed has its verdict, and no tile is out.
    pub settled: bool,
    /// No tile is out, and none can be cut from the lines there are.
    pub idle: bool,
}

impl Step {
    fn clear(&mut self) {
        self.stamps.clear();
        self.fault = None;
        self.bad_light = None;
        self.trouble = None;
        self.found.clear();
    }
}

/// Web, camera and engine joined.
pub(super) struct Inspection<'q> {
    web: Web,
    light: LightWatch,
    pub supply: Supply<'q>,
    tiles_in_flight: u64,
    /// Why the source ended before its end; told when its web has passed.
    pub failed: Option<StationError>,
}

impl<'q> Inspection<'q> {
    pub fn new(web: Web, light: LightWatch, supply: Supply<'q>, tiles_in_flight: u32) -> Self {
        Self {
            web,
            light,
            supply,
            tiles_in_flight: u64::from(tiles_in_flight),
            failed: None,
        }
    }

    /// Takes from camera or engine what the input names, and puts into `step` what it says; other inputs
    /// are none of the web's.
    pub fn take(
        &mut self,
        input: &Input,
        now: Moment,
        step: &mut Step,
        witness: &mut dyn Witness,
    ) -> Result<(), StationError> {
        step.clear();
        let mut sink = Findings {
            found: &mut step.found,
            witness,
        };
        match *input {
            Input::Block { first_line, .. } => {
                let mut block = self.block_from(first_line)?;
                step.bad_light = self.light.look(&mut block, now, &mut *sink.witness);
                sink.witness.block(now, &block);
                let pushed = self.web.push(&block, &mut sink);
                step.trouble = pushed.err().map(|error| error.to_string());
                step.first_line = block.first_line;
                step.stamps.extend_from_slice(&block.stamps);
                step.timed_line = block.timed_line;
                step.fault = block.fault;
                self.supply.give_back(block);
            }
            Input::Lost { .. } => match self.supply.take()? {
                Captured::Lost(why) => step.trouble = Some(why),
                _ => return Err(StationError::ThreadLost("capture")),
            },
            Input::Tile { number, .. } => {
                let (job, outcome) = self.supply.take_back(number)?;
                step.first_line = job.tag.job.first_line;
                step.trouble = outcome.as_ref().err().map(EngineError::to_string);
                let outcome = match outcome {
                    Ok(()) => Ok(&job.prediction),
                    Err(_) => Err(Reason::Engine),
                };
                self.web.finish_tile(job.tag.job.id, outcome, &mut sink);
                self.supply.keep_spare(job);
            }
            Input::End { .. } => {
                if let Captured::Failed(error) = self.supply.take()? {
                    let error = StationError::from(error);
                    step.trouble = Some(error.to_string());
                    self.failed = Some(error);
                }
                self.web.end(&mut sink);
            }
            Input::Stop { .. } => self.web.abort(Reason::Shutdown, &mut sink),
            _ => {}
        }
        step.settled = self.web.is_settled() && self.supply.outstanding() == 0;
        step.idle = self.supply.outstanding() == 0 && !self.web.has_uncut_tile();
        Ok(())
    }

    /// Blocks that found the queue full were recorded, but never reached the web.
    fn block_from(&mut self, first_line: u64) -> Result<Block, StationError> {
        loop {
            match self.supply.take()? {
                Captured::Block(block) if block.first_line.0 >= first_line => return Ok(block),
                Captured::Block(block) => self.supply.give_back(block),
                // A replay's order of inputs names blocks that its recording does not hold.
                Captured::Failed(error) => return Err(error.into()),
                Captured::End => return Err(StationError::BlockMissing { first_line }),
                Captured::Lost(_) => return Err(StationError::ThreadLost("capture")),
            }
        }
    }

    /// Cuts a tile and hands it out while fewer are under way than may be; gives its number.
    pub fn hand_out_tile(&mut self) -> Result<Option<u64>, StationError> {
        if self.supply.outstanding() >= self.tiles_in_flight {
            return Ok(None);
        }
        let mut job = self.supply.spare();
        match self.web.next_tile(&mut job.tile) {
            Some(tile) => {
                job.tag.job = tile;
                self.supply.hand_out(job).map(Some)
            }
            None => {
                self.supply.keep_spare(job);
                Ok(None)
            }
        }
    }
}

/// Keeps for the ledger what it must know, and shows the map at once.
struct Findings<'a> {
    found: &'a mut Vec<Found>,
    witness: &'a mut dyn Witness,
}

impl Sink for Findings<'_> {
    fn verdict(&mut self, verdict: SpanVerdict) {
        self.found.push(Found::Verdict(verdict));
    }

    fn region(&mut self, region: &Region) {
        self.found.push(Found::Region(*region));
    }

    fn row(&mut self, row: &MapRow<'_>) {
        self.witness.row(row);
    }

    fn reconstruction(&mut self, line: LineNumber, planes: &[f32]) {
        self.witness.reconstruction(line, planes);
    }
}
