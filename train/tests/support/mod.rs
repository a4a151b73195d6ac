//! Where golden numbers and real pictures are, and how they are read.
#![allow(dead_code)]

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use std::fs::File;
use std::path::PathBuf;

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

/// One file of golden arrays.
pub struct Npz(NpzReader<File>);

impl Npz {
    pub fn open(path: PathBuf) -> Self {
        let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Npz(NpzReader::new(file).unwrap())
    }

    pub fn names(&mut self) -> Vec<String> {
        self.0.names().unwrap()
    }

    pub fn f32(&mut self, name: &str) -> ArrayD<f32> {
        self.0
            .by_name(name)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}
