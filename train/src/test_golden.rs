//! Numbers that other programs produced and pictures of real products, for tests.
//!
//! The folders are named by `BLEMISH_GOLDEN` and `BLEMISH_DATA`, else they are `../shared/golden` and
//! `../shared/data` beside the workspace. Where one is absent the tests say so loudly and rely on the
//! small cases in the code.

use std::path::PathBuf;

#[expect(dead_code, reason = "other tests ask for shapes")]
#[path = "../../tests/common/npz.rs"]
mod npz_file;
#[path = "../../tests/common/shared.rs"]
mod shared;
use npz_file::{Npz, Number};
#[cfg(feature = "burn")]
pub use shared::say_skipped;

/// One `.npz` file.
pub struct Golden(Npz);

fn golden_path(file: &str) -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden");
    shared::find("BLEMISH_GOLDEN", usual, file)
}

/// A class folder of real pictures, or `None` after saying that the test is skipped.
pub fn class(name: &str) -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    shared::find("BLEMISH_DATA", usual, name)
}

/// Opens an `.npz` file of the golden folder.
pub fn npz(file: &str) -> Option<Golden> {
    Some(Golden(Npz::open(golden_path(file)?)))
}

/// Reads a `.json` file of the golden folder.
pub fn json(file: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(golden_path(file)?).expect("golden file reads");
    Some(serde_json::from_str(&text).expect("golden file is JSON"))
}

impl Golden {
    fn read<T: Number>(&mut self, name: &str) -> Vec<T> {
        self.0.array(name).into_values()
    }

    /// An array in row-major order.
    pub fn u8(&mut self, name: &str) -> Vec<u8> {
        self.read(name)
    }

    /// An array in row-major order.
    pub fn f64(&mut self, name: &str) -> Vec<f64> {
        self.read(name)
    }
}
