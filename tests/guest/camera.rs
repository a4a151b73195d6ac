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
    stopped(&mut program);
    let defects: Vec<f64> = program
        .journal()
        .iter()
        .filter(|record| record["event"] == "reject_fired" && record["why"] == "defect")
        .map(|record| record["ns"].as_f64().unwrap() / 1e9)
        .collect();
    assert!(defects.len() >= 2, "{defects:?}");
    // The program's word against the kernel's: as many falling edges, as far apart.
    let falls: Vec<f64> = trace
        .edges(REJECT)
        .iter()
        .filter(|edge| !edge.high)
        .map(|edge| edge.seconds)
        .collect();
    for pair in defects.windows(2) {
        let apart = pair[1] - pair[0];
        // 80 frames, and no frame lost in between or the pulse would have another reason.
        assert!((4.6..5.7).contains(&apart), "{defects:?}");
        let seen = falls.iter().any(|first| {
            falls
                .iter()
                .any(|second| (second - first - apart).abs() < 0.05)
        });
        assert!(seen, "{defects:?} against {falls:?}");
    }
}

/// No assertion here needs web without a gap: vivid's thread is late on an emulated CPU and drops frames by itself.
#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn every_fault_of_a_camera_is_named_and_passes() {
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
    program.wait_record("web that is ok", MINUTE, |record| record["verdict"] == "ok");
    camera.set("Percentage of Dropped Buffers", 50);
    program.wait_record("a drop", MINUTE, |record| {
        record["event"] == "not_inspected" && record["reason"] == "dropped"
    });
    camera.set("Percentage of Dropped Buffers", 0);
    camera.set("Inject V4L2_BUF_FLAG_ERROR", 1);
    program.wait_record("the error flag", MINUTE, |record| {
        record["fault"]["reason"] == "error_flag"
    });
    let ok_after = |what, after: &Value, program: &mut Program| {
        program.wait_record(what, MINUTE, |record| {
            record["verdict"] == "ok" && record["ns"].as_u64() > after["ns"].as_u64()
        });
    };
    // A buffer that is refused once, a stream that fails, and its next begin that fails too.
    camera.set("Inject VIDIOC_QBUF Error", 1);
    camera.set("Inject VIDIOC_STREAMON Error", 1);
    camera.set("Inject Fatal Streaming Error", 1);
    let lost = |record: &Value| record["event"] == "fault" && record["fault"]["cause"] == "camera";
    let failed = program.wait_record("the stream's failure", MINUTE, lost);
    ok_after(
        "web that is ok after the stream's failure",
        &failed,
        &mut program,
    );
    camera.unplug();
    let gone = program.wait_record("the loss", MINUTE, |record| {
        lost(record) && record["ns"].as_u64() > failed["ns"].as_u64()
    });
    // While the lost node is held, a camera that comes back gets another number.
    wait_for("the node let go", MINUTE, || {
        (!program.holds(&camera.node)).then_some(())
    });
    assert!(!chip.is_high(REJECT), "web is accepted without a camera");
    camera.plug();
    ok_after("web that is ok again", &gone, &mut program);
    stopped(&mut program);
    assert!(!chip.is_high(REJECT));
}
