//! Cutting tiles: the one piece of code that gives the networks their pixels, in training, on files
//! and on the line.

use super::{Picture, ResizeFilter};
use crate::geometry::{TileSize, mirror};
use crate::model::ColorOrder;

/// Samples of one line, channels interleaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineSamples<'a> {
    U8(&'a [u8]),
    /// Full scale is 65535.
    U16(&'a [u16]),
}

/// One line of a picture or of the rolling image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// 1 (grey) or 3 (R, G, B).
    pub channels: usize,
    /// `width x channels` samples.
    pub samples: LineSamples<'a>,
}

impl<'a> Line<'a> {
    /// The part of the line in a range of its columns.
    ///
    /// # Panics
    /// If the line does not have them.
    pub fn columns(self, range: &std::ops::Range<u32>) -> Line<'a> {
        let range = range.start as usize * self.channels..range.end as usize * self.channels;
        Line {
            channels: self.channels,
            samples: match self.samples {
                LineSamples::U8(samples) => LineSamples::U8(&samples[range]),
                LineSamples::U16(samples) => LineSamples::U16(&samples[range]),
            },
        }
    }
}

/// Fills one row of a tile: columns from `first_column` on, scaled to [0, 1], grey repeated in all
/// three planes, mirrored beyond the line's ends.
///
/// `planes` are the tile's three planes' rows in the order of `order`, equally long.
///
/// # Panics
/// If the planes differ in length, the line is empty, or it does not hold whole pixels of 1 or 3
/// channels.
pub fn fill_tile_line(
    line: Line<'_>,
    first_column: i64,
    order: ColorOrder,
    planes: [&mut [f32]; 3],
) {
    match line.samples {
        LineSamples::U8(samples) => {
            fill(samples, line.channels, first_column, order, planes, |v| {
                f32::from(v) / 255.0
            });
        }
        LineSamples::U16(samples) => {
            fill(samples, line.channels, first_column, order, planes, |v| {
                f32::from(v) / 65535.0
            });
        }
    }
}

fn fill<T: Copy>(
    samples: &[T],
    channels: usize,
    first_column: i64,
    order: ColorOrder,
    planes: [&mut [f32]; 3],
    scale: impl Fn(T) -> f32,
) {
    assert!(
        matches!(channels, 1 | 3) && !samples.is_empty() && samples.len().is_multiple_of(channels),
        "a line of {} samples and {channels} channels",
        samples.len()
    );
    let width = samples.len() / channels;
    let wanted = planes[0].len();
    // The columns that need no mirroring are the hot loop: every tile of a line but its ends.
    let inside = (-first_column).clamp(0, wanted as i64) as usize
        ..(width as i64 - first_column).clamp(0, wanted as i64) as usize;
    let outside = |column: usize| mirror(first_column + column as i64, width);
    let [first, second, third] = planes;
    assert!(
        second.len() == wanted && third.len() == wanted,
        "planes of one tile"
    );
    if channels == 1 {
        for (column, out) in first.iter_mut().enumerate() {
            if !inside.contains(&column) {
                *out = scale(samples[outside(column)]);
            }
        }
        if !inside.is_empty() {
            let from = (first_column + inside.start as i64) as usize;
            for (out, &value) in first[inside.clone()].iter_mut().zip(&samples[from..]) {
                *out = scale(value);
            }
        }
        second.copy_from_slice(first);
        third.copy_from_slice(first);
        return;
    }
    let (red, green, blue) = match order {
        ColorOrder::Rgb => (first, second, third),
        ColorOrder::Bgr => (third, second, first),
    };
    for column in 0..wanted {
        let at = if inside.contains(&column) {
            (first_column + column as i64) as usize
        } else {
            outside(column)
        };
        let pixel = &samples[3 * at..3 * at + 3];
        red[column] = scale(pixel[0]);
        green[column] = scale(pixel[1]);
        blue[column] = scale(pixel[2]);
    }
}

/// Cuts a tile at native resolution into `out`, `3 x height x width` in [0, 1]; what lies outside the
/// picture is mirrored.
///
/// # Panics
/// If `out` does not hold `3 * tile.area()` values or the picture is empty.
pub fn fill_tile(
    picture: &Picture,
    first_column: i64,
    first_line: i64,
    tile: TileSize,
    order: ColorOrder,
    out: &mut [f32],
) {
    assert_eq!(out.len(), 3 * tile.area(), "three planes of a tile");
    let (first, rest) = out.split_at_mut(tile.area());
    let (second, third) = rest.split_at_mut(tile.area());
    let width = tile.width_px as usize;
    let rows = first
        .chunks_exact_mut(width)
        .zip(second.chunks_exact_mut(width))
        .zip(third.chunks_exact_mut(width));
    for (row, ((first, second), third)) in rows.enumerate() {
        let line = picture.line(mirror(first_line + row as i64, picture.height_px));
        fill_tile_line(line, first_column, order, [first, second, third]);
    }
}

/// Resizes the whole picture to one tile, aspect ratio not kept, as [`fill_tile`] otherwise: the
/// paper's protocol. 8-bit pictures are resized as 8 bit, as the authors do.
///
/// # Panics
/// If `out` does not hold `3 * tile.area()` values or the picture is empty.
pub fn fill_resized(
    picture: &Picture,
    tile: TileSize,
    filter: ResizeFilter,
    order: ColorOrder,
    out: &mut [f32],
) {
    let resized = picture.resized(tile.width_px as usize, tile.height_px as usize, filter);
    fill_tile(&resized, 0, 0, tile, order, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Samples;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tile_shows_the_mirrored_picture(
            width in 1usize..50, height in 1usize..50, channels in prop::sample::select(vec![1usize, 3]),
            first_column in -70i64..70, first_line in -70i64..70, bgr in any::<bool>(), deep in any::<bool>(),
        ) {
            let wide: Vec<u16> = (0..width * height * channels).map(|i| (i * 2654435761 % 65536) as u16).collect();
            let samples = if deep {
                Samples::U16(wide.clone())
            } else {
                Samples::U8(wide.iter().map(|&v| (v >> 8) as u8).collect())
            };
            let picture = Picture::new(width, height, channels, samples).unwrap();
            let order = if bgr { ColorOrder::Bgr } else { ColorOrder::Rgb };
            let tile = TileSize::square(32);
            let mut out = vec![f32::NAN; 3 * tile.area()];
            fill_tile(&picture, first_column, first_line, tile, order, &mut out);
            for plane in 0..3 {
                for line in 0..32 {
                    for column in 0..32 {
                        let x = mirror(first_column + column as i64, width);
                        let y = mirror(first_line + line as i64, height);
                        let channel = match (channels, bgr) {
                            (1, _) => 0,
                            (_, false) => plane,
                            (_, true) => 2 - plane,
                        };
                        let at = (y * width + x) * channels + channel;
                        let expected = match &picture.samples {
                            Samples::U8(s) => f32::from(s[at]) / 255.0,
                            Samples::U16(s) => f32::from(s[at]) / 65535.0,
                        };
                        prop_assert_eq!(out[plane * 1024 + line * 32 + column], expected);
                    }
                }
            }
        }
    }

    #[test]
    fn a_resized_tile_is_the_resized_picture() {
        let picture =
            Picture::from_grey8(64, 64, (0..4096).map(|i| (i / 64) as u8).collect()).unwrap();
        let tile = TileSize::square(32);
        let mut out = vec![0.0; 3 * tile.area()];
        fill_resized(
            &picture,
            tile,
            ResizeFilter::Bilinear,
            ColorOrder::Rgb,
            &mut out,
        );
        // Rows 0 and 1 mixed to 0.5, rounded up by OpenCV's arithmetic.
        assert_eq!(out[0], 1.0 / 255.0);
        assert_eq!(out[31 * 32], 63.0 / 255.0);
    }
}
