//! `blemish run` and the demonstration as whole programs, with the program's own model.

#[path = "run/bad_input.rs"]
mod bad_input;
mod common;

use common::{Folder, blemish};
use serde_json::Value;

const SMALL: &str = r#"
name = "small"
[source]
kind = "synthetic"
width_px = 256
lines = 1500
defect_spacing_lines = 400
[belt]
line_rate_hz = 1000.0
moves = [
    { do = "stop", before_line = 400, stop_ms = 800 },
    { do = "reverse", before_line = 800, lines = 30 },
    { do = "speed", before_line = 1000, line_rate_hz = 600.0 },
]
[faults]
seed = 9
dropped = 0.05
lost = 0.05
lost_blocks = 2
[reject]
distance_counts = 9000
max_speed_counts_per_s = 4000
span_lines = 64
"#;

const LIVE: &str = r#"
[source]
kind = "v4l2"
device = "gone/video0"
width_px = 640
lines_per_block = 64
line_rate_hz = 1000.0
counts_per_line = 1
[reject]
margin_counts = 128
"#;

fn json_lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The journal of a run, without what depends on where it ran.
fn journal(folder: &Folder, name: &str) -> Vec<Value> {
    json_lines(&folder.read(&format!("{name}/journal-00000001.jsonl")))
}

#[test]
fn a_run_can_be_recorded_and_replayed_bit_by_bit() {
    let folder = Folder::new("run replay");
    folder.write("station.toml", SMALL.as_bytes());
    let first = blemish(
        &folder,
        &[
            "run",
            "--config",
            "station.toml",
            "--record",
            "tape",
            "--pulses",
            "a.jsonl",
            "--evidence",
            "a",
        ],
    );
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let again = blemish(
        &folder,
        &[
            "run",
            "--replay",
            "tape",
            "--pulses",
            "b.jsonl",
            "--evidence",
            "b",
        ],
    );
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(folder.read("a.jsonl"), folder.read("b.jsonl"));
    assert_eq!(journal(&folder, "a"), journal(&folder, "b"));
    assert!(json_lines(&folder.read("a.jsonl")).len() > 10);

    // One line per verdict, and every line of web in exactly one of them.
    let verdicts = journal(&folder, "a");
    let spans = verdicts
        .iter()
        .filter(|record| record["event"] == "verdict" || record["event"] == "not_inspected");
    let mut next = 0;
    let mut told = 0;
    for record in spans {
        assert_eq!(record["span"]["first_line"], next);
        next += record["span"]["lines"].as_u64().unwrap();
        told += 1;
    }
    assert_eq!(next, 1500);
    let shown = first.stdout.lines().filter(|line| {
        let line = line.split_once(" s  ").map_or("", |(_, rest)| rest);
        line.starts_with("lines ")
    });
    assert_eq!(shown.count(), told);
    assert!(
        first.stdout.contains("lines     1500 = "),
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("; 0 missed"), "{}", first.stdout);
}

#[test]
fn strips_run_as_web_and_a_second_start_says_what_has_changed() {
    let folder = Folder::new("run strips");
    for number in 0..3 {
        folder.picture(&format!("web/{number}.png"), 200, 150);
    }
    let args = [
        "run",
        "--strips",
        "web",
        "--line-rate",
        "1500",
        "--evidence",
        "kept",
        "--quiet",
    ];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("lines     450 = "), "{}", run.stdout);
    folder.write("lower.toml", b"[model]\nthreshold = 0.001\n");
    let lower = [&args[..], &["--config", "lower.toml", "--fail-on-defect"]].concat();
    assert_eq!(blemish(&folder, &lower).code, Some(1));
    let records = journal(&folder, "kept");
    let changed: Vec<&Value> = records
        .iter()
        .filter(|record| record["event"] == "threshold_changed")
        .collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["why"], "the configuration");
    let count = |event: &str| {
        records
            .iter()
            .filter(|record| record["event"] == event)
            .count()
    };
    assert_eq!(
        (count("start"), count("stop"), count("golden_checked")),
        (2, 2, 2)
    );
    assert_eq!(count("model_changed"), 0);
}

#[test]
fn the_demonstration_leaves_a_report_that_needs_nothing_else() {
    let folder = Folder::new("demo");
    let run = blemish(&folder, &["demo", "--lines", "1200"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("defects on this web"), "{}", run.stdout);
    let report = String::from_utf8(folder.read("blemish-demo/report.html")).unwrap();
    assert!(report.contains("Against the truth") && report.contains("data:image/"));
    for outside in ["http://", "https://", "<script"] {
        assert!(!report.contains(outside), "{outside}");
    }
}

#[test]
fn the_journal_says_why_a_run_ended_with_an_error() {
    let folder = Folder::new("run error");
    folder.picture("web/a.png", 128, 100);
    folder.write("web/b.png", b"broken");
    let run = blemish(&folder, &["run", "--strips", "web", "--evidence", "kept"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let records = journal(&folder, "kept");
    let last = records.last().unwrap();
    assert_eq!(last["event"], "note", "{last}");
    let text = last["text"].as_str().unwrap();
    assert!(text.starts_with("the run ended with an error: "), "{text}");
    assert!(text.contains("web/b.png"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_line_runs_on_when_nobody_can_be_told() {
    let folder = Folder::new("run full");
    folder.write("station.toml", SMALL.as_bytes());
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_blemish"))
        .args(["run", "--config", "station.toml", "--evidence", "kept"])
        .current_dir(&folder.path)
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("standard output"), "{stderr}");
    let records = journal(&folder, "kept");
    assert_eq!(records[records.len() - 1]["event"], "stop");
    assert_eq!(
        records[records.len() - 1]["accounting"]["lines_travelled"],
        1500
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_run_in_order() {
    use std::io::Read;
    let folder = Folder::new("run signal");
    let slow = SMALL
        .replace("lines = 1500", "lines = 1000000")
        .replace("defect_spacing_lines = 400", "defect_spacing_lines = 0");
    folder.write("station.toml", slow.as_bytes());
    let is_heard = |signal: &&str| *signal != "HUP" || cfg!(target_os = "linux");
    for signal in ["INT", "TERM", "HUP"].into_iter().filter(is_heard) {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_blemish"));
        // Under nohup, whose children ignore it as well, the program lets it pass.
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::process::CommandExt;
            let heard = || {
                // SAFETY: signal(2) may be called between fork and exec, and nothing else is.
                unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
                Ok(())
            };
            // SAFETY: as said, the closure does what may be done between fork and exec.
            unsafe { program.pre_exec(heard) };
        }
        let mut run = program
            .args(["run", "--config", "station.toml", "--real-time"])
            .args(["--evidence", signal, "--pulses"])
            .arg(format!("{signal}.jsonl"))
            .current_dir(&folder.path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = run.stdout.take().unwrap();
        // The first line of output shows that it runs.
        let mut first = [0; 1];
        stdout.read_exact(&mut first).unwrap();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &run.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        let mut told = String::new();
        stdout.read_to_string(&mut told).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(0), "{told}");
        assert!(told.contains("lines     "), "{told}");
        let records = journal(&folder, signal);
        let last = &records[records.len() - 1];
        assert_eq!(last["event"], "stop");
        assert_eq!(last["why"], "the program was told to end");
        let edges = json_lines(&folder.read(&format!("{signal}.jsonl")));
        let rejects = edges.iter().rfind(|edge| edge["output"] == "reject");
        assert!(rejects.is_none_or(|edge| edge["energised"] == false));
    }
}
