//! OpenCV's 8-bit YCrCb and YUV: fixed point with 14 bits.

const SHIFT: u32 = 14;
const MIDDLE: i32 = 128;

fn descale(value: i32) -> i32 {
    (value + (1 << (SHIFT - 1))) >> SHIFT
}

fn level(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

/// Weights of one of the two spaces, times `1 << 14`.
pub struct Weights {
    red_difference: i32,
    blue_difference: i32,
    red_back: i32,
    green_from_red: i32,
    green_from_blue: i32,
    blue_back: i32,
    /// Whether the red difference comes second (YCrCb) or third (YUV).
    red_second: bool,
}

pub const YCRCB: Weights = Weights {
    red_difference: 11682,
    blue_difference: 9241,
    red_back: 22987,
    green_from_red: -11698,
    green_from_blue: -5636,
    blue_back: 29049,
    red_second: true,
};

pub const YUV: Weights = Weights {
    red_difference: 14369,
    blue_difference: 8061,
    red_back: 18678,
    green_from_red: -9519,
    green_from_blue: -6472,
    blue_back: 33292,
    red_second: false,
};

impl Weights {
    /// From R, G, B.
    pub fn forward(&self, [r, g, b]: [u8; 3]) -> [u8; 3] {
        let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
        let luma = descale(4899 * r + 9617 * g + 1868 * b);
        let middle = MIDDLE << SHIFT;
        let red = level(descale((r - luma) * self.red_difference + middle));
        let blue = level(descale((b - luma) * self.blue_difference + middle));
        let luma = level(luma);
        if self.red_second {
            [luma, red, blue]
        } else {
            [luma, blue, red]
        }
    }

    /// To R, G, B.
    pub fn backward(&self, [luma, second, third]: [u8; 3]) -> [u8; 3] {
        let (red, blue) = if self.red_second {
            (second, third)
        } else {
            (third, second)
        };
        let (luma, red, blue) = (
            i32::from(luma),
            i32::from(red) - MIDDLE,
            i32::from(blue) - MIDDLE,
        );
        [
            level(luma + descale(red * self.red_back)),
            level(luma + descale(red * self.green_from_red + blue * self.green_from_blue)),
            level(luma + descale(blue * self.blue_back)),
        ]
    }
}
