/// Added to the true class's probability, and where the one-hot target is cut.
const SMOOTH: f32 = 1e-5;

/// Focal loss on softmax probabilities with gamma 2, alpha 1 and smoothing 1e-5, mean over pixels.
///
/// `logits` is `N x 2 x H x W` with `area = H * W`, `mask` `N x 1 x H x W` of 0 and 1. Writes the
/// gradient by the logits into `gradient`.
///
/// # Panics
/// If lengths do not fit.
pub fn focal(logits: &[f32], mask: &[f32], area: usize, gradient: &mut [f32]) -> f32 {
    assert_eq!(logits.len(), 2 * mask.len());
    assert_eq!(logits.len(), gradient.len());
    let pixels = mask.len() as f64;
    let mut sum = 0f64;
    let pictures = logits
        .chunks_exact(2 * area)
        .zip(gradient.chunks_exact_mut(2 * area))
        .zip(mask.chunks_exact(area));
    for ((logits, gradient), mask) in pictures {
        let (normal, anomaly) = logits.split_at(area);
        let (normal_gradient, anomaly_gradient) = gradient.split_at_mut(area);
        for pixel in 0..area {
            let probability = 1.0 / (1.0 + (normal[pixel] - anomaly[pixel]).exp());
            let rest = 1.0 / (1.0 + (anomaly[pixel] - normal[pixel]).exp());
            let target = mask[pixel].clamp(SMOOTH, 1.0 - SMOOTH);
            let other = (1.0 - mask[pixel]).clamp(SMOOTH, 1.0 - SMOOTH);
            let true_class = other * rest + target * probability + SMOOTH;
            let miss = 1.0 - true_class;
            let log = true_class.ln();
            sum -= f64::from(miss * miss * log);
            let by_true_class = 2.0 * miss * log - miss * miss / true_class;
            let by_anomaly = by_true_class * (target - other) * probability * rest / pixels as f32;
            anomaly_gradient[pixel] = by_anomaly;
            normal_gradient[pixel] = -by_anomaly;
        }
    }
    (sum / pixels) as f32
}
