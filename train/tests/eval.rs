//! The whole program: figures of a test set.

mod program;

use blemish::picture::Picture;
use program::{Scene, told};
use std::process::Output;

/// A run on whole pictures, and a class whose kind `dot` has masks that vanish at the tile's size.
fn scene() -> Scene {
    let scene = Scene::new();
    let options = [
        "fit",
        "goods",
        "--resize=32",
        "--reconstructive-width=2",
        "--discriminative-width=2",
        "--steps=2",
        "--out=run",
    ];
    let fit = scene.run(&options);
    assert!(fit.status.success(), "{}", told(&fit));
    scene.weave("class/train/good/0.png", 64, 48, 30);
    scene.weave("class/test/good/0.png", 64, 48, 31);
    for (number, kind) in ["dot", "dot", "hole"].into_iter().enumerate() {
        let name = format!("{kind}/{number}");
        scene.weave(
            &format!("class/test/{name}.png"),
            64,
            48,
            32 + number as u32,
        );
        let side = if kind == "dot" { 1 } else { 20 };
        let inside = |at: usize| (11..11 + side).contains(&at);
        let levels = (0..64 * 48).map(|i| match inside(i % 64) && inside(i / 64) {
            true => 255,
            false => 0,
        });
        let mask = Picture::from_grey8(64, 48, levels.collect()).unwrap();
        scene.save(&format!("class/ground_truth/{name}_mask.png"), &mask);
    }
    scene
}

fn refused(output: &Output, parts: &[&str]) {
    let text = told(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
}

#[test]
fn a_kind_whose_masks_vanish_at_the_tile_s_size_has_no_figures_by_pixel() {
    let scene = scene();
    let eval = scene.run(&["eval", "run", "class"]);
    let text = told(&eval);
    assert!(eval.status.success(), "{text}");
    for part in [
        "pixel figures at 32x32 px, as the authors",
        "class 'class', kind 'dot': 2 of 2 masks mark nothing at 32x32 px",
        "so this kind has no figures by pixel",
    ] {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
    let by_pixel = |name: &str| -> Vec<&str> {
        let line = text.lines().find(|line| line.starts_with(name));
        let cells: Vec<&str> = line.unwrap().split_whitespace().collect();
        cells[cells.len() - 3..].to_vec()
    };
    assert_eq!(by_pixel("dot"), ["-"; 3]);
    assert_eq!(by_pixel("mean"), by_pixel("hole"));
    assert!(!by_pixel("all").contains(&"-"));

    let eval = scene.run(&["eval", "run", "class", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&eval.stdout).unwrap();
    let class = &report["classes"][0];
    assert_eq!(class["pixels"]["at"], "tile");
    assert_eq!(class["pixels"]["width_px"], 32);
    assert!(class["rows"][0]["pixel_ap"].is_null());
    assert!(class["rows"][0]["image_ap"].is_number());
    assert!(report["mean"]["pixel_ap"].is_number());
}

#[test]
fn masks_and_folders_that_would_be_taken_for_something_else_are_named() {
    let scene = scene();
    // As large as the tile, to which the picture is resized.
    let small = Picture::from_grey8(32, 32, vec![255; 32 * 32]).unwrap();
    scene.save("class/ground_truth/hole/2_mask.png", &small);
    refused(
        &scene.run(&["eval", "run", "class"]),
        &[
            "the mask 'class/ground_truth/hole/2_mask.png' is 32x32 px",
            "its picture 'class/test/hole/2.png' 64x48 px",
        ],
    );
    for kind in ["mean", "all"] {
        for part in ["test", "ground_truth"] {
            let folder = |kind: &str| scene.path(&format!("class/{part}/{kind}"));
            let before = if kind == "mean" { "dot" } else { "mean" };
            std::fs::rename(folder(before), folder(kind)).unwrap();
        }
        refused(
            &scene.run(&["eval", "run", "class"]),
            &["class 'class' has a kind of defect called", kind],
        );
    }
}

#[test]
fn what_cannot_be_compared_is_refused_before_a_picture_is_opened() {
    let scene = scene();
    let fit = scene.fit(&["--steps=2", "--out=tiles"]);
    assert!(fit.status.success(), "{}", told(&fit));
    scene.write("class/test/hole/2.png", b"no picture");
    for (other, words) in [
        (
            "--beside=tiles/model.onnx",
            "cut pictures into different tiles",
        ),
        ("--beside=absent.onnx", "absent.onnx"),
    ] {
        refused(&scene.run(&["eval", "run", "class", other]), &[words]);
    }

    for (kept, words) in [
        (
            "hole",
            "class 'half': there is nothing good among the scores",
        ),
        ("good", "class 'half': there is no defect among the scores"),
    ] {
        let _ = std::fs::remove_dir_all(scene.path("half"));
        for part in ["test", "ground_truth"] {
            let (from, to) = (
                format!("class/{part}/{kept}"),
                format!("half/{part}/{kept}"),
            );
            for name in std::fs::read_dir(scene.path(&from)).into_iter().flatten() {
                let name = name.unwrap().file_name().into_string().unwrap();
                let bytes = std::fs::read(scene.path(&format!("{from}/{name}"))).unwrap();
                scene.write(&format!("{to}/{name}"), &bytes);
            }
        }
        refused(&scene.run(&["eval", "run", "half"]), &[words]);
        let sweep = scene.run(&["sweep", "goods", "--test=half", "--steps=2", "--out=sweep"]);
        refused(&sweep, &[words]);
        assert!(!scene.path("sweep").exists(), "nothing is trained");
    }
}
