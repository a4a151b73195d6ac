//! Which pictures are inspected, and what is known about them.

use blemish::metrics::SUMMARIES;
use blemish::picture::{is_hidden, is_picture, natural_order};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Name of the folder of good test pictures.
const GOOD: &str = "good";

/// A picture to be inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub path: PathBuf,
    /// The path below the folder that was named, for output files.
    pub below: PathBuf,
    /// The same for people: letters that are none are replaced.
    pub name: String,
    pub truth: Option<Known>,
    /// Strips of one web from top to bottom, where `path` is the folder that holds them.
    pub strips: Vec<PathBuf>,
}

/// What people said about a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Name of the picture's folder: `good` or the kind of defect.
    pub kind: String,
    /// Where the defects are marked; `None` for good pictures.
    pub mask: Option<PathBuf>,
}

/// Why there is nothing to inspect.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("cannot read '{path}': {source}; check the path and its permissions")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "there is no picture in '{0}' (PNG, JPEG, TIFF or BMP by ending); name a folder that has some"
    )]
    Empty(PathBuf),
    #[error(
        "'{0}' has no folder 'ground_truth'; --truth needs DIR/test/<kind> and DIR/ground_truth/<kind>"
    )]
    NoTruth(PathBuf),
    #[error(
        "'{picture}' has no mask '{mask}'; {missing} of {pictures} pictures lack theirs: add them, or \
         leave --truth out"
    )]
    NoMask {
        picture: PathBuf,
        mask: PathBuf,
        missing: usize,
        pictures: usize,
    },
    #[error(
        "'{0}' is the folder of a kind of defect called as a line of the figures that sums up all kinds; rename it and \
         its folder in 'ground_truth'"
    )]
    Summary(PathBuf),
    #[error(
        "--truth compares good and defective pictures, but the {pictures} pictures in '{path}' are all \
         {what}; name the folder 'test' with all its kinds"
    )]
    OneClass {
        path: PathBuf,
        pictures: usize,
        what: &'static str,
    },
}

/// Finds the pictures below `path` in the order of their names, with their masks below `truth`.
///
/// Where `path` itself holds `test` and `truth` is given, only that folder is read.
///
/// # Errors
/// If there is no picture, or a defective one has no mask or is of a kind called as a summary of all kinds, or there is
/// only one class.
pub fn find(path: &Path, truth: Option<&Path>) -> Result<Vec<Input>, FilesError> {
    let test = path.join("test");
    let root = if truth.is_some() && test.is_dir() {
        test
    } else {
        path.to_owned()
    };
    let mut paths = Vec::new();
    let about = std::fs::metadata(&root).map_err(|source| FilesError::Read {
        path: root.clone(),
        source,
    })?;
    let base = if about.is_dir() {
        collect(&root, &mut paths, &mut HashSet::new())?;
        root.as_path()
    } else {
        paths.push(root.clone());
        root.parent().unwrap_or(Path::new(""))
    };
    if paths.is_empty() {
        return Err(FilesError::Empty(root));
    }
    let mut inputs: Vec<Input> = paths
        .iter()
        .map(|path| {
            let below = path.strip_prefix(base).unwrap_or(path);
            Input {
                path: path.clone(),
                below: below.to_owned(),
                name: below.display().to_string(),
                truth: None,
                strips: Vec::new(),
            }
        })
        .collect();
    if let Some(truth) = truth {
        pair(&mut inputs, truth, path)?;
    }
    Ok(inputs)
}

/// Takes all pictures as consecutive strips of one web, in the order of their names, numbers by their
/// value.
pub fn join(path: &Path, inputs: Vec<Input>) -> Input {
    let name = web_name(path);
    let mut strips: Vec<PathBuf> = inputs.into_iter().map(|input| input.path).collect();
    strips.sort_by(|a, b| natural_order(a, b));
    Input {
        path: path.to_owned(),
        name: name.to_string_lossy().into_owned(),
        below: PathBuf::from(name),
        truth: None,
        strips,
    }
}

/// The name of a folder without its ending, also of one that the path does not name, as `.` does not.
fn web_name(path: &Path) -> OsString {
    let whole = match path.file_stem() {
        Some(_) => path.to_owned(),
        None => path.canonicalize().unwrap_or_default(),
    };
    whole.file_stem().unwrap_or("web".as_ref()).to_owned()
}

/// `walked` are the folders that were read, by the path behind every link: a link to one of them leads
/// round in a circle or to the same pictures again.
fn collect(
    folder: &Path,
    paths: &mut Vec<PathBuf>,
    walked: &mut HashSet<PathBuf>,
) -> Result<(), FilesError> {
    let failed = |source| FilesError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    if let Ok(real) = folder.canonicalize()
        && !walked.insert(real)
    {
        return Ok(());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if !is_hidden(&path) {
                collect(&path, paths, walked)?;
            }
        } else if is_picture(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

fn pair(inputs: &mut [Input], truth: &Path, path: &Path) -> Result<(), FilesError> {
    let marked = truth.join("ground_truth");
    if !marked.is_dir() {
        return Err(FilesError::NoTruth(truth.to_owned()));
    }
    let pictures = inputs.len();
    let mut missing = Vec::new();
    for input in inputs.iter_mut() {
        // The path may be relative to the very folder that names the kind.
        let whole = std::path::absolute(&input.path).unwrap_or_else(|_| input.path.clone());
        let kind = whole.parent().and_then(Path::file_name).unwrap_or_default();
        if SUMMARIES.iter().any(|summary| kind == *summary) {
            let folder = input.path.parent().unwrap_or(&input.path);
            return Err(FilesError::Summary(folder.to_owned()));
        }
        let mut name = whole.file_stem().unwrap_or_default().to_owned();
        name.push("_mask.png");
        let mask = (kind != GOOD).then(|| marked.join(kind).join(name));
        if let Some(mask) = &mask
            && !mask.is_file()
        {
            missing.push((input.path.clone(), mask.clone()));
        }
        let kind = kind.to_string_lossy().into_owned();
        input.truth = Some(Known { kind, mask });
    }
    if let Some((picture, mask)) = missing.first().cloned() {
        return Err(FilesError::NoMask {
            picture,
            mask,
            missing: missing.len(),
            pictures,
        });
    }
    let defects = inputs
        .iter()
        .filter(|input| {
            input
                .truth
                .as_ref()
                .is_some_and(|known| known.mask.is_some())
        })
        .count();
    let what = match defects {
        0 => "good",
        all if all == pictures => "defective",
        _ => return Ok(()),
    };
    Err(FilesError::OneClass {
        path: path.to_owned(),
        pictures,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_has_a_name_that_is_no_path() {
        let here = std::env::current_dir().unwrap();
        let here = here.file_stem().unwrap();
        for (path, name) in [
            (".", here),
            ("src/..", here),
            ("a/web", "web".as_ref()),
            ("web.png/.", "web".as_ref()),
            ("/", "web".as_ref()),
        ] {
            assert_eq!(web_name(Path::new(path)), name, "{path}");
        }
    }
}
