//! What pictures hold, whatever they are called.

use super::DataError;
use super::walk::pictures_below;
use crate::checkpoint::hex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
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
        Err(source) => Err(DataError::File {
            path: path.clone(),
            source,
        }),
    };
    files.iter().map(content).collect()
}

/// Refuses defects that are among `goods`, whose contents are `contents_of_goods`, as those of a folder inside the goods'
/// are: they would count as good.
///
/// # Errors
/// Names the first such picture, or the file that cannot be read.
pub fn refuse_defects_among(
    goods: &[PathBuf],
    contents_of_goods: &[Content],
    defects: &[PathBuf],
) -> Result<(), DataError> {
    let goods: HashMap<&Content, &PathBuf> = contents_of_goods.iter().zip(goods).collect();
    for (defect, content) in defects.iter().zip(contents(defects)?) {
        if let Some(&good) = goods.get(&content) {
            return Err(DataError::DefectAmongGoods {
                defect: defect.clone(),
                good: good.clone(),
            });
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::tests_support::Scratch;
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_that_cannot_be_read_is_called_a_file() {
        let scratch = Scratch::new();
        scratch.grey("6.png", 4, 4, 1);
        let link = scratch.path("7.png");
        std::os::unix::fs::symlink(scratch.path("gone.png"), &link).unwrap();
        let error = contents(&[scratch.path("6.png"), link]).unwrap_err();
        let words = error.to_string();
        assert!(words.starts_with("cannot read '"), "{words}");
        assert!(words.contains("7.png': No such file"), "{words}");
        assert!(words.contains("that the file exists"), "{words}");
    }

    #[test]
    fn defects_that_are_goods_as_well_are_named_with_both_places() {
        let scratch = Scratch::new();
        for (name, seed) in [("good/0.png", 0), ("good/1.png", 1), ("bad/x.png", 1)] {
            scratch.grey(name, 4, 4, seed);
        }
        let goods = [scratch.path("good/0.png"), scratch.path("good/1.png")];
        let refused = |goods: &[PathBuf]| {
            let of_goods = contents(goods).unwrap();
            refuse_defects_among(goods, &of_goods, &[scratch.path("bad/x.png")])
        };
        let words = refused(&goods).unwrap_err().to_string();
        for part in ["bad/x.png' is among", "as '", "good/1.png' and would"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(refused(&goods[..1]).is_ok());
    }
}
