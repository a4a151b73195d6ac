//! Where golden numbers and real pictures are, and how they are read.
#![allow(dead_code)]

use std::path::PathBuf;

#[path = "../../../tests/common/npz.rs"]
mod npz;
pub use npz::Npz;

/// The folder of numbers that the authors' code produced; `None`, said loudly, where it is absent.
pub fn golden() -> Option<PathBuf> {
    folder("BLEMISH_GOLDEN", "golden")
}

/// The folder of real pictures; `None`, said loudly, where it is absent.
pub fn data() -> Option<PathBuf> {
    folder("BLEMISH_DATA", "data")
}

fn folder(variable: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")).join(name),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no folder {}; set {variable}", path.display());
    None
}
