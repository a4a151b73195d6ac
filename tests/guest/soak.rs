//! The station for a long time: 20 000 lines in every run of these tests, a million with
//! `BLEMISH_GUEST_SOAK_LINES=1000000`.

use crate::cameras::{Frames, Loopback};
use crate::gpio_sim::{Chip, REJECT};
use crate::process::{Place, Program, monotonic_s, ns, number};
use serde_json::Value;
use std::time::{Duration, Instant};

const LINES: u64 = 20_000;
const LINE_RATE_HZ: u64 = 2560;
const FRAME_LINES: u64 = 64;
/// 2.4 s.
const DISTANCE_COUNTS: u64 = 6144;
const MARGIN_COUNTS: u64 = 128;
/// Between two looks at the program's memory.
const LOOK: Duration = Duration::from_millis(500);
/// What the second half may take more than the first: a leak of eight bytes for each of a million lines is twice that.
const SLACK_KIB: u64 = 4096;

const FRAMES: Frames = Frames {
    width_px: 128,
    lines: FRAME_LINES as u32,
    period: Duration::from_millis(1000 * FRAME_LINES / LINE_RATE_HZ),
    defect_every: 200,
};

/// A web of constant speed, one count a line. `max_counts_per_line` also says how far a position may lie from the one before
/// without being a jump: here the way of some 15 ms, in which the guest's one CPU does something else.
fn station(camera: &Loopback) -> String {
    format!(
        r#"
        [model]
        path = "brightness.onnx"
        [source]
        kind = "v4l2"
        device = "{}"
        width_px = 128
        lines_per_block = {FRAME_LINES}
        line_rate_hz = {LINE_RATE_HZ}
        counts_per_line = 1
        [pace]
        kind = "real"
        [evidence]
        folder = "evidence"
        [reject]
        distance_counts = {DISTANCE_COUNTS}
        max_speed_counts_per_s = 2816
        max_counts_per_line = 32
        span_lines = 64
        latency_us = 1200000
        margin_counts = {MARGIN_COUNTS}
        [pins]
        reject = {{ line = "REJECT" }}
        ready = {{ line = "READY" }}
        "#,
        camera.node.display(),
    )
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn a_long_run_keeps_its_account_and_its_memory() {
    let lines = number("BLEMISH_GUEST_SOAK_LINES", LINES);
    let chip = Chip::new();
    let camera = Loopback::new(FRAMES);
    let place = Place::new("soak");
    place.station(&station(&camera));
    let mut program = place.start(&["run", "--quiet", "--config", "station.toml"]);
    program.wait_record("web that is ok", Duration::from_secs(60), |record| {
        record["verdict"] == "ok"
    });
    let soak = Duration::from_millis(lines * 1000 / LINE_RATE_HZ);
    let (begun, begun_s) = (Instant::now(), monotonic_s());
    let mut resident_kib = Vec::new();
    while begun.elapsed() < soak {
        std::thread::sleep(LOOK);
        resident_kib.push(program.resident_kib());
    }
    let ended_s = monotonic_s();
    program.signal("TERM");
    let status = program.end(Duration::from_secs(60));
    assert_eq!(status.code(), Some(0), "{}", program.words());
    let stop = stop_record(&program);
    let sums = &stop["accounting"];
    let sum = |name: &str| sums[name].as_u64().unwrap();
    let of = |tally: &Value| {
        let refused = tally["not_inspected"].as_array().unwrap();
        let refused: u64 = refused.iter().map(|part| part.as_u64().unwrap()).sum();
        tally["ok"].as_u64().unwrap() + tally["defect"].as_u64().unwrap() + refused
    };
    let travelled = sum("lines_travelled");
    println!(
        "{travelled} lines in {:.0} s: {}; counts {}, accepted {}, pulses {}, resets {}; resident KiB first, last, most: {} {} {}",
        begun.elapsed().as_secs_f64(),
        sums["lines"],
        sums["counts"],
        sums["accepted_counts"],
        sums["pulses"],
        sums["resets"],
        resident_kib[0],
        resident_kib[resident_kib.len() - 1],
        resident_kib.iter().max().unwrap(),
    );
    assert!(travelled >= lines, "{travelled} of {lines} lines");
    assert_eq!(of(&sums["lines"]), travelled, "{stop}");
    assert_eq!(of(&sums["counts"]), sums["counts_travelled"], "{stop}");
    // Nearly all web is inspected, and what is good goes past the ejector: a defect takes its frame, the spans that it
    // reaches into and the margins, some 500 of 12 800 counts.
    let ok = sums["lines"]["ok"].as_u64().unwrap();
    assert!(ok >= travelled / 10 * 9, "{stop}");
    // A camera hands out what it has kept while nobody took it: the station loses its place once or twice when it starts, and
    // not again. The end of the run is the last reset.
    let journal = program.journal();
    let resets = journal
        .iter()
        .filter(|record| record["ledger"]["event"] == "reset");
    let resets: Vec<(u64, u64)> = resets
        .map(|record| (ns(record), record["count"].as_u64().unwrap()))
        .collect();
    let [starts @ .., _] = resets.as_slice() else {
        panic!("{stop}");
    };
    assert!(
        starts.iter().all(|&(at_ns, _)| at_ns < 2_000_000_000),
        "{resets:?}"
    );
    let place = starts.last().map_or(0, |&(_, count)| count);
    let inspected = sum("counts_travelled") - place - DISTANCE_COUNTS - MARGIN_COUNTS;
    assert!(sum("accepted_counts") >= inspected / 10 * 9, "{stop}");
    assert_eq!(sum("missed_counts"), 0, "{stop}");
    // A pulse for every defect that was at the ejector, and for nothing else.
    let way_s = (DISTANCE_COUNTS + FRAME_LINES) as f64 / LINE_RATE_HZ as f64;
    let defects = camera.defects();
    let due = defects
        .iter()
        .filter(|&&at| begun_s < at && at + way_s < ended_s);
    let due = due.count() as u64;
    assert!(due > 0, "{defects:?} until {ended_s}");
    let pulses = sum("pulses");
    assert!(
        (due..=defects.len() as u64).contains(&pulses),
        "{pulses} pulses for {due} defects: {stop}"
    );
    let (first_half, second_half) = resident_kib.split_at(resident_kib.len() / 2);
    let (before, most) = (first_half.iter().max(), second_half.iter().max());
    assert!(
        most.unwrap() <= &(before.unwrap() + SLACK_KIB),
        "memory grew: {resident_kib:?} KiB"
    );
    assert!(!chip.is_high(REJECT));
}

fn stop_record(program: &Program) -> Value {
    let stop = program.journal().pop().unwrap();
    assert_eq!(stop["event"], "stop", "{stop}");
    stop
}
