//! The operations against imgaug, OpenCV and PIL at fixed parameters.

use super::*;
use crate::test_golden::npz;

/// Share of samples that differ at all and that differ by more than one level.
fn differences(ours: &[u8], theirs: &[u8]) -> (f64, f64) {
    assert_eq!(ours.len(), theirs.len());
    let count = |limit: u8| {
        let far = ours
            .iter()
            .zip(theirs)
            .filter(|(a, b)| a.abs_diff(**b) > limit);
        far.count() as f64 / ours.len() as f64
    };
    (count(0), count(1))
}

fn cases() -> Vec<(String, Operation)> {
    let mut cases = vec![
        ("invert".to_owned(), Operation::Invert),
        ("equalize".to_owned(), Operation::Equalize),
    ];
    for gamma in ["0.5", "0.8", "1.5", "2.0"] {
        let exponent = gamma.parse().unwrap();
        cases.push((format!("gamma_{gamma}"), Operation::Gamma([exponent; 3])));
    }
    for factor in ["0.0", "0.5", "1.5", "2.0"] {
        cases.push((
            format!("sharp_{factor}"),
            Operation::Sharpness(factor.parse().unwrap()),
        ));
    }
    for (shift, saturation) in [(30, -40), (-50, 50), (7, 0)] {
        let hue = hue_steps(shift);
        cases.push((
            format!("huesat_{shift}_{saturation}"),
            Operation::HueSaturation { hue, saturation },
        ));
    }
    for threshold in [32, 100, 128] {
        cases.push((
            format!("solarize_{threshold}"),
            Operation::Solarize(threshold),
        ));
    }
    for bits in 1..=8 {
        cases.push((format!("posterize_{bits}"), Operation::Posterize(bits)));
    }
    for percent in [0, 7, 20] {
        cases.push((
            format!("autocontrast_{percent}"),
            Operation::Autocontrast(percent),
        ));
    }
    for degrees in [-45, 17, 45] {
        cases.push((
            format!("affine_{degrees}"),
            Operation::Rotation(f64::from(degrees)),
        ));
    }
    for space in Space::ALL {
        let name = match space {
            Space::YCrCb => "YCrCb",
            Space::Hsv => "HSV",
            Space::Hls => "HLS",
            Space::Lab => "Lab",
            Space::Luv => "Luv",
            Space::Yuv => "YUV",
        };
        for (change, brightness) in [
            ("mul1.2_only", Brightness::MultiplyThenAdd(1.2, 0)),
            ("mul0.8_add20", Brightness::MultiplyThenAdd(0.8, 20)),
        ] {
            cases.push((
                format!("brightness_{change}_{name}"),
                Operation::Brightness(space, brightness),
            ));
        }
    }
    cases
}

/// Operations that are not equal everywhere: a colour conversion of theirs rounds a few levels otherwise,
/// which a change of brightness then makes larger.
const NOT_EXACT: [&str; 4] = ["huesat", "_HSV", "_HLS", "_Lab"];

#[test]
fn every_operation_equals_the_authors_libraries() {
    let Some(mut file) = npz("augmenters.npz") else {
        return;
    };
    let input = file.u8("input");
    for (name, operation) in cases() {
        let mut picture = Rgb8 {
            width_px: 64,
            height_px: 64,
            samples: input.clone(),
        };
        operation.apply(&mut picture);
        let (any, beyond_one) = differences(&picture.samples, &file.u8(&name));
        if NOT_EXACT.iter().any(|part| name.contains(part)) {
            eprintln!("{name}: {any:.5} differ, {beyond_one:.5} by more than one level");
            assert!(
                any < 0.005 && beyond_one < 0.002,
                "{name}: {any} {beyond_one}"
            );
        } else {
            assert!(
                any == 0.0,
                "{name}: {any} differ, {beyond_one} by more than one level"
            );
        }
    }
}

/// PIL's `ImageEnhance.Sharpness` and `ImageOps.autocontrast` on a red channel of 4x4; green and blue hold
/// the same backwards and halved.
const RED: [u8; 16] = [
    10, 20, 30, 40, 50, 200, 70, 80, 90, 100, 30, 120, 130, 140, 150, 160,
];

fn small(operation: Operation) -> Vec<[u8; 3]> {
    let mut picture = Rgb8 {
        width_px: 4,
        height_px: 4,
        samples: RED
            .iter()
            .flat_map(|&red| [red, 255 - red, red / 2])
            .collect(),
    };
    operation.apply(&mut picture);
    let pixels = picture.samples.chunks_exact(3);
    pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

#[test]
fn a_small_picture_equals_pil() {
    let inner = |pixels: &[[u8; 3]]| [pixels[5], pixels[6], pixels[9], pixels[10]];
    assert_eq!(
        inner(&small(Operation::Sharpness(2.0))),
        [[255, 0, 146], [65, 190, 33], [95, 160, 48], [0, 255, 0]]
    );
    assert_eq!(
        inner(&small(Operation::Sharpness(0.3))),
        [[135, 119, 67], [73, 181, 36], [103, 151, 51], [72, 183, 36]]
    );
    let stretched = small(Operation::Autocontrast(10));
    let red: Vec<u8> = stretched.iter().map(|pixel| pixel[0]).collect();
    assert_eq!(
        red,
        [
            0, 0, 18, 36, 54, 255, 91, 109, 127, 145, 18, 182, 200, 218, 236, 255
        ]
    );
    assert_eq!(stretched[4][1], 200);
}

#[test]
fn tables_follow_their_definitions() {
    assert_eq!(small(Operation::Invert)[5], [55, 200, 155]);
    assert_eq!(small(Operation::Solarize(100))[5], [55, 55, 155]);
    assert_eq!(small(Operation::Posterize(1))[5], [128, 0, 0]);
    assert_eq!(small(Operation::Posterize(8))[5], [200, 55, 100]);
    assert_eq!(small(Operation::Gamma([1.0, 2.0, 0.5]))[5], [200, 11, 159]);
    assert_eq!(small(Operation::Nothing)[5], [200, 55, 100]);
}

#[test]
fn equalizing_spreads_a_ramp_of_few_levels_over_all() {
    let mut picture = Rgb8 {
        width_px: 64,
        height_px: 64,
        samples: (0..4096)
            .flat_map(|at| [100 + (at / 1024) as u8; 3])
            .collect(),
    };
    Operation::Equalize.apply(&mut picture);
    let first: Vec<u8> = (0..4)
        .map(|part| picture.samples[3 * 1024 * part])
        .collect();
    assert_eq!(first, [0, 64, 128, 192]);
}

#[test]
fn three_distinct_operations_in_every_order() {
    let mut orders = std::collections::BTreeSet::new();
    for sample in 0..4000 {
        let kinds = draw_kinds(&Kind::ALL, 3, &mut Draws::of_sample(5, sample));
        let numbers: Vec<usize> = kinds.iter().map(|&kind| kind as usize).collect();
        assert!(numbers[0] != numbers[1] && numbers[0] != numbers[2] && numbers[1] != numbers[2]);
        orders.insert(numbers);
    }
    // 10 * 9 * 8 orders; with 4000 draws one misses about three of them.
    assert!(orders.len() > 700, "{}", orders.len());
}
