//! Whether lines make a calibration, and why not.

use super::Measurement;
use serde::{Deserialize, Serialize};

/// Fewer lines leave the temporal noise in the calibration.
pub const LEAST_LINES: u64 = 2048;

/// Dark columns give at most this share of full scale.
const MOST_DARK: f64 = 0.1;
/// White columns give, above dark, at least and at most these shares of full scale.
const LEAST_WHITE: f64 = 0.15;
const MOST_WHITE: f64 = 0.9;
/// Of a column's samples, so many may be at full scale.
const MOST_FULL: f64 = 0.001;
/// More than this amplifies noise, not product.
const MOST_GAIN: f64 = 4.0;
/// Columns to both sides that a column is compared with.
const NEIGHBOURS: usize = 8;
/// Share by which a column may differ from the median of its neighbours.
const MOST_UNLIKE: f64 = 0.05;
/// The lines' means may deviate by this share of their mean, or of full scale in the dark.
const MOST_FLICKER: f64 = 0.02;
/// What changes slowly in a column may be so many times its temporal noise, and this share of its mean.
const MOST_SLOW_TO_NOISE: f64 = 2.0;
const MOST_SLOW: f64 = 0.01;
/// Temporal noise of more than this share of white is structure that moves.
const MOST_NOISE: f64 = 0.15;

/// Columns, in px.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns(Vec<u32>);

impl Columns {
    fn of(wrong: impl Iterator<Item = bool>, channels: usize) -> Self {
        let wrong = wrong.enumerate().filter(|(_, wrong)| *wrong);
        let mut columns: Vec<u32> = wrong.map(|(place, _)| (place / channels) as u32).collect();
        columns.dedup();
        Self(columns)
    }

    fn refuse(self, why: impl FnOnce(Self) -> Refusal) -> Result<(), Refusal> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(why(self))
        }
    }
}

impl std::fmt::Display for Columns {
    /// `3, 10..=14 and 7 more`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 6;
        let runs: Vec<&[u32]> = self.0.chunk_by(|a, b| a + 1 == *b).collect();
        for (place, run) in runs.iter().take(SHOWN).enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            match run {
                [only] => write!(f, "{comma}{only}")?,
                [first, .., last] => write!(f, "{comma}{first}..={last}")?,
                [] => {}
            }
        }
        match runs.iter().skip(SHOWN).map(|run| run.len()).sum::<usize>() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What is wrong with the lines, in which columns, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{lines} good lines are too few, {LEAST_LINES} are needed; let the camera run on")]
    TooFew { lines: u64 },
    #[error(
        "columns {0} are too bright for dark, above 10 % of full scale; cover the lens, or lower BlackLevel"
    )]
    DarkTooBright(Columns),
    #[error(
        "columns {0} are saturated; shorten ExposureTime or lower Gain until white is at about 80 % of full scale"
    )]
    Saturated(Columns),
    #[error(
        "columns {0} are too bright, above 90 % of full scale; shorten ExposureTime or lower Gain"
    )]
    TooBright(Columns),
    #[error(
        "columns {0} are too dark, below 15 % of full scale or a quarter of the brightest; light them, let the white reference cover the whole line, or lengthen ExposureTime"
    )]
    TooDark(Columns),
    #[error(
        "columns {0} differ from their neighbours by more than 5 %; clean lens, lamp and white reference, and put the reference out of focus"
    )]
    Dirty(Columns),
    #[error(
        "columns {0} change while lines are taken; stop what moves, the reference must be even along the web"
    )]
    Moving(Columns),
    #[error(
        "the light changes by {percent} % from line to line; let the lamp warm up, and feed it with direct current"
    )]
    Flicker { percent: u32 },
    #[error("the lines are {now}, but dark was made of {dark}; run `blemish calibrate dark` again")]
    Unlike { now: String, dark: String },
}

/// The camera without light.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dark {
    pub lines: u64,
    /// Of every column, channels interleaved, in samples.
    pub offset: Vec<f32>,
    /// Deviation of the offsets over the columns, in samples.
    pub dsnu: f32,
    /// Mean over the columns, in samples.
    pub temporal_noise: f32,
}

impl Dark {
    /// # Errors
    /// What is wrong with the lines.
    pub fn of(measured: &Measurement) -> Result<Self, Refusal> {
        enough(measured)?;
        let (full, channels) = (measured.full_scale(), measured.format().channels as usize);
        let means = measured.means();
        Columns::of(means.iter().map(|mean| *mean > MOST_DARK * full), channels)
            .refuse(Refusal::DarkTooBright)?;
        flicker(measured, full)?;
        let slow = slow(measured, |_| MOST_SLOW * full);
        Columns::of(slow, channels).refuse(Refusal::Moving)?;
        Ok(Self {
            lines: measured.lines(),
            dsnu: deviation(&means) as f32,
            temporal_noise: mean(&measured.noises()) as f32,
            offset: means.iter().map(|&mean| mean as f32).collect(),
        })
    }
}

/// The camera under an even white.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct White {
    pub lines: u64,
    /// Of every column, channels interleaved.
    pub gain: Vec<f32>,
    /// What white is after correction, in samples.
    pub level: f32,
    /// Deviation of the columns' answer, as a share of its mean: sensor, lens and lamp.
    pub prnu: f32,
    /// Mean over the columns, in samples.
    pub temporal_noise: f32,
}

impl White {
    /// # Errors
    /// What is wrong with the lines.
    pub fn of(measured: &Measurement, dark: &Dark) -> Result<Self, Refusal> {
        enough(measured)?;
        let (full, channels) = (measured.full_scale(), measured.format().channels as usize);
        let means = measured.means();
        if means.len() != dark.offset.len() {
            return Err(Refusal::Unlike {
                now: format!("{} samples long", means.len()),
                dark: format!("lines of {}", dark.offset.len()),
            });
        }
        let full_shares = measured.full_shares();
        Columns::of(full_shares.iter().map(|share| *share > MOST_FULL), channels)
            .refuse(Refusal::Saturated)?;
        Columns::of(means.iter().map(|mean| *mean > MOST_WHITE * full), channels)
            .refuse(Refusal::TooBright)?;
        let answers: Vec<f64> = means
            .iter()
            .zip(&dark.offset)
            .map(|(mean, offset)| mean - f64::from(*offset))
            .collect();
        let brightest = answers.iter().copied().fold(0.0, f64::max);
        let least = (LEAST_WHITE * full).max(brightest / MOST_GAIN);
        Columns::of(answers.iter().map(|answer| *answer < least), channels)
            .refuse(Refusal::TooDark)?;
        flicker(measured, mean(&answers))?;
        let noises = measured.noises();
        let noisy = noises.iter().zip(&answers);
        let noisy = noisy.map(|(noise, answer)| *noise > MOST_NOISE * answer);
        let slow = slow(measured, |place| MOST_SLOW * answers[place]);
        Columns::of(noisy.zip(slow).map(|(noisy, slow)| noisy || slow), channels)
            .refuse(Refusal::Moving)?;
        Columns::of(unlike_neighbours(&answers, channels).into_iter(), channels)
            .refuse(Refusal::Dirty)?;
        Ok(Self {
            lines: measured.lines(),
            gain: answers
                .iter()
                .map(|answer| (brightest / answer) as f32)
                .collect(),
            level: brightest as f32,
            prnu: (deviation(&answers) / mean(&answers)) as f32,
            temporal_noise: mean(&noises) as f32,
        })
    }
}

fn enough(measured: &Measurement) -> Result<(), Refusal> {
    match measured.lines() {
        LEAST_LINES.. => Ok(()),
        lines => Err(Refusal::TooFew { lines }),
    }
}

fn flicker(measured: &Measurement, of: f64) -> Result<(), Refusal> {
    let share = measured.line_deviation() / of.max(1e-9);
    if share > MOST_FLICKER {
        let percent = (100.0 * share).round() as u32;
        return Err(Refusal::Flicker { percent });
    }
    Ok(())
}

/// Columns whose slow changes stand out of their noise by more than `most` samples.
fn slow(measured: &Measurement, most: impl Fn(usize) -> f64) -> impl Iterator<Item = bool> {
    let columns = measured.deviations().into_iter().zip(measured.noises());
    let wrong: Vec<bool> = columns
        .enumerate()
        .map(|(place, (all, noise))| {
            let slow = (all * all - noise * noise).max(0.0).sqrt();
            slow > MOST_SLOW_TO_NOISE * noise && slow > most(place)
        })
        .collect();
    wrong.into_iter()
}

/// Columns that differ from the median of their neighbours in the same channel.
fn unlike_neighbours(answers: &[f64], channels: usize) -> Vec<bool> {
    let columns = answers.len() / channels;
    let mut around = Vec::with_capacity(2 * NEIGHBOURS + 1);
    (0..answers.len())
        .map(|place| {
            let (column, channel) = (place / channels, place % channels);
            // At the borders of the line the window is moved inwards, so that it never gets small.
            let first = column
                .saturating_sub(NEIGHBOURS)
                .min(columns.saturating_sub(2 * NEIGHBOURS + 1));
            let end = (first + 2 * NEIGHBOURS + 1).min(columns);
            around.clear();
            around.extend((first..end).map(|column| answers[column * channels + channel]));
            // Light that falls across the window is no dirt.
            let line = slope(&around);
            for (place, answer) in around.iter_mut().enumerate() {
                *answer -= line * place as f64;
            }
            let own = around[column - first];
            let middle = around.len() / 2;
            let (_, median, _) = around.select_nth_unstable_by(middle, f64::total_cmp);
            (own - *median).abs() > MOST_UNLIKE * median.abs()
        })
        .collect()
}

/// Change from column to column, by the medians of the window's two halves.
fn slope(window: &[f64]) -> f64 {
    let half = window.len() / 2;
    if half == 0 {
        return 0.0;
    }
    let median = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_by(f64::total_cmp);
        part[part.len() / 2]
    };
    let way = (window.len() - half) as f64;
    (median(&window[window.len() - half..]) - median(&window[..half])) / way
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / values.len().max(1) as f64).sqrt()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
