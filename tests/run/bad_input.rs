//! What `blemish run` says to input that it cannot use.

use super::*;

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
fn no_result_takes_the_place_of_what_is_read() {
    let folder = Folder::new("run spares");
    folder.picture("web/s9.png", 128, 100);
    let strips = "[source]\nkind = 'strips'\nfolder = 'web'\n[model]\npath = 'm.onnx'\n";
    folder.write(
        "s.toml",
        format!("{strips}[light]\nflat_field = 'flat.json'\n").as_bytes(),
    );
    folder.write("m.onnx", include_bytes!("../../models/default.onnx"));
    folder.write("flat.json", b"{}");
    folder.write("tape/station.toml", strips.as_bytes());
    folder.write("tape/blocks.jsonl", b"{}");
    folder.write("tape/inputs.jsonl", b"{}");
    let run = ["run", "--config", "s.toml"];
    let strips = ["run", "--strips", "web"];
    let replay = ["run", "--replay", "tape"];
    for (args, option, place) in [
        (strips, "--report", "web/../web/s9.png"),
        (strips, "--pulses", "web/s9.png"),
        (run, "--report", "web/s9.png"),
        (run, "--report", "s.toml"),
        (run, "--pulses", "s.toml"),
        (run, "--pulses", "m.onnx"),
        (run, "--report", "flat.json"),
        (replay, "--pulses", "tape/inputs.jsonl"),
        (replay, "--report", "tape/blocks.jsonl"),
        (replay, "--report", "tape/station.toml"),
        (replay, "--report", "m.onnx"),
    ] {
        let before = folder.read(place);
        let run = blemish(&folder, &[&args[..], &[option, place]].concat());
        assert_eq!(run.code, Some(2), "{place}: {}", run.stderr);
        let words = format!("'{place}' is one of the files that are read");
        assert!(run.stderr.contains(&words), "{}", run.stderr);
        assert_eq!(folder.read(place), before, "{place}");
    }
}

#[test]
fn a_run_that_cannot_start_leaves_the_results_of_the_last_and_makes_none() {
    let folder = Folder::new("run cannot start");
    folder.write("old.html", b"the last");
    folder.write("old.jsonl", b"the last");
    folder.write("kept", b"a file");
    folder.picture("web/a.png", 128, 100);
    let cannot = [
        ["run", "--strips", "gone"],
        ["run", "--evidence", "kept"],
        ["run", "--model", "kept"],
    ];
    for args in cannot {
        for [report, pulses] in [["old.html", "old.jsonl"], ["new.html", "new.jsonl"]] {
            let places = ["--report", report, "--pulses", pulses];
            let run = blemish(&folder, &[&args[..], &places].concat());
            assert_eq!(run.code, Some(2), "{}", run.stderr);
        }
    }
    for name in ["old.html", "old.jsonl"] {
        assert_eq!(folder.read(name), b"the last");
    }
    let mut left: Vec<_> = std::fs::read_dir(&folder.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["kept", "old.html", "old.jsonl", "web"]);
    // A place beside the strips is none of theirs, the second time as well.
    let places = ["--report", "web/r.html", "--pulses", "web/p.jsonl"];
    for _ in 0..2 {
        let run = blemish(
            &folder,
            &[&["run", "--quiet", "--strips", "web"][..], &places].concat(),
        );
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    assert!(folder.read("web/r.html").ends_with(b"</html>\n"));
}

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
