//! A station that is stopped: SIGKILL, SIGSTOP, and the watchdog that notices.

use crate::gpio_sim::{Chip, HEARTBEAT, READY, REJECT, Trace};
use crate::pins::{STATION, strip};
use crate::process::{Place, monotonic_s, ns, number, tool, wait_for};
use serde_json::Value;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// How often SIGKILL is tried; `BLEMISH_GUEST_KILLS` says otherwise.
const KILLS: u64 = 20;

fn ms(seconds: f64) -> String {
    format!("{:.1}", seconds * 1e3)
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn sigkill_leaves_reject_on_the_line() {
    let kills = number("BLEMISH_GUEST_KILLS", KILLS);
    let chip = Chip::new();
    let wires = chip.wires();
    let place = Place::new("sigkill");
    strip(&place, 60_000, &[]);
    // Accepts from the start on, so that a round is short.
    place.station(&STATION.replace("[reject]", "[reject]\naccept_startup_web = true"));
    // From the signal to: the level at the pin, the last thread's memory given back; and how long the observer
    // did not look just before it saw the level.
    let mut took: Vec<[f64; 3]> = Vec::new();
    println!(
        "ms to the level; to the memory's being free; not looked at before the level was seen"
    );
    let mut draw = 0x2545_f491_4f6c_dd1d_u64 ^ kills;
    for _ in 0..kills {
        let trace = Trace::start_with_exits();
        let mut program = place.start(&["run", "--config", "station.toml", "--quiet"]);
        wait_for("accepted web", MINUTE, || {
            chip.is_high(REJECT).then_some(())
        });
        // A moment at random in the first quarter of a second: four blocks, and tiles under way.
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        sleep(Duration::from_micros(draw >> 33 & 0x3_ffff));
        let killed_s = monotonic_s();
        program.kill();
        let (mut looked_s, mut blind_s) = (killed_s, 0.0);
        loop {
            let is_high = wires.is_high(REJECT);
            let now_s = monotonic_s();
            blind_s = if is_high { blind_s } else { now_s - looked_s };
            looked_s = now_s;
            if !is_high {
                break;
            }
            assert!(now_s - killed_s < 60.0, "reject never came");
            sleep(Duration::from_micros(200));
        }
        let freed_s = trace.last_exit().unwrap_or(killed_s) - killed_s;
        let figures = [looked_s - killed_s, freed_s, blind_s];
        println!("{} {} {}", ms(figures[0]), ms(figures[1]), ms(figures[2]));
        took.push(figures);
        assert!(!chip.is_high(READY));
    }
    took.sort_by(|one, other| one[0].total_cmp(&other[0]));
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "SIGKILL {kills} times, ms to reject on the line: least {}, median {}, 90 % {}, 99 % {}, most {}",
        ms(at(0.0)[0]),
        ms(at(0.5)[0]),
        ms(at(0.9)[0]),
        ms(at(0.99)[0]),
        ms(at(1.0)[0])
    );
    let within = took.iter().filter(|one| one[0] < 0.05).count();
    println!("{within} of {kills} within 50 ms");
    // Nearly all of it is the kernel giving the process's memory back, which comes before its lines.
    assert_eq!(within as u64, kills, "{took:?}");
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn sigstop_is_told_and_what_was_exposed_meanwhile_is_rejected() {
    let chip = Chip::new();
    let place = Place::new("sigstop");
    strip(&place, 60_000, &[]);
    place.station(STATION);
    let trace = Trace::start();
    let mut program = place.start(&["run", "--config", "station.toml"]);
    wait_for("accepted web", MINUTE, || {
        chip.is_high(REJECT).then_some(())
    });
    let before_ns = program.last_ns();
    let stopped_s = monotonic_s();
    program.signal("STOP");
    sleep(Duration::from_secs(1));
    // A stopped process keeps its lines: only the heartbeat tells.
    let held = (chip.is_high(REJECT), chip.is_high(HEARTBEAT));
    sleep(Duration::from_secs(1));
    assert_eq!((chip.is_high(REJECT), chip.is_high(HEARTBEAT)), held);
    assert!(held.0, "reject stays as it was");
    let continued_s = monotonic_s();
    program.signal("CONT");
    let fault = program.wait_record("the stall", MINUTE, |record| {
        record["event"] == "fault"
            && record["fault"]["cause"] == "stalled"
            && ns(record) > before_ns
    });
    program.wait_record("the reset", MINUTE, |record| {
        record["ledger"]["event"] == "reset"
            && record["ledger"]["reason"] == "stale"
            && ns(record) >= ns(&fault)
    });
    wait_for("rejected web", MINUTE, || {
        (!chip.is_high(REJECT)).then_some(())
    });
    wait_for("accepted web again", MINUTE, || {
        chip.is_high(REJECT).then_some(())
    });
    let beats = trace.edges(HEARTBEAT);
    let silent = beats
        .windows(2)
        .any(|pair| pair[0].seconds < stopped_s + 0.1 && pair[1].seconds > continued_s);
    assert!(silent, "{beats:?} from {stopped_s} to {continued_s}");
    // Web needs the whole way from the camera before it is accepted: nothing of the stall's web was.
    let levels = trace.edges(REJECT);
    let rejected = levels
        .windows(2)
        .find(|pair| !pair[0].high && pair[1].high && pair[0].seconds > continued_s);
    let rejected = rejected.map(|pair| pair[1].seconds - pair[0].seconds);
    assert!(
        rejected.is_some_and(|seconds| seconds >= 2.4),
        "rejected for {rejected:?} s of a way of 2.5 s: {levels:?}"
    );
    program.signal("TERM");
    assert_eq!(program.end(MINUTE).code(), Some(0), "{}", program.words());
    let stop = program.journal().pop().unwrap();
    assert_eq!(stop["event"], "stop", "the account adds up: {stop}");
    let lines = &stop["accounting"]["lines"];
    // In the order of the reasons: dropped is 1, stale 4. 2 s are 1000 lines.
    let lost: u64 = [1, 4]
        .iter()
        .map(|&reason: &usize| lines["not_inspected"][reason].as_u64().unwrap())
        .sum();
    assert!(lost >= 900, "{stop}");
}

/// The kernel's words about the watchdog so far.
fn watchdog_words() -> String {
    let output = Command::new("dmesg").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text
        .lines()
        .filter(|line| line.contains("softdog") || line.contains("watchdog"));
    lines.collect::<Vec<_>>().join("\n")
}

fn watchdog(file: &str) -> String {
    let path = format!("/sys/class/watchdog/watchdog0/{file}");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn the_watchdog_resets_the_machine_of_a_stopped_station_and_of_no_other() {
    // The driver says what it would do instead of doing it.
    tool("modprobe softdog soft_noboot=1 soft_margin=30");
    let place = Place::new("watchdog");
    strip(&place, 60_000, &[]);
    let (before_pins, _) = STATION.split_once("[pins]").unwrap();
    place.station(&format!(
        "{before_pins}[supervision]\nwatchdog = \"/dev/watchdog0\"\nwatchdog_timeout_s = 3\n"
    ));
    let mut program = place.start(&["run", "--config", "station.toml"]);
    program.wait_record("a verdict", MINUTE, |record: &Value| {
        record["event"] == "verdict"
    });
    assert_eq!(
        (watchdog("state"), watchdog("timeout")),
        ("active".to_owned(), "3".to_owned())
    );
    // Longer than the timeout, with signs of life.
    sleep(Duration::from_secs(7));
    assert!(
        !watchdog_words().contains("Triggered"),
        "{}",
        watchdog_words()
    );
    // An orderly end disarms it.
    program.signal("TERM");
    assert_eq!(program.end(MINUTE).code(), Some(0), "{}", program.words());
    assert_eq!(watchdog("state"), "inactive");
    assert!(
        !watchdog_words().contains("did not stop"),
        "{}",
        watchdog_words()
    );

    let mut program = place.start(&["run", "--config", "station.toml"]);
    wait_for("the watchdog", MINUTE, || {
        (watchdog("state") == "active").then_some(())
    });
    sleep(Duration::from_secs(2));
    program.signal("STOP");
    wait_for("the reset", MINUTE, || {
        watchdog_words().contains("Triggered").then_some(())
    });
    program.signal("CONT");
    program.kill();
    program.end(MINUTE);
    // A death is no orderly end.
    wait_for("the armed watchdog", MINUTE, || {
        watchdog_words().contains("did not stop").then_some(())
    });
    // Disarmed by hand, so that the driver can go.
    std::fs::write("/dev/watchdog0", "V").unwrap();
    tool("rmmod softdog || true");
}
