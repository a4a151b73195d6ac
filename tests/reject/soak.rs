//! Millions of lines through the pure core. `BLEMISH_SOAK_LINES` sets how many; a million by default.

use blemish::block::LineStamp;
use blemish::geometry::{Count, LineNumber};
use blemish::reject::{Ledger, RejectConfig};
use blemish::verdict::{Reason, Span, SpanVerdict, Verdict};

/// A small generator of our own, so that the figures are the same everywhere.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn a_long_run_keeps_its_sums_and_its_memory() {
    let lines: u64 = match std::env::var("BLEMISH_SOAK_LINES") {
        Ok(text) => text
            .parse()
            .expect("BLEMISH_SOAK_LINES is a number of lines"),
        Err(_) => 1_000_000,
    };
    const BLOCK: u64 = 64;
    let config = RejectConfig {
        distance_counts: 20_000,
        max_counts_per_line: 2,
        max_speed_counts_per_s: 20_000,
        latency_us: 200_000,
        ..RejectConfig::default()
    };
    let mut ledger: Ledger<256> = Ledger::new(config.clone(), 0, Count(0)).expect("valid settings");
    let (mut now_ns, mut count, mut state) = (0u64, 0i64, 7u64);
    let mut next_span = 0;
    let (mut most_records, mut events) = (0, 0u64);
    let mut stamps = Vec::with_capacity(BLOCK as usize);
    let begun = std::time::Instant::now();
    let mut line = 0;
    while line < lines {
        stamps.clear();
        for _ in 0..BLOCK.min(lines - line) {
            now_ns += 100_000;
            count += 1;
            stamps.push(LineStamp {
                exposure_ns: now_ns,
                count: Count(count),
            });
            if count % 16 == 0 {
                ledger.advance(now_ns, Count(count));
            }
        }
        for exposure in config.exposures(LineNumber(line), &stamps) {
            ledger.arm(&exposure).expect("lines in order");
        }
        line += stamps.len() as u64;
        // Verdicts lie 1000 lines behind; one in 64 is a defect, one in 64 not inspected.
        while next_span + 256 + 1000 <= line {
            let verdict = match next(&mut state) % 64 {
                0 => Verdict::Defect,
                1 => Verdict::NotInspected(Reason::Engine),
                _ => Verdict::Ok,
            };
            ledger.verdict(SpanVerdict {
                span: Span {
                    first_line: LineNumber(next_span),
                    lines: 256,
                },
                verdict,
            });
            next_span += 256;
        }
        ledger
            .accounting()
            .identity()
            .expect("the accounting identity");
        most_records = most_records.max(ledger.records());
        while ledger.pop_event().is_some() {
            events += 1;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let sums = ledger.accounting();
    assert_eq!(sums.lines_travelled, lines);
    // The first line is at count 1, and no call came after the last whole 16 counts.
    assert_eq!(sums.counts_travelled, lines / 16 * 16);
    assert_eq!(sums.missed_counts, 0);
    assert_eq!(sums.events_lost, 0);
    assert!(most_records <= 100, "{most_records} records");
    println!(
        "{lines} lines in {seconds:.2} s ({:.1} ns per line), {events} events, at most {most_records} records of {} bytes in \
         all, {sums:?}",
        seconds * 1e9 / lines as f64,
        std::mem::size_of_val(&ledger),
    );
}
