//! `eval`: a bundle's scores on a test set in MVTec's layout.

use super::Done;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle, or the folder of a run that has one.
    model: PathBuf,
    /// Class folder in MVTec's layout.
    pictures: PathBuf,
}

impl Args {
    pub fn run(self) -> Done {
        Err(format!(
            "eval of {} on {} is not there yet",
            self.model.display(),
            self.pictures.display()
        )
        .into())
    }
}
