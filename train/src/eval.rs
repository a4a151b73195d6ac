//! How well a bundle finds the marked defects of a test set in MVTec's layout.
//!
//! Pictures go through the station's own code. Pixel figures compare at the pictures' own resolution
//! with masks as they are; only a bundle that resizes whole pictures compares at its tile's size with
//! masks brought there as the authors do (bilinear, a pixel counts only if fully inside).

use crate::data::{Class, DataError, TestPicture, test_folders};
use crate::inspectors;
use blemish::engine::Inspector;
use blemish::metrics::{Evaluation, MetricError, Row, SUMMARIES};
use blemish::model::{Bundle, Metadata, Preparation, Threshold};
use blemish::picture::{Mask, Picture, PictureError};
use blemish::verdict::Verdict;
use blemish::web::{InspectError, PictureResult, PictureRules, inspect_picture};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pictures inspected before their maps are counted: bounds the memory that maps take.
const GROUP: usize = 16;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(
        "'{}' has no test pictures: give a class folder with test/good and test/DEFECT, or a folder of \
         such class folders",
        .0.display()
    )]
    NoTests(PathBuf),
    #[error(
        "bundles {first} and {second} cut pictures into different tiles, so there are no verdicts to compare"
    )]
    OtherTiles { first: String, second: String },
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("'{}': {source}", path.display())]
    Inspect { path: PathBuf, source: InspectError },
    #[error("'{}': {source}", path.display())]
    Map { path: PathBuf, source: MetricError },
    #[error(
        "the mask '{}' is {found} px, its picture '{}' {wanted} px: draw the mask on the picture itself",
        mask.display(), picture.display()
    )]
    MaskSize {
        mask: PathBuf,
        found: String,
        picture: PathBuf,
        wanted: String,
    },
    #[error(
        "class '{class}' has a kind of defect called '{kind}', as the line that sums up all kinds is called: rename its \
         folders in test and ground_truth"
    )]
    Summary { class: String, kind: String },
    #[error("class '{class}': {source}")]
    Class { class: String, source: MetricError },
}

/// Where figures by pixel compare the map with the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum Pixels {
    /// At the pictures' own resolution, with masks as they are.
    Native,
    /// At the tile's size, to which whole pictures are resized, with masks brought there as the authors do.
    Tile { width_px: u32, height_px: u32 },
}

impl Pixels {
    fn of(metadata: &Metadata) -> Self {
        match metadata.preparation {
            Preparation::Native { .. } => Pixels::Native,
            Preparation::Resize { .. } => Pixels::Tile {
                width_px: metadata.tile.width_px,
                height_px: metadata.tile.height_px,
            },
        }
    }
}

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pixels::Native => f.write_str("at the pictures' own resolution, masks as they are"),
            Pixels::Tile {
                width_px,
                height_px,
            } => write!(
                f,
                "at {width_px}x{height_px} px, as the authors: masks are resized, and a pixel counts where all that it \
                 covers is marked"
            ),
        }
    }
}

/// How many pictures of one kind the bundle rejects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// `good`, or a kind of defect.
    pub kind: String,
    pub pictures: u32,
    /// Those with a region that the bundle's threshold and least area call a defect.
    pub rejected: u32,
}

/// Figures of a class folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    pub class: String,
    /// The bundle that was scored.
    pub bundle_sha256: String,
    pub threshold: Threshold,
    pub pixels: Pixels,
    /// Every kind of defect against all good pictures, their mean, and all together.
    pub rows: Vec<Row>,
    /// The good pictures first, then every kind of defect.
    pub verdicts: Vec<Verdicts>,
}

/// Figures of a test set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub classes: Vec<ClassReport>,
    /// Plain mean over the classes, each with all its pictures together: the papers' figure.
    pub mean: Row,
}

/// Scores every class with its bundle; `inspected` hears of every picture.
///
/// # Errors
/// Names the folder, picture or mask that cannot be used.
pub fn evaluate(
    classes: &[(Class, Arc<Bundle>)],
    inspected: &(dyn Fn() + Sync),
) -> Result<Report, EvalError> {
    (classes.iter()).try_for_each(|(class, _)| both_kinds(class))?;
    let classes = (classes.iter())
        .map(|(class, bundle)| evaluate_class(bundle, class, inspected))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Report {
        mean: Row::mean("mean", classes.iter().filter_map(|class| class.rows.last())),
        classes,
    })
}

/// The class folder `path`, or the class folders in it.
///
/// # Errors
/// There is none with test pictures, or a kind of defect is called as a summary of them.
pub fn classes(path: &Path) -> Result<Vec<Class>, EvalError> {
    let inside = test_folders(path)?;
    for left_out in &inside.left_out {
        log::warn!("left out: {left_out}");
    }
    let folders = match inside.classes.is_empty() {
        true => vec![path.to_owned()],
        false => inside.classes,
    };
    let mut classes = Vec::new();
    for folder in folders {
        let class = Class::find_tests(&folder)?;
        let mut kinds = class.tests.iter().filter_map(|test| test.defect.as_ref());
        if let Some(kind) = kinds.find(|kind| SUMMARIES.contains(&kind.as_str())) {
            return Err(EvalError::Summary {
                class: class.name.clone(),
                kind: kind.clone(),
            });
        }
        match class.tests.is_empty() {
            true if folder != path => {
                log::warn!("left out: class '{}' has no test pictures", class.name);
            }
            true => {}
            false => classes.push(class),
        }
    }
    match classes.is_empty() {
        true => Err(EvalError::NoTests(path.to_owned())),
        false => Ok(classes),
    }
}

/// Refuses a class without good or without defective pictures: it has no figures, and that must not be found after all
/// of it was inspected, or a network trained.
///
/// # Errors
/// Names the class, and which of them it lacks.
pub fn both_kinds(class: &Class) -> Result<(), EvalError> {
    let has = |defective: bool| (class.tests.iter()).any(|t| t.defect.is_some() == defective);
    let source = match (has(false), has(true)) {
        (true, true) => return Ok(()),
        (true, false) => MetricError::NoDefect,
        (false, _) => MetricError::NoGood,
    };
    Err(EvalError::Class {
        class: class.name.clone(),
        source,
    })
}

fn evaluate_class(
    bundle: &Bundle,
    class: &Class,
    inspected: &(dyn Fn() + Sync),
) -> Result<ClassReport, EvalError> {
    let rules = PictureRules::of(bundle.metadata(), false);
    let mut evaluation = Evaluation::new();
    let mut verdicts: BTreeMap<Option<&str>, [u32; 2]> = BTreeMap::new();
    for group in class.tests.chunks(GROUP) {
        let results = inspectors::each(bundle, group, |test, inspector| {
            let found = inspect(test, inspector, &rules);
            inspected();
            found
        })?;
        for (test, (result, mask)) in group.iter().zip(results) {
            let kind = test.defect.as_deref();
            evaluation
                .add(kind, result.score, &result.anomaly_map, &mask)
                .map_err(|source| EvalError::Map {
                    path: test.path.clone(),
                    source,
                })?;
            let [pictures, rejected] = verdicts.entry(kind).or_default();
            *pictures += 1;
            *rejected += u32::from(result.verdict == Verdict::Defect);
        }
    }
    for kind in evaluation.unmarked() {
        let absent = match kind.unmarked == kind.pictures {
            true => ", so this kind has no figures by pixel",
            false => "",
        };
        log::warn!(
            "class '{}', kind '{}': {} of {} masks mark nothing {}{absent}",
            class.name,
            kind.kind,
            kind.unmarked,
            kind.pictures,
            Pixels::of(bundle.metadata())
        );
    }
    let rows = evaluation.rows().map_err(|source| EvalError::Class {
        class: class.name.clone(),
        source,
    })?;
    let verdicts = verdicts
        .into_iter()
        .map(|(kind, [pictures, rejected])| Verdicts {
            kind: kind.unwrap_or("good").to_owned(),
            pictures,
            rejected,
        });
    Ok(ClassReport {
        class: class.name.clone(),
        bundle_sha256: bundle.sha256().to_owned(),
        threshold: bundle.metadata().threshold.clone(),
        pixels: Pixels::of(bundle.metadata()),
        rows,
        verdicts: verdicts.collect(),
    })
}

fn inspect(
    test: &TestPicture,
    inspector: &mut dyn Inspector,
    rules: &PictureRules,
) -> Result<(PictureResult, Mask), EvalError> {
    let picture = Picture::open(&test.path)?;
    let truth = match &test.mask {
        Some(path) => Some((path, mask_of(&picture, test, path)?)),
        None => None,
    };
    let result =
        inspect_picture(&picture, inspector, rules).map_err(|source| EvalError::Inspect {
            path: test.path.clone(),
            source,
        })?;
    let (width_px, height_px) = (result.width_px, result.height_px);
    let mask = match (truth, rules.preparation) {
        (None, _) => Mask::good(width_px, height_px),
        (Some((path, drawn)), Preparation::Native { .. }) => Mask::from_picture(&drawn, path)?,
        (Some((path, drawn)), Preparation::Resize { .. }) => {
            Mask::as_the_authors(&drawn, path, width_px, height_px)?
        }
    };
    Ok((result, mask))
}

/// The mask in `path`, which must be drawn on `picture` itself: one of another size says nothing about its pixels.
fn mask_of(picture: &Picture, test: &TestPicture, path: &Path) -> Result<Picture, EvalError> {
    let mask = Picture::open(path)?;
    let sides = |picture: &Picture| (picture.width_px, picture.height_px);
    match sides(&mask) == sides(picture) {
        true => Ok(mask),
        false => Err(EvalError::MaskSize {
            mask: path.to_owned(),
            found: format!("{}x{}", mask.width_px, mask.height_px),
            picture: test.path.clone(),
            wanted: format!("{}x{}", picture.width_px, picture.height_px),
        }),
    }
}
