//! Weights multiplied out before tract reads the graph: tract does the same with every DequantizeLinear
//! behind a constant, but through its general operators, which took most of a bundle's loading time.

use std::collections::HashMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// `model` with the floats in place of every DequantizeLinear of integers that are constant, where their
/// scales are one number or one for each of the first axis and no zero point is given.
pub fn multiplied_out(model: &ModelProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        functions: model.functions.clone(),
        graph: model.graph.as_ref().map(graph_multiplied_out),
        ..ModelProto::default()
    }
}

fn graph_multiplied_out(graph: &GraphProto) -> GraphProto {
    let arrays: HashMap<&str, &TensorProto> = graph
        .initializer
        .iter()
        .map(|array| (array.name.as_str(), array))
        .collect();
    let mut readers: HashMap<&str, usize> = HashMap::new();
    for name in graph.node.iter().flat_map(|node| &node.input) {
        *readers.entry(name).or_default() += 1;
    }
    let mut replaced: Vec<&str> = Vec::new();
    let mut nodes = Vec::new();
    let mut floats = Vec::new();
    for node in &graph.node {
        match plain_weights(node, &arrays) {
            Some(array) => {
                floats.push(array);
                let only = node.input.iter().map(String::as_str);
                replaced.extend(only.filter(|name| readers[name] == 1));
            }
            None => nodes.push(node.clone()),
        }
    }
    let kept = graph.initializer.iter();
    let kept = kept.filter(|array| !replaced.contains(&array.name.as_str()));
    GraphProto {
        name: graph.name.clone(),
        input: graph.input.clone(),
        output: graph.output.clone(),
        value_info: graph.value_info.clone(),
        sparse_initializer: graph.sparse_initializer.clone(),
        quantization_annotation: graph.quantization_annotation.clone(),
        node: nodes,
        initializer: kept.cloned().chain(floats).collect(),
        ..GraphProto::default()
    }
}

/// What a DequantizeLinear of constants gives.
fn plain_weights(node: &NodeProto, arrays: &HashMap<&str, &TensorProto>) -> Option<TensorProto> {
    let [levels, scale] = &node.input[..] else {
        return None;
    };
    if node.op_type != "DequantizeLinear" {
        return None;
    }
    let (levels, scale) = (arrays.get(levels.as_str())?, arrays.get(scale.as_str())?);
    let first_axis = match &node.attribute[..] {
        [] => false,
        [only] if only.name == "axis" => only.i == 0,
        _ => return None,
    };
    let scales: Vec<f32> = words(scale, DataType::Float)?
        .map(f32::from_le_bytes)
        .collect();
    let per_scale = match scales.len() {
        1 => usize::MAX,
        count if first_axis && levels.dims.first() == Some(&(count as i64)) => {
            let all: i64 = levels.dims.iter().product();
            (all as usize).checked_div(count)?
        }
        _ => return None,
    };
    let mut raw_data = Vec::new();
    let mut put = |at: usize, level: f32| {
        let value = level * scales[at.checked_div(per_scale).unwrap_or(0)];
        raw_data.extend_from_slice(&value.to_le_bytes());
    };
    if levels.data_type == DataType::Int8 as i32 && levels.int32_data.is_empty() {
        for (at, &level) in levels.raw_data.iter().enumerate() {
            put(at, f32::from(level as i8));
        }
    } else {
        for (at, word) in words(levels, DataType::Int32)?.enumerate() {
            put(at, i32::from_le_bytes(word) as f32);
        }
    }
    Some(TensorProto {
        name: node.output.first()?.clone(),
        dims: levels.dims.clone(),
        data_type: DataType::Float as i32,
        raw_data,
        ..TensorProto::default()
    })
}

/// The four-byte numbers of an array that is stored raw.
fn words(array: &TensorProto, kind: DataType) -> Option<impl Iterator<Item = [u8; 4]>> {
    let stored = array.data_type == kind as i32 && array.raw_data.len().is_multiple_of(4);
    let empty = array.float_data.is_empty() && array.int32_data.is_empty();
    (stored && empty).then(|| array.raw_data.as_chunks::<4>().0.iter().copied())
}
