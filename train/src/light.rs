//! What light good pictures have, and the limits that follow for the station.

use blemish::geometry::Columns;
use blemish::light::{LightLimits, Seen};
use blemish::picture::{Picture, PictureError};
use std::path::PathBuf;
use std::thread;

/// Pictures that are looked at, evenly among more: the limits leave room for twice the difference.
const MOST_PICTURES: usize = 1000;

/// Limits from the parts of good pictures, over the columns that the station inspects; `None` without
/// pictures.
///
/// # Errors
/// The picture that cannot be read.
pub fn limits(
    goods: &[PathBuf],
    columns: Option<Columns>,
) -> Result<Option<LightLimits>, PictureError> {
    let chosen: Vec<&PathBuf> = goods
        .iter()
        .step_by(goods.len().div_ceil(MOST_PICTURES).max(1))
        .collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = chosen.len().div_ceil(threads).max(1);
    let limits = thread::scope(|scope| {
        let workers: Vec<_> = (chosen.chunks(part))
            .map(|paths| scope.spawn(move || limits_of(paths, columns)))
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers
            .into_iter()
            .map(join)
            .collect::<Result<Vec<_>, PictureError>>()
    })?;
    Ok(limits.into_iter().flatten().reduce(LightLimits::widened))
}

fn limits_of(
    paths: &[&PathBuf],
    columns: Option<Columns>,
) -> Result<Option<LightLimits>, PictureError> {
    let mut all = None;
    for path in paths {
        let own = LightLimits::of_goods(parts(&Picture::open(path)?, columns));
        all = all.into_iter().chain(own).reduce(LightLimits::widened);
    }
    Ok(all)
}

/// What is seen of each part of a picture.
fn parts(picture: &Picture, columns: Option<Columns>) -> impl Iterator<Item = Seen> {
    let width_px = u32::try_from(picture.width_px).unwrap_or(u32::MAX);
    let inspected = columns.and_then(|columns| columns.of_lines(width_px));
    let columns = inspected.map_or(0..picture.width_px, |columns| {
        columns.start as usize..columns.end as usize
    });
    Seen::parts(picture, columns)
}
