//! The station behind real V4L2 drivers, its pulses on a GPIO line.

use crate::cameras::{Frames, Loopback, Vivid};
use crate::gpio_sim::{Chip, REJECT, Trace};
use crate::process::{Place, Program, wait_for};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A station behind `node` with frames of `lines` lines of 128 px, 2 counts each; the ejector is 2.5 s away.
fn station(node: &Path, lines: u32, line_rate_hz: u32, more: &str) -> String {
    let counts_per_s = 2 * line_rate_hz;
    format!(
        r#"
        [model]
        path = "brightness.onnx"
        [source]
        kind = "v4l2"
        device = "{}"
        width_px = 128
        lines_per_block = {lines}
        line_rate_hz = {line_rate_hz}
        counts_per_line = 2
        {more}
        [pace]
        kind = "real"
        [evidence]
        folder = "evidence"
        [reject]
        distance_counts = {}
        max_speed_counts_per_s = {}
        span_lines = 64
        latency_us = 1200000
        margin_counts = {}
        [pins]
        reject = {{ line = "REJECT" }}
        ready = {{ line = "READY" }}
        "#,
        node.display(),
        counts_per_s * 5 / 2,
        counts_per_s * 11 / 10,
        lines * 4,
    )
}

fn accepted(program: &Program, chip: &Chip) {
    wait_for("accepted web", MINUTE, || {
        assert!(!program.words().contains("error"), "{}", program.words());
        chip.is_high(REJECT).then_some(())
    });
}

/// Ends the station in order and gives its last record.
fn stopped(program: &mut Program) -> Value {
    program.signal("TERM");
    let status = program.end(MINUTE);
    assert_eq!(status.code(), Some(0), "{}", program.words());
    let stop = program.journal().pop().unwrap();
    assert_eq!(stop["event"], "stop", "{stop}");
    stop
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn known_defects_through_a_camera_are_pulses_on_the_line() {
    const FRAME_LINES: usize = 32;
    let frames = Frames {
        width_px: 128,
        lines: FRAME_LINES as u32,
        period: Duration::from_millis(64),
    };
    let chip = Chip::new();
    let camera = Loopback::new(frames, |number, frame| {
        frame.fill(100);
        if number % 80 == 79 {
            frame.fill(255);
        }
    });
    let place = Place::new("camera");
    place.station(&station(&camera.node, FRAME_LINES as u32, 500, ""));
    let trace = Trace::start();
    let mut program = place.start(&["run", "--config", "station.toml"]);
    accepted(&program, &chip);
    std::thread::sleep(Duration::from_secs(20));
    let stop = stopped(&mut program);
    println!("{:?}\n{}\n{stop}", trace.edges(REJECT), program.words());
    for record in program.journal() {
        if record["event"] == "fault"
            || record["event"] == "recovered"
            || record["event"] == "not_inspected"
        {
            println!("{record}");
        }
    }
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn a_minute_behind_vivid() {
    let chip = Chip::new();
    let camera = Vivid::new();
    let place = Place::new("vivid");
    place.station(&station(
        &camera.node,
        16,
        960,
        "[source.controls]\n\"v4l2:Test Pattern\" = 5\n\"v4l2:OSD Text Mode\" = 2\n\"v4l2:Timestamp Source\" = 1",
    ));
    let mut program = place.start(&["run", "--config", "station.toml"]);
    accepted(&program, &chip);
    std::thread::sleep(Duration::from_secs(20));
    camera.set("Percentage of Dropped Buffers", 10);
    std::thread::sleep(Duration::from_secs(5));
    camera.set("Percentage of Dropped Buffers", 0);
    camera.set("Inject V4L2_BUF_FLAG_ERROR", 1);
    std::thread::sleep(Duration::from_secs(5));
    camera.unplug();
    std::thread::sleep(Duration::from_secs(2));
    camera.plug();
    accepted(&program, &chip);
    let stop = stopped(&mut program);
    println!("{}\n{stop}", program.words());
    for record in program.journal() {
        if record["event"] == "fault" || record["event"] == "recovered" {
            println!("{record}");
        }
    }
}
