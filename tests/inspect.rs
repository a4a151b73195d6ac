//! `blemish inspect` as a whole: every picture it says it can read, the same result by every way, and
//! files that hold what they promise. Thresholds are at the ends of the scale, so that nothing here
//! depends on what the shipped model has learned.

mod common;

use blemish::model::{Bundle, METADATA_KEY, Preparation, reseal};
use blemish::picture::{Picture, ResizeFilter, Samples};
use blemish::web::{PictureRules, Region, inspect_picture};
use common::{Folder, blemish};
use prost::Message;
use serde_json::Value;

/// Sides below, at and above a tile, and more tiles than workers.
fn pictures(folder: &Folder) {
    folder.picture("in/a.png", 700, 300);
    folder.picture("in/b.png", 1, 1);
    folder.picture_16("in/c.png", 300, 31);
    folder.picture_rgb("in/deep/d.png", 40, 500);
}

fn found(lines: &[Value]) -> Vec<Value> {
    lines
        .iter()
        .filter(|line| line["type"] == "picture")
        .cloned()
        .collect()
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let folder = Folder::new("workers");
    pictures(&folder);
    let run = |threads| {
        let args = [
            "inspect",
            "in",
            "--json",
            "--threshold",
            "0.3",
            "--threads",
            threads,
        ];
        let run = blemish(&folder, &args);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        found(&run.json())
    };
    let one = run("1");
    assert_eq!(one.len(), 4);
    assert_eq!(one, run("7"));
}

#[test]
fn files_are_inspected_as_the_library_inspects_pictures() {
    let folder = Folder::new("library");
    pictures(&folder);
    let run = blemish(
        &folder,
        &[
            "inspect",
            "in",
            "--json",
            "--threshold",
            "0.2",
            "--min-area",
            "5",
        ],
    );
    let bundle = Bundle::embedded().unwrap();
    let mut rules = PictureRules::of(bundle.metadata(), false);
    (rules.threshold, rules.min_area_px) = (0.2, 5);
    for line in found(&run.json()) {
        let path = folder.path.join(line["path"].as_str().unwrap());
        let picture = Picture::open(&path).unwrap();
        let result = inspect_picture(&picture, &mut bundle.inspector(), &rules).unwrap();
        assert_eq!(line["score"].as_f64().unwrap() as f32, result.score);
        let regions: Vec<Region> = serde_json::from_value(line["regions"].clone()).unwrap();
        assert_eq!(regions, result.regions);
        assert_eq!(line["width_px"], picture.width_px);
        let word = if result.verdict.passes() {
            "ok"
        } else {
            "defect"
        };
        assert_eq!(line["verdict"], word);
    }
}

#[test]
fn exit_codes_follow_the_verdicts_only_on_request() {
    let folder = Folder::new("codes");
    folder.picture("a.png", 64, 64);
    let code = |args: &[&str]| blemish(&folder, &[&["inspect", "a.png"], args].concat()).code;
    let everything = ["--threshold", "1e-9", "--min-area", "1"];
    assert_eq!(code(&everything), Some(0));
    assert_eq!(
        code(&[&everything[..], &["--fail-on-defect"]].concat()),
        Some(1)
    );
    let nothing = [
        "--threshold",
        "1",
        "--min-area",
        "4000000000",
        "--fail-on-defect",
    ];
    assert_eq!(code(&nothing), Some(0));
}

#[test]
fn annotated_pictures_and_the_report_are_complete() {
    let folder = Folder::new("output");
    pictures(&folder);
    let args = [
        "inspect",
        "in",
        "--out",
        "out",
        "--maps",
        "out",
        "--report",
        "r.html",
        "--threshold",
        "1e-9",
    ];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.lines().any(|line| line.starts_with("defect")));
    for (name, width, height) in [
        ("a", 700, 300),
        ("b", 1, 1),
        ("c", 300, 31),
        ("deep/d", 40, 500),
    ] {
        let path = folder.path.join(format!("out/{name}.inspected.png"));
        let picture = Picture::open(&path).unwrap();
        assert_eq!(
            (picture.width_px, picture.height_px, picture.channels),
            (width, height, 3)
        );
        let path = folder.path.join(format!("out/{name}.map.png"));
        let map = Picture::open(&path).unwrap();
        assert_eq!(
            (map.width_px, map.height_px, map.channels),
            (width, height, 1)
        );
        assert!(matches!(map.samples, Samples::U16(ref levels) if levels.iter().any(|&p| p > 0)));
    }
    let report = String::from_utf8(folder.read("r.html")).unwrap();
    assert!(report.starts_with("<!doctype html>") && report.ends_with("</html>\n"));
    assert_eq!(report.matches("<article").count(), 4);
    for outside in ["http:", "https:", "<script"] {
        assert!(!report.contains(outside), "{outside}");
    }
    assert!(!folder.path.join("r.html.part").exists());
    // A second run over the output folder finds nothing to inspect: our own pictures are left out.
    let again = blemish(&folder, &["inspect", "out"]);
    assert!(again.stderr.contains("no picture"), "{}", again.stderr);
}

#[test]
fn pictures_that_differ_in_their_ending_only_keep_it() {
    let folder = Folder::new("endings");
    folder.picture("in/a.png", 40, 40);
    let picture = image::GrayImage::from_pixel(40, 40, image::Luma([90]));
    picture.save(folder.path.join("in/a.bmp")).unwrap();
    let run = blemish(&folder, &["inspect", "in", "--out", "out"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for name in ["a.png.inspected.png", "a.bmp.inspected.png"] {
        assert!(folder.path.join("out").join(name).is_file(), "{name}");
    }
}

#[test]
fn truth_gives_every_metric_by_kind_in_mean_and_together() {
    let folder = Folder::new("truth");
    folder.picture("test/good/a.png", 60, 50);
    folder.picture_rgb("test/hole/b.png", 60, 50);
    folder.picture("test/stain/c.png", 33, 70);
    folder.mask("ground_truth/hole/b_mask.png", 60, 50, 255);
    folder.mask("ground_truth/stain/c_mask.png", 33, 70, 255);
    let run = blemish(&folder, &["inspect", ".", "--truth", ".", "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines = run.json();
    let rows: Vec<&Value> = lines
        .iter()
        .filter(|line| line["type"] == "metrics")
        .collect();
    let kinds: Vec<&str> = rows
        .iter()
        .map(|row| row["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["hole", "stain", "mean", "all"]);
    for row in rows {
        for metric in [
            "image_auroc",
            "image_ap",
            "pixel_auroc",
            "pixel_ap",
            "aupro",
        ] {
            let value = row[metric].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&value), "{metric} {value}");
        }
    }
    assert_eq!(found(&lines)[1]["truth"], "hole");
}

/// Cut into strips or in one piece, a web gives the same regions.
#[test]
fn joined_strips_are_inspected_as_the_picture_they_were_cut_from() {
    let folder = Folder::new("joined");
    folder.picture("whole.png", 300, 260);
    let whole = Picture::open(&folder.path.join("whole.png")).unwrap();
    for (number, (first_line, lines)) in [(0, 100), (100, 37), (137, 123)].into_iter().enumerate() {
        let strip = whole.crop(0, first_line, 300, lines).unwrap();
        // s10 is the last of them, and not the first.
        let name = format!("strips/s{}.png", number + 8);
        let png = strip.encode_png(&folder.path).unwrap();
        folder.write(&name, &png);
    }
    let results = |path: &str, join: &[&str]| {
        let args = ["inspect", path, "--json", "--threshold", "0.2"];
        let run = blemish(&folder, &[&args[..], join].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let mut lines = found(&run.json());
        for line in &mut lines {
            line["path"] = Value::Null;
        }
        lines
    };
    let joined = results("strips", &["--join"]);
    assert_eq!(joined, results("whole.png", &[]));
    assert_eq!(results("strips", &[]).len(), 3);
}

#[test]
fn a_joined_folder_that_the_path_does_not_name_gives_its_picture_its_name() {
    let folder = Folder::new("join here");
    folder.picture("s1.png", 40, 30);
    let run = blemish(&folder, &["inspect", ".", "--join", "--out", "out"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(folder.path.join("out/join-here.inspected.png").is_file());
}

/// A bundle that resizes: maps, boxes and metrics come in the picture's own pixels.
#[test]
fn a_resizing_bundle_gives_results_at_the_pictures_resolution() {
    let folder = Folder::new("resize");
    folder.picture("test/good/a.png", 200, 100);
    folder.picture("test/hole/b.png", 500, 90);
    folder.mask("ground_truth/hole/b_mask.png", 500, 90, 255);
    folder.write("resize.onnx", &resizing_bundle());
    let args = [
        "inspect",
        ".",
        "--truth",
        ".",
        "--json",
        "--model",
        "resize.onnx",
        "--threshold",
        "1e-9",
        "--out",
        "out",
        "--report",
        "r.html",
    ];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines = run.json();
    for (line, (width, height)) in found(&lines).iter().zip([(200, 100), (500, 90)]) {
        let region = &line["regions"][0];
        let end = |first: &str, length: &str| {
            region[first].as_u64().unwrap() + region[length].as_u64().unwrap()
        };
        assert!(end("first_column", "columns") <= width);
        assert!(end("first_line", "lines") <= height);
        // The whole tile is one region: it covers most of the picture.
        assert!(
            region["area_px"].as_u64().unwrap() > width * height / 2,
            "{region}"
        );
    }
    let picture = Picture::open(&folder.path.join("out/hole/b.inspected.png")).unwrap();
    assert_eq!((picture.width_px, picture.height_px), (500, 90));
}

/// What is printed of a region is what is compared, in the unit that is stated.
#[test]
fn a_least_area_counts_the_pictures_own_pixels_and_that_of_a_resizing_bundle_the_tiles() {
    let folder = Folder::new("least area");
    folder.picture("in/large.png", 500, 90);
    folder.picture("in/small.png", 60, 50);
    folder.write("resize.onnx", &resizing_bundle());
    let bundle = Bundle::embedded().unwrap();
    let (tile, bundles_px) = (
        bundle.metadata().tile,
        bundle.metadata().threshold.min_area_px,
    );
    let results = |more: &[&str]| {
        let args = ["inspect", "in", "--json", "--model", "resize.onnx"];
        let run = blemish(
            &folder,
            &[&args[..], &["--threshold", "1e-9"], more].concat(),
        );
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let lines = run.json();
        (found(&lines), lines.last().unwrap().clone())
    };
    let px = |value: &Value| value.as_u64().unwrap();
    // More than the small picture has, less than the tile has and less than the large one has.
    let (pictures, summary) = results(&["--min-area", "3500"]);
    assert_eq!(summary["min_area_px"], 3500);
    assert_eq!(summary["min_area_of"], "picture");
    for (picture, verdict) in pictures.iter().zip(["defect", "ok"]) {
        assert_eq!(picture["verdict"], verdict, "{picture}");
        assert_eq!(picture["min_area_px"], 3500);
        for region in picture["regions"].as_array().unwrap() {
            let enough = px(&region["reaching_px"]) >= 3500;
            assert_eq!(region["defect"], enough, "{region}");
        }
    }
    // More than the tile has.
    let many = (tile.area() + 4000).to_string();
    let (pictures, _) = results(&["--min-area", &many]);
    assert_eq!(pictures[0]["verdict"], "defect");
    let (pictures, summary) = results(&[]);
    assert_eq!(summary["min_area_px"], bundles_px);
    assert_eq!(summary["min_area_of"], "tile");
    for (picture, area_px) in pictures.iter().zip([500.0 * 90.0, 60.0 * 50.0]) {
        assert_eq!(picture["verdict"], "defect", "{picture}");
        let scaled = f64::from(bundles_px) * area_px / tile.area() as f64;
        assert_eq!(px(&picture["min_area_px"]), scaled.ceil() as u64);
    }
}

/// Pictures that the model has not learned from, told once for all of them.
#[test]
fn pictures_of_another_depth_or_in_colour_are_warned_of() {
    let folder = Folder::new("looks");
    let save = |name: &str, picture: Picture| {
        let png = picture.encode_png(&folder.path).unwrap();
        folder.write(name, &png);
    };
    let twelve = |px: usize| (0..px).map(|i| (i * 7 % 4096) as u16).collect();
    for name in ["deep/a.png", "deep/b.png", "whole/a.png"] {
        save(name, Picture::from_grey16(64, 64, twelve(64 * 64)).unwrap());
    }
    save(
        "whole/b.png",
        Picture::from_grey16(64, 64, vec![40_000; 64 * 64]).unwrap(),
    );
    let red = [200, 40, 30].repeat(64 * 64);
    save("red/a.png", Picture::from_rgb8(64, 64, red).unwrap());
    let grey = [90, 92, 88].repeat(64 * 64);
    save("grey/a.png", Picture::from_rgb8(64, 64, grey).unwrap());
    let said = |path: &str| {
        let run = blemish(&folder, &["inspect", path]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stderr
    };
    let deep = said("deep");
    assert_eq!(deep.matches("WARN").count(), 1, "{deep}");
    assert!(deep.contains("above 4095") && deep.contains("multiplied by 16"));
    let red = said("red");
    assert_eq!(red.matches("WARN").count(), 1, "{red}");
    assert!(red.contains("1 of these are strongly coloured, the first is 'a.png'"));
    for fine in ["whole", "grey"] {
        assert!(!said(fine).contains("WARN"));
    }
}

#[test]
fn a_result_that_cannot_be_written_costs_no_other() {
    let folder = Folder::new("unwritten");
    folder.picture("in/a.png", 40, 40);
    folder.picture("in/b.png", 40, 40);
    folder.make("out/a.inspected.png");
    let args = [
        "inspect", "in", "--out", "out", "--report", "r.html", "--json",
    ];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("a.inspected.png'"), "{}", run.stderr);
    assert!(run.stderr.contains("of 1 of 2 pictures"), "{}", run.stderr);
    let lines = run.json();
    let types: Vec<&str> = lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["picture", "error", "picture", "summary"]);
    assert_eq!(
        (&lines[3]["failed"], &lines[3]["unwritten"]),
        (&0.into(), &1.into())
    );
    assert!(folder.path.join("out/b.inspected.png").is_file());
    let report = String::from_utf8(folder.read("r.html")).unwrap();
    assert_eq!(report.matches("<article").count(), 2);
}

#[test]
fn where_nothing_is_marked_there_are_figures_by_picture_and_none_by_pixel() {
    let folder = Folder::new("nothing marked");
    folder.picture("test/good/a.png", 60, 50);
    folder.picture("test/hole/b.png", 60, 50);
    folder.mask("ground_truth/hole/b_mask.png", 60, 50, 0);
    let args = [
        "inspect", ".", "--truth", ".", "--report", "r.html", "--json",
    ];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines = run.json();
    let rows: Vec<&Value> = lines
        .iter()
        .filter(|line| line["type"] == "metrics")
        .collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert!(row["image_auroc"].is_number(), "{row}");
        for metric in ["pixel_auroc", "pixel_ap", "aupro"] {
            assert!(row[metric].is_null(), "{row}");
        }
    }
    let report = String::from_utf8(folder.read("r.html")).unwrap();
    assert_eq!(report.matches("<article").count(), 2);
    assert!(!report.contains("There are no metrics"));
}

#[test]
fn a_picture_that_cannot_be_inspected_costs_the_figures_and_not_the_report() {
    let folder = Folder::new("no figures");
    folder.picture("test/good/a.png", 60, 50);
    folder.write("test/good/b.png", b"broken");
    folder.picture("test/hole/c.png", 60, 50);
    folder.mask("ground_truth/hole/c_mask.png", 60, 50, 255);
    let args = [
        "inspect", ".", "--truth", ".", "--report", "r.html", "--json",
    ];
    let run = blemish(&folder, &args);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let words = "1 of 3 pictures could not be inspected, so there are no metrics";
    assert!(run.stderr.contains(words), "{}", run.stderr);
    let lines = run.json();
    assert!(lines.iter().all(|line| line["type"] != "metrics"));
    assert_eq!(lines.last().unwrap()["type"], "summary");
    let report = String::from_utf8(folder.read("r.html")).unwrap();
    assert_eq!(report.matches("<article").count(), 2);
    assert!(report.contains("There are no metrics: not all pictures could be inspected."));
}

/// What lies outside the columns was not seen: figures are those of pictures that end there.
#[test]
fn figures_are_of_the_columns_that_were_inspected() {
    let folder = Folder::new("figures of columns");
    for (name, marked) in [("good/a", false), ("hole/b", true)] {
        let path = format!("whole/test/{name}.png");
        match marked {
            true => folder.picture_rgb(&path, 90, 70),
            false => folder.picture(&path, 90, 70),
        }
        let mask = format!("ground_truth/{name}_mask.png");
        folder.mask(&format!("whole/{mask}"), 90, 70, 255);
        for file in [format!("test/{name}.png"), mask] {
            let whole = Picture::open(&folder.path.join("whole").join(&file)).unwrap();
            let part = whole.crop(20, 0, 40, 70).unwrap();
            folder.write(
                &format!("part/{file}"),
                &part.encode_png(&folder.path).unwrap(),
            );
        }
    }
    let figures = |path: &str, columns: &[&str]| {
        let args = ["inspect", path, "--truth", path, "--json"];
        let run = blemish(&folder, &[&args[..], columns].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let lines = run.json().into_iter();
        let rows: Vec<Value> = lines.filter(|line| line["type"] == "metrics").collect();
        assert_eq!(rows.len(), 3);
        rows
    };
    assert_eq!(
        figures("whole", &["--columns", "20..60"]),
        figures("part", &[])
    );
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_round_in_a_circle_is_followed_once() {
    let folder = Folder::new("circle");
    folder.picture("in/a.png", 40, 40);
    std::os::unix::fs::symlink(".", folder.path.join("in/round")).unwrap();
    let run = blemish(&folder, &["inspect", "in", "--json"]);
    assert_eq!(found(&run.json()).len(), 1, "{}", run.stderr);
}

/// Both names have no letter, and look alike where one is needed.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_keep_their_own_files() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new("no text");
    folder.picture("a.png", 40, 40);
    folder.make("in");
    let name = |byte: u8, end: &str| {
        let bytes = [&[byte][..], end.as_bytes()].concat();
        std::ffi::OsStr::from_bytes(&bytes).to_owned()
    };
    for byte in [0xe4, 0xf6] {
        let to = folder.path.join("in").join(name(byte, ".png"));
        std::fs::copy(folder.path.join("a.png"), to).unwrap();
    }
    let run = blemish(&folder, &["inspect", "in", "--out", "out"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for byte in [0xe4, 0xf6] {
        let written = folder.path.join("out").join(name(byte, ".inspected.png"));
        assert!(written.is_file(), "{}", written.display());
    }
}

/// The shipped model, said to resize.
fn resizing_bundle() -> Vec<u8> {
    let file = include_bytes!("../models/default.onnx");
    let mut model = tract_onnx::pb::ModelProto::decode(&file[..]).unwrap();
    let bundle = Bundle::from_bytes(file.to_vec(), "default", &mut |_| {}).unwrap();
    let mut metadata = bundle.metadata().clone();
    metadata.preparation = Preparation::Resize {
        filter: ResizeFilter::Bilinear,
    };
    for property in &mut model.metadata_props {
        if property.key == METADATA_KEY {
            property.value = serde_json::to_string(&metadata).unwrap();
        }
    }
    let bytes = reseal(model);
    assert!(Bundle::from_bytes(bytes.clone(), "resizing", &mut |_| {}).is_ok());
    bytes
}
