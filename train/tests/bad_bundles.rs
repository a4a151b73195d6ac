//! Every way in which a bundle can be wrong, with what the reader says about it.

mod common;

use blemish::draem::{Graph, Upsampling};
use blemish::geometry::TileSize;
use blemish::model::{Bundle, Check, METADATA_KEY, reseal};
use blemish_train::export::write_bundle;
use common::{metadata, picture, random_weights, spec};
use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

fn good() -> Vec<u8> {
    let (network, tile) = (spec(4, 4, Upsampling::AlignCorners), TileSize::square(32));
    let weights = random_weights(&Graph::new(network), 7);
    write_bundle(&weights, metadata(network, tile), &picture(tile, 1)).unwrap()
}

/// Changes the model and gives it a hash that fits: the reader must see through it.
fn altered(good: &[u8], change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(good).unwrap();
    change(&mut model);
    reseal(model)
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

fn node<'a>(model: &'a mut ModelProto, op_type: &str) -> &'a mut NodeProto {
    let nodes = &mut graph(model).node;
    nodes
        .iter_mut()
        .find(|node| node.op_type == op_type)
        .unwrap()
}

/// The metadata's JSON with one text replaced by another.
fn reworded(good: &[u8], from: &str, to: &str) -> Vec<u8> {
    altered(good, |model| {
        let properties = &mut model.metadata_props;
        let json = properties
            .iter_mut()
            .find(|p| p.key == METADATA_KEY)
            .unwrap();
        assert!(json.value.contains(from), "{from} not in {}", json.value);
        json.value = json.value.replacen(from, to, 1);
    })
}

/// Offset of a byte of a large weight in the file.
fn place_of_a_weight(good: &[u8]) -> usize {
    let model = ModelProto::decode(good).unwrap();
    let arrays = model.graph.unwrap().initializer;
    let largest = arrays.iter().max_by_key(|a| a.raw_data.len()).unwrap();
    let place = good
        .windows(largest.raw_data.len())
        .position(|window| window == largest.raw_data);
    place.unwrap() + 1001
}

#[test]
fn every_bad_bundle_is_refused_with_its_reason() {
    let good = good();
    let weight = place_of_a_weight(&good);
    let mut flipped = good.clone();
    flipped[weight] ^= 0x10;
    let foreign = {
        let mut model = ModelProto::decode(good.as_slice()).unwrap();
        model.metadata_props.clear();
        model.encode_to_vec()
    };
    let edited = {
        let mut model = ModelProto::decode(good.as_slice()).unwrap();
        let json = &mut model.metadata_props[0].value;
        *json = json.replace("\"score\":0.5", "\"score\":0.9");
        model.encode_to_vec()
    };
    let unhashed = {
        let mut model = ModelProto::decode(good.as_slice()).unwrap();
        model.metadata_props.truncate(1);
        model.encode_to_vec()
    };
    let noise: Vec<u8> = (0..5000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8)
        .collect();
    let cases: Vec<(&str, Vec<u8>, Check, &str)> = vec![
        ("empty", vec![], Check::File, "the file is empty"),
        ("random bytes", noise, Check::Format, "not an ONNX file"),
        (
            "text",
            b"# not a model\n".to_vec(),
            Check::Format,
            "not an ONNX file",
        ),
        (
            "cut in half",
            good[..good.len() / 2].to_vec(),
            Check::Format,
            "cut short",
        ),
        (
            "last byte gone",
            good[..good.len() - 1].to_vec(),
            Check::Format,
            "cut short",
        ),
        (
            "foreign",
            foreign,
            Check::Format,
            "no metadata property 'blemish'",
        ),
        ("weight flipped", flipped, Check::Hash, "damaged or edited"),
        ("threshold edited", edited, Check::Hash, "damaged or edited"),
        (
            "hash removed",
            unhashed,
            Check::Hash,
            "'blemish_sha256' is missing",
        ),
        (
            "metadata twice",
            altered(&good, |model| {
                let again = model.metadata_props[0].clone();
                model.metadata_props.push(again);
            }),
            Check::Hash,
            "'blemish' is missing or there twice",
        ),
        (
            "unknown field",
            reworded(&good, "\"grey\":", "\"gray\":true,\"grey\":"),
            Check::Metadata,
            "unknown field `gray`",
        ),
        (
            "field missing",
            reworded(&good, "\"grey\":false,", ""),
            Check::Metadata,
            "missing field `grey`",
        ),
        (
            "newer schema",
            reworded(&good, "\"schema\":1", "\"schema\":2,\"new\":{}"),
            Check::Metadata,
            "have schema 2 and this program reads schema 1",
        ),
        (
            "not JSON",
            reworded(&good, "{", "("),
            Check::Metadata,
            "metadata cannot be read",
        ),
        (
            "tile of 48",
            reworded(&good, "\"width_px\":32", "\"width_px\":48"),
            Check::Metadata,
            "'tile' is 48x32",
        ),
        (
            "threshold above 1",
            reworded(&good, "\"score\":0.5", "\"score\":1.5"),
            Check::Metadata,
            "'threshold' has score 1.5",
        ),
        (
            "other window",
            reworded(&good, "\"window_px\":21", "\"window_px\":5"),
            Check::Metadata,
            "'score' has window 5 px",
        ),
        (
            "other tile than the graph's",
            reworded(&good, "\"width_px\":32", "\"width_px\":64"),
            Check::Graph,
            "must have 'image' as f32 [1, 3, 32, 64] here, but has 'image' as f32 [1, 3, 32, 32]",
        ),
        (
            "NaN weight",
            altered(&good, |model| {
                let array = &mut graph(model).initializer[4];
                array.raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
            }),
            Check::Weights,
            "holds a NaN or infinity (number 0)",
        ),
        (
            "array cut short",
            altered(&good, |model| {
                graph(model).initializer[4].raw_data.truncate(8)
            }),
            Check::Weights,
            "holds 2 numbers, but its shape",
        ),
        (
            "array in another file",
            altered(&good, |model| {
                graph(model).initializer[4].data_location = Some(1)
            }),
            Check::Weights,
            "is kept outside the file",
        ),
        (
            "unknown operator",
            altered(&good, |model| {
                node(model, "Relu").op_type = "Gelu".to_owned()
            }),
            Check::Graph,
            "an operator that bundles do not use",
        ),
        (
            "input of a node missing",
            altered(&good, |model| {
                node(model, "MaxPool").input[0] = "nowhere".to_owned()
            }),
            Check::Graph,
            "reads 'nowhere', which nothing before it gives",
        ),
        (
            "output missing",
            altered(&good, |model| {
                graph(model).node.pop();
            }),
            Check::Graph,
            "gives no 'anomaly_map'",
        ),
        (
            "channels do not fit",
            altered(&good, |model| {
                node(model, "Conv").input[1] = "upsampling.scales".to_owned()
            }),
            Check::Engine,
            "this machine's engine refuses the graph",
        ),
        (
            "other upsampling",
            altered(&good, |model| {
                for node in &mut graph(model).node {
                    for attribute in &mut node.attribute {
                        if attribute.s == b"align_corners" {
                            attribute.s = b"half_pixel".to_vec();
                        }
                    }
                }
            }),
            Check::Golden,
            "golden parity failed",
        ),
        (
            "one weight changed",
            altered(&good, |model| {
                let arrays = &mut graph(model).initializer;
                let last = arrays
                    .iter_mut()
                    .find(|a| a.name.ends_with("db4.3.weight"))
                    .unwrap();
                last.raw_data[..4].copy_from_slice(&2.5f32.to_le_bytes());
            }),
            Check::Golden,
            "golden parity failed",
        ),
        (
            "golden picture damaged",
            reworded(&good, "\"input_png\":\"iVBOR", "\"input_png\":\"iVBXX"),
            Check::Golden,
            "the golden picture cannot be used",
        ),
    ];
    for (name, bytes, check, reason) in cases {
        let mut passed = Vec::new();
        let refused = Bundle::from_bytes(bytes, "web.onnx", &mut |check| passed.push(check));
        let error = match refused {
            Ok(_) => panic!("{name} was accepted"),
            Err(error) => error,
        };
        let said = error.to_string();
        println!("{name}: {said}");
        assert!(said.starts_with("bundle web.onnx: "), "{name}: {said}");
        assert!(said.contains(reason), "{name}: {said}");
        assert_eq!(error.problem.check(), check, "{name}: {said}");
        let before: Vec<Check> = Check::ALL.into_iter().take_while(|&c| c != check).collect();
        assert_eq!(passed, before, "{name}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = Bundle::read("no/such/bundle.onnx").unwrap_err().to_string();
    assert!(
        said.contains("no/such/bundle.onnx: the file cannot be read"),
        "{said}"
    );
}
