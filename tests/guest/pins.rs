//! The station's outputs on a GPIO chip, with strips whose defects are known, watched by the kernel's trace.

use crate::gpio_sim::{Chip, READY, REJECT, Trace};
use crate::process::{Place, ns, wait_for};
use blemish::picture::{Picture, Samples};
use serde_json::Value;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const WIDTH_PX: usize = 128;
/// Grey levels that the model calls good and defective.
pub const GOOD: u8 = 100;
pub const DEFECT: u8 = 255;
/// Sides of a defect.
const DEFECT_PX: usize = 40;

/// Grey web of `lines` with a square defect from each of `defects` on.
pub fn strip(place: &Place, lines: usize, defects: &[usize]) {
    let mut samples = vec![GOOD; WIDTH_PX * lines];
    for &first in defects {
        for line in first..first + DEFECT_PX {
            let at = line * WIDTH_PX + 40;
            samples[at..at + DEFECT_PX].fill(DEFECT);
        }
    }
    let path = place.path.join("strips");
    std::fs::create_dir_all(&path).unwrap();
    let path = path.join("web.png");
    let picture = Picture::new(WIDTH_PX, lines, 1, Samples::U8(samples)).unwrap();
    std::fs::write(&path, picture.encode_png(&path).unwrap()).unwrap();
}

/// A station of 500 lines and 1000 counts per second; the ejector is 2.5 s of web away.
pub const STATION: &str = r#"
    [model]
    path = "brightness.onnx"
    [source]
    kind = "strips"
    folder = "strips"
    lines_per_block = 32
    [belt]
    line_rate_hz = 500.0
    counts_per_line = 2
    [pace]
    kind = "real"
    [evidence]
    folder = "evidence"
    [reject]
    distance_counts = 2500
    max_speed_counts_per_s = 1100
    span_lines = 64
    latency_us = 1500000
    [pins]
    reject = { line = "REJECT" }
    ready = { line = "READY" }
    heartbeat = { line = "HEARTBEAT" }
"#;

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn known_defects_are_pulses_on_the_line_at_their_time() {
    let chip = Chip::new();
    let place = Place::new("pulses");
    strip(&place, 3000, &[800, 2000]);
    place.station(STATION);
    let trace = Trace::start();
    let mut program = place.start(&["run", "--config", "station.toml"]);
    let status = program.end(MINUTE);
    assert_eq!(status.code(), Some(0), "{}", program.words());
    let edges = trace.edges(REJECT);
    // Without current, accept, two pulses, without current.
    let levels: Vec<bool> = edges.iter().map(|edge| edge.high).collect();
    assert_eq!(
        levels,
        [false, true, false, true, false, true, false],
        "{edges:?}"
    );
    let between = edges[4].seconds - edges[2].seconds;
    // 1200 lines at 500 per second, each pulse begins with a span of 64 lines.
    assert!((2.2..2.8).contains(&between), "{between} s, {edges:?}");
    assert!(!chip.is_high(REJECT) && !chip.is_high(READY));
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn a_line_that_another_process_holds_is_refused_by_the_holders_name() {
    let _chip = Chip::new();
    let place = Place::new("taken");
    strip(&place, 20_000, &[]);
    place.station(STATION);
    let mut first = place.start(&["run", "--config", "station.toml"]);
    first.wait_record("operation", MINUTE, |record| record["event"] == "state");
    let other = Place::new("taken-second");
    strip(&other, 500, &[]);
    other.station(STATION);
    let mut second = other.start(&["run", "--config", "station.toml"]);
    let status = second.end(MINUTE);
    let words = second.words();
    assert_eq!(status.code(), Some(2), "{words}");
    assert!(words.contains("held by \"blemish\""), "{words}");
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn a_chip_that_goes_and_comes_back_is_taken_back() {
    let mut chip = Chip::new();
    let place = Place::new("chip");
    strip(&place, 60_000, &[]);
    place.station(STATION);
    let mut program = place.start(&["run", "--config", "station.toml"]);
    wait_for("accepted web", MINUTE, || {
        chip.is_high(REJECT).then_some(())
    });
    let before_ns = program.last_ns();
    chip.remove();
    let is_of = |record: &Value, event: &str| {
        let message = record["fault"]["message"].as_str().unwrap_or_default();
        record["event"] == event
            && record["fault"]["cause"] == "pins"
            && message.contains("No such device")
    };
    let fault = program.wait_record("the fault", MINUTE, |record| {
        is_of(record, "fault") && ns(record) > before_ns
    });
    std::thread::sleep(Duration::from_secs(1));
    let trace = Trace::start();
    chip.insert();
    program.wait_record("its end", MINUTE, |record| {
        is_of(record, "recovered") && ns(record) > ns(&fault)
    });
    wait_for("accepted web", MINUTE, || {
        chip.is_high(REJECT).then_some(())
    });
    // Taken without current.
    let levels: Vec<bool> = trace.edges(REJECT).iter().map(|edge| edge.high).collect();
    assert_eq!(levels, [false, true]);
}
