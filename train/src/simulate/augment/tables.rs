//! Texture operations that map every level of a channel through a table of 256.

/// One table per channel.
pub type Tables = [[u8; 256]; 3];

/// Maps interleaved RGB samples through `tables`.
pub fn apply(samples: &mut [u8], tables: &Tables) {
    for pixel in samples.chunks_exact_mut(3) {
        for (value, table) in pixel.iter_mut().zip(tables) {
            *value = table[usize::from(*value)];
        }
    }
}

fn table(level: impl Fn(usize) -> u8) -> [u8; 256] {
    std::array::from_fn(level)
}

/// `255 (v / 255)^gamma`, truncated, with imgaug's f32 steps.
pub fn gamma(exponents: [f32; 3]) -> Tables {
    exponents.map(|exponent| {
        table(|level| ((level as f32 / 255.0).powf(exponent) * 255.0).clamp(0.0, 255.0) as u8)
    })
}

/// Levels from `threshold` upwards inverted.
pub fn solarize(threshold: u8) -> Tables {
    [table(|level| {
        if level < usize::from(threshold) {
            level as u8
        } else {
            255 - level as u8
        }
    }); 3]
}

/// The lowest `8 - bits` bits set to 0; `bits` from 1 to 8.
pub fn posterize(bits: u32) -> Tables {
    let kept = 0xffu32 << (8 - bits.clamp(1, 8));
    [table(|level| (level as u32 & kept) as u8); 3]
}

/// All levels inverted.
pub fn invert() -> Tables {
    [table(|level| 255 - level as u8); 3]
}

fn histograms(samples: &[u8]) -> [[u64; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in samples.chunks_exact(3) {
        for (value, count) in pixel.iter().zip(&mut counts) {
            count[usize::from(*value)] += 1;
        }
    }
    counts
}

/// PIL's `ImageOps.autocontrast`: `cutoff_percent` of the pixels dropped at either end of each
/// channel's histogram, the rest stretched to 0..255.
pub fn autocontrast(samples: &[u8], cutoff_percent: u64) -> Tables {
    histograms(samples).map(|mut counts| {
        let cut = counts.iter().sum::<u64>() * cutoff_percent / 100;
        drop_pixels(counts.iter_mut(), cut);
        drop_pixels(counts.iter_mut().rev(), cut);
        let low = counts.iter().position(|&count| count > 0).unwrap_or(255);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        if high <= low {
            return table(|level| level as u8);
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        table(|level| (level as f64 * scale + offset).clamp(0.0, 255.0) as u8)
    })
}

fn drop_pixels<'a>(counts: impl Iterator<Item = &'a mut u64>, mut cut: u64) {
    for count in counts {
        let dropped = cut.min(*count);
        *count -= dropped;
        cut -= dropped;
        if cut == 0 {
            break;
        }
    }
}

/// imgaug's `equalize` for pictures above 64x64 samples, each channel on its own: PIL's
/// `ImageOps.equalize`, except that level 255 and not the highest level present is left out of the step.
pub fn equalize(samples: &[u8]) -> Tables {
    histograms(samples).map(|counts| {
        let step = counts[..255].iter().sum::<u64>() / 255;
        let levels_present = counts.iter().filter(|&&count| count > 0).count();
        if step == 0 || levels_present <= 1 {
            return table(|level| level as u8);
        }
        let mut sum = step / 2;
        let mut levels = [0; 256];
        for (level, count) in levels.iter_mut().zip(counts) {
            *level = (sum / step).min(255) as u8;
            sum += count;
        }
        levels
    })
}
