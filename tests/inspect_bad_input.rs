//! Whatever is wrong with the input of `blemish inspect`: a message that says what, where and what to
//! do, and exit code 2. Never a panic, never half a result that looks whole.

mod common;

use common::{Folder, blemish};
use std::fs;

/// A case: what is prepared, the arguments, and what the message must hold.
struct Case {
    name: &'static str,
    prepare: fn(&Folder),
    args: &'static [&'static str],
    says: &'static [&'static str],
}

fn nothing(_: &Folder) {}

fn good_and_defective(folder: &Folder) {
    folder.picture("test/good/a.png", 40, 40);
    folder.picture("test/hole/b.png", 40, 40);
}

const CASES: &[Case] = &[
    Case {
        name: "no such path",
        prepare: nothing,
        args: &["gone.png"],
        says: &["cannot read 'gone.png'", "check the path"],
    },
    Case {
        name: "empty folder",
        prepare: |folder| folder.make("empty"),
        args: &["empty"],
        says: &["no picture in 'empty'", "name a folder that has some"],
    },
    Case {
        name: "folder without pictures",
        prepare: |folder| folder.write("texts/readme.txt", b"hello"),
        args: &["texts"],
        says: &["no picture in 'texts'"],
    },
    Case {
        name: "cut PNG",
        prepare: |folder| {
            folder.picture("cut.png", 64, 64);
            let file = folder.read("cut.png");
            folder.write("cut.png", &file[..file.len() / 2]);
        },
        args: &["cut.png"],
        says: &[
            "'cut.png' is damaged or cut short",
            "1 of 1 pictures could not",
        ],
    },
    Case {
        name: "empty file",
        prepare: |folder| folder.write("empty.png", b""),
        args: &["empty.png"],
        says: &["'empty.png' is damaged or cut short (the file is empty)"],
    },
    Case {
        name: "text with a picture's name",
        prepare: |folder| folder.write("text.png", b"this is not a picture at all"),
        args: &["text.png"],
        says: &["'text.png' is not a PNG, JPEG, TIFF or BMP picture"],
    },
    Case {
        name: "PNG that states no pixels",
        prepare: |folder| {
            folder.picture("zero.png", 8, 8);
            let mut file = folder.read("zero.png");
            file[16..20].fill(0);
            folder.write("zero.png", &file);
        },
        args: &["zero.png"],
        says: &["'zero.png'"],
    },
    Case {
        name: "truth without ground_truth",
        prepare: good_and_defective,
        args: &[".", "--truth", "."],
        says: &["'.' has no folder 'ground_truth'", "DIR/test/<kind>"],
    },
    Case {
        name: "missing mask",
        prepare: |folder| {
            good_and_defective(folder);
            folder.make("ground_truth/hole");
        },
        args: &[".", "--truth", "."],
        says: &["b.png' has no mask", "hole/b_mask.png'", "1 of 2 pictures"],
    },
    Case {
        name: "mask of another size",
        prepare: |folder| {
            good_and_defective(folder);
            folder.mask("ground_truth/hole/b_mask.png", 40, 39, 255);
        },
        args: &[".", "--truth", "."],
        says: &["has 40x39 px and", "has 40x40", "there are no metrics"],
    },
    Case {
        name: "mask of zeros and ones",
        prepare: |folder| {
            good_and_defective(folder);
            folder.mask("ground_truth/hole/b_mask.png", 40, 40, 1);
        },
        args: &[".", "--truth", "."],
        says: &["has values up to 1 only", "255 for defect"],
    },
    Case {
        name: "truth with good pictures only",
        prepare: |folder| {
            folder.picture("test/good/a.png", 40, 40);
            folder.make("ground_truth");
        },
        args: &[".", "--truth", "."],
        says: &["are all good"],
    },
    Case {
        name: "output folder is a file",
        prepare: |folder| {
            folder.picture("a.png", 40, 40);
            folder.write("taken", b"");
        },
        args: &["a.png", "--out", "taken"],
        says: &["cannot write to 'taken'", "choose a place"],
    },
    Case {
        name: "report in a folder that is not there",
        prepare: |folder| folder.picture("a.png", 40, 40),
        args: &["a.png", "--report", "gone/report.html"],
        says: &["cannot write to 'gone/report.html'"],
    },
    Case {
        name: "report over a picture",
        prepare: |folder| folder.picture("in/a.png", 40, 40),
        args: &["in", "--report", "./in/../in/a.png"],
        says: &[
            "'./in/../in/a.png' is one of the files that are read",
            "another place",
        ],
    },
    Case {
        name: "report over a mask",
        prepare: |folder| {
            good_and_defective(folder);
            folder.mask("ground_truth/hole/b_mask.png", 40, 40, 255);
        },
        args: &[
            ".",
            "--truth",
            ".",
            "--report",
            "ground_truth/hole/b_mask.png",
        ],
        says: &["b_mask.png' is one of the files that are read"],
    },
    Case {
        name: "report over the bundle",
        prepare: |folder| {
            folder.picture("a.png", 40, 40);
            folder.write("m.onnx", include_bytes!("../models/default.onnx"));
        },
        args: &["a.png", "--model", "m.onnx", "--report", "m.onnx"],
        says: &["'m.onnx' is one of the files that are read"],
    },
    Case {
        name: "report is a folder",
        prepare: |folder| {
            folder.picture("a.png", 40, 40);
            folder.make("report");
        },
        args: &["a.png", "--report", "report"],
        says: &["cannot write to 'report': it is a folder"],
    },
    Case {
        name: "missing model",
        prepare: |folder| folder.picture("a.png", 40, 40),
        args: &["a.png", "--model", "gone.onnx"],
        says: &["bundle gone.onnx", "cannot be read"],
    },
    Case {
        name: "model that is no bundle",
        prepare: |folder| {
            folder.picture("a.png", 40, 40);
            folder.write("text.onnx", b"no model");
        },
        args: &["a.png", "--model", "text.onnx"],
        says: &["bundle text.onnx"],
    },
    Case {
        name: "columns that the picture does not have",
        prepare: |folder| folder.picture("a.png", 64, 64),
        args: &["a.png", "--columns", "10..65"],
        says: &[
            "'a.png' cannot be inspected",
            "columns 10..65",
            "lines of 64 px",
        ],
    },
    Case {
        name: "columns the wrong way round",
        prepare: |folder| folder.picture("a.png", 64, 64),
        args: &["a.png", "--columns", "30..10"],
        says: &["--columns", "give FIRST..END"],
    },
    Case {
        name: "threshold of zero",
        prepare: |folder| folder.picture("a.png", 40, 40),
        args: &["a.png", "--threshold", "0"],
        says: &["--threshold", "above 0 and is at most 1"],
    },
    Case {
        name: "threshold that is no number",
        prepare: |folder| folder.picture("a.png", 40, 40),
        args: &["a.png", "--threshold", "NaN"],
        says: &["above 0 and is at most 1"],
    },
    Case {
        name: "no threads",
        prepare: |folder| folder.picture("a.png", 40, 40),
        args: &["a.png", "--threads", "0"],
        says: &["--threads"],
    },
    Case {
        name: "strips of two webs",
        prepare: |folder| {
            folder.picture("web/1.png", 40, 40);
            folder.picture("web/2.png", 41, 40);
        },
        args: &["web", "--join"],
        says: &[
            "'web/2.png' does not continue 'web/1.png'",
            "without --join",
        ],
    },
    Case {
        name: "unknown option",
        prepare: nothing,
        args: &["a.png", "--treshold", "0.5"],
        says: &["--treshold", "--threshold"],
    },
];

#[test]
fn every_bad_input_has_its_message_and_exit_code() {
    for case in CASES {
        let folder = Folder::new(&format!("bad {}", case.name));
        (case.prepare)(&folder);
        let run = blemish(&folder, &[&["inspect"], case.args].concat());
        assert_eq!(run.code, Some(2), "{}: {}", case.name, run.stderr);
        for part in case.says {
            assert!(
                run.stderr.contains(part),
                "{}: '{part}' in {}",
                case.name,
                run.stderr
            );
        }
        for sign in ["panicked", "RUST_BACKTRACE"] {
            assert!(!run.stderr.contains(sign), "{}: {}", case.name, run.stderr);
        }
    }
}

#[test]
fn one_bad_picture_does_not_hide_the_others_nor_itself() {
    let folder = Folder::new("one bad");
    folder.picture("all/a.png", 40, 40);
    folder.write("all/b.png", b"broken");
    folder.picture("all/c.png", 40, 40);
    let run = blemish(&folder, &["inspect", "all", "--json"]);
    assert_eq!(run.code, Some(2));
    let types: Vec<String> = run
        .json()
        .iter()
        .map(|line| line["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, ["picture", "error", "picture", "summary"]);
    assert!(run.stderr.contains("'all/b.png' is not a PNG"));
    assert_eq!(run.json()[3]["failed"], 1);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_work() {
    let folder = Folder::new("refused before");
    folder.picture("a.png", 40, 40);
    let run = blemish(&folder, &["inspect", "a.png", "--report", "gone/r.html"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
}

#[test]
fn a_picture_is_not_lost_to_the_report() {
    let folder = Folder::new("kept");
    folder.picture("a.png", 40, 40);
    let before = folder.read("a.png");
    blemish(&folder, &["inspect", "a.png", "--report", "a.png"]);
    assert_eq!(folder.read("a.png"), before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error_and_costs_no_file() {
    let folder = Folder::new("full");
    folder.picture("in/a.png", 40, 40);
    folder.write("in/b.png", b"broken");
    folder.picture("in/c.png", 40, 40);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let inspect = |more: &[&str]| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_blemish"));
        program.args(["inspect", "in"]).args(more);
        program.current_dir(&folder.path).stdout(full());
        program
    };
    let is_told = |mut program: std::process::Command| {
        let run = program.output().unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("standard output"), "{stderr}");
    };
    is_told(inspect(&[]));
    let files = ["--json", "--report", "r.html", "--out", "out"];
    is_told(inspect(&files));
    let is_written = || {
        let report = String::from_utf8(folder.read("r.html")).unwrap();
        assert_eq!(report.matches("<article").count(), 2);
        for name in ["out/a.inspected.png", "out/c.inspected.png"] {
            fs::remove_file(folder.path.join(name)).unwrap();
        }
        fs::remove_file(folder.path.join("r.html")).unwrap();
    };
    is_written();
    // Nor does a standard error that is full as well.
    let status = inspect(&files).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    is_written();
}
