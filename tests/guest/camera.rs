//! The station behind real V4L2 drivers, its pulses on a GPIO line.

use crate::cameras::{Frames, Loopback, Vivid};
use crate::gpio_sim::{Chip, REJECT, Trace};
use crate::process::{Place, Program, monotonic_s, ns, number, wait_for};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A station behind `node` with frames of `lines` lines of 128 px, 2 counts each; the ejector is 2.5 s away.
pub fn station(node: &Path, lines: u32, line_rate_hz: u32, more: &str) -> String {
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

/// The test cameras' web is black, and a defect is a white frame: no lamp makes such a web.
const ANY_LIGHT: &str = "[light]\nlimits = \"off\"\n";

pub fn accepted(program: &Program, chip: &Chip) {
    wait_for("accepted web", MINUTE, || {
        assert!(!program.words().contains("error"), "{}", program.words());
        chip.is_high(REJECT).then_some(())
    });
}

/// Ends the station in order and gives its last record.
pub fn stopped(program: &mut Program) -> Value {
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
    const FRAMES: Frames = Frames {
        width_px: 128,
        lines: 32,
        period: Duration::from_millis(64),
        defect_every: 80,
    };
    let watched = Duration::from_secs(number("BLEMISH_GUEST_CAMERA_S", 20));
    let chip = Chip::new();
    let camera = Loopback::new(FRAMES);
    let place = Place::new("camera");
    place.station(&station(&camera.node, FRAMES.lines, 500, ANY_LIGHT));
    let trace = Trace::start();
    let mut program = place.start(&["run", "--config", "station.toml"]);
    accepted(&program, &chip);
    let accepted_s = monotonic_s();
    std::thread::sleep(watched);
    let ended_s = monotonic_s();
    stopped(&mut program);
    let falls: Vec<f64> = trace
        .edges(REJECT)
        .iter()
        .map(|edge| (edge.seconds, edge.high))
        .filter(|&(at, high)| !high && accepted_s < at && at < ended_s)
        .map(|(at, _)| at)
        .collect();
    // The ejector is 2.5 s away. A pulse begins before its defect is there: by the frame and the margin, 64 ms and 128 ms, and
    // by what is left of the span in which the defect begins.
    let is_of = |fall: f64, defect: f64| (2.2..2.4).contains(&(fall - defect));
    let defects = camera.defects();
    let due = |at: f64| accepted_s < at + 2.0 && at + 2.5 < ended_s;
    let due: Vec<f64> = defects.iter().copied().filter(|&at| due(at)).collect();
    let pulses_of = |defect: f64| -> Vec<f64> {
        let own = falls.iter().filter(|&&fall| is_of(fall, defect));
        own.map(|fall| fall - defect).collect()
    };
    let took: Vec<Vec<f64>> = due.iter().map(|&defect| pulses_of(defect)).collect();
    println!(
        "{} s: {} defects, each with its pulse after (s) {took:.3?}",
        watched.as_secs(),
        due.len()
    );
    // 80 frames are 5.12 s.
    assert!(
        due.len() as f64 >= (watched.as_secs_f64() - 2.5) / 5.12 - 1.0,
        "{defects:?}"
    );
    assert!(due.len() >= 2, "{defects:?} from {accepted_s} to {ended_s}");
    assert!(
        took.iter().all(|pulses| pulses.len() == 1),
        "{took:?}: {falls:?} for {defects:?}"
    );
    // No web was lost, and nothing else was rejected.
    let astray: Vec<&f64> = falls
        .iter()
        .filter(|&&fall| !defects.iter().any(|&at| is_of(fall, at)))
        .collect();
    assert!(astray.is_empty(), "{astray:?} of {falls:?}");
    // The program's word against the kernel's.
    let fired = program.journal();
    let fired: Vec<&Value> = fired
        .iter()
        .filter(|record| record["event"] == "reject_fired")
        .collect();
    assert_eq!(fired.len(), falls.len(), "{fired:?} against {falls:?}");
    assert!(
        fired.iter().all(|record| record["why"] == "defect"),
        "{fired:?}"
    );
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
        &format!("[source.controls]\n\"v4l2:Test Pattern\" = 5\n\"v4l2:OSD Text Mode\" = 2\n\"v4l2:Timestamp Source\" = 1\n{ANY_LIGHT}"),
    ));
    let mut program = place.start(&["run", "--config", "station.toml"]);
    program.wait_record("web that is ok", MINUTE, |record| record["verdict"] == "ok");
    let before_ns = program.last_ns();
    camera.set("Percentage of Dropped Buffers", 50);
    program.wait_record("a drop", MINUTE, |record| {
        record["event"] == "not_inspected"
            && record["reason"] == "dropped"
            && ns(record) > before_ns
    });
    camera.set("Percentage of Dropped Buffers", 0);
    let before_ns = program.last_ns();
    camera.set("Inject V4L2_BUF_FLAG_ERROR", 1);
    program.wait_record("the error flag", MINUTE, |record| {
        record["event"] == "fault"
            && record["fault"]["reason"] == "error_flag"
            && ns(record) > before_ns
    });
    // Each loss by its own words and after the one before, each until web is ok again.
    let fault = |event: &'static str, words: &'static str, after_ns: u64| {
        move |record: &Value| {
            let message = record["fault"]["message"].as_str().unwrap_or_default();
            record["event"] == event
                && record["fault"]["cause"] == "camera"
                && message.contains(words)
                && ns(record) > after_ns
        }
    };
    let passes = |words: &'static str, program: &mut Program, lost: &Value| {
        let back = program.wait_record("its end", MINUTE, fault("recovered", words, ns(lost)));
        program.wait_record("web that is ok after it", MINUTE, |record| {
            record["verdict"] == "ok" && ns(record) > ns(&back)
        });
    };
    // A buffer that is refused once is given back again, and no more comes of it.
    let before_ns = program.last_ns();
    camera.set("Inject VIDIOC_QBUF Error", 1);
    program.wait_record("web that is ok a second later", MINUTE, |record| {
        record["verdict"] == "ok" && ns(record) > before_ns + 1_000_000_000
    });
    let lost = |record: &Value| record["event"] == "fault" && record["fault"]["cause"] == "camera";
    assert!(!program.journal().iter().any(lost), "{}", program.words());
    // A stream that fails, and its next begin that fails too.
    let failed = "Input/output error";
    let before_ns = program.last_ns();
    camera.set("Inject VIDIOC_STREAMON Error", 1);
    camera.set("Inject Fatal Streaming Error", 1);
    let lost = program.wait_record(
        "the failed stream",
        MINUTE,
        fault("fault", failed, before_ns),
    );
    passes(failed, &mut program, &lost);
    assert!(
        program.words().contains("refuses a stream with"),
        "{}",
        program.words()
    );
    let gone = "No such device";
    let before_ns = program.last_ns();
    camera.unplug();
    let lost = program.wait_record("the pulled plug", MINUTE, fault("fault", gone, before_ns));
    // While the lost node is held, a camera that comes back gets another number.
    wait_for("the node let go", MINUTE, || {
        (!program.holds(&camera.node)).then_some(())
    });
    assert!(!chip.is_high(REJECT), "web is accepted without a camera");
    camera.plug();
    passes(gone, &mut program, &lost);
    stopped(&mut program);
    assert!(!chip.is_high(REJECT));
}
