//! The logistic function.

use crate::multiversion;

/// A float so great that adding it rounds to whole numbers, which then are the lowest bits of the sum.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has zeros enough that its products with small whole numbers are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

multiversion! {
    /// `1 / (1 + exp(-x))` of every number, within 1e-6; NaN stays NaN.
    pub fn sigmoid(from: &[f32], to: &mut [f32]) {
        for (to, &x) in to.iter_mut().zip(from) {
            // Beyond 87 the answer is 0 or 1 to the last bit of interest, and 2^n would leave f32.
            let y = if x > 87.0 { -87.0 } else if x < -87.0 { 87.0 } else { -x };
            let shifted = y * std::f32::consts::LOG2_E + ROUND;
            let n = shifted - ROUND;
            let r = (y - n * LN_2[0]) - n * LN_2[1];
            let series = 1.0 / 720.0 * r + 1.0 / 120.0;
            let series = series * r + 1.0 / 24.0;
            let series = series * r + 1.0 / 6.0;
            let series = series * r + 0.5;
            let exp = series * r * r + r + 1.0;
            let power = f32::from_bits(((shifted.to_bits() as i32 + 127) << 23) as u32);
            *to = 1.0 / (1.0 + exp * power);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::sigmoid;

    #[test]
    fn every_level_is_near_the_definition() {
        let values: Vec<f32> = (-2_000..=2_000).map(|step| step as f32 * 0.06).collect();
        let edges = [f32::MIN, f32::MAX, f32::NEG_INFINITY, f32::INFINITY, 0.0];
        let from: Vec<f32> = values.into_iter().chain(edges).collect();
        for level in Level::available() {
            let mut to = vec![9.0; from.len()];
            sigmoid(level, &from, &mut to);
            for (x, got) in from.iter().zip(&to) {
                let wanted = 1.0 / (1.0 + (-f64::from(*x)).exp());
                assert!(
                    (f64::from(*got) - wanted).abs() < 1e-6,
                    "{level:?} {x}: {got}"
                );
            }
            let mut to = [0.0];
            sigmoid(level, &[f32::NAN], &mut to);
            assert!(to[0].is_nan());
        }
    }
}
