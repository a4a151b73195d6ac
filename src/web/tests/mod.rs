//! The core driven as a station drives it, with an engine that calls every pixel what it is: the
//! map must then be the picture, whatever the tiles.

mod blocks;
mod late;
mod oracle;
mod pictures;
mod plan;
mod regions;

use super::{Findings, MapRow, Region, Sink, TileId, Web, WebConfig};
use crate::block::{Block, LineStamp};
use crate::draem::score::Window;
use crate::engine::{EngineError, Inspector, Prediction};
use crate::geometry::{LineNumber, TileSize};
use crate::model::ColorOrder;
use crate::picture::Picture;
use crate::verdict::{Reason, SpanVerdict, Verdict};
use std::collections::BTreeMap;

/// The anomaly probability of a pixel is its first plane's value.
pub struct PixelEngine(pub TileSize);

impl Inspector for PixelEngine {
    fn tile_size(&self) -> TileSize {
        self.0
    }

    fn inspect(&mut self, tile: &[f32], out: &mut Prediction) -> Result<(), EngineError> {
        out.anomaly_map = tile[..self.0.area()].to_vec();
        out.reconstruction = tile.iter().map(|v| 1.0 - v).collect();
        Ok(())
    }
}

/// Every tile has its own opinion of every pixel.
pub struct MoodyEngine(pub TileSize);

impl Inspector for MoodyEngine {
    fn tile_size(&self) -> TileSize {
        self.0
    }

    fn inspect(&mut self, tile: &[f32], out: &mut Prediction) -> Result<(), EngineError> {
        let sum: f32 = tile.iter().sum();
        let mut dice = Dice::new(u64::from(sum.to_bits()));
        out.anomaly_map = tile[..self.0.area()]
            .iter()
            .map(|v| (0.5 * v + dice.below(1 << 20) as f32 / (3 << 20) as f32).sqrt())
            .collect();
        Ok(())
    }
}

pub fn config(width_px: u32, overlap_px: u32) -> WebConfig {
    WebConfig {
        width_px,
        columns: None,
        channels: 1,
        sixteen_bit: false,
        tile: TileSize::square(32),
        overlap_px,
        color_order: ColorOrder::Rgb,
        window: Window::OFFICIAL,
        threshold: 0.25,
        min_area_px: 0,
        span_lines: 16,
        max_region_lines: 1000,
        rolling_lines: 400,
        tiles_in_flight: 3,
        min_segment_lines: 32,
        keep_reconstruction: false,
    }
}

/// Small numbers without a crate; the tests only need them to differ.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
}

/// A stretch of web.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stretch {
    Good(usize),
    Faulty(usize, Reason),
    Gap(usize),
}

impl Stretch {
    pub fn lines(self) -> usize {
        match self {
            Stretch::Good(n) | Stretch::Faulty(n, _) | Stretch::Gap(n) => n,
        }
    }
}

/// A picture as long as the web, and what happened to its lines.
#[derive(Debug, Clone)]
pub struct Course {
    pub first_line: u64,
    pub picture: Picture,
    pub stretches: Vec<Stretch>,
}

impl Course {
    pub fn good(picture: Picture) -> Self {
        Self {
            first_line: 0,
            stretches: vec![Stretch::Good(picture.height_px)],
            picture,
        }
    }

    /// Cuts the web into blocks of up to `longest` lines.
    pub fn blocks(&self, dice: &mut Dice, longest: usize) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut at = 0;
        for &stretch in &self.stretches {
            let end = at + stretch.lines();
            let fault = match stretch {
                Stretch::Gap(_) => {
                    at = end;
                    continue;
                }
                Stretch::Good(_) => None,
                Stretch::Faulty(_, reason) => Some(reason),
            };
            while at < end {
                let lines = (1 + dice.below(longest)).min(end - at);
                let picture = self
                    .picture
                    .crop(0, at, self.picture.width_px, lines)
                    .unwrap();
                blocks.push(Block {
                    first_line: LineNumber(self.first_line + at as u64),
                    picture,
                    stamps: vec![LineStamp::default(); lines],
                    timed_line: None,
                    fault,
                });
                at += lines;
            }
        }
        blocks
    }
}

/// Trouble, bits of the map, bits of the score.
type RowBits = (Option<Reason>, Vec<u32>, Vec<u32>);

/// Everything that the core says.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub findings: Findings,
    /// Per line.
    pub rows: BTreeMap<u64, RowBits>,
    pub reconstruction: BTreeMap<u64, Vec<f32>>,
}

impl Sink for Said {
    fn verdict(&mut self, verdict: SpanVerdict) {
        self.findings.verdict(verdict);
    }

    fn region(&mut self, region: &Region) {
        self.findings.region(region);
    }

    fn row(&mut self, row: &MapRow<'_>) {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect();
        let known = self.rows.insert(
            row.line.0,
            (row.trouble, bits(row.anomaly), bits(row.score)),
        );
        assert!(known.is_none(), "line {} came twice", row.line.0);
    }

    fn reconstruction(&mut self, line: LineNumber, planes: &[f32]) {
        self.reconstruction.insert(line.0, planes.to_vec());
    }
}

impl Said {
    /// Verdict per line; checks that spans follow each other without gap and overlap.
    pub fn lines(&self) -> Vec<Verdict> {
        let mut next = None;
        let mut lines = Vec::new();
        for verdict in &self.findings.verdicts {
            let first = verdict.span.first_line.0;
            assert_eq!(first, next.unwrap_or(first), "spans must follow each other");
            assert!(verdict.span.lines > 0, "an empty span");
            next = Some(verdict.span.end().0);
            lines.extend((0..verdict.span.lines).map(|_| verdict.verdict));
        }
        lines
    }
}

/// The engine's side: tiles that are out, finished in any order.
pub struct Workers {
    engine: Box<dyn Inspector>,
    out: Vec<(TileId, Prediction)>,
    pub dice: Dice,
}

impl Workers {
    pub fn new(tile: TileSize, seed: u64) -> Self {
        Self {
            engine: Box::new(PixelEngine(tile)),
            out: Vec::new(),
            dice: Dice::new(seed),
        }
    }

    pub fn moody(tile: TileSize, seed: u64) -> Self {
        Self {
            engine: Box::new(MoodyEngine(tile)),
            ..Self::new(tile, seed)
        }
    }

    pub fn take(&mut self, web: &mut Web) -> bool {
        let mut tile = Vec::new();
        let Some(job) = web.next_tile(&mut tile) else {
            return false;
        };
        let mut prediction = Prediction::default();
        self.engine.inspect(&tile, &mut prediction).unwrap();
        self.out.push((job.id, prediction));
        true
    }

    pub fn finish(&mut self, web: &mut Web, said: &mut Said, failure: Option<Reason>) -> bool {
        if self.out.is_empty() {
            return false;
        }
        let which = self.dice.below(self.out.len());
        let (id, prediction) = self.out.swap_remove(which);
        web.finish_tile(id, failure.map_or(Ok(&prediction), Err), said);
        true
    }

    /// Until no tile is left, taking and finishing in any order.
    pub fn finish_all(&mut self, web: &mut Web, said: &mut Said) {
        loop {
            let took = self.dice.below(3) > 0 && self.take(web);
            let gave = !took && self.finish(web, said, None);
            if !took && !gave && !self.take(web) {
                return;
            }
        }
    }
}

/// Inspects a course with an engine that is always fast enough.
pub fn inspect(config: &WebConfig, course: &Course, seed: u64, longest: usize) -> Said {
    inspect_with(Workers::new(config.tile, seed), config, course, longest)
}

pub fn inspect_with(
    mut workers: Workers,
    config: &WebConfig,
    course: &Course,
    longest: usize,
) -> Said {
    let mut web = Web::new(config.clone()).unwrap();
    let mut said = Said::default();
    let mut cuts = workers.dice.clone();
    for block in course.blocks(&mut cuts, longest) {
        web.push(&block, &mut said).unwrap();
        workers.finish_all(&mut web, &mut said);
    }
    web.end(&mut said);
    workers.finish_all(&mut web, &mut said);
    assert!(web.is_settled());
    said
}

/// A dark picture with bright rectangles: `(column, line, columns, lines)`.
pub fn painted(
    width: usize,
    height: usize,
    marks: &[(usize, usize, usize, usize)],
    noise: &mut Dice,
) -> Picture {
    let mut samples: Vec<u8> = (0..width * height).map(|_| noise.below(6) as u8).collect();
    for &(column, line, columns, lines) in marks {
        for y in line..(line + lines).min(height) {
            for x in column..(column + columns).min(width) {
                samples[y * width + x] = 120 + noise.below(136) as u8;
            }
        }
    }
    Picture::from_grey8(width, height, samples).unwrap()
}
