//! PIL's `ImageEnhance.Sharpness`.

use super::super::Rgb8;

/// A picture between its smoothed self (`factor` 0), itself (1) and beyond (2).
///
/// Smoothing is PIL's 3x3 kernel of ones around a five, over 13; the outermost pixels stay as they are.
pub fn sharpen(picture: &mut Rgb8, factor: f32) {
    let smooth = smoothed(picture);
    for (value, smooth) in picture.samples.iter_mut().zip(smooth) {
        let (from, to) = (f32::from(smooth), f32::from(*value));
        *value = (from + factor * (to - from)).clamp(0.0, 255.0) as u8;
    }
}

fn smoothed(picture: &Rgb8) -> Vec<u8> {
    let mut smooth = picture.samples.clone();
    let (width, height) = (picture.width_px, picture.height_px);
    if width < 3 || height < 3 {
        return smooth;
    }
    let stride = 3 * width;
    for y in 1..height - 1 {
        let rows = [y - 1, y, y + 1].map(|row| &picture.samples[row * stride..][..stride]);
        let line = &mut smooth[y * stride + 3..(y + 1) * stride - 3];
        for (at, value) in line.iter_mut().enumerate() {
            let [above, here, below] = rows
                .map(|row| u32::from(row[at]) + u32::from(row[at + 3]) + u32::from(row[at + 6]));
            let sum = above + here + below + 4 * u32::from(rows[1][at + 3]);
            // PIL sums f32 products of 1/13; no sum of whole numbers over 13 ends in .5.
            *value = ((2 * sum + 13) / 26) as u8;
        }
    }
    smooth
}
