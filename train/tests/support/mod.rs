//! Where golden numbers and real pictures are, and how they are read.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

use std::path::PathBuf;

#[path = "../../../tests/common/npz.rs"]
mod npz;
#[path = "../../../tests/common/shared.rs"]
mod shared;
pub use npz::Npz;
pub use shared::say_skipped;

/// The folder of numbers that the authors' code produced; `None`, said loudly, where it is absent.
pub fn golden() -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden");
    shared::find("BLEMISH_GOLDEN", usual, "")
}

/// The folder of real pictures; `None`, said loudly, where it is absent.
pub fn data() -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    shared::find("BLEMISH_DATA", usual, "")
}
