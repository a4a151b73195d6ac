//! Adam over all learnable values at once. They lie end to end in one tensor, so that an update is a
//! dozen kernels and not a dozen for each array: small networks wait for a GPU's launches, not for its
//! arithmetic.

use burn::tensor::Tensor;

/// Adam's constants (Kingma and Ba 2015, PyTorch's defaults).
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Values with their moments, all of one length.
pub struct Adam {
    pub value: Tensor<1>,
    pub first_moment: Tensor<1>,
    pub second_moment: Tensor<1>,
    pub steps: u64,
}

impl Adam {
    /// One update.
    pub fn step(&mut self, gradient: Tensor<1>, learning_rate: f64) {
        self.steps += 1;
        let exponent = self.steps.min(i32::MAX as u64) as i32;
        let rate = learning_rate / (1.0 - BETA1.powi(exponent));
        let root = (1.0 - BETA2.powi(exponent)).sqrt();
        self.first_moment
            .inplace(|moment| moment * BETA1 + gradient.clone() * (1.0 - BETA1));
        self.second_moment
            .inplace(|moment| moment * BETA2 + gradient.clone() * gradient * (1.0 - BETA2));
        let deviation = self.second_moment.clone().sqrt() / root + EPSILON;
        let change = self.first_moment.clone() * rate / deviation;
        self.value.inplace(|value| value - change);
    }
}

#[cfg(test)]
mod tests {
    use super::super::devices::for_tests;
    use super::*;

    /// Two steps against the formulas of Kingma and Ba in f64.
    #[test]
    fn adam_moves_as_published() {
        let Some(device) = for_tests() else { return };
        let tensor = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device);
        let mut adam = Adam {
            value: tensor([1.0, -2.0, 0.5]),
            first_moment: tensor([0.0; 3]),
            second_moment: tensor([0.0; 3]),
            steps: 0,
        };
        let mut wanted = [(1.0f64, 0.0f64, 0.0f64), (-2.0, 0.0, 0.0), (0.5, 0.0, 0.0)];
        for (step, gradient) in [(1, [0.3f32, -1e-4, 0.0]), (2, [-0.1, 2e-4, 1e-6])] {
            adam.step(tensor(gradient), 0.01);
            let bias = |beta: f64| 1.0 - beta.powi(step);
            for ((value, first, second), gradient) in wanted.iter_mut().zip(gradient) {
                let gradient = f64::from(gradient);
                *first = 0.9 * *first + 0.1 * gradient;
                *second = 0.999 * *second + 0.001 * gradient * gradient;
                *value -= 0.01 * (*first / bias(0.9)) / ((*second / bias(0.999)).sqrt() + 1e-8);
            }
        }
        let got = adam.value.try_into_vec_as::<f32>().unwrap();
        for (got, (wanted, ..)) in got.iter().zip(wanted) {
            assert!((f64::from(*got) - wanted).abs() < 1e-6, "{got} {wanted}");
        }
    }
}
