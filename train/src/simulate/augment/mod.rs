//! The ten texture operations of the authors' loader (draem.md 1.5): imgaug 0.4.0 on 8-bit RGB, which
//! computes with OpenCV and PIL.

mod colour;
mod sharpen;
mod tables;

#[cfg(test)]
mod golden;

use super::Rgb8;
use super::draws::Draws;
use super::rotate::rotate_rgb8;
pub use colour::Space;
use serde::{Deserialize, Serialize};

/// Which operation; its parameters are drawn for each texture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Gamma,
    Brightness,
    Sharpness,
    HueSaturation,
    Solarize,
    Posterize,
    Invert,
    Autocontrast,
    Equalize,
    Rotation,
}

impl Kind {
    /// All ten, in the authors' order.
    pub const ALL: [Kind; 10] = [
        Kind::Gamma,
        Kind::Brightness,
        Kind::Sharpness,
        Kind::HueSaturation,
        Kind::Solarize,
        Kind::Posterize,
        Kind::Invert,
        Kind::Autocontrast,
        Kind::Equalize,
        Kind::Rotation,
    ];
}

/// What happens to the brightness channel, in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Brightness {
    MultiplyThenAdd(f32, i32),
    AddThenMultiply(i32, f32),
}

/// An operation with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Leaves the texture as it is: solarize comes with probability one half.
    Nothing,
    /// Exponent per channel.
    Gamma([f32; 3]),
    Brightness(Space, Brightness),
    /// 0 smooths, 1 changes nothing, 2 sharpens.
    Sharpness(f32),
    /// Steps of 2 degrees added to the hue, and levels added to the saturation.
    HueSaturation {
        hue: i32,
        saturation: i32,
    },
    /// Levels from here upwards are inverted.
    Solarize(u8),
    /// Bits kept.
    Posterize(u32),
    Invert,
    /// Per cent dropped at either end.
    Autocontrast(u64),
    Equalize,
    /// Degrees.
    Rotation(f64),
}

impl Operation {
    /// Parameters of `kind` as the authors draw them.
    pub fn draw(kind: Kind, draws: &mut Draws) -> Self {
        match kind {
            Kind::Gamma => Operation::Gamma([(); 3].map(|()| draws.between(0.5, 2.0) as f32)),
            Kind::Brightness => {
                let space = Space::ALL[draws.below(Space::ALL.len())];
                let factor = draws.between(0.8, 1.2) as f32;
                let term = draws.whole(-30, 30);
                let change = if draws.chance(0.5) {
                    Brightness::MultiplyThenAdd(factor, term)
                } else {
                    Brightness::AddThenMultiply(term, factor)
                };
                Operation::Brightness(space, change)
            }
            Kind::Sharpness => Operation::Sharpness(draws.between(0.0, 2.0) as f32),
            Kind::HueSaturation => {
                let shift = draws.whole(-50, 50);
                Operation::HueSaturation {
                    hue: hue_steps(shift),
                    saturation: draws.whole(-50, 50),
                }
            }
            Kind::Solarize => {
                let threshold = draws.between(32.0, 128.0) as u8;
                if draws.chance(0.5) {
                    Operation::Solarize(threshold)
                } else {
                    Operation::Nothing
                }
            }
            Kind::Posterize => Operation::Posterize(draws.whole(1, 8) as u32),
            Kind::Invert => Operation::Invert,
            Kind::Autocontrast => Operation::Autocontrast(draws.whole(0, 20) as u64),
            Kind::Equalize => Operation::Equalize,
            Kind::Rotation => Operation::Rotation(draws.between(-45.0, 45.0)),
        }
    }

    /// Changes `texture` in place.
    pub fn apply(self, texture: &mut Rgb8) {
        let samples = &mut texture.samples;
        match self {
            Operation::Nothing => {}
            Operation::Gamma(exponents) => tables::apply(samples, &tables::gamma(exponents)),
            Operation::Brightness(space, change) => brighten(samples, space, change),
            Operation::Sharpness(factor) => sharpen::sharpen(texture, factor),
            Operation::HueSaturation { hue, saturation } => {
                shift_hue_saturation(samples, hue, saturation);
            }
            Operation::Solarize(threshold) => tables::apply(samples, &tables::solarize(threshold)),
            Operation::Posterize(bits) => tables::apply(samples, &tables::posterize(bits)),
            Operation::Invert => tables::apply(samples, &tables::invert()),
            Operation::Autocontrast(percent) => {
                let tables = tables::autocontrast(samples, percent);
                tables::apply(samples, &tables);
            }
            Operation::Equalize => {
                let tables = tables::equalize(samples);
                tables::apply(samples, &tables);
            }
            Operation::Rotation(degrees) => *texture = rotate_rgb8(texture, degrees),
        }
    }
}

/// imgaug's hue shift of -255..=255 in OpenCV's steps of 2 degrees.
fn hue_steps(shift: i32) -> i32 {
    (shift as f32 / 255.0 * 180.0) as i32
}

/// `count` distinct kinds in drawn order.
pub fn draw_kinds(kinds: &[Kind], count: usize, draws: &mut Draws) -> Vec<Kind> {
    let mut left = kinds.to_vec();
    (0..count.min(kinds.len()))
        .map(|_| left.swap_remove(draws.below(left.len())))
        .collect()
}

fn brighten(samples: &mut [u8], space: Space, change: Brightness) {
    let multiply = |level: u8, factor: f32| (f32::from(level) * factor).clamp(0.0, 255.0) as u8;
    let add = |level: u8, term: i32| (i32::from(level) + term).clamp(0, 255) as u8;
    let table: [u8; 256] = std::array::from_fn(|level| match change {
        Brightness::MultiplyThenAdd(factor, term) => add(multiply(level as u8, factor), term),
        Brightness::AddThenMultiply(term, factor) => multiply(add(level as u8, term), factor),
    });
    let channel = space.brightness_channel();
    for pixel in samples.chunks_exact_mut(3) {
        let mut values = space.forward([pixel[0], pixel[1], pixel[2]]);
        values[channel] = table[usize::from(values[channel])];
        pixel.copy_from_slice(&space.backward(values));
    }
}

fn shift_hue_saturation(samples: &mut [u8], hue: i32, saturation: i32) {
    for pixel in samples.chunks_exact_mut(3) {
        let [h, s, v] = colour::rgb_to_hsv([pixel[0], pixel[1], pixel[2]]);
        let h = (i32::from(h) + hue).rem_euclid(180) as u8;
        let s = (i32::from(s) + saturation).clamp(0, 255) as u8;
        pixel.copy_from_slice(&colour::hsv_to_rgb([h, s, v]));
    }
}
