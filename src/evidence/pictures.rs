//! Pictures of rejects, the newest that fit.

use super::EvidenceError;
use crate::picture::Picture;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A folder of PNG pictures bounded by bytes; the oldest go first.
#[derive(Debug)]
pub struct PictureStore {
    folder: PathBuf,
    max_bytes: u64,
    kept: VecDeque<(PathBuf, u64)>,
    bytes: u64,
}

impl PictureStore {
    /// Opens a folder, which is made where it does not exist. Temporary files of a power cut are
    /// removed.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, EvidenceError> {
        std::fs::create_dir_all(folder).map_err(EvidenceError::io(folder))?;
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(EvidenceError::io(folder))? {
            let path = entry.map_err(EvidenceError::io(folder))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("png") => {
                    let about = path.metadata();
                    let bytes = about.as_ref().map_or(0, std::fs::Metadata::len);
                    let written = about.and_then(|about| about.modified()).ok();
                    kept.push((written, path, bytes));
                }
                Some("part") => std::fs::remove_file(&path).map_err(EvidenceError::io(path))?,
                _ => {}
            }
        }
        // Names begin anew with every run, so they do not say what is older.
        kept.sort();
        Ok(Self {
            folder: folder.to_owned(),
            max_bytes,
            bytes: kept.iter().map(|(.., bytes)| bytes).sum(),
            kept: kept
                .into_iter()
                .map(|(_, path, bytes)| (path, bytes))
                .collect(),
        })
    }

    /// Keeps a picture under `name`, without an extension, and removes the oldest above the limit. A
    /// power cut leaves the whole picture or none.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn keep(&mut self, name: &str, picture: &Picture) -> Result<(), EvidenceError> {
        let path = self.folder.join(format!("{name}.png"));
        let part = self.folder.join(format!("{name}.part"));
        let png = picture
            .encode_png(&path)
            .map_err(|error| EvidenceError::Io {
                path: path.clone(),
                source: std::io::Error::other(error),
            })?;
        // A run in simulated time names its pictures as the run before it did.
        if let Some(place) = self.kept.iter().position(|(kept, _)| *kept == path)
            && let Some((_, bytes)) = self.kept.remove(place)
        {
            self.bytes -= bytes;
        }
        while self.bytes + png.len() as u64 > self.max_bytes {
            let Some((oldest, bytes)) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= bytes;
            match std::fs::remove_file(&oldest) {
                // Somebody has tidied up.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.map_err(EvidenceError::io(oldest))?,
            }
        }
        std::fs::write(&part, &png)
            .and_then(|()| std::fs::File::open(&part)?.sync_data())
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(|error| {
                // A disk that is full has no room for pieces of pictures.
                let _ = std::fs::remove_file(&part);
                EvidenceError::io(&path)(error)
            })?;
        self.kept.push_back((path, png.len() as u64));
        self.bytes += png.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::folder;
    use super::*;

    #[test]
    fn the_newest_pictures_stay_within_the_limit() {
        let folder = folder("pictures");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("torn.part"), "x").unwrap();
        let noise = (0..64 * 64u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
        let picture = Picture::from_grey8(64, 64, noise.collect()).unwrap();
        let mut store = PictureStore::open(&folder, 20_000).unwrap();
        for number in 0..10 {
            store.keep(&format!("{number:03}"), &picture).unwrap();
        }
        // A restart goes on with what is there.
        let mut store = PictureStore::open(&folder, 20_000).unwrap();
        store.keep("010", &picture).unwrap();
        for _ in 0..3 {
            store.keep("010", &picture).unwrap();
        }
        let mut names: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert!((2..=5).contains(&names.len()), "{names:?}");
        assert_eq!(names[names.len() - 1], "010.png");
        assert!(names.iter().all(|name| name.ends_with(".png")));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_picture_that_cannot_be_kept_leaves_nothing_behind() {
        let folder = folder("pictures-refused");
        let mut store = PictureStore::open(&folder, u64::MAX).unwrap();
        // A folder in its place refuses the picture.
        std::fs::create_dir_all(folder.join("line1.png/full")).unwrap();
        let picture = Picture::from_grey8(64, 64, vec![7; 64 * 64]).unwrap();
        store.keep("line1", &picture).unwrap_err();
        assert!(!folder.join("line1.part").exists());
        store.keep("line2", &picture).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_oldest_by_time_go_first_and_what_was_tidied_up_is_not_missed() {
        let folder = folder("pictures-tidied");
        let picture = Picture::from_grey8(64, 64, vec![7; 64 * 64]).unwrap();
        let mut store = PictureStore::open(&folder, u64::MAX).unwrap();
        let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        for (name, seconds) in [("line900", 1), ("line100", 2), ("line200", 3)] {
            store.keep(name, &picture).unwrap();
            let path = folder.join(format!("{name}.png"));
            let file = std::fs::File::options().append(true).open(path);
            file.unwrap().set_modified(at(seconds)).unwrap();
        }
        let bytes = folder.join("line900.png").metadata().unwrap().len();
        let mut store = PictureStore::open(&folder, 3 * bytes).unwrap();
        store.keep("line050", &picture).unwrap();
        assert!(
            !folder.join("line900.png").exists(),
            "the first run's is the oldest"
        );
        assert!(folder.join("line100.png").exists());
        for name in ["line100", "line200"] {
            std::fs::remove_file(folder.join(format!("{name}.png"))).unwrap();
        }
        for name in ["line051", "line052"] {
            store.keep(name, &picture).unwrap();
        }
        let kept = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(kept, 3);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
