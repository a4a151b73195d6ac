//! Known defects of the synthetic web: what they look like and where they are.

use super::super::random::Random;
use super::weave::{Missing, Weave};
use serde::{Deserialize, Serialize};

/// What went wrong with the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefectKind {
    /// A broken end: no warp yarn over many lines.
    MissingEnd,
    /// A broken pick: no weft yarn over many columns.
    MissingPick,
    /// A dark, soft patch of oil.
    Stain,
    /// The roller shows through.
    Hole,
    /// A thick place or knot in a yarn.
    Slub,
    /// A thin abraded line.
    Scratch,
    /// A crease across the web: light on one side, shadow on the other.
    Fold,
}

impl DefectKind {
    pub const ALL: [DefectKind; 7] = [
        DefectKind::MissingEnd,
        DefectKind::MissingPick,
        DefectKind::Stain,
        DefectKind::Hole,
        DefectKind::Slub,
        DefectKind::Scratch,
        DefectKind::Fold,
    ];

    /// As folders and the journal spell it.
    pub const fn name(self) -> &'static str {
        match self {
            DefectKind::MissingEnd => "missing_end",
            DefectKind::MissingPick => "missing_pick",
            DefectKind::Stain => "stain",
            DefectKind::Hole => "hole",
            DefectKind::Slub => "slub",
            DefectKind::Scratch => "scratch",
            DefectKind::Fold => "fold",
        }
    }

    /// What stands in the label line where this defect is; 0 is good web.
    pub const fn label(self) -> u8 {
        self as u8 + 1
    }

    /// Half extents (across in pixels, along in lines), drawn within what this kind does.
    fn half_extents(self, random: &mut Random) -> (f32, f32) {
        match self {
            DefectKind::MissingEnd => (7.0, random.between(30.0, 90.0)),
            DefectKind::MissingPick => (random.between(30.0, 90.0), 12.0),
            DefectKind::Stain => (random.between(12.0, 28.0), random.between(12.0, 28.0)),
            DefectKind::Hole => (random.between(7.0, 14.0), random.between(7.0, 14.0)),
            DefectKind::Slub => {
                let (thick, long) = (random.between(5.0, 8.0), random.between(12.0, 24.0));
                if random.below(2) == 0 {
                    (thick, long)
                } else {
                    (long, thick)
                }
            }
            DefectKind::Scratch => (random.between(8.0, 50.0), random.between(25.0, 80.0)),
            DefectKind::Fold => (random.between(50.0, 100.0), random.between(8.0, 14.0)),
        }
    }
}

/// A defect on the web. Columns are columns of the picture where the web has not wandered.
#[derive(Debug, Clone, PartialEq)]
pub struct Defect {
    pub kind: DefectKind,
    /// Middle, in lines since the web's first.
    pub line: u64,
    /// Middle across.
    pub column: f32,
    pub half_width_px: f32,
    pub half_lines: f32,
    /// 1 is usual.
    pub strength: f32,
    pub seed: u64,
}

impl Defect {
    /// Draws a defect of a kind whose middle is at `line` and whose columns lie within `columns`.
    pub fn draw(kind: DefectKind, line: u64, columns: (f32, f32), random: &mut Random) -> Self {
        let (half_width_px, half_lines) = kind.half_extents(random);
        let half_width_px = half_width_px.min(0.45 * (columns.1 - columns.0));
        Self {
            kind,
            line,
            column: random.between(columns.0 + half_width_px, columns.1 - half_width_px),
            half_width_px,
            half_lines,
            strength: random.between(0.8, 1.2),
            seed: random.next_u64(),
        }
    }

    /// First line that it may touch.
    pub fn first_line(&self) -> u64 {
        self.line.saturating_sub(self.reach())
    }

    /// Line after the last that it may touch.
    pub fn end_line(&self) -> u64 {
        self.line + self.reach() + 1
    }

    fn reach(&self) -> u64 {
        (1.25 * self.half_lines) as u64 + 2
    }

    /// The yarns that this defect takes out of the line about to be woven; `left_px` is the cloth's
    /// edge. `held` keeps the yarn once it is chosen.
    pub(super) fn missing(
        &self,
        line: u64,
        left_px: f32,
        weave: &Weave,
        held: &mut Option<Missing>,
    ) -> Option<Missing> {
        let cloth_column = self.column - left_px;
        let gone = match self.kind {
            DefectKind::MissingEnd => {
                if self.line.abs_diff(line) as f32 > self.half_lines {
                    return None;
                }
                Missing {
                    ends: Some((weave.end_at(cloth_column), 1 + (self.seed & 1) as usize)),
                    pick: None,
                    label: self.kind.label(),
                }
            }
            DefectKind::MissingPick => {
                if line < self.line {
                    return None;
                }
                let half = self.half_width_px;
                Missing {
                    ends: None,
                    // Not yet under any column, whatever the bow.
                    pick: Some((
                        weave.pick_at(cloth_column) + 1,
                        cloth_column - half,
                        cloth_column + half,
                    )),
                    label: self.kind.label(),
                }
            }
            _ => return None,
        };
        Some(*held.get_or_insert(gone))
    }

    /// Paints this defect over one line. `roller` is what lies under the web.
    pub(super) fn paint(&self, line: u64, roller: &[f32], radiance: &mut [f32], labels: &mut [u8]) {
        let dy = line as f32 - self.line as f32;
        let reach = 1.3 * self.half_width_px + 4.0;
        let first = (self.column - reach).max(0.0) as usize;
        let last = ((self.column + reach).max(0.0) as usize).min(radiance.len());
        for column in first..last {
            let dx = column as f32 - self.column;
            let under = radiance[column];
            if let Some((value, marked)) = self.shade(dx, dy, under, roller[column]) {
                radiance[column] = value;
                if marked {
                    labels[column] = self.kind.label();
                }
            }
        }
    }

    /// New radiance at an offset from the middle, and whether it belongs to the truth.
    fn shade(&self, dx: f32, dy: f32, under: f32, roller: f32) -> Option<(f32, bool)> {
        match self.kind {
            DefectKind::MissingEnd | DefectKind::MissingPick => None,
            DefectKind::Stain => {
                let cover = smooth(1.6 * (1.0 - self.distance(dx, dy, 9.0, 0.40)) + 0.25);
                (cover > 0.0)
                    .then_some((under * (1.0 - 0.45 * self.strength * cover), cover > 0.35))
            }
            DefectKind::Hole => {
                let distance = self.distance(dx, dy, 4.0, 0.30);
                if distance < 1.0 {
                    let depth = smooth(4.0 * (1.0 - distance));
                    let shadow = roller * (0.55 + 0.45 * smooth(1.0 - distance));
                    Some((under + depth * (shadow - under), true))
                } else {
                    // Loose fibres around the rim catch the light.
                    let rim = smooth(4.0 * (1.25 - distance));
                    (rim > 0.0).then_some((under * (1.0 + 0.35 * rim * self.strength), rim > 0.5))
                }
            }
            DefectKind::Slub => {
                let distance = self.distance(dx, dy, 5.0, 0.15);
                let cover = smooth(3.0 * (1.0 - distance));
                let along = if self.half_lines > self.half_width_px {
                    dx / self.half_width_px
                } else {
                    dy / self.half_lines
                };
                let lump = 0.28 + 0.48 * (1.0 - 0.8 * along * along).max(0.0) * self.strength;
                let lump = lump + 0.10 * self.noise(dx / 2.0, dy / 2.0) + 0.15 * (under - 0.5);
                (cover > 0.0).then_some((under + cover * (lump - under), cover > 0.3))
            }
            DefectKind::Scratch => {
                let slope = self.half_width_px / self.half_lines;
                let slope = if self.seed & 1 == 0 { slope } else { -slope };
                let bend = 3.0 * self.noise(dy / 25.0, 0.0);
                let off = (dx - slope * dy - bend).abs() / 2.4;
                let skips = smooth(1.5 + 2.0 * self.noise(dy / 9.0, 7.0));
                let cover = smooth(1.5 * (1.0 - off)) * skips;
                (dy.abs() <= self.half_lines && cover > 0.0).then_some({
                    (
                        under + 0.42 * self.strength * cover * (1.1 - under),
                        cover > 0.3,
                    )
                })
            }
            DefectKind::Fold => {
                let lean = 0.08 * dx * if self.seed & 1 == 0 { 1.0 } else { -1.0 };
                let height = (dy - lean - 2.0 * self.noise(dx / 30.0, 0.0)) / self.half_lines;
                let taper = smooth(6.0 * (1.0 - dx.abs() / self.half_width_px));
                let side = (1.0 - height * height).max(0.0);
                let tone = -1.5 * height * side * taper * self.strength;
                (taper > 0.0 && side > 0.0).then(|| (under * (1.0 + tone), tone.abs() > 0.2))
            }
        }
    }

    /// Distance from the middle in units of the extents, with a ragged outline.
    fn distance(&self, dx: f32, dy: f32, grain_px: f32, ragged: f32) -> f32 {
        let (x, y) = (dx / self.half_width_px, dy / self.half_lines);
        (x * x + y * y).sqrt() + ragged * self.noise(dx / grain_px, dy / grain_px)
    }

    /// Smooth noise in [-1, 1] over the plane.
    fn noise(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let corner = |i: i64, j: i64| {
            let cell = ((left as i64 + i) as u64) << 32 ^ ((top as i64 + j) as u64 & 0xffff_ffff);
            2.0 * Random::stream(self.seed, cell).unit() - 1.0
        };
        let (u, v) = (smooth(x - left), smooth(y - top));
        let upper = corner(0, 0) + u * (corner(1, 0) - corner(0, 0));
        let lower = corner(0, 1) + u * (corner(1, 1) - corner(0, 1));
        upper + v * (lower - upper)
    }
}

/// 0 below 0, 1 above 1, and smooth between.
fn smooth(value: f32) -> f32 {
    let t = value.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
