//! The report's page.

use super::look::Look;
use crate::fit::metrics_log::Record;
use crate::fit::progress::duration;
use blemish::model::Bundle;
use blemish::page::{
    Cell, Curve, Report, Scale, ScoreGroup, Table, Tone, curve_chart, score_histogram,
};

/// What the page shows.
pub struct Facts<'a> {
    /// `config.toml`.
    pub config: &'a str,
    pub bundle: &'a Bundle,
    pub records: &'a [Record],
    pub warnings: &'a [String],
    /// Whether there are goods of another imaging run, by which drift is told.
    pub other_run: bool,
    /// Sets of good pictures by name.
    pub sets: &'a [(&'a str, &'a [Look])],
    pub groups: &'a [ScoreGroup],
    /// Entries by the title of their section, with a sentence on how they were chosen.
    pub pictures: &'a [(&'a str, &'a str, Vec<String>)],
    /// Steps that the run is to have.
    pub steps: u64,
}

/// The whole report.
pub fn page(facts: &Facts<'_>) -> Report {
    let metadata = facts.bundle.metadata();
    let (network, threshold) = (metadata.network, &metadata.threshold);
    let mut report = Report::new(format!("Training: {}", metadata.name));
    let steps = metadata.training.steps;
    report
        .lead(&format!(
            "DRAEM {network}, tile {} × {} px, {} of {} steps",
            metadata.tile.width_px, metadata.tile.height_px, steps, facts.steps
        ))
        .figure(
            "warnings",
            facts.warnings.len(),
            match facts.warnings.len() {
                0 => Tone::Good,
                _ => Tone::Doubtful,
            },
        )
        .figure("training pictures", metadata.training.pictures, Tone::Plain)
        .figure("threshold", format!("{:.3}", threshold.score), Tone::Plain);
    // With patience the bundle has an earlier step's weights than the last.
    let judged = validations(facts.records);
    if let Some(last) = (judged.iter()).rfind(|(step, _)| *step <= metadata.training.steps) {
        report
            .figure(
                "image AUROC, simulated",
                format!("{:.3}", last.1.image_auroc),
                Tone::Plain,
            )
            .figure(
                "pixel AP, simulated",
                format!("{:.3}", last.1.pixel_ap),
                Tone::Plain,
            );
    }
    report
        .fact("bundle", facts.bundle.origin())
        .fact("bundle SHA-256", facts.bundle.sha256())
        .fact("data fingerprint", &metadata.training.data_fingerprint)
        .fact("trainer", &metadata.training.trainer)
        .fact("threshold from", &threshold.basis)
        .fact(
            "expected false rejects",
            format!(
                "{:.1} per 1000 good, at most {:.1} (95 %), from {} goods",
                threshold.expected_rejects_per_1000,
                threshold.upper_95_rejects_per_1000,
                threshold.goods
            ),
        );
    if let Some(seconds) = seconds(facts.records) {
        report.fact("time", duration(seconds));
    }
    report.section("Warnings");
    if facts.warnings.is_empty() {
        report.paragraph(none_found(facts.other_run));
    }
    for warning in facts.warnings {
        report.paragraph(warning);
    }
    report.table(&sets(facts.sets));
    curves(&mut report, facts.records);
    report.section("Scores").html(&score_histogram(facts.groups, threshold.score)).paragraph(
        "Goods must lie left of the threshold, defects right. Simulated defects lie on held-out goods and \
         are easier than real ones.",
    );
    for (title, how, entries) in facts.pictures.iter().filter(|(.., all)| !all.is_empty()) {
        report.section(title).paragraph(how);
        for entry in entries {
            report.html(entry);
        }
    }
    report.section("Configuration").verbatim(facts.config);
    report
}

/// What stands in place of warnings where there is none.
fn none_found(other_run: bool) -> &'static str {
    match other_run {
        true => "None: enough goods, no duplicates, no drift, no saturated picture.",
        false => {
            "None: enough goods, no duplicates, no saturated picture. Whether brightness or contrast drift was not \
             looked for: that takes good pictures of another imaging run, with --good."
        }
    }
}

fn sets(sets: &[(&str, &[Look])]) -> Table {
    let mut table = Table::new(&[
        "goods",
        "pictures",
        "brightness",
        "± over pictures",
        "contrast",
        "± over pictures",
        "white %",
        "black %",
    ]);
    for (name, looks) in sets.iter().filter(|(_, looks)| !looks.is_empty()) {
        type Value = fn(&Look) -> f64;
        let mean = |value: Value| looks.iter().map(value).sum::<f64>() / looks.len() as f64;
        let deviation = |value: Value| {
            let mean = mean(value);
            let squares: f64 = looks.iter().map(|look| (value(look) - mean).powi(2)).sum();
            (squares / looks.len() as f64).sqrt()
        };
        let values = [
            mean(|look| look.mean),
            deviation(|look| look.mean),
            mean(|look| look.spread),
            deviation(|look| look.spread),
            100.0 * mean(|look| look.white_share),
            100.0 * mean(|look| look.black_share),
        ];
        let mut row = vec![Cell::text(name), Cell::number(looks.len())];
        row.extend(values.map(|value| Cell::number(format!("{value:.2}"))));
        table.rows.push(row);
    }
    table
}

fn curves(report: &mut Report, records: &[Record]) {
    report.section("Losses");
    let mut losses = ["L2", "1 - SSIM", "focal"].map(|name| Curve {
        name: name.to_owned(),
        points: Vec::new(),
    });
    for record in records {
        if let Record::Step {
            step, losses: now, ..
        } = record
        {
            let values = [now.l2, now.ssim, now.focal];
            for (curve, value) in losses.iter_mut().zip(values) {
                curve.points.push((*step as f64, f64::from(value)));
            }
        }
    }
    report.html(&curve_chart(&losses, Scale::Logarithmic, "step"));
    let validations = validations(records);
    if validations.is_empty() {
        return;
    }
    let mut figures = ["image AUROC", "image AP", "pixel AP"].map(|name| Curve {
        name: name.to_owned(),
        points: Vec::new(),
    });
    for (step, now) in validations {
        let values = [now.image_auroc, now.image_ap, now.pixel_ap];
        for (curve, value) in figures.iter_mut().zip(values) {
            curve.points.push((step as f64, value));
        }
    }
    report
        .section("Simulated defects on held-out goods")
        .html(&curve_chart(&figures, Scale::Share, "step"));
}

fn validations(records: &[Record]) -> Vec<(u64, crate::fit::metrics_log::Validation)> {
    let all = records.iter().filter_map(|record| match record {
        Record::Validation { step, figures } => Some((*step, *figures)),
        Record::Step { .. } => None,
    });
    all.collect()
}

fn seconds(records: &[Record]) -> Option<f64> {
    records.iter().rev().find_map(|record| match record {
        Record::Step { seconds, .. } => Some(*seconds),
        Record::Validation { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_drift_is_claimed_only_where_it_was_looked_for() {
        assert!(none_found(true).contains("no drift"));
        let alone = none_found(false);
        assert!(!alone.contains("no drift"), "{alone}");
        assert!(alone.contains("with --good"), "{alone}");
    }
}
