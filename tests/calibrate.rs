//! `blemish calibrate` and the flat field in a run, as whole programs, on strips, and light that nothing is inspected in.

mod common;

use common::{Folder, blemish};

/// A strip whose columns have these levels, with a dither of one grey level along the web.
fn strip(folder: &Folder, name: &str, level: impl Fn(usize, usize) -> u8) {
    let (width, lines) = (160, 2100);
    let samples: Vec<u8> = (0..width * lines)
        .map(|place| {
            let (line, column) = (place / width, place % width);
            level(line, column) + ((line * 7 + column * 3) % 5 < 2) as u8
        })
        .collect();
    let picture = blemish::picture::Picture::from_grey8(width, lines, samples).unwrap();
    folder.make(name);
    picture
        .save_png(&folder.path.join(name).join("0.png"))
        .unwrap();
}

/// A lamp that is brightest in the middle.
fn lamp(column: usize) -> u8 {
    (200.0 - ((column as f64 - 80.0) / 9.0).powi(2)) as u8
}

fn station(folder: &Folder, extra: &str) {
    let text = format!(
        "[source]\nkind = \"strips\"\nfolder = \"web\"\n[light]\nflat_field = \"flat.json\"\n{extra}"
    );
    folder.write("s.toml", text.as_bytes());
}

fn step(folder: &Folder, step: &str, strips: &str) -> common::Run {
    let args = ["calibrate", step, "--config", "s.toml", "--strips", strips];
    blemish(folder, &args)
}

#[test]
fn an_uneven_lamp_is_even_in_what_is_recorded() {
    let folder = Folder::new("calibrate even");
    station(&folder, "");
    strip(&folder, "dark", |_, column| 6 + (column % 4) as u8);
    strip(&folder, "white", |_, column| {
        lamp(column) + (column % 4) as u8
    });
    strip(&folder, "web", |_, column| {
        lamp(column) / 2 + (column % 4) as u8
    });
    let early = blemish(&folder, &["run", "--config", "s.toml", "--quiet"]);
    assert_eq!(early.code, Some(2));
    assert!(early.stderr.contains("'flat.json'"), "{}", early.stderr);

    let dark = step(&folder, "dark", "dark");
    assert_eq!(dark.code, Some(0), "{}", dark.stderr);
    assert!(dark.stdout.contains("DSNU 1.1"), "{}", dark.stdout);
    let half = blemish(&folder, &["run", "--config", "s.toml", "--quiet"]);
    assert_eq!(half.code, Some(2));
    assert!(half.stderr.contains("calibrate white"), "{}", half.stderr);
    let check = |code, words: &str| {
        let check = blemish(&folder, &["check", "--config", "s.toml"]);
        assert_eq!(check.code, Some(code), "{}{}", check.stdout, check.stderr);
        assert!(check.stdout.contains(words), "{}", check.stdout);
    };
    check(1, "has no white yet");
    let white = step(&folder, "white", "white");
    check(0, "flat field of 160 px");
    assert_eq!(white.code, Some(0), "{}", white.stderr);
    assert!(white.stdout.contains("PRNU"), "{}", white.stdout);

    let args = ["run", "--config", "s.toml", "--quiet", "--record", "tape"];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let samples = folder.read("tape/samples.raw");
    assert_eq!(samples.len(), 160 * 2100);
    let column = |column: usize| -> f64 {
        let samples = samples.iter().skip(column).step_by(160);
        samples.map(|&sample| f64::from(sample)).sum::<f64>() / 2100.0
    };
    let middle = column(80);
    for place in 0..160 {
        // Half of the light, rounded down before it was corrected, and gains of up to 2.
        assert!(
            (column(place) - middle).abs() < 5.0,
            "{place}: {} {middle}",
            column(place)
        );
    }
    let replay = blemish(&folder, &["run", "--replay", "tape", "--quiet"]);
    assert_eq!(replay.code, Some(0), "{}", replay.stderr);
    let told = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with("engine"))
            .count()
    };
    assert_eq!(told(&replay.stdout), told(&run.stdout));

    // Another camera than the one that was calibrated.
    let other = "[source]\nkind = \"synthetic\"\nwidth_px = 160\nlines = 300\ndefect_spacing_lines = 0\n[light]\nflat_field = \"flat.json\"\n";
    folder.write("other.toml", other.as_bytes());
    let other = blemish(&folder, &["run", "--config", "other.toml"]);
    assert_eq!(other.code, Some(2), "{}", other.stdout);
    assert!(
        other
            .stderr
            .contains("made with kind = strips, but the configuration has kind = synthetic"),
        "{}",
        other.stderr
    );
}

#[test]
fn what_makes_no_calibration_is_refused_and_writes_nothing() {
    let folder = Folder::new("calibrate refused");
    station(&folder, "");
    strip(&folder, "bright", |_, _| 90);
    strip(&folder, "dark", |_, _| 6);
    strip(
        &folder,
        "dust",
        |_, column| if column == 30 { 120 } else { 180 },
    );
    strip(
        &folder,
        "clipped",
        |_, column| if column < 4 { 254 } else { 180 },
    );
    folder.picture("short/0.png", 160, 300);
    for (run, says) in [
        (step(&folder, "white", "dust"), "'flat.json'"),
        (
            step(&folder, "dark", "bright"),
            "columns 0..=159 are too bright for dark",
        ),
        (step(&folder, "dark", "short"), "300 good lines are too few"),
    ] {
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        assert!(run.stderr.contains(says), "{}", run.stderr);
        assert!(!folder.path.join("flat.json").exists());
    }
    for place in ["s.toml", "dark/0.png"] {
        let before = folder.read(place);
        let args = ["calibrate", "dark", "--config", "s.toml", "--strips"];
        let run = blemish(&folder, &[&args[..], &["dark", "--out", place]].concat());
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        let words = format!("'{place}' is one of the files that are read");
        assert!(run.stderr.contains(&words), "{}", run.stderr);
        assert_eq!(folder.read(place), before, "{place}");
    }
    for _ in 0..2 {
        assert_eq!(step(&folder, "dark", "dark").code, Some(0));
    }
    let before = folder.read("flat.json");
    for (strips, says) in [
        ("dust", "columns 30 differ from their neighbours"),
        ("clipped", "columns 0..=3 are saturated"),
        ("dark", "columns 0..=159 are too dark"),
    ] {
        let run = step(&folder, "white", strips);
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    assert_eq!(folder.read("flat.json"), before);
}

#[test]
fn falling_light_is_told_in_words() {
    let folder = Folder::new("calibrate drift");
    station(
        &folder,
        "reference_columns = [0, 16]\nmax_drift_percent = 10\n",
    );
    strip(&folder, "dark", |_, _| 6);
    strip(&folder, "white", |_, _| 180);
    strip(&folder, "web", |_, _| 140);
    std::fs::copy(folder.path.join("web/0.png"), folder.path.join("web/1.png")).unwrap();
    assert_eq!(step(&folder, "dark", "dark").code, Some(0));
    let white = step(&folder, "white", "white");
    assert_eq!(white.code, Some(0), "{}", white.stderr);
    let args = ["run", "--config", "s.toml", "--quiet", "--evidence", "kept"];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let words = "the light has fallen to 77 % of what it was when white was calibrated";
    assert!(run.stderr.contains(words), "{}", run.stderr);
    let journal = String::from_utf8(folder.read("kept/journal-00000001.jsonl")).unwrap();
    let told = (journal.lines()).filter(|record| {
        record.contains(r#""event":"fault","fault":{"cause":"light""#) && record.contains(words)
    });
    assert_eq!(told.count(), 1, "{journal}");
}

#[test]
fn a_black_web_is_not_inspected_and_the_journal_says_why_once() {
    let folder = Folder::new("run black");
    for number in 0..4 {
        folder.mask(&format!("web/{number}.png"), 128, 200, 0);
    }
    let run = |config: &[u8], kept: &str| {
        folder.write("s.toml", config);
        let args = ["run", "--strips", "web", "--config", "s.toml", "--quiet"];
        let run = blemish(&folder, &[&args[..], &["--evidence", kept]].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let journal = folder.read(&format!("{kept}/journal-00000001.jsonl"));
        (run.stdout, String::from_utf8(journal).unwrap())
    };
    let (account, records) = run(b"", "kept");
    let identity = "lines     800 = 0 ok + 0 defect + 800 not inspected (light 800)";
    assert!(account.contains(identity), "{account}");
    let faults: Vec<&str> = (records.lines())
        .filter(|record| record.contains(r#""fault":{"cause":"light""#))
        .collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("their level is 0.00 %"), "{faults:?}");

    let off = run(b"[light]\nlimits = \"off\"\n", "off").0;
    assert!(!off.contains("light 800"), "{off}");
}

#[test]
fn a_recording_is_judged_by_the_limits_that_it_was_made_with() {
    let folder = Folder::new("light replay");
    folder.mask("web/0.png", 128, 300, 0);
    folder.picture("web/1.png", 128, 300);
    let args = ["run", "--strips", "web", "--record", "tape", "--quiet"];
    let first = blemish(&folder, &args);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let lines = |stdout: &str| {
        let line = stdout.lines().find(|line| line.starts_with("lines "));
        line.unwrap_or_default().to_owned()
    };
    // The fifth block of 64 lines has 44 dark ones.
    assert!(first.stdout.contains("(light 320)"), "{}", first.stdout);
    let replay = || blemish(&folder, &["run", "--replay", "tape", "--quiet"]);
    assert_eq!(lines(&replay().stdout), lines(&first.stdout));

    let config = String::from_utf8(folder.read("tape/station.toml")).unwrap();
    let stricter = config.replace("least_level = 0.02", "least_level = 0.9");
    assert_ne!(stricter, config);
    folder.write("tape/station.toml", stricter.as_bytes());
    let other = replay();
    assert_eq!(other.code, Some(2), "{}", other.stdout);
    assert!(
        other.stderr.contains("names tile 0, which was not cut"),
        "{}",
        other.stderr
    );
}

#[test]
fn limits_of_the_light_that_are_none_are_refused_in_words() {
    let folder = Folder::new("light limits");
    for (text, words) in [
        (
            "[light]\nlimits = \"none\"\n",
            "light.limits must be \"off\", or a table of least_level",
        ),
        (
            "[light.limits]\nleast_level = 0.5\ngreatest_level = 0.4\n",
            "light.limits has least_level 0.5, which is not below greatest_level 0.4",
        ),
    ] {
        folder.write("s.toml", text.as_bytes());
        let run = blemish(&folder, &["run", "--config", "s.toml"]);
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}
