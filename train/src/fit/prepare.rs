//! Everything a run takes from the disk: pictures split, decoded and ready to be cut and painted.

use super::Source;
use crate::backend::Batch;
use crate::checkpoint::Checkpoint;
use crate::config::{FitConfig, Recipe};
use crate::data::{
    Class, Content, DataError, Goods, Sampler, TileSource, contents, fingerprint_below, hold_out,
    load_textures, name_below,
};
use crate::simulate::{self, Simulator, Textures};
use blemish::picture::Picture;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tiles of a validation: enough for a steady figure, few enough to cost little.
const VALIDATION_TILES: usize = 64;
/// Tiles that a finished run is judged by. Over 64 the best of six windows was a matter of chance.
const JUDGED_TILES: usize = 512;
/// How many times as many tiles a run learns from as it is judged by, so that judging costs it a few
/// hundredths at most.
const LEARNT_PER_JUDGED: u64 = 8;
/// Held-out pictures in memory at a time while they are tried.
const TRIED_PICTURES: usize = 16;
/// Held-out pictures that are named where they are copies.
const NAMED: usize = 8;
/// Held-out pictures that a validation looks at.
const VALIDATION_PICTURES: usize = 128;

/// The pictures of a run.
pub struct Prepared {
    /// Good pictures for training.
    pub trained: Vec<PathBuf>,
    /// Good pictures that training never sees, neither they nor copies of them; each content once.
    pub held_out: Vec<PathBuf>,
    /// Pictures that were held out but are training pictures, or other held-out ones, under other names.
    pub copies: Vec<PathBuf>,
    pub grey: bool,
    /// Mean of the training pictures by channel, 8 bit.
    pub mean: [u8; 3],
    /// SHA-256 over names and contents of all good pictures.
    pub fingerprint: String,
    /// [`Content::short`](crate::data::Content::short) of the training pictures, sorted.
    pub trained_contents: Vec<String>,
    /// Pictures that defects are painted from; 0 where they come from the product itself.
    pub textures: usize,
    /// SHA-256 of their contents, where there are any.
    pub textures_fingerprint: Option<String>,
    /// SHA-256 of the masks that say where the product is, where there are any.
    pub masks_fingerprint: Option<String>,
    /// Simulated defects on held-out goods; empty where none are held out.
    pub validation: Vec<Batch>,
    /// Folder of the class.
    folder: PathBuf,
    sampler: Sampler,
}

impl Prepared {
    /// Finds, splits and decodes the pictures that `config` names.
    ///
    /// # Errors
    /// Names the folder or picture that cannot be used.
    pub fn open(config: &FitConfig) -> Result<Self, DataError> {
        let recipe = &config.recipe;
        let class = Class::find(&config.pictures)?;
        let (train, held_out) =
            hold_out(&class.folder, &class.goods, recipe.hold_out, recipe.seed)?;
        let goods = Goods::open(&train)?;
        let (grey, mean) = (goods.is_grey(), mean(goods.pictures()));
        try_held_out(&held_out, grey, &train)?;
        let tiles = Arc::new(tiles_of(recipe, &goods, &class.folder, &train)?);
        let (textures, source) = match &recipe.textures {
            Some(folder) => {
                let pictures = load_textures(folder, recipe.tile)?;
                (pictures.len(), Textures::Pictures(pictures))
            }
            None => {
                let product = Box::new(TileSource::new(
                    &goods,
                    recipe.tile,
                    recipe.whole_pictures(),
                ));
                (0, Textures::Own { product, grey })
            }
        };
        drop(goods);
        let textures_fingerprint = recipe.textures.as_deref().map(fingerprint_below);
        let simulator = Simulator {
            recipe: simulate::Recipe::new(recipe.simulation, grey),
            textures: source,
        };
        // One thread: simulation runs beside the step, whose engine has the threads.
        let sampler = Sampler::new(tiles, simulator, recipe.seed, recipe.batch, 1)?;
        let contents = contents(&class.goods)?;
        let (held_out, copies) = unseen(&class, &contents, &train, held_out)?;
        let shown = shown(&held_out);
        let mut validation = Vec::new();
        if !shown.is_empty() {
            let tiles = tiles_of(recipe, &Goods::open(&shown)?, &class.folder, &shown)?;
            let rounds = VALIDATION_TILES.div_ceil(shown.len());
            validation.extend(sampler.validation(&tiles, rounds));
            both_kinds(&validation)?;
        }
        let trained: HashSet<&PathBuf> = train.iter().collect();
        let mut trained_contents: Vec<String> = (class.goods.iter().zip(&contents))
            .filter(|(path, _)| trained.contains(path))
            .map(|(_, content)| content.short())
            .collect();
        trained_contents.sort();
        Ok(Self {
            trained: train,
            held_out,
            copies,
            grey,
            mean,
            fingerprint: class.fingerprint_of(&contents),
            trained_contents,
            textures,
            textures_fingerprint: textures_fingerprint.transpose()?,
            masks_fingerprint: match &recipe.product {
                Some(product) => product.fingerprint(&class.folder, &class.goods)?,
                None => None,
            },
            validation,
            folder: class.folder,
            sampler,
        })
    }
}

impl Prepared {
    /// Whether defects are painted from the textures that `checkpoint` was trained with, wherever they are now, and
    /// where its masks let them be.
    ///
    /// # Errors
    /// They are others, or nothing tells whether they are; a sentence for people.
    pub fn check_painted(&self, recipe: &Recipe, checkpoint: &Checkpoint) -> Result<(), String> {
        if !same_masks(recipe, self.masks_fingerprint.as_deref(), checkpoint)? {
            let place =
                (recipe.product.as_ref()).map_or(String::new(), |place| format!(" in {place}"));
            return Err(format!(
                "the product's masks{place} are not those the run began with; restore them, or say where those are now \
                 with 'fit --resume RUNDIR --product MASKS'"
            ));
        }
        match same_textures(recipe, self.textures_fingerprint.as_deref(), checkpoint)? {
            true => Ok(()),
            false => Err(format!(
                "the textures in {} are not those the run began with; restore them, or say where those are now with \
                 'fit --resume RUNDIR --textures DIR'",
                recipe
                    .textures
                    .as_deref()
                    .unwrap_or(Path::new(""))
                    .display()
            )),
        }
    }

    /// The held-out goods that a finished run is judged on, read again: they are too many to be kept while it
    /// learns.
    ///
    /// # Errors
    /// None is held out, or one cannot be read any more.
    pub fn held_tiles(&self, recipe: &Recipe) -> Result<TileSource, DataError> {
        let shown = shown(&self.held_out);
        tiles_of(recipe, &Goods::open(&shown)?, &self.folder, &shown)
    }

    /// What a finished run is judged by: the tiles of [`Prepared::validation`] first, then more of their kind,
    /// made of `held` as they are taken.
    pub fn judged<'a>(
        &'a self,
        recipe: &Recipe,
        held: &'a TileSource,
    ) -> impl Iterator<Item = Batch> + 'a {
        let tiles = judged_tiles(recipe.steps, recipe.batch);
        let rounds = tiles.div_ceil(held.pictures().max(1));
        self.sampler.validation(held, rounds)
    }
}

/// Whether the product's masks of `recipe`, whose contents have the fingerprint `now`, are those of `checkpoint`. Where
/// it does not say what they were, their place decides.
///
/// # Errors
/// Its recipe cannot be read.
pub fn same_masks(
    recipe: &Recipe,
    now: Option<&str>,
    checkpoint: &Checkpoint,
) -> Result<bool, String> {
    match &checkpoint.masks {
        Some(before) => Ok(now == Some(before.as_str())),
        None => Ok(recipe.product == checkpoint.recipe()?.product),
    }
}

/// Whether the textures of `recipe`, whose contents have the fingerprint `now`, are those of `checkpoint`. Where it
/// does not say what they were, their place decides.
///
/// # Errors
/// Its recipe cannot be read.
pub fn same_textures(
    recipe: &Recipe,
    now: Option<&str>,
    checkpoint: &Checkpoint,
) -> Result<bool, String> {
    match &checkpoint.textures {
        Some(before) => Ok(now == Some(before.as_str())),
        None => Ok(recipe.textures == checkpoint.recipe()?.textures),
    }
}

/// The held-out pictures whose contents are not among those of the training pictures, under another name, nor of
/// held-out ones before them: a copy says nothing about pictures that training never saw, or nothing further; these
/// come second. They stay out of training, so that a seed keeps its split.
fn unseen(
    class: &Class,
    contents: &[Content],
    train: &[PathBuf],
    held_out: Vec<PathBuf>,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let of: HashMap<&PathBuf, &Content> = class.goods.iter().zip(contents).collect();
    let trained: HashMap<&Content, &PathBuf> = (train.iter())
        .filter_map(|path| Some((*of.get(path)?, path)))
        .collect();
    let mut first: HashMap<&Content, PathBuf> = HashMap::new();
    let (mut left, mut copies) = (Vec::new(), Vec::new());
    // Of training pictures and of other held-out ones.
    let mut repeated = [Vec::new(), Vec::new()];
    for path in held_out {
        let content = of.get(&path).copied();
        let twin = content.and_then(|content| {
            let trained = trained.get(content).map(|twin| (0, twin.as_path()));
            trained.or_else(|| first.get(content).map(|twin| (1, twin.as_path())))
        });
        if let Some((kind, twin)) = twin {
            let names = [path.as_path(), twin].map(|path| name_below(&class.folder, path));
            repeated[kind].push(format!("'{}' is '{}'", names[0], names[1]));
            copies.push(path);
            continue;
        }
        if let Some(content) = content {
            first.insert(content, path.clone());
        }
        left.push(path);
    }
    let all = left.len() + copies.len();
    let [of_training, of_held_out] = &repeated;
    if left.is_empty() && all > 0 {
        return Err(DataError::NothingHeldOut {
            repeated: named(of_training),
        });
    }
    let kinds = [
        (of_training, "training pictures under other names"),
        (of_held_out, "other held-out pictures under other names"),
    ];
    for (copies, what) in kinds.iter().filter(|(copies, _)| !copies.is_empty()) {
        log::warn!(
            "of {all} held-out pictures {} are {what} and judge nothing: {}; before the next run, remove one of each",
            copies.len(),
            named(copies)
        );
    }
    Ok((left, copies))
}

/// The first of `found`, and how many more there are.
fn named(found: &[String]) -> String {
    let mut names = found[..found.len().min(NAMED)].join(", ");
    if found.len() > NAMED {
        names.push_str(&format!(" and {} more", found.len() - NAMED));
    }
    names
}

/// The held-out pictures that a validation looks at, from first to last: of several days or lots, which follow each
/// other by name, all are seen.
fn shown(held_out: &[PathBuf]) -> Vec<PathBuf> {
    let count = held_out.len().min(VALIDATION_PICTURES);
    (0..count)
        .map(|place| held_out[place * held_out.len() / count].clone())
        .collect()
}

/// Tiles of `goods`, whose files are `paths` below `folder`.
fn tiles_of(
    recipe: &Recipe,
    goods: &Goods,
    folder: &Path,
    paths: &[PathBuf],
) -> Result<TileSource, DataError> {
    match &recipe.product {
        None => Ok(TileSource::new(goods, recipe.tile, recipe.whole_pictures())),
        Some(product) => {
            let place = (product, folder, paths);
            TileSource::on_product(goods, recipe.tile, recipe.whole_pictures(), place)
        }
    }
}

fn judged_tiles(steps: u64, batch: usize) -> usize {
    let learnt = steps.saturating_mul(batch as u64);
    let affordable = usize::try_from(learnt / LEARNT_PER_JUDGED).unwrap_or(usize::MAX);
    affordable.clamp(VALIDATION_TILES, JUDGED_TILES)
}

impl Source for Prepared {
    fn batch(&self, number: u64) -> Result<Batch, String> {
        Ok(self.sampler.batch(number))
    }
}

/// Opens every held-out picture once: one that cannot be read, or is in colour where the others are grey, must not
/// be found when the run ends.
fn try_held_out(held_out: &[PathBuf], grey: bool, train: &[PathBuf]) -> Result<(), DataError> {
    let is_grey = |path: &PathBuf| -> Result<bool, DataError> {
        Ok(Goods::open(std::slice::from_ref(path))?.is_grey())
    };
    let mut of_their_kind = train
        .iter()
        .filter(|path| is_grey(path).is_ok_and(|is| is == grey));
    let Some(first) = of_their_kind.next() else {
        return Ok(());
    };
    for group in held_out.chunks(TRIED_PICTURES) {
        // Beside a training picture, so that the same rule is kept as within these.
        let together = [std::slice::from_ref(first), group].concat();
        if Goods::open(&together)?.is_grey() == grey {
            continue;
        }
        for path in group {
            if is_grey(path)? != grey {
                return Err(DataError::Mixed {
                    grey: first.clone(),
                    colour: path.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Refuses tiles that cannot judge a run, before it has cost hours.
fn both_kinds(validation: &[Batch]) -> Result<(), DataError> {
    let (mut tiles, mut defective) = (0, 0);
    for batch in validation {
        let masks = batch.mask.chunks_exact(batch.width_px * batch.height_px);
        for (number, mask) in masks.enumerate() {
            tiles += 1;
            let mask = batch.crop(mask, number);
            defective += usize::from(mask.iter().any(|&value| value > 0.5));
        }
    }
    let remedy = match defective {
        _ if tiles == 0 => return Ok(()),
        0 => "look whether --product leaves room for a defect",
        all if all == tiles => "take another --seed",
        _ => return Ok(()),
    };
    Err(DataError::OneKind {
        tiles,
        defective,
        remedy,
    })
}

/// Mean by channel over all pixels of 8-bit pictures.
fn mean(pictures: &[Picture]) -> [u8; 3] {
    let (mut sums, mut pixels) = ([0u64; 3], 0u64);
    for picture in pictures {
        let rgb = picture.to_rgb8();
        for pixel in rgb.as_chunks::<3>().0 {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += u64::from(value);
            }
        }
        pixels += (rgb.len() / 3) as u64;
    }
    sums.map(|sum| (sum / pixels.max(1)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::AdamState;
    use crate::data::Product;
    use crate::weights::Weights;

    #[test]
    fn textures_and_masks_are_told_by_contents_or_else_by_their_place() {
        let mut recipe = FitConfig::default().recipe;
        recipe.textures = Some("old".into());
        recipe.product = Some(Product::Masks("old".into()));
        let mut checkpoint = Checkpoint {
            step: 1,
            recipe: toml::to_string(&recipe).unwrap(),
            data_fingerprint: String::new(),
            textures: Some("abc".to_owned()),
            masks: Some("abc".to_owned()),
            weights: Weights::default(),
            adam: AdamState::default(),
        };
        let moved = Recipe {
            textures: Some("new".into()),
            product: Some(Product::Masks("new".into())),
            ..recipe.clone()
        };
        let same = |recipe, now, checkpoint: &_| same_textures(recipe, Some(now), checkpoint);
        assert_eq!(same(&moved, "abc", &checkpoint), Ok(true));
        assert_eq!(same(&recipe, "def", &checkpoint), Ok(false));
        assert_eq!(same_masks(&moved, Some("abc"), &checkpoint), Ok(true));
        for other in [Some("def"), None] {
            assert_eq!(same_masks(&recipe, other, &checkpoint), Ok(false));
        }
        checkpoint.masks = None;
        for (recipe, same) in [(&recipe, true), (&moved, false)] {
            let found = same_masks(recipe, Some("def"), &checkpoint);
            assert_eq!(found, Ok(same), "an older file");
        }
        checkpoint.textures = None;
        assert_eq!(same(&moved, "abc", &checkpoint), Ok(false));
        assert_eq!(same(&recipe, "def", &checkpoint), Ok(true));
    }

    #[test]
    fn of_held_out_copies_the_first_judges() {
        let paths = |names: &str| -> Vec<PathBuf> {
            let path = |name| PathBuf::from(format!("/goods/{name}"));
            names.chars().map(path).collect()
        };
        let class = Class {
            name: String::new(),
            folder: "/goods".into(),
            goods: paths("abcdef"),
            tests: Vec::new(),
        };
        let unseen = |bytes: [u8; 6], train: &str, held: &str| {
            unseen(
                &class,
                &bytes.map(|byte| Content([byte; 32])),
                &paths(train),
                paths(held),
            )
        };
        let found = unseen([1, 2, 3, 2, 1, 2], "a", "bcdef").unwrap();
        assert_eq!(found, (paths("bc"), paths("def")));
        let found = unseen([1, 2, 3, 4, 5, 6], "a", "fbd").unwrap();
        assert_eq!(found, (paths("fbd"), Vec::new()), "no copies, no change");
        assert_eq!(
            unseen([1; 6], "abcdef", "").unwrap(),
            (Vec::new(), Vec::new())
        );
        // What a run that exists cannot follow is not advised.
        let none = unseen([1; 6], "ab", "cd").unwrap_err().to_string();
        assert!(none.contains("'c' is 'b', 'd' is 'b'"), "{none}");
        assert!(none.contains("begin a new run"), "{none}");
    }

    #[test]
    fn a_validation_looks_at_pictures_from_first_to_last() {
        let named = |count: usize| -> Vec<PathBuf> {
            let name = |number| PathBuf::from(format!("{number:04}"));
            (0..count).map(name).collect()
        };
        for few in [0, 1, 127, 128] {
            assert_eq!(shown(&named(few)), named(few));
        }
        let shown = shown(&named(1000));
        assert_eq!(shown.len(), 128);
        let name = |place: usize| shown[place].to_string_lossy().into_owned();
        assert_eq!([0, 1, 64, 127].map(name), ["0000", "0007", "0500", "0992"]);
    }

    #[test]
    fn a_run_is_judged_by_no_more_than_it_can_afford() {
        assert_eq!(judged_tiles(5000, 8), JUDGED_TILES);
        assert_eq!(judged_tiles(100, 8), 100);
        assert_eq!(judged_tiles(2, 2), VALIDATION_TILES);
        assert_eq!(judged_tiles(u64::MAX, 8), JUDGED_TILES);
    }
}
