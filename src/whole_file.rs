//! Files that are read into memory as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The content of a file of at most `limit` bytes; `None` where it has more, also where the system does not
/// say so before.
///
/// # Errors
/// Where the file cannot be read, or there is no memory for it.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let stated = file.metadata()?.len();
    if stated > limit {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(stated as usize)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let path = std::env::temp_dir().join(format!("blemish-whole-{}", std::process::id()));
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_at_most(&path, 5).unwrap().unwrap(), b"12345");
        assert!(read_at_most(&path, 4).unwrap().is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(read_at_most(&path, 5).is_err());
        // Its length is said to be 0.
        #[cfg(target_os = "linux")]
        assert!(
            read_at_most(Path::new("/dev/zero"), 1 << 16)
                .unwrap()
                .is_none()
        );
    }
}
