use super::*;
use crate::camera::{LineFormat, Random};
use crate::picture::LineSamples;

const WIDTH: usize = 96;

/// Lines whose columns have these means, with noise of two samples.
fn measured(lines: u64, level: impl Fn(u64, usize) -> f64) -> Measurement {
    let mut measured = Measurement::new(LineFormat {
        width_px: WIDTH as u32,
        channels: 1,
        sixteen_bit: false,
        lines_per_block: 64,
    });
    let mut random = Random::stream(1, 1);
    let mut samples = [0u8; WIDTH];
    for line in 0..lines {
        for (column, sample) in samples.iter_mut().enumerate() {
            let noise = 2.0 * random.bell();
            *sample = (level(line, column) + f64::from(noise)).round() as u8;
        }
        measured.add(LineSamples::U8(&samples));
    }
    measured
}

fn dark() -> Dark {
    Dark::of(&measured(LEAST_LINES, |_, column| {
        8.0 + (column % 3) as f64
    }))
    .unwrap()
}

/// A lamp that is brightest in the middle.
fn lamp(column: usize) -> f64 {
    200.0 - ((column as f64 - 48.0) / 5.0).powi(2)
}

fn white(level: impl Fn(u64, usize) -> f64) -> Result<White, Refusal> {
    White::of(&measured(LEAST_LINES, level), &dark())
}

#[test]
fn an_uneven_lamp_is_made_even() {
    let dark = dark();
    assert!((dark.dsnu - 0.82).abs() < 0.1, "{}", dark.dsnu);
    assert!((dark.temporal_noise - 2.0).abs() < 0.1);
    let made = white(|_, column| lamp(column)).unwrap();
    for column in 0..WIDTH {
        let answer = lamp(column) - f64::from(dark.offset[column]);
        let corrected = answer * f64::from(made.gain[column]);
        assert!(
            (corrected - f64::from(made.level)).abs() < 1.0,
            "{column}: {corrected}"
        );
        assert!(made.gain[column] >= 1.0);
    }
    assert!(made.prnu > 0.05 && made.prnu < 0.3, "{}", made.prnu);
}

#[test]
fn refused_with_reason_and_columns() {
    let too_few = Dark::of(&measured(LEAST_LINES - 1, |_, _| 8.0)).unwrap_err();
    assert_eq!(too_few, Refusal::TooFew { lines: 2047 });
    let bright = Dark::of(&measured(
        LEAST_LINES,
        |_, column| if column == 7 { 60.0 } else { 8.0 },
    ));
    assert!(
        bright
            .unwrap_err()
            .to_string()
            .starts_with("columns 7 are too bright for dark")
    );

    let at = |columns: std::ops::Range<usize>, there: f64| {
        move |_: u64, column: usize| {
            if columns.contains(&column) {
                there
            } else {
                180.0
            }
        }
    };
    let refusals = [
        (white(at(20..24, 300.0)), "columns 20..=23 are saturated"),
        (
            white(at(0..96, 240.0)),
            "columns 0..=95 are too bright, above 90 %",
        ),
        (white(at(90..96, 30.0)), "columns 90..=95 are too dark"),
        (
            white(at(40..43, 150.0)),
            "columns 40..=42 differ from their neighbours",
        ),
        (
            white(at(95..96, 200.0)),
            "columns 95 differ from their neighbours",
        ),
        (
            // A mark on a reference that moves along.
            white(|line, column| {
                let mark = (line / 16) % 96;
                if (mark..mark + 8).contains(&(column as u64)) {
                    100.0
                } else {
                    180.0
                }
            }),
            "change while lines are taken",
        ),
        (
            white(|line, _| 150.0 + 20.0 * (line as f64 / 300.0).sin()),
            "the light changes by 1",
        ),
    ];
    for (refused, says) in refusals {
        let refused = refused.expect_err(says).to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn columns_are_told_as_runs_and_not_without_end() {
    let of = |columns: &[u32]| Columns(columns.to_vec()).to_string();
    assert_eq!(of(&[3, 4, 5, 9]), "3..=5, 9");
    assert_eq!(
        of(&[0, 2, 4, 6, 8, 10, 12, 13, 20]),
        "0, 2, 4, 6, 8, 10 and 3 more"
    );
}

#[test]
fn dark_of_other_lines_is_no_dark() {
    let mut dark = dark();
    dark.offset.pop();
    let refused = White::of(&measured(LEAST_LINES, |_, column| lamp(column)), &dark);
    assert!(matches!(refused, Err(Refusal::Unlike { .. })));
}
