//! Good pictures in memory and the tiles cut from them.

use super::{DataError, Product};
use crate::simulate::{Crops, Draws, Rgb8};
use blemish::geometry::TileSize;
use blemish::model::ColorOrder;
use blemish::picture::{
    Mask, Picture, PictureError, ResizeFilter, Samples, fill_resized, fill_tile, to_u8,
};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Decoded pictures above this are refused.
pub const MEMORY_LIMIT_BYTES: usize = 4 << 30;

/// Decoded good pictures, 8 bit; deeper pictures are rounded to 8 bit as the simulation works in it.
pub struct Goods {
    pictures: Arc<Vec<Picture>>,
    grey: bool,
}

impl Goods {
    /// Decodes `paths`. What they show decides whether they are grey, not how they were saved: pictures with three
    /// equal channels are grey as well, unless others of them are in colour.
    ///
    /// # Errors
    /// Where a picture cannot be read, some were saved grey and some are in colour, or all together exceed
    /// [`MEMORY_LIMIT_BYTES`].
    pub fn open(paths: &[PathBuf]) -> Result<Self, DataError> {
        let mut pictures: Vec<Picture> = Vec::with_capacity(paths.len());
        let mut bytes = 0;
        let mut count = |samples: usize, path: &PathBuf| {
            bytes += samples;
            match bytes > MEMORY_LIMIT_BYTES {
                false => Ok(()),
                true => Err(DataError::Memory {
                    path: path.clone(),
                    limit_mib: MEMORY_LIMIT_BYTES >> 20,
                }),
            }
        };
        // The first of either kind: one saved in colour may be grey.
        let (mut saved_grey, mut colour) = (None, None);
        // Decoded in groups, so that the limit holds while decoding.
        for group in paths.chunks(64) {
            let decoded: Result<Vec<_>, _> = group
                .par_iter()
                .map(|path| {
                    let picture = narrow(Picture::open(path)?);
                    Ok::<_, PictureError>((picture.channels, without_copies(picture)))
                })
                .collect();
            for ((saved, picture), path) in decoded?.into_iter().zip(group) {
                if saved == 1 {
                    saved_grey.get_or_insert(path);
                } else if picture.channels == 3 {
                    colour.get_or_insert(path);
                }
                if let (Some(grey), Some(colour)) = (saved_grey, colour) {
                    return Err(DataError::Mixed {
                        grey: grey.clone(),
                        colour: colour.clone(),
                    });
                }
                count(picture.samples.len(), path)?;
                pictures.push(picture);
            }
        }
        let grey = colour.is_none();
        if !grey {
            for (picture, path) in pictures.iter_mut().zip(paths) {
                if picture.channels == 1 {
                    count(2 * picture.samples.len(), path)?;
                    picture.samples = Samples::U8(picture.to_rgb8());
                    picture.channels = 3;
                }
            }
        }
        Ok(Goods {
            pictures: Arc::new(pictures),
            grey,
        })
    }

    /// Whether no picture shows a colour; all have one channel then, and three otherwise.
    pub fn is_grey(&self) -> bool {
        self.grey
    }

    /// The pictures in the order of their paths.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }
}

/// Samples of 8 bit, whatever they were.
fn narrow(picture: Picture) -> Picture {
    let samples = match picture.samples {
        Samples::U8(samples) => samples,
        Samples::U16(samples) => samples.into_iter().map(to_u8).collect(),
    };
    Picture {
        samples: Samples::U8(samples),
        ..picture
    }
}

/// The picture with one channel where its three are equal in every pixel.
fn without_copies(picture: Picture) -> Picture {
    match &picture.samples {
        Samples::U8(samples) if picture.channels == 3 => {
            let pixels = samples.as_chunks::<3>().0;
            match pixels.iter().all(|[r, g, b]| r == g && g == b) {
                false => picture,
                true => Picture {
                    channels: 1,
                    samples: Samples::U8(pixels.iter().map(|pixel| pixel[0]).collect()),
                    ..picture
                },
            }
        }
        _ => picture,
    }
}

/// Tiles of good pictures, cut by the code that the station uses.
pub struct TileSource {
    pictures: Arc<Vec<Picture>>,
    /// Where the product is, as pictures; none where it is everywhere.
    product: Option<Vec<Picture>>,
    tile: TileSize,
}

/// A tile of a good picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub tile: Rgb8,
    /// White where the product is; absent where it is everywhere.
    pub product: Option<Rgb8>,
}

impl TileSource {
    /// Tiles of `tile` from `goods`, either at their own resolution or, with `resize`, of whole
    /// pictures resized to the tile.
    pub fn new(goods: &Goods, tile: TileSize, resize: Option<ResizeFilter>) -> Self {
        let pictures = match resize {
            Some(filter) => {
                let resized = goods.pictures.par_iter().map(|p| resized(p, tile, filter));
                Arc::new(resized.collect())
            }
            None => Arc::clone(&goods.pictures),
        };
        TileSource {
            pictures,
            product: None,
            tile,
        }
    }

    /// The same tiles with where the product is on them: `paths` are those of `goods`, below `folder`.
    ///
    /// # Errors
    /// A mask is missing, cannot be read, or is not of its picture's size.
    pub fn on_product(
        goods: &Goods,
        tile: TileSize,
        resize: Option<ResizeFilter>,
        (product, folder, paths): (&Product, &Path, &[PathBuf]),
    ) -> Result<Self, DataError> {
        let masks: Result<Vec<Picture>, DataError> = (goods.pictures.par_iter().zip(paths))
            .map(|(picture, path)| {
                let mask = as_picture(&product.mask(folder, path, picture)?);
                Ok(match resize {
                    Some(_) => resized(&mask, tile, ResizeFilter::Bilinear),
                    None => mask,
                })
            })
            .collect();
        Ok(TileSource {
            product: Some(masks?),
            ..Self::new(goods, tile, resize)
        })
    }

    /// Sides of the tiles.
    pub fn tile(&self) -> TileSize {
        self.tile
    }

    /// Number of pictures.
    pub fn pictures(&self) -> usize {
        self.pictures.len()
    }

    /// Width and height of a tile that picture `number` fills; the rest is mirrored.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn filled(&self, number: usize) -> [usize; 2] {
        let (picture, tile) = (&self.pictures[number], self.tile);
        [
            picture.width_px.min(tile.width_px as usize),
            picture.height_px.min(tile.height_px as usize),
        ]
    }

    /// A tile from a random place of picture `number`; mirrored where the picture is smaller. Places that
    /// would reach over an edge by up to half a tile are moved to it: a station's tiles begin and end at
    /// the edges, and places drawn evenly would show a column at the edge of 4096 a hundredth as often as
    /// one in the middle.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn cut(&self, number: usize, draws: &mut Draws) -> Cut {
        let place = self.draw_place(number, self.tile, toward_edges, draws);
        let masks = self.product.as_ref();
        Cut {
            tile: piece(&self.pictures[number], place, self.tile),
            product: masks.map(|masks| piece(&masks[number], place, self.tile)),
        }
    }

    /// Column and line of a tile, each by `draw` from the picture's length and the tile's.
    fn draw_place(
        &self,
        number: usize,
        tile: TileSize,
        draw: impl Fn(usize, usize, &mut Draws) -> usize,
        draws: &mut Draws,
    ) -> (i64, i64) {
        let picture = &self.pictures[number];
        let column = draw(picture.width_px, tile.width_px as usize, draws);
        let line = draw(picture.height_px, tile.height_px as usize, draws);
        (column as i64, line as i64)
    }
}

/// Where a tile begins within a length, every place as likely.
fn evenly(length_px: usize, tile_px: usize, draws: &mut Draws) -> usize {
    draws.below(length_px.saturating_sub(tile_px) + 1)
}

/// As [`evenly`] within half a tile more at both ends, then moved within the length.
fn toward_edges(length_px: usize, tile_px: usize, draws: &mut Draws) -> usize {
    match length_px.saturating_sub(tile_px) {
        0 => evenly(length_px, tile_px, draws),
        last => draws
            .below(last + 1 + tile_px)
            .saturating_sub(tile_px / 2)
            .min(last),
    }
}

impl Crops for TileSource {
    fn crop(&self, width_px: usize, height_px: usize, draws: &mut Draws) -> Rgb8 {
        let number = draws.below(self.pictures.len());
        let tile = TileSize {
            width_px: width_px as u32,
            height_px: height_px as u32,
        };
        let place = self.draw_place(number, tile, evenly, draws);
        piece(&self.pictures[number], place, tile)
    }
}

fn piece(picture: &Picture, (column, line): (i64, i64), tile: TileSize) -> Rgb8 {
    let mut planes = vec![0.0; 3 * tile.area()];
    fill_tile(picture, column, line, tile, ColorOrder::Rgb, &mut planes);
    from_planes(&planes, tile)
}

/// White where the mask is set.
fn as_picture(mask: &Mask) -> Picture {
    let levels = mask.defect.iter().map(|&set| 255 * u8::from(set)).collect();
    Picture {
        width_px: mask.width_px,
        height_px: mask.height_px,
        channels: 1,
        samples: Samples::U8(levels),
    }
}

/// The whole picture resized to one tile, its channels kept.
fn resized(picture: &Picture, tile: TileSize, filter: ResizeFilter) -> Picture {
    let mut planes = vec![0.0; 3 * tile.area()];
    fill_resized(picture, tile, filter, ColorOrder::Rgb, &mut planes);
    Picture {
        width_px: tile.width_px as usize,
        height_px: tile.height_px as usize,
        channels: 3,
        samples: Samples::U8(from_planes(&planes, tile).samples),
    }
}

/// 8-bit samples again from planes in [0, 1]; exact for planes that came from 8 bit.
fn from_planes(planes: &[f32], tile: TileSize) -> Rgb8 {
    let mut picture = Rgb8::black(tile.width_px as usize, tile.height_px as usize);
    for (channel, plane) in planes.chunks_exact(tile.area()).enumerate() {
        let samples = picture.samples[channel..].iter_mut().step_by(3);
        for (sample, value) in samples.zip(plane) {
            *sample = (value * 255.0 + 0.5) as u8;
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::Scratch;
    use super::*;

    #[test]
    fn grey_and_colour_are_not_mixed() {
        let scratch = Scratch::new();
        scratch.grey("g.png", 8, 8, 0);
        scratch.colour("c.png", 8, 8, 0);
        let paths = [scratch.path("g.png"), scratch.path("c.png")];
        let error = Goods::open(&paths).err().map(|error| error.to_string());
        let message = error.unwrap_or_default();
        assert!(message.contains("g.png' is grey") && message.contains("c.png' is in colour"));
    }

    /// Three equal channels of levels that depend on `seed`.
    fn grey_in_colour(scratch: &Scratch, name: &str, seed: usize) {
        let level = |i: usize| (i / 3 * 7 + seed) as u8;
        let samples = (0..3 * 64).map(level).collect();
        scratch.picture(name, &Picture::from_rgb8(8, 8, samples).unwrap());
    }

    #[test]
    fn grey_is_what_shows_no_colour_however_it_was_saved() {
        let scratch = Scratch::new();
        scratch.grey("g.png", 8, 8, 0);
        scratch.colour("c.png", 8, 8, 0);
        grey_in_colour(&scratch, "a.png", 1);
        grey_in_colour(&scratch, "b.png", 2);
        let open = |names: &[&str]| {
            let paths: Vec<_> = names.iter().map(|name| scratch.path(name)).collect();
            let goods = Goods::open(&paths).unwrap();
            let channels = goods.pictures().iter().map(|p| p.channels).collect();
            (goods.is_grey(), channels)
        };
        assert_eq!(open(&["a.png", "b.png"]), (true, vec![1, 1]));
        assert_eq!(open(&["a.png", "g.png"]), (true, vec![1, 1]));
        // A colour product may have a picture without colour.
        assert_eq!(open(&["a.png", "c.png", "b.png"]), (false, vec![3; 3]));
        let paths = ["a.png", "c.png", "g.png"].map(|name| scratch.path(name));
        let mixed = Goods::open(&paths).err().map(|error| error.to_string());
        assert!(mixed.is_some_and(|words| words.contains("g.png' is grey")));
    }

    #[test]
    fn every_level_survives_the_way_through_the_station_s_tile_cutter() {
        let scratch = Scratch::new();
        scratch.grey("g.png", 32, 32, 0);
        let goods = Goods::open(&[scratch.path("g.png")]).unwrap();
        let source = TileSource::new(&goods, TileSize::square(32), None);
        let tile = source.cut(0, &mut Draws::of_sample(0, 0)).tile;
        let expected = goods.pictures()[0].to_rgb8();
        assert_eq!(tile.samples, expected);
    }

    #[test]
    fn tiles_begin_at_an_edge_as_often_as_its_pixels_deserve() {
        let mut counts = [0; 97];
        for sample in 0..12_900 {
            counts[toward_edges(128, 32, &mut Draws::of_sample(1, sample))] += 1;
        }
        // 129 places as likely: 17 are either edge's, and one is each other's.
        assert!((1500..1900).contains(&counts[0]) && (1400..1800).contains(&counts[96]));
        assert!(counts[1..96].iter().all(|count| (50..150).contains(count)));
        assert_eq!(toward_edges(32, 32, &mut Draws::of_sample(1, 0)), 0);
        assert_eq!(toward_edges(20, 32, &mut Draws::of_sample(1, 0)), 0);
    }

    #[test]
    fn small_pictures_are_mirrored_and_large_ones_cut_everywhere() {
        let scratch = Scratch::new();
        scratch.grey("small.png", 20, 40, 0);
        let goods = Goods::open(&[scratch.path("small.png")]).unwrap();
        let source = TileSource::new(&goods, TileSize::square(32), None);
        let rgb = goods.pictures()[0].to_rgb8();
        let mut lines = std::collections::BTreeSet::new();
        for sample in 0..200 {
            let tile = source.cut(0, &mut Draws::of_sample(0, sample)).tile;
            let at = |x: usize, y: usize| tile.samples[3 * (y * 32 + x)];
            let line = (0..9).find(|line| (0..20).all(|x| at(x, 0) == rgb[3 * (line * 20 + x)]));
            lines.insert(line);
            assert_eq!(at(20, 3), at(18, 3));
        }
        assert_eq!(lines.len(), 9);
        assert!(!lines.contains(&None));
    }
}
