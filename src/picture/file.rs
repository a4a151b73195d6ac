//! Pictures in files.

use super::{Picture, PictureError, Samples, tiff};
use crate::whole_file::read_at_most;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// Size of a file, and decoded, above which a picture is refused: more than any strip, less than a
/// station's memory.
const GREATEST_PICTURE_BYTES: u64 = 2 << 30;

impl Picture {
    /// Reads a PNG, JPEG, TIFF or BMP file, told apart by content, not by name: 8 or 16 bit, grey or
    /// colour. Palettes are expanded, alpha is dropped, an orientation tag is not applied.
    ///
    /// # Errors
    /// Where the file cannot be read, is no such picture, is cut short, holds several pictures (pages of a
    /// TIFF; smaller copies do not count), has no pixels, has samples that are neither 8 nor 16 bit, or
    /// has more than 2 GiB, in the file or decoded.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        let bytes =
            read_at_most(path, GREATEST_PICTURE_BYTES).map_err(|source| PictureError::Read {
                path: path.to_owned(),
                source,
            })?;
        match bytes {
            Some(bytes) => Self::decode(&bytes, path),
            None => Err(PictureError::TooLong {
                path: path.to_owned(),
                limit_bytes: GREATEST_PICTURE_BYTES,
            }),
        }
    }

    /// Reads a picture from the content of a file; `path` is only named in errors, which are those of
    /// [`Picture::open`].
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self, PictureError> {
        let damaged = |reason: String| PictureError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let from_image = |error: ImageError| match error {
            ImageError::Unsupported(_) => PictureError::Depth {
                path: path.to_owned(),
                found: "unsupported".to_owned(),
            },
            other => damaged(other.to_string()),
        };
        if bytes.is_empty() {
            return Err(damaged("the file is empty".to_owned()));
        }
        let format = match image::guess_format(bytes) {
            Ok(
                format @ (ImageFormat::Png
                | ImageFormat::Jpeg
                | ImageFormat::Tiff
                | ImageFormat::Bmp),
            ) => format,
            _ => {
                return Err(PictureError::Format {
                    path: path.to_owned(),
                });
            }
        };
        if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
            return Err(damaged("the end of the JPEG is missing".to_owned()));
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(GREATEST_PICTURE_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let decoder = reader.into_decoder().map_err(from_image)?;
        let (width_px, height_px) = decoder.dimensions();
        if width_px == 0 || height_px == 0 {
            return Err(PictureError::Empty {
                path: path.to_owned(),
                width_px,
                height_px,
            });
        }
        if decoder.total_bytes() > GREATEST_PICTURE_BYTES {
            return Err(damaged(format!(
                "{width_px}x{height_px} pixels are more than {} MiB",
                GREATEST_PICTURE_BYTES >> 20
            )));
        }
        if format == ImageFormat::Tiff {
            let pictures = tiff::pictures(bytes).map_err(damaged)?;
            if pictures > 1 {
                return Err(PictureError::Pages {
                    path: path.to_owned(),
                    pictures,
                });
            }
        }
        let decoded = DynamicImage::from_decoder(decoder).map_err(from_image)?;
        let (channels, samples) = match decoded {
            DynamicImage::ImageLuma8(i) => (1, Samples::U8(i.into_raw())),
            DynamicImage::ImageLumaA8(i) => (1, Samples::U8(first_of(&i.into_raw(), 2, 1))),
            DynamicImage::ImageRgb8(i) => (3, Samples::U8(i.into_raw())),
            DynamicImage::ImageRgba8(i) => (3, Samples::U8(first_of(&i.into_raw(), 4, 3))),
            DynamicImage::ImageLuma16(i) => (1, Samples::U16(i.into_raw())),
            DynamicImage::ImageLumaA16(i) => (1, Samples::U16(first_of(&i.into_raw(), 2, 1))),
            DynamicImage::ImageRgb16(i) => (3, Samples::U16(i.into_raw())),
            DynamicImage::ImageRgba16(i) => (3, Samples::U16(first_of(&i.into_raw(), 4, 3))),
            other => {
                return Err(PictureError::Depth {
                    path: path.to_owned(),
                    found: format!("{:?}", other.color()),
                });
            }
        };
        Picture::new(width_px as usize, height_px as usize, channels, samples)
    }

    /// The picture as a PNG file's content, with the depth it has.
    ///
    /// # Errors
    /// If the sides are beyond what PNG holds; `path` is only named in the error.
    pub fn encode_png(&self, path: &Path) -> Result<Vec<u8>, PictureError> {
        let wide;
        let (bytes, depth): (&[u8], _) = match &self.samples {
            Samples::U8(samples) => (samples, 8),
            Samples::U16(samples) => {
                wide = samples
                    .iter()
                    .flat_map(|v| v.to_ne_bytes())
                    .collect::<Vec<u8>>();
                (&wide, 16)
            }
        };
        let color = match (self.channels, depth) {
            (1, 8) => image::ExtendedColorType::L8,
            (1, _) => image::ExtendedColorType::L16,
            (_, 8) => image::ExtendedColorType::Rgb8,
            _ => image::ExtendedColorType::Rgb16,
        };
        let mut png = Vec::new();
        image::write_buffer_with_format(
            &mut Cursor::new(&mut png),
            bytes,
            self.width_px as u32,
            self.height_px as u32,
            color,
            ImageFormat::Png,
        )
        .map_err(|error| PictureError::Write {
            path: path.to_owned(),
            source: std::io::Error::other(error.to_string()),
        })?;
        Ok(png)
    }

    /// Writes the picture as PNG with the depth it has.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<(), PictureError> {
        std::fs::write(path, self.encode_png(path)?).map_err(|source| PictureError::Write {
            path: path.to_owned(),
            source,
        })
    }
}

/// The first `keep` of every `stride` samples: drops alpha.
fn first_of<T: Copy>(samples: &[T], stride: usize, keep: usize) -> Vec<T> {
    samples
        .chunks_exact(stride)
        .flat_map(|pixel| pixel[..keep].iter().copied())
        .collect()
}

/// Whether an end marker follows the last start of scan. The decoder fills a missing end with grey.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    matches!((last(0xd9), last(0xda)), (Some(end), Some(scan)) if end > scan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, write_buffer_with_format};
    use proptest::prelude::*;

    fn encoded(format: ImageFormat, color: ExtendedColorType, bytes: &[u8], w: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let h = (bytes.len() as u64 * 8 / u64::from(color.bits_per_pixel()) / u64::from(w)) as u32;
        write_buffer_with_format(&mut Cursor::new(&mut file), bytes, w, h, color, format).unwrap();
        file
    }

    fn noise(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * i % 251) as u8).collect()
    }

    #[test]
    fn every_depth_and_channel_count_comes_back() {
        use ExtendedColorType as C;
        let bytes = noise(24 * 48);
        let wide: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|b| u16::from_ne_bytes([b[0], b[1]]))
            .collect();
        let cases = [
            (ImageFormat::Png, C::L8, 1, Samples::U8(bytes.clone())),
            (
                ImageFormat::Png,
                C::La8,
                1,
                Samples::U8(first_of(&bytes, 2, 1)),
            ),
            (ImageFormat::Png, C::Rgb8, 3, Samples::U8(bytes.clone())),
            (
                ImageFormat::Png,
                C::Rgba8,
                3,
                Samples::U8(first_of(&bytes, 4, 3)),
            ),
            (ImageFormat::Png, C::L16, 1, Samples::U16(wide.clone())),
            (ImageFormat::Png, C::Rgb16, 3, Samples::U16(wide.clone())),
            (
                ImageFormat::Png,
                C::Rgba16,
                3,
                Samples::U16(first_of(&wide, 4, 3)),
            ),
            (ImageFormat::Tiff, C::L8, 1, Samples::U8(bytes.clone())),
            (ImageFormat::Tiff, C::L16, 1, Samples::U16(wide.clone())),
            (ImageFormat::Tiff, C::Rgb16, 3, Samples::U16(wide)),
            (ImageFormat::Bmp, C::Rgb8, 3, Samples::U8(bytes.clone())),
        ];
        for (format, color, channels, samples) in cases {
            let file = encoded(format, color, &bytes, 24);
            let picture = Picture::decode(&file, Path::new("case")).unwrap();
            assert_eq!(picture.channels, channels, "{format:?} {color:?}");
            assert_eq!(picture.samples, samples, "{format:?} {color:?}");
        }
    }

    /// A second page behind the first, as scanners and microscopes write them.
    #[test]
    fn a_file_of_two_pages_is_refused_with_their_number() {
        let one = encoded(ImageFormat::Tiff, ExtendedColorType::L8, &noise(24 * 4), 24);
        let first = u32::from_le_bytes(one[4..8].try_into().unwrap()) as usize;
        let entries = usize::from(u16::from_le_bytes(
            one[first..first + 2].try_into().unwrap(),
        ));
        let next = first + 2 + 12 * entries;
        let mut two = one.clone();
        if two.len() % 2 == 1 {
            two.push(0);
        }
        let second = two.len() as u32;
        two[next..next + 4].copy_from_slice(&second.to_le_bytes());
        two.extend_from_slice(&one[first..next + 4]);
        let path = Path::new("pages.tif");
        assert!(Picture::decode(&one, path).is_ok());
        let error = Picture::decode(&two, path).unwrap_err().to_string();
        assert!(error.contains("'pages.tif' holds 2 pictures"), "{error}");
        // The list leads behind the end: the file was cut there.
        let error = Picture::decode(&two[..two.len() - 4], path).unwrap_err();
        assert!(matches!(error, PictureError::Damaged { .. }), "{error}");
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let path = Path::new("x.png");
        assert!(matches!(
            Picture::decode(b"hello, world", path),
            Err(PictureError::Format { .. })
        ));
        assert!(matches!(
            Picture::decode(b"", path),
            Err(PictureError::Damaged { .. })
        ));
        assert!(matches!(
            Picture::open(Path::new("/nowhere/x.png")),
            Err(PictureError::Read { .. })
        ));
        let long =
            std::env::temp_dir().join(format!("blemish-long-picture-{}", std::process::id()));
        let file = std::fs::File::create(&long).unwrap();
        file.set_len(GREATEST_PICTURE_BYTES + 1).unwrap();
        let error = Picture::open(&long).unwrap_err();
        std::fs::remove_file(&long).unwrap();
        assert!(matches!(error, PictureError::TooLong { .. }), "{error}");
    }

    proptest! {
        /// A shortened file is refused, or only lost what does not hold pixels.
        #[test]
        fn a_cut_file_never_gives_other_pixels(which in 0usize..5, share in 0.0f64..1.0) {
            let (format, color) = [
                (ImageFormat::Png, ExtendedColorType::L8),
                (ImageFormat::Png, ExtendedColorType::L16),
                (ImageFormat::Jpeg, ExtendedColorType::L8),
                (ImageFormat::Tiff, ExtendedColorType::L8),
                (ImageFormat::Bmp, ExtendedColorType::Rgb8),
            ][which];
            let file = encoded(format, color, &noise(48 * 32), 16);
            let path = Path::new("cut");
            let whole = Picture::decode(&file, path).unwrap();
            let cut = &file[..(file.len() as f64 * share) as usize];
            if let Ok(picture) = Picture::decode(cut, path) {
                prop_assert_eq!(picture, whole);
            }
        }
    }
}
