//! A long run: a million lines in every test run, as many as `BLEMISH_SOAK_LINES` says otherwise.

use crate::allocations::allocations;
use crate::rig::{Misfortune, Rig};
use blemish::camera::{BeltSpec, Move};
use blemish::draem::score::Window;
use blemish::geometry::TileSize;
use blemish::model::ColorOrder;
use blemish::reject::RejectConfig;
use blemish::verdict::Reason;
use blemish::web::WebConfig;

/// Behind the first standstill.
const WARM_UP_LINES: u64 = 200_000;

/// Every 97th block is faulty, every 211th lost.
fn misfortune(block: u64) -> Misfortune {
    match (block % 97, block % 211) {
        (96, _) => Misfortune::Faulty,
        (_, 210) => Misfortune::Lost,
        _ => Misfortune::None,
    }
}

/// Another speed every 200 000 lines, and a standstill in between.
fn moves(lines: u64) -> Vec<Move> {
    let eras = 1..=lines / 200_000;
    eras.flat_map(|era| {
        [
            Move::Speed {
                before_line: era * 200_000,
                line_rate_hz: [4_000.0, 2_500.0, 1_200.0][era as usize % 3],
            },
            Move::Stop {
                before_line: era * 200_000 - 70_000,
                stop_ms: 3_000,
            },
        ]
    })
    .collect()
}

#[test]
fn a_long_run_keeps_its_account_and_takes_no_memory() {
    let lines: u64 = match std::env::var("BLEMISH_SOAK_LINES") {
        Ok(text) => text
            .parse()
            .expect("BLEMISH_SOAK_LINES is a number of lines"),
        Err(_) => 1_000_000,
    };
    assert!(lines >= 2 * WARM_UP_LINES, "{lines} lines are no long run");
    let belt = BeltSpec {
        line_rate_hz: 2_000.0,
        counts_per_line: 1,
        moves: moves(lines),
    };
    let web = WebConfig {
        width_px: 32,
        columns: None,
        channels: 1,
        sixteen_bit: false,
        tile: TileSize::square(32),
        overlap_px: 8,
        color_order: ColorOrder::Rgb,
        window: Window::OFFICIAL,
        threshold: 0.3,
        min_area_px: 1,
        span_lines: 64,
        max_region_lines: 256,
        rolling_lines: 256,
        tiles_in_flight: 6,
        min_segment_lines: 8,
        keep_reconstruction: false,
    };
    let reject = RejectConfig {
        distance_counts: 4_000,
        margin_counts: 20,
        max_speed_counts_per_s: 4_000,
        max_counts_per_line: 1,
        span_lines: 64,
        latency_us: 500_000,
        ..RejectConfig::default()
    };
    let mut rig = Rig::new(&belt, web, reject, 2, 8_000).with_misfortune(misfortune, 0.02);
    let begun = std::time::Instant::now();
    rig.run_to(WARM_UP_LINES);
    let (before, mut most_records) = (allocations(), 0);
    let mut to = WARM_UP_LINES;
    while to < lines {
        to = lines.min(to + 65_536);
        rig.run_to(to);
        rig.accounting()
            .identity()
            .expect("the accounting identity");
        most_records = most_records.max(rig.records());
    }
    rig.finish();
    let taken = allocations() - before;
    let seconds = begun.elapsed().as_secs_f64();
    let (sums, verdicts) = (rig.accounting(), rig.verdicts());
    sums.identity().expect("the accounting identity");
    println!(
        "{lines} lines in {seconds:.1} s, {taken} allocations after {WARM_UP_LINES} lines, at most {most_records} records, {} lines with a defect past the ejector, {} of them untouched, {sums:?}",
        rig.defects_passed, rig.defects_untouched,
    );
    assert_eq!(taken, 0, "memory was taken after {WARM_UP_LINES} lines");
    assert_eq!(sums.lines_travelled, lines);
    assert_eq!(sums.lines_pending, 0);
    assert_eq!(
        verdicts.ok + verdicts.defect + verdicts.not_inspected,
        lines,
        "one verdict for every line"
    );
    assert_eq!(sums.missed_counts, 0);
    assert_eq!(rig.defects_untouched, 0);
    assert_eq!(sums.events_lost, 0);
    // The ledger knew of lost lines before the web's verdict on them.
    let lost = sums.lines.not_inspected_for(Reason::Dropped);
    assert_eq!(sums.ignored_lines, lost);
    assert!(most_records <= 200, "{most_records} records");
    // The run means something only if all of it happened.
    assert!(sums.lines.ok > lines / 2 && sums.lines.defect > lines / 100);
    for reason in [Reason::ErrorFlag, Reason::Dropped, Reason::Late] {
        assert!(sums.lines.not_inspected_for(reason) > 100, "{reason:?}");
    }
}
