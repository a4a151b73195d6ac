//! Files that hold either what they held before or all of their new contents.

use crate::checkpoint::CheckpointError;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Links that lead to one file; Linux follows as many.
const MOST_LINKS: usize = 40;

/// Gives `path` new contents in one step: `path.partial` is written and synced, then renamed. A link stays a link:
/// the file behind it is replaced, and a file that was there keeps its mode, and its owner where this process may
/// give files away.
///
/// # Errors
/// What could not be done; `path` is then as it was and the partial file is gone.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    let attempt = || -> io::Result<()> {
        let (place, before) = destination(path)?;
        let partial = with_ending(&place, ".partial");
        let written = || -> io::Result<()> {
            // One that a killed process left may have a mode that forbids to write into it.
            let _ = std::fs::remove_file(&partial);
            let file = File::create(&partial)?;
            if let Some(before) = &before {
                keep_rights(&file, before);
            }
            let mut out = BufWriter::with_capacity(1 << 16, file);
            write(&mut out)?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            std::fs::rename(&partial, &place)
        };
        written().inspect_err(|_| {
            // A partial file that cannot be removed is overwritten by the next attempt.
            let _ = std::fs::remove_file(&partial);
        })?;
        // Where the name itself is not yet on disk, a power cut would bring the old file back.
        let folder = (place.parent()).filter(|parent| !parent.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    attempt().map_err(|source| CheckpointError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Whether [`write_atomically`] could write `path` now; leaves nothing behind.
///
/// # Errors
/// Why it could not.
pub fn probe(path: &Path) -> io::Result<()> {
    let (place, _) = destination(path)?;
    // As long as `.partial`: a name may be too long with it.
    let probe = with_ending(&place, ".probing");
    File::create(&probe)?;
    std::fs::remove_file(&probe)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The file that `path` leads to, and what is known of it where it is there.
fn destination(path: &Path) -> io::Result<(PathBuf, Option<Metadata>)> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(target) = std::fs::read_link(&place) {
            place = place.parent().unwrap_or(Path::new("")).join(target);
            continue;
        }
        return match std::fs::metadata(&place) {
            Ok(found) if found.is_file() => Ok((place, Some(found))),
            Ok(found) if found.is_dir() => Err(io::Error::other("it is a folder")),
            Ok(_) => Err(io::Error::other("it is no file but a device or a pipe")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((place, None)),
            Err(error) => Err(error),
        };
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// Gives `file` the owner and the mode of `before`, as far as this process may.
fn keep_rights(file: &File, before: &Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        // Each by itself: who may not give the file away may still give it to a group of his.
        let _ = fchown(file, Some(before.uid()), None);
        let _ = fchown(file, None, Some(before.gid()));
    }
    let _ = file.set_permissions(before.permissions());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("blemish-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("temporary folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn write(path: &Path, text: &str) -> Result<(), CheckpointError> {
        write_atomically(path, |out| out.write_all(text.as_bytes()))
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_the_file_keeps_its_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = Folder::new("links");
        let at = |name: &str| folder.0.join(name);
        std::fs::create_dir_all(at("far")).expect("a folder");
        std::fs::write(at("far/model"), "old").expect("room");
        std::fs::set_permissions(at("far/model"), PermissionsExt::from_mode(0o640))
            .expect("our file");
        symlink("far/model", at("link")).expect("a link");
        symlink("link", at("twice")).expect("a link");
        symlink("far/none", at("ahead")).expect("a link");
        symlink("round", at("round")).expect("a link");

        write(&at("twice"), "new").expect("written");
        for link in ["link", "twice"] {
            assert!(at(link).is_symlink(), "{link}");
            assert_eq!(std::fs::read_to_string(at(link)).expect("text"), "new");
        }
        let mode = std::fs::metadata(at("far/model"))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o640);
        write(&at("ahead"), "first").expect("written");
        assert!(at("ahead").is_symlink());
        assert_eq!(
            std::fs::read_to_string(at("far/none")).expect("text"),
            "first"
        );
        let circle = write(&at("round"), "x").expect_err("a circle").to_string();
        assert!(circle.contains("lead in a circle"), "{circle}");
        assert_eq!(std::fs::read_dir(at("far")).expect("listable").count(), 2);
    }

    #[test]
    fn a_place_is_tried_without_a_trace() {
        let folder = Folder::new("probe");
        let at = |name: &str| folder.0.join(name);
        assert!(probe(&at("model")).is_ok());
        std::fs::write(at("there"), "old").expect("room");
        assert!(probe(&at("there")).is_ok());
        assert_eq!(std::fs::read_to_string(at("there")).expect("text"), "old");
        for bad in ["nowhere/model", "there/model", "."] {
            assert!(probe(&at(bad)).is_err(), "{bad}");
        }
        assert_eq!(std::fs::read_dir(&folder.0).expect("listable").count(), 1);
        #[cfg(unix)]
        assert!(
            probe(Path::new("/dev/null")).is_err(),
            "it would be replaced by a file"
        );
    }
}
