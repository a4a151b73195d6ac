//! Regions that are cut by tiles, blocks, edges and the greatest length.

use super::oracle::{components, sorted};
use super::*;
use crate::picture::Samples;
use crate::web::regions::{Closed, Regions};
use crate::web::score_rows::ScoredRow;
use proptest::prelude::*;

/// The region of one mark, wherever it lies, seen from the mark's first pixel.
fn shape_of(mark: (usize, usize), seed: u64) -> (u64, u64, Region) {
    let (width, height) = (200, 300);
    let mut samples = vec![3u8; width * height];
    let (w, h) = (24, 20);
    for y in 0..h {
        for x in 0..w {
            samples[(mark.1 + y) * width + mark.0 + x] = (130 + (x * 7 + y * 13) % 120) as u8;
        }
    }
    let picture = Picture::from_grey8(width, height, samples).unwrap();
    // A corner of the mark has a quarter of a window: 121 pixels of at least 0.51.
    let config = WebConfig {
        threshold: 0.12,
        ..config(200, 8)
    };
    let said = inspect(&config, &Course::good(picture), seed, 64);
    let [region] = said.findings.regions[..] else {
        panic!(
            "one mark at {mark:?}, {} regions",
            said.findings.regions.len()
        );
    };
    let line = region.first_line.0 - mark.1 as u64;
    let column = u64::from(region.first_column) - mark.0 as u64;
    (line, column, region)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_mark_is_found_once_and_the_same_everywhere(
        column in 0usize..=176, line in 0usize..=280, seed in any::<u64>(),
    ) {
        let (top, left, here) = shape_of((column, line), seed);
        let (.., middle) = shape_of((90, 140), 5);
        prop_assert_eq!((top, left), (0, 0));
        prop_assert_eq!(
            (here.lines, here.columns, here.area_px, here.defect),
            (middle.lines, middle.columns, middle.area_px, middle.defect)
        );
        prop_assert_eq!((here.lines, here.columns, here.area_px), (20, 24, 480));
        let inside = (10..=166).contains(&column) && (10..=270).contains(&line);
        prop_assert!(here.peak <= middle.peak + f32::EPSILON);
        if inside {
            prop_assert_eq!(here.peak.to_bits(), middle.peak.to_bits());
        }
    }

    /// Row by row equals flooding, for maps as ragged as noise; the mean plays no part.
    #[test]
    fn components_equal_flooding(
        (width, map) in (1usize..24, 1usize..24)
            .prop_flat_map(|(w, h)| (Just(w), prop::collection::vec(0u8..=20, w * h))),
        level in 1u8..20, min_area_px in 0u32..6,
    ) {
        let score: Vec<f32> = map.iter().map(|&v| f32::from(v) / 20.0).collect();
        let anomaly: Vec<f32> = map.iter().map(|&v| f32::from(v * 7 % 20) / 20.0).collect();
        let threshold = f32::from(level) / 20.0;
        let wanted = components(&anomaly, &score, width, threshold, u64::from(min_area_px))
            .into_iter()
            .map(|(region, ..)| region)
            .collect();
        let mut regions = Regions::new(width as u32, threshold, min_area_px, u32::MAX);
        let mut found = Vec::new();
        let mut rejecting = Vec::new();
        for (line, (anomaly, score)) in anomaly.chunks(width).zip(score.chunks(width)).enumerate() {
            let line = line as u64;
            let row = ScoredRow { line, trouble: None, anomaly, score };
            regions.row(&row, |closed| found.push(closed));
            rejecting.extend(regions.rejecting().map(|first| (first, line)));
        }
        regions.finish(|closed| found.push(closed));
        // What is said to reject before its end does reject, and over all of these lines.
        for (first, last) in rejecting {
            let rejects = |c: &Closed| c.region.defect && c.first_line <= first && last <= c.last_line;
            prop_assert!(found.iter().any(rejects));
        }
        let found = found.into_iter().map(|closed| closed.region).collect();
        prop_assert_eq!(sorted(found), sorted(wanted));
    }

    /// However short regions must be: together they hold every pixel, and none is too long.
    #[test]
    fn caps_lose_no_pixel(
        (width, map) in (1usize..16, 1usize..40)
            .prop_flat_map(|(w, h)| (Just(w), prop::collection::vec(any::<bool>(), w * h))),
        max_lines in 1u32..6,
    ) {
        let score: Vec<f32> = map.iter().map(|&on| f32::from(u8::from(on))).collect();
        let mut regions = Regions::new(width as u32, 0.5, 0, max_lines);
        let mut found = Vec::new();
        for (line, score) in score.chunks(width).enumerate() {
            let row = ScoredRow { line: line as u64, trouble: None, anomaly: score, score };
            regions.row(&row, |closed| found.push(closed.region));
        }
        regions.finish(|closed| found.push(closed.region));
        let area: u64 = found.iter().map(|r| r.area_px).sum();
        prop_assert_eq!(area, map.iter().filter(|&&on| on).count() as u64);
        prop_assert!(found.iter().all(|r| r.lines <= max_lines));
        prop_assert!(found.iter().all(|r| !r.capped || r.lines == max_lines));
    }
}

#[test]
fn a_scratch_that_never_ends_is_reported_in_pieces() {
    let config = WebConfig {
        max_region_lines: 100,
        min_area_px: 50,
        ..config(64, 8)
    };
    let picture = painted(64, 400, &[(20, 30, 24, 370)], &mut Dice::new(1));
    let said = inspect(&config, &Course::good(picture), 9, 50);
    let pieces: Vec<_> = said
        .findings
        .regions
        .iter()
        .map(|r| (r.first_line.0, r.lines, r.capped, r.defect))
        .collect();
    let starts: Vec<u64> = pieces.iter().map(|p| p.0).collect();
    assert_eq!(pieces.len(), 4, "{pieces:?}");
    assert!(
        pieces[..3].iter().all(|p| p.2 && p.3) && !pieces[3].2,
        "{pieces:?}"
    );
    // The first piece's component begins a few lines above the scratch itself.
    assert_eq!(starts[0], 30);
    assert_eq!((pieces[1].1, pieces[2].1), (100, 100));
    assert_eq!(starts[2], starts[1] + 100);
    assert_eq!(pieces.iter().map(|p| p.1).sum::<u32>(), 370);
    assert_eq!(said.lines()[32..], [Verdict::Defect; 368]);
}

#[test]
fn a_region_that_rejects_is_not_waited_for() {
    let config = WebConfig {
        max_region_lines: 10_000,
        min_area_px: 50,
        ..config(64, 8)
    };
    let picture = painted(64, 400, &[(20, 30, 24, 370)], &mut Dice::new(1));
    let mut web = Web::new(config.clone()).unwrap();
    let (mut said, mut workers) = (Said::default(), Workers::new(config.tile, 4));
    for block in Course::good(picture).blocks(&mut Dice::new(1), 40) {
        web.push(&block, &mut said).unwrap();
        workers.finish_all(&mut web, &mut said);
    }
    assert!(
        said.findings.regions.is_empty(),
        "the scratch has not ended"
    );
    // What is held back: the overlap with the next tile, 10 lines of the mean, a span in the making.
    let lines = said.lines();
    assert!(lines.len() >= 400 - 32 - 10 - 16, "{} lines", lines.len());
    assert_eq!(lines[..16], [Verdict::Ok; 16]);
    assert!(lines[32..].iter().all(|&v| v == Verdict::Defect));
}

#[test]
fn a_span_that_is_rejected_does_not_wait_for_another_region() {
    let config = WebConfig {
        min_area_px: 6000,
        max_region_lines: 6000,
        ..config(128, 8)
    };
    let mut picture = painted(128, 300, &[(4, 40, 60, 100)], &mut Dice::new(1));
    if let Samples::U8(samples) = &mut picture.samples {
        // Narrow: whether it rejects is known at its end only.
        for row in samples.chunks_exact_mut(128).skip(45) {
            row[95..115].fill(100);
        }
    }
    let mut web = Web::new(config.clone()).unwrap();
    let (mut said, mut workers) = (Said::default(), Workers::new(config.tile, 4));
    for block in Course::good(picture).blocks(&mut Dice::new(1), 40) {
        web.push(&block, &mut said).unwrap();
        workers.finish_all(&mut web, &mut said);
    }
    // The mark reaches into 32..144; the next span has the narrow one alone.
    let mut expected = vec![Verdict::Ok; 32];
    expected.extend([Verdict::Defect; 112]);
    assert_eq!(said.lines(), expected);
    web.end(&mut said);
    workers.finish_all(&mut web, &mut said);
    assert_eq!(said.lines()[..144], expected);
    assert_eq!(said.lines()[144..], [Verdict::Ok; 156]);
    let areas = said
        .findings
        .regions
        .iter()
        .map(|r| (r.defect, r.reaching_px >= 6000));
    assert_eq!(areas.collect::<Vec<_>>(), [(true, true), (false, false)]);
}

/// What is stronger must not be less of a defect: a small core does not take the rest's place.
#[test]
fn a_core_does_not_make_a_region_smaller() {
    let judged = |levels: [u8; 2]| {
        let config = WebConfig {
            min_area_px: 300,
            threshold: 0.2,
            ..config(128, 8)
        };
        let mut picture = painted(128, 200, &[], &mut Dice::new(1));
        if let Samples::U8(samples) = &mut picture.samples {
            for (line, row) in samples.chunks_exact_mut(128).enumerate() {
                if (60..90).contains(&line) {
                    row[40..70].fill(levels[0]);
                }
                if (70..74).contains(&line) {
                    row[50..54].fill(levels[1]);
                }
            }
        }
        let said = inspect(&config, &Course::good(picture), 3, 64);
        let [region] = said.findings.regions[..] else {
            panic!("{:?}", said.findings.regions);
        };
        (region.defect, region.area_px, region.reaching_px)
    };
    let (faint, strong) = (judged([100, 100]), judged([100, 250]));
    assert_eq!((faint.0, strong.0), (true, true));
    assert_eq!((strong.1, faint.1), (16, faint.2), "the box is the core's");
    assert!(strong.2 >= faint.2);
}

/// What is cut off before it is large enough is not let go.
#[test]
fn a_region_that_is_cut_off_rejects_whatever_its_area() {
    let judged = |max_region_lines| {
        let config = WebConfig {
            min_area_px: 5000,
            max_region_lines,
            ..config(128, 8)
        };
        let picture = painted(128, 200, &[(40, 60, 30, 60)], &mut Dice::new(1));
        let said = inspect(&config, &Course::good(picture), 3, 64);
        let regions = said.findings.regions.iter();
        regions.map(|r| (r.defect, r.capped)).collect::<Vec<_>>()
    };
    assert_eq!(judged(1000), [(false, false)]);
    assert_eq!(judged(20)[0], (true, true));
}
