//! What was found, held against the true defects of the built-in web.

use blemish::camera::Truth;
use blemish::station::Piece;
use blemish::web::Region;

/// Pixels by which a region may lie beside the defect that it shows: half the score's window.
const REACH_PX: u64 = 10;

/// A true defect and what became of it.
#[derive(Debug)]
pub struct Defect {
    pub truth: Truth,
    /// Greatest peak of the regions on it.
    pub peak: Option<f32>,
    /// Whether all its lines were inspected.
    pub inspected: bool,
}

/// What was found held against the truth.
#[derive(Debug)]
pub struct Judged {
    pub defects: Vec<Defect>,
    /// Regions that reject where there is no defect.
    pub false_regions: Vec<Region>,
}

impl Judged {
    pub fn new(truth: Vec<Truth>, whole: &Piece) -> Self {
        let rejecting = || whole.regions.iter().filter(|region| region.defect);
        let false_regions = rejecting()
            .filter(|region| !truth.iter().any(|truth| touches(truth, region)))
            .copied()
            .collect();
        let defects = truth.into_iter().map(|truth| {
            let peaks = rejecting().filter(|region| touches(&truth, region));
            Defect {
                peak: peaks.map(|region| region.peak).reduce(f32::max),
                inspected: was_seen(whole, &truth),
                truth,
            }
        });
        Self {
            defects: defects.collect(),
            false_regions,
        }
    }

    /// True defects that were found.
    pub fn found(&self) -> usize {
        self.defects
            .iter()
            .filter(|defect| defect.peak.is_some())
            .count()
    }

    /// The kind of defect that is truly on a piece of web.
    pub fn kind_on(&self, piece: &Piece) -> Option<&'static str> {
        let on_it = |truth: &Truth| piece.regions.iter().any(|region| touches(truth, region));
        let defect = self.defects.iter().find(|defect| on_it(&defect.truth))?;
        Some(defect.truth.kind.name())
    }
}

fn touches(truth: &Truth, region: &Region) -> bool {
    let meets = |a: (u64, u64), b: (u64, u64)| a.0 < b.1 + REACH_PX && b.0 < a.1 + REACH_PX;
    let lines = (
        region.first_line.0,
        region.first_line.0 + u64::from(region.lines),
    );
    let columns = (
        u64::from(region.first_column),
        u64::from(region.first_column) + u64::from(region.columns),
    );
    meets((truth.first_line, truth.end_line), lines)
        && meets(
            (u64::from(truth.first_column), u64::from(truth.end_column)),
            columns,
        )
}

/// Whether the defect's lines came with pixels: lines that did not are black throughout.
fn was_seen(whole: &Piece, truth: &Truth) -> bool {
    (truth.first_line..truth.end_line).all(|line| {
        let row = line.checked_sub(whole.first_line).map(|row| row as usize);
        row.filter(|&row| row < whole.picture.height_px)
            .is_some_and(|row| {
                whole
                    .picture
                    .crop(0, row, whole.picture.width_px, 1)
                    .is_some_and(|row| row.to_rgb8().iter().any(|&value| value > 0))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use blemish::camera::DefectKind;
    use blemish::geometry::LineNumber;
    use blemish::picture::Picture;
    use blemish::verdict::Verdict;

    fn region(first_line: u64, first_column: u32, defect: bool) -> Region {
        Region {
            first_line: LineNumber(first_line),
            lines: 10,
            first_column,
            columns: 10,
            area_px: 80,
            reaching_px: 80,
            peak: 0.5,
            capped: false,
            defect,
        }
    }

    fn truth(first_line: u64) -> Truth {
        Truth {
            kind: DefectKind::Hole,
            first_line,
            end_line: first_line + 10,
            first_column: 20,
            end_column: 30,
            area_px: 80,
        }
    }

    #[test]
    fn defects_are_found_missed_unseen_or_false() {
        let mut samples = vec![9; 64 * 400];
        samples[64 * 300..64 * 301].fill(0);
        let whole = Piece {
            first_line: 0,
            picture: Picture::from_grey8(64, 400, samples).unwrap(),
            map: vec![0.0; 64 * 400],
            reconstruction: None,
            // Beside the first defect, just out of reach of the second, and one too small.
            regions: vec![
                region(119, 39, true),
                region(200, 41, true),
                region(200, 20, false),
            ],
            verdict: Verdict::Defect,
        };
        let judged = Judged::new(vec![truth(100), truth(200), truth(295)], &whole);
        let seen: Vec<(Option<f32>, bool)> = judged
            .defects
            .iter()
            .map(|defect| (defect.peak, defect.inspected))
            .collect();
        assert_eq!(seen, [(Some(0.5), true), (None, true), (None, false)]);
        assert_eq!(judged.found(), 1);
        assert_eq!(judged.false_regions, [region(200, 41, true)]);
    }
}
