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
