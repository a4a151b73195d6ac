//! What the driver's bytes mean, and how they become samples.
//!
//! Samples of 10 and 12 bits are scaled to the full range of 16: black stays 0, the greatest value
//! becomes 65535. Of YUYV and NV12 only the luma is taken, as the driver gives it.

use crate::camera::LineFormat;
use crate::picture::Samples;
use serde::{Deserialize, Serialize};

/// Pixel formats that a line camera may deliver, by the names of V4L2's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PixelFormat {
    /// 8 bits grey.
    #[default]
    #[serde(rename = "GREY")]
    Grey,
    /// 10 bits grey in the low bits of 16, low byte first.
    Y10,
    /// 12 bits grey in the low bits of 16, low byte first.
    Y12,
    /// 16 bits grey, low byte first.
    Y16,
    /// 4:2:2, Y0 U Y1 V; the luma is taken.
    #[serde(rename = "YUYV")]
    Yuyv,
    /// 8 bits each of R, G, B.
    #[serde(rename = "RGB3")]
    Rgb3,
    /// 4:2:0 in two planes behind each other; the luma is taken.
    #[serde(rename = "NV12")]
    Nv12,
}

impl PixelFormat {
    pub const ALL: [PixelFormat; 7] = [
        PixelFormat::Grey,
        PixelFormat::Y10,
        PixelFormat::Y12,
        PixelFormat::Y16,
        PixelFormat::Yuyv,
        PixelFormat::Rgb3,
        PixelFormat::Nv12,
    ];

    /// V4L2's four characters.
    pub const fn fourcc(self) -> [u8; 4] {
        match self {
            PixelFormat::Grey => *b"GREY",
            PixelFormat::Y10 => *b"Y10 ",
            PixelFormat::Y12 => *b"Y12 ",
            PixelFormat::Y16 => *b"Y16 ",
            PixelFormat::Yuyv => *b"YUYV",
            PixelFormat::Rgb3 => *b"RGB3",
            PixelFormat::Nv12 => *b"NV12",
        }
    }

    /// Bytes that a line of `width_px` has at least; drivers may pad it.
    pub const fn line_bytes(self, width_px: usize) -> usize {
        match self {
            PixelFormat::Grey | PixelFormat::Nv12 => width_px,
            PixelFormat::Y10 | PixelFormat::Y12 | PixelFormat::Y16 => 2 * width_px,
            // Two pixels share their colour.
            PixelFormat::Yuyv => 4 * width_px.div_ceil(2),
            PixelFormat::Rgb3 => 3 * width_px,
        }
    }

    /// How lines look once they are samples.
    pub const fn line_format(self, width_px: u32, lines_per_block: u32) -> LineFormat {
        LineFormat {
            width_px,
            channels: match self {
                PixelFormat::Rgb3 => 3,
                _ => 1,
            },
            sixteen_bit: matches!(self, PixelFormat::Y10 | PixelFormat::Y12 | PixelFormat::Y16),
            lines_per_block,
        }
    }

    /// Appends a line of `width_px` to `samples`. Nothing is appended where the samples have another
    /// depth than [`line_format`](Self::line_format) says or `line` is shorter than
    /// [`line_bytes`](Self::line_bytes).
    pub fn append(self, line: &[u8], width_px: usize, samples: &mut Samples) {
        let Some(line) = line.get(..self.line_bytes(width_px)) else {
            return;
        };
        match (self, samples) {
            (PixelFormat::Grey | PixelFormat::Nv12 | PixelFormat::Rgb3, Samples::U8(samples)) => {
                samples.extend_from_slice(line);
            }
            (PixelFormat::Yuyv, Samples::U8(samples)) => {
                samples.extend(line.iter().step_by(2).take(width_px));
            }
            (PixelFormat::Y10, Samples::U16(samples)) => samples.extend(words(line).map(|word| {
                let word = word.min(0x3ff);
                word << 6 | word >> 4
            })),
            (PixelFormat::Y12, Samples::U16(samples)) => samples.extend(words(line).map(|word| {
                let word = word.min(0xfff);
                word << 4 | word >> 8
            })),
            (PixelFormat::Y16, Samples::U16(samples)) => samples.extend(words(line)),
            _ => {}
        }
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = u16> {
    line.chunks_exact(2)
        .map(|word| u16::from_le_bytes([word[0], word[1]]))
}

impl std::fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.fourcc()).trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `format` at `stride` bytes each, as samples.
    fn samples(format: PixelFormat, bytes: &[u8], stride: usize, width_px: usize) -> Vec<u32> {
        let empty = format.line_format(width_px as u32, 2).empty_block();
        let mut samples = empty.picture.samples;
        for line in bytes.chunks(stride) {
            format.append(line, width_px, &mut samples);
        }
        match samples {
            Samples::U8(samples) => samples.into_iter().map(u32::from).collect(),
            Samples::U16(samples) => samples.into_iter().map(u32::from).collect(),
        }
    }

    #[test]
    fn padding_at_the_end_of_lines_is_left_out() {
        /// Format, bytes, bytes from line to line, width, samples.
        type Case<'a> = (PixelFormat, &'a [u8], usize, usize, &'a [u32]);
        let cases: [Case<'_>; 7] = [
            (
                PixelFormat::Grey,
                &[1, 2, 3, 99, 4, 5, 6, 99],
                4,
                3,
                &[1, 2, 3, 4, 5, 6],
            ),
            (
                PixelFormat::Nv12,
                &[1, 2, 99, 99, 3, 4, 99, 99],
                4,
                2,
                &[1, 2, 3, 4],
            ),
            (
                PixelFormat::Y10,
                &[0, 0, 0xff, 3, 99, 99, 0, 2, 1, 0, 99, 99],
                6,
                2,
                &[0, 65535, 0x8020, 0x40],
            ),
            (
                PixelFormat::Y12,
                &[0xff, 0x0f, 0, 8, 99, 99, 1, 0, 0, 0, 99, 99],
                6,
                2,
                &[65535, 0x8008, 0x10, 0],
            ),
            (
                PixelFormat::Y16,
                &[0x34, 0x12, 99, 99, 0xff, 0xff, 99, 99],
                4,
                1,
                &[0x1234, 65535],
            ),
            (
                PixelFormat::Yuyv,
                &[
                    1, 200, 2, 201, 3, 202, 4, 203, 99, 99, 5, 200, 6, 201, 7, 202, 8, 203, 99, 99,
                ],
                10,
                3,
                &[1, 2, 3, 5, 6, 7],
            ),
            (
                PixelFormat::Rgb3,
                &[1, 2, 3, 99, 4, 5, 6, 99],
                4,
                1,
                &[1, 2, 3, 4, 5, 6],
            ),
        ];
        for (format, bytes, stride, width_px, expected) in cases {
            assert_eq!(
                samples(format, bytes, stride, width_px),
                expected,
                "{format}"
            );
        }
    }

    #[test]
    fn bits_above_the_depth_saturate_and_short_lines_give_nothing() {
        assert_eq!(samples(PixelFormat::Y10, &[0xff, 0xff], 2, 1), [65535]);
        assert_eq!(samples(PixelFormat::Y12, &[0xff, 0xff], 2, 1), [65535]);
        for format in PixelFormat::ALL {
            let bytes = vec![7; format.line_bytes(9) - 1];
            assert!(
                samples(format, &bytes, bytes.len(), 9).is_empty(),
                "{format}"
            );
            let bytes = vec![7; format.line_bytes(9)];
            let channels = format.line_format(9, 1).channels as usize;
            assert_eq!(samples(format, &bytes, bytes.len(), 9).len(), 9 * channels);
        }
    }

    #[test]
    fn deep_samples_are_scaled_without_a_step_backwards() {
        for (format, most) in [(PixelFormat::Y10, 0x3ffu16), (PixelFormat::Y12, 0xfff)] {
            let bytes: Vec<u8> = (0..=most).flat_map(u16::to_le_bytes).collect();
            let scaled = samples(format, &bytes, bytes.len(), usize::from(most) + 1);
            assert!(scaled.windows(2).all(|pair| pair[0] < pair[1]), "{format}");
            for (value, &scaled) in scaled.iter().enumerate() {
                let exact = value as f64 * 65535.0 / f64::from(most);
                assert!((f64::from(scaled) - exact).abs() < 64.0, "{format} {value}");
            }
        }
    }
}
