//! What pictures hold, whatever they are called.

use super::DataError;
use super::walk::pictures_below;
use crate::checkpoint::hex;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// SHA-256 of a picture's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content(pub [u8; 32]);

impl Content {
    /// Its first 8 bytes in hexadecimal: that two of a million pictures agree in them by chance is less likely than one
    /// in 10 million.
    pub fn short(&self) -> String {
        hex(&self.0[..8])
    }
}

/// Contents of the files, in their order.
///
/// # Errors
/// Names the file that cannot be read.
pub fn contents(files: &[PathBuf]) -> Result<Vec<Content>, DataError> {
    let content = |path: &PathBuf| match std::fs::read(path) {
        Ok(bytes) => Ok(Content(Sha256::digest(&bytes).into())),
        Err(source) => Err(DataError::Folder {
            path: path.clone(),
            source,
        }),
    };
    files.iter().map(content).collect()
}

/// SHA-256 over the contents of all pictures in and below a folder, in the order of their paths, in hexadecimal. What
/// they are called and where the folder lies does not count.
///
/// # Errors
/// Names the folder or file that cannot be read.
pub fn fingerprint_below(folder: &Path) -> Result<String, DataError> {
    let mut all = Sha256::new();
    for content in contents(&pictures_below(folder)?)? {
        all.update(content.0);
    }
    Ok(hex(&all.finalize()))
}
