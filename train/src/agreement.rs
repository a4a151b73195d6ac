//! How often two bundles say the same of a tile: what integers, or a smaller network, cost in verdicts.

use crate::data::Class;
use crate::eval::EvalError;
use crate::inspectors;
use blemish::geometry::tile_starts;
use blemish::model::{Bundle, Preparation};
use blemish::picture::Picture;
use blemish::verdict::Verdict;
use blemish::web::{PictureRules, inspect_picture};
use serde::Serialize;
use std::path::Path;

/// Verdicts of two bundles on the tiles of a test set, each by its own threshold and least area.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Agreement {
    pub tiles: u64,
    pub only_first_rejects: u64,
    pub only_second_rejects: u64,
}

impl Agreement {
    /// Share of the tiles on which both say the same.
    pub fn equal(&self) -> f64 {
        let differ = self.only_first_rejects + self.only_second_rejects;
        1.0 - differ as f64 / self.tiles.max(1) as f64
    }
}

/// Asks both bundles about every tile of the test pictures of `class`, cut as a station cuts them. Each tile is
/// judged by itself, so a defect on an edge counts once for every tile that shows it.
///
/// # Errors
/// The bundles cut differently, or names the picture that cannot be used.
pub fn agreement(first: &Bundle, second: &Bundle, class: &Class) -> Result<Agreement, EvalError> {
    cut_alike(first, second)?;
    let paths: Vec<&Path> = class.tests.iter().map(|test| test.path.as_path()).collect();
    let (first, second) = (rejected(first, &paths)?, rejected(second, &paths)?);
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count() as u64;
    Ok(Agreement {
        tiles: first.len() as u64,
        only_first_rejects: only(&first, &second),
        only_second_rejects: only(&second, &first),
    })
}

/// Whether both bundles cut pictures into the same tiles.
///
/// # Errors
/// They do not, so there is nothing to compare.
pub fn cut_alike(first: &Bundle, second: &Bundle) -> Result<(), EvalError> {
    let cut = |bundle: &Bundle| (bundle.metadata().preparation, bundle.metadata().tile);
    match cut(first) == cut(second) {
        true => Ok(()),
        false => Err(EvalError::OtherTiles {
            first: first.sha256()[..12].to_owned(),
            second: second.sha256()[..12].to_owned(),
        }),
    }
}

/// For every tile whether `bundle` rejects it, picture by picture.
fn rejected(bundle: &Bundle, paths: &[&Path]) -> Result<Vec<bool>, EvalError> {
    let rules = PictureRules::of(bundle.metadata(), false);
    let verdicts = inspectors::each(bundle, paths, |path, inspector| {
        let picture = Picture::open(path)?;
        let tiles = match bundle.metadata().preparation {
            Preparation::Resize { .. } => vec![picture],
            Preparation::Native { overlap_px } => {
                let tile = bundle.metadata().tile;
                let starts =
                    |length: usize, tile_px| tile_starts(length as u32, tile_px, overlap_px);
                let across = starts(picture.width_px, tile.width_px);
                let down = starts(picture.height_px, tile.height_px);
                let (width, height) = (tile.width_px as usize, tile.height_px as usize);
                down.iter()
                    .flat_map(|&line| across.iter().map(move |&column| (column, line)))
                    .filter_map(|(column, line)| {
                        picture.crop(column as usize, line as usize, width, height)
                    })
                    .collect()
            }
        };
        tiles
            .iter()
            .map(|tile| {
                let found = inspect_picture(tile, inspector, &rules);
                let found = found.map_err(|source| EvalError::Inspect {
                    path: path.to_path_buf(),
                    source,
                })?;
                Ok(found.verdict == Verdict::Defect)
            })
            .collect::<Result<Vec<_>, EvalError>>()
    })?;
    Ok(verdicts.into_iter().flatten().collect())
}
