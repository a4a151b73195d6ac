//! Resizing: bilinear without antialiasing, as OpenCV's `resize` with `INTER_LINEAR`, and whole pictures
//! with it or with a filter that widens as the picture shrinks.

use super::{Picture, Samples};
use image::{ImageBuffer, Luma, Pixel, Primitive, Rgb, imageops};
use serde::{Deserialize, Serialize};

/// How a whole picture is brought to the size of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeFilter {
    /// From the four nearest pixels whatever the reduction, as the authors do with OpenCV. A picture
    /// that shrinks to a third loses most of its pixels, and fine texture turns into noise (aliasing).
    #[default]
    Bilinear,
    /// A triangle as wide as two pixels of the result, so that every pixel of the picture counts.
    Antialiased,
}

impl ResizeFilter {
    /// Its name in bundles, `config.toml` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ResizeFilter::Bilinear => "bilinear",
            ResizeFilter::Antialiased => "antialiased",
        }
    }
}

impl Picture {
    /// The picture at other sides, aspect ratio not kept, depth and channels kept.
    /// [`ResizeFilter::Bilinear`] is OpenCV's to the bit for 8-bit pictures.
    ///
    /// # Panics
    /// If a side is 0.
    pub fn resized(&self, width_px: usize, height_px: usize, filter: ResizeFilter) -> Picture {
        let (channels, from) = (self.channels, [self.width_px, self.height_px]);
        let to = [width_px, height_px];
        let samples = match (&self.samples, filter) {
            (Samples::U8(samples), ResizeFilter::Bilinear) => Samples::U8(resize_bilinear_u8(
                samples, channels, from[0], from[1], width_px, height_px,
            )),
            (Samples::U16(samples), ResizeFilter::Bilinear) => {
                let wide: Vec<f32> = samples.iter().map(|&v| f32::from(v)).collect();
                let resized =
                    resize_bilinear(&wide, channels, from[0], from[1], width_px, height_px);
                Samples::U16(resized.iter().map(|v| v.round() as u16).collect())
            }
            (Samples::U8(samples), ResizeFilter::Antialiased) => {
                Samples::U8(antialiased(samples, channels, from, to))
            }
            (Samples::U16(samples), ResizeFilter::Antialiased) => {
                Samples::U16(antialiased(samples, channels, from, to))
            }
        };
        Picture {
            width_px,
            height_px,
            channels,
            samples,
        }
    }
}

fn antialiased<T: Primitive + 'static>(
    samples: &[T],
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
) -> Vec<T>
where
    Luma<T>: Pixel<Subpixel = T>,
    Rgb<T>: Pixel<Subpixel = T>,
{
    fn by<P: Pixel<Subpixel: 'static> + 'static>(
        samples: &[P::Subpixel],
        from: [usize; 2],
        to: [usize; 2],
    ) -> Vec<P::Subpixel> {
        let [from, to] = [from, to].map(|sides| sides.map(|side| side as u32));
        let view = ImageBuffer::<P, _>::from_raw(from[0], from[1], samples)
            .expect("a picture holds its sides' samples");
        imageops::resize(&view, to[0], to[1], imageops::FilterType::Triangle).into_raw()
    }
    check(samples.len(), channels, [from[0], from[1], to[0], to[1]]);
    match channels {
        1 => by::<Luma<T>>(samples, from, to),
        _ => by::<Rgb<T>>(samples, from, to),
    }
}

/// One axis: for every output position the two source positions and the second one's weight.
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

/// Pixel areas coincide (half-pixel); positions outside are clamped.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = 1.0 / (to as f64 / from as f64);
    (0..to)
        .map(|index| {
            let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
            let floor = position.floor();
            let first = floor as i64;
            let last = from as i64 - 1;
            Tap {
                first: first.clamp(0, last) as usize,
                second: (first + 1).clamp(0, last) as usize,
                weight: position - floor,
            }
        })
        .collect()
}

/// Resizes `source_height x source_width x channels` to `height x width x channels` with the exact
/// arithmetic of OpenCV 4 for 8 bit: weights of 11 bits, products shortened to 4 and 16 bits.
///
/// # Panics
/// If a side or `channels` is 0 or `source` has another length.
pub fn resize_bilinear_u8(
    source: &[u8],
    channels: usize,
    source_width: usize,
    source_height: usize,
    width: usize,
    height: usize,
) -> Vec<u8> {
    check(
        source.len(),
        channels,
        [source_width, source_height, width, height],
    );
    const ONE: f32 = 2048.0;
    let fixed = |weight: f32| (weight * ONE).round_ties_even() as i32;
    let columns: Vec<(usize, usize, i32, i32)> = taps(source_width, width)
        .iter()
        .map(|tap| {
            // OpenCV drops the weight at the ends of a row, but keeps it at the first and last rows.
            let inside = tap.first != tap.second;
            let weight = if inside { tap.weight } else { 0.0 };
            let (first, second) = (tap.first * channels, tap.second * channels);
            (first, second, fixed(1.0 - weight), fixed(weight))
        })
        .collect();
    let across = |line: usize, out: &mut Vec<i32>| {
        let row = &source[line * source_width * channels..][..source_width * channels];
        out.clear();
        for &(first, second, near, far) in &columns {
            for channel in 0..channels {
                let [a, b] = [row[first + channel], row[second + channel]].map(i32::from);
                out.push(a * near + b * far);
            }
        }
    };
    let mut held: [(usize, Vec<i32>); 2] = [(usize::MAX, Vec::new()), (usize::MAX, Vec::new())];
    let mut out = Vec::with_capacity(width * height * channels);
    for tap in taps(source_height, height) {
        if held[0].0 != tap.first {
            held.swap(0, 1);
        }
        for (slot, line) in held.iter_mut().zip([tap.first, tap.second]) {
            if slot.0 != line {
                across(line, &mut slot.1);
                slot.0 = line;
            }
        }
        let (near, far) = (fixed(1.0 - tap.weight), fixed(tap.weight));
        out.extend(held[0].1.iter().zip(&held[1].1).map(|(&a, &b)| {
            let sum = ((near * (a >> 4)) >> 16) + ((far * (b >> 4)) >> 16);
            ((sum + 2) >> 2).clamp(0, 255) as u8
        }));
    }
    out
}

/// Resizes `source_height x source_width x channels` of floats (maps, 16-bit samples) with the same
/// sampling positions as [`resize_bilinear_u8`].
///
/// # Panics
/// If a side or `channels` is 0 or `source` has another length.
pub fn resize_bilinear(
    source: &[f32],
    channels: usize,
    source_width: usize,
    source_height: usize,
    width: usize,
    height: usize,
) -> Vec<f32> {
    check(
        source.len(),
        channels,
        [source_width, source_height, width, height],
    );
    let columns = taps(source_width, width);
    let stride = source_width * channels;
    let mut out = Vec::with_capacity(width * height * channels);
    for down in taps(source_height, height) {
        let upper = &source[down.first * stride..][..stride];
        let lower = &source[down.second * stride..][..stride];
        for across in &columns {
            for channel in 0..channels {
                let (first, second) = (
                    across.first * channels + channel,
                    across.second * channels + channel,
                );
                let mix = |row: &[f32]| row[first] + across.weight * (row[second] - row[first]);
                let (a, b) = (mix(upper), mix(lower));
                out.push(a + down.weight * (b - a));
            }
        }
    }
    out
}

fn check(length: usize, channels: usize, sides: [usize; 4]) {
    assert!(
        channels > 0 && sides.iter().all(|&side| side > 0),
        "resize needs positive sides and channels, not {sides:?} and {channels}"
    );
    assert_eq!(length, sides[0] * sides[1] * channels, "samples to resize");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_golden;
    use proptest::prelude::*;

    #[test]
    fn eight_bit_resize_equals_opencv_exactly() {
        let Some(mut golden) = test_golden::open("units.npz") else {
            return;
        };
        let source: Vec<u8> = golden.u8("rs_in");
        for (name, width, height) in [("rs_out_16x16", 16, 16), ("rs_out_96x80", 96, 80)] {
            let out = resize_bilinear_u8(&source, 3, 57, 41, width, height);
            assert_eq!(out, golden.u8(name), "{name}");
        }
    }

    #[test]
    fn half_pixel_upsampling_equals_pytorch() {
        let Some(mut golden) = test_golden::open("units.npz") else {
            return;
        };
        let (source, expected) = (golden.f32("up_in"), golden.f32("up_half"));
        for channel in 0..2 {
            let out = resize_bilinear(&source[channel * 12..][..12], 1, 4, 3, 8, 6);
            for (value, wanted) in out.iter().zip(&expected[channel * 48..]) {
                assert!((value - wanted).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_small_case_by_hand() {
        assert_eq!(
            resize_bilinear_u8(&[0, 100], 1, 2, 1, 4, 1),
            [0, 25, 75, 100]
        );
        assert_eq!(resize_bilinear_u8(&[10, 20, 30, 41], 1, 2, 2, 1, 1), [25]);
        assert_eq!(
            resize_bilinear(&[0.0, 1.0], 1, 1, 2, 1, 4),
            [0.0, 0.25, 0.75, 1.0]
        );
    }

    /// Stripes of one pixel, reduced to a third: four pixels see one stripe, all pixels see grey.
    #[test]
    fn fine_stripes_become_grey_only_where_every_pixel_counts() {
        let stripes: Vec<u8> = (0..96 * 96).map(|at| 255 * (at % 2) as u8).collect();
        let picture = Picture::from_grey8(96, 96, stripes).unwrap();
        let spread = |filter| {
            let Samples::U8(samples) = picture.resized(32, 32, filter).samples else {
                panic!("8 bit stays 8 bit");
            };
            let inner = samples.chunks(32).flat_map(|line| &line[1..31]);
            inner.fold((255, 0), |(least, most), &v| (v.min(least), v.max(most)))
        };
        assert_eq!(spread(ResizeFilter::Bilinear), (0, 255));
        let (least, most) = spread(ResizeFilter::Antialiased);
        assert!(least >= 113 && most <= 142, "{least}..{most}");
    }

    proptest! {
        #[test]
        fn a_flat_picture_stays_flat_and_as_deep_antialiased(
            (w, h, channels, level, deep) in (1usize..40, 1usize..40, prop::sample::select(vec![1usize, 3]), any::<u8>(), any::<bool>()),
            width in 1usize..40, height in 1usize..40,
        ) {
            let flat = match deep {
                false => Samples::U8(vec![level; w * h * channels]),
                true => Samples::U16(vec![257 * u16::from(level); w * h * channels]),
            };
            let picture = Picture::new(w, h, channels, flat).unwrap();
            let resized = picture.resized(width, height, ResizeFilter::Antialiased);
            prop_assert_eq!((resized.width_px, resized.height_px, resized.channels), (width, height, channels));
            match resized.samples {
                Samples::U8(samples) => prop_assert!(!deep && samples == vec![level; width * height * channels]),
                Samples::U16(samples) => prop_assert!(deep && samples.iter().all(|&v| v.abs_diff(257 * u16::from(level)) <= 1)),
            }
        }

        #[test]
        fn both_depths_agree_within_a_level(
            (w, h, source) in (1usize..20, 1usize..20).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), prop::collection::vec(any::<u8>(), w * h * 3))
            }),
            width in 1usize..40, height in 1usize..40,
        ) {
            let exact = resize_bilinear_u8(&source, 3, w, h, width, height);
            let floats: Vec<f32> = source.iter().map(|&v| f32::from(v)).collect();
            let smooth = resize_bilinear(&floats, 3, w, h, width, height);
            for (a, b) in exact.iter().zip(&smooth) {
                prop_assert!((f32::from(*a) - b).abs() <= 1.01, "{} {}", a, b);
            }
            if (w, h) == (width, height) {
                prop_assert_eq!(exact, source);
            }
        }
    }
}
