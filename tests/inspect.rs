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
