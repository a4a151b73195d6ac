//! `threshold`: set a bundle's threshold from good pictures of another imaging run.

use super::{Done, output, tell};
use crate::atomic_file::write_atomically;
use crate::data::{Class, Content, contents, real_defects_in, refuse_defects_among};
use crate::threshold::promise::{Limit, enough, limit};
use crate::{inspectors, light, trained};
use blemish::geometry::Columns;
use blemish::light::LightLimits;
use blemish::model::{self, Bundle, Metadata, Threshold};
use blemish::picture::Picture;
use blemish::verdict::Verdict;
use blemish::web::{PictureResult, PictureRules, inspect_picture};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tract_onnx::pb::ModelProto;

/// Missed defects that are named.
const NAMED: usize = 10;
/// Shares of the smallest good picture from which on a least area is told, and refused: a defect that must cover
/// half a picture is none that anybody looks for.
const LARGE_SHARE: f64 = 0.25;
const MOST_SHARE: f64 = 0.5;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle whose threshold is set.
    bundle: PathBuf,
    /// Folder of good pictures from another imaging run than training's: another day, lamp or roll.
    goods: PathBuf,
    /// Promise at most so many false rejects of 1000 good pictures, with 95 % confidence.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = parse_promise)]
    rejects_per_1000: f64,
    /// Keep this score as threshold and choose the least area instead.
    #[arg(long, value_name = "SCORE", value_parser = parse_score)]
    score: Option<f32>,
    /// Columns that the station inspects, as its `web.columns`; END is the column after the last.
    #[arg(long, value_name = "FIRST..END")]
    columns: Option<Columns>,
    /// Folder of pictures with real defects, to see what would be missed.
    #[arg(long, value_name = "DIR")]
    defects: Option<PathBuf>,
    /// Write the bundle here instead of over the old one.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Args {
    pub fn run(self) -> Done {
        let out = self.out.as_ref().unwrap_or(&self.bundle);
        let before = std::fs::read(out).ok();
        let bytes = std::fs::read(&self.bundle).map_err(|error| {
            format!(
                "{}: {error}; give the bundle that 'fit' or 'quantize' wrote",
                self.bundle.display()
            )
        })?;
        let bundle = Bundle::from_bytes(
            bytes.clone(),
            &self.bundle.display().to_string(),
            &mut |_| {},
        )?;
        output::probe(out)?;
        let class = Class::find(&self.goods)?;
        // Before the goods are scored, which may take hours.
        let defects = match &self.defects {
            Some(folder) => {
                let found = real_defects_in(folder)?.into_iter();
                Some(found.map(|test| test.path).collect::<Vec<_>>())
            }
            None => None,
        };
        let metadata = bundle.metadata();
        let model = ModelProto::decode(bytes.as_slice())?;
        let contents = contents(&class.goods)?;
        refuse_trained(&class, &contents, metadata, &trained::read(&model))?;
        if let Some(defects) = &defects {
            refuse_defects_among(&class.goods, &contents, defects)?;
        }
        let distinct = distinct(&class.goods, &contents);
        enough(distinct.len() as u32, self.rejects_per_1000)?;
        let rules = PictureRules {
            threshold: self.score.unwrap_or(metadata.threshold.score),
            min_area_px: 1,
            columns: self.columns,
            ..PictureRules::of(metadata, false)
        };
        let goods = inspect(&bundle, &distinct, &rules)?;
        let found = match &defects {
            Some(paths) => inspect(&bundle, paths, &rules)?,
            None => Vec::new(),
        };
        let threshold = self.choose(metadata, &goods, &found)?;
        tell(format_args!(
            "threshold   {:.4}, least area {} px: {}",
            threshold.score, threshold.min_area_px, threshold.basis
        ));
        tell(format_args!(
            "            of 1000 good pictures like these {:.1} are expected to be rejected, with 95 % confidence at most {:.1}",
            threshold.expected_rejects_per_1000, threshold.upper_95_rejects_per_1000
        ));
        if self.score.is_none() {
            tell_drift(&metadata.threshold, &goods);
        }
        if let Some(paths) = &defects {
            let rules = PictureRules {
                threshold: threshold.score,
                min_area_px: threshold.min_area_px,
                ..rules
            };
            tell_missed(paths, &inspect(&bundle, paths, &rules)?);
        }
        // A bundle from before limits were kept gets those of these goods alone.
        let of_goods = light::limits(&class.goods, self.columns)?;
        let light = (metadata.light.into_iter().chain(of_goods)).reduce(LightLimits::widened);
        if let Some(limits) = light {
            tell(format_args!(
                "light       {limits}; lines outside are not inspected"
            ));
        }
        let metadata = Metadata {
            threshold,
            light,
            ..metadata.clone()
        };
        let sealed = model::seal(model, &metadata)?;
        refuse_written(out, before.as_deref())?;
        write_atomically(out, |file| file.write_all(&sealed))?;
        tell(format_args!("bundle      {}", out.display()));
        Ok(ExitCode::SUCCESS)
    }

    fn choose(
        &self,
        metadata: &Metadata,
        goods: &[PictureResult],
        defects: &[PictureResult],
    ) -> Result<Threshold, Box<dyn Error>> {
        let count = goods.len() as u32;
        let place = self.goods.display();
        let words = |limit: &Limit, what: &str| {
            format!(
                "{} of {count} good pictures in {place} are rejected by {what}, as many as the promise of at \
                 most {} per 1000 allows",
                limit.rejected, self.rejects_per_1000
            )
        };
        let (score, min_area_px, limit, basis) = match self.score {
            None => {
                let scores: Vec<f64> = goods.iter().map(|good| f64::from(good.score)).collect();
                let limit = limit(&scores, self.rejects_per_1000)?;
                let weakest = (defects.iter().map(|defect| f64::from(defect.score)))
                    .filter(|&score| score > limit.accepted)
                    .reduce(f64::min);
                let basis = words(&limit, "score");
                let min_area_px = metadata.threshold.min_area_px;
                let score = limit.score(&scores, weakest)?;
                (score, min_area_px, limit, basis)
            }
            Some(score) => {
                let areas: Vec<f64> = goods.iter().map(largest_area_px).collect();
                let limit = limit(&areas, self.rejects_per_1000)?;
                let basis = words(&limit, "area at a given score");
                let min_area_px = (limit.accepted as u32).saturating_add(1);
                check_area(score, min_area_px, self.smallest_px(goods))?;
                (score, min_area_px, limit, basis)
            }
        };
        let (expected_rejects_per_1000, upper_95_rejects_per_1000) = limit.per_1000(count);
        Ok(Threshold {
            score,
            min_area_px,
            basis,
            goods: count,
            expected_rejects_per_1000,
            upper_95_rejects_per_1000,
        })
    }
}

impl Args {
    /// Pixels that are inspected of the smallest picture.
    fn smallest_px(&self, goods: &[PictureResult]) -> u64 {
        let seen = |good: &PictureResult| {
            let width = good.width_px as u64;
            let columns = (self.columns).map_or(0..width, |columns| {
                u64::from(columns.first)..u64::from(columns.end).min(width)
            });
            columns.count() as u64 * good.height_px as u64
        };
        goods.iter().map(seen).min().unwrap_or(0)
    }
}

/// Refuses a least area that hardly any defect reaches, and warns of a large one; `smallest_px` are the pixels of
/// the smallest good picture.
fn check_area(score: f32, min_area_px: u32, smallest_px: u64) -> Result<(), String> {
    let share = f64::from(min_area_px) / smallest_px.max(1) as f64;
    let found = format!(
        "at score {score} good pictures have regions of up to {} px, so a defect would have to cover {min_area_px} px, \
         {:.0} % of the smallest picture's {smallest_px}",
        min_area_px - 1,
        100.0 * share
    );
    if share > MOST_SHARE {
        return Err(format!(
            "{found}: such a bundle could reject next to nothing; give a higher --score, or leave it out and the \
             score is chosen"
        ));
    }
    if share > LARGE_SHARE {
        log::warn!("{found}; look whether a higher --score would do better");
    }
    Ok(())
}

/// The first picture of every content: a copy is no further good, and bounds on rejects count independent ones.
fn distinct(goods: &[PathBuf], contents: &[Content]) -> Vec<PathBuf> {
    let mut first: HashMap<Content, &PathBuf> = HashMap::new();
    let (mut distinct, mut copied) = (Vec::new(), None);
    for (path, &content) in goods.iter().zip(contents) {
        match first.get(&content) {
            None => {
                first.insert(content, path);
                distinct.push(path.clone());
            }
            Some(original) => {
                copied.get_or_insert((path, *original));
            }
        }
    }
    if let Some((copy, original)) = copied {
        tell(format_args!(
            "copies      {} of {} pictures are copies of others and left out, such as {} of {}",
            goods.len() - distinct.len(),
            goods.len(),
            copy.display(),
            original.display()
        ));
    }
    distinct
}

/// Refuses goods that the bundle was trained on, whatever they are called now and wherever they lie.
fn refuse_trained(
    class: &Class,
    contents: &[Content],
    metadata: &Metadata,
    trained: &HashSet<&str>,
) -> Result<(), Box<dyn Error>> {
    const REMEDY: &str =
        "they say nothing about false rejects; give good pictures of another imaging run";
    if class.fingerprint_of(contents) == metadata.training.data_fingerprint {
        return Err(format!(
            "{} holds the pictures this bundle was trained on: {REMEDY}",
            class.folder.display()
        )
        .into());
    }
    let again: Vec<&PathBuf> = (class.goods.iter().zip(contents))
        .filter(|(_, content)| trained.contains(content.short().as_str()))
        .map(|(path, _)| path)
        .collect();
    match again.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} of {} good pictures are pictures this bundle was trained on, the first is {}: {REMEDY}",
            again.len(),
            class.goods.len(),
            first.display()
        )
        .into()),
    }
}

/// Refuses to write over what somebody else, such as a run that ended, wrote to `out` since it held `before`.
fn refuse_written(out: &Path, before: Option<&[u8]>) -> Result<(), String> {
    match std::fs::read(out).ok().as_deref() == before {
        true => Ok(()),
        false => Err(format!(
            "{} has changed since this command began, as by a run that ended, so nothing is written over it: run the \
             command again, or choose another file with --out",
            out.display()
        )),
    }
}

fn largest_area_px(result: &PictureResult) -> f64 {
    let areas = result.regions.iter().map(|region| region.reaching_px);
    areas.max().map_or(0.0, |area| area as f64)
}

fn inspect(
    bundle: &Bundle,
    pictures: &[PathBuf],
    rules: &PictureRules,
) -> Result<Vec<PictureResult>, Box<dyn Error>> {
    let results = inspectors::each(bundle, pictures, |path, inspector| {
        let picture = Picture::open(path).map_err(|error| error.to_string())?;
        let result = inspect_picture(&picture, inspector, rules)
            .map_err(|error| format!("'{}': {error}", path.display()))?;
        // The maps of thousands of pictures would not fit in memory, and nobody asks for them here.
        Ok::<_, String>(PictureResult {
            anomaly_map: Vec::new(),
            ..result
        })
    })?;
    Ok(results)
}

/// Goods of another run that reach the threshold of training's own are what in-sample thresholds die of.
fn tell_drift(before: &Threshold, goods: &[PictureResult]) {
    let reach = (goods.iter())
        .filter(|good| good.score >= before.score)
        .count();
    if before.goods > 0 && reach > 0 {
        tell(format_args!(
            "            before it was {:.4}, which {reach} of these {} goods reach; it promised with 95 % \
             confidence at most {:.1} rejects of 1000",
            before.score,
            goods.len(),
            before.upper_95_rejects_per_1000
        ));
    }
}

fn tell_missed(paths: &[PathBuf], results: &[PictureResult]) {
    let mut missed: Vec<(&PathBuf, f32)> = (paths.iter().zip(results))
        .filter(|(_, result)| result.verdict == Verdict::Ok)
        .map(|(path, result)| (path, result.score))
        .collect();
    missed.sort_by(|a, b| a.1.total_cmp(&b.1));
    tell(format_args!(
        "defects     {} of {} real ones are found at it",
        paths.len() - missed.len(),
        paths.len()
    ));
    for (path, score) in missed.iter().take(NAMED) {
        tell(format_args!(
            "            missed, score {score:.4}: {}",
            path.display()
        ));
    }
    if missed.len() > NAMED {
        tell(format_args!(
            "            and {} more",
            missed.len() - NAMED
        ));
    }
}

fn parse_promise(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    match value > 0.0 && value < 1000.0 {
        true => Ok(value),
        false => Err("must lie between 0 and 1000".to_owned()),
    }
}

fn parse_score(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "must be a number".to_owned())?;
    match value > 0.0 && value <= 1.0 {
        true => Ok(value),
        false => Err("must be above 0 and at most 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_least_area_that_fills_the_picture_is_refused() {
        assert!(check_area(0.5, 1, 2560).is_ok());
        assert!(check_area(0.1, 1280, 2560).is_ok());
        let refused = check_area(0.001, 2561, 2560).unwrap_err();
        assert!(refused.contains("regions of up to 2560 px"), "{refused}");
        assert!(refused.contains("100 % of the smallest"), "{refused}");
        assert!(refused.contains("higher --score"), "{refused}");
        assert!(check_area(0.1, 1281, 2560).is_err());
        assert!(check_area(0.1, 1, 0).is_err());
    }

    #[test]
    fn what_was_written_meanwhile_is_not_written_over() {
        let name = format!("blemish-threshold-{}.onnx", std::process::id());
        let out = std::env::temp_dir().join(name);
        assert_eq!(refuse_written(&out, None), Ok(()));
        std::fs::write(&out, "new weights").expect("room");
        assert_eq!(refuse_written(&out, Some(b"new weights")), Ok(()));
        for before in [None, Some(&b"old weights"[..])] {
            let words = refuse_written(&out, before).expect_err("it was written");
            assert!(words.contains("has changed since"), "{words}");
            assert!(words.contains("run the command again"), "{words}");
        }
        std::fs::remove_file(&out).expect("removable");
    }

    #[test]
    fn copies_count_once() {
        let goods: Vec<PathBuf> = ["a", "b", "c", "d"].map(PathBuf::from).into();
        let contents = [1, 2, 1, 1].map(|byte| Content([byte; 32]));
        assert_eq!(distinct(&goods, &contents), goods[..2]);
        assert_eq!(distinct(&goods[..2], &contents[..2]), goods[..2]);
    }
}
