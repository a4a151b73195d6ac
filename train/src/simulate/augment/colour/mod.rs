//! The colour spaces of the brightness and hue operations, in OpenCV's 8-bit arithmetic.

mod hue;
mod ycc;

pub use hue::{hsv_to_rgb, rgb_to_hsv};

/// A colour space with a channel for brightness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    YCrCb,
    Hsv,
    Hls,
    Yuv,
}

impl Space {
    /// All of them, in imgaug's order.
    pub const ALL: [Space; 4] = [Space::YCrCb, Space::Hsv, Space::Hls, Space::Yuv];

    /// Position of the brightness channel.
    pub fn brightness_channel(self) -> usize {
        match self {
            Space::Hsv => 2,
            Space::Hls => 1,
            Space::YCrCb | Space::Yuv => 0,
        }
    }

    /// From R, G, B.
    pub fn forward(self, rgb: [u8; 3]) -> [u8; 3] {
        match self {
            Space::YCrCb => ycc::YCRCB.forward(rgb),
            Space::Hsv => hue::rgb_to_hsv(rgb),
            Space::Hls => hue::rgb_to_hls(rgb),
            Space::Yuv => ycc::YUV.forward(rgb),
        }
    }

    /// To R, G, B.
    pub fn backward(self, values: [u8; 3]) -> [u8; 3] {
        match self {
            Space::YCrCb => ycc::YCRCB.backward(values),
            Space::Hsv => hue::hsv_to_rgb(values),
            Space::Hls => hue::hls_to_rgb(values),
            Space::Yuv => ycc::YUV.backward(values),
        }
    }
}
