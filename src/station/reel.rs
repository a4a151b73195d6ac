//! The last lines of web with their map, and the pieces of it that were found defective.

use super::Witness;
use crate::block::Block;
use crate::camera::LineFormat;
use crate::geometry::LineNumber;
use crate::model::ColorOrder;
use crate::picture::{LineSamples, Picture, Samples, to_u8};
use crate::pins::Moment;
use crate::reject::VerdictUse;
use crate::verdict::{Span, SpanVerdict, Verdict};
use crate::web::{MapRow, Region};
use std::collections::VecDeque;

/// Lines above and below a defect that are shown with it.
const MARGIN_LINES: u64 = 48;

/// Regions remembered until the verdicts over them have come.
const REGIONS: usize = 256;

/// A piece of web with what was found on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub first_line: u64,
    /// 8 bit.
    pub picture: Picture,
    /// Anomaly probability, `height x width`; 0 where lines were not inspected.
    pub map: Vec<f32>,
    /// As the network repaints it; absent where reconstructions are not kept.
    pub reconstruction: Option<Picture>,
    pub regions: Vec<Region>,
    pub verdict: Verdict,
}

impl Piece {
    /// Greatest peak of its regions.
    pub fn peak(&self) -> f32 {
        self.regions
            .iter()
            .map(|region| region.peak)
            .fold(0.0, f32::max)
    }
}

/// A ring of lines.
#[derive(Debug)]
struct Reel {
    width: usize,
    channels: usize,
    lines: usize,
    /// Line that each place holds.
    held: Vec<Option<u64>>,
    grey: Vec<u8>,
    map: Vec<f32>,
    /// RGB or grey as the picture; empty where not kept.
    repainted: Vec<u8>,
    /// Order of the reconstruction's planes.
    order: ColorOrder,
    next_line: u64,
}

impl Reel {
    fn new(format: LineFormat, lines: usize, repainted: Option<ColorOrder>) -> Self {
        let (width, channels) = (format.width_px as usize, format.channels as usize);
        let lines = lines.max(1);
        let samples = width * channels * lines;
        Self {
            width,
            channels,
            lines,
            held: vec![None; lines],
            grey: vec![0; samples],
            map: vec![0.0; width * lines],
            repainted: vec![0; if repainted.is_some() { samples } else { 0 }],
            order: repainted.unwrap_or_default(),
            next_line: 0,
        }
    }

    /// The place of a line that is held.
    fn place(&self, line: u64) -> Option<usize> {
        let place = (line % self.lines as u64) as usize;
        (self.held[place] == Some(line)).then_some(place)
    }

    fn take(&mut self, block: &Block) {
        let samples = self.width * self.channels;
        for row in 0..block.stamps.len() {
            let line = block.first_line.0 + row as u64;
            let place = (line % self.lines as u64) as usize;
            self.held[place] = Some(line);
            self.map[place * self.width..][..self.width].fill(0.0);
            if !self.repainted.is_empty() {
                self.repainted[place * samples..][..samples].fill(0);
            }
            let to = &mut self.grey[place * samples..][..samples];
            if row >= block.picture.height_px || block.fault.is_some() {
                to.fill(0);
                continue;
            }
            match block.picture.line(row).samples {
                LineSamples::U8(from) if from.len() == samples => to.copy_from_slice(from),
                LineSamples::U16(from) if from.len() == samples => {
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = to_u8(from);
                    }
                }
                _ => to.fill(0),
            }
        }
        self.next_line = block.first_line.0 + block.stamps.len() as u64;
    }

    fn take_row(&mut self, line: u64, anomaly: &[f32]) {
        if let Some(place) = self.place(line) {
            self.map[place * self.width..][..self.width].copy_from_slice(anomaly);
        }
    }

    fn take_reconstruction(&mut self, line: u64, planes: &[f32]) {
        let (width, channels) = (self.width, self.channels);
        let Some(place) = self.place(line).filter(|_| !self.repainted.is_empty()) else {
            return;
        };
        let to = &mut self.repainted[place * width * channels..][..width * channels];
        for (column, pixel) in to.chunks_exact_mut(channels).enumerate() {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let plane = match self.order {
                    ColorOrder::Bgr if channels == 3 => 2 - channel,
                    ColorOrder::Rgb | ColorOrder::Bgr => channel,
                };
                *value = (255.0 * planes[plane * width + column]).round() as u8;
            }
        }
    }

    /// Lines `first..end` as far as they are held.
    fn cut(&self, first: u64, end: u64) -> Option<Piece> {
        let oldest = self.next_line.saturating_sub(self.lines as u64);
        let (first, end) = (first.max(oldest), end.min(self.next_line));
        let samples = self.width * self.channels;
        let height = usize::try_from(end.checked_sub(first)?).ok()?;
        let mut grey = Vec::with_capacity(height * samples);
        let mut repainted = Vec::with_capacity(if self.repainted.is_empty() {
            0
        } else {
            height * samples
        });
        let mut map = Vec::with_capacity(height * self.width);
        for line in first..end {
            match self.place(line) {
                Some(place) => {
                    grey.extend_from_slice(&self.grey[place * samples..][..samples]);
                    map.extend_from_slice(&self.map[place * self.width..][..self.width]);
                    if !self.repainted.is_empty() {
                        repainted.extend_from_slice(&self.repainted[place * samples..][..samples]);
                    }
                }
                // Lines of a gap that no block told of.
                None => {
                    grey.resize(grey.len() + samples, 0);
                    map.resize(map.len() + self.width, 0.0);
                    if !self.repainted.is_empty() {
                        repainted.resize(repainted.len() + samples, 0);
                    }
                }
            }
        }
        let picture =
            |samples| Picture::new(self.width, height, self.channels, Samples::U8(samples)).ok();
        Some(Piece {
            first_line: first,
            picture: picture(grey)?,
            map,
            reconstruction: picture(repainted),
            regions: Vec::new(),
            verdict: Verdict::Ok,
        })
    }
}

/// A witness that cuts out the web around defects and hands every piece on. Adjoining defective spans
/// make one piece.
pub struct Cutter<'a> {
    reel: Reel,
    regions: VecDeque<Region>,
    open: Option<Span>,
    most_lines: u32,
    hand_on: Box<dyn FnMut(Piece) + 'a>,
}

impl<'a> Cutter<'a> {
    /// Keeps `lines` lines, and reconstructions whose planes have the given order, where the inspection
    /// keeps them.
    pub fn new(
        format: LineFormat,
        lines: usize,
        repainted: Option<ColorOrder>,
        hand_on: impl FnMut(Piece) + 'a,
    ) -> Self {
        Self {
            reel: Reel::new(format, lines, repainted),
            regions: VecDeque::with_capacity(REGIONS),
            open: None,
            most_lines: (lines as u64 - 2 * MARGIN_LINES.min(lines as u64 / 2)).min(1024) as u32,
            hand_on: Box::new(hand_on),
        }
    }

    /// Hands on the piece that is open, and gives the whole reel.
    pub fn finish(mut self) -> Option<Piece> {
        self.close();
        let mut whole = self.reel.cut(0, u64::MAX)?;
        whole.regions = self.regions.into();
        Some(whole)
    }

    fn close(&mut self) {
        let Some(span) = self.open.take() else {
            return;
        };
        let first = span.first_line.0.saturating_sub(MARGIN_LINES);
        let end = span.end().0 + MARGIN_LINES;
        let Some(mut piece) = self.reel.cut(first, end) else {
            return;
        };
        piece.verdict = Verdict::Defect;
        let (first, end) = (
            piece.first_line,
            piece.first_line + piece.picture.height_px as u64,
        );
        let on_it = |region: &&Region| {
            region.first_line.0 < end && region.first_line.0 + u64::from(region.lines) > first
        };
        piece.regions = self.regions.iter().filter(on_it).copied().collect();
        (self.hand_on)(piece);
    }
}

impl Witness for Cutter<'_> {
    fn block(&mut self, _: Moment, block: &Block) {
        self.reel.take(block);
    }

    fn row(&mut self, row: &MapRow<'_>) {
        self.reel.take_row(row.line.0, row.anomaly);
    }

    fn reconstruction(&mut self, line: LineNumber, planes: &[f32]) {
        self.reel.take_reconstruction(line.0, planes);
    }

    fn region(&mut self, _: Moment, region: &Region) {
        if self.regions.len() == REGIONS {
            self.regions.pop_front();
        }
        self.regions.push_back(*region);
    }

    fn verdict(&mut self, _: Moment, given: SpanVerdict, _: VerdictUse) {
        if given.verdict != Verdict::Defect {
            self.close();
            return;
        }
        match &mut self.open {
            Some(span) if span.lines < self.most_lines => span.lines += given.span.lines,
            _ => {
                self.close();
                self.open = Some(given.span);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::LineStamp;

    const FORMAT: LineFormat = LineFormat {
        width_px: 4,
        channels: 1,
        sixteen_bit: false,
        lines_per_block: 10,
    };

    fn block(first: u64, lines: u64) -> Block {
        let mut block = FORMAT.empty_block();
        block.first_line = LineNumber(first);
        block.picture.height_px = lines as usize;
        let values = (first..first + lines).flat_map(|line| [line as u8; 4]);
        block.picture.samples = Samples::U8(values.collect());
        block.stamps = vec![LineStamp::default(); lines as usize];
        block
    }

    fn span(first: u64, lines: u32, verdict: Verdict) -> SpanVerdict {
        SpanVerdict {
            span: Span {
                first_line: LineNumber(first),
                lines,
            },
            verdict,
        }
    }

    #[test]
    fn adjoining_defective_spans_are_one_piece_with_its_regions_and_margins() {
        let mut pieces = Vec::new();
        let mut cutter = Cutter::new(FORMAT, 200, None, |piece| pieces.push(piece));
        let now = Moment::default();
        for first in (0..200).step_by(10) {
            cutter.block(now, &block(first, 10));
        }
        for line in 0..200 {
            let anomaly = [0.0, 0.0, line as f32 / 200.0, 0.0];
            cutter.row(&MapRow {
                line: LineNumber(line),
                trouble: None,
                anomaly: &anomaly,
                score: &anomaly,
            });
        }
        let region = |first, peak| Region {
            first_line: LineNumber(first),
            lines: 5,
            first_column: 1,
            columns: 2,
            area_px: 10,
            reaching_px: 10,
            peak,
            capped: false,
            defect: true,
        };
        cutter.region(now, &region(5, 0.9));
        cutter.region(now, &region(95, 0.7));
        for (first, verdict) in [
            (0, Verdict::Ok),
            (80, Verdict::Defect),
            (90, Verdict::Defect),
            (100, Verdict::Ok),
        ] {
            cutter.verdict(now, span(first, 10, verdict), VerdictUse::Taken);
        }
        let whole = cutter.finish().unwrap();
        assert_eq!((whole.picture.height_px, whole.regions.len()), (200, 2));
        let [piece] = &pieces[..] else {
            panic!("{} pieces", pieces.len())
        };
        assert_eq!((piece.first_line, piece.picture.height_px), (32, 116));
        assert_eq!(piece.picture.line(0).samples, LineSamples::U8(&[32; 4]));
        assert_eq!(piece.map[4 * 10 + 2], 42.0 / 200.0);
        assert_eq!(piece.peak(), 0.7);
        assert_eq!(piece.regions.len(), 1);
    }

    #[test]
    fn what_the_reel_has_lost_is_left_out() {
        let mut pieces = Vec::new();
        let mut cutter = Cutter::new(FORMAT, 20, None, |piece| pieces.push(piece));
        let now = Moment::default();
        for first in (0..50).step_by(10) {
            cutter.block(now, &block(first, 10));
        }
        cutter.verdict(now, span(0, 40, Verdict::Defect), VerdictUse::Taken);
        cutter.finish();
        assert_eq!(
            (pieces[0].first_line, pieces[0].picture.height_px),
            (30, 20)
        );
    }
}
