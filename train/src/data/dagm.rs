//! DAGM's layout: `Train` and `Test`, in each the labels of the defective pictures in `Label`.

use super::DataError;
use super::layout::TestPicture;
use super::walk::{entries, pictures_below};
use blemish::picture::is_picture;
use std::path::{Path, PathBuf};

/// What the name of a label has behind that of its picture.
const SUFFIX: &str = "_label";

/// Whether `folder`, a `Train` or `Test`, has a folder of labels.
pub(super) fn has_labels(folder: &Path) -> bool {
    let inside = entries(folder).unwrap_or_default();
    inside
        .iter()
        .any(|path| holds_labels(path) && path.is_dir())
}

/// Pictures of DAGM's `Train` or `Test`: those with a label are defective. Of names the case does not count.
///
/// # Errors
/// The folder cannot be read, or holds a label that belongs to no picture, or pictures in another folder than
/// `Label`: a defective picture whose label is not found would count as good.
pub(super) fn dagm_pictures(folder: &Path) -> Result<Vec<TestPicture>, DataError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let (folders, files): (Vec<_>, Vec<_>) =
        entries(folder)?.into_iter().partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| is_picture(path));
    let mut pictures: Vec<(String, TestPicture)> = files
        .map(|path| {
            let picture = TestPicture {
                path,
                defect: None,
                mask: None,
            };
            (stem(&picture.path), picture)
        })
        .collect();
    for inside in folders {
        for label in pictures_below(&inside)? {
            if !holds_labels(&inside) {
                return Err(DataError::BesideLabels { path: inside });
            }
            mark(&mut pictures, label, folder)?;
        }
    }
    Ok(pictures.into_iter().map(|(_, picture)| picture).collect())
}

/// Gives `label` to its picture.
fn mark(
    pictures: &mut [(String, TestPicture)],
    label: PathBuf,
    folder: &Path,
) -> Result<(), DataError> {
    let of = stem(&label);
    let of = of.strip_suffix(SUFFIX);
    let mut found = false;
    for (_, picture) in pictures.iter_mut().filter(|(stem, _)| of == Some(stem)) {
        found = true;
        picture.defect = Some("defect".to_owned());
        picture.mask.get_or_insert_with(|| label.clone());
    }
    match found {
        true => Ok(()),
        false => Err(DataError::StrayLabel {
            label,
            folder: folder.to_owned(),
        }),
    }
}

fn holds_labels(folder: &Path) -> bool {
    (folder.file_name()).is_some_and(|name| name.eq_ignore_ascii_case("Label"))
}

/// The file's name without its ending, in lower case.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::layout::Class;
    use super::super::tests_support::Scratch;

    #[test]
    fn no_label_is_left_without_its_picture() {
        let scratch = Scratch::new();
        for picture in ["Train/1.PNG", "Train/2.PNG", "Test/3.PNG"] {
            scratch.grey(&format!("set/{picture}"), 4, 4, 1);
        }
        let goods = || Class::find(&scratch.path("set")).map(|class| class.goods);
        let refusal = |file: &str, words: &str| {
            let file = format!("set/{file}");
            scratch.grey(&file, 4, 4, 255);
            let error = goods().unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("good"), "{error}");
            std::fs::remove_file(scratch.path(&file)).unwrap();
        };
        refusal(
            "Train/Label/1_mask.PNG",
            "Label/1_mask.PNG' belongs to no picture",
        );
        refusal(
            "Train/Label/7_label.PNG",
            "Label/7_label.PNG' belongs to no picture",
        );
        refusal(
            "Test/Label/1_label.PNG",
            "Label/1_label.PNG' belongs to no picture",
        );
        refusal("Train/Masks/1_label.PNG", "Train/Masks'");
        scratch.grey("set/Train/Label/1_LABEL.png", 4, 4, 255);
        scratch.text("set/Train/Label/Labels.txt", "1");
        assert_eq!(goods().unwrap(), [scratch.path("set/Train/2.PNG")]);
    }

    #[test]
    fn labels_in_a_folder_of_another_case_are_labels() {
        let scratch = Scratch::new();
        scratch.grey("set/Train/1.PNG", 4, 4, 1);
        scratch.grey("set/Train/2.PNG", 4, 4, 1);
        scratch.grey("set/Train/label/1_Label.tif", 4, 4, 255);
        let class = Class::find(&scratch.path("set")).unwrap();
        assert_eq!(class.goods, [scratch.path("set/Train/2.PNG")]);
        scratch.grey("bare/LABEL/1.png", 4, 4, 255);
        scratch.grey("bare/1.png", 4, 4, 1);
        assert!(Class::find(&scratch.path("bare")).is_err());
    }
}
