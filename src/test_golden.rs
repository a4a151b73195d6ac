//! Numbers that other programs produced, for tests: the authors' code, OpenCV, scikit-learn.
//!
//! The folder is named by `BLEMISH_GOLDEN`, else it is `../shared/golden` beside the workspace. Where
//! it is absent the tests say so loudly and rely on the small cases in the code.

use std::path::PathBuf;

#[allow(dead_code)]
#[path = "../tests/common/npz.rs"]
mod npz;
use npz::{Npz, Number};

/// One `.npz` file.
pub struct Golden(Npz);

/// Path of a file in the golden folder, or `None` after saying that the test is skipped.
pub fn path(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BLEMISH_GOLDEN").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/golden")),
        PathBuf::from,
    );
    let path = folder.join(file);
    if path.is_file() {
        return Some(path);
    }
    eprintln!(
        "skipped: no golden folder ('{}' is missing; set BLEMISH_GOLDEN)",
        path.display()
    );
    None
}

/// Opens an `.npz` file of the golden folder.
pub fn open(file: &str) -> Option<Golden> {
    Some(Golden(Npz::open(path(file)?)))
}

impl Golden {
    fn read<T: Number>(&mut self, name: &str) -> Vec<T> {
        self.0.array(name).into_values()
    }

    /// An array in row-major order.
    pub fn f32(&mut self, name: &str) -> Vec<f32> {
        self.read(name)
    }

    /// An array in row-major order.
    pub fn f64(&mut self, name: &str) -> Vec<f64> {
        self.read(name)
    }

    /// An array in row-major order.
    pub fn u8(&mut self, name: &str) -> Vec<u8> {
        self.read(name)
    }

    /// An array in row-major order.
    pub fn i64(&mut self, name: &str) -> Vec<i64> {
        self.read(name)
    }
}

/// A number from `scalars.json`.
pub fn scalar(name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(path("scalars.json")?).expect("scalars.json reads");
    let all: serde_json::Value = serde_json::from_str(&text).expect("scalars.json is JSON");
    Some(all[name].as_f64().expect("scalar"))
}
