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

/// Operations that are not equal everywhere: OpenCV's vector code rounds a few levels otherwise.
const NOT_EXACT: [&str; 3] = ["huesat", "_HSV", "_HLS"];

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
                any < 0.01 && beyond_one < 0.001,
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
