//! The account of a run, for people.

use super::live::reason_word;
use super::session::Done;
use super::terminal::Terminal;
use blemish::histogram::Histogram;
use blemish::reject::{Accounting, Tally};
use blemish::verdict::Reason;

/// Sentences that add up.
pub fn tell(terminal: &Terminal, done: &Done) {
    let sums = &done.summary.accounting;
    terminal.say("");
    terminal.say(&format!(
        "lines     {}",
        identity(sums.lines_travelled, &sums.lines)
    ));
    terminal.say(&format!(
        "counts    {} past the ejector",
        identity(sums.counts_travelled, &sums.counts)
    ));
    terminal.say(&format!(
        "ejector   {} counts rejected + {} accepted; {} pulses; {} missed, {} late; {} ok counts rejected with their neighbours",
        sums.rejected_counts,
        sums.accepted_counts,
        sums.pulses,
        sums.missed_spans,
        late_lines(sums),
        sums.rejected_ok_counts
    ));
    if let Some(sums) = &done.summary.confirmations {
        terminal.say(&format!(
            "confirm   {} pulses confirmed, {} missing, {} not watched; {} confirmations without a pulse",
            sums.confirmed, sums.missing, sums.unwatched, sums.unasked
        ));
    }
    terminal.say(&format!("engine    {}", engine(done)));
    let jitter = &done.summary.jitter;
    for (what, histogram) in [
        (
            "counts from due to decided",
            Some(&jitter.due_to_decided_counts),
        ),
        ("us from due to decided", Some(&jitter.due_to_decided_us)),
        (
            "us from decided to driven",
            jitter.decided_to_driven_us.as_ref(),
        ),
        ("us between two looks", jitter.between_looks_us.as_ref()),
    ] {
        if let Some(histogram) = histogram.filter(|histogram| histogram.total() > 0) {
            terminal.say(&format!(
                "pulses    {what}: {}; most {}",
                cells(histogram),
                histogram.max()
            ));
        }
    }
}

/// `0: 12, 1: 3, 2..3: 1`.
fn cells(histogram: &Histogram) -> String {
    let cells: Vec<String> = histogram
        .cells()
        .map(|(first, last, times)| {
            if first == last {
                format!("{first}: {times}")
            } else {
                format!("{first}..{last}: {times}")
            }
        })
        .collect();
    cells.join(", ")
}

/// `6000 = 5000 ok + 900 defect + 100 not inspected (dropped 100)`.
pub fn identity(travelled: u64, tally: &Tally) -> String {
    let reasons: Vec<String> = Reason::ALL
        .into_iter()
        .map(|reason| (reason, tally.not_inspected_for(reason)))
        .filter(|(_, amount)| *amount > 0)
        .map(|(reason, amount)| format!("{} {amount}", reason_word(reason)))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    };
    format!(
        "{travelled} = {} ok + {} defect + {} not inspected{reasons}",
        tally.ok,
        tally.defect,
        tally.not_inspected_total()
    )
}

/// Lines whose verdict came too late.
fn late_lines(sums: &Accounting) -> u64 {
    sums.late_ok_lines + sums.late_defect_lines + sums.late_not_inspected_lines
}

/// How fast this machine was.
pub fn engine(done: &Done) -> String {
    let seconds = done.took.as_secs_f64().max(1e-9);
    format!(
        "{} tiles in {seconds:.1} s on {} thread{}: {:.1} tiles/s, {:.0} lines/s; {} failed",
        done.summary.tiles,
        done.workers,
        if done.workers == 1 { "" } else { "s" },
        done.summary.tiles as f64 / seconds,
        done.summary.accounting.lines_travelled as f64 / seconds,
        done.summary.failed_tiles
    )
}
