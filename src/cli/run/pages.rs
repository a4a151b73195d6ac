//! The report of a run.

use super::account;
use super::session::{Done, Session};
use super::truth::Judged;
use blemish::page::{Cell, PictureEntry, Report, Table, Tone, Truth};
use blemish::picture::PictureError;
use blemish::station::Piece;

/// Builds the report; `judged` where the truth is known.
///
/// # Errors
/// If a piece of picture cannot be encoded.
pub fn report(
    title: &str,
    session: &Session,
    done: &Done,
    judged: Option<&Judged>,
) -> Result<Report, PictureError> {
    let sums = &done.summary.accounting;
    let metadata = session.bundle.metadata();
    let mut report = Report::new(format!("{title}: {}", session.config.name));
    report.lead(&format!(
        "{} px wide, {} lines of web; what was seen, what was decided, what was rejected",
        done.format.width_px, sums.lines_travelled
    ));
    let tone = |amount: u64, tone: Tone| if amount > 0 { tone } else { Tone::Plain };
    report
        .figure("lines ok", sums.lines.ok, Tone::Good)
        .figure(
            "lines defect",
            sums.lines.defect,
            tone(sums.lines.defect, Tone::Bad),
        )
        .figure(
            "lines not inspected",
            sums.lines.not_inspected_total(),
            tone(sums.lines.not_inspected_total(), Tone::Doubtful),
        )
        .figure("reject pulses", sums.pulses, Tone::Plain)
        .figure(
            "missed rejects",
            sums.missed_spans,
            tone(sums.missed_spans, Tone::Bad),
        );
    if let Some(judged) = judged {
        report
            .figure(
                "true defects found",
                format!("{} / {}", judged.found(), judged.defects.len()),
                if judged.found() == judged.defects.len() {
                    Tone::Good
                } else {
                    Tone::Doubtful
                },
            )
            .figure(
                "false defects",
                judged.false_regions.len(),
                tone(judged.false_regions.len() as u64, Tone::Doubtful),
            );
    }
    report
        .fact(
            "lines",
            account::identity(sums.lines_travelled, &sums.lines),
        )
        .fact(
            "counts past the ejector",
            account::identity(sums.counts_travelled, &sums.counts),
        )
        .fact(
            "model",
            format!("{} ({})", metadata.name, session.bundle.origin()),
        )
        .fact("model's SHA-256", session.bundle.sha256())
        .fact(
            "threshold",
            format!("{:.3}: {}", done.threshold, metadata.threshold.basis),
        )
        .fact(
            "tiles",
            format!(
                "{} x {} px",
                metadata.tile.width_px, metadata.tile.height_px
            ),
        )
        .fact("this machine", account::engine(done));
    if let Some(judged) = judged {
        report
            .section("Against the truth")
            .table(&truth_table(judged));
    }
    if !done.pieces.is_empty() {
        report.section("Defects");
    }
    for (number, piece) in done.pieces.iter().enumerate() {
        let kind = judged.map(|judged| judged.kind_on(piece));
        let name = format!(
            "lines {} to {}",
            piece.first_line,
            piece.first_line + piece.picture.height_px as u64
        );
        report.html(&entry(
            &name,
            &format!("d{number}"),
            piece,
            kind,
            done.threshold,
        )?);
    }
    if let Some(whole) = &done.whole {
        report.section("The whole web");
        report.html(&entry(
            "from the first line to the last",
            "web",
            whole,
            None,
            done.threshold,
        )?);
    }
    Ok(report)
}

fn entry(
    name: &str,
    anchor: &str,
    piece: &Piece,
    kind: Option<Option<&'static str>>,
    threshold: f32,
) -> Result<String, PictureError> {
    PictureEntry {
        name,
        anchor,
        picture: &piece.picture,
        first_line: piece.first_line,
        map: &piece.map,
        regions: &piece.regions,
        reconstruction: piece.reconstruction.as_ref(),
        verdict: piece.verdict,
        score: piece.peak(),
        threshold,
        truth: kind.map(|kind| Truth {
            kind: kind.unwrap_or("good"),
            defect: kind.is_some(),
            mask: None,
        }),
    }
    .html()
}

fn truth_table(judged: &Judged) -> Table {
    let mut table = Table::new(&["defect", "", "line", "column", "box px", "area px", "peak"]);
    for defect in &judged.defects {
        let truth = &defect.truth;
        let (word, tone) = match (defect.peak, defect.inspected) {
            (Some(_), _) => ("found", Tone::Good),
            (None, true) => ("missed", Tone::Bad),
            (None, false) => ("not inspected, rejected", Tone::Doubtful),
        };
        table.rows.push(vec![
            Cell::text(truth.kind.name().replace('_', " ")),
            Cell::badge(word, tone),
            Cell::number(truth.first_line),
            Cell::number(truth.first_column),
            Cell::number(format!(
                "{} × {}",
                truth.end_column - truth.first_column,
                truth.end_line - truth.first_line
            )),
            Cell::number(truth.area_px),
            Cell::number(
                defect
                    .peak
                    .map_or("–".to_owned(), |peak| format!("{peak:.3}")),
            ),
        ]);
    }
    table
}
