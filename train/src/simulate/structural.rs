//! Structural defects, which Perlin masks rarely look like: hairs and scratches, specks, stains, and
//! pieces of the product in the wrong place.
//!
//! * **coverage**: how much of a pixel the defect hides, 0 to 1; its edge is as soft as optics make it;
//! * **contrast**: the defect's brightness against the product, in multiples of the tile's own spread,
//!   so that what is faint on a smooth product is faint on a rough one;
//! * **veil**: how much of the product's texture the defect hides where it covers all.

use super::Rgb8;
use super::draws::Draws;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// Levels of contrast that are always seen.
const LEAST_LEVELS: f64 = 9.0;
/// What is left of a contrast of [`LEAST_LEVELS`] after rounding, as a share of full scale.
const LEAST_CONTRAST: f32 = 0.5 * LEAST_LEVELS as f32 / 255.0;
/// A tile's spread is taken within these levels.
const SPREAD_LEVELS: [f64; 2] = [4.0, 30.0];

/// What is drawn onto the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// Curved and long, 1 to 10 px wide.
    Hair,
    /// Straight and long, 1 to 4 px wide.
    Scratch,
    /// One to five small spots.
    Specks,
    /// One wide spot with a ragged, soft edge.
    Stain,
    /// A piece of the tile, turned and moved.
    Patch,
}

impl Structure {
    /// All of them.
    pub const ALL: [Structure; 5] = [
        Structure::Hair,
        Structure::Scratch,
        Structure::Specks,
        Structure::Stain,
        Structure::Patch,
    ];

    /// Paints one defect onto `seen`, which holds the clean tile as three planes in [0, 1], and marks
    /// in `mask` what it covers by half or more. `tile` is the same clean tile. What black or white would
    /// swallow, darker than black or brighter than white, is painted the other way.
    pub(super) fn paint(
        self,
        tile: &Rgb8,
        grey: bool,
        draws: &mut Draws,
        seen: &mut [f32],
        mask: &mut [f32],
    ) {
        let mut coverage = Coverage::none(tile.width_px, tile.height_px);
        match self {
            Structure::Hair => {
                let half_width_px = draws.ratio(0.6, 5.0);
                let bend = draws.between(0.01, 0.12);
                coverage.curve(half_width_px, bend, draws);
            }
            Structure::Scratch => {
                let half_width_px = draws.ratio(0.5, 2.0);
                for _ in 0..draws.whole(1, 3) {
                    coverage.curve(half_width_px, 0.002, draws);
                }
            }
            Structure::Specks => {
                for _ in 0..draws.whole(1, 5) {
                    let radius_px = draws.ratio(1.2, 8.0);
                    coverage.spot(radius_px, 0.7, draws);
                }
            }
            Structure::Stain => {
                let side = tile.width_px.min(tile.height_px) as f64;
                let radius_px = draws.ratio(7.0, (side / 4.0).max(8.0));
                let edge_px = draws.between(0.7, (radius_px / 3.0).max(1.0));
                coverage.spot(radius_px, edge_px, draws);
            }
            Structure::Patch => coverage.rectangle(draws),
        }
        let mut change = Change::draw(self, tile, grey, draws);
        if change.is_lost(tile, &coverage) {
            let other = change.turned();
            if !other.is_lost(tile, &coverage) {
                change = other;
            }
        }
        change.apply(tile, &coverage, seen, mask);
    }
}

impl Draws {
    /// Between `low` and `high`, every doubling as likely as another.
    fn ratio(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }
}

/// How much of each pixel is hidden.
struct Coverage {
    width: usize,
    height: usize,
    /// Row-major, 0 to 1.
    share: Vec<f32>,
}

impl Coverage {
    fn none(width: usize, height: usize) -> Self {
        Coverage {
            width,
            height,
            share: vec![0.0; width * height],
        }
    }

    /// Raises the coverage within `reach` of (x, y) to what `at` gives for an offset.
    fn raise(&mut self, x: f64, y: f64, reach: f64, at: impl Fn(f64, f64) -> f64) {
        let span = |centre: f64, end: usize| {
            let low = (centre - reach).floor().max(0.0) as usize;
            let high = (centre + reach + 1.0).ceil().clamp(0.0, end as f64) as usize;
            low..high
        };
        for row in span(y, self.height) {
            for column in span(x, self.width) {
                let share = at(column as f64 - x, row as f64 - y).clamp(0.0, 1.0) as f32;
                let held = &mut self.share[row * self.width + column];
                *held = held.max(share);
            }
        }
    }

    /// A line whose direction wanders by `bend` radians per pixel and which thins out at its ends.
    fn curve(&mut self, half_width_px: f64, bend: f64, draws: &mut Draws) {
        let longest = 1.4 * self.width.max(self.height) as f64;
        let length = draws.ratio(10.0, longest);
        let (mut x, mut y) = (
            draws.between(0.0, self.width as f64),
            draws.between(0.0, self.height as f64),
        );
        let mut direction = draws.between(0.0, TAU);
        let mut turning = draws.between(-bend, bend);
        let steps = (2.0 * length) as usize;
        for step in 0..steps {
            let along = (step as f64 + 0.5) / steps as f64;
            let radius = half_width_px * (PI * along).sin().powf(0.3);
            self.raise(x, y, radius + 1.0, |dx, dy| radius + 0.5 - dx.hypot(dy));
            turning = (turning + draws.between(-bend, bend) * 0.2).clamp(-bend, bend);
            direction += 0.5 * turning;
            x += 0.5 * direction.cos();
            y += 0.5 * direction.sin();
        }
    }

    /// A ragged ellipse whose coverage falls over `edge_px`.
    fn spot(&mut self, radius_px: f64, edge_px: f64, draws: &mut Draws) {
        let (x, y) = (
            draws.between(0.0, self.width as f64),
            draws.between(0.0, self.height as f64),
        );
        let stretch = draws.ratio(1.0, 2.2);
        let (sin, cos) = draws.between(0.0, PI).sin_cos();
        let waves: Vec<(f64, f64, f64)> = (2..7)
            .map(|order| {
                let order = f64::from(order);
                (
                    order,
                    draws.between(0.0, 0.35 / order),
                    draws.between(0.0, TAU),
                )
            })
            .collect();
        self.raise(x, y, 1.6 * radius_px * stretch + edge_px, |dx, dy| {
            let (u, v) = ((dx * cos + dy * sin) / stretch, dy * cos - dx * sin);
            let angle = v.atan2(u);
            let rim: f64 = waves
                .iter()
                .map(|(k, size, at)| size * (k * angle + at).cos())
                .sum();
            0.5 + (radius_px * (1.0 + rim) - u.hypot(v)) / (2.0 * edge_px)
        });
    }

    fn rectangle(&mut self, draws: &mut Draws) {
        let side = self.width.min(self.height) as f64;
        let (x, y) = (
            draws.between(0.0, self.width as f64),
            draws.between(0.0, self.height as f64),
        );
        let (half_width, half_height) =
            (draws.ratio(2.0, side / 6.0), draws.ratio(2.0, side / 6.0));
        let (sin, cos) = draws.between(0.0, PI).sin_cos();
        self.raise(x, y, half_width.hypot(half_height) + 1.0, |dx, dy| {
            let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
            (half_width - u.abs()).min(half_height - v.abs()) + 0.5
        });
    }
}

/// What happens to covered pixels.
struct Change {
    /// Added by channel, as a share of full scale.
    offset: [f32; 3],
    veil: f32,
    /// Mean of the tile by channel, which the veil shows.
    mean: [f32; 3],
    /// Displacement of the piece that lies there instead; both 0 for none.
    moved: (usize, usize),
}

impl Change {
    fn draw(structure: Structure, tile: &Rgb8, grey: bool, draws: &mut Draws) -> Self {
        let (mean, spread) = mean_and_spread(tile);
        let spread = spread.clamp(SPREAD_LEVELS[0], SPREAD_LEVELS[1]);
        let is_patch = structure == Structure::Patch;
        let multiple = draws.ratio(0.8, 6.0);
        let sign = if draws.chance(0.7) { -1.0 } else { 1.0 };
        let levels = sign * (multiple * spread).clamp(LEAST_LEVELS, 140.0);
        let tinted = !grey && draws.chance(0.25);
        let offset = [(); 3].map(|()| {
            let own = if tinted {
                draws.between(-1.0, 1.0)
            } else {
                draws.between(0.8, 1.2)
            };
            (levels * if grey { 1.0 } else { own } / 255.0) as f32
        });
        let veil = if is_patch { 0.0 } else { draws.unit() as f32 };
        let moved = match is_patch {
            true => (
                1 + draws.below(tile.width_px - 1),
                1 + draws.below(tile.height_px - 1),
            ),
            false => (0, 0),
        };
        Change {
            offset,
            veil,
            mean,
            moved,
        }
    }

    /// Brighter where it was darker, and the reverse.
    fn turned(&self) -> Self {
        Change {
            offset: self.offset.map(|offset| -offset),
            ..*self
        }
    }

    /// What would lie on a pixel, before it is cut to what a picture can hold.
    fn unlimited(&self, tile: &Rgb8, place: usize, channel: usize) -> f32 {
        let (width, height) = (tile.width_px, tile.height_px);
        let (row, column) = (place / width, place % width);
        // A piece that lies there is turned by half a turn as well: some products repeat.
        let from = match self.moved {
            (0, 0) => place,
            (x, y) => {
                (height - 1 - (row + y) % height) * width + (width - 1 - (column + x) % width)
            }
        };
        let lying = f32::from(tile.samples[3 * from + channel]) / 255.0;
        let veiled = lying + self.veil * (self.mean[channel] - lying);
        veiled + self.offset[channel]
    }

    /// Whether black or white swallows the contrast on most of what is covered.
    fn is_lost(&self, tile: &Rgb8, coverage: &Coverage) -> bool {
        let covered = coverage.share.iter().enumerate();
        let (mut marked, mut lost) = (0usize, 0usize);
        for (place, _) in covered.filter(|(_, share)| **share >= 0.5) {
            let (mut meant, mut left) = (0f32, 0f32);
            for channel in 0..3 {
                let clean = f32::from(tile.samples[3 * place + channel]) / 255.0;
                let defect = self.unlimited(tile, place, channel);
                meant = meant.max((defect - clean).abs());
                left = left.max((defect.clamp(0.0, 1.0) - clean).abs());
            }
            marked += 1;
            lost += usize::from(meant >= LEAST_CONTRAST && left < LEAST_CONTRAST);
        }
        2 * lost > marked
    }

    fn apply(&self, tile: &Rgb8, coverage: &Coverage, seen: &mut [f32], mask: &mut [f32]) {
        let area = tile.width_px * tile.height_px;
        for (place, &share) in coverage
            .share
            .iter()
            .enumerate()
            .filter(|(_, share)| **share > 0.0)
        {
            for channel in 0..3 {
                let defect = self.unlimited(tile, place, channel).clamp(0.0, 1.0);
                let value = &mut seen[channel * area + place];
                *value += share * (defect - *value);
            }
            if share >= 0.5 {
                mask[place] = 1.0;
            }
        }
    }
}

/// Mean by channel as a share of full scale, and the standard deviation of the channels' mean in levels.
fn mean_and_spread(tile: &Rgb8) -> ([f32; 3], f64) {
    let count = (tile.width_px * tile.height_px).max(1) as f64;
    let (mut sums, mut sum, mut squares) = ([0.0; 3], 0.0, 0.0);
    for pixel in tile.samples.as_chunks::<3>().0 {
        let levels = pixel.map(f64::from);
        for (total, level) in sums.iter_mut().zip(levels) {
            *total += level;
        }
        let level = (levels[0] + levels[1] + levels[2]) / 3.0;
        sum += level;
        squares += level * level;
    }
    let mean = sum / count;
    let variance = (squares / count - mean * mean).max(0.0);
    (
        sums.map(|sum| (sum / count / 255.0) as f32),
        variance.sqrt(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rough_tile() -> Rgb8 {
        let mut draws = Draws::of_sample(9, 9);
        let mut tile = Rgb8::black(64, 96);
        for pixel in tile.samples.as_chunks_mut::<3>().0 {
            *pixel = [100 + draws.below(30) as u8; 3];
        }
        tile
    }

    /// `count` defects of a kind: what is seen minus what is clean, and the mask.
    fn painted(structure: Structure, count: u64) -> Vec<(Vec<f32>, Vec<f32>)> {
        let tile = rough_tile();
        let area = 64 * 96;
        let clean: Vec<f32> = (0..3 * area)
            .map(|i| f32::from(tile.samples[3 * (i % area)]) / 255.0)
            .collect();
        (0..count)
            .map(|sample| {
                let mut draws = Draws::of_sample(1, sample);
                let (mut seen, mut mask) = (clean.clone(), vec![0.0; area]);
                structure.paint(&tile, true, &mut draws, &mut seen, &mut mask);
                let changed = seen.iter().zip(&clean).map(|(s, c)| s - c).collect();
                (changed, mask)
            })
            .collect()
    }

    #[test]
    fn a_marked_defect_is_visible_and_grey_on_grey_product() {
        for structure in Structure::ALL {
            for (changed, mask) in painted(structure, 60) {
                let area = mask.len();
                assert_eq!(changed[..area], changed[area..2 * area], "{structure:?}");
                assert!(mask.iter().all(|&m| m == 0.0 || m == 1.0));
                let inside: Vec<f32> = (0..area)
                    .filter(|&i| mask[i] == 1.0)
                    .map(|i| changed[i])
                    .collect();
                if inside.len() > 12 {
                    let mean = inside.iter().sum::<f32>() / inside.len() as f32;
                    assert!(
                        mean.abs() > 0.5 * LEAST_LEVELS as f32 / 255.0,
                        "{structure:?} {mean}"
                    );
                }
            }
        }
    }

    #[test]
    fn defects_are_where_they_are_marked_but_for_soft_edges() {
        for structure in [
            Structure::Hair,
            Structure::Scratch,
            Structure::Specks,
            Structure::Patch,
        ] {
            for (changed, mask) in painted(structure, 60) {
                let near = |place: usize| {
                    let (row, column) = ((place / 64) as i64, (place % 64) as i64);
                    (-2..=2).any(|dy| {
                        (-2..=2).any(|dx| {
                            let (y, x) = (row + dy, column + dx);
                            (0..96).contains(&y)
                                && (0..64).contains(&x)
                                && mask[(y * 64 + x) as usize] == 1.0
                        })
                    })
                };
                let stray = (0..mask.len())
                    .filter(|&i| changed[i].abs() > 0.02 && !near(i))
                    .count();
                let marked = mask.iter().filter(|&&m| m == 1.0).count();
                assert!(
                    stray <= 12 + marked / 4,
                    "{structure:?}: {stray} stray, {marked} marked"
                );
            }
        }
    }

    #[test]
    fn most_draws_mark_something_and_none_marks_most_of_a_tile() {
        for structure in Structure::ALL {
            let all = painted(structure, 200);
            let areas: Vec<f32> = all.iter().map(|(_, mask)| mask.iter().sum()).collect();
            let some = areas.iter().filter(|&&area| area > 0.0).count();
            assert!(some > 150, "{structure:?} marked {some} of 200");
            assert!(
                areas.iter().all(|&area| area < 0.7 * 64.0 * 96.0),
                "{structure:?}"
            );
        }
    }
}
