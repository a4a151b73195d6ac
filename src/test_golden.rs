//! Numbers that other programs produced, for tests: the authors' code, OpenCV, scikit-learn.
//!
//! The folder is named by `BLEMISH_GOLDEN`, else it is `../shared/golden` beside the workspace. Where
//! it is absent the tests say so loudly and rely on the small cases in the code.

use std::path::PathBuf;

#[expect(dead_code, reason = "other tests ask for shapes")]
#[path = "../tests/common/npz.rs"]
mod npz;
#[path = "../tests/common/shared.rs"]
mod shared;
use npz::{Npz, Number};

/// One `.npz` file.
pub struct Golden(Npz);

/// Path of a file in the golden folder, or `None` after saying that the test is skipped.
pub fn path(file: &str) -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/golden");
    shared::find("BLEMISH_GOLDEN", usual, file)
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

mod tests {
    use super::shared::{Missing, look, say_skipped};

    #[test]
    fn what_is_asked_for_must_be_there() {
        let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let there = look(Some("required".into()), usual, "lib.rs");
        assert!(there.unwrap().ends_with("src/lib.rs"));
        for (asked, folder) in [
            (None, usual),
            (Some("required"), usual),
            (Some("/none"), "/none"),
        ] {
            let missing = look(asked.map(Into::into), usual, "none.npz").unwrap_err();
            let wanted = Missing {
                path: format!("{folder}/none.npz").into(),
                is_required: asked.is_some(),
            };
            assert_eq!(missing, wanted);
        }
    }

    #[test]
    #[ignore = "run by the next"]
    fn passes_and_says_so() {
        say_skipped("nothing to do");
    }

    /// The harness keeps what a passing test prints by Rust's macros.
    #[test]
    #[cfg(target_arch = "x86_64")] // A processor that is emulated starts no program of its own.
    fn a_skipped_test_is_heard_though_it_passes() {
        let program = std::env::current_exe().unwrap();
        let test = "test_golden::tests::passes_and_says_so";
        let run = std::process::Command::new(program)
            .args(["--ignored", "--exact", test])
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(said.contains("nothing to do"), "{said}");
        assert!(run.status.success(), "{said}");
    }
}
