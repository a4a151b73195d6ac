//! OpenCV's 8-bit L*u*v*: L is 255/100 of CIE's, u from -134 to 220 and v from -140 to 122 over 255
//! levels. The way there is interpolated in a grid of 33 points a side.

use super::cie::{self, ONE, TO_XYZ, WHITE};
use std::sync::LazyLock;

const SIDE: usize = 33;
const U_LOW: f32 = -134.0;
const U_SPAN: f32 = 354.0;
const V_LOW: f32 = -140.0;
const V_SPAN: f32 = 262.0;

struct Tables {
    /// L, u and v, full scale 1 << 14, at each point, R slowest.
    grid: Vec<[i32; 3]>,
    from_xyz: [[i32; 3]; 3],
    /// u' and v' of white, times 13.
    white_u: f32,
    white_v: f32,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let share = 1.0 / (WHITE[0] + 15.0 * WHITE[1] + 3.0 * WHITE[2]) as f32;
    let white_u = share * 52.0 * WHITE[0] as f32;
    let white_v = share * 117.0 * WHITE[1] as f32;
    let round = |value: f32| value.round_ties_even() as i32;
    let point = |index: usize| {
        let place = [index / (SIDE * SIDE), index / SIDE % SIDE, index % SIDE];
        let [r, g, b] = place.map(|at| cie::linear(at as f32 / (SIDE - 1) as f32));
        let [x, y, z] = TO_XYZ.map(|row| b * row[2] as f32 + g * row[1] as f32 + r * row[0] as f32);
        let l = cie::root(y) * 116.0 - 16.0;
        let d = 52.0 / (x + 15.0 * y + 3.0 * z).max(f32::EPSILON);
        let u = l * (x * d - white_u);
        let v = l * (2.25 * y * d - white_v);
        let one = ONE as f32;
        [
            round(one * l / 100.0),
            round(one * (u - U_LOW) / U_SPAN),
            round(one * (v - V_LOW) / V_SPAN),
        ]
    };
    Tables {
        grid: (0..SIDE * SIDE * SIDE).map(point).collect(),
        from_xyz: cie::from_xyz_weights([1.0; 3]),
        white_u,
        white_v,
    }
});

/// From R, G, B.
pub fn forward(rgb: [u8; 3]) -> [u8; 3] {
    let grid = &TABLES.grid;
    let [r, g, b] = rgb.map(|level| (usize::from(level) >> 3, (i32::from(level) * 2) & 15));
    let mut sums = [0; 3];
    for corner in 0..8 {
        let mut weight = 1;
        let mut index = 0;
        for (axis, (at, share)) in [r, g, b].into_iter().enumerate() {
            let far = (corner >> (2 - axis)) & 1;
            weight *= if far == 1 { share } else { 16 - share };
            index = index * SIDE + at + far;
        }
        for (sum, value) in sums.iter_mut().zip(grid[index]) {
            *sum += weight * value;
        }
    }
    sums.map(|sum| (((sum + 2048) >> 12) >> 6).clamp(0, 255) as u8)
}

/// To R, G, B.
pub fn backward([l, u, v]: [u8; 3]) -> [u8; 3] {
    let tables = &*TABLES;
    let (y, _) = cie::lightness(l);
    let lightness = (i32::from(l) * 100) as f32 / 255.0;
    let u = f32::from(u) * U_SPAN / 255.0 + U_LOW;
    let v = f32::from(v) * V_SPAN / 255.0 + V_LOW;
    let up = 9.0 * (u + lightness * tables.white_u) * 16.0;
    let vp = (0.25 / (v + lightness * tables.white_v)).clamp(-0.25, 0.25) * (ONE * 1024) as f32;
    let up = i64::from(up.round_ties_even() as i32);
    let vp = i64::from(vp.round_ties_even() as i32);
    let product = up * vp;
    let two = 2 * i64::from(ONE);
    let x = ((i64::from(y) * (product >> 14)) >> 14).clamp(0, two) as i32;
    let offset = i64::from(12 * 13 * 100 * (ONE / 1024)) * vp * i64::from(l);
    let slope = ((offset - product * 85) >> 14) - i64::from(5 * 255 * ONE);
    let z = ((i64::from(y) * slope) >> 14) as i32;
    let z = (z >> 8) + (z >> 16);
    cie::encode([x, y, z.clamp(0, 2 * ONE)], &tables.from_xyz)
}
