//! The whole program: thresholds from goods of another imaging run.

mod program;

use blemish::model::{Bundle, seal};
use program::{Scene, told};
use prost::Message;
use tract_onnx::pb::ModelProto;

/// A small trained bundle and forty goods of another run.
fn scene() -> Scene {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=8", "--out=run"]);
    assert!(fit.status.success(), "{}", told(&fit));
    for picture in 0..40 {
        scene.weave(&format!("monday/{picture:02}.png"), 64, 40, 1000 + picture);
    }
    scene
}

#[test]
fn a_promise_is_kept_stored_and_explained() {
    let scene = scene();
    let set = scene.run(&[
        "threshold",
        "run/model.onnx",
        "monday",
        "--rejects-per-1000=150",
        "--defects=goods",
        "--out=set.onnx",
    ]);
    assert!(set.status.success(), "{}", told(&set));
    let words = told(&set);
    assert!(words.contains("with 95 % confidence at most"), "{words}");
    assert!(words.contains("of 12 real ones are found"), "{words}");
    let bundle = Bundle::read(scene.path("set.onnx")).unwrap();
    let threshold = &bundle.metadata().threshold;
    assert_eq!(threshold.goods, 40);
    assert!(threshold.upper_95_rejects_per_1000 <= 150.0);
    // 2 rejects of 40 give 149.2 per 1000, 1 gives 113.1.
    assert!(threshold.expected_rejects_per_1000 <= 1000.0 * 3.0 / 41.0 + 1e-9);
    assert!(threshold.basis.contains("of 40 good pictures in monday"));
    let before = Bundle::read(scene.path("run/model.onnx")).unwrap();
    assert_eq!(before.metadata().threshold.goods, 2, "the old file is kept");
    let (old, new) = (before.metadata().light, bundle.metadata().light);
    let (old, new) = (old.unwrap(), new.unwrap());
    assert_eq!(new, new.widened(old));
    assert!(words.contains(&format!("light       {new}; ")), "{words}");

    // `eval` of the same goods rejects as many as were allowed.
    for picture in 0..40 {
        scene.weave(
            &format!("set/test/good/{picture:02}.png"),
            64,
            40,
            1000 + picture,
        );
    }
    scene.weave("set/train/good/0.png", 64, 40, 1);
    scene.weave("set/test/bad/0.png", 64, 40, 1);
    scene.weave("set/ground_truth/bad/0_mask.png", 64, 40, 1);
    let eval = scene.run(&["eval", "set.onnx", "set", "--json"]);
    assert!(eval.status.success(), "{}", told(&eval));
    let report: serde_json::Value = serde_json::from_slice(&eval.stdout).unwrap();
    let good = &report["classes"][0]["verdicts"][0];
    assert_eq!(good["kind"], "good");
    assert!(good["rejected"].as_u64().unwrap() <= 2, "{good}");
}

#[test]
fn the_area_can_keep_the_promise_at_a_given_score() {
    let scene = scene();
    let set = |score: &str| {
        scene.run(&[
            "threshold",
            "run/model.onnx",
            "monday",
            "--rejects-per-1000=100",
            "--score",
            score,
        ])
    };
    let before = std::fs::read(scene.path("run/model.onnx")).unwrap();
    // At so low a score the whole picture is one region, and nothing could ever be rejected.
    let whole = set("0.000001");
    assert_eq!(whole.status.code(), Some(2), "{}", told(&whole));
    for part in [
        "regions of up to 2560 px",
        "100 % of the smallest picture's 2560",
        "give a higher --score",
    ] {
        assert!(told(&whole).contains(part), "{}", told(&whole));
    }
    assert_eq!(std::fs::read(scene.path("run/model.onnx")).unwrap(), before);

    // No good picture reaches this one.
    let high = set("1");
    assert!(high.status.success(), "{}", told(&high));
    let bundle = Bundle::read(scene.path("run/model.onnx")).unwrap();
    let threshold = &bundle.metadata().threshold;
    assert_eq!((threshold.score, threshold.min_area_px), (1.0, 1));
    assert!(threshold.basis.contains("area at a given score"));
}

#[test]
fn copies_of_a_picture_promise_nothing() {
    let scene = scene();
    let picture = std::fs::read(scene.path("monday/07.png")).unwrap();
    for copy in 0..299 {
        scene.write(&format!("copies/{copy:03}.png"), &picture);
        scene.write(&format!("monday/copy-{copy:03}.png"), &picture);
    }
    let set = |goods: &str, promise: &str| {
        let out = scene.run(&[
            "threshold",
            "run/model.onnx",
            goods,
            promise,
            "--out=set.onnx",
        ]);
        (out.status.code(), told(&out))
    };
    let (code, words) = set("copies", "--rejects-per-1000=10");
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("1 good pictures cannot promise"), "{words}");
    let (code, words) = set("monday", "--rejects-per-1000=150");
    assert_eq!(code, Some(0), "{words}");
    let copies = "copies      299 of 339 pictures are copies of others and left out, such as \
                  monday/copy-000.png of monday/07.png";
    assert!(words.contains(copies), "{words}");
    let bundle = Bundle::read(scene.path("set.onnx")).unwrap();
    let threshold = &bundle.metadata().threshold;
    assert_eq!(threshold.goods, 40);
    assert!(threshold.basis.contains("of 40 good pictures in monday"));
}

#[test]
fn a_threshold_that_was_set_is_not_written_over() {
    let scene = scene();
    let run = |arguments: &[&str]| {
        let out = scene.run(arguments);
        (out.status.code(), told(&out))
    };
    let bytes = |file: &str| std::fs::read(scene.path(file)).unwrap();
    let trained = bytes("run/model.onnx");
    let quantize = ["quantize", "run", "--steps=0"];
    assert_eq!(run(&quantize).0, Some(0));
    assert_eq!(run(&quantize).0, Some(0), "nothing is lost yet");
    for bundle in ["run/model.onnx", "run/model.int8.onnx"] {
        let (code, words) = run(&["threshold", bundle, "monday", "--rejects-per-1000=150"]);
        assert_eq!(code, Some(0), "{words}");
    }
    let set = bytes("run/model.onnx");
    for command in [&["export", "run"][..], &quantize] {
        let (code, words) = run(command);
        assert_eq!(code, Some(2), "{words}");
        for part in [
            "of 40 good pictures in monday",
            "--out",
            "--discard-threshold",
        ] {
            assert!(words.contains(part), "'{part}' in {words}");
        }
        assert!(!words.contains("ranges "), "no work before: {words}");
    }
    let (code, words) = run(&["fit", "--resume=run"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("threshold   kept: "), "{words}");
    let (code, words) = run(&["fit", "--resume=run", "--score-window=3"]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("move that file away first"), "{words}");
    assert!(bytes("run/model.onnx") == set);

    // A folder with nothing but such a bundle is no place for a new run.
    scene.write("lone/model.onnx", &set);
    let fit = scene.fit(&["--steps=8", "--out=lone"]);
    assert_eq!(fit.status.code(), Some(2), "{}", told(&fit));
    assert!(told(&fit).contains("move that file away first"));
    assert!(bytes("lone/model.onnx") == set && !scene.path("lone/config.toml").exists());

    let (code, words) = run(&["export", "run", "--out=other.onnx"]);
    assert_eq!(code, Some(0), "{words}");
    let (code, words) = run(&["export", "run", "--discard-threshold"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(bytes("run/model.onnx") == trained && bytes("other.onnx") == trained);
    let (code, words) = run(&["fit", "--resume=run"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(!words.contains("kept"), "{words}");
}

#[test]
fn places_are_tried_before_the_work() {
    let scene = scene();
    let out = "--out=nowhere/x";
    for command in [
        &["quantize", "run", "--steps=1"][..],
        &["export", "run"],
        &["report", "run"],
        &["threshold", "run/model.onnx", "absent"],
        &["import", "absent.pckl", "absent_seg.pckl"],
    ] {
        let refused = scene.run(&[command, &[out]].concat());
        let words = told(&refused);
        assert_eq!(refused.status.code(), Some(2), "{words}");
        assert!(words.contains("cannot write nowhere/x: "), "{words}");
        assert!(words.contains("another place with --out"), "{words}");
        assert!(refused.stdout.is_empty(), "{words}");
    }
}

#[test]
fn what_the_old_threshold_would_have_rejected_is_counted() {
    let scene = scene();
    let bytes = std::fs::read(scene.path("run/model.onnx")).unwrap();
    let bundle = Bundle::read(scene.path("run/model.onnx")).unwrap();
    let words = |score: f32, more: &[&str]| {
        let mut metadata = bundle.metadata().clone();
        metadata.threshold.score = score;
        let model = ModelProto::decode(bytes.as_slice()).unwrap();
        scene.write("old.onnx", &seal(model, &metadata).unwrap());
        let options = ["threshold", "old.onnx", "monday", "--rejects-per-1000=200"];
        let set = scene.run(&[&options[..], more].concat());
        assert!(set.status.success(), "{}", told(&set));
        told(&set)
    };
    let all = words(1e-6, &[]);
    assert!(
        all.contains("before it was 0.0000, which 40 of these 40 goods reach"),
        "{all}"
    );
    for (score, more) in [(1.0, &[][..]), (1e-6, &["--score=0.5"])] {
        let none = words(score, more);
        assert!(!none.contains("before it was"), "{none}");
    }
}

#[test]
fn defects_inside_the_goods_folder_are_no_goods() {
    let scene = scene();
    for picture in 0..3 {
        scene.weave(&format!("monday/defects/{picture}.png"), 64, 40, picture);
    }
    let before = std::fs::read(scene.path("run/model.onnx")).unwrap();
    let set = scene.run(&[
        "threshold",
        "run/model.onnx",
        "monday",
        "--rejects-per-1000=150",
        "--defects=monday/defects",
    ]);
    let words = told(&set);
    assert_eq!(set.status.code(), Some(2), "{words}");
    assert!(
        words.contains("'monday/defects/0.png' is among the good pictures"),
        "{words}"
    );
    let after = std::fs::read(scene.path("run/model.onnx")).unwrap();
    assert!(before == after);
}

#[test]
fn trained_pictures_set_no_threshold_under_another_name() {
    let scene = scene();
    for picture in 0..12 {
        let bytes = std::fs::read(scene.path(&format!("goods/{picture:02}.png"))).unwrap();
        scene.write(&format!("monday/copy-{picture:02}.png"), &bytes);
    }
    let set = |bundle: &str| {
        let set = scene.run(&["threshold", bundle, "monday", "--rejects-per-1000=200"]);
        (set.status.code(), told(&set))
    };
    let (code, words) = set("run/model.onnx");
    assert_eq!(code, Some(2), "{words}");
    // Two of the twelve were held out.
    assert!(
        words.contains("10 of 52 good pictures are pictures this bundle was trained on, the first is monday/copy-"),
        "{words}"
    );

    // A bundle from before they were kept says nothing, but its metadata is the same.
    let bytes = std::fs::read(scene.path("run/model.onnx")).unwrap();
    let metadata = Bundle::read(scene.path("run/model.onnx")).unwrap();
    let mut model = ModelProto::decode(bytes.as_slice()).unwrap();
    model
        .metadata_props
        .retain(|property| property.key != "blemish.trained");
    scene.write("old.onnx", &seal(model, metadata.metadata()).unwrap());
    let (code, words) = set("old.onnx");
    assert_eq!(code, Some(0), "{words}");
}

#[test]
fn what_cannot_be_promised_is_refused_with_the_number_needed() {
    let scene = scene();
    scene.write("broken/0.png", b"no picture");
    // Found before any good picture is opened.
    scene.write("monday/07.png", b"no picture");
    let cases: [(&[&str], &str); 6] = [
        (&["run/model.onnx", "monday"], "at least 299 are needed"),
        (
            &["run/model.onnx", "goods", "--rejects-per-1000=500"],
            "holds the pictures this bundle was trained on",
        ),
        (
            &["run/model.onnx", "monday", "--rejects-per-1000=0"],
            "must lie between 0 and 1000",
        ),
        (&["run/none.onnx", "monday"], "run/none.onnx: No such file"),
        (
            &[
                "run/model.onnx",
                "monday",
                "--rejects-per-1000=200",
                "--defects=run",
            ],
            "'run' holds no picture of a defect",
        ),
        // Found before any good picture is opened.
        (
            &["run/model.onnx", "broken", "--defects=run"],
            "'run' holds no picture of a defect",
        ),
    ];
    let before = std::fs::read(scene.path("run/model.onnx")).unwrap();
    for (arguments, words) in cases {
        let refused = scene.run(&[&["threshold"], arguments].concat());
        let told = told(&refused);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(words), "{told}");
    }
    let after = std::fs::read(scene.path("run/model.onnx")).unwrap();
    assert_eq!(before, after);
}
