//! Places of results, looked at before the work.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// A result would overwrite what it is made from.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is one of the files that are read and would be lost; choose another place for the results"
)]
pub struct IsRead(PathBuf);

/// Refuses places where something lies that is read.
///
/// # Errors
/// Names the first of them.
pub fn spare<P: AsRef<Path>>(
    read: impl IntoIterator<Item = P>,
    places: impl IntoIterator<Item = PathBuf>,
) -> Result<(), IsRead> {
    // What is read is there already, under whatever name.
    let real = |path: &Path| path.canonicalize().ok();
    let read: HashSet<PathBuf> = (read.into_iter())
        .filter_map(|path| real(path.as_ref()))
        .collect();
    let is_read = |place: &PathBuf| real(place).is_some_and(|real| read.contains(&real));
    match places.into_iter().find(is_read) {
        Some(place) => Err(IsRead(place)),
        None => Ok(()),
    }
}

/// A file and where it is until it is whole.
pub fn with_part(file: &Path) -> [PathBuf; 2] {
    [file.to_owned(), part_of(file)]
}

/// Refuses a place where no file can be written. What lies there stays as it is.
///
/// # Errors
/// Why it cannot.
pub fn probe(file: &Path) -> io::Result<()> {
    if file.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    let part = part_of(file);
    std::fs::write(&part, b"").and_then(|()| std::fs::remove_file(&part))
}

fn part_of(file: &Path) -> PathBuf {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    part.into()
}
