//! The ONNX graph, written node by node from the one description of the layers.
//!
//! Opset 17 and IR 8: old enough for every runtime in use, new enough for `Resize` with
//! `align_corners` and for standard quantized operators. Shapes are static.

use super::fold::Folded;
use crate::quantize::{ByteWeights, Grids};
use crate::weights::{Weights, WeightsError};
use blemish::draem::{ConvKey, Graph, NodeId, Op, Upsampling};
use blemish::geometry::TileSize;
use blemish::model::{INPUT, MAP, RECONSTRUCTION};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
/// Name of the one array that all `Resize` nodes share.
const SCALES: &str = "upsampling.scales";
/// The discriminative network's output before the sigmoid.
const LOGIT: &str = "anomaly_logit";

/// Both networks as one ONNX model without metadata: input `image`, outputs `anomaly_map` and
/// `reconstruction`, batch norms folded, the two logits as one difference with a sigmoid.
///
/// # Errors
/// Names the array that is missing from `weights`, has another shape or is not finite.
///
/// With `grids` the graph is quantized in standard operators: QuantizeLinear and DequantizeLinear
/// around every value, i8 weights and i32 biases behind DequantizeLinear.
pub fn write_onnx(
    graph: &Graph,
    weights: &Weights,
    tile: TileSize,
    grids: Option<&Grids>,
) -> Result<ModelProto, WeightsError> {
    let mut writer = Writer {
        graph,
        weights,
        grids,
        onnx: GraphProto {
            name: "draem".to_owned(),
            input: vec![value(INPUT, 3, tile)],
            output: vec![value(MAP, 1, tile), value(RECONSTRUCTION, 3, tile)],
            initializer: vec![array(SCALES, &[4], &[1.0, 1.0, 2.0, 2.0])],
            ..GraphProto::default()
        },
    };
    for id in 0..graph.nodes.len() {
        writer.write(id)?;
    }
    writer.push("Sigmoid", MAP, &[LOGIT], vec![]);
    Ok(ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        graph: Some(writer.onnx),
        ..ModelProto::default()
    })
}

struct Writer<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
    grids: Option<&'a Grids>,
    onnx: GraphProto,
}

impl<'a> Writer<'a> {
    fn write(&mut self, id: NodeId) -> Result<(), WeightsError> {
        let graph = self.graph;
        let node = &graph.nodes[id];
        let inputs: Vec<String> = node.inputs.iter().map(|&id| self.consumed(id)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let output = self.tensor(id);
        match &node.op {
            Op::Image => {}
            Op::Conv { in_channels, key } => {
                let step = self.scale(node.inputs[0]);
                let channels = (*in_channels, node.channels);
                self.convolution(output, inputs[0], key, channels, step)?;
            }
            Op::MaxPool => {
                let sides = || vec![2, 2];
                let attributes = vec![ints("kernel_shape", sides()), ints("strides", sides())];
                self.push("MaxPool", output, &inputs, attributes);
            }
            Op::Upsample => {
                let places = match graph.spec.upsampling {
                    Upsampling::AlignCorners => "align_corners",
                    Upsampling::HalfPixel => "half_pixel",
                };
                let attributes = vec![
                    text("coordinate_transformation_mode", places),
                    text("mode", "linear"),
                ];
                self.push("Resize", output, &[inputs[0], "", SCALES], attributes);
            }
            Op::Concat => self.push("Concat", output, &inputs, vec![int("axis", 1)]),
        }
        if let Some(scale) = self.scale(id) {
            self.quantize(output, scale);
        }
        Ok(())
    }

    fn convolution(
        &mut self,
        output: &str,
        input: &str,
        key: &ConvKey,
        (in_channels, channels): (usize, usize),
        input_scale: Option<f32>,
    ) -> Result<(), WeightsError> {
        let mut folded = Folded::new(self.weights, key, in_channels, channels)?;
        if output == LOGIT {
            folded = folded.difference();
        }
        let (weight, bias) = (format!("{}.weight", key.conv), format!("{}.bias", key.conv));
        let channels = folded.bias.len();
        let shape = [channels, in_channels, 3, 3];
        match input_scale {
            None => {
                let arrays = &mut self.onnx.initializer;
                arrays.push(array(&weight, &shape, &folded.weight));
                arrays.push(array(&bias, &[channels], &folded.bias));
            }
            Some(step) => self.byte_arrays(&weight, &bias, &shape, &folded, step),
        }
        let attributes = vec![
            ints("kernel_shape", vec![3, 3]),
            ints("pads", vec![1, 1, 1, 1]),
            ints("strides", vec![1, 1]),
        ];
        let inputs = [input, &weight, &bias];
        if key.norm.is_some() {
            let linear = format!("{output}.linear");
            self.push("Conv", &linear, &inputs, attributes);
            self.push("Relu", output, &[&linear], vec![]);
        } else {
            self.push("Conv", output, &inputs, attributes);
        }
        Ok(())
    }

    /// Weights and bias as integers with DequantizeLinear behind them.
    fn byte_arrays(
        &mut self,
        weight: &str,
        bias: &str,
        shape: &[usize],
        folded: &Folded,
        input_scale: f32,
    ) {
        let bytes = ByteWeights::new(&folded.weight, folded.bias.len());
        let channels = folded.bias.len();
        let sums: Vec<f32> = bytes
            .scales
            .iter()
            .map(|scale| scale * input_scale)
            .collect();
        let starts = folded.bias.iter().zip(&sums).flat_map(|(&bias, &sum)| {
            let start = (f64::from(bias) / f64::from(sum)).round_ties_even();
            (start as i32).to_le_bytes()
        });
        let levels = bytes.levels.iter().map(|&level| level as u8).collect();
        let parts = [
            (weight, DataType::Int8, shape, levels, &bytes.scales),
            (bias, DataType::Int32, &shape[..1], starts.collect(), &sums),
        ];
        for (name, kind, shape, raw, scales) in parts {
            let (levels, scale) = (format!("{name}.levels"), format!("{name}.scale"));
            let arrays = &mut self.onnx.initializer;
            arrays.push(raw_array(&levels, kind, shape, raw));
            arrays.push(array(&scale, &[channels], scales));
            let axis = vec![int("axis", 0)];
            self.push("DequantizeLinear", name, &[&levels, &scale], axis);
        }
    }

    /// Rounds a value to bytes and hands on what the bytes stand for.
    fn quantize(&mut self, tensor: &str, scale: f32) {
        let names = ["scale", "zero_point", "bytes"].map(|part| format!("{tensor}.{part}"));
        let [step, zero, bytes] = &names;
        self.onnx.initializer.push(array(step, &[], &[scale]));
        let zero_point = raw_array(zero, DataType::Uint8, &[], vec![0]);
        self.onnx.initializer.push(zero_point);
        self.push("QuantizeLinear", bytes, &[tensor, step, zero], vec![]);
        let rounded = format!("{tensor}.rounded");
        self.push("DequantizeLinear", &rounded, &[bytes, step, zero], vec![]);
    }

    /// Scale of a node's output, where it is quantized.
    fn scale(&self, id: NodeId) -> Option<f32> {
        self.grids.and_then(|grids| grids.scales[id])
    }

    /// Name under which a node's output is read by the next.
    fn consumed(&self, id: NodeId) -> String {
        let tensor = self.tensor(id);
        match self.scale(id) {
            Some(_) => format!("{tensor}.rounded"),
            None => tensor.to_owned(),
        }
    }

    /// A node named after its output.
    fn push(
        &mut self,
        op_type: &str,
        output: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) {
        self.onnx.node.push(NodeProto {
            name: output.to_owned(),
            op_type: op_type.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
    }

    /// Name of a node's output in the ONNX graph.
    fn tensor(&self, id: NodeId) -> &'a str {
        let graph = self.graph;
        if id == graph.reconstruction {
            RECONSTRUCTION
        } else if id == graph.logits {
            LOGIT
        } else if graph.nodes[id].op == Op::Image {
            INPUT
        } else {
            &graph.nodes[id].name
        }
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: kind as i32,
        ..AttributeProto::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: value,
        ..attribute(name, AttributeType::Int)
    }
}

fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto {
        ints: values,
        ..attribute(name, AttributeType::Ints)
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: value.as_bytes().to_vec(),
        ..attribute(name, AttributeType::String)
    }
}

fn array(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    let raw = values.iter().flat_map(|value| value.to_le_bytes());
    raw_array(name, DataType::Float, shape, raw.collect())
}

fn raw_array(name: &str, kind: DataType, shape: &[usize], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|&side| side as i64).collect(),
        data_type: kind as i32,
        raw_data,
        ..TensorProto::default()
    }
}

fn value(name: &str, channels: i64, tile: TileSize) -> ValueInfoProto {
    let sides = [
        1,
        channels,
        i64::from(tile.height_px),
        i64::from(tile.width_px),
    ];
    let dim = sides
        .iter()
        .map(|&side| Dimension {
            value: Some(dimension::Value::DimValue(side)),
            ..Dimension::default()
        })
        .collect();
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
