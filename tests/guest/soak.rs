//! The station for a long time: 20 000 lines in every run of these tests, a million with
//! `BLEMISH_GUEST_SOAK_LINES=1000000` (and `BLEMISH_GUEST_TIMEOUT_S=1200` for `run-all.sh`).

use crate::cameras::Vivid;
use crate::gpio_sim::{Chip, REJECT};
use crate::process::{Place, Program};
use std::time::{Duration, Instant};

const LINE_RATE_HZ: u64 = 3840;
/// Between two looks at the program's memory.
const LOOK: Duration = Duration::from_millis(500);
/// What the second half may take more than the first: a leak of eight bytes for each of a million lines is twice that.
const SLACK_KIB: u64 = 4096;

/// Frames of 64 lines at 60 Hz, black from end to end, over a web of constant speed: vivid's thread is late on an emulated
/// CPU and then delivers in bursts, which a count by lines would take for a web that jumps.
fn station(camera: &Vivid) -> String {
    format!(
        r#"
        [model]
        path = "brightness.onnx"
        [source]
        kind = "v4l2"
        device = "{}"
        width_px = 128
        lines_per_block = 64
        line_rate_hz = {LINE_RATE_HZ}
        counts_per_line = 1
        [source.controls]
        "v4l2:Test Pattern" = 5
        "v4l2:OSD Text Mode" = 2
        "v4l2:Timestamp Source" = 1
        [pace]
        kind = "real"
        [evidence]
        folder = "evidence"
        [reject]
        distance_counts = 9600
        max_counts_per_line = 4
        max_speed_counts_per_s = 4200
        span_lines = 64
        latency_us = 1200000
        margin_counts = 128
        [pins.encoder]
        kind = "by_time"
        counts_per_s = {LINE_RATE_HZ}.0
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
    let lines: u64 = std::env::var("BLEMISH_GUEST_SOAK_LINES").map_or(20_000, |text| {
        text.parse()
            .expect("BLEMISH_GUEST_SOAK_LINES is a number of lines")
    });
    let chip = Chip::new();
    let camera = Vivid::new();
    let place = Place::new("soak");
    place.station(&station(&camera));
    let mut program = place.start(&["run", "--quiet", "--config", "station.toml"]);
    program.wait_record("web that is ok", Duration::from_secs(60), |record| {
        record["verdict"] == "ok"
    });
    let soak = Duration::from_millis(lines * 1000 / LINE_RATE_HZ);
    let (begun, mut resident_kib) = (Instant::now(), Vec::new());
    while begun.elapsed() < soak {
        std::thread::sleep(LOOK);
        resident_kib.push(program.resident_kib());
    }
    program.signal("TERM");
    let status = program.end(Duration::from_secs(60));
    assert_eq!(status.code(), Some(0), "{}", program.words());
    let stop = stop_record(&program);
    let sums = &stop["accounting"];
    let of = |tally: &serde_json::Value| {
        let refused = tally["not_inspected"].as_array().unwrap();
        let refused: u64 = refused.iter().map(|part| part.as_u64().unwrap()).sum();
        tally["ok"].as_u64().unwrap() + tally["defect"].as_u64().unwrap() + refused
    };
    let travelled = sums["lines_travelled"].as_u64().unwrap();
    println!(
        "{travelled} lines in {:.0} s, of which ok {}; resident KiB first, last, most: {} {} {}",
        begun.elapsed().as_secs_f64(),
        sums["lines"]["ok"],
        resident_kib[0],
        resident_kib[resident_kib.len() - 1],
        resident_kib.iter().max().unwrap(),
    );
    // vivid's thread may fall behind on an emulated CPU, and catches up.
    assert!(travelled >= lines * 9 / 10, "{travelled} of {lines} lines");
    assert_eq!(of(&sums["lines"]), travelled, "{stop}");
    assert_eq!(of(&sums["counts"]), sums["counts_travelled"], "{stop}");
    assert!(
        sums["lines"]["ok"].as_u64().unwrap() > travelled / 100,
        "{stop}"
    );
    let (first_half, second_half) = resident_kib.split_at(resident_kib.len() / 2);
    let (before, most) = (first_half.iter().max(), second_half.iter().max());
    assert!(
        most.unwrap() <= &(before.unwrap() + SLACK_KIB),
        "memory grew: {resident_kib:?} KiB"
    );
    assert!(!chip.is_high(REJECT));
}

fn stop_record(program: &Program) -> serde_json::Value {
    let stop = program.journal().pop().unwrap();
    assert_eq!(stop["event"], "stop", "{stop}");
    stop
}
