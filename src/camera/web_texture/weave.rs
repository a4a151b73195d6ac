//! A 3/1 twill: every pick (weft yarn, across) passes over one end (warp yarn, along) and under three.

use super::super::random::Random;
use super::drift::Drift;

/// Steps per cell side in the table of shades.
const STEPS: usize = 32;
/// Ends after which the twill repeats.
const REPEAT: usize = 4;
/// Picks kept at once; the bow may spread one line over half of them.
const PICKS: usize = 32;
/// Ends at each web edge that are woven plain and tight.
const SELVEDGE_ENDS: usize = 8;

/// Pitches of the yarns in pixels, and the width of the cloth.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeaveSpec {
    pub cloth_px: f32,
    pub warp_pitch_px: f32,
    pub weft_pitch_px: f32,
}

#[derive(Debug)]
struct End {
    border_px: f32,
    brightness: f32,
    grain: f32,
}

#[derive(Debug, Default)]
struct Pick {
    /// Lines per pick against the nominal pitch.
    stretch: f32,
    brightness: f32,
    /// How far the cloth ends short of its edges.
    fringe_px: [f32; 2],
    grain: Vec<f32>,
}

/// Yarns that are missing in the line being woven.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Missing {
    /// First end and number of ends.
    pub ends: Option<(usize, usize)>,
    /// Pick, and the columns of cloth from and to which it is missing.
    pub pick: Option<(i64, f32, f32)>,
    /// Written to the labels where yarn is missing.
    pub label: u8,
}

#[derive(Debug)]
pub(super) struct Weave {
    shades: Vec<f32>,
    ends: Vec<End>,
    picks: Vec<Pick>,
    /// Index of the first pick not yet spun.
    next_pick: i64,
    /// Pick under column 0 if there were no bow, and how far into it.
    pick: i64,
    into_pick: f32,
    bow: Vec<f32>,
    waviness: Drift,
    wave: Vec<f32>,
    spec: WeaveSpec,
    random: Random,
}

impl Weave {
    pub fn new(seed: u64, spec: WeaveSpec) -> Self {
        let mut random = Random::stream(seed, 10);
        let count = (spec.cloth_px / spec.warp_pitch_px) as usize;
        let pitch = spec.cloth_px / count as f32;
        let ends = (0..=count).map(|end| End {
            border_px: (end as f32 + 0.07 * random.bell() * f32::from(u8::from(end % count != 0)))
                * pitch,
            brightness: 0.05 * random.bell(),
            grain: 0.0,
        });
        let ends: Vec<End> = ends.collect();
        let width = spec.cloth_px as usize + 2;
        let skew = random.between(-1.5, 1.5);
        let sag = random.between(0.5, 1.5);
        let bow = (0..width).map(|column| {
            let place = 2.0 * column as f32 / width as f32 - 1.0;
            skew * place + sag * place * place
        });
        Self {
            shades: shades(),
            ends,
            picks: (0..PICKS).map(|_| Pick::default()).collect(),
            next_pick: 0,
            pick: PICKS as i64 / 2,
            into_pick: random.unit(),
            bow: bow.collect(),
            waviness: Drift::new(Random::stream(seed, 11), width, 70.0, 60.0, 0.12),
            wave: vec![0.0; width],
            spec,
            random,
        }
    }

    /// The end under a column of the cloth.
    pub fn end_at(&self, cloth_column: f32) -> usize {
        self.ends
            .partition_point(|end| end.border_px <= cloth_column)
            .clamp(1, self.ends.len() - 1)
            - 1
    }

    /// The pick under a column of the cloth in the line woven last.
    pub fn pick_at(&self, cloth_column: f32) -> i64 {
        let column = (cloth_column.max(0.0) as usize).min(self.bow.len() - 1);
        let into = self.into_pick + self.bow[column] + self.wave[column] + SPREAD as f32;
        self.pick - SPREAD + into as i64
    }

    /// Weaves the next line into `out`, whose column 0 lies `left_px` left of the cloth.
    pub fn next_line(
        &mut self,
        left_px: f32,
        missing: &[Missing],
        out: &mut [f32],
        labels: &mut [u8],
    ) {
        self.advance();
        let cloth = self.spec.cloth_px;
        let first = left_px.max(0.0).ceil() as usize;
        let last = ((left_px + cloth).max(0.0) as usize).min(out.len());
        let mut end = 0;
        let ends = self.ends.len() - 1;
        for column in first..last {
            let x = column as f32 - left_px;
            while end + 1 < ends && self.ends[end + 1].border_px <= x {
                end += 1;
            }
            let (near, far) = (self.ends[end].border_px, self.ends[end + 1].border_px);
            let into_end = (x - near) / (far - near);
            let cloth_column = x as usize;
            let into =
                self.into_pick + self.bow[cloth_column] + self.wave[cloth_column] + SPREAD as f32;
            let whole = into as i64;
            let index = self.pick - SPREAD + whole;
            let pick = &self.picks[index.rem_euclid(PICKS as i64) as usize];
            if x < pick.fringe_px[0] || cloth - x < pick.fringe_px[1] {
                continue;
            }
            let selvedge = end < SELVEDGE_ENDS || end + SELVEDGE_ENDS >= ends;
            let step = (end as i64 + index).rem_euclid(REPEAT as i64) as usize;
            let step = if selvedge { 2 * (step & 1) } else { step };
            let into_pick = into - whole as f32;
            let shade = shade(&self.shades, step, into_end, into_pick);
            let yarn = if step == 0 {
                pick.brightness + pick.grain[cloth_column]
            } else {
                self.ends[end].brightness + self.ends[end].grain
            };
            let gloss = if selvedge { 1.06 } else { 1.0 };
            out[column] = gloss * shade * (1.0 + yarn);
            for gap in missing {
                let no_end = gap
                    .ends
                    .is_some_and(|(from, n)| (from..from + n).contains(&end));
                let no_pick = gap
                    .pick
                    .is_some_and(|(p, from, to)| p == index && from <= x && x < to);
                if no_end || no_pick {
                    let bare = if no_end { into_end } else { into_pick };
                    // Deepest in the middle of the gap; the neighbours' sides still catch light.
                    let sunk = 0.42 + 0.40 * (2.0 * bare - 1.0).abs();
                    out[column] = sunk * (0.6 * shade + 0.16) * (1.0 + 1.5 * yarn);
                    labels[column] = gap.label;
                }
            }
        }
    }

    fn advance(&mut self) {
        let stretch = self.picks[self.pick.rem_euclid(PICKS as i64) as usize].stretch;
        self.into_pick += 1.0 / (stretch.max(0.5) * self.spec.weft_pitch_px);
        while self.into_pick >= 1.0 {
            self.into_pick -= 1.0;
            self.pick += 1;
        }
        while self.next_pick <= self.pick + SPREAD {
            self.spin_pick();
        }
        for end in &mut self.ends {
            end.grain = 0.72 * end.grain + 0.07 * self.random.bell();
        }
        self.waviness.next_line(&mut self.wave);
    }

    fn spin_pick(&mut self) {
        let width = self.bow.len();
        let slot = self.next_pick.rem_euclid(PICKS as i64) as usize;
        let pick = &mut self.picks[slot];
        pick.stretch = 1.0 + 0.05 * self.random.bell();
        pick.brightness = 0.06 * self.random.bell();
        pick.fringe_px = [self.random.between(0.0, 3.0), self.random.between(0.0, 3.0)];
        pick.grain.resize(width, 0.0);
        let (mut fine, mut coarse) = (0f32, 0f32);
        for grain in &mut pick.grain {
            let kick = self.random.unit() + self.random.unit() - 1.0;
            fine = 0.7 * fine + 0.15 * kick;
            coarse = 0.97 * coarse + 0.035 * kick;
            *grain = fine + coarse;
        }
        self.next_pick += 1;
    }
}

/// Picks by which bow and waviness may lead or trail, each way.
const SPREAD: i64 = PICKS as i64 / 4;

fn shade(shades: &[f32], step: usize, into_end: f32, into_pick: f32) -> f32 {
    let across = ((into_end * STEPS as f32) as usize).min(STEPS - 1);
    let along = ((into_pick * STEPS as f32) as usize).min(STEPS - 1);
    shades[(step * STEPS + along) * STEPS + across]
}

/// Shade of every cell of the repeat: step 0 shows the pick, steps 1 to 3 the end's long float.
fn shades() -> Vec<f32> {
    let place = |index: usize| (2 * index + 1) as f32 / STEPS as f32 - 1.0;
    let mut table = Vec::with_capacity(REPEAT * STEPS * STEPS);
    for step in 0..REPEAT {
        for along in (0..STEPS).map(place) {
            for across in (0..STEPS).map(place) {
                table.push(if step == 0 {
                    let round = 1.0 - 0.75 * along * along;
                    let crown = 1.0 - 0.45 * across * across;
                    0.20 + 0.40 * round * crown
                } else {
                    let float = (2.0 * (step as f32 - 1.0) + along + 1.0) / 3.0 - 1.0;
                    // Twist leans the highlight to one side.
                    let lean = across - 0.30 * float;
                    let round = (1.0 - 0.80 * lean * lean).max(0.0);
                    let crown = 1.0 - 0.55 * float * float;
                    0.18 + 0.62 * round * crown
                });
            }
        }
    }
    table
}
