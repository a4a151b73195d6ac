//! OpenCV's 8-bit L*a*b*: L is 255/100 of CIE's, a and b are moved by 128.

use super::cie::{self, ONE, TO_XYZ, WHITE};
use std::sync::LazyLock;

/// Steps of linear light per sRGB level at the top.
const FINE: i32 = 8;

struct Tables {
    /// sRGB level to linear light, 255 * FINE at the top.
    linear: Vec<i32>,
    /// Root of linear light, 1 is 1 << 15.
    roots: Vec<i32>,
    to_xyz: [[i32; 3]; 3],
    from_xyz: [[i32; 3]; 3],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let full = (255 * FINE) as f32;
    let round = |value: f32| value.round_ties_even() as i32;
    let weights = |row: usize| {
        std::array::from_fn(|column| {
            (4096.0 * TO_XYZ[row][column] / WHITE[row]).round_ties_even() as i32
        })
    };
    Tables {
        linear: (0..256)
            .map(|level| round(full * cie::linear(level as f32 / 255.0)))
            .collect(),
        roots: (0..256 * 3 / 2 * FINE)
            .map(|step| round(32768.0 * cie::root(step as f32 / full)))
            .collect(),
        to_xyz: [weights(0), weights(1), weights(2)],
        from_xyz: cie::from_xyz_weights(WHITE),
    }
});

/// From R, G, B.
pub fn forward(rgb: [u8; 3]) -> [u8; 3] {
    let tables = &*TABLES;
    let light = rgb.map(|level| tables.linear[usize::from(level)]);
    let [x, y, z] = tables.to_xyz.map(|row| {
        let sum = row.iter().zip(light).map(|(weight, value)| weight * value);
        tables.roots[((sum.sum::<i32>() + 2048) >> 12) as usize]
    });
    let middle = 128 << 15;
    let level = |value: i32| ((value + (1 << 14)) >> 15).clamp(0, 255) as u8;
    [
        level(296 * y - (16 * 255 * 32768 + 50) / 100),
        level(500 * (x - y) + middle),
        level(200 * (y - z) + middle),
    ]
}

/// To R, G, B.
pub fn backward([l, a, b]: [u8; 3]) -> [u8; 3] {
    let (y, root) = cie::lightness(l);
    let a_share = ((5 * i32::from(a) * 53687 + 128) >> 13) - 128 * ONE / 500;
    let b_share = ((i32::from(b) * 41943 + 16) >> 9) - 128 * ONE / 200 + 1;
    let (x, z) = (cube(root + a_share), cube(root - b_share));
    cie::encode([x, y, z], &TABLES.from_xyz)
}

/// Inverse of the root, 1 is [`ONE`].
fn cube(root: i32) -> i32 {
    if root <= 3390 {
        root * 108 / 841 - ONE * 16 / 116 * 108 / 841
    } else {
        root * root / ONE * root / ONE
    }
}
