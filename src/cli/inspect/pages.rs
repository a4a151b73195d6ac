//! The report of an inspection.

use super::conveyor::{Inspected, LeastArea};
use super::files::Input;
use super::output::{OutputError, figure, word};
use blemish::metrics::Row;
use blemish::model::Bundle;
use blemish::page::{Cell, PictureEntry, Report, ScoreGroup, Table, Tone, Truth, score_chart};
use blemish::verdict::Verdict;
use std::collections::BTreeMap;

/// Pictures that are shown; the others are in the table only.
const SHOWN: usize = 60;

/// Column of the table that is left out where nothing is known.
const TRUTH_COLUMN: usize = 2;

/// A picture that is shown, with how much it deserves to be.
struct Shown {
    number: usize,
    rank: (bool, bool, f32),
    html: String,
}

/// Gathers pictures while they are inspected; memory is bounded by [`SHOWN`].
pub struct Pages {
    threshold: f32,
    rows: Vec<(String, Vec<Cell>)>,
    shown: Vec<Shown>,
    groups: BTreeMap<(bool, String), ScoreGroup>,
    wrong: usize,
    known: usize,
    pub megapixels: f64,
}

impl Pages {
    pub fn new(threshold: f32) -> Self {
        Self {
            threshold,
            rows: Vec::new(),
            shown: Vec::new(),
            groups: BTreeMap::new(),
            wrong: 0,
            known: 0,
            megapixels: 0.0,
        }
    }

    /// Adds a picture to the table, and to the pictures where it deserves it: wrong verdicts first,
    /// then defects, then the highest scores.
    ///
    /// # Errors
    /// If a piece of the picture cannot be encoded.
    pub fn add(&mut self, input: &Input, found: &Inspected) -> Result<(), OutputError> {
        let number = self.rows.len();
        let anchor = format!("p{number}");
        let called = found.verdict == Verdict::Defect;
        let truth = input.truth.as_ref().map(|known| Truth {
            kind: &known.kind,
            defect: known.mask.is_some(),
            mask: found.mask.as_ref(),
        });
        let wrong = truth.is_some_and(|truth| truth.defect != called);
        self.known += usize::from(truth.is_some());
        self.wrong += usize::from(wrong);
        let group = match truth {
            Some(truth) => (truth.defect, truth.kind.to_owned(), Some(truth.defect)),
            None => (false, "pictures".to_owned(), None),
        };
        self.groups
            .entry((group.0, group.1.clone()))
            .or_insert_with(|| ScoreGroup {
                name: group.1,
                defect: group.2,
                scores: Vec::new(),
            })
            .scores
            .push(found.score);
        let largest = found.regions.iter().map(|region| region.area_px).max();
        self.rows.push((
            input.name.clone(),
            vec![
                Cell::badge(word(found.verdict), Tone::of(found.verdict)),
                match truth {
                    Some(truth) if wrong => {
                        Cell::badge(&format!("{}: wrong", truth.kind), Tone::Doubtful)
                    }
                    Some(truth) => Cell::text(truth.kind),
                    None => Cell::text(""),
                },
                Cell::number(format!("{:.3}", found.score)),
                Cell::number(found.regions.len()),
                Cell::number(largest.map_or(String::new(), |area| area.to_string())),
                Cell::number(format!(
                    "{} × {}",
                    found.picture.width_px, found.picture.height_px
                )),
            ],
        ));
        let rank = (wrong, called, found.score);
        if self.shown.len() >= SHOWN {
            let least = (0..self.shown.len())
                .min_by(|&a, &b| order(&self.shown[a].rank, &self.shown[b].rank));
            match least {
                Some(at) if order(&self.shown[at].rank, &rank).is_lt() => {
                    self.shown.remove(at);
                }
                _ => return Ok(()),
            }
        }
        let html = PictureEntry {
            name: &input.name,
            anchor: &anchor,
            picture: &found.picture,
            first_line: 0,
            map: &found.map,
            regions: &found.regions,
            reconstruction: found.reconstruction.as_ref(),
            verdict: found.verdict,
            score: found.score,
            threshold: self.threshold,
            truth,
        }
        .html()?;
        self.shown.push(Shown { number, rank, html });
        Ok(())
    }

    /// Adds a picture that could not be inspected.
    pub fn add_failure(&mut self, input: &Input, message: &str) {
        self.rows.push((
            input.name.clone(),
            vec![
                Cell::badge("not inspected", Tone::Doubtful),
                Cell::text(message),
            ],
        ));
    }

    /// The whole report; `lacks_metrics` where there should be some and a picture that was not inspected took
    /// them.
    pub fn finish(&self, facts: &Facts<'_>, metrics: &[Row], lacks_metrics: bool) -> Report {
        let metadata = facts.bundle.metadata();
        let mut report = Report::new(format!("Inspection: {}", metadata.name));
        report
            .lead(&format!("{} · {}", facts.path, facts.when))
            .figure("pictures", self.rows.len(), Tone::Plain)
            .figure("ok", facts.ok, Tone::Good)
            .figure(
                "defect",
                facts.defect,
                if facts.defect > 0 {
                    Tone::Bad
                } else {
                    Tone::Plain
                },
            );
        if facts.failed > 0 {
            report.figure("not inspected", facts.failed, Tone::Doubtful);
        }
        if facts.unwritten > 0 {
            report.figure("not written", facts.unwritten, Tone::Doubtful);
        }
        if self.known > 0 {
            let tone = if self.wrong == 0 {
                Tone::Good
            } else {
                Tone::Doubtful
            };
            let right = self.known - self.wrong;
            report.figure(
                "verdicts as in truth",
                format!("{right} / {}", self.known),
                tone,
            );
        }
        if let Some(all) = metrics.iter().find(|row| row.kind == "all") {
            let pixel_ap = all.pixel_ap.map(|value| format!("{value:.3}"));
            let pixel_ap = pixel_ap.unwrap_or_else(|| "-".to_owned());
            report
                .figure(
                    "image AUROC",
                    format!("{:.3}", all.image_auroc),
                    Tone::Plain,
                )
                .figure("pixel AP", pixel_ap, Tone::Plain);
        }
        self.facts(&mut report, facts);
        if !metrics.is_empty() {
            report.section("Against the truth").table(&metrics_table(metrics)).paragraph(
                "Each kind against all good pictures; 'all' takes all kinds together. AUPRO up to a \
                 false positive rate of 0.3. Masks and maps at the pictures' own resolution.",
            );
        }
        if lacks_metrics {
            report
                .section("Against the truth")
                .paragraph("There are no metrics: not all pictures could be inspected.");
        }
        let groups: Vec<ScoreGroup> = self.groups.values().cloned().collect();
        if !groups.is_empty() {
            report
                .section("Scores")
                .html(&score_chart(&groups, self.threshold));
        }
        report.section("Pictures");
        let mut shown: Vec<&Shown> = self.shown.iter().collect();
        shown.sort_by_key(|shown| shown.number);
        let mut head = vec!["picture", "verdict", "truth", "score"];
        head.extend(["regions", "largest px", "size px"]);
        if self.known == 0 {
            head.remove(TRUTH_COLUMN);
        }
        let mut table = Table::new(&head);
        for (number, (name, cells)) in self.rows.iter().enumerate() {
            let first = match shown.binary_search_by_key(&number, |shown| shown.number) {
                Ok(_) => Cell::link(name, &format!("p{number}")),
                Err(_) => Cell::text(name),
            };
            let mut row: Vec<Cell> = [first].into_iter().chain(cells.iter().cloned()).collect();
            if self.known == 0 && row.len() == TRUTH_COLUMN + 5 {
                row.remove(TRUTH_COLUMN);
            }
            table.rows.push(row);
        }
        report.table(&table);
        if shown.len() < self.rows.len() {
            report.paragraph(&format!(
                "{} of {} pictures are shown below: wrong verdicts first, then defects, then the \
                 highest scores.",
                shown.len(),
                self.rows.len()
            ));
        }
        for entry in shown {
            report.html(&entry.html);
        }
        report
    }

    fn facts(&self, report: &mut Report, facts: &Facts<'_>) {
        let metadata = facts.bundle.metadata();
        let (network, threshold) = (metadata.network, &metadata.threshold);
        report
            .fact(
                "model",
                format!("{} ({})", metadata.name, facts.bundle.origin()),
            )
            .fact(
                "model SHA-256",
                facts.bundle.sha256().get(..16).unwrap_or_default(),
            )
            .fact(
                "networks",
                format!(
                    "DRAEM {network}, tile {} × {} px",
                    metadata.tile.width_px, metadata.tile.height_px
                ),
            )
            .fact(
                "defect is",
                format!(
                    "a region with score ≥ {:.3} on {} px or more{}",
                    facts.threshold,
                    facts.least_area.px,
                    if facts.least_area.of_tile {
                        " of the tile"
                    } else {
                        ""
                    }
                ),
            );
        if facts.threshold == threshold.score {
            report.fact("threshold from", &threshold.basis).fact(
                "expected rejects",
                format!(
                    "{:.1} per 1000 good, at most {:.1} (95 %), from {} goods",
                    threshold.expected_rejects_per_1000,
                    threshold.upper_95_rejects_per_1000,
                    threshold.goods
                ),
            );
        } else {
            report.fact(
                "threshold from",
                format!(
                    "the command line; the model's own is {:.3}",
                    threshold.score
                ),
            );
        }
        report.fact(
            "time",
            format!(
                "{:.1} Mpx in {:.1} s with {} threads",
                self.megapixels, facts.seconds, facts.threads
            ),
        );
    }
}

/// What the head of the report says.
pub struct Facts<'a> {
    pub bundle: &'a Bundle,
    pub path: String,
    pub when: String,
    pub ok: usize,
    pub defect: usize,
    pub failed: usize,
    pub unwritten: usize,
    pub seconds: f64,
    pub threads: usize,
    pub threshold: f32,
    pub least_area: LeastArea,
}

fn order(a: &(bool, bool, f32), b: &(bool, bool, f32)) -> std::cmp::Ordering {
    (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2))
}

fn metrics_table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "kind",
        "defective",
        "image AUROC",
        "image AP",
        "pixel AUROC",
        "pixel AP",
        "AUPRO 0.3",
    ]);
    for row in rows {
        let mut cells = vec![Cell::text(&row.kind), Cell::number(row.pictures)];
        cells.extend(row.values().map(|value| Cell::number(figure(value))));
        table.rows.push(cells);
    }
    table
}
