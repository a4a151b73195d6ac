//! Curves over the steps of a training: losses, and figures between 0 and 1.

use super::report::escape;
use std::fmt::Write;

/// One line of a [`curve_chart`].
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub name: String,
    /// x and y, by ascending x.
    pub points: Vec<(f64, f64)>,
}

/// What the vertical axis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0 to 1.
    Share,
    /// Decades around the values; what is not above 0 is left out.
    Logarithmic,
}

/// Points drawn of one curve: neighbours are drawn as their mean where there are more.
const MOST_POINTS: usize = 240;
/// Colours in the style sheet.
const COLORS: usize = 3;

const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 220.0;

/// Curves over a common axis from 0, which `x_name` names: SVG.
pub fn curve_chart(curves: &[Curve], scale: Scale, x_name: &str) -> String {
    let drawn: Vec<Vec<(f64, f64)>> = (curves.iter().map(|curve| thinned(curve, scale))).collect();
    let all = || drawn.iter().flatten();
    let last = curves.iter().filter_map(|curve| curve.points.last());
    let end = last.fold(1.0, |end: f64, point| end.max(point.0));
    let (low, high) = match scale {
        Scale::Share => (0.0, 1.0),
        Scale::Logarithmic => {
            let low = all().fold(f64::INFINITY, |low, point| low.min(point.1));
            let high = all().fold(f64::NEG_INFINITY, |high, point| high.max(point.1));
            match low <= high {
                true => (low.floor(), high.ceil().max(low.floor() + 1.0)),
                false => (-1.0, 0.0),
            }
        }
    };
    let x = |value: f64| LEFT + value / end * WIDTH;
    let y = |value: f64| TOP + HEIGHT * (1.0 - (value - low) / (high - low));
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"curves by {}\">",
        LEFT + WIDTH + 30.0,
        TOP + HEIGHT + 40.0,
        escape(x_name)
    );
    let lines = match scale {
        Scale::Share => 5,
        Scale::Logarithmic => (high - low) as u32,
    };
    for line in 0..=lines {
        let value = low + (high - low) * f64::from(line) / f64::from(lines);
        let text = match scale {
            Scale::Share => format!("{value:.1}"),
            Scale::Logarithmic => {
                let decimals = (-value).max(0.0) as usize;
                format!("{:.decimals$}", 10f64.powf(value))
            }
        };
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT + WIDTH,
            LEFT - 8.0,
            y(value) + 4.0,
            at = y(value),
        );
    }
    for tick in 0..=5 {
        let value = end * f64::from(tick) / 5.0;
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{value:.0}</text>",
            x(value),
            TOP + HEIGHT + 18.0
        );
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 35.0,
        escape(x_name)
    );
    for (number, (curve, points)) in curves.iter().zip(&drawn).enumerate() {
        let color = number % COLORS;
        let path: Vec<String> = (points.iter())
            .map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value)))
            .collect();
        // A line of one point would not show.
        match path.as_slice() {
            [] => {}
            [only] => {
                let (at, value) = only.split_once(',').unwrap_or_default();
                let _ = write!(
                    svg,
                    "<circle class=\"c{color}\" cx=\"{at}\" cy=\"{value}\" r=\"3\"/>"
                );
            }
            _ => {
                let path = path.join(" ");
                let _ = write!(
                    svg,
                    "<polyline class=\"curve c{color}\" points=\"{path}\"/>"
                );
            }
        }
        let left = LEFT + 180.0 * number as f64;
        let _ = write!(
            svg,
            "<polyline class=\"curve c{color}\" points=\"{left},14 {},14\"/>\
             <text class=\"label\" x=\"{}\" y=\"18\">{}</text>",
            left + 26.0,
            left + 34.0,
            escape(&curve.name)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The points as they are drawn: on the axis's scale, and few enough.
fn thinned(curve: &Curve, scale: Scale) -> Vec<(f64, f64)> {
    let group = curve.points.len().div_ceil(MOST_POINTS).max(1);
    (curve.points.chunks(group))
        .map(|points| {
            let count = points.len() as f64;
            let sum = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
            (sum(|point| point.0), sum(|point| point.1))
        })
        .map(|(at, value)| match scale {
            Scale::Share => (at, value.clamp(0.0, 1.0)),
            Scale::Logarithmic => (at, value.log10()),
        })
        .filter(|(_, value)| value.is_finite())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Curve {
        Curve {
            name: "l<2".to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn decades_hold_the_values_and_nothing_below_zero_is_drawn() {
        let curves = [curve(&[(1.0, 0.0), (50.0, 0.02), (100.0, 2.0)])];
        let svg = curve_chart(&curves, Scale::Logarithmic, "step");
        for text in [">0.01<", ">0.1<", ">1<", ">10<", "l&lt;2", ">100<"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        // log10(2) is 2.30103 of three decades above 0.01.
        assert!(svg.contains("points=\"490.0,227.9 910.0,81.3\""), "{svg}");
    }

    #[test]
    fn many_points_are_drawn_as_means_and_one_as_a_dot() {
        let many: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), 0.5)).collect();
        let svg = curve_chart(&[curve(&many)], Scale::Share, "step");
        assert_eq!(svg.matches(",140.0").count(), 200);
        let one = curve_chart(&[curve(&[(10.0, 0.5)])], Scale::Share, "step");
        assert!(one.contains("cx=\"910.0\" cy=\"140.0\""), "{one}");
        assert!(curve_chart(&[], Scale::Logarithmic, "step").ends_with("</svg>"));
    }
}
