//! A quadrature encoder on two lines of a GPIO chip, edge by edge.

use crate::gpio_sim::{Chip, ENCODER_A, ENCODER_B, REJECT, Wires};
use crate::pins::strip;
use crate::process::{Place, Program, ns, wait_for};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Edges of the simulated chip must not come closer.
const EDGE: Duration = Duration::from_millis(10);

/// 50 lines and at most 100 counts per second; the ejector is 6 s away.
const STATION: &str = r#"
    [model]
    path = "brightness.onnx"
    [source]
    kind = "strips"
    folder = "strips"
    lines_per_block = 16
    [belt]
    line_rate_hz = 50.0
    counts_per_line = 2
    [pace]
    kind = "real"
    [evidence]
    folder = "evidence"
    [reject]
    distance_counts = 600
    max_speed_counts_per_s = 200
    max_counts_per_line = 8
    margin_counts = 8
    span_lines = 16
    latency_us = 1500000
    [pins]
    reject = { line = "REJECT" }
    ready = { line = "READY" }
    [pins.encoder]
    kind = "gpio"
    a = { line = "ENCODER_A" }
    b = { line = "ENCODER_B" }
    kernel_events = 16
"#;

/// Turns the encoder: 1 forward, -1 backward, 0 stands.
struct Shaft {
    direction: Arc<AtomicI64>,
    position: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn turn(wires: &Wires, position: i64, step: i64) {
    // Levels of A and B in the order of a web running forward.
    const LEVELS: [(bool, bool); 4] = [(false, false), (true, false), (true, true), (false, true)];
    let place = |position: i64| LEVELS[position.rem_euclid(4) as usize];
    let (before, after) = (place(position), place(position + step));
    if before.0 != after.0 {
        wires.set(ENCODER_A, after.0);
    } else {
        wires.set(ENCODER_B, after.1);
    }
}

impl Shaft {
    fn new(wires: Wires) -> Self {
        let (direction, position) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (direction, position, stop) = (
                Arc::clone(&direction),
                Arc::clone(&position),
                Arc::clone(&stop),
            );
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let step = direction.load(Ordering::Relaxed);
                    if step != 0 {
                        turn(&wires, position.load(Ordering::Relaxed), step);
                        position.fetch_add(step, Ordering::Relaxed);
                    }
                    sleep(EDGE);
                }
            }
        });
        Self {
            direction,
            position,
            stop,
            thread: Some(thread),
        }
    }

    fn run(&self, direction: i64) {
        self.direction.store(direction, Ordering::Relaxed);
    }

    fn wait_travelled(&self, counts: i64) {
        let from = self.position.load(Ordering::Relaxed);
        wait_for("the shaft", MINUTE, || {
            let way = (self.position.load(Ordering::Relaxed) - from).abs();
            (way >= counts).then_some(())
        });
    }
}

impl Drop for Shaft {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn is_encoder_fault(record: &Value) -> bool {
    record["event"] == "fault" && record["fault"]["cause"] == "encoder"
}

fn wait_state(program: &mut Program, state: &str, from_ns: u64) -> u64 {
    let found = program.wait_record(state, MINUTE, |record| {
        record["event"] == "state" && record["state"] == state && ns(record) >= from_ns
    });
    ns(&found)
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn an_encoder_stops_turns_and_loses_edges_and_no_count_is_lost_untold() {
    let chip = Chip::new();
    let place = Place::new("encoder");
    strip(&place, 20_000, &[]);
    place.station(STATION);
    let mut program = place.start(&["run", "--config", "station.toml"]);
    wait_state(&mut program, "idle", 0);
    let shaft = Shaft::new(chip.wires());
    shaft.run(1);
    wait_for("accepted web", MINUTE, || {
        chip.is_high(REJECT).then_some(())
    });

    // It stops in the middle of a block, and the web stands.
    shaft.run(0);
    let executed_ns = program.last_ns();
    let stood_ns = wait_state(&mut program, "suspended", executed_ns);
    sleep(Duration::from_millis(500));
    let counted = program.journal().last().unwrap()["count"].as_i64().unwrap();
    let told = program.journal().iter().any(is_encoder_fault);
    let turned = shaft.position.load(Ordering::Relaxed);
    // The simulated chip may lose an edge on a busy machine; then it was told.
    assert!(told || counted == turned, "{counted} counted of {turned}");
    assert!(
        chip.is_high(REJECT) || told,
        "nothing has changed below the ejector"
    );

    // It turns back, and forward again.
    shaft.run(-1);
    let moved_ns = wait_state(&mut program, "execute", stood_ns);
    let reversed = program.wait_record("the reversal", MINUTE, |record| {
        record["ledger"]["event"] == "reversed" && ns(record) > moved_ns
    });
    shaft.run(1);
    program.wait_record("the return", MINUTE, |record| {
        record["event"] == "recovered"
            && record["fault"]["ledger"]["event"] == "returned"
            && ns(record) > ns(&reversed)
    });

    // More edges than the kernel keeps while the station does not read.
    let before_ns = program.last_ns();
    program.signal("STOP");
    shaft.wait_travelled(100);
    program.signal("CONT");
    let lost = program.wait_record("the loss", MINUTE, |record| {
        let message = record["fault"]["message"].as_str().unwrap_or_default();
        is_encoder_fault(record)
            && message.contains("edges of the encoder were lost")
            && ns(record) > before_ns
    });
    program.wait_record("the reset", MINUTE, |record| {
        record["ledger"]["event"] == "reset"
            && record["ledger"]["reason"] == "stale"
            && ns(record) >= ns(&lost)
    });
    // For the 6 s of the way to the ejector.
    wait_for("rejected web", MINUTE, || {
        (!chip.is_high(REJECT)).then_some(())
    });
    wait_for("accepted web again", MINUTE, || {
        chip.is_high(REJECT).then_some(())
    });
    program.signal("TERM");
    assert_eq!(program.end(MINUTE).code(), Some(0), "{}", program.words());
    let stop = program.journal().pop().unwrap();
    assert_eq!(stop["event"], "stop", "the account adds up: {stop}");
}
