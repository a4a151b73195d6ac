//! Bilinear resizing without antialiasing, as OpenCV's `resize` with `INTER_LINEAR`.

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

    proptest! {
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
