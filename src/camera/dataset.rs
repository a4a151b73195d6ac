//! Pictures of the synthetic web in the layout of MVTec's data sets: what the shipped model is trained
//! and judged on.

use super::CameraError;
use super::random::Random;
use super::web_texture::{Defect, DefectKind, WebSpec, WebTexture};
use crate::picture::Picture;
use std::path::{Path, PathBuf};

/// How much of what to write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DatasetSpec {
    pub web: WebSpec,
    pub lines_per_picture: u32,
    /// Good pictures for training.
    pub train_good: u32,
    /// Good pictures for the test, of other web than those for training.
    pub test_good: u32,
    /// Test pictures of each kind of defect, one defect in each.
    pub per_defect: u32,
}

/// Writes `train/good`, `test/good`, `test/<kind>` and `ground_truth/<kind>/<name>_mask.png` under
/// `folder`, which is made where it does not exist. `progress` is called after every picture with the
/// number written and the number wanted.
///
/// Every picture shows another piece of web from the same camera.
///
/// # Errors
/// Where a folder or file cannot be written.
pub fn write_dataset(
    folder: &Path,
    spec: &DatasetSpec,
    mut progress: impl FnMut(u32, u32),
) -> Result<(), CameraError> {
    let kinds = DefectKind::ALL.len() as u32;
    let wanted = spec.train_good + spec.test_good + kinds * spec.per_defect;
    let mut written = 0;
    let mut done = || {
        written += 1;
        progress(written, wanted);
    };
    let mut seeds = Random::stream(spec.web.web_seed, 100);
    for (part, pictures) in [("train", spec.train_good), ("test", spec.test_good)] {
        let good = make(folder.join(part).join("good"))?;
        for number in 0..pictures {
            let (picture, _) = piece(spec, seeds.next_u64(), None)?;
            picture.save_png(&good.join(format!("{number:04}.png")))?;
            done();
        }
    }
    for kind in DefectKind::ALL {
        let test = make(folder.join("test").join(kind.name()))?;
        let truth = make(folder.join("ground_truth").join(kind.name()))?;
        for number in 0..spec.per_defect {
            let (picture, mask) = piece(spec, seeds.next_u64(), Some(kind))?;
            picture.save_png(&test.join(format!("{number:04}.png")))?;
            mask.save_png(&truth.join(format!("{number:04}_mask.png")))?;
            done();
        }
    }
    Ok(())
}

fn make(folder: PathBuf) -> Result<PathBuf, CameraError> {
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(source) => Err(CameraError::Folder {
            path: folder,
            source,
        }),
    }
}

/// A picture of new web and its mask.
fn piece(
    spec: &DatasetSpec,
    web_seed: u64,
    kind: Option<DefectKind>,
) -> Result<(Picture, Picture), CameraError> {
    let web = WebSpec {
        web_seed,
        ..spec.web
    };
    let (width, lines) = (web.width_px as usize, spec.lines_per_picture as usize);
    let mut random = Random::stream(web_seed, 101);
    let defects = kind.map(|kind| {
        let margin = (lines / 4).min(120);
        let line = margin + random.below((lines - 2 * margin) as u32) as usize;
        Defect::draw(kind, line as u64, web.safe_columns(), &mut random)
    });
    let mut texture = WebTexture::new(web, defects.into_iter().collect());
    let (mut grey, mut labels) = (vec![0; width * lines], vec![0; width * lines]);
    for (grey, labels) in grey.chunks_mut(width).zip(labels.chunks_mut(width)) {
        texture.next_line(grey, labels);
    }
    for label in &mut labels {
        *label = 255 * u8::from(*label != 0);
    }
    Ok((
        Picture::from_grey8(width, lines, grey)?,
        Picture::from_grey8(width, lines, labels)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Mask, Samples};

    #[test]
    fn writes_the_layout_with_a_mask_for_every_defective_picture() {
        let folder = std::env::temp_dir().join(format!("blemish-dataset-{}", std::process::id()));
        let spec = DatasetSpec {
            web: WebSpec::default(),
            lines_per_picture: 256,
            train_good: 2,
            test_good: 1,
            per_defect: 1,
        };
        let mut last = (0, 0);
        write_dataset(&folder, &spec, |done, wanted| last = (done, wanted)).unwrap();
        assert_eq!(last, (10, 10));
        let open = |name: &str| Picture::open(&folder.join(name)).unwrap();
        let first = open("train/good/0000.png");
        assert_eq!(
            (first.width_px, first.height_px, first.channels),
            (512, 256, 1)
        );
        assert!(matches!(first.samples, Samples::U8(_)));
        assert_ne!(first, open("train/good/0001.png"));
        assert_ne!(first, open("test/good/0000.png"));
        for kind in DefectKind::ALL {
            let name = kind.name();
            open(&format!("test/{name}/0000.png"));
            let mask = folder.join(format!("ground_truth/{name}/0000_mask.png"));
            assert!(Mask::open(&mask).unwrap().area_px() > 50, "{name}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
