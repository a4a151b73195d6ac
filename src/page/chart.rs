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

const LEFT: f64 = 150.0;
const WIDTH: f64 = 760.0;
const ROW: f64 = 34.0;

/// Ends of the axis: the first that no score lies beyond is taken.
const ENDS: [f32; 4] = [0.1, 0.2, 0.5, 1.0];

/// One row of dots per group over a common axis from 0, with the threshold as a line: SVG.
pub fn score_chart(groups: &[ScoreGroup], threshold: f32) -> String {
    let height = ROW * groups.len() as f64 + 46.0;
    let scores = groups.iter().flat_map(|group| group.scores.iter().copied());
    let greatest = scores.fold(threshold, f32::max);
    let end = ENDS.into_iter().find(|&end| greatest < end).unwrap_or(1.0);
    let x = |score: f32| LEFT + f64::from((score / end).clamp(0.0, 1.0)) * WIDTH;
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {height}\" role=\"img\" aria-label=\"scores by kind\">",
        LEFT + WIDTH + 30.0
    );
    let bottom = height - 24.0;
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let (at, value) = (LEFT + share * WIDTH, share * f64::from(end));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{at}\" x2=\"{at}\" y1=\"8\" y2=\"{bottom}\"/>\
             <text class=\"tick\" x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{value:.2}</text>",
            bottom + 16.0
        );
    }
    for (row, group) in groups.iter().enumerate() {
        let middle = 16.0 + ROW * (row as f64 + 0.5);
        let class = match group.defect {
            Some(true) => "bad",
            Some(false) => "good",
            None => "open",
        };
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{} ({})</text>",
            LEFT - 12.0,
            middle + 4.0,
            escape(&group.name),
            group.scores.len()
        );
        for (index, &score) in group.scores.iter().enumerate() {
            // A fixed scatter across the row, so that equal scores do not hide each other.
            let scatter = (index * 7 % 11) as f64 / 10.0 - 0.5;
            let _ = write!(
                svg,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.6\"/>",
                x(score),
                middle + scatter * ROW * 0.6
            );
        }
    }
    let at = x(threshold);
    let _ = write!(
        svg,
        "<line class=\"limit\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"4\" y2=\"{bottom}\"/>\
         <text class=\"limit\" x=\"{:.1}\" y=\"12\">threshold {threshold:.3}</text></svg>",
        at + 5.0
    );
    svg
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
}
