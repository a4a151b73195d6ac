//! `blemish model`: what it prints and how it ends.

use std::path::PathBuf;
use std::process::{Command, Output};

fn blemish(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_blemish"))
        .arg("model")
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_shipped_bundle_passes_every_check() {
    let output = blemish(&["check"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for check in [
        "file", "format", "hash", "metadata", "weights", "graph", "engine", "golden",
    ] {
        assert!(said.contains(&format!("{check:<9} ok\n")), "{said}");
    }
    assert!(
        said.contains("embedded may be used on this machine"),
        "{said}"
    );
}

/// What the folder offers is whole, and computes in integers all through.
#[test]
fn every_bundle_of_the_models_folder_may_be_used() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("models").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let file = path.to_str().unwrap();
        let output = blemish(&["check", file]);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        let shown = blemish(&["show", "--json", file]);
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
        for node in shown["nodes"].as_array().unwrap() {
            if node["macs"].as_u64().unwrap() > 0 {
                let operator = node["operator"].as_str().unwrap();
                assert!(operator.starts_with("ByteConv"), "{file}: {node}");
            }
        }
        names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["balanced", "default", "fast"]);
}

/// A name from a file does not command the terminal.
#[test]
fn what_a_bundle_says_of_itself_is_shown_and_not_obeyed() {
    use prost::Message;
    let file = include_bytes!("../models/default.onnx");
    let mut model = tract_onnx::pb::ModelProto::decode(&file[..]).unwrap();
    for property in &mut model.metadata_props {
        if property.key == blemish::model::METADATA_KEY {
            let mut metadata: serde_json::Value = serde_json::from_str(&property.value).unwrap();
            metadata["name"] = "felt\u{1b}[2J\nthreshold 0".into();
            property.value = metadata.to_string();
        }
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("escapes.onnx");
    std::fs::write(&path, blemish::model::reseal(model)).unwrap();
    let output = blemish(&["show", path.to_str().unwrap()]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    assert!(said.contains("felt\\u{1b}[2J\\nthreshold 0\n"), "{said:?}");
}

#[test]
fn the_cost_is_that_of_the_nodes() {
    let output = blemish(&["show", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = shown["nodes"].as_array().unwrap();
    let sum: u64 = nodes
        .iter()
        .map(|node| node["macs"].as_u64().unwrap())
        .sum();
    assert_eq!(shown["macs"], sum);
    assert!(sum > 1_000_000, "{sum}");
    assert_eq!(shown["metadata"]["schema"], 1);
    let table = stdout(&blemish(&["show"]));
    assert!(
        table.contains(&format!("per tile, {} nodes", nodes.len())),
        "{table}"
    );
}

#[test]
fn a_refused_file_ends_with_2_and_the_reason() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let shipped =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/default.onnx")).unwrap();
    let mut flipped = shipped.clone();
    flipped[shipped.len() / 4] ^= 1;
    let cases: [(&str, &[u8], &str, &str); 3] = [
        ("empty.onnx", b"", "file", "the file is empty"),
        (
            "cut.onnx",
            &shipped[..shipped.len() / 2],
            "format",
            "cut short",
        ),
        ("flipped.onnx", &flipped, "hash", "damaged or edited"),
    ];
    for (name, bytes, check, reason) in cases {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let output = blemish(&["check", path]);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{check:<9} REFUSED: ")), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(said.contains("golden    not reached"), "{said}");

        let output = blemish(&["show", path]);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(
            complaint.contains(path) && complaint.contains(reason),
            "{complaint}"
        );
    }
    let output = blemish(&["show", "no/such/file.onnx"]);
    assert_eq!(output.status.code(), Some(2));
}
