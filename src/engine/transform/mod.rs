//! Rewrites tract's model so that our own operators run what tract is slow at.
//!
//! Runs on the decluttered model. Values travel between our operators in blocks of eight channels
//! with a ring of zeros (`engine::kernels::float`); they are brought back into tract's layout only
//! where an operator follows that this module does not know. That operator stays tract's, so any ONNX
//! graph still runs.
//!
//! | tract | ours |
//! |---|---|
//! | 3x3 convolution, bias, ReLU behind it | one `BlockConv` |
//! | concatenation in front of a convolution | nothing: the convolution reads several inputs |
//! | 2x2 max pooling | `BlockPool` |
//! | bilinear x2, both kinds of corners | `BlockUpsample` |
//! | any of these between DequantizeLinear and QuantizeLinear | `ByteConv`, `BytePool`, `ByteUpsample` |
//! | concatenation of eight channels or less in bytes | `ByteJoin`: one block instead of two half empty ones |
//! | sigmoid | `Sigmoid` |

mod byte_ops;
mod ops;
mod quantized;
mod step;

use super::kernels::float::{Activation, Packed};
use super::kernels::int8::Grid;
use super::kernels::{BLOCK, Levels, Sides};
use crate::draem::Upsampling;
use ops::{BlockConv, BlockPool, BlockUpsample, FromBlocks, Sigmoid, ToBlocks};
use quantized::{Bytes, Converted};
use std::collections::HashMap;
use std::sync::Arc;
pub use step::{Ours, Output, Scratch, Step};
use tract_core::internal::*;
use tract_core::ops::array::TypedConcat;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec};
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::math::Max;
use tract_core::ops::nn::DataFormat;
use tract_core::ops::nn::resize::{CoordTransformer, Interpolator, Resize};
use tract_core::ops::quant::quantize_linear_u8;

/// A value in blocks: parts that follow each other along the channels.
#[derive(Clone)]
struct Blocks {
    parts: Vec<Part>,
    sides: Sides,
}

/// A value that tract does not see.
enum Value {
    Blocks(Blocks),
    Bytes(Bytes),
    /// In tract's layout after all.
    Plain(OutletId),
}

#[derive(Clone, Copy)]
struct Part {
    wire: OutletId,
    channels: usize,
}

/// Rewrites `model` for kernels of `levels`; what it does not know is copied as it is.
///
/// # Errors
/// Where tract refuses to wire a node.
pub fn rewrite(model: &TypedModel, levels: Levels) -> TractResult<TypedModel> {
    let mut rewriter = Rewriter {
        from: model,
        to: TypedModel {
            symbols: model.symbols.clone(),
            ..TypedModel::default()
        },
        plain: HashMap::new(),
        blocks: HashMap::new(),
        bytes: HashMap::new(),
        swallowed: HashMap::new(),
        swallowed_bytes: HashMap::new(),
        levels,
    };
    for id in model.eval_order()? {
        rewriter.node(id)?;
    }
    let mut outputs = TVec::new();
    for &outlet in model.output_outlets()? {
        outputs.push(rewriter.plain(outlet)?);
    }
    rewriter.to.select_output_outlets(&outputs)?;
    Ok(rewriter.to)
}

struct Rewriter<'a> {
    from: &'a TypedModel,
    to: TypedModel,
    /// Values in tract's layout, by outlet of the old model.
    plain: HashMap<OutletId, OutletId>,
    /// Values in blocks, by outlet of the old model.
    blocks: HashMap<OutletId, Blocks>,
    /// ReLUs that a convolution has taken in, by their node, with the convolution's outlet.
    swallowed: HashMap<usize, OutletId>,
    /// Values in bytes, by outlet of the old model: quantized ones and the floats they stand for.
    bytes: HashMap<OutletId, Bytes>,
    /// ReLUs and QuantizeLinears that a convolution of bytes has taken in.
    swallowed_bytes: HashMap<usize, Bytes>,
    levels: Levels,
}

impl Rewriter<'_> {
    fn node(&mut self, id: usize) -> TractResult<()> {
        let node = self.from.node(id);
        let outlet = OutletId::new(id, 0);
        if let Some(conv) = self.swallowed.get(&id) {
            let value = self.blocks[conv].clone();
            self.blocks.insert(outlet, value);
            return Ok(());
        }
        if let Some(value) = self.swallowed_bytes.remove(&id) {
            self.bytes.insert(outlet, value);
            return Ok(());
        }
        if let Some(value) = self.grid_node(node)? {
            self.bytes.insert(outlet, value);
            return Ok(());
        }
        let known = if let Some(conv) = node.op_as::<Conv>() {
            self.conv(node, conv)?
        } else if let Some(pool) = node.op_as::<MaxPool>() {
            self.pool(node, pool)?
        } else if let Some(resize) = node.op_as::<Resize>() {
            self.upsample(node, resize)?
        } else if let Some(concat) = node.op_as::<TypedConcat>() {
            self.concat(node, concat)?
        } else if is_sigmoid(node) {
            self.sigmoid(node)?
        } else {
            None
        };
        match known {
            Some(Value::Blocks(value)) => {
                self.blocks.insert(outlet, value);
            }
            Some(Value::Bytes(value)) => {
                self.bytes.insert(outlet, value);
            }
            Some(Value::Plain(wire)) => {
                self.plain.insert(outlet, wire);
            }
            None => self.copy(node)?,
        }
        Ok(())
    }

    /// Wires a step of ours.
    fn wire(
        &mut self,
        name: &str,
        step: impl Step + 'static,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        Ok(self.to.wire_node(name, Ours(Arc::new(step)), inputs)?[0])
    }

    /// Wires a node that is not ours.
    fn copy(&mut self, node: &TypedNode) -> TractResult<()> {
        if self.from.input_outlets()?.contains(&node.id.into()) {
            let wire = self
                .to
                .add_source(&*node.name, node.outputs[0].fact.clone())?;
            self.plain.insert(node.id.into(), wire);
            return Ok(());
        }
        let mut inputs = TVec::new();
        for &input in &node.inputs {
            inputs.push(self.plain(input)?);
        }
        let wires = self.to.wire_node(&*node.name, node.op.clone(), &inputs)?;
        for (slot, wire) in wires.into_iter().enumerate() {
            self.plain.insert(OutletId::new(node.id, slot), wire);
        }
        Ok(())
    }

    /// A value in tract's layout, brought back from blocks where necessary.
    fn plain(&mut self, outlet: OutletId) -> TractResult<OutletId> {
        if let Some(&wire) = self.plain.get(&outlet) {
            return Ok(wire);
        }
        if let Some(value) = self.bytes.get(&outlet).cloned() {
            let name = format!("{}.planar", self.from.node(outlet.node).name);
            let mut wire = self.plain_from_bytes(&value, &name)?;
            if self.from.outlet_fact(outlet)?.datum_type == u8::datum_type() {
                // The bytes themselves are read, by what is not ours.
                let Grid { scale, zero_point } = value.grid;
                let op = quantize_linear_u8(scale.recip(), zero_point);
                wire = self.to.wire_node(format!("{name}.bytes"), op, &[wire])?[0];
            }
            self.plain.insert(outlet, wire);
            return Ok(wire);
        }
        let value = self
            .blocks
            .get(&outlet)
            .cloned()
            .with_context(|| format!("{outlet:?} is used before it is computed"))?;
        let name = format!("{}.planar", self.from.node(outlet.node).name);
        let mut wires = TVec::new();
        for (index, part) in value.parts.iter().enumerate() {
            let op = FromBlocks {
                channels: part.channels,
                sides: value.sides,
            };
            let name = format!("{name}.{index}");
            wires.push(self.wire(&name, op, &[part.wire])?);
        }
        let wire = match wires[..] {
            [wire] => wire,
            _ => self.to.wire_node(name, TypedConcat { axis: 1 }, &wires)?[0],
        };
        self.plain.insert(outlet, wire);
        Ok(wire)
    }

    /// A value in blocks; `None` where it is no f32 picture of known size.
    fn blocks(&mut self, outlet: OutletId) -> TractResult<Option<Blocks>> {
        if let Some(value) = self.blocks.get(&outlet) {
            return Ok(Some(value.clone()));
        }
        let Some((channels, height, width)) = picture(self.from.outlet_fact(outlet)?) else {
            return Ok(None);
        };
        let plain = self.plain(outlet)?;
        let name = format!("{}.blocks", self.from.node(outlet.node).name);
        let sides = Sides { height, width };
        let wire = self.wire(&name, ToBlocks { channels, sides }, &[plain])?;
        let value = Blocks {
            parts: vec![Part { wire, channels }],
            sides,
        };
        self.blocks.insert(outlet, value.clone());
        Ok(Some(value))
    }

    /// The ReLU that alone follows `node`, if any.
    fn relu_behind(&self, node: &TypedNode) -> Option<usize> {
        let [successor] = node.outputs[0].successors[..] else {
            return None;
        };
        let next = self.from.node(successor.node);
        if !next.op_as::<TypedBinOp>()?.0.is::<Max>() {
            return None;
        }
        let other = next.inputs[1 - successor.slot];
        let constant = self.from.outlet_fact(other).ok()?.konst.clone()?;
        let values = constant.try_as_plain_ram().ok()?;
        let zero = values
            .as_slice::<f32>()
            .ok()?
            .iter()
            .all(|&value| value == 0.0);
        let is_output = self
            .from
            .output_outlets()
            .is_ok_and(|outputs| outputs.contains(&OutletId::new(node.id, 0)));
        (zero && !is_output).then_some(next.id)
    }

    fn conv(&mut self, node: &TypedNode, conv: &Conv) -> TractResult<Option<Value>> {
        let same = PaddingSpec::Explicit(tvec!(1, 1), tvec!(1, 1));
        let ours = is_square(&conv.pool_spec, 3, 1)
            && conv.pool_spec.padding == same
            && conv.group == 1
            && conv.q_params.is_none()
            && conv.kernel_fmt == KernelFormat::OIHW;
        let weights = self.from.outlet_fact(node.inputs[1])?.konst.clone();
        let bias = self.from.outlet_fact(node.inputs[2])?.konst.clone();
        let (true, Some(weights), Some(bias)) = (ours, weights, bias) else {
            return Ok(None);
        };
        if weights.datum_type() != f32::datum_type() || bias.datum_type() != f32::datum_type() {
            return Ok(None);
        }
        let (outputs, inputs) = (weights.shape()[0], weights.shape()[1]);
        let weights = weights.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        let bias = bias.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        match self.byte_conv(node, &weights, &bias, outputs)? {
            Some(Converted::Bytes(bytes)) => return Ok(Some(Value::Bytes(bytes))),
            Some(Converted::Floats(wire)) => return Ok(Some(Value::Plain(wire))),
            None => {}
        }
        let Some(input) = self.blocks(node.inputs[0])? else {
            return Ok(None);
        };
        let mut packed = Vec::new();
        let mut first = 0;
        for part in &input.parts {
            let mut pack = Packed::default();
            pack.fill(part.channels, outputs, |output, channel, tap| {
                weights[(output * inputs + first + channel) * 9 + tap]
            });
            if first == 0 {
                for (output, to) in pack.bias_mut()[..outputs].iter_mut().enumerate() {
                    *to = if bias.len() == 1 {
                        bias[0]
                    } else {
                        bias[output]
                    };
                }
            }
            first += part.channels;
            packed.push(pack);
        }
        let relu = self.relu_behind(node);
        let op = BlockConv {
            level: self.levels.float,
            packed,
            activation: if relu.is_some() {
                Activation::Relu
            } else {
                Activation::None
            },
            sides: input.sides,
            channels: (inputs, outputs),
        };
        let wires: TVec<OutletId> = input.parts.iter().map(|part| part.wire).collect();
        let wire = self.wire(&node.name, op, &wires)?;
        if let Some(relu) = relu {
            self.swallowed.insert(relu, node.id.into());
        }
        Ok(Some(Value::Blocks(Blocks {
            parts: vec![Part {
                wire,
                channels: outputs,
            }],
            ..input
        })))
    }

    fn pool(&mut self, node: &TypedNode, pool: &MaxPool) -> TractResult<Option<Value>> {
        let none = PaddingSpec::Explicit(tvec!(0, 0), tvec!(0, 0));
        let valid = [none, PaddingSpec::Valid].contains(&pool.pool_spec.padding);
        if pool.with_index_outputs.is_some() || !valid || !is_square(&pool.pool_spec, 2, 2) {
            return Ok(None);
        }
        if let Some(bytes) = self.byte_pool(node)? {
            return Ok(Some(Value::Bytes(bytes)));
        }
        let Some(input) = self.blocks(node.inputs[0])? else {
            return Ok(None);
        };
        let Sides { height, width } = input.sides;
        let ([part], true) = (
            &input.parts[..],
            height.is_multiple_of(2) && width.is_multiple_of(2),
        ) else {
            return Ok(None);
        };
        let op = BlockPool {
            level: self.levels.float,
            blocks: part.channels.div_ceil(BLOCK),
            sides: input.sides,
        };
        let wire = self.wire(&node.name, op, &[part.wire])?;
        Ok(Some(Value::Blocks(Blocks {
            parts: vec![Part { wire, ..*part }],
            sides: input.sides.half(),
        })))
    }

    fn upsample(&mut self, node: &TypedNode, resize: &Resize) -> TractResult<Option<Value>> {
        let upsampling = match resize.coord_transformer {
            CoordTransformer::AlignCorners => Upsampling::AlignCorners,
            CoordTransformer::HalfPixel => Upsampling::HalfPixel,
            _ => return Ok(None),
        };
        let from = picture(self.from.outlet_fact(node.inputs[0])?);
        let to = picture(self.from.outlet_fact(node.id.into())?);
        let (Some(from), Some(to), Interpolator::Linear) = (from, to, &resize.interpolator) else {
            return Ok(None);
        };
        if to != (from.0, 2 * from.1, 2 * from.2) {
            return Ok(None);
        }
        if let Some(bytes) = self.byte_upsample(node, upsampling)? {
            return Ok(Some(Value::Bytes(bytes)));
        }
        let Some(input) = self.blocks(node.inputs[0])? else {
            return Ok(None);
        };
        let [part] = input.parts[..] else {
            return Ok(None);
        };
        let op = BlockUpsample::new(
            self.levels.float,
            part.channels.div_ceil(BLOCK),
            input.sides,
            upsampling,
        );
        let wire = self.wire(&node.name, op, &[part.wire])?;
        Ok(Some(Value::Blocks(Blocks {
            parts: vec![Part { wire, ..part }],
            sides: input.sides.twice(),
        })))
    }

    /// A concatenation along the channels whose parts are in blocks already, or pictures that can be:
    /// nothing is computed, the consumers read the parts.
    fn concat(&mut self, node: &TypedNode, concat: &TypedConcat) -> TractResult<Option<Value>> {
        if concat.axis != 1 {
            return Ok(None);
        }
        if let Some(bytes) = self.byte_concat(node, concat)? {
            return Ok(Some(Value::Bytes(bytes)));
        }
        let mut joined: Option<Blocks> = None;
        for &input in &node.inputs {
            let Some(value) = self.blocks(input)? else {
                return Ok(None);
            };
            joined = Some(match joined {
                None => value,
                Some(mut before) => {
                    before.parts.extend(value.parts);
                    before
                }
            });
        }
        Ok(joined.map(Value::Blocks))
    }

    fn sigmoid(&mut self, node: &TypedNode) -> TractResult<Option<Value>> {
        let fact = self.from.outlet_fact(node.inputs[0])?;
        let Some(shape) = fact.shape.as_concrete().map(<[usize]>::to_vec) else {
            return Ok(None);
        };
        if fact.datum_type != f32::datum_type() || fact.konst.is_some() {
            return Ok(None);
        }
        let plain = self.plain(node.inputs[0])?;
        let level = self.levels.float;
        let wire = self.wire(&node.name, Sigmoid { level, shape }, &[plain])?;
        Ok(Some(Value::Plain(wire)))
    }
}

fn is_sigmoid(node: &TypedNode) -> bool {
    node.op_as::<ElementWiseOp>()
        .is_some_and(|op| op.0.is::<tract_core::ops::nn::Sigmoid>())
}

/// Channels, height and width of a single f32 picture of known size.
fn picture(fact: &TypedFact) -> Option<(usize, usize, usize)> {
    if fact.datum_type != f32::datum_type() || fact.konst.is_some() {
        return None;
    }
    match fact.shape.as_concrete()? {
        &[1, channels, height, width] => Some((channels, height, width)),
        _ => None,
    }
}

fn is_square(spec: &PoolSpec, side: usize, stride: usize) -> bool {
    spec.data_format == DataFormat::NCHW
        && spec.kernel_shape[..] == [side, side]
        && spec.strides().iter().all(|&step| step == stride)
        && spec.dilations().iter().all(|&step| step == 1)
}
