//! The picture whose map proves a bundle on every machine.
//!
//! It is computed, never a training picture: a bundle may be passed on where the pictures may not.

use crate::backend::Backend;
use blemish::geometry::TileSize;
use blemish::model::{ColorOrder, planes};
use sha2::{Digest, Sha256};

/// Candidates of which the one with the liveliest map is taken.
const CANDIDATES: u64 = 4;

/// A tile of 8-bit RGB (interleaved): a faint weave of brightness `mean` with a blob and a scratch.
pub fn picture(tile: TileSize, mean: [u8; 3], seed: u64) -> Vec<u8> {
    let digest = Sha256::digest([b"blemish golden ".as_slice(), &seed.to_le_bytes()].concat());
    let draw = |index: usize| f64::from(digest[index]) / 256.0;
    let (width, height) = (f64::from(tile.width_px), f64::from(tile.height_px));
    let size = width.min(height);
    let (center_x, center_y) = (
        width * (0.3 + 0.4 * draw(0)),
        height * (0.3 + 0.4 * draw(1)),
    );
    let radius = size * (0.08 + 0.1 * draw(2));
    let (period_x, period_y) = (4.0 + 8.0 * draw(3), 4.0 + 8.0 * draw(4));
    let strength = 50.0 + 60.0 * draw(5);
    let slope = draw(6) - 0.5;
    let mut out = Vec::with_capacity(3 * tile.area());
    for line in 0..tile.height_px {
        for column in 0..tile.width_px {
            let (x, y) = (f64::from(column), f64::from(line));
            let weave = (x * std::f64::consts::TAU / period_x).sin()
                + (y * std::f64::consts::TAU / period_y).sin();
            let distance = ((x - center_x).powi(2) + (y - center_y).powi(2)).sqrt();
            let blob = (1.0 - distance / radius).clamp(0.0, 0.25) * 4.0 * strength;
            let scratch = (y - height * 0.85 - slope * (x - width / 2.0)).abs() < 1.5;
            let defect = if scratch { -strength } else { blob };
            for channel in mean {
                let sign = if channel < 128 { 1.0 } else { -1.0 };
                let value = f64::from(channel) + 4.0 * weave + sign * defect;
                out.push(value.round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    out
}

/// Of a few computed pictures, the one on which the networks' map varies most: a flat map proves
/// little. `backend` holds the networks.
///
/// # Errors
/// A sentence for people where the device failed.
pub fn liveliest(
    backend: &mut dyn Backend,
    tile: TileSize,
    mean: [u8; 3],
) -> Result<Vec<u8>, String> {
    let (width, height) = (tile.width_px as usize, tile.height_px as usize);
    let mut best = (f64::NEG_INFINITY, Vec::new());
    for seed in 0..CANDIDATES {
        let rgb = picture(tile, mean, seed);
        let map = backend
            .infer(&planes(&rgb, ColorOrder::Rgb), 1, width, height)?
            .anomaly_map;
        let mean = map.iter().map(|&p| f64::from(p)).sum::<f64>() / map.len() as f64;
        let spread = map.iter().map(|&p| (f64::from(p) - mean).powi(2)).sum();
        if spread > best.0 {
            best = (spread, rgb);
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_stays_grey_and_the_defect_shows() {
        let tile = TileSize {
            width_px: 64,
            height_px: 32,
        };
        let rgb = picture(tile, [90; 3], 0);
        assert_eq!(rgb.len(), 3 * tile.area());
        assert!(
            rgb.as_chunks::<3>()
                .0
                .iter()
                .all(|p| p[0] == p[1] && p[1] == p[2])
        );
        assert!(rgb.iter().any(|&value| value > 130) && rgb.iter().any(|&value| value < 60));
        assert_ne!(rgb, picture(tile, [90; 3], 1));
    }
}
