//! Simulated anomalies (draem.md 1.5): a clean picture, what the networks see of it, and where a defect
//! was painted.
//!
//! * **clean**: the picture, possibly turned; the target of the reconstruction;
//! * **texture**: a picture that supplies the defect's pixels, changed by three operations;
//! * **mask**: where Perlin noise is above a threshold;
//! * **structure**: a hair, speck or stain drawn onto the picture instead of texture and mask;
//! * **seen**: the texture laid over the clean picture inside the mask;
//! * **recipe**: all the probabilities and ranges.

pub mod augment;
mod draws;
mod perlin;
mod procedural;
mod recipe;
mod rotate;
mod structural;
mod texture;
mod visible;

#[cfg(test)]
mod golden;

pub use draws::Draws;
pub use perlin::Lattice;
pub use recipe::{Preset, Recipe};
pub use rotate::{rotate_plane, rotate_rgb8};
pub use structural::Structure;
pub use texture::{Crops, Textures};

/// An 8-bit picture in R, G, B, row-major, channels interleaved; grey pictures have three equal channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb8 {
    pub width_px: usize,
    pub height_px: usize,
    /// `3 * width_px * height_px` samples.
    pub samples: Vec<u8>,
}

impl Rgb8 {
    /// A black picture.
    pub fn black(width_px: usize, height_px: usize) -> Self {
        Rgb8 {
            width_px,
            height_px,
            samples: vec![0; 3 * width_px * height_px],
        }
    }

    /// Exchanges left and right, and top and bottom.
    fn mirror(&mut self, left_right: bool, top_bottom: bool) {
        let pixels = self.samples.as_chunks_mut::<3>().0;
        match (left_right, top_bottom) {
            (true, true) => pixels.reverse(),
            (true, false) => (pixels.chunks_exact_mut(self.width_px)).for_each(<[_]>::reverse),
            (false, true) => {
                pixels.reverse();
                (pixels.chunks_exact_mut(self.width_px)).for_each(<[_]>::reverse);
            }
            (false, false) => {}
        }
    }

    /// Every pixel's brightness (ITU-R BT.601) in all three channels.
    fn turn_grey(&mut self) {
        for pixel in self.samples.chunks_exact_mut(3) {
            let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
            pixel.fill(((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8);
        }
    }
}

/// Where one sample goes: planes of `width * height` values in [0, 1], three for the pictures in the
/// order R, G, B, one for the mask.
pub struct SampleOut<'a> {
    pub clean: &'a mut [f32],
    pub seen: &'a mut [f32],
    pub mask: &'a mut [f32],
}

/// Times that a defect is drawn before a tile stays clean because none fell on the product.
const ATTEMPTS: usize = 8;

/// Makes samples from clean tiles.
pub struct Simulator {
    pub recipe: Recipe,
    pub textures: Textures,
}

impl Simulator {
    /// One sample of `tile`, all chance from `draws`.
    ///
    /// # Panics
    /// As [`Simulator::paint_on`].
    pub fn paint(&self, tile: Rgb8, draws: &mut Draws, out: SampleOut<'_>) {
        self.paint_on(tile, None, draws, out);
    }

    /// The same with the defect on the product only: `product` is white where that is. A defect that
    /// falls beside it is drawn again a few times.
    ///
    /// # Panics
    /// If `out` does not hold three, three and one planes of the tile's size, if the tile's sides are
    /// not multiples of 32, or if `product` has another size.
    pub fn paint_on(
        &self,
        tile: Rgb8,
        product: Option<Rgb8>,
        draws: &mut Draws,
        out: SampleOut<'_>,
    ) {
        let recipe = &self.recipe;
        let (mut clean, mut product) = (tile, product);
        if draws.chance(recipe.rotation_share) {
            let limit = recipe.rotation_max_degrees;
            let degrees = draws.between(-limit, limit);
            clean = rotate_rgb8(&clean, degrees);
            product = product.map(|product| rotate_rgb8(&product, degrees));
        }
        // Presets that mirror nothing must draw nothing for it: their samples are fixed by seed.
        if recipe.mirror_share > 0.0 {
            let sides = [(); 2].map(|()| draws.chance(recipe.mirror_share));
            for picture in [Some(&mut clean), product.as_mut()].into_iter().flatten() {
                picture.mirror(sides[0], sides[1]);
            }
        }
        self.paint_upright(clean, product, draws, out);
    }

    /// The same on the tile as it lies, neither turned nor mirrored.
    ///
    /// # Panics
    /// As [`Simulator::paint_on`].
    pub fn paint_upright(
        &self,
        clean: Rgb8,
        product: Option<Rgb8>,
        draws: &mut Draws,
        out: SampleOut<'_>,
    ) {
        let recipe = &self.recipe;
        let area = clean.width_px * clean.height_px;
        assert_eq!(out.clean.len(), 3 * area, "planes of the clean picture");
        assert_eq!(out.seen.len(), 3 * area, "planes of the seen picture");
        assert_eq!(out.mask.len(), area, "plane of the mask");
        if let Some(product) = &product {
            assert_eq!(product.samples.len(), 3 * area, "the product's mask");
        }
        to_planes(&clean.samples, out.clean);
        out.seen.copy_from_slice(out.clean);
        out.mask.fill(0.0);
        if draws.chance(recipe.clean_share) {
            return;
        }
        let attempts = if product.is_some() { ATTEMPTS } else { 1 };
        for _ in 0..attempts {
            self.defect(&clean, draws, out.clean, out.seen, out.mask);
            let Some(product) = &product else { return };
            let pixels = product.samples.iter().step_by(3);
            for (pixel, _) in pixels.enumerate().filter(|(_, level)| **level < 128) {
                out.mask[pixel] = 0.0;
                for channel in 0..3 {
                    out.seen[channel * area + pixel] = out.clean[channel * area + pixel];
                }
            }
            if out.mask.contains(&1.0) {
                return;
            }
            out.seen.copy_from_slice(out.clean);
            out.mask.fill(0.0);
        }
    }

    /// Paints one defect onto `seen`, which holds the clean picture, and into the empty `mask`.
    fn defect(
        &self,
        tile: &Rgb8,
        draws: &mut Draws,
        clean: &[f32],
        seen: &mut [f32],
        mask: &mut [f32],
    ) {
        let recipe = &self.recipe;
        if recipe.structure_share > 0.0 && draws.chance(recipe.structure_share) {
            let structure = recipe.structures[draws.below(recipe.structures.len())];
            structure.paint(tile, recipe.grey_structures, draws, seen, mask);
            visible::keep_visible(tile.width_px, clean, seen, mask);
            return;
        }
        self.textured(tile, draws, seen, mask);
        // The authors mark what their textures cover, visible or not.
        if matches!(self.textures, Textures::Own { .. }) {
            visible::keep_visible(tile.width_px, clean, seen, mask);
        }
    }

    /// Paints a texture behind a Perlin mask.
    fn textured(&self, clean: &Rgb8, draws: &mut Draws, seen: &mut [f32], mask: &mut [f32]) {
        let recipe = &self.recipe;
        let area = mask.len();
        let [low, high] = recipe.mask_threshold;
        let threshold = draws.between(low, high);
        let drawn = perlin::draw_mask(clean.width_px, clean.height_px, threshold, draws);
        if !drawn.contains(&true) {
            return;
        }
        let texture = self.texture(clean, draws);
        let weight = draws.between(recipe.texture_weight_min, 1.0) as f32;
        for (channel, seen) in seen.chunks_exact_mut(area).enumerate() {
            let texture = texture.samples[channel..].iter().step_by(3);
            let pixels = seen.iter_mut().zip(texture).zip(&drawn);
            for ((seen, texture), _) in pixels.filter(|(_, drawn)| **drawn) {
                *seen = weight * (f32::from(*texture) / 255.0) + (1.0 - weight) * *seen;
            }
        }
        for (value, _) in mask.iter_mut().zip(&drawn).filter(|(_, drawn)| **drawn) {
            *value = 1.0;
        }
    }

    /// A texture of the tile's size after its operations.
    fn texture(&self, tile: &Rgb8, draws: &mut Draws) -> Rgb8 {
        let recipe = &self.recipe;
        let mut texture = self.textures.draw(tile, draws);
        let count = recipe.operations_per_texture;
        for kind in augment::draw_kinds(&recipe.operations, count, draws) {
            augment::Operation::draw(kind, draws).apply(&mut texture);
        }
        if recipe.grey_textures {
            texture.turn_grey();
        }
        texture
    }
}

/// Interleaved 8-bit samples as planes in [0, 1].
fn to_planes(samples: &[u8], planes: &mut [f32]) {
    let area = planes.len() / 3;
    for (channel, plane) in planes.chunks_exact_mut(area.max(1)).enumerate() {
        for (value, &level) in plane.iter_mut().zip(samples[channel..].iter().step_by(3)) {
            *value = f32::from(level) / 255.0;
        }
    }
}
