//! Every way in which a bundle can be wrong, with what the reader says about it.

mod common;

use blemish::draem::{Graph, Upsampling};
use blemish::geometry::TileSize;
use blemish::model::{Bundle, Check, METADATA_KEY, reseal};
use blemish_train::export::write_bundle;
use common::{metadata, picture, random_weights, spec};
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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
            reworded(&good, "\"window_px\":21", "\"window_px\":20"),
            Check::Metadata,
            "score window of 20 px",
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
            Check::Graph,
            "'rec.encoder.block1.0.linear' (Conv) that reads shape [4] and needs four sides",
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

/// One random change to the graph's structure that a hash cannot see, because it is sealed again.
fn mutate(model: &mut ModelProto, rng: &mut ChaCha8Rng) -> String {
    let graph = graph(model);
    let names: Vec<String> = graph
        .node
        .iter()
        .map(|node| node.output[0].clone())
        .chain(graph.initializer.iter().map(|array| array.name.clone()))
        .collect();
    let place = rng.random_range(0..graph.node.len());
    let node = &mut graph.node[place];
    let label = format!("{} ({})", node.name, node.op_type);
    match rng.random_range(0..7) {
        0 => {
            let input = rng.random_range(0..node.input.len());
            node.input[input] = names[rng.random_range(0..names.len())].clone();
            format!("{label}: input {input} is {}", node.input[input])
        }
        1 => {
            let operators = ["Conv", "Relu", "MaxPool", "Resize", "Concat", "Sigmoid"];
            node.op_type = operators[rng.random_range(0..operators.len())].to_owned();
            format!("{label}: becomes {}", node.op_type)
        }
        2 if !node.attribute.is_empty() => {
            let attribute = rng.random_range(0..node.attribute.len());
            let removed = node.attribute.remove(attribute);
            format!("{label}: loses {}", removed.name)
        }
        3 if !node.attribute.is_empty() => {
            let attribute = rng.random_range(0..node.attribute.len());
            let attribute = &mut node.attribute[attribute];
            let wild = [-1, 0, 1, 2, 3, 7, 1 << 20, i64::MAX];
            let value = wild[rng.random_range(0..wild.len())];
            attribute.i = value;
            let length = attribute.ints.len();
            match rng.random_range(0..3) {
                0 => attribute.ints.push(value),
                1 => attribute.ints.truncate(1),
                _ if length > 0 => attribute.ints[rng.random_range(0..length)] = value,
                _ => attribute.s = b"wild".to_vec(),
            }
            format!(
                "{label}: {} with {value}: {:?}",
                attribute.name, attribute.ints
            )
        }
        4 => {
            node.input.truncate(node.input.len() - 1);
            format!("{label}: loses an input")
        }
        5 => {
            let array = rng.random_range(0..graph.initializer.len());
            let array = &mut graph.initializer[array];
            let wild = [0i64, 1, 9, 36];
            let values = array.dims.iter().product::<i64>();
            array.dims = match rng.random_range(0..3) {
                0 => vec![values],
                1 => array.dims.iter().rev().copied().collect(),
                _ => {
                    let side = wild[rng.random_range(0..wild.len())];
                    array.raw_data = vec![0; 4 * side as usize];
                    vec![side]
                }
            };
            format!("array {} becomes {:?}", array.name, array.dims)
        }
        _ => {
            let array = graph
                .initializer
                .iter_mut()
                .find(|a| a.name == "upsampling.scales");
            let wild = [-1f32, 0.0, 0.5, 1.0, 3.0, 1e9];
            let value = wild[rng.random_range(0..wild.len())];
            let offset = 4 * rng.random_range(0..4);
            array.unwrap().raw_data[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            format!("scale {} is {value}", offset / 4)
        }
    }
}

#[test]
fn a_graph_changed_at_random_is_refused_or_runs_but_never_panics() {
    let good = good();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut refused = 0;
    for _ in 0..600 {
        let mut what = String::new();
        let bytes = altered(&good, |model| what = mutate(model, &mut rng));
        let result =
            std::panic::catch_unwind(|| Bundle::from_bytes(bytes, "web.onnx", &mut |_| {}));
        match result {
            Ok(result) => refused += usize::from(result.is_err()),
            Err(_) => panic!("the reader panicked after {what}"),
        }
    }
    assert!(
        (300..600).contains(&refused),
        "{refused} of 600 were refused"
    );
}
