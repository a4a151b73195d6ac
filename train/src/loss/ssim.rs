use blemish::engine::kernels::float::Level;
use blemish::multiversion;
use rayon::prelude::*;

/// Taps of the Gaussian window, and pixels it reaches to either side.
const WINDOW: usize = 11;
const REACH: usize = WINDOW / 2;
const SIGMA: f64 = 1.5;

fn gaussian() -> [f32; WINDOW] {
    let weight = |tap: usize| {
        let distance = tap as f64 - REACH as f64;
        (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
    };
    let sum: f64 = (0..WINDOW).map(weight).sum();
    std::array::from_fn(|tap| (weight(tap) / sum) as f32)
}

/// Range of the values as the authors guess it, per batch, from the reconstruction.
fn range(reconstruction: &[f32]) -> f32 {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &value in reconstruction {
        low = low.min(value);
        high = high.max(value);
    }
    let high = if high > 128.0 { 255.0 } else { 1.0 };
    let low = if low < -0.5 { -1.0 } else { 0.0 };
    high - low
}

/// Scratch for one plane; reused from call to call by each thread.
#[derive(Default)]
struct Scratch {
    maps: [Vec<f32>; 5],
    product: Vec<f32>,
    /// One line with zeros to both sides.
    line: Vec<f32>,
    across: Vec<f32>,
}

multiversion! {
    /// Gaussian mean of a `width x height` plane with zeros outside, into `output`.
    pub fn blur(
        plane: &[f32],
        width: usize,
        taps: &[f32; WINDOW],
        line: &mut Vec<f32>,
        across: &mut Vec<f32>,
        output: &mut Vec<f32>,
    ) {
        let height = plane.len() / width;
        line.clear();
        line.resize(width + 2 * REACH, 0.0);
        across.resize(plane.len(), 0.0);
        output.resize(plane.len(), 0.0);
        for y in 0..height {
            line[REACH..REACH + width].copy_from_slice(&plane[y * width..][..width]);
            let to = &mut across[y * width..][..width];
            to.fill(0.0);
            for (tap, &weight) in taps.iter().enumerate() {
                for (to, from) in to.iter_mut().zip(&line[tap..]) {
                    *to += weight * from;
                }
            }
        }
        for y in 0..height {
            let to = &mut output[y * width..][..width];
            to.fill(0.0);
            for (tap, &weight) in taps.iter().enumerate() {
                let from = y + tap;
                if from >= REACH && from - REACH < height {
                    let from = &across[(from - REACH) * width..][..width];
                    for (to, from) in to.iter_mut().zip(from) {
                        *to += weight * from;
                    }
                }
            }
        }
    }
}

/// Sum of the SSIM map of one plane; adds `scale` times its gradient by `seen` to `gradient`.
#[expect(clippy::too_many_arguments, reason = "what one plane needs of `ssim`")]
fn plane(
    level: Level,
    seen: &[f32],
    wanted: &[f32],
    width: usize,
    range: f32,
    scale: f32,
    gradient: &mut [f32],
    scratch: &mut Scratch,
) -> f64 {
    let taps = gaussian();
    let c1 = (0.01 * range) * (0.01 * range);
    let c2 = (0.03 * range) * (0.03 * range);
    let Scratch {
        maps,
        product,
        line,
        across,
    } = scratch;
    blur(level, seen, width, &taps, line, across, &mut maps[0]);
    blur(level, wanted, width, &taps, line, across, &mut maps[1]);
    for (map, (a, b)) in [
        (2, (seen, seen)),
        (3, (wanted, wanted)),
        (4, (seen, wanted)),
    ] {
        product.clear();
        product.extend(a.iter().zip(b).map(|(a, b)| a * b));
        blur(level, product, width, &taps, line, across, &mut maps[map]);
    }
    let mut sum = 0f64;
    #[expect(
        clippy::needless_range_loop,
        reason = "five maps are read and three of them written"
    )]
    for pixel in 0..seen.len() {
        let (mu1, mu2) = (maps[0][pixel], maps[1][pixel]);
        let variance1 = maps[2][pixel] - mu1 * mu1;
        let variance2 = maps[3][pixel] - mu2 * mu2;
        let covariance = maps[4][pixel] - mu1 * mu2;
        let a1 = 2.0 * mu1 * mu2 + c1;
        let a2 = 2.0 * covariance + c2;
        let b1 = mu1 * mu1 + mu2 * mu2 + c1;
        let b2 = variance1 + variance2 + c2;
        let ssim = a1 * a2 / (b1 * b2);
        sum += f64::from(ssim);
        // Derivatives by the three blurred maps that hold `seen`: its mean, square and product.
        maps[0][pixel] =
            2.0 * mu2 * (a2 - a1) / (b1 * b2) - 2.0 * mu1 * ssim * (1.0 / b1 - 1.0 / b2);
        maps[2][pixel] = -ssim / b2;
        maps[4][pixel] = 2.0 * a1 / (b1 * b2);
    }
    // The window is symmetric, so blurring is its own adjoint.
    for (map, factor) in [(0, None), (2, Some((2.0, seen))), (4, Some((1.0, wanted)))] {
        blur(level, &maps[map], width, &taps, line, across, product);
        match factor {
            None => gradient
                .iter_mut()
                .zip(product.iter())
                .for_each(|(to, from)| *to += scale * from),
            Some((times, by)) => gradient
                .iter_mut()
                .zip(product.iter().zip(by))
                .for_each(|(to, (from, by))| *to += scale * times * by * from),
        }
    }
    sum
}

/// `1 - mean(SSIM)` with an 11x11 Gaussian window, sigma 1.5, zero padding, per channel
/// (Wang et al. 2004, as in the authors' `loss.py`); adds its gradient by `reconstruction` to
/// `gradient`. `area` is `H * W`.
///
/// # Panics
/// If lengths do not fit.
pub fn ssim(
    level: Level,
    reconstruction: &[f32],
    clean: &[f32],
    width: usize,
    area: usize,
    gradient: &mut [f32],
) -> f32 {
    assert_eq!(reconstruction.len(), clean.len());
    assert_eq!(reconstruction.len(), gradient.len());
    let range = range(reconstruction);
    let scale = -1.0 / reconstruction.len() as f32;
    let sums: Vec<f64> = reconstruction
        .par_chunks_exact(area)
        .zip(clean.par_chunks_exact(area))
        .zip(gradient.par_chunks_exact_mut(area))
        .map_init(Scratch::default, |scratch, ((seen, wanted), gradient)| {
            plane(level, seen, wanted, width, range, scale, gradient, scratch)
        })
        .collect();
    // Summed in order, so that the number of threads changes nothing.
    (1.0 - sums.iter().sum::<f64>() / reconstruction.len() as f64) as f32
}
