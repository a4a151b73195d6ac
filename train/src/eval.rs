//! How well a bundle finds the marked defects of a test set in MVTec's layout.
//!
//! Pictures go through the station's own code. Pixel figures compare at the pictures' own resolution
//! with masks as they are; only a bundle that resizes whole pictures compares at its tile's size with
//! masks brought there as the authors do (bilinear, a pixel counts only if fully inside).

use crate::data::{Class, DataError, TestPicture};
use crate::inspectors;
use blemish::engine::Inspector;
use blemish::metrics::{MetricError, Ranking, Scores};
use blemish::model::Bundle;
use blemish::picture::{Mask, Picture, PictureError};
use blemish::verdict::Verdict;
use blemish::web::{InspectError, PictureResult, PictureRules, inspect_picture};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("'{}': {source}", path.display())]
    Inspect { path: PathBuf, source: InspectError },
    #[error("'{}': {source}", path.display())]
    Mask { path: PathBuf, source: MetricError },
    #[error("class '{class}': {source}")]
    Class { class: String, source: MetricError },
}

/// The five figures, each in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Figures {
    pub image_auroc: f64,
    pub image_ap: f64,
    pub pixel_auroc: f64,
    pub pixel_ap: f64,
    /// Per-region overlap up to a false positive rate of 0.3.
    pub aupro: f64,
}

/// Figures of one kind of defect together with all good pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kind {
    pub name: String,
    pub pictures: usize,
    /// Pictures with a region that the bundle's threshold and least area call a defect.
    pub rejected: usize,
    /// Absent for the good pictures.
    #[serde(flatten)]
    pub figures: Option<Figures>,
}

/// Figures of a class folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    pub class: String,
    /// Over all its test pictures.
    #[serde(flatten)]
    pub figures: Figures,
    /// The good pictures first, then every kind of defect.
    pub kinds: Vec<Kind>,
}

/// Figures of a test set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub bundle_sha256: String,
    pub classes: Vec<ClassReport>,
    /// Plain mean over the classes.
    pub mean: Figures,
}

/// Scores of one folder of test pictures.
#[derive(Default)]
struct Tally {
    images: Scores,
    pixels: Scores,
    pictures: usize,
    rejected: usize,
}

/// Scores `bundle` on the class folder `path`, or on every class folder in it; `inspected` hears of
/// every picture.
///
/// # Errors
/// Names the folder, picture or mask that cannot be used.
pub fn evaluate(
    bundle: &Bundle,
    path: &Path,
    inspected: &(dyn Fn() + Sync),
) -> Result<Report, EvalError> {
    let classes = classes(path)?
        .iter()
        .map(|class| evaluate_class(bundle, class, inspected))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Report {
        bundle_sha256: bundle.sha256().to_owned(),
        mean: Figures::mean(classes.iter().map(|class| class.figures)),
        classes,
    })
}

/// The class folder `path`, or the class folders in it.
///
/// # Errors
/// There is none with test pictures.
pub fn classes(path: &Path) -> Result<Vec<Class>, EvalError> {
    if path.join("test").is_dir() {
        return Ok(vec![Class::find(path)?]);
    }
    let unreadable = |source| DataError::Folder {
        path: path.to_owned(),
        source,
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        if folder.join("test").is_dir() {
            folders.push(folder);
        }
    }
    folders.sort();
    if folders.is_empty() {
        return Err(EvalError::NoTests(path.to_owned()));
    }
    Ok((folders.iter().map(|folder| Class::find(folder))).collect::<Result<_, _>>()?)
}

fn evaluate_class(
    bundle: &Bundle,
    class: &Class,
    inspected: &(dyn Fn() + Sync),
) -> Result<ClassReport, EvalError> {
    let rules = PictureRules::of(bundle.metadata(), false);
    let mut tallies: BTreeMap<Option<&str>, Tally> = BTreeMap::new();
    for group in class.tests.chunks(GROUP) {
        let results = inspectors::each(bundle, group, |test, inspector| {
            let found = inspect(test, inspector, &rules);
            inspected();
            found
        })?;
        for (test, (result, mask)) in group.iter().zip(results) {
            let tally = tallies.entry(test.defect.as_deref()).or_default();
            tally
                .add(&result, &mask)
                .map_err(|source| EvalError::Mask {
                    path: test.mask.clone().unwrap_or_else(|| test.path.clone()),
                    source,
                })?;
        }
    }
    let missing = |source| EvalError::Class {
        class: class.name.clone(),
        source,
    };
    let good = tallies
        .get(&None)
        .ok_or_else(|| missing(MetricError::NoGood))?;
    let kinds = (tallies.iter())
        .map(|(name, tally)| {
            Ok(Kind {
                name: name.unwrap_or("good").to_owned(),
                pictures: tally.pictures,
                rejected: tally.rejected,
                figures: match name {
                    Some(_) => Some(Figures::of([good, tally])?),
                    None => None,
                },
            })
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(missing)?;
    Ok(ClassReport {
        class: class.name.clone(),
        figures: Figures::of(tallies.values()).map_err(missing)?,
        kinds,
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

impl Tally {
    fn add(&mut self, result: &PictureResult, mask: &Mask) -> Result<(), MetricError> {
        self.pixels.push_map(&result.anomaly_map, mask)?;
        self.images.push(result.score, mask.area_px() > 0)?;
        self.pictures += 1;
        self.rejected += usize::from(result.verdict == Verdict::Defect);
        Ok(())
    }
}

impl Figures {
    fn of<'a>(tallies: impl IntoIterator<Item = &'a Tally> + Clone) -> Result<Self, MetricError> {
        let rank = |part: fn(&Tally) -> &Scores| -> Result<Ranking, MetricError> {
            Scores::rank(tallies.clone().into_iter().map(part))
        };
        let images = rank(|tally| &tally.images)?;
        let (image_auroc, image_ap) = (images.auroc(), images.average_precision());
        let pixels = rank(|tally| &tally.pixels)?;
        Ok(Self {
            image_auroc,
            image_ap,
            pixel_auroc: pixels.auroc(),
            pixel_ap: pixels.average_precision(),
            aupro: pixels.aupro(),
        })
    }

    /// Plain mean; zeros for none.
    fn mean(figures: impl ExactSizeIterator<Item = Self>) -> Self {
        let count = figures.len().max(1) as f64;
        let sum = figures.fold(Self::default(), |sum, next| Self {
            image_auroc: sum.image_auroc + next.image_auroc,
            image_ap: sum.image_ap + next.image_ap,
            pixel_auroc: sum.pixel_auroc + next.pixel_auroc,
            pixel_ap: sum.pixel_ap + next.pixel_ap,
            aupro: sum.aupro + next.aupro,
        });
        Self {
            image_auroc: sum.image_auroc / count,
            image_ap: sum.image_ap / count,
            pixel_auroc: sum.pixel_auroc / count,
            pixel_ap: sum.pixel_ap / count,
            aupro: sum.aupro / count,
        }
    }
}
