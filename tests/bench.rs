//! `blemish bench`: the shape of what it says. Times are never asserted.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn blemish(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_blemish"))
        .arg("bench")
        .args(arguments)
        .output()
        .unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = blemish(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0)
}

#[test]
fn figures_of_the_shipped_model_hang_together() {
    let said = json(&["--json", "--tiles", "3", "--threads", "1,2"]);
    assert_eq!(said["schema"], 1);
    assert_eq!(said["model"]["origin"], "embedded");
    assert_eq!(said["model"]["quantized"], true);
    let layers = said["layers"].as_array().unwrap();
    let macs: u64 = layers.iter().map(|l| l["macs"].as_u64().unwrap()).sum();
    assert_eq!(said["model"]["macs"], macs);
    for layer in layers {
        let (median, least) = (&layer["median_us"], &layer["min_us"]);
        assert!(median.is_number() && least.is_number(), "{layer}");
        assert!(median.as_f64() >= least.as_f64(), "{layer}");
        assert_eq!(layer["macs"] == 0, layer["share_of_peak"].is_null());
    }
    let tile = &said["tile"];
    assert_eq!(tile["tiles"], 3);
    assert!(tile["median_ms"].as_f64() >= tile["min_ms"].as_f64());
    for figure in ["median_ms", "min_ms", "gmacs_per_s", "share_of_peak"] {
        assert!(positive(&tile[figure]), "{figure}: {tile}");
    }
    for figure in ["int8", "f32"] {
        assert!(positive(&said["peak_gmacs_per_s"][figure]), "{figure}");
    }
    let load = &said["load"];
    assert!(positive(&load["ready_ms"]), "{load}");
    assert!(load["first_verdict_ms"].as_f64() >= load["ready_ms"].as_f64());
    if cfg!(target_os = "linux") {
        assert!(positive(&tile["cpu_min_ms"]) && positive(&load["peak_memory_kib"]));
        // What a Raspberry Pi with 512 MB can spare beside a system and its pictures.
        assert!(
            load["peak_memory_kib"].as_f64() < Some(40e6 / 1024.0),
            "{load}"
        );
    }
    let workers: Vec<&Value> = said["workers"].as_array().unwrap().iter().collect();
    assert_eq!(workers.len(), 2);
    assert_eq!(workers[0]["against_first"], 1.0);
    assert_eq!(workers[1]["workers"], 2);
    let one_tile = said["one_tile"].as_array().unwrap();
    let threads: Vec<u64> = one_tile
        .iter()
        .map(|t| t["threads"].as_u64().unwrap())
        .collect();
    assert_eq!(threads, [1, 2]);
    for row in one_tile {
        assert!(
            positive(&row["min_ms"]) && positive(&row["against_first"]),
            "{row}"
        );
    }
}

#[test]
fn another_tile_costs_by_its_area_and_is_written_where_asked() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench_tile");
    let save = folder.to_str().unwrap();
    let arguments = ["--json", "--tiles", "2", "--threads", "1", "--save", save];
    let own = json(&arguments);
    let side = own["model"]["tile"]["width_px"].as_u64().unwrap();
    let wide = format!("{}x{side}", 2 * side);
    let twice = json(&[&arguments[..], &["--tile", &wide]].concat());
    assert_eq!(twice["model"]["tile"]["width_px"], 2 * side);
    let macs = |said: &Value| said["model"]["macs"].as_u64().unwrap();
    assert_eq!(macs(&twice), 2 * macs(&own));
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(bytes("tile.f32").len() as u64, 3 * 2 * side * side * 4);
    let map = bytes("map.f32");
    assert_eq!(map.len() as u64, 2 * side * side * 4);
    let values = map
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b));
    assert!(values.clone().all(|p| (0.0..=1.0).contains(&p)));
    assert!(values.clone().any(|p| p > 0.0));
    // Every processor has the plain kernels, and they say the same.
    let small = [&arguments[..], &["--tile", "32"]].concat();
    json(&small);
    let map = bytes("map.f32");
    let plain = json(&[&small[..], &["--kernels", "scalar"]].concat());
    assert_eq!(plain["model"]["kernels"], "scalar");
    let again = bytes("map.f32");
    let values = again.as_chunks::<4>().0.iter().zip(map.as_chunks::<4>().0);
    let off = values.map(|(a, b)| (f32::from_le_bytes(*a) - f32::from_le_bytes(*b)).abs());
    assert!(off.fold(0.0, f32::max) < 1e-5);
}

#[test]
fn the_table_names_every_layer_and_bad_input_ends_with_2() {
    let output = blemish(&["--tiles", "2", "--threads", "1"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in [
        "% of this core's int8 peak",
        "ByteConv",
        "workers  1:",
        "one tile on 1:",
        "anomaly_map",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    for (arguments, reason) in [
        (["--tile", "100"], "multiples of 32"),
        (["--model", "no/such.onnx"], "no/such.onnx"),
        (["--threads", "0"], "0 is not in"),
        (["--kernels", "abacus"], "this processor has"),
    ] {
        let output = blemish(&arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains(reason), "{complaint}");
    }
}
