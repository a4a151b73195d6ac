//! Finding pictures: MVTec's layout, DAGM's, or a bare folder.

use super::DataError;
use super::content::{Content, contents};
use super::dagm::{dagm_pictures, has_labels};
use super::walk::{Walk, entries, pictures_below};
use crate::checkpoint::hex;
use blemish::picture::is_picture;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A picture of the test set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPicture {
    pub path: PathBuf,
    /// Name of the defect's folder; `None` for good pictures, and where no folder names it.
    pub defect: Option<String>,
    /// Mask of the defect; `None` for good pictures.
    pub mask: Option<PathBuf>,
}

/// The pictures of one product, each list sorted by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// [`class_name`] of the folder.
    pub name: String,
    /// Folder below which the good pictures lie.
    pub folder: PathBuf,
    /// Good pictures for training and holding out.
    pub goods: Vec<PathBuf>,
    /// Empty for a bare folder.
    pub tests: Vec<TestPicture>,
}

impl Class {
    /// Finds the pictures of one class. In MVTec's layout these are `train/good`, `test/DEFECT` and
    /// `ground_truth/DEFECT/NAME_mask.png`; in DAGM's `Train`, `Test` and in each `Label/NAME_label.PNG`
    /// for the defective ones. Of any other folder every picture in and below it is taken as good.
    ///
    /// # Errors
    /// Where the folder cannot be read, holds no good picture, holds whole classes or half of a layout,
    /// or a defective picture has no mask.
    pub fn find(folder: &Path) -> Result<Self, DataError> {
        let class = Self::laid_out(folder, Layout::of(folder))?;
        match class.goods.is_empty() {
            true => Err(DataError::Empty { path: class.folder }),
            false => Ok(class),
        }
    }

    /// The same of a test set, which needs no good picture for training: in MVTec's layout `test` alone will do.
    ///
    /// # Errors
    /// As [`Class::find`], but that there is no good picture.
    pub fn find_tests(folder: &Path) -> Result<Self, DataError> {
        Self::laid_out(folder, Layout::of_tests(folder))
    }

    fn laid_out(folder: &Path, layout: Layout) -> Result<Self, DataError> {
        let (goods_folder, goods, tests) = match layout {
            Layout::Mvtec => {
                let goods = folder.join("train").join("good");
                let found = match goods.is_dir() {
                    true => pictures_below(&goods)?,
                    false => Vec::new(),
                };
                (goods, found, mvtec_tests(folder)?)
            }
            Layout::Dagm => {
                let goods = folder.join("Train");
                let found = dagm_pictures(&goods)?;
                let found = found.into_iter().filter(|test| test.defect.is_none());
                let found = found.map(|test| test.path).collect();
                (goods, found, dagm_pictures(&folder.join("Test"))?)
            }
            Layout::Bare => (folder.to_owned(), bare_pictures(folder)?, Vec::new()),
        };
        Ok(Class {
            name: class_name(folder),
            folder: goods_folder,
            goods,
            tests,
        })
    }

    /// SHA-256 over names (below [`Class::folder`], with `/` between parts) and contents of the good
    /// pictures, in hexadecimal.
    ///
    /// # Errors
    /// Where a picture cannot be read.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        Ok(self.fingerprint_of(&contents(&self.goods)?))
    }

    /// [`Class::fingerprint`] where the contents of [`Class::goods`] are known already.
    pub fn fingerprint_of(&self, contents: &[Content]) -> String {
        let mut all = Sha256::new();
        for (path, content) in self.goods.iter().zip(contents) {
            all.update(name_below(&self.folder, path).as_bytes());
            all.update([0]);
            all.update(content.0);
        }
        hex(&all.finalize())
    }
}

/// What the class in `folder` is called: as its folder, or the link to it; where the path ends in no name, such as
/// `.`, as the folder that it leads to.
pub fn class_name(folder: &Path) -> String {
    let last = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    last(folder)
        .or_else(|| last(&folder.canonicalize().ok()?))
        .unwrap_or_else(|| "product".to_owned())
}

/// How a folder is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Mvtec,
    Dagm,
    Bare,
}

impl Layout {
    fn of(folder: &Path) -> Self {
        let has = |parts: &[&str]| folder.join(parts.iter().collect::<PathBuf>()).is_dir();
        if has(&["train", "good"]) {
            Layout::Mvtec
        } else if has(&["Train"]) && (has(&["Test"]) || has_labels(&folder.join("Train"))) {
            Layout::Dagm
        } else {
            Layout::Bare
        }
    }

    /// The same where only tests are asked for.
    fn of_tests(folder: &Path) -> Self {
        match Layout::of(folder) {
            Layout::Bare if folder.join("test").is_dir() => Layout::Mvtec,
            layout => layout,
        }
    }
}

/// A folder of class folders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassFolders {
    /// Sorted; none where the folder is a class itself or holds pictures only.
    pub classes: Vec<PathBuf>,
    /// Folders and pictures beside the classes that belong to none of them: which and why, for people.
    pub left_out: Vec<String>,
}

/// The class folders in `folder`.
///
/// # Errors
/// Where the folder cannot be read.
pub fn class_folders(folder: &Path) -> Result<ClassFolders, DataError> {
    folders_by(folder, Layout::of, "train/good")
}

/// The class folders in `folder` that [`Class::find_tests`] takes for such.
///
/// # Errors
/// Where the folder cannot be read.
pub fn test_folders(folder: &Path) -> Result<ClassFolders, DataError> {
    folders_by(folder, Layout::of_tests, "test")
}

fn folders_by(
    folder: &Path,
    layout: fn(&Path) -> Layout,
    mvtec_has: &str,
) -> Result<ClassFolders, DataError> {
    if layout(folder) != Layout::Bare {
        return Ok(ClassFolders::default());
    }
    let inside = entries(folder)?.into_iter();
    let (classes, others): (Vec<_>, Vec<_>) = inside.partition(|path| layout(path) != Layout::Bare);
    if classes.is_empty() {
        return Ok(ClassFolders::default());
    }
    let of_none = |path: PathBuf| match path.is_dir() {
        true => Some(format!(
            "'{}' is no class, for it has neither {mvtec_has} nor Train beside Test; \
             name it by itself if its pictures are good ones",
            path.display()
        )),
        false if is_picture(&path) => Some(format!(
            "'{}' lies beside the classes and belongs to none of them",
            path.display()
        )),
        false => None,
    };
    let left_out = others.into_iter().filter_map(of_none).collect();
    Ok(ClassFolders { classes, left_out })
}

/// The defective pictures of a folder: those of its test set where it is a class or has one alone, all of a bare
/// folder, which has no masks and no kinds.
///
/// # Errors
/// As [`Class::find_tests`], and where there is none.
pub fn real_defects_in(folder: &Path) -> Result<Vec<TestPicture>, DataError> {
    let found: Vec<TestPicture> = match Layout::of_tests(folder) {
        Layout::Bare => {
            let unmarked = |path| TestPicture {
                path,
                defect: None,
                mask: None,
            };
            bare_pictures(folder)?.into_iter().map(unmarked).collect()
        }
        Layout::Mvtec | Layout::Dagm => {
            let tests = Class::find_tests(folder)?.tests.into_iter();
            tests.filter(|test| test.defect.is_some()).collect()
        }
    };
    match found.is_empty() {
        true => Err(DataError::NoDefect {
            path: folder.to_owned(),
        }),
        false => Ok(found),
    }
}

/// Path of `picture` relative to `folder` with `/` between its parts.
pub fn name_below(folder: &Path, picture: &Path) -> String {
    let relative = picture.strip_prefix(folder).unwrap_or(picture);
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// Folders of MVTec's and DAGM's layouts whose pictures are tests or masks.
const FOREIGN: [&str; 3] = ["test", "ground_truth", "Label"];

/// The pictures of a bare folder, which must not hold a class or a part of one: its defects and masks would
/// count as good.
fn bare_pictures(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    for part in ["test", "ground_truth"] {
        if folder.join(part).is_dir() {
            return Err(DataError::NoTrainGood {
                path: folder.to_owned(),
                part,
            });
        }
    }
    let mut walk = Walk::default();
    walk.enter(folder, &|inside| {
        let name = || name_below(folder, inside);
        if Layout::of(inside) != Layout::Bare {
            return Err(DataError::NotAClass {
                path: folder.to_owned(),
                class: name(),
            });
        }
        let last = inside.file_name().unwrap_or_default();
        let beside = match last.eq_ignore_ascii_case("good") {
            true => folder_beside(inside)?,
            false => None,
        };
        if let Some(beside) = beside {
            return Err(DataError::GoodBeside {
                path: folder.to_owned(),
                good: name(),
                beside: name_below(folder, &beside),
            });
        }
        match (FOREIGN.iter()).any(|foreign| last.eq_ignore_ascii_case(foreign)) {
            true => Err(DataError::Foreign {
                path: folder.to_owned(),
                inside: name(),
            }),
            false => Ok(()),
        }
    })?;
    Ok(walk.found)
}

/// The first other folder with pictures where `folder` lies.
fn folder_beside(folder: &Path) -> Result<Option<PathBuf>, DataError> {
    let Some(parent) = folder.parent() else {
        return Ok(None);
    };
    for path in entries(parent)? {
        if path != folder && path.is_dir() && !pictures_below(&path)?.is_empty() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn mvtec_tests(folder: &Path) -> Result<Vec<TestPicture>, DataError> {
    let mut tests = Vec::new();
    let test = folder.join("test");
    if !test.is_dir() {
        return Ok(tests);
    }
    for kind in entries(&test)?.into_iter().filter(|path| path.is_dir()) {
        let defect = kind
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for path in pictures_below(&kind)? {
            if defect == "good" {
                tests.push(TestPicture {
                    path,
                    defect: None,
                    mask: None,
                });
                continue;
            }
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let masks = folder.join("ground_truth").join(&defect);
            let mask = masks.join(format!("{stem}_mask.png"));
            if !mask.is_file() {
                return Err(DataError::NoMask {
                    picture: path,
                    mask,
                });
            }
            tests.push(TestPicture {
                path,
                defect: Some(defect.clone()),
                mask: Some(mask),
            });
        }
    }
    Ok(tests)
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::Scratch;
    use super::*;

    #[test]
    fn the_layouts_are_told_apart_and_masks_found() {
        let scratch = Scratch::new();
        scratch.grey("bare/b.png", 4, 4, 1);
        scratch.grey("bare/sub/a.PNG", 4, 4, 1);
        scratch.text("bare/notes.txt", "no picture");
        for ours in ["b.inspected.png", "b.map.png", "._b.png"] {
            scratch.grey(&format!("bare/{ours}"), 4, 4, 1);
        }
        let bare = Class::find(&scratch.path("bare")).unwrap();
        assert_eq!(bare.name, "bare");
        assert_eq!((bare.goods.len(), bare.tests.len()), (2, 0));

        scratch.grey("mvtec/train/good/0.png", 4, 4, 1);
        scratch.grey("mvtec/test/good/1.png", 4, 4, 1);
        scratch.grey("mvtec/test/hole/2.png", 4, 4, 1);
        let missing = Class::find(&scratch.path("mvtec")).unwrap_err().to_string();
        assert!(
            missing.contains("2_mask.png") && missing.contains("hole"),
            "{missing}"
        );
        scratch.grey("mvtec/ground_truth/hole/2_mask.png", 4, 4, 255);
        let class = Class::find(&scratch.path("mvtec")).unwrap();
        assert_eq!(class.goods, [scratch.path("mvtec/train/good/0.png")]);
        assert_eq!(class.tests.len(), 2);
        assert_eq!(class.tests[1].defect.as_deref(), Some("hole"));
    }

    #[cfg(unix)]
    #[test]
    fn a_class_is_called_as_its_own_folder_wherever_that_leads() {
        let scratch = Scratch::new();
        scratch.grey("far/2026-01/train/good/0.png", 4, 4, 1);
        scratch.grey("set/tile/train/good/0.png", 4, 4, 1);
        std::os::unix::fs::symlink(scratch.path("far/2026-01"), scratch.path("set/felt")).unwrap();
        let found = class_folders(&scratch.path("set")).unwrap();
        let names = found.classes.iter().map(|folder| {
            let class = Class::find(folder).unwrap();
            assert_eq!(class.name, folder.file_name().unwrap().to_str().unwrap());
            class.name
        });
        assert_eq!(names.collect::<Vec<_>>(), ["felt", "tile"]);
        for here in ["set/felt/.", "set/felt/"] {
            assert_eq!(class_name(&scratch.path(here)), "felt");
        }
        assert_eq!(class_name(&scratch.path("set/tile/..")), "set");
    }

    #[test]
    fn real_defects_are_neither_goods_nor_masks() {
        let scratch = Scratch::new();
        let paths = |folder: &str| {
            let found = real_defects_in(&scratch.path(folder)).unwrap();
            found.into_iter().map(|test| test.path).collect::<Vec<_>>()
        };
        scratch.grey("bare/sub/a.png", 4, 4, 1);
        assert_eq!(paths("bare"), [scratch.path("bare/sub/a.png")]);
        scratch.grey("dagm/Train/1.PNG", 4, 4, 1);
        scratch.grey("dagm/Test/2.PNG", 4, 4, 1);
        let none = real_defects_in(&scratch.path("dagm")).unwrap_err();
        assert!(
            none.to_string().contains("no picture of a defect"),
            "{none}"
        );
        scratch.grey("dagm/Test/3.PNG", 4, 4, 1);
        scratch.grey("dagm/Test/Label/3_label.PNG", 4, 4, 255);
        assert_eq!(paths("dagm"), [scratch.path("dagm/Test/3.PNG")]);
        scratch.grey("mvtec/train/good/0.png", 4, 4, 1);
        scratch.grey("mvtec/test/good/1.png", 4, 4, 1);
        scratch.grey("mvtec/test/hole/2.png", 4, 4, 1);
        scratch.grey("mvtec/ground_truth/hole/2_mask.png", 4, 4, 255);
        assert_eq!(paths("mvtec"), [scratch.path("mvtec/test/hole/2.png")]);
        scratch.grey("half/test/good/1.png", 4, 4, 1);
        scratch.grey("half/test/hole/2.png", 4, 4, 1);
        let bare = real_defects_in(&scratch.path("half")).unwrap_err();
        assert!(matches!(bare, DataError::NoMask { .. }), "{bare}");
        scratch.grey("half/ground_truth/hole/2_mask.png", 4, 4, 255);
        assert_eq!(paths("half"), [scratch.path("half/test/hole/2.png")]);
    }

    #[test]
    fn dagm_is_read_and_its_labelled_training_pictures_are_no_goods() {
        let scratch = Scratch::new();
        for picture in [
            "Train/0576.PNG",
            "Train/0577.PNG",
            "Test/0001.PNG",
            "Test/0002.PNG",
        ] {
            scratch.grey(&format!("set/Class1/{picture}"), 4, 4, 1);
        }
        scratch.grey("set/Class1/Train/Label/0577_label.PNG", 4, 4, 255);
        scratch.grey("set/Class1/Test/Label/0002_label.PNG", 4, 4, 255);
        scratch.text("set/Class1/Test/Label/Labels.txt", "1");
        scratch.grey("set/mvtec/train/good/0.png", 4, 4, 1);
        scratch.grey("set/others/0.png", 4, 4, 1);
        let class = Class::find(&scratch.path("set/Class1")).unwrap();
        assert_eq!(class.name, "Class1");
        assert_eq!(class.goods, [scratch.path("set/Class1/Train/0576.PNG")]);
        let masks: Vec<_> = class.tests.iter().map(|test| test.mask.clone()).collect();
        let label = scratch.path("set/Class1/Test/Label/0002_label.PNG");
        assert_eq!(masks, [None, Some(label)]);
        assert_eq!(class.tests[1].defect.as_deref(), Some("defect"));

        let found = class_folders(&scratch.path("set")).unwrap();
        assert_eq!(
            found.classes,
            [scratch.path("set/Class1"), scratch.path("set/mvtec")]
        );
        let [left_out] = &found.left_out[..] else {
            panic!("{:?}", found.left_out);
        };
        assert!(left_out.contains("set/others' is no class"), "{left_out}");
        for one in ["set/Class1", "set/mvtec", "set/others"] {
            let found = class_folders(&scratch.path(one)).unwrap();
            assert_eq!(found, ClassFolders::default(), "{one}");
        }
    }

    #[test]
    fn tests_need_no_goods_for_training() {
        let scratch = Scratch::new();
        for class in ["set/empty", "set/none"] {
            scratch.grey(&format!("{class}/test/hole/2.png"), 4, 4, 1);
            scratch.grey(&format!("{class}/ground_truth/hole/2_mask.png"), 4, 4, 255);
        }
        std::fs::create_dir_all(scratch.path("set/empty/train/good")).unwrap();
        let found = test_folders(&scratch.path("set")).unwrap();
        assert_eq!(
            found.classes,
            [scratch.path("set/empty"), scratch.path("set/none")]
        );
        for class in found.classes {
            assert!(Class::find(&class).is_err());
            let tests = Class::find_tests(&class).unwrap().tests;
            assert_eq!(tests[0].path, class.join("test/hole/2.png"));
        }
    }

    #[test]
    fn an_empty_or_missing_folder_is_named() {
        let scratch = Scratch::new();
        scratch.text("empty/readme.txt", "nothing");
        let empty = Class::find(&scratch.path("empty")).unwrap_err();
        assert!(matches!(empty, DataError::Empty { .. }));
        let missing = Class::find(&scratch.path("nowhere")).unwrap_err();
        assert!(matches!(missing, DataError::Folder { .. }));
        assert!(missing.to_string().contains("nowhere"));
    }

    #[test]
    fn a_data_set_or_half_a_class_is_not_taken_for_good_pictures() {
        let scratch = Scratch::new();
        scratch.grey("set/tile/train/good/0.png", 4, 4, 1);
        scratch.grey("set/tile/test/hole/1.png", 4, 4, 1);
        let set = Class::find(&scratch.path("set")).unwrap_err();
        assert!(matches!(&set, DataError::NotAClass { class, .. } if class == "tile"));
        scratch.grey("half/train/0.png", 4, 4, 1);
        scratch.grey("half/test/hole/1.png", 4, 4, 1);
        let half = Class::find(&scratch.path("half")).unwrap_err();
        assert!(matches!(half, DataError::NoTrainGood { part: "test", .. }));
    }

    #[test]
    fn classes_and_halves_of_them_are_found_at_any_depth() {
        let scratch = Scratch::new();
        scratch.grey("library/goods/0.png", 4, 4, 1);
        assert!(Class::find(&scratch.path("library")).is_ok());
        let refusal = |inside: &str, picture: &str| {
            scratch.grey(&format!("library/{picture}"), 4, 4, 1);
            let library = scratch.path("library");
            let error = Class::find(&library).unwrap_err().to_string();
            assert!(error.contains(&format!("'{inside}'")), "{error}");
            assert!(error.contains("good"), "{error}");
            assert_eq!(
                real_defects_in(&library).unwrap_err().to_string(),
                error,
                "of defects"
            );
            let top = inside.split('/').next().unwrap();
            std::fs::remove_dir_all(library.join(top)).unwrap();
        };
        refusal("set/tile", "set/tile/train/good/0.png");
        scratch.grey("library/set/Class1/Train/0.PNG", 4, 4, 1);
        refusal("set/Class1", "set/Class1/Test/0.PNG");
        refusal("half/more/test", "half/more/test/hole/0.png");
        refusal("half/ground_truth", "half/ground_truth/hole/0_mask.png");
        refusal("Label", "Label/0_label.PNG");
        scratch.grey("library/more/good/0.png", 4, 4, 1);
        assert!(Class::find(&scratch.path("library")).is_ok());
        refusal("more/good", "more/hole/0.png");
        scratch.grey("library/other/Good/0.png", 4, 4, 1);
        assert!(Class::find(&scratch.path("library")).is_ok());
        refusal("other/Good", "other/Scratch/0.png");
    }

    #[test]
    fn the_fingerprint_follows_names_and_contents_but_not_the_place() {
        let scratch = Scratch::new();
        let print = |folder: &str| {
            Class::find(&scratch.path(folder))
                .unwrap()
                .fingerprint()
                .unwrap()
        };
        for folder in ["a", "b", "c", "d"] {
            scratch.grey(&format!("{folder}/1.png"), 4, 4, 1);
        }
        scratch.grey("c/1.png", 4, 4, 2);
        std::fs::rename(scratch.path("d/1.png"), scratch.path("d/2.png")).unwrap();
        assert_eq!(print("a"), print("b"));
        assert_ne!(print("a"), print("c"));
        assert_ne!(print("a"), print("d"));
        assert_eq!(print("a").len(), 64);
    }

    #[test]
    fn a_published_data_set_is_found_whole() {
        let Some(folder) = crate::test_golden::class("magnetic_tile") else {
            return;
        };
        let class = Class::find(&folder).unwrap();
        let count = |defect| {
            let of = |test: &&TestPicture| test.defect.as_deref() == defect;
            class.tests.iter().filter(of).count()
        };
        assert_eq!((class.goods.len(), count(None)), (245, 62));
        assert_eq!((count(Some("blowhole")), count(Some("uneven"))), (38, 34));
    }
}
