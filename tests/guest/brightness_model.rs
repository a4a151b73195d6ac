//! A model that a guest without vector units computes in milliseconds: what is bright is a defect.
//!
//! One 1x1 convolution and a sigmoid, `p = sigmoid(60 (mean - 0.75))`: a grey level of 100 gives 0, 255 gives 1. The
//! bundle passes every check of the program, so tests know exactly which web is good.

use blemish::draem::NetworkSpec;
use blemish::draem::score::Window;
use blemish::geometry::TileSize;
use blemish::model::{
    ColorOrder, Golden, Metadata, Preparation, SCHEMA_VERSION, ScoreRule, Threshold, Training, seal,
};
use std::path::Path;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Side;
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};

const TILE: TileSize = TileSize {
    width_px: 128,
    height_px: 64,
};
const SLOPE: f32 = 60.0;
const BRIGHT: f32 = 0.75;
const GOLDEN_LEVEL: u8 = 190;

/// Writes the bundle.
pub fn write(path: &Path) {
    let level = f32::from(GOLDEN_LEVEL) / 255.0;
    let probability = 1.0 / (1.0 + (-SLOPE * (level - BRIGHT)).exp());
    let golden = Golden::new(
        TILE,
        &vec![GOLDEN_LEVEL; 3 * TILE.area()],
        &vec![probability; TILE.area()],
        1e-3,
    )
    .unwrap();
    let metadata = Metadata {
        schema: SCHEMA_VERSION,
        name: "brightness".to_owned(),
        network: NetworkSpec::official(1, 1),
        tile: TILE,
        color_order: ColorOrder::Rgb,
        grey: true,
        preparation: Preparation::Native { overlap_px: 32 },
        score: ScoreRule {
            window_px: Window::OFFICIAL,
        },
        threshold: Threshold {
            score: 0.5,
            min_area_px: 1,
            basis: "by construction".to_owned(),
            goods: 0,
            expected_rejects_per_1000: 0.0,
            upper_95_rejects_per_1000: 0.0,
        },
        flat_field: false,
        training: Training {
            data_fingerprint: String::new(),
            pictures: 0,
            seed: 0,
            steps: 0,
            batch: 0,
            trainer: "tests/guest".to_owned(),
            simulation: String::new(),
        },
        golden,
        light: None,
    };
    std::fs::write(path, seal(model(), &metadata).unwrap()).unwrap();
}

fn model() -> ModelProto {
    let array = |name: &str, dims: &[i64], values: &[f32]| TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        ..TensorProto::default()
    };
    let node = |operator: &str, input: &[&str], output: &str| NodeProto {
        name: output.to_owned(),
        op_type: operator.to_owned(),
        input: input.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        name: "brightness".to_owned(),
        node: vec![
            node("Conv", &["image", "weight", "bias"], "brightness"),
            node("Sigmoid", &["brightness"], "anomaly_map"),
        ],
        initializer: vec![
            array("weight", &[1, 3, 1, 1], &[SLOPE / 3.0; 3]),
            array("bias", &[1], &[-SLOPE * BRIGHT]),
        ],
        input: vec![picture("image", 3)],
        output: vec![picture("anomaly_map", 1)],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn picture(name: &str, channels: i64) -> ValueInfoProto {
    let sides = [
        1,
        channels,
        i64::from(TILE.height_px),
        i64::from(TILE.width_px),
    ];
    let dim = sides.map(|side| Dimension {
        value: Some(Side::DimValue(side)),
        ..Dimension::default()
    });
    let tensor = Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dim.to_vec() }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
