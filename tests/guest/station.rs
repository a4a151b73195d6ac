//! The station on the guest's disks, clocks and signals, with the built-in web.

use crate::process::{Place, ns, tool};
use serde_json::Value;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The built-in web under the guest's clock, for `lines` lines at 500 per second.
fn real_time(lines: u64) -> String {
    format!(
        r#"
        [model]
        path = "brightness.onnx"
        [source]
        kind = "synthetic"
        width_px = 128
        lines = {lines}
        defect_spacing_lines = 400
        [belt]
        line_rate_hz = 500.0
        [pace]
        kind = "real"
        [evidence]
        folder = "evidence"
        [reject]
        distance_counts = 6000
        max_speed_counts_per_s = 4000
        "#
    )
}

fn is(record: &Value, event: &str) -> bool {
    record["event"] == event
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn the_shipped_model_gives_its_golden_map_on_the_guests_cpu() {
    let place = Place::new("model");
    let mut program = place.start(&["model", "check"]);
    let status = program.end(MINUTE);
    let words = program.words();
    assert_eq!(status.code(), Some(0), "{words}");
    assert!(words.contains("golden    ok"), "{words}");
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn the_account_adds_up_under_the_guests_clock() {
    let place = Place::new("account");
    place.station(&real_time(3000));
    let mut program = place.start(&["run", "--config", "station.toml"]);
    let status = program.end(MINUTE);
    assert_eq!(status.code(), Some(0), "{}", program.words());
    let journal = program.journal();
    let stop = journal.last().unwrap();
    assert!(is(stop, "stop"), "{stop}");
    assert_eq!(stop["accounting"]["lines_travelled"], 3000, "{stop}");
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn a_full_disk_costs_records_that_are_counted_and_nothing_else() {
    let place = Place::new("disk");
    // Short spans: more records than what is left of the journal's last page holds.
    place.station(&(real_time(6000) + "span_lines = 64\n"));
    let evidence = place.path.join("evidence");
    std::fs::create_dir(&evidence).unwrap();
    tool(&format!(
        "mount -t tmpfs -o size=1m small {}",
        evidence.display()
    ));
    let other = evidence.join("other");
    let mut program = place.start(&["run", "--config", "station.toml"]);
    program.wait_record("a verdict", MINUTE, |record| is(record, "verdict"));
    tool(&format!(
        "dd if=/dev/zero of={} bs=1k count=2000 2>/dev/null || true",
        other.display()
    ));
    std::thread::sleep(Duration::from_secs(5));
    std::fs::remove_file(other).unwrap();
    let status = program.end(MINUTE);
    let (words, journal) = (program.words(), program.journal());
    tool(&format!("umount {}", evidence.display()));
    assert_eq!(status.code(), Some(0), "{words}");
    let stop = journal.last().unwrap();
    assert!(is(stop, "stop"), "{stop}\n{words}");
    assert_eq!(stop["accounting"]["lines_travelled"], 6000, "{stop}");
    let lost = journal
        .iter()
        .find(|record| record["fault"]["cause"] == "journal_lost");
    assert!(lost.is_some(), "{journal:?}\n{words}");
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn a_jump_of_the_wall_clock_moves_nothing() {
    let place = Place::new("clock");
    place.station(&real_time(4000));
    let mut program = place.start(&["run", "--config", "station.toml"]);
    program.wait_record("a verdict", MINUTE, |record| is(record, "verdict"));
    // Each jump must be seen by a record of the run: 2031 begins at 1924992000 s, 2001 at 978307200 s.
    let day_ms = |record: &Value, day_s: u64| {
        let wall_ms = record["wall"]["unix_ms"].as_u64().unwrap();
        (day_s * 1000..(day_s + 86_400) * 1000).contains(&wall_ms)
    };
    tool("date -u -s '2031-01-01 00:00:00'");
    program.wait_record("a record of 2031", MINUTE, |record| {
        is(record, "verdict") && day_ms(record, 1_924_992_000)
    });
    tool("date -u -s '2001-01-01 00:00:00'");
    program.wait_record("a record of 2001", MINUTE, |record| {
        is(record, "verdict") && day_ms(record, 978_307_200)
    });
    let status = program.end(MINUTE);
    assert_eq!(status.code(), Some(0), "{}", program.words());
    let journal = program.journal();
    let stop = journal.last().unwrap();
    assert!(is(stop, "stop"), "{stop}");
    assert_eq!(stop["accounting"]["lines_travelled"], 4000, "{stop}");
    let times: Vec<u64> = journal.iter().map(ns).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn after_sigkill_the_journal_goes_on() {
    let place = Place::new("kill");
    place.station(&real_time(100_000));
    let mut program = place.start(&["run", "--config", "station.toml"]);
    program.wait_record("a verdict", MINUTE, |record| is(record, "verdict"));
    program.kill();
    program.end(MINUTE);
    let before = program.journal();
    place.station(&real_time(1000));
    let mut program = place.start(&["run", "--config", "station.toml"]);
    let status = program.end(MINUTE);
    assert_eq!(status.code(), Some(0), "{}", program.words());
    let after = program.journal();
    assert_eq!(after[..before.len()], before[..]);
    assert!(is(after.last().unwrap(), "stop"));
}
