//! `report`: a run in one HTML file.

use super::{Done, export, output, tell};
use crate::atomic_file::write_atomically;
use crate::data::{Class, TestPicture, contents, real_defects_in, refuse_defects_among};
use crate::fit::metrics_log;
use crate::report::{
    Facts, Goods, Look, Subject, entries, extreme, groups, page, scores, warnings,
};
use crate::run_folder::RunFolder;
use crate::trained;
use blemish::model::Bundle;
use prost::Message;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tract_onnx::pb::ModelProto;

/// Pictures shown of every sort.
const SHOWN: usize = 8;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the run.
    run: PathBuf,
    /// Bundle to judge; RUN/model.onnx if left out.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Folder of good pictures from another imaging run.
    #[arg(long, value_name = "DIR")]
    good: Option<PathBuf>,
    /// Folder of pictures with real defects, or a class folder with test/DEFECT.
    #[arg(long, value_name = "DIR")]
    defects: Option<PathBuf>,
    /// Where the run's pictures are now, if they were moved.
    #[arg(long, value_name = "PATH")]
    pictures: Option<PathBuf>,
    /// File to write; RUN/report.html if left out.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Args {
    pub fn run(self) -> Done {
        let model = match &self.model {
            Some(model) => model.clone(),
            None => self.run.join("model.onnx"),
        };
        if !model.is_file() {
            return Err(format!(
                "{} is not there: let 'fit' finish, or write it with 'blemish-train export {}'",
                model.display(),
                self.run.display()
            )
            .into());
        }
        let out = (self.out).unwrap_or_else(|| self.run.join("report.html"));
        RunFolder::read_config(&self.run)?;
        output::probe(&out)?;
        let (config, prepared) = export::open_pictures(&self.run, self.pictures.as_deref())?;
        let bundle = Bundle::read(&model)?;
        if bundle.metadata().training.data_fingerprint != prepared.fingerprint {
            return Err(format!(
                "the pictures in {} are not those {} was trained on; give theirs with --pictures",
                config.pictures.display(),
                model.display()
            )
            .into());
        }
        refuse_learnt(&model, &prepared.held_out)?;
        let metrics = self.run.join("metrics.jsonl");
        let records = metrics_log::read(&metrics).unwrap_or_else(|error| {
            log::warn!(
                "cannot read {}: {error}; the report goes without curves",
                metrics.display()
            );
            Vec::new()
        });
        let other_goods = match &self.good {
            Some(folder) => Class::find(folder)?.goods,
            None => Vec::new(),
        };
        let found = match &self.defects {
            Some(folder) => real_defects_in(folder)?,
            None => Vec::new(),
        };
        let paths: Vec<PathBuf> = found.iter().map(|test| test.path.clone()).collect();
        refuse_defects_among(&other_goods, &contents(&other_goods)?, &paths)?;
        let train = Look::at_all(&prepared.trained)?;
        let held_out = Look::at_all(&prepared.held_out)?;
        let other = Look::at_all(&other_goods)?;
        let warnings = warnings(&Goods {
            train: &train,
            held_out: &held_out,
            copies: &Look::at_all(&prepared.copies)?,
            other: &other,
        });

        let goods: Vec<Subject> = prepared.held_out.iter().map(|p| Subject::good(p)).collect();
        let others: Vec<Subject> = other_goods.iter().map(|p| Subject::good(p)).collect();
        let simulated = Subject::simulated(&prepared.validation);
        let defects: Vec<Subject> = found.iter().map(real_defect).collect();
        let sorts = [
            (
                &goods,
                "held-out goods",
                "Worst held-out goods",
                "The good pictures with the greatest scores: what would be rejected first.",
                true,
            ),
            (
                &others,
                "other goods",
                "Worst goods of the other run",
                "The good pictures with the greatest scores: what would be rejected first.",
                true,
            ),
            (
                &simulated,
                "",
                "Best-hidden simulated defects",
                "The simulated defects with the lowest scores: what is missed first.",
                false,
            ),
            (
                &defects,
                "",
                "Best-hidden real defects",
                "The real defects with the lowest scores: what is missed first.",
                false,
            ),
        ];
        let (mut charted, mut pictures) = (Vec::new(), Vec::new());
        for (number, (subjects, name, title, how, greatest)) in sorts.into_iter().enumerate() {
            let scores = scores(&bundle, subjects)?;
            charted.extend(groups(subjects, &scores, name));
            let shown = extreme(subjects, &scores, SHOWN, greatest);
            let anchor = ["g", "o", "s", "d"][number];
            pictures.push((title, how, entries(&bundle, &shown, anchor)?));
        }
        let page = page(&Facts {
            config: &config.to_toml()?,
            bundle: &bundle,
            records: &records,
            warnings: &warnings,
            other_run: !other.is_empty(),
            sets: &[
                ("training", &train),
                ("held out", &held_out),
                ("other run", &other),
            ],
            groups: &charted,
            pictures: &pictures,
            steps: config.recipe.steps,
        });
        let html = page.finish();
        write_atomically(&out, |file| file.write_all(html.as_bytes()))
            .map_err(|error| format!("{error}; choose another place with --out"))?;
        for warning in &warnings {
            tell(format_args!("warning     {warning}"));
        }
        tell(format_args!("report      {}", out.display()));
        Ok(ExitCode::SUCCESS)
    }
}

fn real_defect(test: &TestPicture) -> Subject {
    let kind = test.defect.as_deref().unwrap_or("real defects");
    Subject::defect(&test.path, kind, test.mask.clone())
}

/// Refuses a bundle that learnt what the run held out, as one of the same pictures that were split otherwise: they would
/// be shown as pictures that it never saw.
fn refuse_learnt(model: &Path, held_out: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(model)
        .map_err(|error| format!("cannot read {}: {error}", model.display()))?;
    let bundle = ModelProto::decode(bytes.as_slice())?;
    let trained = trained::read(&bundle);
    let learnt: Vec<&PathBuf> = (held_out.iter().zip(contents(held_out)?))
        .filter(|(_, content)| trained.contains(content.short().as_str()))
        .map(|(path, _)| path)
        .collect();
    match learnt.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} was trained on {} of the {} pictures that the run held out, the first is {}, so it is of a run with \
             another --seed or --hold-out; give that run's folder",
            model.display(),
            learnt.len(),
            held_out.len(),
            first.display()
        )
        .into()),
    }
}
