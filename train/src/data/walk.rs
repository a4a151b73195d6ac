//! Walking through folders of pictures.

use super::DataError;
use blemish::picture::{is_hidden, is_picture};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Entries of a folder, sorted, hidden ones left out.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Folder {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !is_hidden(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Picture files in and below a folder, told by their names' ends, sorted.
///
/// # Errors
/// Where a folder cannot be read.
pub fn pictures_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut walk = Walk::default();
    walk.enter(folder, &|_| Ok(()))?;
    Ok(walk.found)
}

/// A walk through a folder and all below it.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) found: Vec<PathBuf>,
    /// Folders by the path behind every link: a link to one that was walked leads round in a circle or to the
    /// same pictures again.
    walked: HashSet<PathBuf>,
}

impl Walk {
    /// Collects the pictures in and below `folder`; every folder below it must be `allowed`.
    pub(super) fn enter(
        &mut self,
        folder: &Path,
        allowed: &dyn Fn(&Path) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let inside = entries(folder)?;
        if let Ok(real) = folder.canonicalize()
            && !self.walked.insert(real)
        {
            return Ok(());
        }
        for path in inside {
            if path.is_dir() {
                allowed(&path)?;
                self.enter(&path, allowed)?;
            } else if is_picture(&path) {
                self.found.push(path);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Class;
    use super::super::tests_support::Scratch;
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_that_lead_in_circles_are_walked_once() {
        use std::os::unix::fs::symlink;
        let scratch = Scratch::new();
        scratch.grey("goods/0.png", 4, 4, 1);
        scratch.grey("goods/sub/1.png", 4, 4, 1);
        symlink(scratch.path("goods"), scratch.path("goods/sub/up")).unwrap();
        symlink(scratch.path("goods"), scratch.path("goods/sub/up_too")).unwrap();
        symlink(scratch.path("goods/sub"), scratch.path("goods/twice")).unwrap();
        let found = pictures_below(&scratch.path("goods")).unwrap();
        assert_eq!(
            found,
            [scratch.path("goods/0.png"), scratch.path("goods/sub/1.png")]
        );
        assert_eq!(Class::find(&scratch.path("goods")).unwrap().goods, found);
    }
}
