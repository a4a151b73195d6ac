//! `fit` as a program: stopped, killed and resumed, it writes what it writes undisturbed.

mod program;

use blemish::model::{Bundle, seal};
use blemish::picture::Picture;
use program::{SMALL, Scene, newest, told};
use prost::Message;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tract_onnx::pb::ModelProto;

/// Waits until the run has a checkpoint of at least `step`.
fn wait_for(scene: &Scene, child: &mut Child, step: u64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let found = newest(&scene.path("run")).and_then(|path| {
            let name = path.file_stem()?.to_str()?;
            name.strip_prefix("checkpoint-")?.parse::<u64>().ok()
        });
        if found.is_some_and(|found| found >= step) {
            return;
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "ended before step {step}: {ended:?}");
        assert!(Instant::now() < deadline, "no checkpoint of step {step}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn start(scene: &Scene, arguments: &[&str]) -> Child {
    let mut command = scene.command(arguments);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([name, &id])
            .status()
            .unwrap()
            .success()
    );
}

/// Losses by step, without the seconds.
fn losses(scene: &Scene, run: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(scene.path(run).join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("seconds");
        record
    };
    text.lines().map(line).collect()
}

#[test]
fn stopped_killed_and_resumed_equals_undisturbed() {
    let scene = Scene::new();
    let whole = scene.fit(&["--steps=160", "--out=whole"]);
    assert!(whole.status.success(), "{}", told(&whole));

    let first = [&["fit", "goods", "--steps=160", "--out=run"], &SMALL[..]].concat();
    let mut child = start(&scene, &first);
    wait_for(&scene, &mut child, 8);
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130), "a Ctrl-C in time");

    let resume = ["fit", "--resume", "run"];
    let mut child = start(&scene, &resume);
    wait_for(&scene, &mut child, 40);
    signal(&child, "-KILL");
    assert_eq!(child.wait().unwrap().code(), None);

    let mut child = start(&scene, &resume);
    wait_for(&scene, &mut child, 80);
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));

    let last = scene.run(&resume);
    assert!(last.status.success(), "{}", told(&last));
    let bytes = |file: &str| std::fs::read(scene.path(file)).unwrap();
    for file in ["checkpoint-00000160.safetensors", "model.onnx"] {
        let same = bytes(&format!("whole/{file}")) == bytes(&format!("run/{file}"));
        assert!(same, "{file} differs");
    }
    assert_eq!(losses(&scene, "whole"), losses(&scene, "run"));
    assert_eq!(losses(&scene, "run").len(), 160 + 20);
}

#[test]
fn a_bare_folder_needs_no_option_but_time_and_the_bundle_is_good() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=20"]);
    let text = told(&fit);
    assert!(fit.status.success(), "{text}");
    for part in [
        "10 good for training, 2 held out, grey",
        "4/4: ",
        "ms a step: about",
        "misses more than half",
        "imaging run",
        "95 % confidence at most 776.4",
    ] {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
    let bundle = Bundle::read(scene.path("runs/goods/model.onnx")).unwrap();
    let facts = bundle.metadata();
    assert_eq!((facts.name.as_str(), facts.grey), ("goods", true));
    assert_eq!((facts.training.steps, facts.training.pictures), (20, 10));
    assert_eq!(facts.threshold.goods, 2);

    let export = ["export", "runs/goods", "--tile=64x32", "-o", "wide.onnx"];
    let export = scene.run(&export);
    assert!(export.status.success(), "{}", told(&export));
    let wide = Bundle::read(scene.path("wide.onnx"))
        .unwrap()
        .metadata()
        .tile;
    assert_eq!((wide.width_px, wide.height_px), (64, 32));
}

#[test]
fn the_window_of_the_score_is_chosen_or_given() {
    let scene = Scene::new();
    let window = |bundle: &str| {
        let bundle = Bundle::read(scene.path(bundle)).unwrap();
        bundle.metadata().score.window_px.side_px()
    };
    let fit = scene.fit(&["--steps=8", "--out=run"]);
    let text = told(&fit);
    assert!(fit.status.success(), "{text}");
    assert!(text.contains("simulated defects apart best"), "{text}");
    let chosen = window("run/model.onnx");
    let validation = losses(&scene, "run").pop().unwrap();
    assert_eq!(validation["window_px"], chosen);

    let export = |given: &str, out: &str| scene.run(&["export", "run", given, "-o", out]);
    let wide = export("--score-window=21", "wide.onnx");
    let text = told(&wide);
    assert!(text.contains("mean of the map over 21x21 px\n"), "{text}");
    assert_eq!(window("wide.onnx"), 21);
    assert!(export("--score-window=auto", "auto.onnx").status.success());
    assert_eq!(window("auto.onnx"), chosen);

    let unjudged = SMALL.map(|option| match option.starts_with("--hold-out") {
        true => "--hold-out=0",
        false => option,
    });
    let fit = [
        &["fit", "goods", "--steps=2", "--out=unjudged"],
        &unjudged[..],
    ]
    .concat();
    let text = told(&scene.run(&fit));
    assert!(
        text.contains("21x21 px, the authors': without held-out goods"),
        "{text}"
    );
    assert!(!text.contains("apart best"), "{text}");
    let wide = scene.run(&["export", "unjudged", "--tile=2048x32", "-o", "wide.onnx"]);
    assert_eq!(wide.status.code(), Some(2), "{}", told(&wide));
    assert!(
        told(&wide)
            .contains("'2048x32' for '--tile <TILE>': sides must be multiples of 32 up to 1024"),
        "{}",
        told(&wide)
    );

    let even = export("--score-window=4", "even.onnx");
    assert_eq!(even.status.code(), Some(2), "{}", told(&even));
    let rule = "4 px cannot be used: its side must be odd, from 1 to 63";
    assert!(told(&even).contains(rule), "{}", told(&even));
}

#[test]
fn a_run_becomes_integers_that_were_tuned() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=20", "--reconstructive-poolings=2"]);
    assert!(fit.status.success(), "{}", told(&fit));
    assert!(told(&fit).contains("4/4, 2 poolings: "), "{}", told(&fit));
    let quantize = scene.run(&["quantize", "runs/goods", "--steps=6"]);
    let text = told(&quantize);
    assert!(quantize.status.success(), "{text}");
    assert!(text.contains("fine-tuned  6 steps"), "{text}");
    let chosen = "these chose the score's window and the ranges of its integers as well";
    assert!(text.contains(chosen), "{text}");
    let bundle = Bundle::read(scene.path("runs/goods/model.int8.onnx")).unwrap();
    assert_eq!(bundle.metadata().network.reconstructive_poolings, 2);
    let nodes = bundle.plan();
    let bytes = (nodes.nodes().iter()).filter(|node| node.operator == "ByteConv");
    // All convolutions but the last: 6 + 7 of the reconstructive network, 12 + 15 of the other.
    assert_eq!(bytes.count(), 13 + 27);

    // What trained it need not be in the program that makes the bundle.
    let config = std::fs::read_to_string(scene.path("runs/goods/config.toml")).unwrap();
    let elsewhere = config.replace("device = \"cpu\"", "device = \"metal\"");
    assert_ne!(config, elsewhere);
    scene.write("runs/goods/config.toml", elsewhere.as_bytes());
    let export = scene.run(&["export", "runs/goods", "-o", "metal.onnx"]);
    assert!(export.status.success(), "{}", told(&export));
    let bytes = |file: &str| std::fs::read(scene.path(file)).unwrap();
    assert!(bytes("metal.onnx") == bytes("runs/goods/model.onnx"));
    let none = scene.run(&["quantize", "runs/goods", "--steps=0", "-o", "plain.onnx"]);
    assert!(none.status.success(), "{}", told(&none));
    assert!(!told(&none).contains("fine-tuned"), "{}", told(&none));
    let bad = scene.run(&["quantize", "runs/goods", "--learning-rate=0"]);
    assert_eq!(bad.status.code(), Some(2), "{}", told(&bad));
    assert!(told(&bad).contains("must lie above 0"), "{}", told(&bad));
    let deep = scene.run(&["fit", "goods", "--reconstructive-poolings=5"]);
    assert_eq!(deep.status.code(), Some(2), "{}", told(&deep));
    assert!(
        told(&deep).contains("reconstructive-poolings = 5: 1 to 4"),
        "{}",
        told(&deep)
    );
}

#[test]
fn textures_may_move_but_not_change() {
    let scene = Scene::new();
    for picture in 0..3 {
        scene.weave(&format!("textures/{picture}.png"), 40, 40, 70 + picture);
    }
    let fit = scene.fit(&["--steps=8", "--textures=textures", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    std::fs::rename(scene.path("textures"), scene.path("moved")).unwrap();
    let resume = ["fit", "--resume=run", "--textures=moved"];
    let moved = scene.run(&resume);
    assert!(moved.status.success(), "{}", told(&moved));
    let config = std::fs::read_to_string(scene.path("run/config.toml")).unwrap();
    assert!(config.contains("moved\""), "{config}");
    let export = scene.run(&["export", "run"]);
    assert!(export.status.success(), "{}", told(&export));

    scene.weave("moved/1.png", 40, 40, 99);
    for command in [
        &resume[..2],
        &["export", "run"],
        &["quantize", "run"],
        &["report", "run"],
    ] {
        let refused = scene.run(command);
        let text = told(&refused);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        assert!(
            text.contains("moved are not those the run began with"),
            "{text}"
        );
    }
}

#[test]
fn masks_of_the_product_may_move_but_not_change() {
    let scene = Scene::new();
    let mask = |name: &str, corner: u8| {
        let mut mask = vec![255; 48 * 40];
        mask[0] = corner;
        scene.save(name, &Picture::from_grey8(48, 40, mask).unwrap());
    };
    for picture in 0..12 {
        mask(&format!("masks/{picture:02}.png"), 255);
    }
    let fit = scene.fit(&["--steps=8", "--product=masks", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    std::fs::rename(scene.path("masks"), scene.path("moved")).unwrap();
    let resume = ["fit", "--resume=run", "--product=moved"];
    let moved = scene.run(&resume);
    assert!(moved.status.success(), "{}", told(&moved));
    let config = std::fs::read_to_string(scene.path("run/config.toml")).unwrap();
    assert!(config.contains("moved\""), "{config}");
    let export = scene.run(&["export", "run"]);
    assert!(export.status.success(), "{}", told(&export));
    let auto = scene.run(&["fit", "--resume=run", "--product=auto"]);
    assert_eq!(auto.status.code(), Some(2), "{}", told(&auto));
    assert!(
        told(&auto).contains("product is \"auto\", was"),
        "{}",
        told(&auto)
    );

    mask("moved/03.png", 0);
    for command in [&resume[..2], &resume, &["export", "run"]] {
        let refused = scene.run(command);
        let text = told(&refused);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        let parts = ["moved are not those the run began with", "--product MASKS"];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

/// A run whose threshold a person set has nothing to do, but it may be told where its textures are.
#[test]
fn a_run_with_a_threshold_learns_where_its_textures_are() {
    let scene = Scene::new();
    for picture in 0..3 {
        scene.weave(&format!("textures/{picture}.png"), 40, 40, 70 + picture);
    }
    let fit = scene.fit(&["--steps=8", "--textures=textures", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    for picture in 0..40 {
        scene.weave(&format!("monday/{picture:02}.png"), 64, 40, 1000 + picture);
    }
    let set = [
        "threshold",
        "run/model.onnx",
        "monday",
        "--rejects-per-1000=150",
    ];
    let set = scene.run(&set);
    assert!(set.status.success(), "{}", told(&set));
    std::fs::rename(scene.path("textures"), scene.path("moved")).unwrap();
    let config = std::fs::read(scene.path("run/config.toml")).unwrap();
    let resume =
        |more: &[&str]| scene.run(&[&["fit", "--resume=run", "--textures=moved"], more].concat());
    let elsewhere = resume(&["--device=metal"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{}", told(&elsewhere));
    assert_eq!(
        std::fs::read(scene.path("run/config.toml")).unwrap(),
        config
    );
    let moved = resume(&[]);
    assert!(moved.status.success(), "{}", told(&moved));
    assert!(
        told(&moved).contains("threshold   kept: "),
        "{}",
        told(&moved)
    );
    let export = scene.run(&["export", "run", "--out=again.onnx"]);
    assert!(export.status.success(), "{}", told(&export));
}

#[test]
fn eval_scores_a_test_set() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=4", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    for class in ["set/a", "set/b"] {
        std::fs::create_dir_all(scene.path(class).join("train")).unwrap();
        std::fs::rename(scene.path("goods"), scene.path(class).join("train/good")).ok();
        scene.weave(&format!("{class}/train/good/0.png"), 40, 40, 0);
        scene.weave(&format!("{class}/test/good/0.png"), 40, 50, 31);
        scene.weave(&format!("{class}/test/hole/0.png"), 70, 40, 32);
        let mut mask = vec![0; 70 * 40];
        mask[1000..1040].fill(255);
        let mask = Picture::from_grey8(70, 40, mask).unwrap();
        scene.save(&format!("{class}/ground_truth/hole/0_mask.png"), &mask);
    }
    let table = scene.run(&["eval", "run", "set/a"]);
    let text = told(&table);
    assert!(table.status.success(), "{text}");
    assert!(text.contains("hole") && text.contains("AUPRO"), "{text}");

    let json = scene.run(&["eval", "run/model.onnx", "set", "--json"]);
    assert!(json.status.success(), "{}", told(&json));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let classes = report["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 2);
    assert_eq!(classes[0]["verdicts"][0]["kind"], "good");
    assert_eq!(classes[0]["verdicts"][1]["pictures"], 1);
    let rows = classes[0]["rows"].as_array().unwrap();
    let kinds: Vec<&str> = rows
        .iter()
        .map(|row| row["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["hole", "mean", "all"]);
    for figure in [
        "image_auroc",
        "image_ap",
        "pixel_auroc",
        "pixel_ap",
        "aupro",
    ] {
        let value = report["mean"][figure].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{figure} {value}");
        assert_eq!(rows[0][figure], rows[2][figure]);
    }

    // Tests need no goods for training, and a class without tests is named.
    std::fs::remove_dir_all(scene.path("set/a/train/good")).unwrap();
    std::fs::create_dir_all(scene.path("set/a/train/good")).unwrap();
    std::fs::remove_dir_all(scene.path("set/b/train")).unwrap();
    scene.weave("set/c/train/good/0.png", 40, 40, 0);
    let all = scene.run(&["eval", "run", "set", "--json"]);
    let text = told(&all);
    assert!(all.status.success(), "{text}");
    assert!(text.contains("class 'c' has no test pictures"), "{text}");
    let again: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(again["classes"], report["classes"]);
    for class in ["set/a", "set/b"] {
        let one = scene.run(&["eval", "run", class]);
        assert!(one.status.success(), "{}", told(&one));
    }
}

#[test]
fn networks_have_names() {
    let scene = Scene::new();
    let small = SMALL.map(|option| match option.contains("width") {
        true => "--network=fast",
        false => option,
    });
    let fit = |options: &[&str]| {
        scene.run(&[&["fit", "goods", "--steps=1", "--out=run"], options].concat())
    };
    let named = fit(&small[1..]);
    assert!(named.status.success(), "{}", told(&named));
    let config = std::fs::read_to_string(scene.path("run/config.toml")).unwrap();
    for line in [
        "reconstructive_width = 8",
        "discriminative_width = 4",
        "reconstructive_poolings = 2",
        "learning_rate = 0.0016",
    ] {
        assert!(config.contains(line), "'{line}' is missing from:\n{config}");
    }
    for other in ["--network=quick", "--discriminative-width=8"] {
        let refused = fit(&[&small[1..], &[other]].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    }
}

#[test]
fn eval_compares_the_verdicts_of_two_bundles() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=2", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    scene.weave("set/train/good/0.png", 40, 40, 0);
    scene.weave("set/test/good/0.png", 40, 50, 31);
    scene.weave("set/test/hole/0.png", 70, 20, 32);
    let mut mask = vec![0; 70 * 20];
    mask[500..520].fill(255);
    let mask = Picture::from_grey8(70, 20, mask).unwrap();
    scene.save("set/ground_truth/hole/0_mask.png", &mask);
    let onnx = std::fs::read(scene.path("run/model.onnx")).unwrap();
    for (name, score) in [("strict.onnx", 1e-6), ("lax.onnx", 1.0)] {
        let mut metadata = Bundle::read(scene.path("run/model.onnx"))
            .unwrap()
            .metadata()
            .clone();
        metadata.threshold.score = score;
        let bytes = seal(ModelProto::decode(onnx.as_slice()).unwrap(), &metadata).unwrap();
        std::fs::write(scene.path(name), bytes).unwrap();
    }
    let beside = |first: &str, second: &str| {
        let json = scene.run(&["eval", first, "set", "--json", "--beside", second]);
        assert!(json.status.success(), "{}", told(&json));
        let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        let found = &report["beside"][0];
        ["tiles", "only_first_rejects", "only_second_rejects"]
            .map(|key| found[key].as_u64().unwrap())
    };
    // Tiles of 32 px that share 8: two by two in 40x50 px, three in 70x20.
    assert_eq!(beside("strict.onnx", "lax.onnx"), [7, 7, 0]);
    assert_eq!(beside("lax.onnx", "strict.onnx"), [7, 0, 7]);
    assert_eq!(beside("lax.onnx", "lax.onnx"), [7, 0, 0]);
    let table = scene.run(&["eval", "lax.onnx", "set", "--beside", "strict.onnx"]);
    assert!(
        told(&table).contains("equal verdicts: 0.00 % of 7 tiles"),
        "{}",
        told(&table)
    );
    let wider = SMALL.map(|option| option.replace("tile=32", "tile=64"));
    let wider: Vec<&str> = wider.iter().map(String::as_str).collect();
    let other = scene.run(&[&["fit", "goods", "--steps=2", "--out=other"], &wider[..]].concat());
    assert!(other.status.success(), "{}", told(&other));
    let refused = scene.run(&["eval", "run", "set", "--beside", "other/model.onnx"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        told(&refused).contains("different tiles"),
        "{}",
        told(&refused)
    );
}

#[test]
fn a_full_disk_loses_no_checkpoint() {
    let scene = Scene::new();
    let begin = [&["fit", "goods", "--steps=100000", "--out=run"], &SMALL[..]].concat();
    let mut child = start(&scene, &begin);
    wait_for(&scene, &mut child, 4);
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = newest(&scene.path("run")).unwrap();
    let content = std::fs::read(&before).unwrap();

    // No file may grow beyond 64 KiB; a checkpoint of these networks needs 1.5 MB.
    let mut full = Command::new("bash")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 64; exec \"$0\" fit --resume run",
        ])
        .arg(env!("CARGO_BIN_EXE_blemish-train"))
        .current_dir(&scene.root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(full.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("warning: cannot write") {
        let read = errors.read_line(&mut text).unwrap();
        assert!(read > 0, "it ended before it wrote: {text}");
    }
    signal(&full, "-INT");
    errors.read_to_string(&mut text).unwrap();
    assert_eq!(full.wait().unwrap().code(), Some(2), "{text}");
    assert!(text.contains("is kept"), "{text}");
    assert!(text.contains("error: cannot write"), "{text}");
    assert_eq!(newest(&scene.path("run")).unwrap(), before);
    assert_eq!(std::fs::read(&before).unwrap(), content);
}

#[test]
fn held_out_copies_of_training_pictures_judge_nothing() {
    let scene = Scene::new();
    let held = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with("pictures"))
            .unwrap();
        line.to_owned()
    };
    let first = told(&scene.fit(&["--steps=1", "--out=first"]));
    assert!(
        held(&first).contains("10 good for training, 2 held out"),
        "{first}"
    );
    // Which two are held out is the seed's and the names' business; copies of a training picture take their places.
    let is_held = |name: &str| {
        let bundle = std::fs::read(scene.path("first/model.onnx")).unwrap();
        let content = Sha256::digest(std::fs::read(scene.path(name)).unwrap());
        let short: String = content[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        !bundle.windows(16).any(|window| window == short.as_bytes())
    };
    let names: Vec<String> = (0..12)
        .map(|number| format!("goods/{number:02}.png"))
        .collect();
    let (judges, trained): (Vec<_>, Vec<_>) = names.iter().partition(|name| is_held(name));
    assert_eq!((judges.len(), trained.len()), (2, 10));
    std::fs::copy(scene.path(trained[3]), scene.path(judges[0])).unwrap();
    let second = told(&scene.fit(&["--steps=1", "--out=second"]));
    assert!(
        held(&second).contains("10 good for training, 1 held out"),
        "{second}"
    );
    for name in [judges[0], trained[3]] {
        let name = name.trim_start_matches("goods/");
        assert!(second.contains(&format!("'{name}'")), "{name} in {second}");
    }
    assert!(
        second.contains("training pictures under other names"),
        "{second}"
    );
    let bundle = Bundle::read(scene.path("second/model.onnx")).unwrap();
    assert_eq!(bundle.metadata().threshold.goods, 1);
    std::fs::copy(scene.path(trained[4]), scene.path(judges[1])).unwrap();
    let third = scene.fit(&["--steps=1", "--out=third"]);
    assert_eq!(third.status.code(), Some(2));
    let third = told(&third);
    assert!(
        third.contains("every held-out picture is a training picture"),
        "{third}"
    );
    assert!(!scene.path("third").exists());
}
