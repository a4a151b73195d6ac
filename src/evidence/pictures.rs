//! Pictures of rejects, the newest that fit.

use super::EvidenceError;
use crate::picture::Picture;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A folder of PNG pictures bounded by bytes; the oldest by name go first.
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
                    let bytes = path.metadata().map_or(0, |file| file.len());
                    kept.push((path, bytes));
                }
                Some("part") => std::fs::remove_file(&path).map_err(EvidenceError::io(path))?,
                _ => {}
            }
        }
        kept.sort();
        Ok(Self {
            folder: folder.to_owned(),
            max_bytes,
            bytes: kept.iter().map(|(_, bytes)| bytes).sum(),
            kept: kept.into(),
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
            std::fs::remove_file(&oldest).map_err(EvidenceError::io(oldest))?;
            self.bytes -= bytes;
        }
        std::fs::write(&part, &png)
            .and_then(|()| std::fs::File::open(&part)?.sync_data())
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(EvidenceError::io(&path))?;
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
}
