//! Scores as a picture: how far good and bad lie from the threshold.

use super::report::escape;
use std::fmt::Write;

/// Scores of one kind of pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreGroup {
    pub name: String,
    /// Whether these pictures are known to be defective; `None` where nothing is known.
    pub defect: Option<bool>,
    pub scores: Vec<f32>,
}

impl ScoreGroup {
    const fn class(&self) -> &'static str {
        match self.defect {
            Some(true) => "bad",
            Some(false) => "good",
            None => "open",
        }
    }
}

const LEFT: f64 = 150.0;
/// Room for long names left of that.
const MARGIN: f64 = 70.0;
const WIDTH: f64 = 760.0;
const ROW: f64 = 34.0;
/// Height of a histogram's row, and of its tallest bar.
const BARS: (f64, f64) = (58.0, 44.0);
const BINS: usize = 50;

/// Ends of the axis: the first that no score lies beyond is taken.
const ENDS: [f32; 4] = [0.1, 0.2, 0.5, 1.0];

/// One row of dots per group over a common axis from 0, with the threshold as a line: SVG.
pub fn score_chart(groups: &[ScoreGroup], threshold: f32) -> String {
    let axis = Axis::of(groups, threshold, ROW);
    let mut svg = axis.begin();
    for (row, group) in groups.iter().enumerate() {
        let middle = 16.0 + ROW * (row as f64 + 0.5);
        axis.label(&mut svg, group, middle + 4.0);
        for (index, &score) in group.scores.iter().enumerate() {
            // A fixed scatter across the row, so that equal scores do not hide each other.
            let scatter = (index * 7 % 11) as f64 / 10.0 - 0.5;
            let _ = write!(
                svg,
                "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.6\"/>",
                group.class(),
                axis.x(score),
                middle + scatter * ROW * 0.6
            );
        }
    }
    axis.finish(svg, threshold)
}

/// One histogram per group over a common axis from 0, with the threshold as a line: SVG. Bars are as
/// high as their share of the group's fullest bin; how many reach the threshold stands beside them.
pub fn score_histogram(groups: &[ScoreGroup], threshold: f32) -> String {
    let axis = Axis::of(groups, threshold, BARS.0);
    let mut svg = axis.begin();
    let width = WIDTH / BINS as f64;
    for (row, group) in groups.iter().enumerate() {
        let foot = 12.0 + BARS.0 * (row + 1) as f64;
        axis.label(&mut svg, group, foot - 22.0);
        let reached = group.scores.iter().filter(|&&score| score >= threshold);
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{} reach it</text>",
            LEFT - 12.0,
            foot - 5.0,
            reached.count()
        );
        let mut bins = [0usize; BINS];
        for &score in &group.scores {
            let bin = (axis.share(score) * BINS as f64) as usize;
            bins[bin.min(BINS - 1)] += 1;
        }
        let fullest = bins.iter().copied().max().unwrap_or(0).max(1);
        for (bin, &count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            let height = (BARS.1 * count as f64 / fullest as f64).max(2.0);
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\">\
                 <title>{count}</title></rect>",
                group.class(),
                LEFT + width * bin as f64 + 0.5,
                foot - height,
                width - 1.0
            );
        }
    }
    axis.finish(svg, threshold)
}

/// Scores from 0 to `end`, left to right.
struct Axis {
    end: f32,
    height: f64,
}

impl Axis {
    fn of(groups: &[ScoreGroup], threshold: f32, row: f64) -> Self {
        let scores = groups.iter().flat_map(|group| group.scores.iter().copied());
        let greatest = scores.fold(threshold, f32::max);
        Self {
            end: ENDS.into_iter().find(|&end| greatest < end).unwrap_or(1.0),
            height: row * groups.len() as f64 + 46.0,
        }
    }

    fn share(&self, score: f32) -> f64 {
        f64::from((score / self.end).clamp(0.0, 1.0))
    }

    fn x(&self, score: f32) -> f64 {
        LEFT + self.share(score) * WIDTH
    }

    fn bottom(&self) -> f64 {
        self.height - 24.0
    }

    fn begin(&self) -> String {
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"{} 0 {} {}\" role=\"img\" aria-label=\"scores by kind\">",
            -MARGIN,
            MARGIN + LEFT + WIDTH + 30.0,
            self.height
        );
        for tick in 0..=5 {
            let share = f64::from(tick) / 5.0;
            let (at, value) = (LEFT + share * WIDTH, share * f64::from(self.end));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{at}\" x2=\"{at}\" y1=\"8\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{value:.2}</text>",
                self.bottom(),
                self.bottom() + 16.0
            );
        }
        svg
    }

    fn label(&self, svg: &mut String, group: &ScoreGroup, y: f64) {
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{y}\" text-anchor=\"end\">{} ({})</text>",
            LEFT - 12.0,
            escape(&group.name),
            group.scores.len()
        );
    }

    fn finish(&self, mut svg: String, threshold: f32) -> String {
        let at = self.x(threshold);
        let _ = write!(
            svg,
            "<line class=\"limit\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"4\" y2=\"{}\"/>\
             <text class=\"limit\" x=\"{:.1}\" y=\"12\">threshold {threshold:.3}</text></svg>",
            self.bottom(),
            at + 5.0
        );
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_is_a_dot_at_its_place() {
        let groups = [ScoreGroup {
            name: "a<b".to_owned(),
            defect: Some(true),
            scores: vec![0.0, 0.5, 1.0],
        }];
        let svg = score_chart(&groups, 0.25);
        assert_eq!(svg.matches("<circle").count(), 3);
        let narrow = [ScoreGroup {
            scores: vec![0.3],
            ..groups[0].clone()
        }];
        assert!(score_chart(&narrow, 0.25).contains("cx=\"606.0\""));
        for place in [
            "cx=\"150.0\"",
            "cx=\"530.0\"",
            "cx=\"910.0\"",
            "a&lt;b (3)",
            "x1=\"340.0\"",
        ] {
            assert!(svg.contains(place), "{place} in {svg}");
        }
    }

    #[test]
    fn a_histogram_counts_every_score_once_and_those_at_the_threshold() {
        let groups = [ScoreGroup {
            name: "goods".to_owned(),
            defect: Some(false),
            scores: vec![0.0, 0.001, 0.5, 0.999, 1.0],
        }];
        let svg = score_histogram(&groups, 0.5);
        // The end of the axis belongs to the last bin.
        assert_eq!(svg.matches("<rect").count(), 3);
        assert_eq!(svg.matches("<title>2</title>").count(), 2);
        assert!(svg.contains("3 reach it") && svg.contains("goods (5)"));
        assert!(svg.contains("x=\"150.5\"") && svg.contains("x=\"895.3\""));
        assert!(score_histogram(&[], 0.5).contains("threshold 0.500"));
    }
}
