//! A woven web under a line camera, with known defects: what the demo inspects and what the shipped
//! model is trained on.
//!
//! * **cloth**: the web itself, a 3/1 twill with a selvedge at each edge;
//! * **roller**: the dark steel behind it, in view left and right;
//! * **truth**: which pixels of which line belong to a defect.
//!
//! Everything follows from the seeds: the same web on every machine.

mod defects;
mod drift;
mod light;
mod weave;

pub use defects::{Defect, DefectKind};

use super::random::Random;
use drift::Drift;
use light::Light;
use weave::{Missing, Weave, WeaveSpec};

/// The web and the camera that looks at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WebSpec {
    pub width_px: u32,
    /// Roller in view at each side, before the web wanders.
    pub margin_px: u32,
    pub warp_pitch_px: f32,
    pub weft_pitch_px: f32,
    /// What belongs to the camera and lamp: unequal columns, tilt of the light.
    pub camera_seed: u64,
    /// What belongs to this piece of web.
    pub web_seed: u64,
}

impl Default for WebSpec {
    fn default() -> Self {
        Self {
            width_px: 512,
            margin_px: 36,
            warp_pitch_px: 4.7,
            weft_pitch_px: 5.3,
            camera_seed: 1,
            web_seed: 1,
        }
    }
}

impl WebSpec {
    /// Columns that stay on the cloth, however far it wanders.
    pub fn safe_columns(&self) -> (f32, f32) {
        let inset = self.margin_px as f32 + 3.0 * WANDER_PX + 60.0;
        let middle = self.width_px as f32 / 2.0;
        (
            inset.min(middle),
            (self.width_px as f32 - inset).max(middle),
        )
    }
}

/// A defect as it came out: its true box in web coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    pub kind: DefectKind,
    pub first_line: u64,
    /// Line after the last.
    pub end_line: u64,
    pub first_column: u32,
    /// Column after the last.
    pub end_column: u32,
    pub area_px: u64,
}

/// Gives the web line by line.
#[derive(Debug)]
pub struct WebTexture {
    spec: WebSpec,
    line: u64,
    weave: Weave,
    light: Light,
    wander: Drift,
    clouds: Drift,
    roller_streaks: Vec<f32>,
    roller_stains: Drift,
    /// Sorted by first line.
    defects: Vec<Defect>,
    /// Defects before this one are over.
    next_defect: usize,
    active: Vec<Active>,
    truth: Vec<Truth>,
    roller: Vec<f32>,
    tone: Vec<f32>,
    radiance: Vec<f32>,
    missing: Vec<Missing>,
}

#[derive(Debug)]
struct Active {
    defect: Defect,
    held: Option<Missing>,
    truth: Truth,
}

/// Standard deviation of the web's position.
const WANDER_PX: f32 = 3.0;

impl WebTexture {
    /// A web with the given defects, which must lie apart: where two touch, the truth names one.
    pub fn new(spec: WebSpec, mut defects: Vec<Defect>) -> Self {
        let width = spec.width_px as usize;
        let mut random = Random::stream(spec.web_seed, 1);
        defects.sort_by_key(Defect::first_line);
        let cloth_px = (spec.width_px - 2 * spec.margin_px.min(spec.width_px / 4)) as f32;
        let stream = |number| Random::stream(spec.web_seed, number);
        Self {
            line: 0,
            weave: Weave::new(
                random.next_u64(),
                WeaveSpec {
                    cloth_px,
                    warp_pitch_px: spec.warp_pitch_px,
                    weft_pitch_px: spec.weft_pitch_px,
                },
            ),
            light: Light::new(spec.camera_seed, random.next_u64(), width),
            wander: Drift::scalar(stream(2), 900.0, WANDER_PX),
            clouds: Drift::new(stream(3), width, 90.0, 120.0, 0.025),
            roller_streaks: streaks(Random::stream(spec.camera_seed, 4), width),
            roller_stains: Drift::new(stream(5), width, 7.0, 16.0, 0.16),
            defects,
            next_defect: 0,
            active: Vec::new(),
            truth: Vec::new(),
            roller: vec![0.0; width],
            tone: vec![0.0; width],
            radiance: vec![0.0; width],
            missing: Vec::new(),
            spec,
        }
    }

    pub fn spec(&self) -> &WebSpec {
        &self.spec
    }

    /// Defects whose last line has passed, in the order in which they ended.
    pub fn truth(&self) -> &[Truth] {
        &self.truth
    }

    /// All defects seen so far, those included that the web's end cut short.
    pub fn all_truth(&self) -> Vec<Truth> {
        let begun = self.active.iter().map(|active| &active.truth);
        let seen = self
            .truth
            .iter()
            .chain(begun.filter(|truth| truth.area_px > 0));
        seen.cloned().collect()
    }

    /// Weaves and exposes the next line. `labels` gets [`DefectKind::label`] where there is a defect
    /// and 0 elsewhere.
    ///
    /// # Panics
    /// If either slice is not as long as the spec's width.
    pub fn next_line(&mut self, grey: &mut [u8], labels: &mut [u8]) {
        let width = self.spec.width_px as usize;
        assert!(
            grey.len() == width && labels.len() == width,
            "lines of {width} pixels"
        );
        labels.fill(0);
        let left_px = self.spec.margin_px as f32 + self.wander.next_value();
        self.lay_roller(left_px);
        self.start_defects();
        self.missing.clear();
        for active in &mut self.active {
            let gone = active
                .defect
                .missing(self.line, left_px, &self.weave, &mut active.held);
            self.missing.extend(gone);
        }
        self.weave
            .next_line(left_px, &self.missing, &mut self.radiance, labels);
        self.clouds.next_line(&mut self.tone);
        for (value, tone) in self.radiance.iter_mut().zip(&self.tone) {
            *value *= 1.0 + tone;
        }
        for active in &self.active {
            active
                .defect
                .paint(self.line, &self.roller, &mut self.radiance, labels);
        }
        self.light.expose(&self.radiance, grey);
        self.end_defects(labels);
        self.line += 1;
    }

    /// Fills the line with the roller, in the web's shadow next to its edges.
    fn lay_roller(&mut self, left_px: f32) {
        self.roller_stains.next_line(&mut self.tone);
        let right_px = self.spec.width_px as f32 - 2.0 * self.spec.margin_px as f32 + left_px;
        for (column, value) in self.roller.iter_mut().enumerate() {
            let off = (left_px - column as f32).max(column as f32 - right_px);
            let shadow = (0.45 + 0.55 * off / 9.0).clamp(0.45, 1.0);
            *value = ROLLER * (1.0 + self.roller_streaks[column] + self.tone[column]);
            self.radiance[column] = *value * shadow;
        }
    }

    fn start_defects(&mut self) {
        while let Some(defect) = self.defects.get(self.next_defect) {
            if defect.first_line() > self.line {
                break;
            }
            self.active.push(Active {
                truth: Truth {
                    kind: defect.kind,
                    first_line: u64::MAX,
                    end_line: 0,
                    first_column: u32::MAX,
                    end_column: 0,
                    area_px: 0,
                },
                defect: defect.clone(),
                held: None,
            });
            self.next_defect += 1;
        }
    }

    fn end_defects(&mut self, labels: &[u8]) {
        for active in &mut self.active {
            let label = active.defect.kind.label();
            let reach = 1.4 * active.defect.half_width_px + 12.0;
            let first = (active.defect.column - reach).max(0.0) as usize;
            let last = ((active.defect.column + reach).max(0.0) as usize).min(labels.len());
            let truth = &mut active.truth;
            let reached = labels.iter().enumerate().take(last).skip(first);
            for (column, &seen) in reached {
                if seen == label {
                    truth.first_line = truth.first_line.min(self.line);
                    truth.end_line = self.line + 1;
                    truth.first_column = truth.first_column.min(column as u32);
                    truth.end_column = truth.end_column.max(column as u32 + 1);
                    truth.area_px += 1;
                }
            }
        }
        let ended = self.line + 1;
        let truth = &mut self.truth;
        self.active.retain(|active| {
            let over = active.defect.end_line() <= ended;
            if over && active.truth.area_px > 0 {
                truth.push(active.truth.clone());
            }
            !over
        });
    }
}

/// Radiance of the roller.
const ROLLER: f32 = 0.19;

/// Turning marks and scratches around the roller: the same in every line.
fn streaks(mut random: Random, width: usize) -> Vec<f32> {
    let mut level = 0f32;
    (0..width)
        .map(|_| {
            level = 0.80 * level + 0.10 * random.bell();
            level + if random.below(40) == 0 { 0.5 } else { 0.0 }
        })
        .collect()
}

/// Least distance of two planned defects: the longest and its play.
pub const LEAST_DEFECT_SPACING_LINES: u64 = 250;

/// Defects of all kinds in turn, one every `spacing_lines` with some play, from `first_line` on.
pub fn plan_defects(
    spec: &WebSpec,
    first_line: u64,
    lines: u64,
    spacing_lines: u64,
) -> Vec<Defect> {
    let mut random = Random::stream(spec.web_seed, 6);
    let mut kinds = DefectKind::ALL;
    let columns = spec.safe_columns();
    let spacing = spacing_lines.max(LEAST_DEFECT_SPACING_LINES);
    (0..lines / spacing)
        .map(|turn| {
            let place = turn as usize % kinds.len();
            if place == 0 {
                for last in (1..kinds.len()).rev() {
                    kinds.swap(last, random.below(last as u32 + 1) as usize);
                }
            }
            let play = random.below((spacing - 220) as u32);
            let line = first_line + turn * spacing + 110 + u64::from(play);
            Defect::draw(kinds[place], line, columns, &mut random)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weave(spec: WebSpec, defects: Vec<Defect>, lines: usize) -> (Vec<u8>, Vec<u8>, Vec<Truth>) {
        let width = spec.width_px as usize;
        let mut web = WebTexture::new(spec, defects);
        let (mut grey, mut labels) = (vec![0; width * lines], vec![0; width * lines]);
        for (grey, labels) in grey.chunks_mut(width).zip(labels.chunks_mut(width)) {
            web.next_line(grey, labels);
        }
        (grey, labels, web.truth().to_vec())
    }

    #[test]
    fn same_seeds_give_the_same_web_and_others_another() {
        let spec = WebSpec::default();
        let defects = plan_defects(&spec, 0, 600, 300);
        let first = weave(spec, defects.clone(), 600);
        assert_eq!(first, weave(spec, defects.clone(), 600));
        let other = WebSpec {
            web_seed: 2,
            ..spec
        };
        assert_ne!(first.0, weave(other, defects, 600).0);
    }

    #[test]
    fn every_kind_leaves_its_mark_where_the_truth_says() {
        for (turn, kind) in DefectKind::ALL.into_iter().enumerate() {
            let spec = WebSpec {
                web_seed: turn as u64,
                ..WebSpec::default()
            };
            let mut random = Random::new(turn as u64);
            let defect = Defect::draw(kind, 200, spec.safe_columns(), &mut random);
            let (with, labels, truth) = weave(spec, vec![defect], 400);
            let (without, _, none) = weave(spec, Vec::new(), 400);
            assert!(none.is_empty());
            let [truth] = &truth[..] else {
                panic!("{kind:?}: {truth:?}")
            };
            assert_eq!(truth.kind, kind);
            let marked = labels
                .iter()
                .filter(|&&label| label == kind.label())
                .count() as u64;
            assert_eq!(marked, truth.area_px);
            assert!(marked >= 100, "{kind:?} marks {marked} pixels");
            let change = |inside: bool| {
                let pairs = with.iter().zip(&without).zip(&labels);
                let of = pairs.filter(|(_, label)| (**label != 0) == inside);
                let (sum, n) = of.fold((0.0, 0.0), |(sum, n), ((a, b), _)| {
                    (sum + f64::from(a.abs_diff(*b)), n + 1.0)
                });
                sum / n
            };
            assert!(
                change(true) > 12.0,
                "{kind:?} changes its pixels by {}",
                change(true)
            );
            assert!(
                change(false) < 0.5,
                "{kind:?} changes others by {}",
                change(false)
            );
        }
    }

    #[test]
    fn cloth_is_bright_roller_dark_and_nothing_clips() {
        let spec = WebSpec::default();
        let (grey, _, _) = weave(spec, Vec::new(), 300);
        let mean = |from: usize, to: usize| {
            let lines = grey.chunks(512);
            let sum: u64 = lines
                .flat_map(|line| &line[from..to])
                .map(|&v| u64::from(v))
                .sum();
            sum as f64 / (300 * (to - from)) as f64
        };
        assert!(mean(0, 15) < 40.0 && mean(497, 512) < 40.0);
        assert!((70.0..150.0).contains(&mean(200, 300)));
        let clipped = grey.iter().filter(|&&value| value == 255).count();
        assert!(clipped < grey.len() / 100_000 + 2);
    }
}
