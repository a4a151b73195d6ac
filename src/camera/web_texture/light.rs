//! Lamp, lens and sensor: from radiance to grey levels.

use super::super::random::Random;
use super::drift::Drift;

const NOISE_VALUES: usize = 4096;

/// Uneven light, a lens that blurs a little, and a sensor with unequal columns and noise.
#[derive(Debug)]
pub(super) struct Light {
    /// Grey levels per radiance and column: lamp, vignetting and the columns' own gain.
    gain: Vec<f32>,
    lamp: Drift,
    noise: Vec<f32>,
    random: Random,
}

impl Light {
    /// `camera_seed` fixes what belongs to the camera, `seed` what changes from run to run.
    pub fn new(camera_seed: u64, seed: u64, width_px: usize) -> Self {
        let mut camera = Random::stream(camera_seed, 20);
        let tilt = camera.between(-0.08, 0.08);
        let gain = (0..width_px).map(|column| {
            let place = 2.0 * column as f32 / width_px as f32 - 1.0;
            let vignette = 1.0 - 0.26 * place * place + tilt * place;
            FULL_GAIN * vignette * (1.0 + 0.012 * camera.bell())
        });
        let gain = gain.collect();
        let noise = (0..NOISE_VALUES).map(|_| camera.bell()).collect();
        Self {
            gain,
            lamp: Drift::scalar(Random::stream(seed, 21), 700.0, 0.025),
            noise,
            random: Random::stream(seed, 22),
        }
    }

    /// Exposes one line.
    pub fn expose(&mut self, radiance: &[f32], grey: &mut [u8]) {
        let lamp = 1.0 + self.lamp.next_value();
        let last = radiance.len() - 1;
        let mut draw = 0u64;
        for column in 0..radiance.len() {
            let blurred = 0.20 * radiance[column.saturating_sub(1)]
                + 0.60 * radiance[column]
                + 0.20 * radiance[(column + 1).min(last)];
            if column & 3 == 0 {
                draw = self.random.next_u64();
            }
            let noise = self.noise[(draw & (NOISE_VALUES as u64 - 1)) as usize];
            draw >>= 16;
            let level = blurred * self.gain[column] * lamp;
            // Read noise and shot noise, the root replaced by a line between 0 and 200.
            grey[column] = (level + noise * (1.0 + 0.012 * level) + 0.5) as u8;
        }
    }
}

/// Grey level of radiance 1 in the middle of the field.
const FULL_GAIN: f32 = 205.0;
