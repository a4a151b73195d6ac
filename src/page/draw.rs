//! Drawing on pictures.

use crate::picture::{Mask, Picture, PictureError};
use crate::web::Region;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::path::Path;

/// Red, green, blue.
pub type Color = [u8; 3];

/// A region large enough to reject.
pub const DEFECT: Color = [225, 0, 80];
/// A region too small to reject.
pub const SMALL: Color = [255, 176, 0];
/// Outline of what a person marked.
pub const TRUTH: Color = [0, 200, 255];

/// Heat at probabilities 0 and 1.
const COOL: Color = [255, 225, 0];
const HOT: Color = [230, 0, 30];

/// An RGB picture to draw on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    pub width_px: usize,
    pub height_px: usize,
    /// `height x width x 3`.
    pub rgb: Vec<u8>,
}

impl Canvas {
    /// A copy of a picture, 8 bit.
    pub fn of(picture: &Picture) -> Self {
        Self {
            width_px: picture.width_px,
            height_px: picture.height_px,
            rgb: picture.to_rgb8(),
        }
    }

    /// Lays the anomaly map, `height x width` in [0, 1], over the picture.
    ///
    /// # Panics
    /// If the map has another size.
    pub fn heat(&mut self, map: &[f32]) {
        assert_eq!(map.len() * 3, self.rgb.len(), "a map of the picture's size");
        for (pixel, &probability) in self.rgb.chunks_exact_mut(3).zip(map) {
            let probability = probability.clamp(0.0, 1.0);
            let cover = 0.85 * probability;
            for ((value, cool), hot) in pixel.iter_mut().zip(COOL).zip(HOT) {
                let heat = f32::from(cool) + probability * (f32::from(hot) - f32::from(cool));
                *value = (f32::from(*value) * (1.0 - cover) + heat * cover).round() as u8;
            }
        }
    }

    /// Colours the pixels around the marked ones, which stay as they are.
    ///
    /// # Panics
    /// If the mask has another size.
    pub fn outline(&mut self, mask: &Mask, color: Color) {
        let (width, height) = (self.width_px, self.height_px);
        assert_eq!(
            (mask.width_px, mask.height_px),
            (width, height),
            "a mask of the picture's size"
        );
        for line in 0..height {
            for column in 0..width {
                let near = (line.saturating_sub(1)..(line + 2).min(height)).any(|y| {
                    let first = y * width + column.saturating_sub(1);
                    let last = y * width + (column + 1).min(width - 1);
                    mask.defect[first..=last].contains(&true)
                });
                if near && !mask.defect[line * width + column] {
                    self.put(column, line, color);
                }
            }
        }
    }

    /// Draws a frame of `thickness_px` just outside a box; what lies beyond the picture is left out.
    pub fn frame(&mut self, area: Area, thickness_px: usize, color: Color) {
        let left = area.column.saturating_sub(thickness_px);
        let top = area.line.saturating_sub(thickness_px);
        let right = (area.column + area.width_px + thickness_px).min(self.width_px);
        let bottom = (area.line + area.height_px + thickness_px).min(self.height_px);
        for line in top..bottom {
            for column in left..right {
                let across = column >= area.column && column < area.column + area.width_px;
                let along = line >= area.line && line < area.line + area.height_px;
                if !(across && along) {
                    self.put(column, line, color);
                }
            }
        }
    }

    fn put(&mut self, column: usize, line: usize, color: Color) {
        let at = 3 * (line * self.width_px + column);
        if let Some(pixel) = self.rgb.get_mut(at..at + 3) {
            pixel.copy_from_slice(&color);
        }
    }

    /// The mean of every `factor x factor` pixels; a rest at the right and bottom is kept.
    pub fn shrunk(&self, factor: usize) -> Self {
        if factor <= 1 {
            return self.clone();
        }
        let (width_px, height_px) = (
            self.width_px.div_ceil(factor),
            self.height_px.div_ceil(factor),
        );
        let mut rgb = Vec::with_capacity(width_px * height_px * 3);
        for line in 0..height_px {
            let lines = line * factor..((line + 1) * factor).min(self.height_px);
            for column in 0..width_px {
                let columns = column * factor..((column + 1) * factor).min(self.width_px);
                let mut sums = [0u32; 3];
                for y in lines.clone() {
                    let row = &self.rgb[3 * (y * self.width_px + columns.start)..];
                    for pixel in row.chunks_exact(3).take(columns.len()) {
                        for (sum, &value) in sums.iter_mut().zip(pixel) {
                            *sum += u32::from(value);
                        }
                    }
                }
                let pixels = (lines.len() * columns.len()) as u32;
                rgb.extend(sums.map(|sum| ((sum + pixels / 2) / pixels) as u8));
            }
        }
        Self {
            width_px,
            height_px,
            rgb,
        }
    }

    /// The picture as the content of a PNG file; `path` is only named in the error.
    ///
    /// # Errors
    /// If the sides are beyond what PNG holds.
    pub fn encode_png(&self, path: &Path) -> Result<Vec<u8>, PictureError> {
        let mut file = Vec::new();
        image::codecs::png::PngEncoder::new(&mut file)
            .write_image(
                &self.rgb,
                self.width_px as u32,
                self.height_px as u32,
                ExtendedColorType::Rgb8,
            )
            .map_err(|error| unwritable(path, &error))?;
        Ok(file)
    }

    /// The picture as the content of a JPEG file; `path` is only named in the error.
    ///
    /// # Errors
    /// If a side is above 65535 px.
    pub fn encode_jpeg(&self, quality: u8, path: &Path) -> Result<Vec<u8>, PictureError> {
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, quality)
            .write_image(
                &self.rgb,
                self.width_px as u32,
                self.height_px as u32,
                ExtendedColorType::Rgb8,
            )
            .map_err(|error| unwritable(path, &error))?;
        Ok(file)
    }
}

fn unwritable(path: &Path, error: &image::ImageError) -> PictureError {
    PictureError::Write {
        path: path.to_owned(),
        source: std::io::Error::other(error.to_string()),
    }
}

/// A box in a picture's own pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    pub column: usize,
    pub line: usize,
    pub width_px: usize,
    pub height_px: usize,
}

impl Area {
    /// A region's box in a picture that begins at `first_line` of the web, cut to what the picture
    /// shows; `None` where that is nothing.
    pub fn of(region: &Region, first_line: u64, width_px: usize, height_px: usize) -> Option<Self> {
        let begin = region.first_line.0.max(first_line);
        let end = (region.first_line.0 + u64::from(region.lines))
            .min(first_line.saturating_add(height_px as u64));
        let column = (region.first_column as usize).min(width_px);
        let right = (column + region.columns as usize).min(width_px);
        (begin < end && column < right).then(|| Self {
            column,
            line: (begin - first_line) as usize,
            width_px: right - column,
            height_px: (end - begin) as usize,
        })
    }
}

/// The picture with heat and a frame around every region: red where it rejects, amber where it is
/// too small to. `first_line` is the web's line that the picture begins with.
///
/// # Panics
/// If the map does not have the picture's size.
pub fn annotate(picture: &Picture, map: &[f32], regions: &[Region], first_line: u64) -> Canvas {
    let mut canvas = Canvas::of(picture);
    canvas.heat(map);
    let thickness = (picture.width_px.min(picture.height_px) / 160).clamp(1, 4);
    for region in regions {
        let area = Area::of(region, first_line, picture.width_px, picture.height_px);
        if let Some(area) = area {
            let color = if region.defect { DEFECT } else { SMALL };
            canvas.frame(area, thickness, color);
        }
    }
    canvas
}

/// The greatest value of every `factor x factor` values, so that a small defect stays in sight.
pub fn shrink_map(map: &[f32], width: usize, factor: usize) -> Vec<f32> {
    if factor <= 1 || width == 0 {
        return map.to_vec();
    }
    let columns = width.div_ceil(factor);
    let mut out = Vec::with_capacity(map.len() / factor / factor + columns);
    for rows in map.chunks(width * factor) {
        let mut most = vec![0f32; columns];
        for row in rows.chunks(width) {
            for (most, values) in most.iter_mut().zip(row.chunks(factor)) {
                *most = values.iter().copied().fold(*most, f32::max);
            }
        }
        out.append(&mut most);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::LineNumber;

    fn region(first_line: u64, lines: u32, first_column: u32, columns: u32) -> Region {
        Region {
            first_line: LineNumber(first_line),
            lines,
            first_column,
            columns,
            area_px: 1,
            reaching_px: 1,
            peak: 0.9,
            capped: false,
            defect: true,
        }
    }

    #[test]
    fn a_frame_lies_around_the_region_and_keeps_its_pixels() {
        let picture = Picture::from_grey8(6, 5, vec![7; 30]).unwrap();
        let canvas = annotate(&picture, &[0.0; 30], &[region(102, 2, 2, 3)], 100);
        let drawn: String = canvas
            .rgb
            .chunks_exact(3)
            .map(|pixel| if pixel == DEFECT { '#' } else { '.' })
            .collect();
        let rows = ["......", ".#####", ".#...#", ".#...#", ".#####"];
        assert_eq!(drawn, rows.concat());
    }

    #[test]
    fn a_region_is_cut_to_the_picture() {
        let area = Area::of(&region(90, 20, 4, 10), 100, 8, 50).unwrap();
        assert_eq!(
            (area.line, area.height_px, area.column, area.width_px),
            (0, 10, 4, 4)
        );
        assert!(Area::of(&region(90, 10, 0, 1), 100, 8, 50).is_none());
        assert!(Area::of(&region(150, 1, 0, 1), 100, 8, 50).is_none());
    }

    #[test]
    fn shrinking_keeps_the_mean_of_pixels_and_the_peak_of_maps() {
        let picture = Picture::from_grey8(3, 2, vec![0, 10, 20, 20, 10, 40]).unwrap();
        let small = Canvas::of(&picture).shrunk(2);
        assert_eq!((small.width_px, small.height_px), (2, 1));
        assert_eq!(small.rgb, [10, 10, 10, 30, 30, 30]);
        assert_eq!(
            shrink_map(&[0.1, 0.9, 0.2, 0.0, 0.3, 0.4], 3, 2),
            [0.9, 0.4]
        );
    }

    #[test]
    fn heat_leaves_what_is_good_untouched() {
        let mut canvas = Canvas::of(&Picture::from_grey8(2, 1, vec![100, 100]).unwrap());
        canvas.heat(&[0.0, 1.0]);
        assert_eq!(canvas.rgb[..3], [100, 100, 100]);
        assert!(canvas.rgb[3] > 190 && canvas.rgb[4] < 30);
    }

    #[test]
    fn an_outline_goes_around_what_is_marked() {
        let mut mask = Mask::good(5, 5);
        for line in 2..5 {
            mask.defect[line * 5 + 2] = true;
        }
        let mut canvas = Canvas::of(&Picture::from_grey8(5, 5, vec![0; 25]).unwrap());
        canvas.outline(&mask, TRUTH);
        let drawn = canvas.rgb.chunks_exact(3).filter(|p| **p == TRUTH).count();
        assert_eq!(drawn, 9);
        assert_eq!(canvas.rgb[3 * 12..3 * 13], [0, 0, 0]);
    }
}
