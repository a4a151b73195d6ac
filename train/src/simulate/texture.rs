//! Where textures come from: a folder of pictures, or the product itself and procedural patterns.

use super::Rgb8;
use super::draws::Draws;
use super::procedural;
use super::rotate::rotate_rgb8;

/// Gives pieces of the product at native resolution.
pub trait Crops: Send + Sync {
    /// A piece of `width_px x height_px` from a random place of a random picture.
    fn crop(&self, width_px: usize, height_px: usize, draws: &mut Draws) -> Rgb8;
}

/// Supplier of textures.
pub enum Textures {
    /// Pictures of a folder, at least one, already resized to the tile as the authors do it.
    Pictures(Vec<Rgb8>),
    /// Half pieces of the product, half procedural patterns, grey for grey product.
    Own { product: Box<dyn Crops>, grey: bool },
}

impl Textures {
    /// One texture of the tile's size.
    pub(super) fn draw(&self, tile: &Rgb8, draws: &mut Draws) -> Rgb8 {
        let (width_px, height_px) = (tile.width_px, tile.height_px);
        match self {
            Textures::Pictures(pictures) => pictures[draws.below(pictures.len())].clone(),
            Textures::Own { product, grey } => {
                if draws.chance(0.5) {
                    let piece = product.crop(width_px, height_px, draws);
                    rotate_rgb8(&piece, 90.0 * f64::from(draws.whole(0, 3)))
                } else {
                    procedural::draw(width_px, height_px, *grey, draws)
                }
            }
        }
    }
}
