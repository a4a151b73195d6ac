//! The golden tile: proof that this machine computes what training computed.

use super::{ColorOrder, Golden, Problem};
use crate::geometry::TileSize;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, ImageReader};
use std::io::Cursor;

/// Full scale of the 16-bit map.
const FULL: f32 = 65535.0;
/// A map whose values reach over fewer tolerances than these is flat.
const FLAT_TOLERANCES: f32 = 20.0;

impl Golden {
    /// Keeps a tile and the map it must give.
    ///
    /// `rgb` is the tile, 8 bit, interleaved, row-major; `map` holds a probability per pixel;
    /// `tolerance` is the greatest difference allowed per pixel.
    ///
    /// # Errors
    /// Where the lengths do not fit the tile.
    pub fn new(tile: TileSize, rgb: &[u8], map: &[f32], tolerance: f32) -> Result<Self, Problem> {
        let wrong = |what: &str, held: usize, needed: usize| {
            Err(Problem::GoldenPicture(format!(
                "the {what} has {held} samples and the tile needs {needed}"
            )))
        };
        if rgb.len() != 3 * tile.area() {
            return wrong("picture", rgb.len(), 3 * tile.area());
        }
        if map.len() != tile.area() {
            return wrong("map", map.len(), tile.area());
        }
        let levels: Vec<u8> = map
            .iter()
            .flat_map(|p| ((p.clamp(0.0, 1.0) * FULL).round() as u16).to_ne_bytes())
            .collect();
        Ok(Golden {
            input_png: png(tile, rgb, ExtendedColorType::Rgb8)?,
            map_png: png(tile, &levels, ExtendedColorType::L16)?,
            tolerance,
        })
    }

    /// The tile as the network sees it: `3 x height x width` in [0, 1].
    ///
    /// # Errors
    /// Where it is not an 8-bit RGB PNG of the tile's size.
    pub fn input(&self, tile: TileSize, order: ColorOrder) -> Result<Vec<f32>, Problem> {
        match read_png(&self.input_png, tile)? {
            DynamicImage::ImageRgb8(picture) => Ok(planes(&picture, order)),
            other => Err(Problem::GoldenPicture(format!(
                "it must be 8-bit RGB and is {:?}",
                other.color()
            ))),
        }
    }

    /// The map that must come out, one probability per pixel.
    ///
    /// # Errors
    /// Where it is not a 16-bit grey PNG of the tile's size.
    pub fn map(&self, tile: TileSize) -> Result<Vec<f32>, Problem> {
        match read_png(&self.map_png, tile)? {
            DynamicImage::ImageLuma16(map) => {
                Ok(map.iter().map(|&level| f32::from(level) / FULL).collect())
            }
            other => Err(Problem::GoldenPicture(format!(
                "its map must be 16-bit grey and is {:?}",
                other.color()
            ))),
        }
    }

    /// Least and greatest value of the map, where they lie so close to each other, beside the tolerance, that the map
    /// proves little.
    ///
    /// # Errors
    /// As [`Golden::map`].
    pub fn flat(&self, tile: TileSize) -> Result<Option<(f32, f32)>, Problem> {
        let map = self.map(tile)?;
        let ends = |(low, high): (f32, f32), &p: &f32| (low.min(p), high.max(p));
        let (low, high) = map.iter().fold((1.0, 0.0), ends);
        Ok((high - low < FLAT_TOLERANCES * self.tolerance).then_some((low, high)))
    }

    /// Compares a map with the golden one; gives the greatest difference.
    ///
    /// # Errors
    /// Where a pixel differs by more than the tolerance.
    pub fn compare(&self, tile: TileSize, found: &[f32]) -> Result<f32, Problem> {
        let expected = self.map(tile)?;
        let (mut worst, mut place, mut wrong_px) = (0f32, 0, 0);
        for (index, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (found - expected).abs();
            wrong_px += usize::from(difference > self.tolerance);
            if difference > worst {
                (worst, place) = (difference, index);
            }
        }
        if wrong_px == 0 {
            return Ok(worst);
        }
        let width = tile.width_px as usize;
        Err(Problem::Golden {
            column: place % width,
            line: place / width,
            found: found[place],
            expected: expected[place],
            tolerance: self.tolerance,
            wrong_px,
        })
    }
}

/// Interleaved 8-bit RGB as planes in [0, 1], in the order the network was trained with.
pub fn planes(rgb: &[u8], order: ColorOrder) -> Vec<f32> {
    let channels = match order {
        ColorOrder::Rgb => [0, 1, 2],
        ColorOrder::Bgr => [2, 1, 0],
    };
    let pixels = rgb.as_chunks::<3>().0;
    channels
        .iter()
        .flat_map(|&channel| {
            pixels
                .iter()
                .map(move |pixel| f32::from(pixel[channel]) / 255.0)
        })
        .collect()
}

fn png(tile: TileSize, samples: &[u8], color: ExtendedColorType) -> Result<String, Problem> {
    let mut file = Vec::new();
    image::codecs::png::PngEncoder::new(&mut file)
        .write_image(samples, tile.width_px, tile.height_px, color)
        .map_err(|error| Problem::GoldenPicture(error.to_string()))?;
    Ok(BASE64.encode(file))
}

fn read_png(base64: &str, tile: TileSize) -> Result<DynamicImage, Problem> {
    let file = BASE64
        .decode(base64)
        .map_err(|error| Problem::GoldenPicture(error.to_string()))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(tile.width_px);
    limits.max_image_height = Some(tile.height_px);
    let mut reader = ImageReader::with_format(Cursor::new(file), ImageFormat::Png);
    reader.limits(limits);
    let picture = reader
        .decode()
        .map_err(|error| Problem::GoldenPicture(error.to_string()))?;
    if (picture.width(), picture.height()) != (tile.width_px, tile.height_px) {
        return Err(Problem::GoldenPicture(format!(
            "it is {}x{} and a tile is {}x{}",
            picture.width(),
            picture.height(),
            tile.width_px,
            tile.height_px
        )));
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_within_a_few_tolerances_is_flat() {
        let tile = TileSize::square(32);
        let rgb = vec![90; 3 * tile.area()];
        let flat = |high: f32| {
            let mut map = vec![0.02; tile.area()];
            map[5] = high;
            let golden = Golden::new(tile, &rgb, &map, 1e-3).expect("it fits");
            golden.flat(tile).expect("a map")
        };
        let (low, high) = flat(0.0207).expect("flat");
        assert!((low - 0.02).abs() < 1e-4 && (high - 0.0207).abs() < 1e-4);
        assert_eq!(flat(0.5), None);
    }
}
