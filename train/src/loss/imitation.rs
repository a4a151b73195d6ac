/// How far anomaly maps are from wanted ones: Kullback and Leibler's divergence of the two
/// probabilities, mean over pixels, 0 where both are equal.
///
/// `logits` is `N x 2 x H x W` with `area = H * W`, `wanted` `N x 1 x H x W` in [0, 1]. Writes the
/// gradient by the logits into `gradient`.
///
/// # Panics
/// If lengths do not fit.
pub fn imitation(logits: &[f32], wanted: &[f32], area: usize, gradient: &mut [f32]) -> f32 {
    assert_eq!(logits.len(), 2 * wanted.len());
    assert_eq!(logits.len(), gradient.len());
    let pixels = wanted.len() as f64;
    let mut sum = 0f64;
    let pictures = logits
        .chunks_exact(2 * area)
        .zip(gradient.chunks_exact_mut(2 * area))
        .zip(wanted.chunks_exact(area));
    for ((logits, gradient), wanted) in pictures {
        let (normal, anomaly) = logits.split_at(area);
        let (normal_gradient, anomaly_gradient) = gradient.split_at_mut(area);
        for pixel in 0..area {
            let logit = anomaly[pixel] - normal[pixel];
            let target = wanted[pixel];
            sum += divergence(f64::from(target), f64::from(logit));
            let by_logit = (1.0 / (1.0 + (-logit).exp()) - target) / pixels as f32;
            anomaly_gradient[pixel] = by_logit;
            normal_gradient[pixel] = -by_logit;
        }
    }
    (sum / pixels) as f32
}

/// `t ln(t / p) + (1 - t) ln((1 - t) / (1 - p))` with `p` the logit's probability.
fn divergence(target: f64, logit: f64) -> f64 {
    // -ln p = ln(1 + exp(-logit)), without overflow.
    let cost = |logit: f64| (-logit).max(0.0) + (-logit.abs()).exp().ln_1p();
    let information = |share: f64| match share > 0.0 {
        true => share * share.ln(),
        false => 0.0,
    };
    target * cost(logit)
        + (1.0 - target) * cost(-logit)
        + information(target)
        + information(1.0 - target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_nought_for_equal_maps_and_its_gradient_is_the_slope() {
        let logits = [0.3, -2.0, 1.5, 0.1, 4.0, -60.0];
        let own: Vec<f32> = (0..3)
            .map(|i| 1.0 / (1.0 + f32::exp(logits[i] - logits[3 + i])))
            .collect();
        let mut gradient = [9.0; 6];
        assert!(imitation(&logits, &own, 3, &mut gradient).abs() < 1e-6);
        assert!(gradient.iter().all(|g| g.abs() < 1e-6), "{gradient:?}");

        let wanted = [0.0, 1.0, 0.25];
        let at = |logits: &[f32]| f64::from(imitation(logits, &wanted, 3, &mut [0.0; 6]));
        imitation(&logits, &wanted, 3, &mut gradient);
        for index in 0..6 {
            let (mut up, mut down) = (logits, logits);
            up[index] += 1e-2;
            down[index] -= 1e-2;
            let slope = (at(&up) - at(&down)) / 2e-2;
            let given = f64::from(gradient[index]);
            assert!((slope - given).abs() < 1e-4, "{index}: {slope} {given}");
        }
        assert!(at(&logits).is_finite());
    }
}
