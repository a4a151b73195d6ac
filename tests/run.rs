//! `blemish run` and the demonstration as whole programs, with the program's own model.

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

/// A case: what is prepared, the arguments, and what the message must hold.
struct Case {
    name: &'static str,
    prepare: fn(&Folder),
    args: &'static [&'static str],
    says: &'static [&'static str],
}

fn nothing(_: &Folder) {}

const CASES: &[Case] = &[
    Case {
        name: "no such configuration",
        prepare: nothing,
        args: &["run", "--config", "gone.toml"],
        says: &["'gone.toml'"],
    },
    Case {
        name: "unknown key",
        prepare: |folder| folder.write("s.toml", b"[belt]\nspeed = 3\n"),
        args: &["run", "--config", "s.toml"],
        says: &["'s.toml'", "unknown field `speed`", "line_rate_hz"],
    },
    Case {
        name: "no lines per second",
        prepare: nothing,
        args: &["run", "--line-rate", "0"],
        says: &["line rate of 0 Hz", "line_rate_hz"],
    },
    Case {
        name: "belt faster than the ledger is told",
        prepare: nothing,
        args: &["run", "--line-rate", "90000"],
        says: &["max_speed_counts_per_s"],
    },
    #[cfg(target_os = "linux")]
    Case {
        name: "line rate of a live camera",
        prepare: |folder| folder.write("s.toml", LIVE.as_bytes()),
        args: &[
            "run",
            "--config",
            "s.toml",
            "--real-time",
            "--line-rate",
            "90000",
        ],
        says: &["up to 90000 counts/s"],
    },
    #[cfg(target_os = "linux")]
    Case {
        name: "every pulse of a run without an end",
        prepare: |folder| folder.write("s.toml", LIVE.as_bytes()),
        args: &[
            "run",
            "--config",
            "s.toml",
            "--real-time",
            "--pulses",
            "p.jsonl",
        ],
        says: &["--pulses keeps every edge in memory", "--evidence"],
    },
    #[cfg(target_os = "linux")]
    Case {
        name: "belt under a live camera",
        prepare: |folder| {
            let text = format!("{LIVE}[belt]\nline_rate_hz = 500.0\n");
            folder.write("s.toml", text.as_bytes());
        },
        args: &["run", "--config", "s.toml", "--real-time"],
        says: &[
            "[belt] says how a web runs that no camera sees",
            "source.line_rate_hz",
        ],
    },
    Case {
        name: "ejector too near",
        prepare: |folder| folder.write("s.toml", b"[reject]\ndistance_counts = 100\n"),
        args: &["run", "--config", "s.toml"],
        says: &["distance_counts 100", "move the ejector away"],
    },
    Case {
        name: "camera in simulated time",
        prepare: |folder| folder.write("s.toml", LIVE.as_bytes()),
        args: &["run", "--config", "s.toml"],
        says: &["a live camera cannot run in simulated time", "--real-time"],
    },
    Case {
        name: "no camera",
        prepare: |folder| folder.write("s.toml", LIVE.as_bytes()),
        args: &["run", "--config", "s.toml", "--real-time"],
        says: &["source.device", "'gone/video0'", "cable and power"],
    },
    Case {
        name: "no node of a camera",
        prepare: |folder| {
            folder.write("gone/video0", b"a file");
            folder.write("s.toml", LIVE.as_bytes());
        },
        args: &["run", "--config", "s.toml", "--real-time"],
        says: &["source.device", "'gone/video0'", "node of a camera"],
    },
    Case {
        name: "camera that cannot be",
        prepare: |folder| {
            let text = LIVE.replace("width_px = 640", "width_px = 0");
            folder.write("s.toml", text.as_bytes());
        },
        args: &["run", "--config", "s.toml", "--real-time"],
        says: &["source.width_px: give 1 to 65536"],
    },
    Case {
        name: "columns that no line has",
        prepare: |folder| {
            folder.write(
                "s.toml",
                b"[source]\nkind = 'synthetic'\nwidth_px = 256\n[web]\ncolumns = [40, 257]\n",
            );
        },
        args: &["run", "--config", "s.toml"],
        says: &["columns 40..257", "lines of 256 px"],
    },
    Case {
        name: "no strips",
        prepare: |folder| folder.make("web"),
        args: &["run", "--strips", "web"],
        says: &["'web' holds no PNG"],
    },
    Case {
        name: "broken first strip",
        prepare: |folder| folder.write("web/a.png", b"broken"),
        args: &["run", "--strips", "web"],
        says: &["web/a.png"],
    },
    Case {
        name: "broken second strip",
        prepare: |folder| {
            folder.picture("web/a.png", 128, 100);
            folder.write("web/b.png", b"broken");
        },
        args: &["run", "--strips", "web"],
        says: &["web/b.png"],
    },
    Case {
        name: "no recording",
        prepare: |folder| folder.make("tape"),
        args: &["run", "--replay", "tape"],
        says: &["tape/station.toml"],
    },
    Case {
        name: "recording over another",
        prepare: |folder| folder.write("tape/recording.json", b"{}"),
        args: &["run", "--record", "tape"],
        says: &["'tape'", "File exists"],
    },
    Case {
        name: "pulses to nowhere",
        prepare: nothing,
        args: &["run", "--pulses", "gone/p.jsonl"],
        says: &["cannot write 'gone/p.jsonl'", "may be written"],
    },
    Case {
        name: "report to nowhere",
        prepare: nothing,
        args: &["run", "--report", "gone/r.html"],
        says: &["cannot write 'gone/r.html'"],
    },
    Case {
        name: "evidence into a file",
        prepare: |folder| folder.write("kept", b"a file"),
        args: &["run", "--evidence", "kept"],
        says: &["'kept'"],
    },
    Case {
        name: "model that is no bundle",
        prepare: |folder| folder.write("m.onnx", b"no model"),
        args: &["run", "--model", "m.onnx"],
        says: &["bundle m.onnx"],
    },
    Case {
        name: "replay of strips",
        prepare: nothing,
        args: &["run", "--replay", "a", "--strips", "b"],
        says: &["cannot be used with"],
    },
    Case {
        name: "a limit of light without a calibration",
        prepare: |folder| folder.write("s.toml", b"[light]\nreject_drift_percent = 50"),
        args: &["run", "--config", "s.toml"],
        says: &[
            "light.reject_drift_percent needs a calibrated camera",
            "blemish calibrate",
        ],
    },
    Case {
        name: "a limit of light that darkness keeps",
        prepare: |folder| {
            folder.write(
                "s.toml",
                b"[light]\nflat_field = 'f'\nreject_drift_percent = 100",
            )
        },
        args: &["run", "--config", "s.toml"],
        says: &["light.reject_drift_percent = 100", "lets darkness pass"],
    },
    Case {
        name: "a limit of light without a reference",
        prepare: |folder| {
            folder.write(
                "s.toml",
                b"[light]\nflat_field = 'f'\nreject_drift_percent = 50",
            )
        },
        args: &["run", "--config", "s.toml"],
        says: &["light.reference_columns", "white reference"],
    },
    Case {
        name: "a rolling image that no memory holds",
        prepare: |folder| folder.write("s.toml", b"[web]\nrolling_lines = 4294967295"),
        args: &["run", "--config", "s.toml"],
        says: &["web.rolling_lines lower", "MiB"],
    },
    Case {
        name: "tiles under way that nobody has",
        prepare: |folder| folder.write("s.toml", b"[engine]\ntiles_in_flight = 100000000"),
        args: &["run", "--config", "s.toml"],
        says: &["engine.tiles_in_flight = 100000000", "at most 256"],
    },
    Case {
        name: "threads that nobody has",
        prepare: |folder| folder.write("s.toml", b"[engine]\nthreads_per_tile = 4000000"),
        args: &["run", "--config", "s.toml"],
        says: &["engine.threads_per_tile", "at most 256"],
    },
    Case {
        name: "a built-in web of no width",
        prepare: |folder| folder.write("s.toml", b"[source]\nkind = 'synthetic'\nwidth_px = 2"),
        args: &["run", "--config", "s.toml"],
        says: &["source.width_px = 2", "32 to 65536"],
    },
    Case {
        name: "a block without end",
        prepare: |folder| {
            folder.write(
                "s.toml",
                b"[source]\nkind = 'synthetic'\nlines_per_block = 1073741824",
            )
        },
        args: &["run", "--config", "s.toml"],
        says: &["source.lines_per_block", "1 to 65536"],
    },
    Case {
        name: "defects upon each other",
        prepare: |folder| {
            folder.write(
                "s.toml",
                b"[source]\nkind = 'synthetic'\ndefect_spacing_lines = 1",
            )
        },
        args: &["run", "--config", "s.toml"],
        says: &["at least 250, or 0"],
    },
    Case {
        name: "a share that is none",
        prepare: |folder| folder.write("s.toml", b"[faults]\nshort = nan"),
        args: &["run", "--config", "s.toml"],
        says: &["faults.short = NaN", "give 0 to 1"],
    },
    Case {
        name: "shares of more than all",
        prepare: |folder| folder.write("s.toml", b"[faults]\nshort = 0.6\nlost = 0.6"),
        args: &["run", "--config", "s.toml"],
        says: &["[faults] add up to 1.2"],
    },
    Case {
        name: "a web by time that is too fast",
        prepare: |folder| {
            folder.write(
                "s.toml",
                b"[pace]\nkind = 'real'\n[pins.encoder]\nkind = 'by_time'\ncounts_per_s = 20000.0",
            )
        },
        args: &["run", "--config", "s.toml"],
        says: &[
            "pins.encoder.counts_per_s is 20000",
            "max_speed_counts_per_s is 10000",
        ],
    },
    Case {
        name: "no limit for a confirmation",
        prepare: |folder| folder.write("s.toml", b"[reject.confirm]\nwithin_ms = 0"),
        args: &["run", "--config", "s.toml"],
        says: &["confirm.within_ms and confirm.within_counts are both 0"],
    },
    #[cfg(target_os = "linux")]
    Case {
        name: "a watchdog that is not there",
        prepare: |folder| {
            folder.write(
                "s.toml",
                b"[pace]\nkind = \"real\"\n[supervision]\nwatchdog = \"gone/watchdog0\"",
            );
        },
        args: &["run", "--config", "s.toml"],
        says: &[
            "self-test failed",
            "gone/watchdog0",
            "load the board's watchdog module",
        ],
    },
    Case {
        name: "demonstration into a file",
        prepare: |folder| folder.write("kept", b"a file"),
        args: &["demo", "--out", "kept"],
        says: &["'kept'", "--out DIR"],
    },
];

#[test]
fn every_bad_input_has_its_message_and_exit_code() {
    for case in CASES {
        let folder = Folder::new(&format!("run bad {}", case.name));
        (case.prepare)(&folder);
        let run = blemish(&folder, case.args);
        assert_eq!(run.code, Some(2), "{}: {}", case.name, run.stderr);
        for part in case.says {
            assert!(
                run.stderr.contains(part),
                "{}: '{part}' in {}",
                case.name,
                run.stderr
            );
        }
        assert!(
            !run.stderr.contains("panicked"),
            "{}: {}",
            case.name,
            run.stderr
        );
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
