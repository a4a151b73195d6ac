//! OpenCV's 8-bit HSV and HLS: hue in steps of 2 degrees (0..180), the rest 0..255.

/// Which of the four values a channel takes in each sixth of the hue circle, for B, G, R.
const SECTORS: [[usize; 3]; 6] = [
    [1, 3, 0],
    [1, 0, 2],
    [3, 0, 1],
    [0, 2, 1],
    [0, 1, 3],
    [2, 1, 0],
];

fn round_level(value: f32) -> u8 {
    (value * 255.0).round_ties_even().clamp(0.0, 255.0) as u8
}

/// Sixth of the hue circle and position within it.
fn sector(hue: u8) -> (usize, f32) {
    let hue = f32::from(hue) * (6.0 / 180.0);
    let sector = hue.floor();
    (sector as usize % 6, hue - sector)
}

fn pick(sector: usize, values: [f32; 4], level: impl Fn(f32) -> u8) -> [u8; 3] {
    let [b, g, r] = SECTORS[sector].map(|at| level(values[at]));
    [r, g, b]
}

/// `full / divisor` as OpenCV's tables hold it: 12 bits of fraction, rounded.
fn reciprocal(full: f64, divisor: i32) -> i32 {
    if divisor == 0 {
        return 0;
    }
    (full * 4096.0 / f64::from(divisor)).round_ties_even() as i32
}

/// R, G, B to H, S, V.
pub fn rgb_to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let value = r.max(g).max(b);
    let span = value - r.min(g).min(b);
    let saturation = (span * reciprocal(255.0, value) + 2048) >> 12;
    let hue = if value == r {
        g - b
    } else if value == g {
        b - r + 2 * span
    } else {
        r - g + 4 * span
    };
    let hue = (hue * reciprocal(180.0 / 6.0, span) + 2048) >> 12;
    let hue = if hue < 0 { hue + 180 } else { hue };
    [hue.clamp(0, 255) as u8, saturation as u8, value as u8]
}

/// H, S, V to R, G, B; levels are truncated, as OpenCV's vector code does.
pub fn hsv_to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let (sector, h) = sector(hue);
    let s = f32::from(saturation) * (1.0 / 255.0);
    let v = f32::from(value) * (1.0 / 255.0);
    let values = [
        v,
        v * (1.0 - s),
        v * (1.0 - s * h),
        v * (1.0 - s * (1.0 - h)),
    ];
    pick(sector, values, |value| (value * 255.0) as u8)
}

/// R, G, B to H, L, S.
pub fn rgb_to_hls(rgb: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = rgb.map(|level| f32::from(level) * (1.0 / 255.0));
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let (span, sum) = (high - low, high + low);
    let lightness = sum * 0.5;
    let (mut hue, mut saturation) = (0.0, 0.0);
    if span > f32::EPSILON {
        saturation = if lightness < 0.5 {
            span / sum
        } else {
            span / (2.0 - high - low)
        };
        let scale = 60.0 / span;
        hue = if high == r {
            (g - b) * scale
        } else if high == g {
            (b - r) * scale + 120.0
        } else {
            (r - g) * scale + 240.0
        };
        if hue < 0.0 {
            hue += 360.0;
        }
    }
    let hue = (hue * 0.5).round_ties_even() as u8;
    [hue, round_level(lightness), round_level(saturation)]
}

/// H, L, S to R, G, B.
pub fn hls_to_rgb([hue, lightness, saturation]: [u8; 3]) -> [u8; 3] {
    let (sector, h) = sector(hue);
    let l = f32::from(lightness) * (1.0 / 255.0);
    let s = f32::from(saturation) * (1.0 / 255.0);
    let high = if l <= 0.5 {
        l * (1.0 + s)
    } else {
        l + s - l * s
    };
    let low = 2.0 * l - high;
    let values = [
        high,
        low,
        low + (high - low) * (1.0 - h),
        low + (high - low) * h,
    ];
    pick(sector, values, round_level)
}
