//! What `blemish inspect` writes: lines on stdout, annotated pictures, one report.

use super::super::places::{IsRead, probe, spare, with_part};
use super::super::run::Terminal;
use super::conveyor::Inspected;
use super::files::Input;
use super::pages::Facts;
use blemish::metrics::Row;
use blemish::page::annotate;
use blemish::picture::{ANNOTATED, MAP};
use blemish::picture::{Picture, Samples};
use blemish::verdict::Verdict;
use blemish::web::Region;
use serde::Serialize;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Version of the JSON lines.
const SCHEMA: u32 = 1;

/// Why a result was not written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("cannot write to '{path}': {source}; choose a place that may be written and has room")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Input(#[from] IsRead),
    #[error("cannot annotate a picture: {0}")]
    Picture(#[from] blemish::picture::PictureError),
}

/// One JSON line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    Picture {
        schema: u32,
        path: &'a str,
        width_px: usize,
        height_px: usize,
        verdict: &'a str,
        score: f32,
        threshold: f32,
        /// In the picture's own pixels.
        min_area_px: u64,
        regions: &'a [Region],
        #[serde(skip_serializing_if = "Option::is_none")]
        truth: Option<&'a str>,
    },
    Error {
        schema: u32,
        path: &'a str,
        message: String,
    },
    Metrics {
        schema: u32,
        #[serde(flatten)]
        row: &'a Row,
    },
    Summary {
        schema: u32,
        pictures: usize,
        ok: usize,
        defect: usize,
        failed: usize,
        seconds: f64,
        model: &'a str,
        model_sha256: &'a str,
        /// Pictures with results of which something could not be written.
        unwritten: usize,
        threshold: f32,
        min_area_px: u32,
        /// Whose pixels these are: `picture` or `tile`.
        min_area_of: &'a str,
    },
}

impl<'a> Line<'a> {
    pub fn picture(path: &'a str, found: &'a Inspected, threshold: f32, input: &'a Input) -> Self {
        Line::Picture {
            schema: SCHEMA,
            path,
            width_px: found.picture.width_px,
            height_px: found.picture.height_px,
            verdict: word(found.verdict),
            score: found.score,
            threshold,
            min_area_px: found.min_area_px,
            regions: &found.regions,
            truth: input.truth.as_ref().map(|known| known.kind.as_str()),
        }
    }

    pub fn error(path: &'a str, message: String) -> Self {
        Line::Error {
            schema: SCHEMA,
            path,
            message,
        }
    }

    pub fn summary(facts: &'a Facts<'a>, pictures: usize) -> Self {
        Line::Summary {
            schema: SCHEMA,
            pictures,
            ok: facts.ok,
            defect: facts.defect,
            failed: facts.failed,
            seconds: facts.seconds,
            model: facts.bundle.origin(),
            model_sha256: facts.bundle.sha256(),
            unwritten: facts.unwritten,
            threshold: facts.threshold,
            min_area_px: facts.least_area.px,
            min_area_of: match facts.least_area.of_tile {
                true => "tile",
                false => "picture",
            },
        }
    }

    pub fn metrics(row: &'a Row) -> Self {
        Line::Metrics {
            schema: SCHEMA,
            row,
        }
    }
}

/// A figure for people.
pub fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// The word for a verdict.
pub const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Defect => "defect",
        Verdict::NotInspected(_) => "not_inspected",
    }
}

/// Where results go. Made before the work starts, so that a place that cannot be written is known
/// then.
#[derive(Debug)]
pub struct Output {
    json: bool,
    terminal: Terminal,
    folder: Option<PathBuf>,
    maps: Option<PathBuf>,
    report: Option<PathBuf>,
    /// Whether two inputs differ in nothing but their ending.
    keep_endings: bool,
}

impl Output {
    /// Checks that every place can be written, and that nothing is that is read: the inputs with their
    /// masks, and `bundle`.
    ///
    /// # Errors
    /// Names the first place that cannot.
    pub fn prepare(
        json: bool,
        folder: Option<&Path>,
        maps: Option<&Path>,
        report: Option<&Path>,
        inputs: &[Input],
        bundle: Option<&Path>,
    ) -> Result<Self, OutputError> {
        let mut stems = HashSet::new();
        let output = Self {
            json,
            terminal: Terminal::default(),
            folder: folder.map(Path::to_owned),
            maps: maps.map(Path::to_owned),
            report: report.map(Path::to_owned),
            keep_endings: !inputs
                .iter()
                .all(|input| stems.insert(input.below.with_extension(""))),
        };
        output.spare_inputs(inputs, bundle)?;
        for folder in [folder, maps].into_iter().flatten() {
            let probe = folder.join(".blemish-probe");
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&probe, b""))
                .and_then(|()| std::fs::remove_file(&probe))
                .map_err(|source| failed(folder, source))?;
        }
        if let Some(report) = report {
            probe(report).map_err(|source| failed(report, source))?;
        }
        Ok(output)
    }

    /// Refuses places where something lies that is read.
    fn spare_inputs(&self, inputs: &[Input], bundle: Option<&Path>) -> Result<(), OutputError> {
        let masks = inputs
            .iter()
            .filter_map(|input| input.truth.as_ref()?.mask.as_deref());
        let strips = inputs.iter().flat_map(|input| &input.strips);
        let read = (inputs.iter().map(|input| input.path.as_path()))
            .chain(masks)
            .chain(strips.map(PathBuf::as_path))
            .chain(bundle);
        let reports = self.report.iter().flat_map(|report| with_part(report));
        let pictures = inputs.iter().flat_map(|input| {
            let annotated = self
                .folder
                .iter()
                .map(|folder| self.place(folder, input, ANNOTATED));
            let maps = self
                .maps
                .iter()
                .map(|folder| self.place(folder, input, MAP));
            annotated.chain(maps)
        });
        Ok(spare(read, reports.chain(pictures))?)
    }

    /// Whether JSON lines were asked for.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Whether a report was asked for.
    pub const fn report(&self) -> Option<&PathBuf> {
        self.report.as_ref()
    }

    /// Prints a JSON line, or `text` where no JSON was asked for. A failure is kept for [`Output::finish`].
    pub fn say(&self, line: &Line<'_>, text: &str) {
        self.terminal.write(|out| match self.json {
            true => {
                serde_json::to_writer(&mut *out, line)?;
                writeln!(out)
            }
            false => writeln!(out, "{text}"),
        });
    }

    /// Whether nobody would learn of another result: standard output has failed, and no file was asked for.
    pub fn is_unheard(&self) -> bool {
        let writes = self.folder.is_some() || self.maps.is_some() || self.report.is_some();
        !writes && self.terminal.has_failed()
    }

    /// Whether all was printed.
    ///
    /// # Errors
    /// Why it was not.
    pub fn finish(&self) -> Result<(), String> {
        self.terminal.finish()
    }

    /// Writes the annotated picture, where a folder was named.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn annotated(&self, input: &Input, found: &Inspected) -> Result<(), OutputError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let canvas = annotate(&found.picture, &found.map, &found.regions, 0);
        let path = self.place(folder, input, ANNOTATED);
        write(&path, &canvas.encode_png(&path)?)
    }

    /// Writes the anomaly map as grey of 16 bits, white for probability 1, where a folder was named.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn map(&self, input: &Input, found: &Inspected) -> Result<(), OutputError> {
        let Some(folder) = &self.maps else {
            return Ok(());
        };
        let levels = found.map.iter().map(|p| (p * 65535.0).round() as u16);
        let picture = Picture {
            width_px: found.picture.width_px,
            height_px: found.picture.height_px,
            channels: 1,
            samples: Samples::U16(levels.collect()),
        };
        let path = self.place(folder, input, MAP);
        write(&path, &picture.encode_png(&path)?)
    }

    fn place(&self, folder: &Path, input: &Input, end: &str) -> PathBuf {
        let mut file = if self.keep_endings {
            input.below.as_os_str().to_owned()
        } else {
            input.below.with_extension("").into_os_string()
        };
        file.push(end);
        folder.join(file)
    }
}

fn write(path: &Path, png: &[u8]) -> Result<(), OutputError> {
    path.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, png))
        .map_err(|source| failed(path, source))
}

pub fn failed(path: &Path, source: io::Error) -> OutputError {
    OutputError::Write {
        path: path.to_owned(),
        source,
    }
}
