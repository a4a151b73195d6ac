//! What pictures hold, whatever they are called.

use super::DataError;
use crate::checkpoint::hex;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

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
