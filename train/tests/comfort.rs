//! Several classes, DAGM's layout, early stopping, defects on the product, costs and sweeps, as a program.

mod program;

use blemish::model::{Bundle, Preparation};
use blemish::picture::{Picture, ResizeFilter};
use program::{SMALL, Scene, told};
use std::process::Output;

fn ok(output: &Output) -> String {
    let text = told(output);
    assert!(output.status.success(), "{text}");
    text
}

fn refused(output: &Output, parts: &[&str]) {
    let text = told(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
}

/// A class in MVTec's layout with six goods and two tests.
fn class(scene: &Scene, name: &str, seed: u32) {
    for picture in 0..6 {
        let path = format!("{name}/train/good/{picture}.png");
        scene.weave(&path, 48, 40, seed + picture);
    }
    scene.weave(&format!("{name}/test/good/0.png"), 40, 50, seed + 31);
    scene.weave(&format!("{name}/test/hole/0.png"), 70, 40, seed + 32);
    mark(scene, &format!("{name}/ground_truth/hole/0_mask.png"));
}

/// A mask of 70x40 px with a marked line.
fn mark(scene: &Scene, path: &str) {
    let mut mask = vec![0; 70 * 40];
    mask[1000..1040].fill(255);
    scene.save(path, &Picture::from_grey8(70, 40, mask).unwrap());
}

#[test]
fn several_classes_are_trained_and_judged_each_by_its_own_run() {
    let scene = Scene::new();
    class(&scene, "set/a", 0);
    class(&scene, "set/b", 50);
    // DAGM's layout beside MVTec's.
    for picture in 0..6 {
        scene.weave(
            &format!("set/Class1/Train/{picture}.PNG"),
            48,
            40,
            90 + picture,
        );
    }
    scene.weave("set/Class1/Train/6.PNG", 70, 40, 96);
    mark(&scene, "set/Class1/Train/Label/6_label.PNG");
    scene.weave("set/Class1/Test/0.PNG", 70, 40, 97);
    scene.weave("set/Class1/Test/1.PNG", 70, 40, 98);
    mark(&scene, "set/Class1/Test/Label/1_label.PNG");

    scene.weave("set/more/0.png", 48, 40, 99);
    let train = |more: &[&str]| {
        let all = [&["fit", "set", "--out=runs"], &SMALL[..], more].concat();
        scene.run(&all)
    };
    let text = ok(&train(&["--steps=4"]));
    for part in [
        "class       Class1",
        "class       b",
        "left out    'set/more' is no class",
        "image AUROC  pixel AP",
    ] {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
    let pictures = |name: &str| {
        let bundle = Bundle::read(scene.path(&format!("runs/{name}/model.onnx"))).unwrap();
        bundle.metadata().training.pictures
    };
    // One of six goods is held out; the labelled training picture is none.
    assert_eq!(["a", "b", "Class1"].map(pictures), [5, 5, 5]);

    // A run that was interrupted is taken up, those that are done are left alone.
    std::fs::remove_file(scene.path("runs/b/model.onnx")).unwrap();
    let before = std::fs::metadata(scene.path("runs/a/model.onnx")).unwrap();
    let text = ok(&train(&["--steps=4"]));
    assert_eq!(text.matches(" is done").count(), 2, "{text}");
    let after = std::fs::metadata(scene.path("runs/a/model.onnx")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert!(scene.path("runs/b/model.onnx").is_file());
    refused(
        &train(&["--steps=5"]),
        &["is done, but with other settings: steps is 5, was 4"],
    );
    refused(
        &train(&[
            "--steps=4",
            "--score-window=3",
            "--overlap=16",
            "--flat-field",
        ]),
        &[
            "is done, but with other settings: overlap_px is 16, was 8, flat_field is true, was false, \
             score_window_px is 3, was auto",
        ],
    );

    let metrics = std::fs::read(scene.path("runs/b/metrics.jsonl")).unwrap();
    std::fs::remove_file(scene.path("runs/b/metrics.jsonl")).unwrap();
    refused(
        &train(&["--steps=4"]),
        &[
            "cannot read runs/b/metrics.jsonl: No such file",
            "restore it",
        ],
    );
    scene.write("runs/b/metrics.jsonl", &metrics);

    let json = scene.run(&["eval", "runs", "set", "--json"]);
    ok(&json);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let classes = report["classes"].as_array().unwrap();
    let names: Vec<&str> = classes
        .iter()
        .map(|c| c["class"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Class1", "a", "b"]);
    for class in classes {
        let own = format!("runs/{}/model.onnx", class["class"].as_str().unwrap());
        let own = Bundle::read(scene.path(&own)).unwrap();
        assert_eq!(class["bundle_sha256"], own.sha256());
        assert_eq!(class["verdicts"][1]["pictures"], 1);
    }
    std::fs::remove_file(scene.path("runs/a/model.onnx")).unwrap();
    refused(
        &scene.run(&["eval", "runs", "set"]),
        &["nor runs/a/model.onnx for the class 'a'"],
    );
}

/// Two classes of a folder, and `fit` of them with small networks.
fn two_classes() -> Scene {
    let scene = Scene::new();
    class(&scene, "set/a", 0);
    class(&scene, "set/b", 50);
    scene
}

fn fit_set(scene: &Scene, more: &[&str]) -> Output {
    scene.run(&[&["fit", "set", "--out=runs"], &SMALL[..], more].concat())
}

#[test]
fn the_bundle_of_an_earlier_step_is_not_the_end_of_a_run() {
    let scene = Scene::new();
    class(&scene, "set/a", 0);
    ok(&fit_set(&scene, &["--steps=8"]));
    let [model, last] = ["model.onnx", "checkpoint-00000008.safetensors"]
        .map(|name| scene.path(&format!("runs/a/{name}")));
    let steps = || Bundle::read(&model).unwrap().metadata().training.steps;
    let whole = std::fs::read(&model).unwrap();
    std::fs::rename(&last, scene.path("last")).unwrap();
    ok(&scene.run(&["export", "runs/a"]));
    std::fs::rename(scene.path("last"), &last).unwrap();
    assert_eq!(steps(), 4, "as if it had been exported on the way");
    let text = ok(&fit_set(&scene, &["--steps=8"]));
    assert!(!text.contains("is done"), "{text}");
    assert_eq!(steps(), 8);
    assert!(std::fs::read(&model).unwrap() == whole);
    assert!(ok(&fit_set(&scene, &["--steps=8"])).contains("runs/a is done"));
}

#[test]
fn of_several_runs_settings_left_out_are_the_defaults() {
    let scene = two_classes();
    ok(&fit_set(&scene, &["--steps=4", "--seed=3"]));
    let others =
        "with other settings: seed is 0, was 3, steps is 5000, was 4; give the options again";
    refused(
        &fit_set(&scene, &[]),
        &["runs/a is done, but", others, "--out"],
    );
    std::fs::remove_file(scene.path("runs/a/model.onnx")).unwrap();
    refused(&fit_set(&scene, &[]), &["runs/a was begun", others]);
    std::fs::remove_dir_all(scene.path("runs/b")).unwrap();
    ok(&fit_set(&scene, &["--steps=4", "--seed=3"]));
    assert!(scene.path("runs/b/model.onnx").exists());
}

#[test]
fn a_run_that_failed_at_once_is_tried_again_with_what_helps() {
    let scene = two_classes();
    ok(&scene.fit(&["--steps=4", "--out=run"]));
    let config = std::fs::read(scene.path("run/config.toml")).unwrap();
    scene.write("failed/config.toml", &config);
    let resume = |batch| scene.run(&["fit", "--resume=failed", batch]);
    ok(&resume("--batch=4"));
    let text = std::fs::read_to_string(scene.path("failed/config.toml")).unwrap();
    assert!(text.contains("batch = 4\n"), "{text}");
    refused(&resume("--batch=2"), &["other settings: batch is 2, was 4"]);

    // Of several classes, what the command leaves out is as of those that follow.
    scene.write("runs/a/config.toml", text.as_bytes());
    ok(&fit_set(&scene, &["--steps=2"]));
    let config = |class: &str| {
        let text = std::fs::read_to_string(scene.path(&format!("runs/{class}/config.toml")));
        let text = text.unwrap();
        text[text.find("[recipe]").unwrap()..].to_owned()
    };
    assert_eq!(config("a"), config("b"));
}

#[test]
fn a_broken_class_is_found_before_the_first_is_trained() {
    let scene = two_classes();
    std::fs::remove_file(scene.path("set/b/ground_truth/hole/0_mask.png")).unwrap();
    refused(
        &fit_set(&scene, &["--steps=2"]),
        &["0_mask.png", "is missing"],
    );
    assert!(!scene.path("runs").exists());
}

#[cfg(unix)]
#[test]
fn a_linked_class_is_called_as_its_link() {
    let scene = Scene::new();
    class(&scene, "data/2026-01", 0);
    std::fs::create_dir(scene.path("set")).unwrap();
    std::os::unix::fs::symlink(scene.path("data/2026-01"), scene.path("set/felt")).unwrap();
    ok(&fit_set(&scene, &["--steps=2"]));
    let bundle = Bundle::read(scene.path("runs/felt/model.onnx")).unwrap();
    assert_eq!(bundle.metadata().name, "felt");
    let text = ok(&scene.run(&["eval", "runs", "set"]));
    assert!(text.contains("\nfelt "), "{text}");
}

#[test]
fn a_finished_run_is_not_done_with_other_textures() {
    let scene = Scene::new();
    class(&scene, "set/a", 0);
    for picture in 0..3 {
        scene.weave(&format!("textures/{picture}.png"), 40, 40, 70 + picture);
    }
    let own = [
        "fit",
        "set",
        "--out=runs",
        "--steps=4",
        "--textures=textures",
    ];
    let train = || scene.run(&[&own[..], &SMALL].concat());
    ok(&train());
    assert!(ok(&train()).contains("runs/a is done"));
    scene.weave("textures/1.png", 40, 40, 99);
    refused(
        &train(),
        &["runs/a is done, but with other textures than are in"],
    );
}

#[test]
fn a_run_without_progress_ends_early_with_its_best_weights() {
    let scene = Scene::new();
    let early = [
        "--steps=4000",
        "--patience=2",
        "--validate-every=2",
        "--out=run",
    ];
    let small: Vec<&str> = (SMALL.iter().copied())
        .filter(|option| !option.starts_with("--validate"))
        .collect();
    let begin = [&["fit", "goods"], &small[..], &early].concat();
    let text = ok(&scene.run(&begin));
    assert!(
        text.contains("2 validations were no better than the best"),
        "{text}"
    );
    let bytes = std::fs::read(scene.path("run/model.onnx")).unwrap();
    let steps = Bundle::read(scene.path("run/model.onnx"))
        .unwrap()
        .metadata()
        .training
        .steps;
    assert!(
        text.contains(&format!("best        step {steps}:")),
        "{text}"
    );
    let ended = format!("ends at step {}:", steps + 4);
    assert!(text.contains(&ended), "'{ended}' is missing from: {text}");

    // Taken up again it ends at once, the same; so it does from the bundle's own command.
    ok(&scene.run(&["fit", "--resume", "run"]));
    assert_eq!(std::fs::read(scene.path("run/model.onnx")).unwrap(), bytes);
    ok(&scene.run(&["export", "run", "-o", "again.onnx"]));
    assert_eq!(std::fs::read(scene.path("again.onnx")).unwrap(), bytes);

    let blind = ["--patience=2", "--validate-every=0", "--out=blind"];
    refused(
        &scene.run(&[&["fit", "goods"], &small[..], &blind].concat()),
        &["patience = 2", "--validate-every above 0"],
    );
}

#[test]
fn defects_are_kept_to_the_product() {
    let scene = Scene::new();
    let text = ok(&scene.fit(&["--steps=2", "--product=auto", "--out=auto"]));
    assert!(text.contains("on the product only (auto)"), "{text}");
    let config = std::fs::read_to_string(scene.path("auto/config.toml")).unwrap();
    assert!(config.contains("product = \"auto\""), "{config}");
    refused(
        &scene.fit(&["--steps=2", "--product=goods/nothing", "--out=masks"]),
        &["nothing"],
    );
    let whole = Picture::from_grey8(48, 40, vec![255; 48 * 40]).unwrap();
    scene.save("mask.png", &whole);
    ok(&scene.fit(&["--steps=2", "--product=mask.png", "--out=masks"]));
    ok(&scene.run(&["fit", "--resume=masks"]));
    let mut edited = vec![255; 48 * 40];
    edited[0] = 0;
    scene.save("mask.png", &Picture::from_grey8(48, 40, edited).unwrap());
    for command in [&["fit", "--resume=masks"][..], &["export", "masks"]] {
        refused(&scene.run(command), &["the product's masks in", "mask.png"]);
    }
    let nowhere = Picture::from_grey8(48, 40, vec![0; 48 * 40]).unwrap();
    scene.save("nowhere.png", &nowhere);
    refused(
        &scene.fit(&["--steps=2", "--product=nowhere.png", "--out=nowhere"]),
        &["held-out tiles 0 have a simulated defect", "--product"],
    );
    assert!(!scene.path("nowhere").exists());
}

/// How pictures were resized in training is how the station resizes them.
#[test]
fn whole_pictures_are_resized_as_the_bundle_says() {
    let scene = Scene::new();
    for filter in [ResizeFilter::Antialiased, ResizeFilter::Bilinear] {
        let name = filter.name();
        let options = [
            "fit",
            "goods",
            "--resize=32",
            "--reconstructive-width=2",
            "--discriminative-width=2",
            "--steps=2",
            "--resize-filter",
            name,
            "--out",
            name,
        ];
        let text = ok(&scene.run(&options));
        assert!(
            text.contains(&format!("whole pictures resized to it, {name}")),
            "{text}"
        );
        let file = scene.path(&format!("{name}/model.onnx"));
        let bundle = Bundle::read(&file).unwrap();
        let expected = Preparation::Resize { filter };
        assert_eq!(bundle.metadata().preparation, expected);
    }
}

#[test]
fn costs_are_told_before_anything_is_trained() {
    let scene = Scene::new();
    let ask = |more: &[&str]| {
        let small = [
            "cost",
            "--reconstructive-width=8",
            "--tile=32",
            "--batch=2",
            "--threads=1",
        ];
        scene.run(&[&small[..], more].concat())
    };
    let text = ok(&ask(&["--steps=1000"]));
    assert!(
        text.contains("ms a step of 2 tiles on this machine"),
        "{text}"
    );
    assert!(text.contains("for 1000 steps"), "{text}");
    let slow = [
        "--board=raspberry-pi-5",
        "--line-rate=100",
        "--width-px=512",
    ];
    let text = ok(&ask(&slow));
    assert!(
        text.contains("raspberry-pi-5 keeps up with 100 lines/s of 512 px"),
        "{text}"
    );
    let fast = ["--board=zero-2-w", "--line-rate=500000", "--width-px=8192"];
    let text = ok(&ask(&fast));
    assert!(
        text.contains("does NOT keep up") && text.contains("no width would"),
        "{text}"
    );
    refused(
        &ask(&["--board=pi5", "--line-rate=1", "--width-px=9"]),
        &["there are raspberry-pi-4"],
    );
    refused(&ask(&["--board=zero-2-w"]), &["--line-rate"]);
    // Before gigabytes are asked for, or the device.
    refused(
        &scene.run(&["cost", "--reconstructive-width=512", "--device=tpu"]),
        &["network = 512/8 (", "take narrower networks"],
    );

    // What is wrong with the line is found before there is a run.
    let pi5 = ["--board=pi5", "--line-rate=1", "--width-px=9"];
    let fit = [&["--steps=2", "--out=run"], &pi5[..]].concat();
    refused(&scene.fit(&fit), &["there are raspberry-pi-4"]);
    for command in ["fit", "sweep"] {
        let whole = [&[command, "goods", "--resize=32", "--out=run"], &slow[..]].concat();
        refused(
            &scene.run(&whole),
            &["refuses bundles that resize", "take --tile"],
        );
    }
    assert!(!scene.path("run").exists());

    let fit = [&["--steps=2", "--out=run"], &slow[..]].concat();
    let text = ok(&scene.fit(&fit));
    assert!(
        text.contains("ms a step on this machine") && text.contains("keeps up"),
        "{text}"
    );
}

#[test]
fn a_sweep_weighs_accuracy_against_cost_and_is_taken_up() {
    let scene = Scene::new();
    class(&scene, "class", 0);
    let small: Vec<&str> = (SMALL.iter().copied())
        .filter(|option| !option.contains("width"))
        .collect();
    let sweep = |widths: &str| {
        let own = [
            "sweep",
            "class",
            "--out=out",
            "--steps=4",
            "--test=class",
            widths,
        ];
        let line = [
            "--board=raspberry-pi-5",
            "--line-rate=100",
            "--width-px=512",
        ];
        scene.run(&[&own[..], &small, &line].concat())
    };
    let text = ok(&sweep("--widths=8/4"));
    assert!(!text.contains("is done"), "{text}");
    let unsaid = [&["sweep", "class", "--out=out", "--widths=8/4"], &small[..]].concat();
    refused(
        &scene.run(&unsaid),
        &["out/8-4 is done, but with other settings: steps is 5000, was 4"],
    );
    let text = ok(&sweep("--widths=8/4,4/4/2"));
    assert_eq!(text.matches(" is done").count(), 1, "{text}");
    let json = std::fs::read(scene.path("out/sweep.json")).unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let rows = rows.as_array().unwrap();
    let widths: Vec<u64> = (rows.iter())
        .map(|row| row["reconstructive_width"].as_u64().unwrap())
        .collect();
    assert_eq!(widths, [4, 8], "the cheapest first");
    let poolings = rows
        .iter()
        .map(|row| row["reconstructive_poolings"].as_u64());
    assert!(poolings.eq([Some(2), Some(4)]));
    assert!(scene.path("out/4-4-2/model.onnx").exists());
    for row in rows {
        assert!(row["macs_per_tile"].as_u64().unwrap() > 0);
        assert!(row["training_seconds_per_step"].as_f64().unwrap() > 0.0);
        for (part, figure) in [("simulated", "pixel_ap"), ("real", "image_auroc")] {
            let value = row[part][figure].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&value), "{part} {figure} {value}");
        }
        assert_eq!(row["predicted"]["keeps_up"], true);
    }
    for part in ["8/4/4", "4/4/2", "real: AUROC", "ms/tile"] {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
    refused(
        &scene.run(&["sweep", "class", "--out=none", "--test=nosuch"]),
        &["nosuch", "check that it exists"],
    );
    assert!(!scene.path("none").exists());
    refused(&sweep("--widths=8"), &["'8' is not a pair of widths"]);
    for other in ["--reconstructive-width=4", "--network=fast"] {
        let both = scene.run(&["sweep", "class", other]);
        refused(&both, &["given with --widths"]);
    }
}
