//! Which good pictures are kept out of training.

use super::DataError;
use super::layout::name_below;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Splits good pictures into those for training and those held out, both in the order given.
///
/// The pictures with the smallest hashes of seed and name (below `folder`) are held out: `share` of
/// them, at least one, at most all but one; none where `share` is 0. Adding a picture moves few others.
///
/// # Errors
/// If there are fewer than 2 pictures and `share` is above 0.
pub fn hold_out(
    folder: &Path,
    goods: &[PathBuf],
    share: f64,
    seed: u64,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    if share <= 0.0 {
        return Ok((goods.to_vec(), Vec::new()));
    }
    if goods.len() < 2 {
        return Err(DataError::TooFew {
            pictures: goods.len(),
        });
    }
    let count = (share * goods.len() as f64).round() as usize;
    let count = count.clamp(1, goods.len() - 1);
    let mut ranks: Vec<([u8; 32], usize)> = goods
        .iter()
        .enumerate()
        .map(|(index, path)| (hash(seed, &name_below(folder, path)), index))
        .collect();
    ranks.sort_unstable();
    let mut is_held = vec![false; goods.len()];
    for &(_, index) in &ranks[..count] {
        is_held[index] = true;
    }
    let part = |held: bool| {
        let chosen = goods.iter().zip(&is_held).filter(|(_, is)| **is == held);
        chosen.map(|(path, _)| path.clone()).collect()
    };
    Ok((part(false), part(true)))
}

fn hash(seed: u64, name: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(name.as_bytes());
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<PathBuf> {
        (0..count)
            .map(|i| PathBuf::from(format!("/data/{i:03}.png")))
            .collect()
    }

    #[test]
    fn a_tenth_is_held_out_and_the_seed_decides_which() {
        let (folder, goods) = (Path::new("/data"), names(245));
        let (train, held) = hold_out(folder, &goods, 0.1, 0).unwrap();
        assert_eq!((train.len(), held.len()), (220, 25));
        assert!(held.iter().all(|path| !train.contains(path)));
        assert_eq!(hold_out(folder, &goods, 0.1, 0).unwrap().1, held);
        assert_ne!(hold_out(folder, &goods, 0.1, 1).unwrap().1, held);
    }

    #[test]
    fn the_place_of_the_folder_does_not_matter() {
        let moved: Vec<PathBuf> = (0..50)
            .map(|i| PathBuf::from(format!("/x/{i:03}.png")))
            .collect();
        let here = hold_out(Path::new("/data"), &names(50), 0.2, 5).unwrap().1;
        let there = hold_out(Path::new("/x"), &moved, 0.2, 5).unwrap().1;
        let file_names = |paths: &[PathBuf]| -> Vec<_> {
            paths
                .iter()
                .map(|path| path.file_name().map(ToOwned::to_owned))
                .collect()
        };
        assert_eq!(file_names(&here), file_names(&there));
    }

    #[test]
    fn at_least_one_stays_on_either_side() {
        let folder = Path::new("/data");
        let sizes = |count, share| {
            let (train, held) = hold_out(folder, &names(count), share, 0).unwrap();
            (train.len(), held.len())
        };
        assert_eq!(sizes(2, 0.01), (1, 1));
        assert_eq!(sizes(3, 0.99), (1, 2));
        assert_eq!(sizes(1, 0.0), (1, 0));
        assert!(hold_out(folder, &names(1), 0.1, 0).is_err());
    }
}
