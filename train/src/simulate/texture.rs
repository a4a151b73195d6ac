//! Where textures come from: a folder of pictures, or the product itself and procedural patterns.

use super::Rgb8;
use super::draws::Draws;
use super::procedural;

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
                    product_piece(&**product, tile, draws)
                } else {
                    procedural::draw(width_px, height_px, *grey, draws)
                }
            }
        }
    }
}

/// A piece of the product, turned by up to three right angles; it fills the tile whichever way it lies.
fn product_piece(product: &dyn Crops, tile: &Rgb8, draws: &mut Draws) -> Rgb8 {
    let (width_px, height_px) = (tile.width_px, tile.height_px);
    // Square tiles draw in the order that their samples have always been drawn in.
    if width_px == height_px {
        let piece = product.crop(width_px, height_px, draws);
        return quarter_turns(&piece, draws.whole(0, 3));
    }
    let quarters = draws.whole(0, 3);
    let (across, down) = match quarters % 2 {
        0 => (width_px, height_px),
        _ => (height_px, width_px),
    };
    quarter_turns(&product.crop(across, down, draws), quarters)
}

/// `picture` turned by right angles, each of which turns +x towards +y.
fn quarter_turns(picture: &Rgb8, quarters: i32) -> Rgb8 {
    let (width, height) = (picture.width_px, picture.height_px);
    let (across, down) = match quarters % 2 {
        0 => (width, height),
        _ => (height, width),
    };
    let mut turned = Rgb8::black(across, down);
    let pixels = picture.samples.as_chunks::<3>().0;
    for (place, pixel) in turned.samples.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (place % across, place / across);
        let (column, row) = match quarters {
            0 => (x, y),
            1 => (y, height - 1 - x),
            2 => (width - 1 - x, height - 1 - y),
            _ => (width - 1 - y, x),
        };
        *pixel = pixels[row * width + column];
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::super::rotate::rotate_rgb8;
    use super::*;

    fn noise(width_px: usize, height_px: usize) -> Rgb8 {
        let mut draws = Draws::of_sample(3, 1);
        let samples = (0..3 * width_px * height_px).map(|_| 1 + draws.below(255) as u8);
        Rgb8 {
            width_px,
            height_px,
            samples: samples.collect(),
        }
    }

    struct Noise;

    impl Crops for Noise {
        fn crop(&self, width_px: usize, height_px: usize, draws: &mut Draws) -> Rgb8 {
            draws.unit();
            noise(width_px, height_px)
        }
    }

    #[test]
    fn right_angles_of_square_pieces_are_those_of_any_rotation() {
        for side in [32, 96, 128] {
            let piece = noise(side, side);
            for quarters in 0..4 {
                let turned = rotate_rgb8(&piece, 90.0 * f64::from(quarters));
                assert_eq!(quarter_turns(&piece, quarters), turned, "{quarters}");
            }
        }
    }

    #[test]
    fn pieces_fill_tiles_that_are_not_square() {
        let tile = Rgb8::black(96, 32);
        let mut turned = 0;
        for sample in 0..40 {
            let piece = product_piece(&Noise, &tile, &mut Draws::of_sample(1, sample));
            assert_eq!((piece.width_px, piece.height_px), (96, 32));
            assert!(!piece.samples.contains(&0));
            turned += usize::from(piece == quarter_turns(&noise(32, 96), 1));
        }
        assert!(turned > 0);
    }
}
