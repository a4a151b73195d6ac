//! Ground truth: which pixels are a defect.

use super::{Picture, PictureError, Samples, resize_bilinear_u8};
use std::path::Path;

/// Which pixels a person marked as defect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    pub width_px: usize,
    pub height_px: usize,
    /// Row-major, `height x width`.
    pub defect: Vec<bool>,
}

impl Mask {
    /// A mask without defect.
    pub fn good(width_px: usize, height_px: usize) -> Self {
        Self {
            width_px,
            height_px,
            defect: vec![false; width_px * height_px],
        }
    }

    /// Reads a mask at native resolution: a pixel is a defect where any channel is above half scale
    /// (MVTec masks hold 0 and 255).
    ///
    /// # Errors
    /// As [`Picture::open`], and where values are all faint but not all 0: such a mask was saved as
    /// 0 and 1 and would otherwise count as good.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        Self::from_picture(&Picture::open(path)?, path)
    }

    /// The mask that a picture shows; `path` is only named in the error, which is that of
    /// [`Mask::open`].
    pub fn from_picture(picture: &Picture, path: &Path) -> Result<Self, PictureError> {
        fn marked<T: Copy + PartialOrd>(samples: &[T], channels: usize, half: T) -> Vec<bool> {
            samples
                .chunks_exact(channels)
                .map(|pixel| pixel.iter().any(|&v| v > half))
                .collect()
        }
        let (defect, greatest) = match &picture.samples {
            Samples::U8(s) => (
                marked(s, picture.channels, 127),
                s.iter().copied().max().map_or(0, u16::from),
            ),
            Samples::U16(s) => (
                marked(s, picture.channels, 32767),
                s.iter().copied().max().unwrap_or(0),
            ),
        };
        if greatest > 0 && !defect.contains(&true) {
            return Err(PictureError::FaintMask {
                path: path.to_owned(),
                greatest,
            });
        }
        Ok(Self {
            width_px: picture.width_px,
            height_px: picture.height_px,
            defect,
        })
    }

    /// The authors' ground truth at the network's size: resized bilinearly as 8 bit, divided by 255
    /// and floored, so a pixel counts only where all that it covers is marked.
    pub fn as_the_authors(&self, width_px: usize, height_px: usize) -> Self {
        let levels: Vec<u8> = self.defect.iter().map(|&d| 255 * u8::from(d)).collect();
        let resized = resize_bilinear_u8(
            &levels,
            1,
            self.width_px,
            self.height_px,
            width_px,
            height_px,
        );
        Self {
            width_px,
            height_px,
            defect: resized.iter().map(|&level| level == 255).collect(),
        }
    }

    /// Number of marked pixels.
    pub fn area_px(&self) -> usize {
        self.defect.iter().filter(|&&d| d).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_golden;

    #[test]
    fn the_authors_path_equals_theirs() {
        let Some(mut golden) = test_golden::open("units.npz") else {
            return;
        };
        let native = golden.u8("gt_in");
        let resized = resize_bilinear_u8(&native, 1, 97, 97, 32, 32);
        assert_eq!(resized, golden.u8("gt_resized_u8"));
        let picture = Picture::from_grey8(97, 97, native).unwrap();
        let mask = Mask::from_picture(&picture, Path::new("golden")).unwrap();
        let levels: Vec<u8> = mask
            .as_the_authors(32, 32)
            .defect
            .iter()
            .map(|&d| d.into())
            .collect();
        assert_eq!(levels, golden.u8("gt_final"));
    }

    #[test]
    fn a_mask_of_zeros_and_ones_is_refused() {
        let picture = Picture::from_grey8(2, 1, vec![0, 1]).unwrap();
        let error = Mask::from_picture(&picture, Path::new("m.png"));
        assert!(matches!(
            error,
            Err(PictureError::FaintMask { greatest: 1, .. })
        ));
    }

    #[test]
    fn only_pixels_fully_inside_survive_the_authors_path() {
        let mut mask = Mask::good(4, 4);
        for line in 0..4 {
            mask.defect[line * 4..line * 4 + 3].fill(true);
        }
        assert_eq!(mask.as_the_authors(2, 2).defect, [true, false, true, false]);
        assert_eq!(mask.area_px(), 12);
    }
}
