//! The steps of `docs/guide/station.md` from the configuration on, as a new user takes them.

use crate::camera::{accepted, station, stopped};
use crate::cameras::{Frames, Loopback, Shown};
use crate::gpio_sim::{Chip, READY, REJECT};
use crate::process::Place;
use serde_json::Value;
use std::process::{Command, Output};
use std::time::Duration;

const FRAMES: Frames = Frames {
    width_px: 128,
    lines: 32,
    period: Duration::from_millis(64),
    defect_every: 1 << 40,
};

/// The program in a place, to its end.
fn blemish(place: &Place, args: &[&str]) -> Output {
    let mut command = Command::new("/job/blemish");
    command.args(args).current_dir(&place.path);
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

#[test]
#[ignore = "needs the guest: tests/guest/run-all.sh"]
fn the_guides_steps_make_a_station() {
    let chip = Chip::new();
    let camera = Loopback::new(FRAMES);
    let place = Place::new("guide");
    let light = "[light]\nflat_field = \"flat.json\"";
    place.station(&station(&camera.node, FRAMES.lines, 500, light));

    // Nothing is calibrated yet, and the station says so and does not start.
    let early = blemish(&place, &["run", "--config", "station.toml"]);
    assert_eq!(early.status.code(), Some(2), "{}", told(&early));
    assert!(told(&early).contains("flat.json"), "{}", told(&early));
    assert!(!chip.is_high(REJECT));

    let shoot = |step| {
        let args = ["calibrate", step, "--config", "station.toml"];
        // What the driver holds of the last shot passes first.
        std::thread::sleep(Duration::from_secs(2));
        blemish(&place, &args)
    };
    camera.show(Shown::White);
    let bright = shoot("dark");
    assert_eq!(bright.status.code(), Some(2), "{}", told(&bright));
    camera.show(Shown::Cover);
    let dark = shoot("dark");
    assert_eq!(dark.status.code(), Some(0), "{}", told(&dark));
    camera.show(Shown::White);
    let white = shoot("white");
    assert_eq!(white.status.code(), Some(0), "{}", told(&white));
    camera.show(Shown::Web);

    let check = blemish(&place, &["check", "--config", "station.toml", "--json"]);
    assert_eq!(check.status.code(), Some(0), "{}", told(&check));
    let rows: Vec<Value> = serde_json::from_slice(&check.stdout).unwrap();
    // The guest's disk is its memory, too small for all the pictures that may be kept: evidence is amber.
    for item in ["source", "light", "line reject", "line ready"] {
        let row = rows.iter().find(|row| row["item"] == item);
        let row = row.unwrap_or_else(|| panic!("no row for {item}: {}", told(&check)));
        assert_eq!(row["status"], "green", "{row}");
    }
    assert!(!chip.is_high(REJECT), "a look drives no pin");

    let args = ["run", "--config", "station.toml", "--report", "first.html"];
    let mut program = place.start(&args);
    accepted(&program, &chip);
    stopped(&mut program);
    assert!(!chip.is_high(REJECT) && !chip.is_high(READY));
    let report = std::fs::read_to_string(place.path.join("first.html")).unwrap();
    assert!(report.contains("</html>"));
}
