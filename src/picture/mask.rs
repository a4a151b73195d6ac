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

    /// The authors' ground truth at the network's size, of the mask that `drawn` shows: its levels resized
    /// bilinearly as 8 bit, divided by 255 and floored, so a pixel counts only where all that it covers is white.
    ///
    /// # Errors
    /// As [`Mask::from_picture`].
    pub fn as_the_authors(
        drawn: &Picture,
        path: &Path,
        width_px: usize,
        height_px: usize,
    ) -> Result<Self, PictureError> {
        // Refuses what marks nothing at its own resolution.
        Self::from_picture(drawn, path)?;
        let rgb = drawn.to_rgb8();
        // OpenCV's grey.
        let grey = |[r, g, b]: &[u8; 3]| {
            let [r, g, b] = [r, g, b].map(|&level| u32::from(level));
            ((4899 * r + 9617 * g + 1868 * b + 8192) >> 14) as u8
        };
        let levels: Vec<u8> = rgb.as_chunks::<3>().0.iter().map(grey).collect();
        let (from_width, from_height) = (drawn.width_px, drawn.height_px);
        let resized = resize_bilinear_u8(&levels, 1, from_width, from_height, width_px, height_px);
        Ok(Self {
            width_px,
            height_px,
            defect: resized.iter().map(|&level| level == 255).collect(),
        })
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
        let mask = Mask::as_the_authors(&picture, Path::new("golden"), 32, 32).unwrap();
        let levels: Vec<u8> = mask.defect.iter().map(|&d| d.into()).collect();
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
        let levels = (0..16).map(|i| if i % 4 < 3 { 255 } else { 0 }).collect();
        let drawn = Picture::from_grey8(4, 4, levels).unwrap();
        let resized = |drawn: &Picture| Mask::as_the_authors(drawn, Path::new("m.png"), 2, 2);
        assert_eq!(resized(&drawn).unwrap().defect, [true, false, true, false]);
        let mask = Mask::from_picture(&drawn, Path::new("m.png")).unwrap();
        assert_eq!(mask.area_px(), 12);
        // In colour it is the same; and what is not quite white counts at its own resolution only.
        let rgb = Picture::from_rgb8(4, 4, drawn.to_rgb8()).unwrap();
        assert_eq!(resized(&rgb).unwrap().defect, [true, false, true, false]);
        let soft = Picture::from_grey8(4, 4, vec![200; 16]).unwrap();
        assert_eq!(resized(&soft).unwrap().area_px(), 0);
        let soft = Mask::from_picture(&soft, Path::new("m.png")).unwrap();
        assert_eq!(soft.area_px(), 16);
    }
}
