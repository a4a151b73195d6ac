//! Perlin noise and masks against the authors' code.

use super::*;
use crate::test_golden::{json, npz};

#[test]
fn noise_and_its_rotation_equal_the_authors() {
    let Some(mut file) = npz("perlin.npz") else {
        return;
    };
    for (rows, columns) in [(1, 1), (2, 8), (8, 2), (32, 32), (16, 1)] {
        let lattice = Lattice {
            rows,
            columns,
            turns: file.f64(&format!("u_{rows}_{columns}")),
        };
        let noise = lattice.noise(256, 256);
        let turned = rotate_plane(&noise, 256, 256, 30.0);
        for (name, ours) in [("noise", noise), ("rot30", turned)] {
            let theirs = file.f64(&format!("{name}_{rows}_{columns}"));
            let furthest = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
            let furthest = furthest.fold(0.0, f64::max);
            assert!(furthest < 1e-6, "{name} {rows}x{columns}: {furthest}");
        }
    }
}

/// 6000 masks have the empty share, the areas and the quantiles of the authors' (draem.md 1.5), within
/// four standard errors of either side's 6000.
#[test]
fn masks_are_as_large_and_as_often_empty_as_the_authors() {
    let (empty, mean, median) = match json("perlin_stats.json") {
        Some(stats) => (
            stats["P_empty_mask"].as_f64().unwrap(),
            stats["mean_area"].as_f64().unwrap(),
            stats["median_area"].as_f64().unwrap(),
        ),
        None => (0.058, 0.0484, 0.0462),
    };
    let mut areas: Vec<f64> = (0..6000)
        .map(|sample| {
            let mask = perlin::draw_mask(256, 256, 0.5, &mut Draws::of_sample(11, sample));
            mask.iter().filter(|&&set| set).count() as f64 / mask.len() as f64
        })
        .collect();
    areas.sort_by(f64::total_cmp);
    let count = areas.len() as f64;
    let our_empty = areas.iter().filter(|&&area| area == 0.0).count() as f64 / count;
    let our_mean = areas.iter().sum::<f64>() / count;
    let variance = areas
        .iter()
        .map(|area| (area - our_mean).powi(2))
        .sum::<f64>()
        / count;
    let standard_error = (2.0 * variance / count).sqrt();
    let empty_error = (2.0 * empty * (1.0 - empty) / count).sqrt();
    assert!((our_empty - empty).abs() < 4.0 * empty_error, "{our_empty}");
    assert!((our_mean - mean).abs() < 4.0 * standard_error, "{our_mean}");
    assert!((areas[3000] - median).abs() < 0.001, "{}", areas[3000]);
}

/// One cell whose gradients all point down: the noise is sqrt 2 (v - fade(v)), whatever the column.
#[test]
fn noise_of_equal_gradients_is_known_in_closed_form() {
    let lattice = Lattice {
        rows: 1,
        columns: 2,
        turns: vec![0.0; 6],
    };
    let noise = lattice.noise(64, 32);
    for (y, line) in noise.chunks_exact(64).enumerate() {
        let v = y as f64 / 32.0;
        let fade = 6.0 * v.powi(5) - 15.0 * v.powi(4) + 10.0 * v.powi(3);
        let expected = std::f64::consts::SQRT_2 * (v - fade);
        for value in line {
            assert!((value - expected).abs() < 1e-12, "line {y}: {value}");
        }
    }
}

#[test]
fn the_noise_vanishes_at_the_lattice_points() {
    let lattice = Lattice::draw(&mut Draws::of_sample(1, 4));
    let (width, height) = (96, 160);
    let noise = lattice.noise(width, height);
    for row in 0..lattice.rows {
        for column in 0..lattice.columns {
            let (x, y) = (
                column * width / lattice.columns,
                row * height / lattice.rows,
            );
            assert!(noise[y * width + x].abs() < 1e-12);
        }
    }
}

fn grey_tile() -> Rgb8 {
    Rgb8 {
        width_px: 64,
        height_px: 64,
        samples: (0..64 * 64).flat_map(|i| [(i % 251) as u8; 3]).collect(),
    }
}

struct Flat;

impl Crops for Flat {
    fn crop(&self, width_px: usize, height_px: usize, _: &mut Draws) -> Rgb8 {
        Rgb8 {
            width_px,
            height_px,
            samples: vec![77; 3 * width_px * height_px],
        }
    }
}

/// The opacity's range is the recipe's: a white texture on black product shows the texture's weight.
#[test]
fn the_texture_s_weight_stays_in_its_range() {
    for (preset, least) in [(Preset::Official, 0.2), (Preset::Paper, 0.1)] {
        let white = Rgb8 {
            width_px: 64,
            height_px: 64,
            samples: vec![255; 3 * 64 * 64],
        };
        let simulator = Simulator {
            recipe: Recipe {
                operations: Vec::new(),
                clean_share: 0.0,
                ..Recipe::new(preset, true)
            },
            textures: Textures::Pictures(vec![white]),
        };
        let mut weights = Vec::new();
        for sample in 0..300 {
            let (mut clean, mut seen) = (vec![0.0; 3 * 4096], vec![0.0; 3 * 4096]);
            let mut mask = vec![0.0; 4096];
            let out = SampleOut {
                clean: &mut clean,
                seen: &mut seen,
                mask: &mut mask,
            };
            simulator.paint(Rgb8::black(64, 64), &mut Draws::of_sample(2, sample), out);
            weights.extend(
                mask.iter()
                    .position(|&m| m == 1.0)
                    .map(|at| f64::from(seen[at])),
            );
        }
        weights.sort_by(f64::total_cmp);
        let (first, last) = (weights[0], weights[weights.len() - 1]);
        assert!(first >= least && first < least + 0.02 && last > 0.98 && last <= 1.0);
    }
}

#[test]
fn grey_product_gets_grey_defects() {
    let simulator = Simulator {
        recipe: Recipe::new(Preset::Official, true),
        textures: Textures::Own {
            product: Box::new(Flat),
            grey: true,
        },
    };
    for sample in 0..60 {
        let (mut clean, mut seen) = (vec![0.0; 3 * 4096], vec![0.0; 3 * 4096]);
        let mut mask = vec![0.0; 4096];
        let out = SampleOut {
            clean: &mut clean,
            seen: &mut seen,
            mask: &mut mask,
        };
        simulator.paint(grey_tile(), &mut Draws::of_sample(8, sample), out);
        assert_eq!(seen[..4096], seen[4096..8192]);
        assert_eq!(seen[..4096], seen[8192..]);
    }
}

#[test]
fn a_preset_that_mirrors_gives_mirrored_tiles_and_keeps_their_pixels() {
    let simulator = Simulator {
        recipe: Recipe {
            clean_share: 1.0,
            ..Recipe::new(Preset::Structural, true)
        },
        textures: Textures::Pictures(vec![grey_tile()]),
    };
    let mut found = std::collections::BTreeSet::new();
    for sample in 0..40 {
        let (mut clean, mut seen) = (vec![0.0; 3 * 4096], vec![0.0; 3 * 4096]);
        let mut mask = vec![0.0; 4096];
        let out = SampleOut {
            clean: &mut clean,
            seen: &mut seen,
            mask: &mut mask,
        };
        simulator.paint(grey_tile(), &mut Draws::of_sample(8, sample), out);
        let level = |index: usize| f32::from(grey_tile().samples[3 * index]) / 255.0;
        let places = [0, 63, 64 * 63, 64 * 63 + 63];
        let corner = places.iter().position(|&place| {
            (0..64).all(|i| {
                let step = if place % 64 == 0 { i } else { 63 - i };
                clean[i] == level(place / 64 * 64 + step)
            })
        });
        found.insert(corner.expect("the first line is a line of the tile"));
    }
    assert_eq!(found.len(), 4);
}
