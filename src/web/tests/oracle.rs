//! The whole inspection once more, by definition and without any streaming.

use super::*;
use crate::draem::score::{Window, window_mean};
use crate::picture::Samples;
use crate::verdict::Span;
use proptest::prelude::*;

/// Components of `score >= threshold` in a map, as regions with the lines that they touch.
pub fn components(
    map: &[f32],
    score: &[f32],
    width: usize,
    threshold: f32,
    min_area_px: u64,
) -> Vec<(Region, u64, u64)> {
    let height = map.len() / width;
    let mut label = vec![false; map.len()];
    let mut found = Vec::new();
    for start in 0..map.len() {
        if label[start] || score[start] < threshold {
            continue;
        }
        label[start] = true;
        let (mut pixels, mut next) = (vec![start], 0);
        while next < pixels.len() {
            let (x, y) = (pixels[next] % width, pixels[next] / width);
            next += 1;
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let at = ny * width + nx;
                    if !label[at] && score[at] >= threshold {
                        label[at] = true;
                        pixels.push(at);
                    }
                }
            }
        }
        let core: Vec<usize> = pixels.iter().copied().filter(|&i| map[i] >= 0.5).collect();
        let shape = if core.is_empty() { &pixels } else { &core };
        let lines = |of: &[usize]| {
            let all = of.iter().map(|i| (i / width) as u64);
            (all.clone().min().unwrap(), all.max().unwrap())
        };
        let columns = shape.iter().map(|i| (i % width) as u32);
        let first_column = columns.clone().min().unwrap();
        let (first, last) = lines(shape);
        let touched = lines(&pixels);
        found.push((
            Region {
                first_line: LineNumber(first),
                lines: (last - first + 1) as u32,
                first_column,
                columns: columns.max().unwrap() - first_column + 1,
                area_px: shape.len() as u64,
                reaching_px: pixels.len() as u64,
                peak: pixels.iter().map(|&i| score[i]).fold(0.0, f32::max),
                capped: false,
                defect: pixels.len() as u64 >= min_area_px,
            },
            touched.0,
            touched.1,
        ));
    }
    found
}

/// What must come out of a course where the engine neither fails nor is late.
fn expected(config: &WebConfig, course: &Course) -> (Vec<SpanVerdict>, Vec<Region>) {
    let mut runs: Vec<(u64, u64, Option<Reason>)> = Vec::new();
    let mut line = course.first_line;
    for stretch in &course.stretches {
        let end = line + stretch.lines() as u64;
        let reason = match *stretch {
            Stretch::Good(_) => None,
            Stretch::Faulty(_, reason) => Some(reason),
            Stretch::Gap(_) => Some(Reason::Dropped),
        };
        if line < end {
            match runs.last_mut() {
                Some(last) if last.2 == reason => last.1 = end,
                _ => runs.push((line, end, reason)),
            }
        }
        line = end;
    }
    let short: Vec<(usize, Reason)> = (0..runs.len())
        .filter(|&i| runs[i].2.is_none() && runs[i].1 - runs[i].0 < 32)
        .map(|i| {
            let before = i.checked_sub(1).and_then(|i| runs[i].2);
            let after = runs.get(i + 1).and_then(|run| run.2);
            (i, before.or(after).unwrap_or(Reason::Shutdown))
        })
        .collect();
    for (i, reason) in short {
        runs[i].2 = Some(reason);
    }
    let mut merged: Vec<(u64, u64, Option<Reason>)> = Vec::new();
    for run in runs {
        match merged.last_mut() {
            Some(last) if last.2.is_some() && last.2 == run.2 => last.1 = run.1,
            _ => merged.push(run),
        }
    }
    let width = course.picture.width_px;
    let Samples::U8(samples) = &course.picture.samples else {
        unreachable!("courses are 8 bit")
    };
    let (mut verdicts, mut regions) = (Vec::new(), Vec::new());
    for (first, end, reason) in merged {
        let mut touched = Vec::new();
        if reason.is_none() {
            let offset = (first - course.first_line) as usize;
            let map: Vec<f32> = samples[offset * width..][..(end - first) as usize * width]
                .iter()
                .map(|&v| f32::from(v) / 255.0)
                .collect();
            let score = window_mean(&map, width, (end - first) as usize, config.window);
            let min_area = u64::from(config.min_area_px);
            for (mut region, top, bottom) in
                components(&map, &score, width, config.threshold, min_area)
            {
                region.first_line.0 += first;
                regions.push(region);
                if region.defect {
                    touched.push((first + top, first + bottom));
                }
            }
        }
        let mut line = first;
        while line < end {
            let span = u64::from(config.span_lines);
            let until = ((line / span + 1) * span).min(end);
            let hit = touched.iter().any(|&(a, b)| a < until && line <= b);
            verdicts.push(SpanVerdict {
                span: Span {
                    first_line: LineNumber(line),
                    lines: (until - line) as u32,
                },
                verdict: match (hit, reason) {
                    (_, Some(reason)) => Verdict::NotInspected(reason),
                    (true, None) => Verdict::Defect,
                    (false, None) => Verdict::Ok,
                },
            });
            line = until;
        }
    }
    (verdicts, regions)
}

pub fn sorted(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_by_key(|r| (r.first_line, r.first_column, r.area_px, r.lines));
    regions
}

pub fn stretch() -> impl Strategy<Value = Stretch> {
    let reason = prop::sample::select(vec![Reason::ErrorFlag, Reason::Stale, Reason::Dropped]);
    prop_oneof![
        4 => (1usize..150).prop_map(Stretch::Good),
        1 => (1usize..60, reason).prop_map(|(n, reason)| Stretch::Faulty(n, reason)),
        1 => (1usize..60).prop_map(Stretch::Gap),
    ]
}

/// A web that begins with a block, with marks anywhere.
pub fn course() -> impl Strategy<Value = Course> {
    let marks = prop::collection::vec((0.0f64..1.0, 0.0f64..1.0, 4usize..40, 4usize..60), 0..6);
    (
        0u64..100,
        20usize..110,
        prop::collection::vec(stretch(), 1..6),
        marks,
        any::<u64>(),
    )
        .prop_map(|(first_line, width, mut stretches, marks, seed)| {
            if let Stretch::Gap(n) = stretches[0] {
                stretches[0] = Stretch::Good(n);
            }
            while matches!(stretches.last(), Some(Stretch::Gap(_))) {
                stretches.pop();
            }
            let height: usize = stretches.iter().map(|s| s.lines()).sum();
            let marks: Vec<_> = marks
                .iter()
                .map(|&(x, y, w, h)| {
                    let (x, y) = (x * width as f64, y * height as f64);
                    (x as usize, y as usize, w, h)
                })
                .collect();
            Course {
                first_line,
                picture: painted(width, height, &marks, &mut Dice::new(seed)),
                stretches,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_stream_says_what_the_definition_says(
        course in course(), overlap in 0u32..17, span_lines in 1u32..80, seed in any::<u64>(),
        longest in 1usize..200, reach in 0u32..14, min_area_px in prop::sample::select(vec![0u32, 1, 60, 400]),
    ) {
        let config = WebConfig {
            window: Window::new(2 * reach + 1).expect("an odd side"),
            span_lines,
            min_area_px,
            ..config(course.picture.width_px as u32, overlap)
        };
        let (verdicts, regions) = expected(&config, &course);
        let said = inspect(&config, &course, seed, longest);
        prop_assert_eq!(&said.findings.verdicts, &verdicts);
        prop_assert_eq!(sorted(said.findings.regions), sorted(regions));
    }
}
