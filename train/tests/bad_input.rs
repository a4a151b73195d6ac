//! Every wrong input of `blemish-train`: the message says what and what to do, the exit code is 2, and
//! nothing panics.

mod program;

use blemish::picture::Picture;
use program::{Scene, newest, told};
use std::process::Output;

fn refused(output: &Output, parts: &[&str]) {
    let text = told(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn wrong_pictures() {
    let scene = Scene::new();
    let whole = std::fs::read(scene.path("goods/00.png")).unwrap();
    scene.write("truncated/0.png", &whole[..whole.len() / 2]);
    scene.weave("truncated/1.png", 40, 40, 1);
    scene.write("text/0.png", b"not a picture");
    scene.weave("text/1.png", 40, 40, 1);
    scene.write("empty/notes.txt", b"");
    scene.write("none/train/good/notes.txt", b"");
    scene.weave("one/0.png", 40, 40, 0);
    scene.weave("mixed/0.png", 40, 40, 0);
    scene.weave("mixed/2.png", 40, 40, 2);
    let colour = [90, 60, 30].repeat(40 * 40);
    let colour = Picture::from_rgb8(40, 40, colour).unwrap();
    scene.save("mixed/1.png", &colour);
    scene.save("mixed/3.png", &colour);
    let cases: [(&str, &[&str]); 7] = [
        ("missing", &["missing", "check that it exists"]),
        ("empty", &["empty", "holds no good picture"]),
        ("none", &["train/good", "holds no good picture"]),
        ("truncated", &["0.png"]),
        ("text", &["0.png"]),
        ("one", &["1 good pictures cannot be split"]),
        ("mixed", &["is grey", "is in colour"]),
    ];
    for (folder, parts) in cases {
        refused(
            &scene.run(&["fit", folder, "--out=run", "--tile=32"]),
            parts,
        );
        assert!(!scene.path("run").exists(), "{folder} left a run behind");
    }
    let textures = scene.fit(&["--out=run", "--textures=empty"]);
    refused(&textures, &["empty", "give a folder of textures"]);
}

/// What is only held out is opened at the end, so it must be tried at the beginning.
#[test]
fn a_wrong_picture_is_found_before_the_first_step_wherever_it_falls() {
    let scene = Scene::new();
    let colours: Vec<u8> = (0..3 * 48 * 40).map(|i| (i % 251) as u8).collect();
    let colour = Picture::from_rgb8(48, 40, colours).unwrap();
    for picture in 0..5 {
        scene.weave(&format!("five/{picture}.png"), 48, 40, picture);
    }
    let options = ["fit", "five", "--out=run", "--tile=32", "--hold-out=0.2"];
    for picture in 0..5 {
        let name = format!("five/{picture}.png");
        let good = std::fs::read(scene.path(&name)).unwrap();
        scene.save(&name, &colour);
        refused(&scene.run(&options), &["is grey", "is in colour", &name]);
        scene.write(&name, &good[..good.len() / 2]);
        refused(&scene.run(&options), &[&name]);
        scene.write(&name, &good);
        assert!(!scene.path("run").exists(), "{name} left a run behind");
    }
}

#[cfg(unix)]
#[test]
fn names_that_the_configuration_cannot_hold_are_refused_first() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    let name = OsStr::from_bytes(b"l\xe9");
    std::fs::create_dir(scene.root.join(name)).unwrap();
    // Nothing could be read of these.
    std::fs::write(scene.root.join(name).join("0.png"), b"not a picture").unwrap();
    for before in [
        &["fit"][..],
        &["fit", "goods", "--textures"],
        &["fit", "goods", "--product"],
    ] {
        let run = scene.command(before).arg(name).arg("--out=run").output();
        let parts = match before {
            [_, _, "--product"] => &["invalid UTF-8"],
            _ => &["a path in UTF-8"],
        };
        refused(&run.unwrap(), parts);
        assert!(!scene.path("run").exists(), "{before:?} left a run behind");
    }
}

#[test]
fn wrong_options() {
    let scene = Scene::new();
    let cases: [(&[&str], &[&str]); 14] = [
        (
            &["--steps=1", "--seed=18446744073709551615"],
            &["seed = 18446744073709551615", "at most 9223372036854775807"],
        ),
        (
            &["--tile=64", "--resize-filter=antialiased"],
            &["give --resize SIDE as well"],
        ),
        (&["--resize=64", "--overlap=8"], &["a picture is one tile"]),
        (
            &["--resize=64", "--resize-filter=cubic"],
            &["must be antialiased or bilinear"],
        ),
        (&["--tile=100"], &["multiples of 32"]),
        (&["--tile=2048"], &["'2048' for '--tile", "up to 1024"]),
        (&["--tile=32", "--batch=1"], &["batch = 1", "at least 2"]),
        (&["--resize=64", "--tile=64"], &["cannot be used with"]),
        (&["--batch=0"], &["batch = 0"]),
        (&["--learning-rate=-1"], &["learning-rate = -1"]),
        (&["--hold-out=1.5"], &["hold-out = 1.5"]),
        (
            &["--simulation=none"],
            &["must be official, paper or structural"],
        ),
        (&["--device=tpu"], &["device 'tpu' is unknown", "cpu"]),
        (&["--overlap=64", "--tile=64"], &["at most half"]),
    ];
    for (options, parts) in cases {
        let arguments = [&["fit", "goods", "--out=run"], options].concat();
        refused(&scene.run(&arguments), parts);
        assert!(!scene.path("run").exists(), "{options:?} left a run behind");
    }
    refused(&scene.run(&["fit"]), &["required"]);
    refused(
        &scene.run(&["cost", "--reconstructive-width=0"]),
        &["0 is not in 1..=1024"],
    );
    scene.write("file", b"");
    refused(
        &scene.fit(&["--out=file/run", "--steps=1"]),
        &["cannot create file/run"],
    );
}

#[test]
fn wrong_run_folders() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=8", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    let resume = |more: &[&str]| scene.run(&[&["fit", "--resume=run"], more].concat());

    refused(
        &scene.fit(&["--out=run"]),
        &["run already holds a run", "fit --resume run"],
    );
    refused(
        &scene.run(&["fit", "--resume=goods"]),
        &["goods is not a run folder"],
    );
    refused(
        &resume(&["--seed=3"]),
        &["other settings", "seed is 3, was 0"],
    );
    refused(
        &resume(&["--resize-filter=bilinear"]),
        &["--resize-filter", "this run cuts tiles"],
    );
    refused(
        &scene.run(&["export", "goods"]),
        &["goods is not a run folder"],
    );

    let config = std::fs::read_to_string(scene.path("run/config.toml")).unwrap();
    refused(
        &resume(&["--device=metal"]),
        &["device 'metal' is not in this program"],
    );
    let kept = std::fs::read_to_string(scene.path("run/config.toml")).unwrap();
    assert_eq!(
        kept, config,
        "a device that cannot be used became the run's"
    );
    scene.write(
        "run/config.toml",
        config.replace("batch =", "bach =").as_bytes(),
    );
    refused(&resume(&[]), &["run/config.toml", "unknown field `bach`"]);
    scene.write(
        "run/config.toml",
        config.replace("seed = 0", "seed = 9").as_bytes(),
    );
    refused(
        &resume(&[]),
        &["does not belong to the checkpoint", "seed is 9, was 0"],
    );
    let made = std::fs::read(scene.path("run/model.onnx")).unwrap();
    for command in ["export", "quantize", "report"] {
        refused(
            &scene.run(&[command, "run"]),
            &[
                "run/config.toml does not belong to the checkpoint: seed is 9, was 0",
                "write that back",
            ],
        );
    }
    assert_eq!(std::fs::read(scene.path("run/model.onnx")).unwrap(), made);
    scene.write("run/config.toml", config.as_bytes());

    let picture = std::fs::read(scene.path("goods/03.png")).unwrap();
    scene.weave("goods/03.png", 48, 40, 99);
    refused(&resume(&[]), &["are not those the run began with"]);
    refused(
        &scene.run(&["export", "run"]),
        &["are not those of the run", "--pictures"],
    );
    scene.write("goods/03.png", &picture);

    let last = newest(&scene.path("run")).unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 100]).unwrap();
    let again = resume(&[]);
    assert!(again.status.success(), "{}", told(&again));
    assert!(told(&again).contains("damaged"), "{}", told(&again));
    assert_eq!(
        std::fs::read(&last).unwrap(),
        bytes,
        "steps 5 to 8 are done again"
    );

    for entry in std::fs::read_dir(scene.path("run")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "safetensors") {
            std::fs::write(path, b"not a checkpoint").unwrap();
        }
    }
    refused(
        &resume(&[]),
        &["no checkpoint in run can be used", "is damaged"],
    );
    refused(
        &scene.run(&["export", "run"]),
        &["no checkpoint in run can be used"],
    );
}

#[test]
fn wrong_test_sets_and_bundles() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=2", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    scene.write("foreign.onnx", b"not ONNX");
    scene.weave("set/train/good/0.png", 40, 40, 0);
    scene.weave("set/test/good/0.png", 40, 40, 0);
    let eval = |model: &str, set: &str| scene.run(&["eval", model, set]);

    refused(&eval("foreign.onnx", "set"), &["foreign.onnx"]);
    refused(&eval("goods", "set"), &["goods/model.onnx"]);
    refused(&eval("run", "goods"), &["has no test pictures"]);
    refused(&eval("run", "missing"), &["missing"]);
    refused(
        &eval("run", "set"),
        &["class 'set'", "no defect among the scores"],
    );

    scene.weave("set/test/hole/7.png", 40, 40, 0);
    refused(&eval("run", "set"), &["7_mask.png", "is missing"]);
    scene.save(
        "set/ground_truth/hole/7_mask.png",
        &Picture::from_grey8(9, 9, vec![255; 81]).unwrap(),
    );
    refused(
        &eval("run", "set"),
        &["7_mask.png' is 9x9 px", "7.png' 40x40 px"],
    );
    refused(
        &scene.run(&["export", "run", "-o", "goods/00.png/x.onnx"]),
        &["cannot write goods/00.png/x.onnx"],
    );
}
