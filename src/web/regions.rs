//! Regions: pixels that lie together and score too high, found row by row.
//!
//! * **component**: 8-connected pixels whose score reaches the threshold;
//! * **core** of a component: its pixels whose anomaly probability is at least 1/2. The mean
//!   over a window spreads a defect to every side; the core is the defect itself.

use super::score_rows::ScoredRow;
use crate::geometry::LineNumber;
use serde::{Deserialize, Serialize};

/// Probability at which a pixel belongs to a region's core.
const CORE_PROBABILITY: f32 = 0.5;

/// A place on the web that looks wrong, in web coordinates.
///
/// Box and area are those of the component's core, or of the whole component where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Region {
    pub first_line: LineNumber,
    pub lines: u32,
    pub first_column: u32,
    pub columns: u32,
    pub area_px: u64,
    /// Pixels of the whole component, which are compared with the least area: a defect that is faint enough
    /// to have no core must not count for more than one that has a small one.
    #[serde(default)]
    pub reaching_px: u64,
    /// Greatest score in it, in [0, 1].
    pub peak: f32,
    /// Whether it was cut off at the greatest number of lines; its rest is another region.
    pub capped: bool,
    /// Whether `reaching_px` are enough to reject, or it was cut off before that could be known.
    pub defect: bool,
}

/// A region that is complete, with all lines that have a pixel of the component.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    pub region: Region,
    pub first_line: u64,
    pub last_line: u64,
}

/// Number of pixels and their box, last lines and columns included.
#[derive(Debug, Clone, Copy)]
struct Extent {
    area_px: u64,
    lines: (u64, u64),
    columns: (u32, u32),
}

impl Extent {
    const EMPTY: Self = Self {
        area_px: 0,
        lines: (u64::MAX, 0),
        columns: (u32::MAX, 0),
    };

    fn merge(&mut self, other: Self) {
        self.area_px += other.area_px;
        self.lines.0 = self.lines.0.min(other.lines.0);
        self.lines.1 = self.lines.1.max(other.lines.1);
        self.columns.0 = self.columns.0.min(other.columns.0);
        self.columns.1 = self.columns.1.max(other.columns.1);
    }
}

#[derive(Debug, Clone, Copy)]
struct Component {
    /// Itself, or the component that it became part of in this row.
    parent: u32,
    whole: Extent,
    core: Extent,
    peak: f32,
    capped: bool,
}

/// Columns `begin..end` of a row that belong to one component.
#[derive(Debug, Clone, Copy)]
struct Run {
    begin: u32,
    end: u32,
    component: u32,
}

/// The components that reach the last row. No memory is taken after construction: a row of `width`
/// columns has at most `(width + 1) / 2` runs, and every component has one in the last row or this.
#[derive(Debug)]
pub(super) struct Regions {
    threshold: f32,
    min_area_px: u64,
    max_lines: u64,
    components: Vec<Component>,
    free: Vec<u32>,
    /// Components in use, in the order of their first run.
    open: Vec<u32>,
    above: Vec<Run>,
    runs: Vec<Run>,
}

impl Regions {
    pub(super) fn new(
        width_px: u32,
        threshold: f32,
        min_area_px: u32,
        max_region_lines: u32,
    ) -> Self {
        let runs = width_px as usize / 2 + 1;
        Self {
            threshold,
            min_area_px: u64::from(min_area_px),
            max_lines: u64::from(max_region_lines),
            components: Vec::with_capacity(2 * runs),
            free: Vec::with_capacity(2 * runs),
            open: Vec::with_capacity(2 * runs),
            above: Vec::with_capacity(runs),
            runs: Vec::with_capacity(runs),
        }
    }

    /// Takes the next row of a segment and gives the components that ended above it.
    pub(super) fn row(&mut self, row: &ScoredRow<'_>, mut closed: impl FnMut(Closed)) {
        self.find_runs(row.score);
        if self.runs.is_empty() && self.open.is_empty() {
            return;
        }
        let mut first_above = 0;
        for index in 0..self.runs.len() {
            let run = self.runs[index];
            while self
                .above
                .get(first_above)
                .is_some_and(|above| above.end < run.begin)
            {
                first_above += 1;
            }
            let mut mine = None;
            let mut next = first_above;
            while let Some(&above) = self.above.get(next).filter(|above| above.begin <= run.end) {
                next += 1;
                let root = self.root(above.component);
                let component = &mut self.components[root as usize];
                if row.line - component.whole.lines.0 >= self.max_lines {
                    component.capped = true;
                    continue;
                }
                mine = Some(match mine {
                    None => root,
                    Some(other) => self.join(other, root),
                });
            }
            let mine = mine.unwrap_or_else(|| self.begin());
            self.runs[index].component = mine;
            self.measure(mine, run, row);
        }
        for index in 0..self.runs.len() {
            self.runs[index].component = self.root(self.runs[index].component);
        }
        self.close(row.line, &mut closed);
        std::mem::swap(&mut self.above, &mut self.runs);
    }

    /// Ends the segment: gives all components that are left.
    pub(super) fn finish(&mut self, mut closed: impl FnMut(Closed)) {
        self.close(u64::MAX, &mut closed);
        self.above.clear();
    }

    /// First lines of the components that reject, whatever they become.
    pub(super) fn rejecting(&self) -> impl Iterator<Item = u64> + '_ {
        self.open_components()
            .filter(|c| self.rejects_already(c))
            .map(|c| c.whole.lines.0)
    }

    /// First line of the oldest component of which it is not known whether it rejects.
    pub(super) fn oldest_undecided(&self) -> Option<u64> {
        self.open_components()
            .filter(|c| !self.rejects_already(c))
            .map(|c| c.whole.lines.0)
            .min()
    }

    fn open_components(&self) -> impl Iterator<Item = &Component> {
        self.open.iter().map(|&i| &self.components[i as usize])
    }

    /// Components only grow.
    fn rejects_already(&self, component: &Component) -> bool {
        component.rejects(self.min_area_px)
    }

    fn find_runs(&mut self, score: &[f32]) {
        self.runs.clear();
        let threshold = self.threshold;
        // Nearly every row is good: one pass without an early way out runs many columns at a time.
        if !score.iter().fold(false, |any, &s| any | (s >= threshold)) {
            return;
        }
        let mut begin = None;
        for (column, &s) in score.iter().enumerate() {
            match (begin, s >= threshold) {
                (None, true) => begin = Some(column as u32),
                (Some(first), false) => {
                    self.runs.push(Run {
                        begin: first,
                        end: column as u32,
                        component: 0,
                    });
                    begin = None;
                }
                _ => {}
            }
        }
        if let Some(first) = begin {
            self.runs.push(Run {
                begin: first,
                end: score.len() as u32,
                component: 0,
            });
        }
    }

    fn root(&self, mut component: u32) -> u32 {
        while self.components[component as usize].parent != component {
            component = self.components[component as usize].parent;
        }
        component
    }

    fn join(&mut self, kept: u32, other: u32) -> u32 {
        if kept != other {
            let part = self.components[other as usize];
            self.components[other as usize].parent = kept;
            let whole = &mut self.components[kept as usize];
            whole.whole.merge(part.whole);
            whole.core.merge(part.core);
            whole.peak = whole.peak.max(part.peak);
        }
        kept
    }

    fn begin(&mut self) -> u32 {
        let index = self.free.pop().unwrap_or(self.components.len() as u32);
        let component = Component {
            parent: index,
            whole: Extent::EMPTY,
            core: Extent::EMPTY,
            peak: 0.0,
            capped: false,
        };
        match self.components.get_mut(index as usize) {
            Some(place) => *place = component,
            None => self.components.push(component),
        }
        self.open.push(index);
        index
    }

    fn measure(&mut self, component: u32, run: Run, row: &ScoredRow<'_>) {
        let component = &mut self.components[component as usize];
        component.whole.merge(Extent {
            area_px: u64::from(run.end - run.begin),
            lines: (row.line, row.line),
            columns: (run.begin, run.end - 1),
        });
        for column in run.begin..run.end {
            let (anomaly, score) = (row.anomaly[column as usize], row.score[column as usize]);
            component.peak = component.peak.max(score);
            if anomaly >= CORE_PROBABILITY {
                component.core.merge(Extent {
                    area_px: 1,
                    lines: (row.line, row.line),
                    columns: (column, column),
                });
            }
        }
    }

    /// Gives the components without a pixel in this line and frees them and those that were joined.
    fn close(&mut self, line: u64, closed: &mut impl FnMut(Closed)) {
        let (min_area_px, components, free) = (self.min_area_px, &self.components, &mut self.free);
        self.open.retain(|&index| {
            let component = &components[index as usize];
            let joined = component.parent != index;
            if !joined && component.whole.lines.1 == line {
                return true;
            }
            if !joined {
                closed(component.closed(min_area_px));
            }
            free.push(index);
            false
        });
    }
}

impl Component {
    fn rejects(&self, min_area_px: u64) -> bool {
        self.capped || self.whole.area_px >= min_area_px
    }

    fn closed(&self, min_area_px: u64) -> Closed {
        let shape = if self.core.area_px > 0 {
            self.core
        } else {
            self.whole
        };
        let (first_line, last_line) = shape.lines;
        let (first_column, last_column) = shape.columns;
        Closed {
            region: Region {
                first_line: LineNumber(first_line),
                lines: (last_line - first_line + 1) as u32,
                first_column,
                columns: last_column - first_column + 1,
                area_px: shape.area_px,
                reaching_px: self.whole.area_px,
                peak: self.peak,
                capped: self.capped,
                defect: self.rejects(min_area_px),
            },
            first_line: self.whole.lines.0,
            last_line: self.whole.lines.1,
        }
    }
}
