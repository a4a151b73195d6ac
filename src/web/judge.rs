//! From the stitched map's rows to regions and verdicts.

use super::MapRow;
use super::Sink;
use super::config::WebConfig;
use super::regions::Regions;
use super::score_rows::{ScoreRows, ScoredRow};
use super::spans::Spans;
use crate::geometry::LineNumber;
use crate::verdict::Reason;

#[derive(Debug)]
pub(super) struct Judge {
    scores: ScoreRows,
    verdicts: Verdicts,
}

#[derive(Debug)]
struct Verdicts {
    regions: Regions,
    spans: Spans,
}

impl Judge {
    pub(super) fn new(config: &WebConfig) -> Self {
        Self {
            scores: ScoreRows::new(config.width_px as usize, config.window),
            verdicts: Verdicts {
                regions: Regions::new(
                    config.width_px,
                    config.threshold,
                    config.min_area_px,
                    config.max_region_lines,
                ),
                spans: Spans::new(config.span_lines, config.max_region_lines),
            },
        }
    }

    /// Takes the next row of a segment's map.
    pub(super) fn row(
        &mut self,
        line: u64,
        trouble: Option<Reason>,
        anomaly: &[f32],
        sink: &mut (impl Sink + ?Sized),
    ) {
        if let Some(row) = self.scores.push(line, trouble, anomaly) {
            self.verdicts.row(&row, sink);
        }
    }

    pub(super) fn end_segment(&mut self, sink: &mut (impl Sink + ?Sized)) {
        while let Some(row) = self.scores.flush() {
            self.verdicts.row(&row, sink);
        }
        let Verdicts { regions, spans } = &mut self.verdicts;
        regions.finish(|closed| {
            if closed.region.defect {
                spans.mark_defect(closed.first_line, closed.last_line);
            }
            sink.region(&closed.region);
        });
        spans.complete_last();
        spans.settle(None, sink);
    }

    /// Takes lines between two segments.
    pub(super) fn fault(
        &mut self,
        first_line: u64,
        lines: u64,
        reason: Reason,
        sink: &mut (impl Sink + ?Sized),
    ) {
        self.verdicts
            .spans
            .add_fault(first_line, lines, reason, sink);
    }

    /// Nothing follows for now: gives the last span's verdict.
    pub(super) fn end(&mut self, sink: &mut (impl Sink + ?Sized)) {
        self.verdicts.spans.complete_last();
        self.verdicts.spans.settle(None, sink);
    }
}

impl Verdicts {
    fn row(&mut self, row: &ScoredRow<'_>, sink: &mut (impl Sink + ?Sized)) {
        sink.row(&MapRow {
            line: LineNumber(row.line),
            trouble: row.trouble,
            anomaly: row.anomaly,
            score: row.score,
        });
        let Self { regions, spans } = self;
        spans.add_line(row.line, row.trouble);
        regions.row(row, |closed| {
            if closed.region.defect {
                spans.mark_defect(closed.first_line, closed.last_line);
            }
            sink.region(&closed.region);
        });
        for first_line in regions.rejecting() {
            spans.mark_defect(first_line, row.line);
        }
        spans.settle(regions.oldest_undecided(), sink);
    }
}
