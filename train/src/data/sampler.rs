//! Batches by number.

use super::pictures::Cut;
use super::walk::pictures_below;
use super::{DataError, TileSource};
use crate::backend::Batch;
use crate::simulate::{Draws, Rgb8, SampleOut, Simulator};
use blemish::geometry::TileSize;
use blemish::picture::{Picture, resize_bilinear_u8};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// Samples of validation are numbered from here, out of training's reach.
const VALIDATION: u64 = 1 << 63;

/// Textures kept in memory are fewer where all would exceed this.
const TEXTURE_LIMIT_BYTES: usize = 512 << 20;

/// Makes batch `k` from samples `k * batch ..`, each a function of seed and sample number only: the
/// same whatever the number of threads and whatever was made before.
pub struct Sampler {
    tiles: Arc<TileSource>,
    simulator: Simulator,
    seed: u64,
    batch: usize,
    pool: rayon::ThreadPool,
}

impl Sampler {
    /// Batches of `batch` tiles from `tiles`, made by `threads` threads of their own.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(
        tiles: Arc<TileSource>,
        simulator: Simulator,
        seed: u64,
        batch: usize,
        threads: usize,
    ) -> Result<Self, DataError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|number| format!("simulate-{number}"))
            .build()
            .map_err(|error| DataError::Threads {
                threads,
                reason: error.to_string(),
            })?;
        Ok(Sampler {
            tiles,
            simulator,
            seed,
            batch,
            pool,
        })
    }

    /// Batch `number` of training; pictures are drawn with replacement, as the authors do.
    pub fn batch(&self, number: u64) -> Batch {
        let first = number.wrapping_mul(self.batch as u64) % VALIDATION;
        let any = |_, draws: &mut Draws| draws.below(self.tiles.pictures());
        self.make(&self.tiles, self.batch, any, |_| false, first)
    }

    /// Batches of validation: one tile each of held-out pictures, `rounds` times over, with simulated
    /// defects; the same at every call. A picture smaller than a tile is neither turned nor mirrored, so that it lies
    /// where it is scored.
    pub fn validation<'a>(
        &'a self,
        held_out: &'a TileSource,
        rounds: usize,
    ) -> impl Iterator<Item = Batch> + 'a {
        let total = held_out.pictures() * rounds;
        let tile = held_out.tile();
        let whole = [tile.width_px as usize, tile.height_px as usize];
        let is_small = move |number: usize| held_out.filled(number) != whole;
        (0..total).step_by(self.batch.max(1)).map(move |first| {
            let count = self.batch.min(total - first);
            let number = |place: usize| (first + place) % held_out.pictures();
            let drawn = |place: usize, _: &mut Draws| number(place);
            let mut batch = self.make(held_out, count, drawn, is_small, VALIDATION + first as u64);
            // Goods are scored as the station scores them, without what is mirrored beyond them.
            batch.scored = (0..count)
                .map(|place| held_out.filled(number(place)))
                .collect();
            batch
        })
    }

    fn make(
        &self,
        tiles: &TileSource,
        pictures: usize,
        number: impl Fn(usize, &mut Draws) -> usize + Sync,
        upright: impl Fn(usize) -> bool + Sync,
        first_sample: u64,
    ) -> Batch {
        let tile = tiles.tile();
        let area = tile.area();
        let mut batch = Batch {
            pictures,
            width_px: tile.width_px as usize,
            height_px: tile.height_px as usize,
            clean: vec![0.0; pictures * 3 * area],
            seen: vec![0.0; pictures * 3 * area],
            mask: vec![0.0; pictures * area],
            scored: Vec::new(),
        };
        let places = batch
            .clean
            .par_chunks_exact_mut(3 * area)
            .zip(batch.seen.par_chunks_exact_mut(3 * area))
            .zip(batch.mask.par_chunks_exact_mut(area))
            .enumerate();
        self.pool.install(|| {
            places.for_each(|(place, ((clean, seen), mask))| {
                let mut draws = Draws::of_sample(self.seed, first_sample + place as u64);
                let picture = number(place, &mut draws);
                let Cut { tile, product } = tiles.cut(picture, &mut draws);
                let out = SampleOut { clean, seen, mask };
                match upright(picture) {
                    true => (self.simulator).paint_upright(tile, product, &mut draws, out),
                    false => self.simulator.paint_on(tile, product, &mut draws, out),
                }
            });
        });
        batch
    }
}

/// Pictures in and below `folder`, resized to the tile as the authors do (8 bit, bilinear, aspect ratio
/// not kept). Where all would need more than 512 MiB, every n-th is taken.
///
/// # Errors
/// Where the folder or a picture cannot be read, or there is none.
pub fn load_textures(folder: &Path, tile: TileSize) -> Result<Vec<Rgb8>, DataError> {
    let paths = pictures_below(folder)?;
    if paths.is_empty() {
        return Err(DataError::NoTextures {
            path: folder.to_owned(),
        });
    }
    let affordable = (TEXTURE_LIMIT_BYTES / (3 * tile.area())).max(1);
    let every = paths.len().div_ceil(affordable);
    let (width_px, height_px) = (tile.width_px as usize, tile.height_px as usize);
    paths
        .into_par_iter()
        .step_by(every)
        .map(|path| {
            let picture = Picture::open(&path)?;
            let rgb = picture.to_rgb8();
            let (from_width, from_height) = (picture.width_px, picture.height_px);
            let samples = resize_bilinear_u8(&rgb, 3, from_width, from_height, width_px, height_px);
            Ok(Rgb8 {
                width_px,
                height_px,
                samples,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::Scratch;
    use super::super::{Goods, Product};
    use super::*;
    use crate::simulate::{Preset, Recipe, Textures};

    fn sampler(scratch: &Scratch, threads: usize, own: bool) -> (Sampler, Arc<TileSource>) {
        for number in 0..3 {
            scratch.grey(&format!("{number}.png"), 100, 70, number);
        }
        let paths: Vec<_> = (0..3).map(|n| scratch.path(&format!("{n}.png"))).collect();
        let goods = Goods::open(&paths).unwrap();
        let tiles = Arc::new(TileSource::new(&goods, TileSize::square(64), None));
        let textures = if own {
            let product = Box::new(TileSource::new(&goods, TileSize::square(64), None));
            Textures::Own {
                product,
                grey: true,
            }
        } else {
            scratch.colour("t/t.png", 30, 40, 3);
            Textures::Pictures(load_textures(&scratch.path("t"), TileSize::square(64)).unwrap())
        };
        let simulator = Simulator {
            recipe: Recipe::new(Preset::Official, false),
            textures,
        };
        let sampler = Sampler::new(Arc::clone(&tiles), simulator, 7, 5, threads).unwrap();
        (sampler, tiles)
    }

    #[test]
    fn a_batch_depends_on_its_number_only() {
        let scratch = Scratch::new();
        let (one, _) = sampler(&scratch, 1, false);
        let (three, _) = sampler(&scratch, 3, false);
        let ninth = one.batch(9);
        assert_eq!(ninth, one.batch(9));
        for number in [2, 9] {
            assert_eq!(one.batch(number), three.batch(number));
        }
        assert_ne!(one.batch(9), one.batch(10));
    }

    #[test]
    fn a_sample_is_the_same_in_batches_of_another_size() {
        let scratch = Scratch::new();
        let (mut sampler, _) = sampler(&scratch, 1, true);
        let fives = sampler.batch(1);
        sampler.batch = 1;
        let single = sampler.batch(7);
        assert_eq!(fives.seen[2 * 3 * 4096..3 * 3 * 4096], single.seen);
    }

    #[test]
    fn what_is_seen_differs_from_clean_only_inside_the_mask() {
        let scratch = Scratch::new();
        let (sampler, _) = sampler(&scratch, 1, false);
        let (mut painted, mut samples) = (0, 0);
        for number in 0..40 {
            let batch = sampler.batch(number);
            let in_range = |values: &[f32]| values.iter().all(|v| (0.0..=1.0).contains(v));
            assert!(in_range(&batch.clean) && in_range(&batch.seen));
            for (place, mask) in batch.mask.chunks_exact(4096).enumerate() {
                assert!(mask.iter().all(|&v| v == 0.0 || v == 1.0));
                painted += usize::from(mask.contains(&1.0));
                samples += 1;
                for plane in 0..3 {
                    let range = (3 * place + plane) * 4096..(3 * place + plane + 1) * 4096;
                    let pixels = batch.seen[range.clone()].iter().zip(&batch.clean[range]);
                    for ((seen, clean), mask) in pixels.zip(mask) {
                        assert!(*mask == 1.0 || seen == clean);
                    }
                }
            }
        }
        // 47 % of 200 samples carry a defect (draem.md 1.5); four standard errors either way.
        assert!((66..=122).contains(&painted), "{painted} of {samples}");
    }

    #[test]
    fn defects_lie_on_the_product_and_are_nearly_as_many() {
        let scratch = Scratch::new();
        let (mut sampler, _) = sampler(&scratch, 1, true);
        // Product on the right, bright; black beside it. Turning a tile turns both alike.
        let half = |level: u8| {
            let samples = (0..7000).map(|i| if i % 100 >= 50 { level } else { 0 });
            Picture::from_grey8(100, 70, samples.collect()).unwrap()
        };
        scratch.picture("half.png", &half(200));
        scratch.picture("mask.png", &half(255));
        let paths = [scratch.path("half.png")];
        let goods = Goods::open(&paths).unwrap();
        let product = Product::Masks(scratch.path("mask.png"));
        let folder = scratch.path("");
        let place = (&product, folder.as_path(), &paths[..]);
        let tiles = TileSource::on_product(&goods, TileSize::square(64), None, place).unwrap();
        sampler.tiles = Arc::new(tiles);
        let mut painted = 0;
        for number in 0..40 {
            let batch = sampler.batch(number);
            for (place, mask) in batch.mask.chunks_exact(4096).enumerate() {
                let clean = &batch.clean[3 * 4096 * place..][..4096];
                let beside = mask
                    .iter()
                    .zip(clean)
                    .filter(|(mask, v)| **mask > 0.0 && **v < 0.38);
                assert_eq!(beside.count(), 0, "sample {place} of batch {number}");
                painted += usize::from(mask.contains(&1.0));
            }
        }
        // Half of 200 stay clean; four standard errors either way, and few tiles without any product.
        assert!((60..=128).contains(&painted), "{painted} of 200");
    }

    #[test]
    fn validation_shows_every_held_out_picture_and_never_changes() {
        let scratch = Scratch::new();
        let (sampler, tiles) = sampler(&scratch, 1, true);
        let batches: Vec<Batch> = sampler.validation(&tiles, 3).collect();
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.pictures).collect();
        assert_eq!(sizes, [5, 4]);
        let longer: Vec<Batch> = sampler.validation(&tiles, 5).take(1).collect();
        assert_eq!(batches[..1], longer);
        assert_ne!(batches[0].seen, sampler.batch(0).seen);
        assert_eq!(batches[0].scored(4), [64, 64]);
    }

    #[test]
    fn of_small_pictures_only_what_they_fill_is_scored() {
        let scratch = Scratch::new();
        let (sampler, _) = sampler(&scratch, 1, true);
        scratch.grey("small.png", 40, 90, 1);
        let goods = Goods::open(&[scratch.path("small.png")]).unwrap();
        let small = TileSource::new(&goods, TileSize::square(64), None);
        let batch = sampler.validation(&small, 1).next().unwrap();
        assert_eq!(batch.scored(0), [40, 64]);
        let plane: Vec<f32> = (0..4096).map(|i| (i % 64) as f32).collect();
        let part = batch.crop(&plane, 0);
        assert_eq!(part.len(), 40 * 64);
        assert!(part.iter().all(|&column| column < 40.0));
    }

    #[test]
    fn small_pictures_lie_where_they_are_scored_and_others_are_turned_as_ever() {
        let scratch = Scratch::new();
        for preset in [Preset::Structural, Preset::Official] {
            let (mut sampler, large) = sampler(&scratch, 1, true);
            sampler.simulator.recipe = Recipe::new(preset, true);
            scratch.grey("small.png", 40, 50, 1);
            let goods = Goods::open(&[scratch.path("small.png")]).unwrap();
            let small = TileSource::new(&goods, TileSize::square(64), None);
            let levels = goods.pictures()[0].to_rgb8();
            let pixels: Vec<f32> = levels
                .as_chunks::<3>()
                .0
                .iter()
                .map(|pixel| f32::from(pixel[0]) / 255.0)
                .collect();
            let mut painted = 0;
            for batch in sampler.validation(&small, 40) {
                for place in 0..batch.pictures {
                    let plane = |planes: &[f32]| {
                        let first = 3 * 4096 * place;
                        batch.crop(&planes[first..first + 4096], place).into_owned()
                    };
                    assert_eq!(plane(&batch.clean), pixels, "{preset:?}");
                    let whole = &batch.mask[4096 * place..][..4096];
                    let mask = batch.crop(whole, place);
                    painted += usize::from(mask.contains(&1.0));
                    // A structure's edge is soft, and marked where it covers half.
                    let soft = preset == Preset::Structural && whole.contains(&1.0);
                    for (at, seen) in plane(&batch.seen).iter().enumerate() {
                        let unchanged = *seen == pixels[at];
                        assert!(unchanged || soft || mask[at] == 1.0, "{preset:?}");
                    }
                }
            }
            // Half of 40 carry a defect, some of them beyond the picture.
            assert!((5..35).contains(&painted), "{painted} of 40");

            for (number, batch) in sampler.validation(&large, 10).enumerate() {
                for place in 0..batch.pictures {
                    let sample = 5 * number + place;
                    let mut draws = Draws::of_sample(7, VALIDATION + sample as u64);
                    let tile = large.cut(sample % 3, &mut draws).tile;
                    let mut planes = [vec![0.0; 3 * 4096], vec![0.0; 3 * 4096], vec![0.0; 4096]];
                    let [clean, seen, mask] = &mut planes;
                    let out = SampleOut { clean, seen, mask };
                    sampler.simulator.paint_on(tile, None, &mut draws, out);
                    let [clean, seen, mask] = planes;
                    assert_eq!(clean, batch.clean[3 * 4096 * place..][..3 * 4096]);
                    assert_eq!(seen, batch.seen[3 * 4096 * place..][..3 * 4096]);
                    assert_eq!(mask, batch.mask[4096 * place..][..4096]);
                }
            }
        }
    }

    #[test]
    fn a_texture_folder_without_pictures_is_refused() {
        let scratch = Scratch::new();
        scratch.text("t/a.txt", "");
        let error = load_textures(&scratch.path("t"), TileSize::square(32)).unwrap_err();
        assert!(matches!(error, DataError::NoTextures { .. }));
    }
}
