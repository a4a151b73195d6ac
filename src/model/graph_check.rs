//! What an ONNX graph must fulfil before the engine sees it: tract answers some broken graphs with a
//! panic, and a weight that is not a number with a map that is not one.

use super::Problem;
use super::shapes::infer;
use crate::geometry::TileSize;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, ValueInfoProto};

/// Name of the graph's input: `1 x 3 x height x width`, values in [0, 1].
pub const INPUT: &str = "image";
/// Name of the first output: `1 x 1 x height x width`, probability of the anomaly class.
pub const MAP: &str = "anomaly_map";
/// Name of the second output, where kept: `1 x 3 x height x width`.
pub const RECONSTRUCTION: &str = "reconstruction";

/// Operators that bundles are made of, with the number of their inputs.
const OPERATORS: [(&str, RangeInclusive<usize>); 8] = [
    ("Concat", 1..=64),
    ("Conv", 2..=3),
    ("DequantizeLinear", 2..=3),
    ("MaxPool", 1..=1),
    ("QuantizeLinear", 2..=3),
    ("Relu", 1..=1),
    ("Resize", 3..=4),
    ("Sigmoid", 1..=1),
];

/// The model's graph.
pub(super) fn graph(model: &ModelProto) -> Result<&GraphProto, Problem> {
    model
        .graph
        .as_ref()
        .filter(|graph| !graph.node.is_empty())
        .ok_or_else(|| Problem::NotOnnx("it holds no graph".to_owned()))
}

/// States other sides for the picture that goes in and those that come out.
pub(super) fn resize(graph: &mut GraphProto, tile: TileSize) {
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        let Some(TypeValue::TensorType(tensor)) =
            value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        else {
            continue;
        };
        let sides = tensor
            .shape
            .iter_mut()
            .flat_map(|shape| shape.dim.iter_mut().skip(2));
        for (dimension, side) in sides.zip([tile.height_px, tile.width_px]) {
            dimension.value = Some(Dimension::DimValue(i64::from(side)));
        }
    }
}

/// Every array complete, in the file itself, and finite.
pub(super) fn check_weights(graph: &GraphProto) -> Result<(), Problem> {
    let attached = graph
        .node
        .iter()
        .flat_map(|node| &node.attribute)
        .flat_map(|attribute| attribute.t.iter().chain(&attribute.tensors));
    for tensor in graph.initializer.iter().chain(attached) {
        check_tensor(tensor).map_err(|reason| Problem::Weight {
            tensor: tensor.name.clone(),
            reason,
        })?;
    }
    Ok(())
}

fn check_tensor(tensor: &TensorProto) -> Result<(), String> {
    if tensor.data_location == Some(DataLocation::External as i32)
        || !tensor.external_data.is_empty()
    {
        return Err("is kept outside the file, but a bundle is one file".to_owned());
    }
    let elements = tensor
        .dims
        .iter()
        .try_fold(1usize, |product, &side| {
            product.checked_mul(usize::try_from(side).ok()?)
        })
        .ok_or_else(|| format!("has the impossible shape {:?}", tensor.dims))?;
    let (bytes, typed) = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => (4, tensor.float_data.len()),
        Ok(DataType::Int32) => (4, tensor.int32_data.len()),
        Ok(DataType::Uint8 | DataType::Int8) => (1, tensor.int32_data.len()),
        Ok(DataType::Int64) => (8, tensor.int64_data.len()),
        _ => {
            return Err(format!(
                "has a number type ({}) bundles do not use",
                tensor.data_type
            ));
        }
    };
    let held = if tensor.raw_data.is_empty() {
        typed
    } else if tensor.raw_data.len().is_multiple_of(bytes) {
        tensor.raw_data.len() / bytes
    } else {
        return Err("ends in the middle of a number".to_owned());
    };
    if held != elements {
        return Err(format!(
            "holds {held} numbers, but its shape {:?} needs {elements}",
            tensor.dims
        ));
    }
    if tensor.data_type != DataType::Float as i32 {
        return Ok(());
    }
    let raw = tensor
        .raw_data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes));
    match raw
        .chain(tensor.float_data.iter().copied())
        .position(|value| !value.is_finite())
    {
        Some(position) => Err(format!("holds a NaN or infinity (number {position})")),
        None => Ok(()),
    }
}

/// Names resolve in order of computation, operators are those of a bundle, and the interface is what
/// the metadata promise.
pub(super) fn check_graph(model: &ModelProto, tile: TileSize) -> Result<(), Problem> {
    let graph = graph(model)?;
    if !model.functions.is_empty()
        || !model.training_info.is_empty()
        || !graph.sparse_initializer.is_empty()
    {
        return Err(Problem::Graph(
            "holds functions, training graphs or sparse arrays, which bundles do not use"
                .to_owned(),
        ));
    }
    check_names(graph).map_err(Problem::Graph)?;
    check_resizes(model, graph).map_err(Problem::Graph)?;
    check_interface(graph, tile).map_err(Problem::Graph)?;
    check_shapes(graph).map_err(Problem::Graph)
}

/// Every shape fits, and the outputs have the shapes they are declared with.
fn check_shapes(graph: &GraphProto) -> Result<(), String> {
    let declared = |values: &'_ [ValueInfoProto]| -> Vec<(String, Vec<i64>)> {
        let named = |value: &ValueInfoProto| Some((value.name.clone(), float_shape(value)?));
        values.iter().filter_map(named).collect()
    };
    let inputs = declared(&graph.input);
    let inputs = inputs
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.clone()));
    let shapes = infer(graph, inputs)?;
    match declared(&graph.output)
        .iter()
        .find(|(name, shape)| shapes.get(name.as_str()) != Some(shape))
    {
        Some((name, shape)) => Err(format!(
            "declares '{name}' as {shape:?} and computes {:?}",
            shapes.get(name.as_str())
        )),
        None => Ok(()),
    }
}

/// Operator sets whose Resize always has a region of interest: tract looks for scales behind it and panics
/// where it was left out. Bundles leave it out, which sets from 13 on allow.
const RESIZE_BY_REGION: RangeInclusive<i64> = 11..=12;

fn check_resizes(model: &ModelProto, graph: &GraphProto) -> Result<(), String> {
    // As tract reads it: the first of the standard domain.
    let standard = model
        .opset_import
        .iter()
        .find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let version = standard.map_or(0, |set| set.version);
    let without_region = graph.node.iter().find(|node| {
        node.op_type == "Resize" && node.input.get(1).is_none_or(|region| region.is_empty())
    });
    match without_region {
        Some(node) if RESIZE_BY_REGION.contains(&version) => Err(format!(
            "has node '{}' (Resize) without a region, which the operator set {version} that it states \
             does not allow; sets from 13 on do",
            node.name
        )),
        _ => Ok(()),
    }
}

fn check_names(graph: &GraphProto) -> Result<(), String> {
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let arrays = graph.initializer.iter().map(|array| array.name.as_str());
    let mut known = HashSet::new();
    for name in inputs.chain(arrays) {
        if !known.insert(name) {
            return Err(format!("defines '{name}' twice"));
        }
    }
    for node in &graph.node {
        let label = format!("node '{}' ({})", node.name, node.op_type);
        let arity = OPERATORS
            .iter()
            .find(|(name, _)| *name == node.op_type && node.domain.is_empty())
            .map(|(_, arity)| arity)
            .ok_or_else(|| format!("has {label}, an operator that bundles do not use"))?;
        if !arity.contains(&node.input.len()) || node.input[0].is_empty() || node.output.len() != 1
        {
            return Err(format!(
                "has {label} with a wrong number of inputs or outputs"
            ));
        }
        let attributes = &node.attribute;
        if attributes
            .iter()
            .any(|a| a.g.is_some() || !a.graphs.is_empty())
        {
            return Err(format!("has {label} with a graph inside"));
        }
        let missing = node
            .input
            .iter()
            .find(|name| !name.is_empty() && !known.contains(name.as_str()));
        if let Some(name) = missing {
            return Err(format!(
                "has {label} that reads '{name}', which nothing before it gives"
            ));
        }
        let output = node.output[0].as_str();
        if output.is_empty() || !known.insert(output) {
            return Err(format!(
                "has {label} whose output '{output}' is defined twice or unnamed"
            ));
        }
    }
    match graph
        .output
        .iter()
        .find(|out| !known.contains(out.name.as_str()))
    {
        Some(output) => Err(format!("gives no '{}'", output.name)),
        None => Ok(()),
    }
}

fn check_interface(graph: &GraphProto, tile: TileSize) -> Result<(), String> {
    let (height, width) = (i64::from(tile.height_px), i64::from(tile.width_px));
    let expect = |value: &ValueInfoProto, name: &str, channels: i64| {
        let wanted = [1, channels, height, width];
        match float_shape(value) {
            Some(shape) if value.name == name && shape == wanted => Ok(()),
            shape => Err(format!(
                "must have '{name}' as f32 {wanted:?} here, but has '{}' as {}",
                value.name,
                shape.map_or("another type".to_owned(), |shape| format!("f32 {shape:?}"))
            )),
        }
    };
    let [input] = graph.input.as_slice() else {
        return Err(format!(
            "has {} inputs and must have one",
            graph.input.len()
        ));
    };
    expect(input, INPUT, 3)?;
    match graph.output.as_slice() {
        [map] => expect(map, MAP, 1),
        [map, reconstruction] => {
            expect(map, MAP, 1)?;
            expect(reconstruction, RECONSTRUCTION, 3)
        }
        outputs => Err(format!(
            "has {} outputs and must have one or two",
            outputs.len()
        )),
    }
}

/// Sides of an f32 tensor whose shape is known; -1 stands for a side that is not.
fn float_shape(value: &ValueInfoProto) -> Option<Vec<i64>> {
    let TypeValue::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    if tensor.elem_type != DataType::Float as i32 {
        return None;
    }
    let sides = tensor.shape.as_ref()?.dim.iter();
    Some(
        sides
            .map(|side| match side.value {
                Some(Dimension::DimValue(length)) => length,
                _ => -1,
            })
            .collect(),
    )
}
