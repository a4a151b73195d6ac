//! An ejector with a switch that confirms its pulses, and jams.

use crate::gpio_sim::{CONFIRM, Chip, READY, REJECT, Wires};
use crate::pins::{STATION, strip};
use crate::process::{Place, ns, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Follows `reject` as a flap does, and shows it on `CONFIRM`.
struct Ejector {
    jammed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ejector {
    fn new(wires: Wires) -> Self {
        let (jammed, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = std::thread::spawn({
            let (jammed, stop) = (Arc::clone(&jammed), Arc::clone(&stop));
            move || {
                let mut rejects = true;
                while !stop.load(Ordering::Relaxed) {
                    let asked = !wires.is_high(REJECT);
                    if asked != rejects && !jammed.load(Ordering::Relaxed) {
                        rejects = asked;
                        wires.set(CONFIRM, rejects);
                    }
                    sleep(Duration::from_millis(5));
                }
            }
        });
        Self {
            jammed,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Ejector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn a_jammed_ejector_takes_ready_away_until_it_moves_again() {
    let chip = Chip::new();
    let place = Place::new("ejector");
    // A defect every 1.2 s of web.
    let defects: Vec<usize> = (0..60).map(|defect| 800 + 600 * defect).collect();
    strip(&place, 40_000, &defects);
    place.station(&format!(
        "{}    confirm = {{ line = \"CONFIRM\" }}\n    [reject.confirm]\n    within_ms = 700\n",
        STATION
    ));
    let ejector = Ejector::new(chip.wires());
    let mut program = place.start(&["run", "--config", "station.toml"]);
    let fired = program.wait_record("a pulse", MINUTE, |record| {
        record["event"] == "reject_fired"
    });
    program.wait_record("a second pulse", MINUTE, |record| {
        record["event"] == "reject_fired" && ns(record) > ns(&fired)
    });
    let doubted = |record: &serde_json::Value| {
        record["event"] == "fault" && record["fault"]["cause"] == "ejector"
    };
    assert!(
        !program.journal().iter().any(doubted),
        "{}",
        program.words()
    );

    ejector.jammed.store(true, Ordering::Relaxed);
    let fault = program.wait_record("the missing confirmation", MINUTE, doubted);
    let message = fault["fault"]["message"].as_str().unwrap();
    assert!(message.contains("was not confirmed within"), "{fault}");
    wait_for("ready and reject without current", MINUTE, || {
        (!chip.is_high(READY) && !chip.is_high(REJECT)).then_some(())
    });
    sleep(Duration::from_secs(2));
    assert!(!chip.is_high(READY) && !chip.is_high(REJECT));

    // A hand moves the flap to and fro.
    let wires = chip.wires();
    wires.set(CONFIRM, false);
    sleep(Duration::from_millis(50));
    wires.set(CONFIRM, true);
    ejector.jammed.store(false, Ordering::Relaxed);
    program.wait_record("the end of the fault", MINUTE, |record| {
        record["event"] == "recovered"
            && record["fault"]["cause"] == "ejector"
            && ns(record) > ns(&fault)
    });
    wait_for("ready", MINUTE, || chip.is_high(READY).then_some(()));
    program.signal("TERM");
    assert_eq!(program.end(MINUTE).code(), Some(0), "{}", program.words());
    let stop = program.journal().pop().unwrap();
    let sums = &stop["confirmations"];
    assert!(sums["confirmed"].as_u64() >= Some(2), "{stop}");
    assert!(sums["missing"].as_u64() >= Some(1), "{stop}");
    let decided = stop["jitter"]["due_to_decided_counts"]["cells"]
        .as_array()
        .unwrap();
    let pulses: u64 = decided.iter().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(
        Some(pulses),
        stop["accounting"]["pulses"].as_u64(),
        "{stop}"
    );
}
