//! Numbers and pictures that are not in the repository, and what a test says that runs without them. For the
//! tests of station and trainer, each of which includes this file.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Says why a test is skipped, past its harness, which shows nothing of what a test that passes prints.
pub fn say_skipped(why: &str) {
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    // Where nobody can be told, the test is skipped all the same.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: {why}");
}

/// `name` in the folder that the environment's `variable` names, else in `usual`; `None`, said loudly, where it is
/// absent.
///
/// # Panics
/// Where it is absent and the variable is set: to the folder, or to `required` for the usual one.
pub fn find(variable: &str, usual: &str, name: &str) -> Option<PathBuf> {
    let found = look(std::env::var_os(variable), usual, name);
    let missing = match found {
        Ok(path) => return Some(path),
        Err(missing) => missing,
    };
    let path = missing.path.display();
    assert!(
        !missing.is_required,
        "'{path}' is missing; {variable} asks for it"
    );
    say_skipped(&format!("'{path}' is missing; set {variable}"));
    None
}

/// What is not there, and whether it must be.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    pub path: PathBuf,
    pub is_required: bool,
}

/// As [`find`], for a variable with this value.
pub fn look(asked: Option<OsString>, usual: &str, name: &str) -> Result<PathBuf, Missing> {
    let is_required = asked.is_some();
    let own = asked.filter(|folder| folder != "required");
    let path = own
        .as_deref()
        .map_or(Path::new(usual), Path::new)
        .join(name);
    match path.exists() {
        true => Ok(path),
        false => Err(Missing { path, is_required }),
    }
}
