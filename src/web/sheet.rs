//! A sink for pictures.

use super::{MapRow, PictureResult, Region, Sink};
use crate::geometry::LineNumber;
use crate::verdict::{SpanVerdict, Verdict};

/// A sink that keeps all that is found on one picture of known sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    width_px: usize,
    height_px: usize,
    anomaly_map: Vec<f32>,
    score: f32,
    regions: Vec<Region>,
    verdicts: Vec<Verdict>,
    reconstruction: Vec<f32>,
}

impl Sheet {
    /// An empty sheet for a picture whose first line is line 0.
    pub fn new(width_px: usize, height_px: usize) -> Self {
        Self {
            width_px,
            height_px,
            anomaly_map: Vec::with_capacity(width_px * height_px),
            score: 0.0,
            regions: Vec::new(),
            verdicts: Vec::new(),
            reconstruction: Vec::new(),
        }
    }

    /// Lines of the map so far.
    pub fn lines(&self) -> usize {
        self.anomaly_map.len() / self.width_px.max(1)
    }

    /// What was found; `repainted` says whether the engine gave a reconstruction for every tile.
    pub fn result(self, repainted: bool) -> PictureResult {
        let passes = self.verdicts.iter().all(|verdict| verdict.passes());
        PictureResult {
            width_px: self.width_px,
            height_px: self.height_px,
            anomaly_map: self.anomaly_map,
            score: self.score,
            regions: self.regions,
            verdict: if passes { Verdict::Ok } else { Verdict::Defect },
            reconstruction: repainted.then_some(self.reconstruction),
        }
    }
}

impl Sink for Sheet {
    fn verdict(&mut self, verdict: SpanVerdict) {
        self.verdicts.push(verdict.verdict);
    }

    fn region(&mut self, region: &Region) {
        self.regions.push(*region);
    }

    fn row(&mut self, row: &MapRow<'_>) {
        self.anomaly_map.extend_from_slice(row.anomaly);
        self.score = row.score.iter().copied().fold(self.score, f32::max);
    }

    fn reconstruction(&mut self, line: LineNumber, planes: &[f32]) {
        let area = self.width_px * self.height_px;
        self.reconstruction.resize(3 * area, 0.0);
        let at = line.0 as usize * self.width_px;
        for (plane, row) in planes.chunks_exact(self.width_px).enumerate() {
            self.reconstruction[plane * area + at..][..self.width_px].copy_from_slice(row);
        }
    }
}
