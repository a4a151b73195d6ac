//! `report` as a program: one file that shows a run and what is wrong with its pictures.

mod program;

use base64::Engine;
use blemish::picture::Picture;
use program::{Scene, told};
#[cfg(unix)]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// The pictures of a page, decoded.
fn pictures(html: &str) -> Vec<(usize, usize)> {
    let parts = html.split("data:image/jpeg;base64,").skip(1);
    let decoded = parts.map(|part| {
        let text = part.split('"').next().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        let picture = Picture::decode(&bytes.unwrap(), Path::new("embedded.jpg")).unwrap();
        (picture.width_px, picture.height_px)
    });
    decoded.collect()
}

#[test]
fn a_run_is_reported_with_its_pictures_and_warnings() {
    let scene = Scene::new();
    // Another file, since something follows the picture's end, but pixel for pixel the same.
    let mut copy = std::fs::read(scene.path("goods/00.png")).unwrap();
    copy.push(0);
    scene.write("goods/copy.png", &copy);
    let early = scene.run(&["report", "runs/goods"]);
    assert_eq!(early.status.code(), Some(2), "{}", told(&early));
    let fit = scene.fit(&["--steps=20"]);
    assert!(fit.status.success(), "{}", told(&fit));

    // Another run's goods, far too bright; and a defect that a person marked.
    for number in 0..3 {
        let picture = Picture::open(&scene.path(&format!("goods/0{number}.png"))).unwrap();
        let bright = picture
            .to_rgb8()
            .iter()
            .step_by(3)
            .map(|v| v.saturating_add(110))
            .collect();
        let bright = Picture::from_grey8(48, 40, bright).unwrap();
        scene.save(&format!("monday/{number}.png"), &bright);
    }
    scene.weave("class/train/good/0.png", 40, 40, 30);
    scene.weave("class/test/good/0.png", 40, 50, 31);
    scene.weave("class/test/hole/0.png", 70, 40, 32);
    let mut mask = vec![0; 70 * 40];
    mask[1000..1040].fill(255);
    let mask = Picture::from_grey8(70, 40, mask).unwrap();
    scene.save("class/ground_truth/hole/0_mask.png", &mask);

    let report = ["report", "runs/goods", "--good=monday", "--defects=class"];
    let report = scene.run(&report);
    let text = told(&report);
    assert!(report.status.success(), "{text}");
    let html = std::fs::read_to_string(scene.path("runs/goods/report.html")).unwrap();
    for warning in [
        "too few goods: 10 pictures for training",
        "299 goods that training never saw",
        "exact duplicates: 1 pair",
        "00.png and copy.png",
        "drift: the brightness",
        "saturated: in 3 of 3 pictures of the other run",
    ] {
        assert!(
            text.contains(warning),
            "'{warning}' is missing from: {text}"
        );
        assert!(
            html.contains(warning),
            "'{warning}' is missing from the page"
        );
    }
    for part in [
        "held-out goods (3)",
        "other goods (3)",
        "hole (1)",
        "20 of 20 steps",
        "Worst held-out goods",
        "Best-hidden simulated defects",
        "Best-hidden real defects",
        "reconstructive_width = 4",
    ] {
        assert!(html.contains(part), "'{part}' is missing from the page");
    }
    // Three losses and three figures of the validations at steps 8, 16 and 20; each with its key.
    assert_eq!(html.matches("<polyline").count(), 12);
    assert!(!html.contains("http://") && !html.contains("https://"));
    let shown = pictures(&html);
    let of = |sides: (usize, usize)| shown.iter().filter(|found| **found == sides).count();
    // Picture, map and reconstruction of every good picture and of the defect.
    assert!(of((48, 40)) >= 3 * 6 && of((70, 40)) >= 3, "{shown:?}");
    assert!(of((32, 32)) >= 3, "no simulated defect: {shown:?}");
}

#[test]
fn a_report_does_without_curves_and_names_a_mask_that_does_not_fit() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=2"]);
    assert!(fit.status.success(), "{}", told(&fit));
    std::fs::remove_file(scene.path("runs/goods/metrics.jsonl")).unwrap();
    scene.write("web/page.html", b"before");
    #[cfg(unix)]
    {
        let page = scene.path("web/page.html");
        std::fs::set_permissions(&page, PermissionsExt::from_mode(0o640)).unwrap();
        symlink(page, scene.path("runs/goods/report.html")).unwrap();
    }
    let report = scene.run(&["report", "runs/goods"]);
    let text = told(&report);
    assert!(report.status.success(), "{text}");
    assert!(
        text.contains("cannot read runs/goods/metrics.jsonl: No such file"),
        "{text}"
    );
    assert!(scene.path("runs/goods/report.html").is_file());
    #[cfg(unix)]
    {
        assert!(scene.path("runs/goods/report.html").is_symlink());
        let page = std::fs::metadata(scene.path("web/page.html")).unwrap();
        assert_eq!(page.permissions().mode() & 0o7777, 0o640);
        assert!(page.len() > 1000);
    }

    scene.weave("class/train/good/0.png", 40, 40, 30);
    scene.weave("class/test/hole/7.png", 70, 40, 32);
    let mask = Picture::from_grey8(9, 9, vec![255; 81]).unwrap();
    scene.save("class/ground_truth/hole/7_mask.png", &mask);
    let report = scene.run(&["report", "runs/goods", "--defects=class"]);
    let text = told(&report);
    assert_eq!(report.status.code(), Some(2), "{text}");
    assert!(
        text.contains("'class/test/hole/7.png': its mask has 9x9 px, the picture 70x40 px"),
        "{text}"
    );
}

#[test]
fn a_report_on_other_pictures_is_refused() {
    let scene = Scene::new();
    let fit = scene.fit(&["--steps=2"]);
    assert!(fit.status.success(), "{}", told(&fit));
    scene.weave("elsewhere/0.png", 48, 40, 50);
    scene.weave("elsewhere/1.png", 48, 40, 51);
    let report = scene.run(&["report", "runs/goods", "--pictures=elsewhere"]);
    let text = told(&report);
    assert_eq!(report.status.code(), Some(2), "{text}");
    assert!(text.contains("give theirs with --pictures"), "{text}");
}

#[test]
fn a_bundle_that_learnt_what_was_held_out_is_refused() {
    let scene = Scene::new();
    for options in [["--seed=1", "--out=a"], ["--seed=2", "--out=b"]] {
        let fit = scene.fit(&[&["--steps=2"], &options[..]].concat());
        assert!(fit.status.success(), "{}", told(&fit));
    }
    let report = scene.run(&["report", "a", "--model=b/model.onnx"]);
    let text = told(&report);
    assert_eq!(report.status.code(), Some(2), "{text}");
    for part in [
        "b/model.onnx was trained on ",
        "of the 2 pictures that the run held out, the first is ",
    ] {
        assert!(text.contains(part), "'{part}' is missing from: {text}");
    }
    assert!(!scene.path("a/report.html").exists());

    // Defects that are taken for goods as well.
    scene.weave("monday/0.png", 48, 40, 50);
    scene.weave("monday/ng/0.png", 48, 40, 51);
    let report = scene.run(&["report", "a", "--good=monday", "--defects=monday/ng"]);
    let text = told(&report);
    assert_eq!(report.status.code(), Some(2), "{text}");
    assert!(
        text.contains("'monday/ng/0.png' is among the good pictures"),
        "{text}"
    );
}
