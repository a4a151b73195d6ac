//! [`Web`]: the parts joined.

use super::Sink;
use super::config::{ConfigError, WebConfig};
use super::judge::Judge;
use super::pieces::Step;
use super::plan::Plan;
use super::rolling::{Fit, Rolling};
use super::stitch::Stitch;
use crate::block::Block;
use crate::engine::Prediction;
use crate::geometry::{LineNumber, mirror};
use crate::picture::fill_tile_line;
use crate::verdict::Reason;

/// Gaps above this are a wrong line number, not web: ten minutes at 28 kHz.
const GREATEST_GAP_LINES: u64 = 1 << 24;

/// Names a tile that is out for inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TileId(u64);

/// A tile to be inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TileJob {
    pub id: TileId,
    /// The tile's first pixel in web coordinates.
    pub first_line: LineNumber,
    pub first_column: u32,
}

/// A block that cannot be placed on the web. Nothing of it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Lines that were there before.
    #[error(
        "a block starts at line {first_line}, but line {expected} is next; line numbers must not be used twice"
    )]
    Reused { first_line: u64, expected: u64 },
    /// A jump that no web makes.
    #[error(
        "a block starts at line {first_line}, but line {expected} is next; a gap this long means a wrong line number"
    )]
    Jump { first_line: u64, expected: u64 },
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    id: TileId,
    /// Number of its row in the plan.
    row: u64,
    column: u32,
}

/// The inspection of one web, from lines to verdicts.
///
/// The caller pushes blocks, takes tiles with [`Web::next_tile`] until there is none, and hands each
/// back with [`Web::finish_tile`], in any order. Whatever is found out goes to the [`Sink`] at once.
#[derive(Debug)]
pub struct Web {
    config: WebConfig,
    rolling: Rolling,
    plan: Plan,
    stitch: Stitch,
    judge: Judge,
    in_flight: Vec<InFlight>,
    next_id: u64,
    /// Lines stored in the rolling image.
    stored: u64,
    next_line: Option<u64>,
    /// Whether nothing was pushed after the last [`Web::end`].
    ended: bool,
    /// A row of the map, or three of the reconstruction.
    row: Vec<f32>,
}

impl Web {
    /// Takes all memory that the inspection will need.
    ///
    /// # Errors
    /// If the configuration is refused by [`WebConfig::check`].
    pub fn new(config: WebConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let plan = Plan::new(&config);
        let planes = if config.keep_reconstruction { 3 } else { 1 };
        Ok(Self {
            rolling: Rolling::new(&config),
            stitch: Stitch::new(&config, plan.columns()),
            judge: Judge::new(&config),
            plan,
            in_flight: Vec::with_capacity(config.tiles_in_flight as usize),
            next_id: 0,
            stored: 0,
            next_line: None,
            ended: true,
            row: vec![0.0; planes * config.width_px as usize],
            config,
        })
    }

    /// Takes the next lines. Lines between the last block and this one are `Dropped`; a block that does
    /// not look as configured is not inspected (`Config`, or `Short` where it lacks lines).
    ///
    /// # Errors
    /// If the block's first line cannot follow the last line.
    pub fn push(
        &mut self,
        block: &Block,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<(), PushError> {
        let first_line = block.first_line.0;
        let lines = block.stamps.len();
        let expected = self.next_line.unwrap_or(first_line);
        let gap = first_line.checked_sub(expected).ok_or(PushError::Reused {
            first_line,
            expected,
        })?;
        // Half of all numbers are never used, so that no sum of lines can overflow.
        if gap > GREATEST_GAP_LINES || first_line > u64::MAX / 2 {
            return Err(PushError::Jump {
                first_line,
                expected,
            });
        }
        self.ended = false;
        self.add_fault(expected, gap, Reason::Dropped, sink);
        let fault = block
            .fault
            .or(match self.rolling.fits(&block.picture, lines) {
                Fit::Fits => None,
                Fit::OtherFormat => Some(Reason::Config),
                Fit::Short => Some(Reason::Short),
            });
        match fault {
            Some(reason) => self.add_fault(first_line, lines as u64, reason, sink),
            None => {
                for line in 0..lines {
                    self.make_room();
                    self.rolling.store(self.stored, &block.picture, line);
                    self.plan.add_line(first_line + line as u64, self.stored);
                    self.stored += 1;
                }
            }
        }
        self.next_line = Some(first_line + lines as u64);
        self.settle(sink);
        Ok(())
    }

    /// Cuts the next tile into `tile`, `3 x height x width` in [0, 1]. `None` where there is no tile
    /// or as many as may be are out.
    pub fn next_tile(&mut self, tile: &mut Vec<f32>) -> Option<TileJob> {
        if self.in_flight.len() >= self.config.tiles_in_flight as usize {
            return None;
        }
        let (place, row) = self.plan.uncut()?;
        let row = *row;
        if row.cut == 0 {
            if !self.stitch.has_place(&row) {
                return None;
            }
            self.stitch.open(&row);
        }
        let first_column = self.plan.cut(place)?;
        let inspected = self.config.inspected();
        let area = self.config.tile.area();
        let width = self.config.tile.width_px as usize;
        tile.resize(3 * area, 0.0);
        let (first, rest) = tile.split_at_mut(area);
        let (second, third) = rest.split_at_mut(area);
        let planes = first
            .chunks_exact_mut(width)
            .zip(second.chunks_exact_mut(width))
            .zip(third.chunks_exact_mut(width));
        for (line, ((first, second), third)) in planes.enumerate() {
            let line = mirror(line as i64, row.lines as usize) as u64;
            fill_tile_line(
                (self.rolling.line(row.first_stored + line)).columns(&inspected),
                i64::from(first_column - inspected.start),
                self.config.color_order,
                [first, second, third],
            );
        }
        let id = TileId(self.next_id);
        self.next_id += 1;
        self.in_flight.push(InFlight {
            id,
            row: self.plan.number_of(place),
            column: first_column,
        });
        Some(TileJob {
            id,
            first_line: LineNumber(row.first_line),
            first_column,
        })
    }

    /// Whether lines wait for a tile that can be cut from them.
    pub fn has_uncut_tile(&self) -> bool {
        self.plan.uncut().is_some()
    }

    /// Takes a tile's result. Where there is none, or it is not one of numbers, the lines under the
    /// tile are not inspected. A tile that was given up meanwhile is ignored.
    pub fn finish_tile(
        &mut self,
        id: TileId,
        outcome: Result<&Prediction, Reason>,
        sink: &mut (impl Sink + ?Sized),
    ) {
        let Some(at) = self.in_flight.iter().position(|tile| tile.id == id) else {
            return;
        };
        let tile = self.in_flight.swap_remove(at);
        // The row of a tile in flight is not settled, so it is there.
        let Some(row) = self.plan.row(tile.row).copied() else {
            return;
        };
        match outcome {
            Ok(prediction) => {
                if !self.stitch.add(&row, tile.column, prediction) {
                    self.stitch.fail(&row, Reason::Engine);
                }
            }
            Err(reason) => self.stitch.fail(&row, reason),
        }
        self.plan.finish(tile.row);
        self.settle(sink);
    }

    /// Ends the segment: the last lines are inspected as a picture's edge is. All verdicts are there
    /// once the tiles that are left are finished; more blocks may follow.
    pub fn end(&mut self, sink: &mut (impl Sink + ?Sized)) {
        self.plan.end_segment(Reason::Shutdown);
        self.ended = true;
        self.settle(sink);
    }

    /// Ends the segment and gives all its tiles up: lines without a verdict are not inspected for this
    /// reason.
    pub fn abort(&mut self, reason: Reason, sink: &mut (impl Sink + ?Sized)) {
        self.plan.end_segment(reason);
        self.ended = true;
        self.settle(sink);
        while self.plan.first_row().is_some() {
            self.give_up_first_row(reason);
            self.settle(sink);
        }
    }

    /// Whether every line that was pushed is settled.
    pub fn is_settled(&self) -> bool {
        self.plan.is_empty()
    }

    fn add_fault(
        &mut self,
        first_line: u64,
        lines: u64,
        reason: Reason,
        sink: &mut (impl Sink + ?Sized),
    ) {
        // An engine that does not answer must not let pieces of web pile up.
        while self.plan.is_full() && self.plan.first_row().is_some() {
            self.give_up_first_row(Reason::Late);
            self.settle(sink);
        }
        self.plan.add_fault(first_line, lines, reason);
    }

    /// Gives up the rows of tiles that need the oldest line in the rolling image.
    fn make_room(&mut self) {
        while let Some((place, row)) = self.plan.uncut() {
            if row.first_stored + self.rolling.lines() > self.stored {
                return;
            }
            let row = *row;
            if row.cut == 0 {
                self.plan.drop_row(place, Reason::Late);
            } else {
                self.stitch.fail(&row, Reason::Late);
                self.plan.finish_uncut(place);
            }
        }
    }

    fn give_up_first_row(&mut self, reason: Reason) {
        let Some(row) = self.plan.first_row().copied() else {
            return;
        };
        if row.cut == 0 {
            self.plan.drop_row(0, reason);
            return;
        }
        self.stitch.fail(&row, reason);
        self.plan.finish_uncut(0);
        let number = self.plan.number_of(0);
        let plan = &mut self.plan;
        self.in_flight.retain(|tile| {
            let given_up = tile.row == number;
            if given_up {
                plan.finish(number);
            }
            !given_up
        });
    }

    fn settle(&mut self, sink: &mut (impl Sink + ?Sized)) {
        while let Some(step) = self.plan.next_step() {
            match step {
                Step::Lines {
                    first_line,
                    first_stored,
                    lines,
                } => {
                    for offset in 0..lines {
                        self.settle_line(first_line + offset, first_stored + offset, sink);
                    }
                }
                Step::SegmentEnd => self.judge.end_segment(sink),
                Step::Fault {
                    first_line,
                    lines,
                    reason,
                } => self.judge.fault(first_line, lines, reason, sink),
            }
        }
        if self.ended && self.plan.is_empty() {
            self.judge.end(sink);
        }
    }

    fn settle_line(&mut self, line: u64, stored: u64, sink: &mut (impl Sink + ?Sized)) {
        let width = self.config.width_px as usize;
        if self.config.keep_reconstruction {
            for (plane, row) in self.row.chunks_exact_mut(width).enumerate() {
                self.stitch.read(stored, plane + 1, row);
            }
            sink.reconstruction(LineNumber(line), &self.row);
        }
        let row = &mut self.row[..width];
        self.stitch.read(stored, 0, row);
        let trouble = self.stitch.release(stored);
        self.judge.row(line, trouble, row, sink);
    }
}
