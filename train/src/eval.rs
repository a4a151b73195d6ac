//! How well a bundle finds the marked defects of a test set in MVTec's layout.
//!
//! Pictures go through the station's own code. Pixel figures compare at the pictures' own resolution
//! with masks as they are; only a bundle that resizes whole pictures compares at its tile's size with
//! masks brought there as the authors do (bilinear, a pixel counts only if fully inside).

use crate::data::{Class, DataError, TestPicture, test_folders};
use crate::inspectors;
use blemish::engine::Inspector;
use blemish::metrics::{Evaluation, MetricError, Row};
use blemish::model::{Bundle, Threshold};
use blemish::picture::{Mask, Picture, PictureError};
use blemish::verdict::Verdict;
use blemish::web::{InspectError, PictureResult, PictureRules, inspect_picture};
use serde::Serialize;
use std::collections::BTreeMap;
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
    Mask { path: PathBuf, source: MetricError },
    #[error("class '{class}': {source}")]
    Class { class: String, source: MetricError },
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
/// There is none with test pictures.
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
                .map_err(|source| EvalError::Mask {
                    path: test.mask.clone().unwrap_or_else(|| test.path.clone()),
                    source,
                })?;
            let [pictures, rejected] = verdicts.entry(kind).or_default();
            *pictures += 1;
            *rejected += u32::from(result.verdict == Verdict::Defect);
        }
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
    let result =
        inspect_picture(&picture, inspector, rules).map_err(|source| EvalError::Inspect {
            path: test.path.clone(),
            source,
        })?;
    let mask = match &test.mask {
        Some(path) => Mask::open(path)?,
        None => Mask::good(picture.width_px, picture.height_px),
    };
    let same_size = (mask.width_px, mask.height_px) == (picture.width_px, picture.height_px);
    let resized = (result.width_px, result.height_px) != (picture.width_px, picture.height_px);
    let mask = match same_size && resized {
        true => mask.as_the_authors(result.width_px, result.height_px),
        // A mask of another size than its picture is refused where the scores are counted.
        false => mask,
    };
    Ok((result, mask))
}
