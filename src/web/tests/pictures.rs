//! Pictures as webs of one segment.

use super::*;
use crate::draem::score::{Window, image_score, window_mean};
use crate::model::Preparation;
use crate::picture::{ResizeFilter, Samples, fill_resized};
use crate::web::{ConfigError, InspectError, PictureRules, inspect_picture};
use proptest::prelude::*;

fn rules(overlap_px: u32) -> PictureRules {
    PictureRules {
        preparation: Preparation::Native { overlap_px },
        color_order: ColorOrder::Rgb,
        window: Window::OFFICIAL,
        threshold: 0.25,
        min_area_px: 0,
        columns: None,
        keep_reconstruction: true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any size, from one pixel on: the map is the picture, the score is the authors' score of it, and
    /// there is a defect exactly where the score reaches the threshold.
    #[test]
    fn pictures_of_any_size_are_inspected_whole(
        (width, height) in (1usize..150, 1usize..250), overlap in 0u32..17,
        mark in (0usize..100, 0usize..200, 1usize..40, 1usize..40), seed in any::<u64>(),
        threshold in 0.01f32..0.6, reach in 0u32..14,
    ) {
        let picture = painted(width, height, &[mark], &mut Dice::new(seed));
        let Samples::U8(samples) = &picture.samples else { unreachable!() };
        let map: Vec<f32> = samples.iter().map(|&v| f32::from(v) / 255.0).collect();
        let window = Window::new(2 * reach + 1).expect("an odd side");
        let rules = PictureRules { window, threshold, ..rules(overlap) };
        let mut engine = PixelEngine(TileSize { width_px: 32, height_px: 64 });
        let result = inspect_picture(&picture, &mut engine, &rules).unwrap();
        prop_assert_eq!((result.width_px, result.height_px), (width, height));
        prop_assert_eq!(&result.anomaly_map, &map);
        prop_assert_eq!(result.score, image_score(&map, width, height, window));
        let rejects = result.score >= threshold;
        prop_assert_eq!(result.verdict == Verdict::Defect, rejects);
        prop_assert_eq!(result.regions.iter().any(|r| r.defect), rejects);
        let repainted = result.reconstruction.unwrap();
        prop_assert_eq!(repainted.len(), 3 * map.len());
        for (value, p) in repainted.iter().zip(map.iter().cycle()) {
            prop_assert!((value - (1.0 - p)).abs() < 1e-6);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// A range of columns is inspected as the picture is that has nothing else, and outside it nothing
    /// is found. The engine sees every pixel of its tile, so that one beyond the range would show.
    #[test]
    fn columns_are_inspected_as_a_picture_of_their_own(
        (first, columns, rest, height) in (0usize..60, 1usize..110, 0usize..60, 1usize..150),
        overlap in 0u32..17, mark in (0usize..200, 0usize..200, 1usize..60, 1usize..40),
        seed in any::<u64>(),
    ) {
        let width = first + columns + rest;
        let picture = painted(width, height, &[mark], &mut Dice::new(seed));
        let own = picture.crop(first, 0, columns, height).unwrap();
        let mut engine = MoodyEngine(TileSize::square(32));
        let alone = inspect_picture(&own, &mut engine, &rules(overlap)).unwrap();
        let (first_column, end) = (first as u32, (first + columns) as u32);
        let rules = PictureRules {
            columns: Some([first_column, end].into()),
            ..rules(overlap)
        };
        let result = inspect_picture(&picture, &mut engine, &rules).unwrap();
        prop_assert_eq!(result.score, alone.score);
        prop_assert_eq!(result.verdict, alone.verdict);
        // Whether a pixel whose mean is the threshold reaches it is a matter of the last bit, and sums over a line
        // that begins elsewhere are rounded otherwise.
        let moved_by = |columns: u32, regions: &[Region]| -> Vec<Region> {
            let moved = regions.iter().map(|region| Region {
                first_column: region.first_column + columns,
                reaching_px: 0,
                ..*region
            });
            moved.collect()
        };
        prop_assert_eq!(moved_by(0, &result.regions), moved_by(first_column, &alone.regions));
        for (one, other) in result.regions.iter().zip(&alone.regions) {
            prop_assert!(one.reaching_px >= one.area_px && other.reaching_px >= other.area_px);
        }
        for (line, row) in result.anomaly_map.chunks_exact(width).enumerate() {
            let inside = &alone.anomaly_map[line * columns..][..columns];
            prop_assert_eq!(&row[first..first + columns], inside);
            prop_assert!(row[..first].iter().chain(&row[first + columns..]).all(|&p| p == 0.0));
        }
    }
}

#[test]
fn columns_that_are_not_there_are_refused() {
    let picture = Picture::from_grey8(60, 40, vec![0; 2400]).unwrap();
    let refused = |columns: [u32; 2], preparation| {
        let rules = PictureRules {
            columns: Some(columns.into()),
            preparation,
            ..rules(4)
        };
        let mut engine = PixelEngine(TileSize::square(32));
        match inspect_picture(&picture, &mut engine, &rules) {
            Err(InspectError::Config(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let native = Preparation::Native { overlap_px: 4 };
    for columns in [[0, 61], [20, 20], [30, 10]] {
        let says = refused(columns, native);
        assert!(says.contains("lines of 60 px"), "{says}");
    }
    assert!(
        refused(
            [0, 60],
            Preparation::Resize {
                filter: ResizeFilter::Bilinear
            }
        )
        .contains("--resize")
    );
}

#[test]
fn a_resized_picture_keeps_the_engines_bits() {
    let picture = painted(77, 41, &[(30, 10, 20, 20)], &mut Dice::new(2));
    let tile = TileSize::square(64);
    let mut pixels = vec![0.0; 3 * tile.area()];
    let filter = ResizeFilter::Bilinear;
    fill_resized(&picture, tile, filter, ColorOrder::Rgb, &mut pixels);
    let rules = PictureRules {
        preparation: Preparation::Resize { filter },
        ..rules(0)
    };
    let result = inspect_picture(&picture, &mut PixelEngine(tile), &rules).unwrap();
    assert_eq!((result.width_px, result.height_px), (64, 64));
    assert_eq!(result.anomaly_map, pixels[..4096]);
    let mean = window_mean(&pixels[..4096], 64, 64, Window::OFFICIAL);
    assert_eq!(result.score, mean.into_iter().fold(0.0, f32::max));
    assert_eq!(result.verdict, Verdict::Defect);
    assert_eq!(result.regions.len(), 1);
}

/// Fails, or says what is no number, from the second tile on.
struct Broken(usize, fn() -> Result<f32, EngineError>);

impl Inspector for Broken {
    fn tile_size(&self) -> TileSize {
        TileSize::square(32)
    }

    fn inspect(&mut self, _: &[f32], out: &mut Prediction) -> Result<(), EngineError> {
        self.0 += 1;
        let value = if self.0 > 1 { (self.1)()? } else { 0.0 };
        out.anomaly_map = vec![value; 1024];
        Ok(())
    }
}

#[test]
fn an_engine_that_fails_gives_no_half_result() {
    let picture = Picture::from_grey8(32, 100, vec![0; 3200]).unwrap();
    for failure in [(|| Err(EngineError::NotFinite)) as fn() -> _, || {
        Ok(f32::NAN)
    }] {
        let error = inspect_picture(&picture, &mut Broken(0, failure), &rules(8)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tile at column 0, line 24: the engine gave a value that is not a number; check the bundle with 'blemish model show'"
        );
    }
}

#[test]
fn what_cannot_be_inspected_is_refused() {
    let picture = Picture::from_grey8(32, 32, vec![0; 1024]).unwrap();
    let mut engine = PixelEngine(TileSize::square(32));
    let mut refusal = |rules: PictureRules| match inspect_picture(&picture, &mut engine, &rules) {
        Err(InspectError::Config(error)) => error,
        other => panic!("{other:?}"),
    };
    let overlap = refusal(rules(17));
    assert_eq!(
        overlap,
        ConfigError::Overlap {
            overlap_px: 17,
            most_px: 16
        }
    );
    for threshold in [0.0, -1.0, 1.5, f32::NAN] {
        let error = refusal(PictureRules {
            threshold,
            ..rules(0)
        });
        assert!(matches!(error, ConfigError::Threshold(_)));
    }
    let lying = Picture {
        height_px: 33,
        ..picture
    };
    let error = inspect_picture(&lying, &mut engine, &rules(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a picture of 32x33 px with 1024 samples cannot be inspected"
    );
}
