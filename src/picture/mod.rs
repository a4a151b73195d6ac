//! Pictures: reading files, preparing pixels for the network, masks.
//!
//! * **grey** pictures have one channel, **colour** pictures three in the order R, G, B;
//! * samples keep the depth they were delivered with (8 or 16 bit) until a tile is cut;
//! * a **line** is one row of samples, of a picture or of the line camera's rolling image.

mod file;
mod look;
mod mask;
mod name;
mod names;
mod resize;
mod tiff;
mod tile;

pub use look::DepthWatch;
pub use mask::Mask;
pub use name::{ANNOTATED, MAP, is_hidden, is_picture};
pub use names::natural_order;
pub use resize::{ResizeFilter, resize_bilinear, resize_bilinear_u8};
pub use tile::{Line, LineSamples, fill_resized, fill_tile, fill_tile_line};

use std::path::PathBuf;

/// Samples of a picture, row-major, channels interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    U8(Vec<u8>),
    /// Full scale is 65535, whatever the camera's depth was.
    U16(Vec<u16>),
}

impl Samples {
    /// Number of samples: pixels times channels.
    pub fn len(&self) -> usize {
        match self {
            Samples::U8(samples) => samples.len(),
            Samples::U16(samples) => samples.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A sample of 16 bits as one of 8, rounded.
pub const fn to_u8(level: u16) -> u8 {
    ((level as u32 + 128) / 257) as u8
}

/// A picture as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width_px: usize,
    pub height_px: usize,
    /// 1 (grey) or 3 (R, G, B).
    pub channels: usize,
    pub samples: Samples,
}

/// Why a picture or a mask cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file system refused.
    #[error("cannot read '{path}': {source}; check that the file exists and may be read")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file system refused to keep a picture.
    #[error("cannot write '{path}': {source}; choose a folder that may be written and has room")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// No known signature at the start of the file.
    #[error("'{path}' is not a PNG, JPEG, TIFF or BMP picture; convert it or leave it out")]
    Format { path: PathBuf },
    /// A known format, but the content does not hold what the header promises.
    #[error("'{path}' is damaged or cut short ({reason}); copy it again or leave it out")]
    Damaged { path: PathBuf, reason: String },
    /// A side of 0.
    #[error("'{path}' has no pixels ({width_px}x{height_px}); record it again or leave it out")]
    Empty {
        path: PathBuf,
        width_px: u32,
        height_px: u32,
    },
    /// More bytes than any picture has.
    #[error(
        "'{path}' has more than {} MiB, which no picture needs; leave it out, or cut it in strips",
        limit_bytes >> 20
    )]
    TooLong { path: PathBuf, limit_bytes: u64 },
    /// A TIFF of several pictures, of which only the first could be taken.
    #[error(
        "'{path}' holds {pictures} pictures, and a file is taken for one; save each page as a file of its own"
    )]
    Pages { path: PathBuf, pictures: usize },
    /// Neither 8 nor 16 bit.
    #[error("'{path}' holds {found} samples; save it with 8 or 16 bits per sample")]
    Depth { path: PathBuf, found: String },
    /// Sides, channels and number of samples contradict each other.
    #[error(
        "a picture of {width_px}x{height_px} px with {channels} channels cannot have {samples} samples"
    )]
    Length {
        width_px: usize,
        height_px: usize,
        channels: usize,
        samples: usize,
    },
    /// A mask that marks nothing but is not empty either.
    #[error(
        "the mask '{path}' has values up to {greatest} only; save it with 0 for good and 255 for defect"
    )]
    FaintMask { path: PathBuf, greatest: u16 },
}

impl Picture {
    /// A picture from its samples.
    ///
    /// # Errors
    /// If a side is 0, `channels` is neither 1 nor 3, or the number of samples is not
    /// `width_px * height_px * channels`.
    pub fn new(
        width_px: usize,
        height_px: usize,
        channels: usize,
        samples: Samples,
    ) -> Result<Self, PictureError> {
        let expected = width_px
            .checked_mul(height_px)
            .and_then(|pixels| pixels.checked_mul(channels));
        let has_pixels = width_px > 0 && height_px > 0;
        if !has_pixels || !matches!(channels, 1 | 3) || expected != Some(samples.len()) {
            return Err(PictureError::Length {
                width_px,
                height_px,
                channels,
                samples: samples.len(),
            });
        }
        Ok(Self {
            width_px,
            height_px,
            channels,
            samples,
        })
    }

    /// An 8-bit grey picture. Errors as [`Picture::new`].
    pub fn from_grey8(
        width_px: usize,
        height_px: usize,
        samples: Vec<u8>,
    ) -> Result<Self, PictureError> {
        Self::new(width_px, height_px, 1, Samples::U8(samples))
    }

    /// A 16-bit grey picture. Errors as [`Picture::new`].
    pub fn from_grey16(
        width_px: usize,
        height_px: usize,
        samples: Vec<u16>,
    ) -> Result<Self, PictureError> {
        Self::new(width_px, height_px, 1, Samples::U16(samples))
    }

    /// An 8-bit colour picture, R, G, B interleaved. Errors as [`Picture::new`].
    pub fn from_rgb8(
        width_px: usize,
        height_px: usize,
        samples: Vec<u8>,
    ) -> Result<Self, PictureError> {
        Self::new(width_px, height_px, 3, Samples::U8(samples))
    }

    /// The samples of one row.
    ///
    /// # Panics
    /// If `line` is not below `height_px`.
    pub fn line(&self, line: usize) -> Line<'_> {
        let stride = self.width_px * self.channels;
        let range = line * stride..(line + 1) * stride;
        Line {
            channels: self.channels,
            samples: match &self.samples {
                Samples::U8(samples) => LineSamples::U8(&samples[range]),
                Samples::U16(samples) => LineSamples::U16(&samples[range]),
            },
        }
    }

    /// For showing: `height x width x 3`, R, G, B, 8 bit; 16-bit samples are rounded.
    pub fn to_rgb8(&self) -> Vec<u8> {
        let mut rgb = Vec::with_capacity(self.width_px * self.height_px * 3);
        let mut push = |pixel: &[u8]| match pixel {
            [grey] => rgb.extend_from_slice(&[*grey; 3]),
            _ => rgb.extend_from_slice(pixel),
        };
        match &self.samples {
            Samples::U8(samples) => samples.chunks_exact(self.channels).for_each(push),
            Samples::U16(samples) => {
                let mut narrow = [0u8; 3];
                for pixel in samples.chunks_exact(self.channels) {
                    for (to, &from) in narrow.iter_mut().zip(pixel) {
                        *to = to_u8(from);
                    }
                    push(&narrow[..pixel.len()]);
                }
            }
        }
        rgb
    }

    /// Puts another picture below this one; `false`, and nothing changed, where width, channels or depth
    /// differ.
    pub fn append(&mut self, below: &Picture) -> bool {
        if (self.width_px, self.channels) != (below.width_px, below.channels) {
            return false;
        }
        match (&mut self.samples, &below.samples) {
            (Samples::U8(all), Samples::U8(more)) => all.extend_from_slice(more),
            (Samples::U16(all), Samples::U16(more)) => all.extend_from_slice(more),
            _ => return false,
        }
        self.height_px += below.height_px;
        true
    }

    /// A part of the picture, cut to what exists: `None` where nothing of it does.
    pub fn crop(
        &self,
        first_column: usize,
        first_line: usize,
        width_px: usize,
        height_px: usize,
    ) -> Option<Picture> {
        let width = width_px.min(self.width_px.checked_sub(first_column)?);
        let height = height_px.min(self.height_px.checked_sub(first_line)?);
        if width == 0 || height == 0 {
            return None;
        }
        fn rows<T: Copy>(all: &[T], stride: usize, first: usize, run: usize, n: usize) -> Vec<T> {
            all.chunks_exact(stride)
                .take(n)
                .flat_map(|row| row[first..first + run].iter().copied())
                .collect()
        }
        let stride = self.width_px * self.channels;
        let (skip, first) = (first_line * stride, first_column * self.channels);
        let run = width * self.channels;
        Some(Picture {
            width_px: width,
            height_px: height,
            channels: self.channels,
            samples: match &self.samples {
                Samples::U8(all) => Samples::U8(rows(&all[skip..], stride, first, run, height)),
                Samples::U16(all) => Samples::U16(rows(&all[skip..], stride, first, run, height)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_contradict_the_sides_are_refused() {
        assert!(Picture::from_grey8(3, 2, vec![0; 6]).is_ok());
        assert!(Picture::from_grey8(3, 2, vec![0; 5]).is_err());
        assert!(Picture::from_grey8(0, 2, vec![]).is_err());
        assert!(Picture::new(1, 1, 2, Samples::U8(vec![0; 2])).is_err());
        assert!(Picture::new(usize::MAX, 3, 1, Samples::U8(vec![])).is_err());
    }

    #[test]
    fn sixteen_bits_are_rounded_to_eight() {
        let picture = Picture::from_grey16(3, 1, vec![0, 65535, 257 * 7 + 128]);
        let rgb = picture.map(|p| p.to_rgb8()).unwrap_or_default();
        assert_eq!(rgb, [0, 0, 0, 255, 255, 255, 7, 7, 7]);
        for level in 0..=255u8 {
            let wide = u16::from(level) * 257;
            assert_eq!(to_u8(wide), level);
            assert_eq!(to_u8(wide.saturating_add(128)), level);
            assert_eq!(to_u8(wide.saturating_sub(128)), level);
        }
    }

    #[test]
    fn only_strips_of_one_web_are_joined() {
        let mut strip = Picture::from_grey8(2, 1, vec![1, 2]).unwrap();
        assert!(strip.append(&Picture::from_grey8(2, 2, vec![3; 4]).unwrap()));
        assert_eq!(
            strip,
            Picture::from_grey8(2, 3, vec![1, 2, 3, 3, 3, 3]).unwrap()
        );
        for other in [
            Picture::from_grey8(1, 2, vec![3; 2]).unwrap(),
            Picture::from_grey16(2, 1, vec![3; 2]).unwrap(),
            Picture::from_rgb8(2, 1, vec![3; 6]).unwrap(),
        ] {
            assert!(!strip.append(&other));
        }
        assert_eq!(strip.height_px, 3);
    }

    #[test]
    fn a_crop_keeps_to_the_picture() {
        let picture = Picture::from_grey8(4, 3, (0..12).collect()).unwrap();
        let crop = picture.crop(2, 1, 9, 9).unwrap();
        assert_eq!(
            (crop.width_px, crop.height_px, crop.samples),
            (2, 2, Samples::U8(vec![6, 7, 10, 11]))
        );
        assert!(picture.crop(4, 0, 1, 1).is_none());
        assert!(picture.crop(5, 0, 1, 1).is_none());
    }
}
