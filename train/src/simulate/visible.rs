//! What nobody can see is no defect: texture as black as the tile behind it must not be marked.

/// A change by less than one level of 8 bit is none.
const LEVEL: f32 = 1.0 / 255.0;
/// A marked pixel stays marked where one at most this far away is visibly changed: a defect may cross the
/// product's own level somewhere.
const REACH_PX: usize = 2;
/// And where the tile is not this flat within the same reach: there a pixel is like the product by chance,
/// the more often the fewer are marked.
const FLAT: f32 = 2.5 * LEVEL;

/// Takes from `mask` and from `seen` what differs by no level from a flat part of `clean`: all are planes of
/// `width` pixels in a row, the pictures three. Where nothing is left, the sample is a clean one.
pub(super) fn keep_visible(width: usize, clean: &[f32], seen: &mut [f32], mask: &mut [f32]) {
    let area = mask.len();
    if width == 0 || !mask.contains(&1.0) {
        return;
    }
    let around =
        |at: usize, side: usize| at.saturating_sub(REACH_PX)..(at + REACH_PX + 1).min(side);
    let is_hidden = |seen: &[f32], place: usize| {
        let (columns, rows) = (
            around(place % width, width),
            around(place / width, area / width),
        );
        (0..3).all(|channel| {
            let plane = channel * area..(channel + 1) * area;
            let (clean, seen) = (&clean[plane.clone()], &seen[plane]);
            rows.clone().all(|row| {
                columns.clone().all(|column| {
                    let at = row * width + column;
                    (seen[at] - clean[at]).abs() < LEVEL && (clean[at] - clean[place]).abs() < FLAT
                })
            })
        })
    };
    let marked = (0..area).filter(|&place| mask[place] == 1.0);
    let hidden: Vec<usize> = marked.filter(|&place| is_hidden(seen, place)).collect();
    if hidden.is_empty() {
        return;
    }
    for &place in &hidden {
        mask[place] = 0.0;
        for channel in 0..3 {
            seen[channel * area + place] = clean[channel * area + place];
        }
    }
    if !mask.contains(&1.0) {
        seen.copy_from_slice(clean);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        Crops, Draws, Preset, Recipe, Rgb8, SampleOut, Simulator, Structure, Textures,
    };
    use super::*;

    const SIDE: usize = 64;
    const AREA: usize = SIDE * SIDE;

    fn flat(level: u8) -> Rgb8 {
        Rgb8 {
            width_px: SIDE,
            height_px: SIDE,
            samples: vec![level; 3 * AREA],
        }
    }

    /// A product that looks the same everywhere.
    struct Product(u8);

    impl Crops for Product {
        fn crop(&self, _: usize, _: usize, draws: &mut Draws) -> Rgb8 {
            draws.unit();
            flat(self.0)
        }
    }

    /// Clean, seen and mask of `count` samples of a tile of one level that the product has everywhere.
    fn samples(recipe: Recipe, textures: Textures, tile: Rgb8, count: u64) -> Vec<[Vec<f32>; 3]> {
        let simulator = Simulator { recipe, textures };
        (0..count)
            .map(|sample| {
                let [mut clean, mut seen] = [(); 2].map(|()| vec![0.0; 3 * AREA]);
                let mut mask = vec![0.0; AREA];
                let out = SampleOut {
                    clean: &mut clean,
                    seen: &mut seen,
                    mask: &mut mask,
                };
                simulator.paint(tile.clone(), &mut Draws::of_sample(4, sample), out);
                [clean, seen, mask]
            })
            .collect()
    }

    fn own(level: u8) -> Textures {
        Textures::Own {
            product: Box::new(Product(level)),
            grey: true,
        }
    }

    fn changed([clean, seen, _]: &[Vec<f32>; 3], place: usize) -> bool {
        (0..3).any(|c| (seen[c * AREA + place] - clean[c * AREA + place]).abs() >= LEVEL)
    }

    #[test]
    fn on_black_and_white_what_is_marked_is_seen() {
        for level in [0, 255] {
            for structure_share in [0.0, 1.0] {
                let recipe = Recipe {
                    structure_share,
                    clean_share: 0.0,
                    rotation_share: 0.0,
                    structures: Structure::ALL.to_vec(),
                    ..Recipe::new(Preset::Official, true)
                };
                let all = samples(recipe, own(level), flat(level), 200);
                let is_marked = |sample: &&[Vec<f32>; 3]| sample[2].contains(&1.0);
                let marked: Vec<_> = all.iter().filter(is_marked).collect();
                // Of textures a half are pieces of the very same product; few structures miss the tile.
                let least = if structure_share > 0.0 { 140 } else { 60 };
                assert!(marked.len() > least, "{} on {level}", marked.len());
                for sample in &all {
                    let inside = (0..AREA).filter(|&place| sample[2][place] == 1.0);
                    let hidden = inside.filter(|&place| {
                        let near = |at: usize| at.saturating_sub(2)..(at + 3).min(SIDE);
                        let mut around = near(place / SIDE)
                            .flat_map(|y| near(place % SIDE).map(move |x| y * SIDE + x));
                        !around.any(|place| changed(sample, place))
                    });
                    assert_eq!(
                        hidden.count(),
                        0,
                        "on {level}, structures {structure_share}"
                    );
                    let is_clean = !sample[2].contains(&1.0);
                    assert!(!is_clean || structure_share > 0.0 || sample[0] == sample[1]);
                }
            }
        }
    }

    #[test]
    fn structures_have_as_much_contrast_on_black_as_elsewhere() {
        for (level, sign) in [(0, 1.0), (255, -1.0)] {
            let tile = flat(level);
            let clean = vec![f32::from(level) / 255.0; 3 * AREA];
            for sample in 0..100 {
                for structure in Structure::ALL {
                    let (mut seen, mut mask) = (clean.clone(), vec![0.0; AREA]);
                    let draws = &mut Draws::of_sample(2, sample);
                    structure.paint(&tile, true, draws, &mut seen, &mut mask);
                    for place in (0..AREA).filter(|&place| mask[place] == 1.0) {
                        let change = sign * (seen[place] - clean[place]);
                        assert!(change > 4.4 / 255.0, "{structure:?} by {change} on {level}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_authors_textures_are_marked_as_they_do_it() {
        let recipe = Recipe {
            clean_share: 0.0,
            operations_per_texture: 0,
            ..Recipe::new(Preset::Official, true)
        };
        let textures = Textures::Pictures(vec![flat(0)]);
        let all = samples(recipe, textures, flat(0), 40);
        let marked = all.iter().filter(|sample| sample[2].contains(&1.0)).count();
        assert!(marked > 30, "{marked}");
    }

    #[test]
    fn ordinary_tiles_keep_every_bit() {
        let mut noise = Draws::of_sample(9, 9);
        let mut tile = flat(0);
        for pixel in tile.samples.as_chunks_mut::<3>().0 {
            *pixel = [100 + noise.below(30) as u8; 3];
        }
        let of_level = |level: &u8| f32::from(*level) / 255.0;
        let clean: Vec<f32> = (0..3)
            .flat_map(|channel| tile.samples[channel..].iter().step_by(3).map(of_level))
            .collect();
        let simulator = Simulator {
            recipe: Recipe::new(Preset::Structural, true),
            textures: own(110),
        };
        for sample in 0..300 {
            let draws = &mut Draws::of_sample(6, sample);
            let (mut seen, mut mask) = (clean.clone(), vec![0.0; AREA]);
            match sample % 2 {
                0 => simulator.textured(&tile, draws, &mut seen, &mut mask),
                _ => {
                    let structure = Structure::ALL[draws.below(5)];
                    structure.paint(&tile, true, draws, &mut seen, &mut mask);
                }
            }
            let before = (seen.clone(), mask.clone());
            keep_visible(SIDE, &clean, &mut seen, &mut mask);
            assert!((seen, mask) == before, "sample {sample}");
        }
    }
}
