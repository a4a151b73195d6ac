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
    let set = scene.run(&[
        "threshold",
        "run/model.onnx",
        "monday",
        "--rejects-per-1000=100",
        "--score=0.000001",
    ]);
    assert!(set.status.success(), "{}", told(&set));
    let bundle = Bundle::read(scene.path("run/model.onnx")).unwrap();
    let threshold = &bundle.metadata().threshold;
    // At so low a score the whole picture is one region.
    assert_eq!(threshold.score, 1e-6);
    assert_eq!(threshold.min_area_px, 64 * 40 + 1);
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
    let cases: [(&[&str], &str); 5] = [
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
