//! Where the product is in a picture, so that simulated defects lie on it and not beside it.

use super::DataError;
use super::content::contents;
use super::layout::name_below;
use crate::checkpoint::hex;
use blemish::picture::{Mask, Picture};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};

/// Share of the pixels along a picture's edge that must be on one side of the brightness that separates
/// product and background; else the product fills the picture.
const EDGE_SHARE: f64 = 0.85;
/// Share of the variance of the brightness that the two sides must explain; a texture explains less.
const SEPARATION: f64 = 0.8;
/// The mask's pixel is what most pixels around it are, this far to each side.
const SMOOTH_PX: usize = 2;
const LEVELS: usize = 256;

/// Where simulated defects may lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Product {
    /// On what stands out from an even background; everywhere where nothing does.
    Auto,
    /// Where a mask is white: a folder of masks named as the pictures, or one mask for all.
    Masks(PathBuf),
}

impl From<String> for Product {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Product::Auto,
            _ => Product::Masks(text.into()),
        }
    }
}

impl From<Product> for String {
    fn from(product: Product) -> Self {
        product.to_string()
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Product::Auto => f.write_str("auto"),
            Product::Masks(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Product {
    /// Where the product is in the picture at `path`, one of those below `folder`.
    ///
    /// # Errors
    /// The mask is missing, cannot be read, or is not of the picture's size.
    pub fn mask(&self, folder: &Path, path: &Path, picture: &Picture) -> Result<Mask, DataError> {
        let Product::Masks(masks) = self else {
            return Ok(automatic_mask(picture));
        };
        let file = match masks.is_dir() {
            true => mask_of(masks, folder, path)?,
            false => masks.clone(),
        };
        let mask = Mask::open(&file)?;
        if (mask.width_px, mask.height_px) != (picture.width_px, picture.height_px) {
            return Err(DataError::ProductMaskSize {
                mask: file,
                found: format!("{}x{}", mask.width_px, mask.height_px),
                wanted: format!("{}x{}", picture.width_px, picture.height_px),
            });
        }
        Ok(mask)
    }

    /// SHA-256 over the masks of `goods`, which lie below `folder`, as far as they have one, in hexadecimal; `None`
    /// where there are no masks.
    ///
    /// # Errors
    /// Names the mask that cannot be read.
    pub fn fingerprint(
        &self,
        folder: &Path,
        goods: &[PathBuf],
    ) -> Result<Option<String>, DataError> {
        let Product::Masks(masks) = self else {
            return Ok(None);
        };
        // A picture that is not used needs no mask.
        let of = |path: &PathBuf| {
            let mask = mask_of(masks, folder, path).ok()?;
            Some((name_below(folder, path), mask))
        };
        let (names, files): (Vec<String>, Vec<PathBuf>) = match masks.is_dir() {
            true => goods.iter().filter_map(of).unzip(),
            false => (vec![String::new()], vec![masks.clone()]),
        };
        let mut all = Sha256::new();
        for (name, content) in names.iter().zip(contents(&files)?) {
            all.update(name.as_bytes());
            all.update([0]);
            all.update(content.0);
        }
        Ok(Some(hex(&all.finalize())))
    }
}

/// The mask in `masks` of the picture at `path` below `folder`.
fn mask_of(masks: &Path, folder: &Path, path: &Path) -> Result<PathBuf, DataError> {
    let name = PathBuf::from(name_below(folder, path));
    let stem = name.file_stem().unwrap_or_default().to_string_lossy();
    let ends = ["", "_mask"].map(|end| masks.join(name.with_file_name(format!("{stem}{end}.png"))));
    let found = ends.iter().find(|file| file.is_file()).cloned();
    found.ok_or_else(|| DataError::NoProductMask {
        picture: path.to_owned(),
        mask: ends[0].clone(),
    })
}

/// What stands out from an even background: the brightness that separates two sides best (Otsu 1979),
/// and of these the one that the picture's edge is not on. The whole picture where the edge is on both
/// sides, or the sides do not differ enough, as on a texture.
pub fn automatic_mask(picture: &Picture) -> Mask {
    let (width, height) = (picture.width_px, picture.height_px);
    let everywhere = Mask {
        width_px: width,
        height_px: height,
        defect: vec![true; width * height],
    };
    let rgb = picture.to_rgb8();
    let levels: Vec<u8> = (rgb.as_chunks::<3>().0.iter())
        .map(|pixel| (pixel.iter().map(|&v| u32::from(v)).sum::<u32>() / 3) as u8)
        .collect();
    let Some(limit) = separating_level(&levels) else {
        return everywhere;
    };
    let bright = |x: usize, y: usize| levels[y * width + x] > limit;
    let across = (0..width).flat_map(|x| [bright(x, 0), bright(x, height - 1)]);
    let along = (0..height).flat_map(|y| [bright(0, y), bright(width - 1, y)]);
    let edge: Vec<bool> = across.chain(along).collect();
    let share = edge.iter().filter(|&&bright| bright).count() as f64 / edge.len() as f64;
    let product_is_bright = match share {
        share if share >= EDGE_SHARE => false,
        share if share <= 1.0 - EDGE_SHARE => true,
        _ => return everywhere,
    };
    let is_product = |x: usize, y: usize| bright(x, y) == product_is_bright;
    let around =
        |at: usize, side: usize| at.saturating_sub(SMOOTH_PX)..(at + SMOOTH_PX + 1).min(side);
    let smoothed = |at: usize| {
        let (columns, rows) = (around(at % width, width), around(at / width, height));
        let count = columns.len() * rows.len();
        let hits = rows.flat_map(|y| columns.clone().filter(move |&x| is_product(x, y)));
        2 * hits.count() > count
    };
    Mask {
        defect: (0..width * height).map(smoothed).collect(),
        ..everywhere
    }
}

/// Otsu's level where its two sides explain most of the variance.
fn separating_level(levels: &[u8]) -> Option<u8> {
    let mut counts = [0f64; LEVELS];
    levels
        .iter()
        .for_each(|&level| counts[usize::from(level)] += 1.0);
    let total = levels.len() as f64;
    let sum: f64 = counts.iter().enumerate().map(|(v, n)| v as f64 * n).sum();
    let squares: f64 = counts
        .iter()
        .enumerate()
        .map(|(v, n)| (v * v) as f64 * n)
        .sum();
    let variance = squares / total - (sum / total).powi(2);
    let (mut below, mut sum_below) = (0.0, 0.0);
    let mut best = (0.0, 0u8);
    for (level, &count) in counts.iter().enumerate() {
        below += count;
        sum_below += level as f64 * count;
        let above = total - below;
        if below == 0.0 || above == 0.0 {
            continue;
        }
        let apart = sum_below / below - (sum - sum_below) / above;
        let between = below * above / (total * total) * apart * apart;
        if between > best.0 {
            best = (between, level as u8);
        }
    }
    (variance > 0.0 && best.0 >= SEPARATION * variance).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::Scratch;
    use super::*;

    /// A disc of `inside` on `outside`, both slightly uneven.
    fn disc(inside: u8, outside: u8) -> Picture {
        let samples = (0..60 * 40).map(|i| {
            let (x, y) = (i % 60 - 30, i / 60 - 20);
            let level = if x * x + y * y < 15 * 15 {
                inside
            } else {
                outside
            };
            level + (i * 7 % 5) as u8
        });
        Picture::from_grey8(60, 40, samples.collect()).unwrap()
    }

    #[test]
    fn an_object_is_found_bright_or_dark_and_a_texture_is_product_everywhere() {
        for picture in [disc(180, 40), disc(40, 180)] {
            let mask = automatic_mask(&picture);
            assert!(mask.defect[20 * 60 + 30] && !mask.defect[0]);
            let area = std::f64::consts::PI * 225.0;
            assert!(
                (mask.area_px() as f64 - area).abs() < 0.06 * area,
                "{}",
                mask.area_px()
            );
        }
        let weave = (0..3000).map(|i| (i * 7 % 101) as u8 + 60).collect();
        let weave = Picture::from_grey8(60, 50, weave).unwrap();
        assert_eq!(automatic_mask(&weave).area_px(), 3000);
        let flat = Picture::from_grey8(60, 50, vec![9; 3000]).unwrap();
        assert_eq!(automatic_mask(&flat).area_px(), 3000);
    }

    #[test]
    fn masks_are_found_by_name_and_must_fit() {
        let scratch = Scratch::new();
        scratch.grey("goods/a/0.png", 4, 4, 1);
        scratch.grey("masks/a/0_mask.png", 4, 4, 5);
        scratch.grey("small.png", 2, 2, 5);
        let picture = Picture::open(&scratch.path("goods/a/0.png")).unwrap();
        let mask = |masks: &str| {
            let product = Product::Masks(scratch.path(masks));
            product.mask(
                &scratch.path("goods"),
                &scratch.path("goods/a/0.png"),
                &picture,
            )
        };
        assert_eq!(mask("masks").unwrap().width_px, 4);
        assert_eq!(mask("masks/a/0_mask.png").unwrap().width_px, 4);
        let missing = mask("goods/a").unwrap_err().to_string();
        assert!(
            missing.contains("a/0.png' for") && missing.contains("--product auto"),
            "{missing}"
        );
        let small = mask("small.png").unwrap_err().to_string();
        assert!(small.contains("2x2 px, its picture 4x4"), "{small}");
    }

    #[test]
    fn the_fingerprint_follows_the_masks_of_the_pictures_alone() {
        let scratch = Scratch::new();
        for number in 0..2 {
            scratch.grey(&format!("masks/{number}.png"), 4, 4, number);
        }
        let folder = scratch.path("goods");
        let goods: Vec<PathBuf> = ["0.png", "1.png", "2.png"]
            .map(|name| folder.join(name))
            .into();
        let print = |masks: &str| {
            let product = Product::Masks(scratch.path(masks));
            product.fingerprint(&folder, &goods).unwrap().unwrap()
        };
        let [before, one] = ["masks", "masks/1.png"].map(print);
        scratch.grey("masks/of_another.png", 4, 4, 7);
        assert_eq!(print("masks"), before);
        scratch.grey("masks/1.png", 4, 4, 8);
        assert_ne!(print("masks"), before);
        assert_ne!(print("masks/1.png"), one);
        assert_eq!(Product::Auto.fingerprint(&folder, &goods).unwrap(), None);
    }
}
