//! Blocks, the order of tiles and faults.

use super::oracle::course;
use super::*;
use crate::draem::score::{Window, window_mean};
use crate::geometry::tile_starts;
use crate::picture::{Samples, fill_tile};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The same web, cut and finished in another way, with another number of workers: same bits.
    #[test]
    fn neither_blocks_nor_the_order_of_tiles_leave_a_trace(
        course in course(), overlap in 0u32..17, seeds in any::<(u64, u64)>(),
        longest in (1usize..200, 1usize..200), workers in (1u32..9, 1u32..9),
    ) {
        let one = WebConfig {
            tiles_in_flight: workers.0,
            ..config(course.picture.width_px as u32, overlap)
        };
        let other = WebConfig { tiles_in_flight: workers.1, ..one.clone() };
        let moody = |seed| Workers::moody(one.tile, seed);
        prop_assert!(
            inspect_with(moody(seeds.0), &one, &course, longest.0)
                == inspect_with(moody(seeds.1), &other, &course, longest.1)
        );
    }

    /// Map and score of a whole good web, bit for bit.
    #[test]
    fn stitching_gives_back_what_the_tiles_agree_on(
        (width, height) in (1usize..120, 32usize..200), overlap in 0u32..17, seed in any::<u64>(),
    ) {
        let picture = painted(width, height, &[(width / 2, 9, 30, 50)], &mut Dice::new(seed));
        let Samples::U8(samples) = &picture.samples else { unreachable!() };
        let map: Vec<f32> = samples.iter().map(|&v| f32::from(v) / 255.0).collect();
        let score = window_mean(&map, width, height, Window::OFFICIAL);
        let said = inspect(&config(width as u32, overlap), &Course::good(picture.clone()), seed, 64);
        prop_assert_eq!(said.rows.len(), height);
        for (line, (_, anomaly, scores)) in &said.rows {
            let line = *line as usize * width;
            let bits = |of: &[f32]| of[line..line + width].iter().map(|v| v.to_bits()).collect();
            let (wanted, wanted_scores): (Vec<u32>, Vec<u32>) = (bits(&map), bits(&score));
            prop_assert_eq!(anomaly, &wanted);
            prop_assert_eq!(scores, &wanted_scores);
        }
    }

    /// Tiles hold what the trainer's tile cutter gives for the same place, mirrored beyond the
    /// edges of pictures that are smaller than a tile.
    #[test]
    fn tiles_are_the_trainers_tiles(
        (width, height) in (1usize..120, 1usize..120), overlap in 0u32..17, seed in any::<u64>(),
    ) {
        let picture = painted(width, height, &[(3, 3, 20, 20)], &mut Dice::new(seed));
        let config = WebConfig {
            min_segment_lines: 1,
            tiles_in_flight: 100,
            ..config(width as u32, overlap)
        };
        let mut web = Web::new(config.clone()).unwrap();
        for block in Course::good(picture.clone()).blocks(&mut Dice::new(seed), 50) {
            web.push(&block, &mut Said::default()).unwrap();
        }
        web.end(&mut Said::default());
        let (mut cut, mut wanted, mut tiles) = (Vec::new(), vec![0.0; 3 * 1024], 0);
        while let Some(job) = web.next_tile(&mut cut) {
            let (column, line) = (i64::from(job.first_column), job.first_line.0 as i64);
            fill_tile(&picture, column, line, config.tile, ColorOrder::Rgb, &mut wanted);
            prop_assert!(cut == wanted);
            tiles += 1;
        }
        let across = tile_starts(width as u32, 32, overlap).len();
        prop_assert!(tiles >= across && tiles % across == 0);
    }

    /// An engine that fails, is slow, or stops answering: every line is in one span, what is `Ok` was
    /// seen, and what was seen is right.
    #[test]
    fn no_line_passes_unseen(
        course in course(), overlap in 0u32..17, seed in any::<u64>(), longest in 1usize..150,
        eagerness in 1usize..40, failures in prop::sample::select(vec![0usize, 5, 50]),
        rolling_lines in 32u32..200, abort in any::<bool>(),
    ) {
        let config = WebConfig {
            rolling_lines,
            ..config(course.picture.width_px as u32, overlap)
        };
        let mut web = Web::new(config.clone()).unwrap();
        let mut said = Said::default();
        let mut workers = Workers::new(config.tile, seed);
        let mut dice = Dice::new(seed ^ 0xabcd);
        for block in course.blocks(&mut Dice::new(seed), longest) {
            web.push(&block, &mut said).unwrap();
            for _ in 0..dice.below(eagerness) {
                if dice.below(2) == 0 {
                    workers.take(&mut web);
                } else {
                    let fails = dice.below(100) < failures;
                    workers.finish(&mut web, &mut said, fails.then_some(Reason::Engine));
                }
            }
        }
        if abort {
            web.abort(Reason::Shutdown, &mut said);
        } else {
            web.end(&mut said);
            workers.finish_all(&mut web, &mut said);
        }
        prop_assert!(web.is_settled());
        let lines = said.lines();
        prop_assert_eq!(said.findings.verdicts[0].span.first_line.0, course.first_line);
        prop_assert_eq!(lines.len(), course.picture.height_px);
        let mut line = 0;
        for stretch in &course.stretches {
            for verdict in &lines[line..line + stretch.lines()] {
                match *stretch {
                    Stretch::Good(_) => {}
                    Stretch::Faulty(_, reason) => {
                        prop_assert_eq!(*verdict, Verdict::NotInspected(reason));
                    }
                    Stretch::Gap(_) => {
                        prop_assert_eq!(*verdict, Verdict::NotInspected(Reason::Dropped));
                    }
                }
            }
            line += stretch.lines();
        }
        let Samples::U8(samples) = &course.picture.samples else { unreachable!() };
        let width = course.picture.width_px;
        for (line, verdict) in lines.iter().enumerate() {
            let row = said.rows.get(&(course.first_line + line as u64));
            if *verdict == Verdict::Ok {
                let seen = row.is_some_and(|(trouble, ..)| trouble.is_none());
                prop_assert!(seen, "line {} is ok but was not seen", line);
            }
            if let Some((None, anomaly, _)) = row {
                let pixels = &samples[line * width..][..width];
                let wanted: Vec<u32> = pixels.iter().map(|&v| (f32::from(v) / 255.0).to_bits()).collect();
                prop_assert_eq!(anomaly, &wanted);
            }
        }
    }
}

/// Tiles of 32 px at columns 0 and 16 that say 0 and 1: the second is trusted the more, the farther a
/// column is from its rim and from the first's middle.
#[test]
fn a_pixel_trusts_the_tile_in_whose_middle_it_lies() {
    let mut web = Web::new(config(48, 16)).unwrap();
    let mut said = Said::default();
    web.push(&block_of(48, 32), &mut said).unwrap();
    web.end(&mut said);
    let mut tile = Vec::new();
    for (column, value) in [(0, 0.0), (16, 1.0)] {
        let job = web.next_tile(&mut tile).unwrap();
        assert_eq!(job.first_column, column);
        let prediction = Prediction {
            anomaly_map: vec![value; 1024],
            reconstruction: Vec::new(),
        };
        web.finish_tile(job.id, Ok(&prediction), &mut said);
    }
    let mut expected = vec![0.0f32; 16];
    expected.extend((1u8..=16).map(|i| f32::from(i) / 17.0));
    expected.extend([1.0; 16]);
    for (_, bits, _) in said.rows.values() {
        let row = bits.iter().map(|&b| f32::from_bits(b));
        for (value, expected) in row.zip(&expected) {
            assert!((value - expected).abs() < 1e-6, "{value} for {expected}");
        }
    }
    assert_eq!(said.rows.len(), 32);
}

fn block(first_line: u64, lines: usize) -> Block {
    Block {
        first_line: LineNumber(first_line),
        picture: Picture::from_grey8(64, lines, vec![0; 64 * lines]).unwrap(),
        stamps: vec![LineStamp::default(); lines],
        timed_line: None,
        fault: None,
    }
}

#[test]
fn blocks_that_do_not_look_as_configured_are_not_inspected() {
    let colour = Block {
        picture: Picture::from_rgb8(64, 8, vec![0; 64 * 8 * 3]).unwrap(),
        ..block(0, 8)
    };
    let narrow = Block {
        picture: Picture::from_grey8(63, 8, vec![0; 63 * 8]).unwrap(),
        ..block(0, 8)
    };
    let deep = Block {
        picture: Picture::from_grey16(64, 8, vec![0; 64 * 8]).unwrap(),
        ..block(0, 8)
    };
    let few = Block {
        picture: Picture::from_grey8(64, 7, vec![0; 64 * 7]).unwrap(),
        ..block(0, 8)
    };
    let mut lying = block(0, 8);
    lying.picture.samples = Samples::U8(vec![0; 3]);
    for (block, reason) in [
        (colour, Reason::Config),
        (narrow, Reason::Config),
        (deep, Reason::Config),
        (few, Reason::Short),
        (lying, Reason::Short),
    ] {
        let mut web = Web::new(config(64, 8)).unwrap();
        let mut said = Said::default();
        web.push(&block, &mut said).unwrap();
        web.end(&mut said);
        assert_eq!(said.lines(), [Verdict::NotInspected(reason); 8]);
    }
}

#[test]
fn line_numbers_that_cannot_be_are_refused_and_change_nothing() {
    let mut web = Web::new(config(64, 8)).unwrap();
    let mut said = Said::default();
    web.push(&block(100, 40), &mut said).unwrap();
    for first_line in [0, 139, 140 + (1 << 24) + 1, u64::MAX] {
        assert!(web.push(&block(first_line, 8), &mut said).is_err());
    }
    web.push(&block(140, 40), &mut said).unwrap();
    web.end(&mut said);
    Workers::new(TileSize::square(32), 1).finish_all(&mut web, &mut said);
    assert_eq!(said.lines(), [Verdict::Ok; 80]);
}

#[test]
fn a_tile_that_failed_costs_its_lines_and_no_others() {
    let mut web = Web::new(config(32, 8)).unwrap();
    let mut said = Said::default();
    let mut tile = Vec::new();
    web.push(&block_of(32, 24 * 4 + 8), &mut said).unwrap();
    let zeros = Prediction {
        anomaly_map: vec![0.0; 1024],
        reconstruction: Vec::new(),
    };
    let bad = [
        Prediction {
            anomaly_map: vec![f32::NAN; 1024],
            ..zeros.clone()
        },
        Prediction {
            anomaly_map: vec![0.0; 1023],
            ..zeros.clone()
        },
    ];
    // Rows of tiles start at 0, 24, 48 and 72; the second and the last fail.
    let jobs: Vec<_> = (0..3).map_while(|_| web.next_tile(&mut tile)).collect();
    assert_eq!(
        jobs.iter().map(|j| j.first_line.0).collect::<Vec<_>>(),
        [0, 24, 48]
    );
    web.finish_tile(jobs[2].id, Ok(&zeros), &mut said);
    web.finish_tile(jobs[1].id, Ok(&bad[0]), &mut said);
    web.finish_tile(jobs[0].id, Ok(&zeros), &mut said);
    web.finish_tile(jobs[0].id, Err(Reason::Late), &mut said); // long finished: ignored
    let last = web.next_tile(&mut tile).unwrap();
    web.finish_tile(last.id, Ok(&bad[1]), &mut said);
    web.end(&mut said);
    let failed = |line: u64| (24..56).contains(&line) || (72..104).contains(&line);
    for (line, (trouble, ..)) in &said.rows {
        assert_eq!(
            *trouble,
            failed(*line).then_some(Reason::Engine),
            "line {line}"
        );
    }
    let lost = Verdict::NotInspected(Reason::Engine);
    let verdicts: Vec<_> = said.findings.verdicts.iter().map(|v| v.verdict).collect();
    // Spans of 16 lines: 0..16, 16..32, 32..48, 48..64, 64..80, 80..96, 96..104.
    assert_eq!(verdicts, [Verdict::Ok, lost, lost, lost, lost, lost, lost]);
}

/// What the map holds where all tiles say the same.
fn agreed(value: f32) -> Vec<f32> {
    let config = WebConfig {
        tiles_in_flight: 100,
        ..config(75, 11)
    };
    let mut web = Web::new(config).unwrap();
    let mut said = Said::default();
    web.push(&block_of(75, 90), &mut said).unwrap();
    web.end(&mut said);
    let prediction = Prediction {
        anomaly_map: vec![value; 1024],
        reconstruction: Vec::new(),
    };
    let mut tile = Vec::new();
    while let Some(job) = web.next_tile(&mut tile) {
        web.finish_tile(job.id, Ok(&prediction), &mut said);
    }
    assert_eq!(said.rows.len(), 90);
    let bits = said.rows.values().flat_map(|(_, bits, _)| bits);
    bits.map(|&bits| f32::from_bits(bits)).collect()
}

#[test]
fn values_are_exact_to_the_last_of_40_bits_and_stay_probabilities() {
    let unit = 1.0 / (1u64 << 40) as f32;
    for value in [0.0, unit, 77.0 * unit, 12_345.0 * unit, 0.1, 1.0 / 3.0, 1.0] {
        assert!(agreed(value).iter().all(|&v| v == value), "{value}");
    }
    for (value, kept) in [(-0.25, 0.0), (1.0 + f32::EPSILON, 1.0), (7.0, 1.0)] {
        assert!(agreed(value).iter().all(|&v| v == kept), "{value}");
    }
}

#[test]
fn of_several_reasons_the_order_of_tiles_does_not_choose() {
    let reasons = [Reason::Engine, Reason::Light];
    for order in [[0, 1], [1, 0]] {
        let mut web = Web::new(config(32, 16)).unwrap();
        let mut said = Said::default();
        web.push(&block_of(32, 48), &mut said).unwrap();
        web.end(&mut said);
        let mut tile = Vec::new();
        let jobs: Vec<_> = (0..2).map_while(|_| web.next_tile(&mut tile)).collect();
        for which in order {
            web.finish_tile(jobs[which].id, Err(reasons[which]), &mut said);
        }
        let [_, middle, _] = said.findings.verdicts[..] else {
            panic!("{:?}", said.findings.verdicts)
        };
        // Both tiles lie over lines 16..32.
        assert_eq!(middle.verdict, Verdict::NotInspected(Reason::Engine));
    }
}

fn block_of(width: usize, lines: usize) -> Block {
    Block {
        picture: Picture::from_grey8(width, lines, vec![0; width * lines]).unwrap(),
        ..block(0, lines)
    }
}
