//! ONNX Runtime gives what the reference forward gives, and `onnx.checker` accepts the file.
//!
//! Installs both by pip into `target/peers-venv` the first time; without Python or a network the test
//! says that it was skipped.

mod common;
mod support;

use blemish::draem::{Graph, Upsampling};
use blemish::geometry::TileSize;
use blemish::model::planes;
use blemish_train::export::write_bundle;
use blemish_train::reference::forward;
use common::{metadata, picture, random_weights, spec, with_poolings};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::say_skipped;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnx_runtime_parity.py");

/// A Python that has `onnx` and `onnxruntime`, else why there is none.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../peers-venv");
    let python = folder.join("bin/python");
    let works = |python: &Path| {
        let imports = "import numpy, onnx, onnxruntime";
        let output = Command::new(python).args(["-c", imports]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if works(&python) {
        return Ok(python);
    }
    let into = folder.to_str().ok_or("the path of target is not UTF-8")?;
    let steps: [(&Path, Vec<&str>); 2] = [
        (Path::new("python3"), vec!["-m", "venv", into]),
        (
            &python,
            vec!["-m", "pip", "install", "-q", "numpy", "onnx", "onnxruntime"],
        ),
    ];
    for (program, arguments) in steps {
        match Command::new(program).args(arguments).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => return Err(format!("{}: {error}", program.display())),
        }
    }
    match works(&python) {
        true => Ok(python),
        false => Err("they do not import".to_owned()),
    }
}

fn write(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn onnx_runtime_gives_what_the_reference_gives() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            return say_skipped(&format!(
                "Python with onnx and onnxruntime could not be installed: {why}"
            ));
        }
    };
    let narrow = spec(4, 4, Upsampling::AlignCorners);
    let cases = [
        (narrow, 64),
        (spec(8, 8, Upsampling::AlignCorners), 128),
        (spec(4, 4, Upsampling::HalfPixel), 64),
        (with_poolings(narrow, 1), 64),
        (with_poolings(narrow, 2), 64),
    ];
    for (number, (network, side)) in cases.into_iter().enumerate() {
        let tile = TileSize::square(side);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("runtime{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        let graph = Graph::new(network);
        let weights = random_weights(&graph, 11);
        let facts = metadata(network, tile);
        let seen = planes(&picture(tile, 3), facts.color_order);
        let expected = forward(&graph, &weights, &seen, tile).unwrap();
        let bundle = write_bundle(&weights, facts, &picture(tile, 1)).unwrap();
        std::fs::write(folder.join("bundle.onnx"), bundle).unwrap();
        write(&folder.join("tile"), &seen);
        write(&folder.join("map"), &expected.anomaly_map);
        write(&folder.join("reconstruction"), &expected.reconstruction);
        let output = Command::new(&python)
            .arg(SCRIPT)
            .args(["bundle.onnx", "tile", "map", "reconstruction"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let (said, complaint) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{complaint}");
        println!("{network:?}: {said}");
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(report["opset"], 17);
        assert_eq!(report["inputs"], serde_json::json!(["image"]));
        assert_eq!(
            report["outputs"],
            serde_json::json!(["anomaly_map", "reconstruction"])
        );
        assert_eq!(
            report["metadata"],
            serde_json::json!(["blemish", "blemish_sha256"])
        );
        for difference in report["differences"].as_array().unwrap() {
            assert!(difference.as_f64().unwrap() < 1e-4, "{said}");
        }
    }
}
