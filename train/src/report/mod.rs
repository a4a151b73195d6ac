//! The report of a training in one HTML file: did it converge, are the pictures what they should be,
//! and what would the bundle miss.
//!
//! * **look**: a picture in a few numbers;
//! * **goods**: held-out pictures of the run, and pictures of another imaging run where there are any;
//! * **best hidden**: the defects with the lowest scores.

mod look;
mod page;
mod warnings;

pub use look::Look;
pub use page::{Facts, page};
pub use warnings::{Goods, warnings};

use crate::backend::Batch;
use crate::inspectors;
use blemish::model::{Bundle, ColorOrder, Preparation};
use blemish::page::{PictureEntry, ScoreGroup, Truth};
use blemish::picture::{Mask, Picture, PictureError, Samples};
use blemish::web::{InspectError, PictureRules, inspect_picture};
use std::path::PathBuf;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("'{place}': {source}")]
    Inspect { place: String, source: InspectError },
    #[error(
        "'{place}': its mask has {mask} px, the picture {picture} px; draw the mask on the picture itself"
    )]
    Mask {
        place: String,
        mask: String,
        picture: String,
    },
}

/// A picture that the bundle judges.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    pub name: String,
    pub content: Content,
    /// `None` for good pictures.
    pub defect: Option<String>,
}

/// Where a subject's pixels are.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A file, with the file of its mask where a person marked the defect.
    File {
        picture: PathBuf,
        mask: Option<PathBuf>,
    },
    /// A simulated defect.
    Simulated { picture: Picture, mask: Mask },
}

impl Subject {
    /// A good picture.
    pub fn good(path: &std::path::Path) -> Self {
        Self {
            name: file_name(path),
            content: Content::File {
                picture: path.to_owned(),
                mask: None,
            },
            defect: None,
        }
    }

    /// A picture with a real defect of `kind`.
    pub fn defect(path: &std::path::Path, kind: &str, mask: Option<PathBuf>) -> Self {
        Self {
            defect: Some(kind.to_owned()),
            content: Content::File {
                picture: path.to_owned(),
                mask,
            },
            ..Self::good(path)
        }
    }

    /// The tiles of `batches` that carry a simulated defect, in 8 bit as a camera gives them.
    pub fn simulated(batches: &[Batch]) -> Vec<Self> {
        let mut found = Vec::new();
        for batch in batches {
            let area = batch.width_px * batch.height_px;
            let tiles = batch.seen.chunks_exact(3 * area);
            let tiles = tiles.zip(batch.mask.chunks_exact(area)).enumerate();
            for (number, (tile, mask)) in tiles {
                let [width_px, height_px] = batch.scored(number);
                let crop = |plane: &[f32]| batch.crop(plane, number).into_owned();
                let defect: Vec<bool> = crop(mask).iter().map(|&value| value > 0.5).collect();
                if !defect.contains(&true) {
                    continue;
                }
                found.push(Self {
                    name: format!("simulated defect {}", found.len() + 1),
                    content: Content::Simulated {
                        picture: Picture {
                            width_px,
                            height_px,
                            channels: 3,
                            samples: Samples::U8(interleaved(
                                &tile.chunks_exact(area).flat_map(crop).collect::<Vec<f32>>(),
                                ColorOrder::Rgb,
                            )),
                        },
                        mask: Mask {
                            width_px,
                            height_px,
                            defect,
                        },
                    },
                    defect: Some("simulated".to_owned()),
                });
            }
        }
        found
    }

    /// Where it is, for messages.
    fn place(&self) -> String {
        match &self.content {
            Content::File { picture, .. } => picture.display().to_string(),
            Content::Simulated { .. } => self.name.clone(),
        }
    }

    /// The mask at the size of a tile that whole pictures are resized to; that of a simulated defect has it.
    fn mask_as_the_authors(
        &self,
        width_px: usize,
        height_px: usize,
    ) -> Result<Option<Mask>, PictureError> {
        let Content::File { mask, .. } = &self.content else {
            return Ok(self.open()?.1);
        };
        let resized =
            |path: &PathBuf| Mask::as_the_authors(&Picture::open(path)?, path, width_px, height_px);
        mask.as_ref().map(resized).transpose()
    }

    fn open(&self) -> Result<(Picture, Option<Mask>), PictureError> {
        match &self.content {
            Content::File { picture, mask } => {
                let mask = mask.as_deref().map(Mask::open).transpose()?;
                Ok((Picture::open(picture)?, mask))
            }
            Content::Simulated { picture, mask } => Ok((picture.clone(), Some(mask.clone()))),
        }
    }
}

/// Scores of the subjects, as the station gives them.
///
/// # Errors
/// Names the subject that cannot be read or inspected.
pub fn scores(bundle: &Bundle, subjects: &[Subject]) -> Result<Vec<f32>, ReportError> {
    let rules = PictureRules::of(bundle.metadata(), false);
    inspectors::each(bundle, subjects, |subject, inspector| {
        let (picture, _) = subject.open()?;
        let result = inspect_picture(&picture, inspector, &rules);
        result
            .map(|result| result.score)
            .map_err(|source| ReportError::Inspect {
                place: subject.place(),
                source,
            })
    })
}

/// One group for every kind of defect, or one for good pictures, called `good_name`.
pub fn groups(subjects: &[Subject], scores: &[f32], good_name: &str) -> Vec<ScoreGroup> {
    let mut groups: Vec<ScoreGroup> = Vec::new();
    for (subject, &score) in subjects.iter().zip(scores) {
        let name = subject.defect.as_deref().unwrap_or(good_name);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.scores.push(score),
            None => groups.push(ScoreGroup {
                name: name.to_owned(),
                defect: Some(subject.defect.is_some()),
                scores: vec![score],
            }),
        }
    }
    groups
}

/// Up to `count` subjects, those with the greatest scores first, or with the lowest.
pub fn extreme<'a>(
    subjects: &'a [Subject],
    scores: &[f32],
    count: usize,
    greatest: bool,
) -> Vec<&'a Subject> {
    let mut order: Vec<usize> = (0..subjects.len()).collect();
    order.sort_by(|&a, &b| match greatest {
        true => scores[b].total_cmp(&scores[a]),
        false => scores[a].total_cmp(&scores[b]),
    });
    let chosen = order.into_iter().take(count);
    chosen.map(|at| &subjects[at]).collect()
}

/// The subjects as entries of a report: picture, anomaly map and reconstruction side by side. Anchors
/// begin with `anchor`.
///
/// # Errors
/// Names the subject that cannot be read or inspected, or whose mask has other sides.
pub fn entries(
    bundle: &Bundle,
    subjects: &[&Subject],
    anchor: &str,
) -> Result<Vec<String>, ReportError> {
    let rules = PictureRules::of(bundle.metadata(), true);
    let numbered: Vec<(usize, &&Subject)> = subjects.iter().enumerate().collect();
    inspectors::each(bundle, &numbered, |&(number, subject), inspector| {
        let (picture, mask) = subject.open()?;
        let result = inspect_picture(&picture, inspector, &rules).map_err(|source| {
            ReportError::Inspect {
                place: subject.place(),
                source,
            }
        })?;
        let (width, height) = (result.width_px, result.height_px);
        let same =
            |mask: &Mask| (mask.width_px, mask.height_px) == (picture.width_px, picture.height_px);
        if let Some(mask) = mask.as_ref().filter(|mask| !same(mask)) {
            return Err(ReportError::Mask {
                place: subject.place(),
                mask: format!("{}x{}", mask.width_px, mask.height_px),
                picture: format!("{}x{}", picture.width_px, picture.height_px),
            });
        }
        let (picture, mask) = match rules.preparation {
            Preparation::Resize { filter } => (
                picture.resized(width, height, filter),
                subject.mask_as_the_authors(width, height)?,
            ),
            Preparation::Native { .. } => (picture, mask),
        };
        let reconstruction = result.reconstruction.as_ref().map(|planes| Picture {
            width_px: width,
            height_px: height,
            channels: 3,
            samples: Samples::U8(interleaved(planes, rules.color_order)),
        });
        let entry = PictureEntry {
            name: &subject.name,
            anchor: &format!("{anchor}{number}"),
            picture: &picture,
            first_line: 0,
            map: &result.anomaly_map,
            regions: &result.regions,
            reconstruction: reconstruction.as_ref(),
            verdict: result.verdict,
            score: result.score,
            threshold: rules.threshold,
            truth: Some(Truth {
                kind: subject.defect.as_deref().unwrap_or("good"),
                defect: subject.defect.is_some(),
                mask: mask.as_ref(),
            }),
        };
        Ok(entry.html()?)
    })
}

/// Planes in [0, 1] as red, green and blue of 8 bit.
fn interleaved(planes: &[f32], order: ColorOrder) -> Vec<u8> {
    let area = planes.len() / 3;
    let channels = match order {
        ColorOrder::Rgb => [0, 1, 2],
        ColorOrder::Bgr => [2, 1, 0],
    };
    (0..area)
        .flat_map(|pixel| channels.map(|channel| planes[channel * area + pixel]))
        .map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8)
        .collect()
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
