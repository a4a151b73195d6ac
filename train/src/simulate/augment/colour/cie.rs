//! What OpenCV's 8-bit L*a*b* and L*u*v* share: whole numbers throughout, so that they are the same on
//! every machine. 1 is `ONE`; sRGB primaries, white point D65.

use std::sync::LazyLock;

/// 1.0 in 14 bits.
pub const ONE: i32 = 1 << 14;

/// X and Z of white; Y is 1.
pub const WHITE: [f64; 3] = [0.950456, 1.0, 1.088754];

/// Linear R, G, B to X, Y, Z.
pub const TO_XYZ: [[f64; 3]; 3] = [
    [0.412453, 0.357580, 0.180423],
    [0.212671, 0.715160, 0.072169],
    [0.019334, 0.119193, 0.950227],
];

const FROM_XYZ: [[f64; 3]; 3] = [
    [3.240479, -1.53715, -0.498535],
    [-0.969256, 1.875991, 0.041556],
    [0.055648, -0.204043, 1.057311],
];

/// `((6 / 29) cubed`, below which the cube root is replaced by a line.
const LINEAR_BELOW: f32 = 216.0 / 24389.0;

/// Linear light of an sRGB value, both in [0, 1].
pub fn linear(value: f32) -> f32 {
    let value = f64::from(value);
    if value <= 0.04045 {
        (value / 12.92) as f32
    } else {
        ((value + 0.055) / 1.055).powf(2.4) as f32
    }
}

/// CIE's cube root with its straight beginning.
pub fn root(value: f32) -> f32 {
    if value < LINEAR_BELOW {
        (f64::from(value) * f64::from(841.0f32 / 108.0) + f64::from(16.0f32 / 116.0)) as f32
    } else {
        f64::from(value).cbrt() as f32
    }
}

/// 4096 steps of linear light to sRGB levels.
static LEVELS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let level = |step: i32| {
        let value = f64::from(step) / 4096.0;
        let encoded = if value <= 0.0031308 {
            value * 12.92
        } else {
            value.powf(1.0 / 2.4) * 1.055 - 0.055
        };
        (encoded as f32 * 255.0).round_ties_even() as u8
    };
    (0..4096).map(level).collect()
});

/// Y and its root for each of 256 levels of L.
static LIGHTNESS: LazyLock<Vec<(i32, i32)>> = LazyLock::new(|| {
    let one = ONE as f32;
    let round = |value: f32| value.round_ties_even() as i32;
    let entry = |level: i32| {
        // L = 8 is level 20.4.
        if level <= 20 {
            let y = (level * ONE * 20 * 9) as f32 / (17 * 29 * 29 * 29) as f32;
            let root = one * (16.0 / 116.0 + (level * 5) as f32 / (3 * 17 * 29) as f32);
            (round(y), round(root))
        } else {
            let root = (level * 100 * ONE) as f32 / (255 * 116) as f32 + (16 * ONE) as f32 / 116.0;
            (round(root * root * root / (one * one)), round(root))
        }
    };
    (0..256).map(entry).collect()
});

/// Y (1 is [`ONE`]) and its root for a level of L.
pub fn lightness(level: u8) -> (i32, i32) {
    LIGHTNESS[usize::from(level)]
}

/// Weights of X, Y and Z for R, G and B in 12 bits, each column times `scale`.
pub fn from_xyz_weights(scale: [f64; 3]) -> [[i32; 3]; 3] {
    FROM_XYZ
        .map(|row| std::array::from_fn(|i| (4096.0 * row[i] * scale[i]).round_ties_even() as i32))
}

/// X, Y, Z (1 is [`ONE`]) to R, G, B.
pub fn encode(xyz: [i32; 3], weights: &[[i32; 3]; 3]) -> [u8; 3] {
    weights.map(|row| {
        let sum = row.iter().zip(xyz).map(|(weight, value)| weight * value);
        let step = (sum.sum::<i32>() + (1 << 13)) >> 14;
        LEVELS[step.clamp(0, 4095) as usize]
    })
}
