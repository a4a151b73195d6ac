//! The learning rate over a run.

/// Learning rate of the step after `done` of `steps`: `first`, x0.2 from 80 % on, x0.04 from 90 % on.
///
/// The authors count epochs, and their milestones never fire where 0.8 or 0.9 of the epochs is not a
/// whole number; counted in steps and compared by size they always do (draem.md 1.4).
pub fn learning_rate(first: f64, done: u64, steps: u64) -> f64 {
    let reached = |tenths: u128| u128::from(done) * 10 >= u128::from(steps) * tenths;
    match (reached(8), reached(9)) {
        (_, true) => first * 0.2 * 0.2,
        (true, false) => first * 0.2,
        (false, false) => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_at_eighty_and_ninety_per_cent() {
        let rates: Vec<f64> = (0..10).map(|done| learning_rate(1.0, done, 10)).collect();
        assert_eq!(&rates[..8], [1.0; 8]);
        assert_eq!(rates[8], 0.2);
        assert_eq!(rates[9], 0.2 * 0.2);
        // 0.8 of 7 steps is 5.6: the fall comes with the first step after it.
        assert_eq!(learning_rate(1.0, 5, 7), 1.0);
        assert_eq!(learning_rate(1.0, 6, 7), 0.2);
    }
}
