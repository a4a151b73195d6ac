//! The station and its machine: `check`, `board`, pins that are not there, and the service manager.
#![cfg(target_os = "linux")]

mod common;

use blemish::station::StationConfig;
use common::{Folder, blemish};
use serde_json::Value;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

const WITH_PINS: &str = r#"
[pace]
kind = "real"
[pins]
reject = { line = "BLEMISH TEST REJECT" }
[pins.encoder]
kind = "gpio"
a = { line = "BLEMISH TEST A" }
"#;

#[test]
fn check_has_a_row_for_everything_and_red_is_exit_code_1() {
    let folder = Folder::new("check");
    folder.write("station.toml", b"[evidence]\nfolder = \"kept\"");
    let well = blemish(&folder, &["check", "--config", "station.toml", "--json"]);
    assert_eq!(well.code, Some(0), "{}{}", well.stdout, well.stderr);
    let rows: Vec<Value> = serde_json::from_str(&well.stdout).unwrap();
    for item in [
        "model",
        "ledger",
        "source",
        "pins",
        "evidence",
        "time of day",
        "SCHED_FIFO",
        "locked memory",
        "temperature",
    ] {
        let row = rows.iter().find(|row| row["item"] == item).unwrap();
        let fixed =
            row["status"] == "green" || row["fix"].as_str().is_some_and(|fix| !fix.is_empty());
        assert!(fixed, "{row}");
    }

    let pins = format!("{WITH_PINS}[evidence]\nfolder = \"/proc/evidence\"");
    folder.write("red.toml", pins.as_bytes());
    let red = blemish(&folder, &["check", "--config", "red.toml"]);
    assert_eq!(red.code, Some(1), "{}{}", red.stdout, red.stderr);
    for text in [
        "line reject",
        "\"BLEMISH TEST REJECT\" for check",
        "line encoder.a",
        "'/proc/evidence' cannot be written",
    ] {
        assert!(red.stdout.contains(text), "{text}: {}", red.stdout);
    }
}

#[test]
fn a_station_without_its_lines_does_not_begin() {
    let folder = Folder::new("no lines");
    folder.write("station.toml", WITH_PINS.as_bytes());
    let run = blemish(&folder, &["run", "--config", "station.toml"]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("self-test failed") && run.stderr.contains("BLEMISH TEST REJECT"),
        "{}",
        run.stderr
    );
    let simulated = WITH_PINS.replace("\"real\"", "\"simulated\"");
    folder.write("simulated.toml", simulated.as_bytes());
    let run = blemish(&folder, &["run", "--config", "simulated.toml"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("give --real-time"), "{}", run.stderr);
}

#[test]
fn what_board_show_prints_is_a_configuration() {
    let folder = Folder::new("boards");
    let list = blemish(&folder, &["board", "list"]);
    let names = list
        .stdout
        .lines()
        .map(|line| line.split_whitespace().next().unwrap());
    let mut shown = 0;
    for name in names {
        let show = blemish(&folder, &["board", "show", name]);
        assert_eq!(show.code, Some(0), "{}", show.stderr);
        assert!(show.stdout.contains("\npredicted   "), "{}", show.stdout);
        assert_eq!(
            show.stdout.contains("never measured on a board"),
            name != "generic-pc"
        );
        let Some((_, text)) = show.stdout.split_once("# the header's") else {
            assert_eq!(name, "generic-pc");
            continue;
        };
        let (_, text) = text.split_once('\n').unwrap();
        let config: StationConfig = toml::from_str(text).unwrap();
        assert_eq!(config.pins.validate(), Ok(()), "{name}");
        assert_eq!(config.pins.lines().len(), 5, "{name}");
        shown += 1;
    }
    assert_eq!(shown, 5);
    // Nowhere is this a Raspberry Pi 4 and a Raspberry Pi 5.
    let codes = ["raspberry-pi-4", "raspberry-pi-5"]
        .map(|name| blemish(&folder, &["board", "check", name]).code);
    assert!(codes.contains(&Some(1)));
}

/// As in `blemish board show | head -1`.
#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    for arguments in [
        ["board", "show", "raspberry-pi-4"].as_slice(),
        &["board", "list"],
        &["model", "show"],
        &["model", "check"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let run = Command::new(env!("CARGO_BIN_EXE_blemish"))
            .args(arguments)
            .stdout(writer)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(0), "{arguments:?}");
        assert_eq!(run.stderr, b"", "{arguments:?}");
    }
}

#[test]
fn the_service_manager_hears_ready_then_signs_of_life_then_stopping() {
    let folder = Folder::new("notify");
    folder.write(
        "station.toml",
        br#"
[source]
kind = "synthetic"
width_px = 256
lines = 500
[belt]
line_rate_hz = 500.0
[pace]
kind = "real"
[realtime]
fifo_priority = 0
[reject]
distance_counts = 6000
max_speed_counts_per_s = 4000
span_lines = 64
"#,
    );
    let path = folder.path.join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let started = Instant::now();
    let mut station = Command::new(env!("CARGO_BIN_EXE_blemish"))
        .args(["run", "--quiet", "--config", "station.toml"])
        .current_dir(&folder.path)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut heard = Vec::new();
    let mut text = [0; 256];
    while !heard
        .iter()
        .any(|said: &String| said.contains("STOPPING=1"))
    {
        let length = match socket.recv(&mut text) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => panic!("{error}, after {heard:?}"),
        };
        heard.push(String::from_utf8_lossy(&text[..length]).into_owned());
    }
    let took = started.elapsed();
    assert!(station.wait().unwrap().success());
    assert!(heard[0].contains("READY=1"), "{heard:?}");
    assert!(
        heard.iter().any(|said| said.contains("STATUS=execute")),
        "{heard:?}"
    );
    let pings = heard
        .iter()
        .filter(|said| said.contains("WATCHDOG=1"))
        .count();
    // The web takes four seconds, and pings are a quarter of a second apart, however long a slow machine takes.
    let most = 1 + (took.as_secs_f64() / 0.25) as usize;
    assert!((4..=most).contains(&pings), "{took:?}: {heard:?}");
}
