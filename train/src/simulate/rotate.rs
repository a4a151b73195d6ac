//! Rotation about the centre, bilinear, 0 outside, with the arithmetic of OpenCV's `warpAffine`
//! under imgaug 0.4's matrix: coordinates in steps of 1/32 pixel.

use super::Rgb8;

const FRACTION_BITS: u32 = 5;
const FRACTIONS: i32 = 1 << FRACTION_BITS;
const FINE_BITS: u32 = 10;

/// Where one output pixel is taken from: upper left source pixel and 1/32 steps beyond it.
#[derive(Clone, Copy)]
struct Source {
    x: i32,
    y: i32,
    right: i32,
    down: i32,
}

/// Inverse of the rotation, in 1/1024 pixels, separated into what depends on the column and on the row.
struct Rotation {
    columns: Vec<(i32, i32)>,
    x_per_row: f64,
    x_offset: f64,
    y_per_row: f64,
    y_offset: f64,
}

impl Rotation {
    fn new(width: usize, height: usize, degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (center_x, center_y) = (width as f64 / 2.0 - 0.5, height as f64 / 2.0 - 0.5);
        let x_shift = center_x - cos * center_x + sin * center_y;
        let y_shift = center_y - sin * center_x - cos * center_y;
        let fine = f64::from(1 << FINE_BITS);
        let columns = (0..width)
            .map(|x| {
                let x = x as f64;
                (fixed(cos * x * fine), fixed(-sin * x * fine))
            })
            .collect();
        Rotation {
            columns,
            x_per_row: sin,
            x_offset: -cos * x_shift - sin * y_shift,
            y_per_row: cos,
            y_offset: sin * x_shift - cos * y_shift,
        }
    }

    /// Sources of the pixels of one row.
    fn row(&self, y: usize) -> impl Iterator<Item = Source> {
        let fine = f64::from(1 << FINE_BITS);
        let rounding = 1 << (FINE_BITS - FRACTION_BITS - 1);
        let row_x = fixed((self.x_per_row * y as f64 + self.x_offset) * fine) + rounding;
        let row_y = fixed((self.y_per_row * y as f64 + self.y_offset) * fine) + rounding;
        self.columns.iter().map(move |&(column_x, column_y)| {
            let x = (row_x + column_x) >> (FINE_BITS - FRACTION_BITS);
            let y = (row_y + column_y) >> (FINE_BITS - FRACTION_BITS);
            Source {
                x: x >> FRACTION_BITS,
                y: y >> FRACTION_BITS,
                right: x & (FRACTIONS - 1),
                down: y & (FRACTIONS - 1),
            }
        })
    }
}

fn fixed(value: f64) -> i32 {
    value.round_ties_even() as i32
}

/// The four weights of a source, of 1024.
fn weights(source: Source) -> [i32; 4] {
    let (right, down) = (source.right, source.down);
    let (left, up) = (FRACTIONS - right, FRACTIONS - down);
    [left * up, right * up, left * down, right * down]
}

/// Positions of the four neighbours in a `width x height` plane, `None` outside.
fn neighbours(source: Source, width: usize, height: usize) -> [Option<usize>; 4] {
    let at = |x: i32, y: i32| {
        let inside = x >= 0 && y >= 0 && (x as usize) < width && (y as usize) < height;
        inside.then(|| y as usize * width + x as usize)
    };
    let Source { x, y, .. } = source;
    [at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)]
}

fn is_inner(source: Source, width: usize, height: usize) -> bool {
    source.x >= 0
        && source.y >= 0
        && (source.x as usize) + 1 < width
        && (source.y as usize) + 1 < height
}

/// `picture` turned by `degrees` (positive turns +x towards +y), black where nothing was.
pub fn rotate_rgb8(picture: &Rgb8, degrees: f64) -> Rgb8 {
    let (width, height) = (picture.width_px, picture.height_px);
    let rotation = Rotation::new(width, height, degrees);
    let pixels = &picture.samples;
    let mut turned = Rgb8::black(width, height);
    for (y, row) in turned
        .samples
        .chunks_exact_mut(3 * width.max(1))
        .enumerate()
    {
        for (source, pixel) in rotation.row(y).zip(row.chunks_exact_mut(3)) {
            let weight = weights(source);
            if is_inner(source, width, height) {
                let upper = 3 * (source.y as usize * width + source.x as usize);
                let above = &pixels[upper..upper + 6];
                let below = &pixels[upper + 3 * width..upper + 3 * width + 6];
                for channel in 0..3 {
                    let sum = i32::from(above[channel]) * weight[0]
                        + i32::from(above[channel + 3]) * weight[1]
                        + i32::from(below[channel]) * weight[2]
                        + i32::from(below[channel + 3]) * weight[3];
                    pixel[channel] = ((sum + 512) >> 10) as u8;
                }
                continue;
            }
            let near = neighbours(source, width, height);
            if near.iter().all(Option::is_none) {
                continue;
            }
            for (channel, value) in pixel.iter_mut().enumerate() {
                let sum: i32 = near
                    .iter()
                    .zip(weight)
                    .map(|(at, w)| at.map_or(0, |at| i32::from(pixels[3 * at + channel]) * w))
                    .sum();
                *value = ((sum + 512) >> 10) as u8;
            }
        }
    }
    turned
}

/// A row-major `width x height` plane turned by `degrees`, 0 where nothing was.
///
/// # Panics
/// If `plane` does not hold `width * height` values.
pub fn rotate_plane(plane: &[f64], width: usize, height: usize, degrees: f64) -> Vec<f64> {
    assert_eq!(plane.len(), width * height, "plane of {width}x{height}");
    let rotation = Rotation::new(width, height, degrees);
    let mut turned = vec![0.0; plane.len()];
    for (y, row) in turned.chunks_exact_mut(width.max(1)).enumerate() {
        for (source, value) in rotation.row(y).zip(row) {
            let weight = weights(source).map(|w| f64::from(w) / 1024.0);
            *value = if is_inner(source, width, height) {
                let at = source.y as usize * width + source.x as usize;
                plane[at] * weight[0]
                    + plane[at + 1] * weight[1]
                    + plane[at + width] * weight[2]
                    + plane[at + width + 1] * weight[3]
            } else {
                neighbours(source, width, height)
                    .iter()
                    .zip(weight)
                    .map(|(at, w)| at.map_or(0.0, |at| plane[at] * w))
                    .sum()
            };
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_angle_moves_pixels_without_mixing_them() {
        let plane: Vec<f64> = (0..16).map(f64::from).collect();
        let turned = rotate_plane(&plane, 4, 4, 90.0);
        for y in 0..4 {
            for x in 0..4 {
                assert_eq!(turned[y * 4 + x], plane[(3 - x) * 4 + y], "({x}, {y})");
            }
        }
    }

    #[test]
    fn corners_become_black_and_the_centre_stays() {
        let white = Rgb8 {
            width_px: 32,
            height_px: 32,
            samples: vec![255; 32 * 32 * 3],
        };
        let turned = rotate_rgb8(&white, 45.0);
        assert_eq!(turned.samples[..3], [0, 0, 0]);
        let centre = 3 * (16 * 32 + 16);
        assert_eq!(turned.samples[centre..centre + 3], [255, 255, 255]);
    }
}
