//! What a picture looks like in a few numbers: enough to see that a set of pictures is not what it
//! should be.

use blemish::picture::{Picture, PictureError, Samples};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Side of the thumbnail.
pub const THUMBNAIL_PX: usize = 32;
/// Pixels of the mean that is taken off around every thumbnail's pixel, on each side.
const SMOOTH_PX: usize = 2;

/// A picture in numbers; brightness in levels of 8 bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub path: PathBuf,
    pub mean: f64,
    /// Standard deviation over the pixels.
    pub spread: f64,
    /// Share of the samples at the greatest level.
    pub white_share: f64,
    /// Share of the samples at zero.
    pub black_share: f64,
    /// SHA-256 of sides and samples: equal for equal pictures in different files.
    pub digest: [u8; 32],
    /// The fine part of the picture, shrunk: `THUMBNAIL_PX` squared.
    pub thumbnail: Vec<f32>,
}

impl Look {
    /// Looks at every picture.
    ///
    /// # Errors
    /// Names the picture that cannot be read.
    pub fn at_all(paths: &[PathBuf]) -> Result<Vec<Self>, PictureError> {
        let looks = paths
            .par_iter()
            .map(|path| Ok(Self::at(path, &Picture::open(path)?)));
        looks.collect()
    }

    /// Looks at a picture.
    pub fn at(path: &Path, picture: &Picture) -> Self {
        let (levels, greatest): (Vec<f32>, f32) = match &picture.samples {
            Samples::U8(samples) => (samples.iter().map(|&v| f32::from(v)).collect(), 255.0),
            Samples::U16(samples) => (
                samples.iter().map(|&v| f32::from(v) / 257.0).collect(),
                255.0,
            ),
        };
        let count = levels.len().max(1) as f64;
        let sum: f64 = levels.iter().map(|&v| f64::from(v)).sum();
        let squares: f64 = levels.iter().map(|&v| f64::from(v).powi(2)).sum();
        let mean = sum / count;
        let share = |level: f32| levels.iter().filter(|&&v| v == level).count() as f64 / count;
        Self {
            path: path.to_owned(),
            mean,
            spread: (squares / count - mean * mean).max(0.0).sqrt(),
            white_share: share(greatest),
            black_share: share(0.0),
            digest: digest(picture),
            thumbnail: fine(&shrunk(picture, &levels)),
        }
    }
}

fn digest(picture: &Picture) -> [u8; 32] {
    let mut all = Sha256::new();
    for side in [picture.width_px, picture.height_px, picture.channels] {
        all.update((side as u64).to_le_bytes());
    }
    match &picture.samples {
        Samples::U8(samples) => all.update(samples),
        Samples::U16(samples) => samples.iter().for_each(|v| all.update(v.to_le_bytes())),
    }
    all.finalize().into()
}

/// Means over a grid of boxes and all channels.
fn shrunk(picture: &Picture, levels: &[f32]) -> Vec<f32> {
    let (width, height, channels) = (picture.width_px, picture.height_px, picture.channels);
    let range = |cell: usize, side: usize| {
        let first = cell * side / THUMBNAIL_PX;
        first..((cell + 1) * side / THUMBNAIL_PX).max(first + 1)
    };
    let mut out = Vec::with_capacity(THUMBNAIL_PX * THUMBNAIL_PX);
    for line in 0..THUMBNAIL_PX {
        for column in 0..THUMBNAIL_PX {
            let (mut sum, mut count) = (0.0, 0);
            let columns = range(column, width);
            for y in range(line, height) {
                let row = &levels[channels * (y * width + columns.start)..];
                let samples = &row[..channels * columns.len()];
                sum += samples.iter().sum::<f32>();
                count += samples.len();
            }
            out.push(sum / count as f32);
        }
    }
    out
}

/// What is left without the slow changes of light.
fn fine(picture: &[f32]) -> Vec<f32> {
    let side = THUMBNAIL_PX;
    let around = |at: usize| at.saturating_sub(SMOOTH_PX)..(at + SMOOTH_PX + 1).min(side);
    let smooth = |line: usize, column: usize| {
        let rows = around(line).flat_map(|y| &picture[y * side..][around(column)]);
        let count = around(line).len() * around(column).len();
        rows.sum::<f32>() / count as f32
    };
    (0..side * side)
        .map(|at| picture[at] - smooth(at / side, at % side))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_is_in_levels_of_8_bit_at_any_depth() {
        let path = Path::new("a.png");
        let narrow = Picture::from_grey8(2, 2, vec![0, 100, 255, 255]).unwrap();
        let wide = vec![0, 257 * 100, 65535, 65535];
        let wide = Picture::from_grey16(2, 2, wide).unwrap();
        let (narrow, wide) = (Look::at(path, &narrow), Look::at(path, &wide));
        assert_eq!((narrow.mean, narrow.white_share), (152.5, 0.5));
        assert_eq!(narrow.black_share, 0.25);
        assert!((narrow.spread - 108.426).abs() < 0.001, "{}", narrow.spread);
        assert_eq!(
            (narrow.mean, narrow.spread, narrow.white_share),
            (wide.mean, wide.spread, wide.white_share)
        );
        assert_ne!(narrow.digest, wide.digest);
    }

    #[test]
    fn the_thumbnail_knows_no_light() {
        let flat = |level: u8| Picture::from_grey8(40, 50, vec![level; 2000]).unwrap();
        let look = Look::at(Path::new("a.png"), &flat(90));
        assert!(look.thumbnail.iter().all(|value| value.abs() < 1e-3));
    }
}
