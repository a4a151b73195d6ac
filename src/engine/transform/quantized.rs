//! The quantized half of the rewrite: what stands between QuantizeLinear and DequantizeLinear becomes
//! integers from end to end.
//!
//! A float value that came out of DequantizeLinear is known as its bytes; an operator that finds all
//! its inputs so, and a QuantizeLinear behind it, computes bytes from bytes. Weights come as constants
//! that tract has multiplied out; they are taken back to the grid of their scale, `max |w| / 127` per
//! output channel, and left in float where they do not lie on it.

use super::byte_ops::{ByteConv, ByteJoin, BytePool, ByteUpsample, FromBytes, ToBytes};
use super::{Part, Rewriter, picture};
use crate::draem::Upsampling;
use crate::engine::kernels::int8::{Grid, Packed, Requantize, Shape};
use crate::engine::kernels::{BLOCK, Sides};
use tract_core::internal::*;
use tract_core::ops::array::TypedConcat;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearU8};

/// A value in bytes: parts that follow each other along the channels, all on one grid.
#[derive(Clone)]
pub(super) struct Bytes {
    pub parts: Vec<Part>,
    pub sides: Sides,
    pub grid: Grid,
}

/// What a quantized convolution became.
pub(super) enum Converted {
    Bytes(Bytes),
    /// Its output is not quantized: floats in tract's layout.
    Floats(OutletId),
}

/// How far from an integer a weight may lie after tract multiplied it out.
const OFF_GRID: f32 = 1e-2;

fn quantize_of(node: &TypedNode) -> Option<Grid> {
    let op = &node.op_as::<ElementWiseOp>()?.0;
    let quantize = op.downcast_ref::<QuantizeLinearU8>()?;
    Some(Grid {
        scale: quantize.scale.recip(),
        zero_point: quantize.zero_point,
    })
}

/// Scales that differ by a rounding are the same.
fn same(a: Grid, b: Grid) -> bool {
    a.zero_point == b.zero_point && (a.scale - b.scale).abs() <= 1e-6 * a.scale
}

impl Rewriter<'_> {
    /// QuantizeLinear and DequantizeLinear.
    pub(super) fn grid_node(&mut self, node: &TypedNode) -> TractResult<Option<Bytes>> {
        if let Some(dequantize) = node.op_as::<DequantizeLinearF32>() {
            let known = self.bytes.get(&node.inputs[0]);
            let fits = known.filter(|bytes| {
                let zero_point = i32::from(bytes.grid.zero_point);
                zero_point == dequantize.zero_point
                    && (bytes.grid.scale - dequantize.scale).abs() <= 1e-6 * dequantize.scale
            });
            return Ok(fits.cloned());
        }
        let Some(grid) = quantize_of(node) else {
            return Ok(None);
        };
        if let Some(known) = self.bytes.get(&node.inputs[0]) {
            return Ok(same(known.grid, grid).then(|| known.clone()));
        }
        let Some((channels, height, width)) = picture(self.from.outlet_fact(node.inputs[0])?)
        else {
            return Ok(None);
        };
        let sides = Sides { height, width };
        let plain = self.plain(node.inputs[0])?;
        let op = ToBytes {
            level: self.levels.float,
            channels,
            sides,
            grid,
        };
        let wire = self.wire(&node.name, op, &[plain])?;
        Ok(Some(Bytes {
            parts: vec![Part { wire, channels }],
            sides,
            grid,
        }))
    }

    /// The QuantizeLinear that alone follows `node`, if any, with what it does.
    pub(super) fn quantize_behind(&self, node: &TypedNode) -> Option<(usize, Grid)> {
        let [successor] = node.outputs[0].successors[..] else {
            return None;
        };
        let next = self.from.node(successor.node);
        quantize_of(next).map(|grid| (next.id, grid))
    }

    /// A 3x3 convolution of bytes with constant weights, already found to have our geometry.
    pub(super) fn byte_conv(
        &mut self,
        node: &TypedNode,
        weights: &[f32],
        bias: &[f32],
        outputs: usize,
    ) -> TractResult<Option<Converted>> {
        let Some(input) = self.bytes.get(&node.inputs[0]).cloned() else {
            return Ok(None);
        };
        let inputs: usize = input.parts.iter().map(|part| part.channels).sum();
        let relu = self.relu_behind(node);
        let last = relu.map_or(node, |relu| self.from.node(relu));
        let behind = self.quantize_behind(last);
        if behind.is_none() && relu.is_some() {
            return Ok(None);
        }
        let Some((levels, steps)) = to_grid(weights, 9 * inputs) else {
            return Ok(None);
        };
        let sums: Vec<f32> = steps.iter().map(|step| step * input.grid.scale).collect();
        let starts: Vec<i32> = (0..outputs)
            .map(|output| {
                let bias = if bias.len() == 1 {
                    bias[0]
                } else {
                    bias[output]
                };
                (f64::from(bias) / f64::from(sums[output])).round() as i32
            })
            .collect();
        let out_scale = behind.map_or(1.0, |(_, grid)| grid.scale);
        let scales: Vec<f32> = sums.iter().map(|sum| sum / out_scale).collect();
        let shape = Shape {
            inputs: input.parts.iter().map(|part| part.channels).collect(),
            outputs,
        };
        let Some(packed) = Packed::new(
            self.levels.int8,
            shape,
            input.grid.zero_point,
            |output, channel, tap| levels[(output * inputs + channel) * 9 + tap],
            &starts,
            &scales,
        ) else {
            return Ok(None);
        };
        let op = ByteConv {
            packed,
            sides: input.sides,
            to: behind.map(|(_, grid)| Requantize {
                zero_point: grid.zero_point,
                least: if relu.is_some() { grid.zero_point } else { 0 },
            }),
        };
        let wires: TVec<OutletId> = input.parts.iter().map(|part| part.wire).collect();
        let wire = self.wire(&node.name, op, &wires)?;
        let part = Part {
            wire,
            channels: outputs,
        };
        Ok(Some(match behind {
            None => Converted::Floats(wire),
            Some((quantize, grid)) => {
                let bytes = Bytes {
                    parts: vec![part],
                    sides: input.sides,
                    grid,
                };
                for swallowed in relu.into_iter().chain([quantize]) {
                    self.swallowed_bytes.insert(swallowed, bytes.clone());
                }
                Converted::Bytes(bytes)
            }
        }))
    }

    /// Max pooling of bytes: the order of bytes is the order of the numbers they stand for.
    pub(super) fn byte_pool(&mut self, node: &TypedNode) -> TractResult<Option<Bytes>> {
        let Some(input) = self.bytes.get(&node.inputs[0]).cloned() else {
            return Ok(None);
        };
        let Sides { height, width } = input.sides;
        let ([part], true) = (
            &input.parts[..],
            height.is_multiple_of(2) && width.is_multiple_of(2),
        ) else {
            return Ok(None);
        };
        let op = BytePool {
            level: self.levels.float,
            blocks: part.channels.div_ceil(BLOCK),
            sides: input.sides,
            zero_point: input.grid.zero_point,
        };
        let wire = self.wire(&node.name, op, &[part.wire])?;
        Ok(Some(Bytes {
            parts: vec![Part { wire, ..*part }],
            sides: input.sides.half(),
            grid: input.grid,
        }))
    }

    /// Bilinear x2 of bytes, where a QuantizeLinear on the same grid follows and rounding is meant.
    pub(super) fn byte_upsample(
        &mut self,
        node: &TypedNode,
        upsampling: Upsampling,
    ) -> TractResult<Option<Bytes>> {
        let Some(input) = self.bytes.get(&node.inputs[0]).cloned() else {
            return Ok(None);
        };
        let meant = self
            .quantize_behind(node)
            .is_some_and(|(_, grid)| same(grid, input.grid));
        let ([part], true) = (&input.parts[..], meant) else {
            return Ok(None);
        };
        let blocks = part.channels.div_ceil(BLOCK);
        let op = ByteUpsample::new(
            self.levels.float,
            blocks,
            input.sides,
            input.grid.zero_point,
            upsampling,
        );
        let wire = self.wire(&node.name, op, &[part.wire])?;
        Ok(Some(Bytes {
            parts: vec![Part { wire, ..*part }],
            sides: input.sides.twice(),
            grid: input.grid,
        }))
    }

    /// Channels of bytes on one grid, one part after the other. Nothing is computed, but where all fit
    /// one block: two blocks that are half empty would cost every consumer more.
    pub(super) fn byte_concat(
        &mut self,
        node: &TypedNode,
        concat: &TypedConcat,
    ) -> TractResult<Option<Bytes>> {
        let Some(mut joined) = self.bytes_in_parts(node, concat) else {
            return Ok(None);
        };
        if let [first, second] = joined.parts[..]
            && first.channels + second.channels <= BLOCK
        {
            let op = ByteJoin {
                level: self.levels.float,
                channels: [first.channels, second.channels],
                sides: joined.sides,
                zero_point: joined.grid.zero_point,
            };
            let wire = self.wire(&node.name, op, &[first.wire, second.wire])?;
            let channels = first.channels + second.channels;
            joined.parts = vec![Part { wire, channels }];
        }
        Ok(Some(joined))
    }

    fn bytes_in_parts(&self, node: &TypedNode, concat: &TypedConcat) -> Option<Bytes> {
        let mut inputs = node.inputs.iter().map(|input| self.bytes.get(input));
        let mut joined = inputs.next()??.clone();
        for input in inputs {
            let input = input?;
            if concat.axis != 1 || !same(joined.grid, input.grid) || joined.sides != input.sides {
                return None;
            }
            joined.parts.extend(&input.parts);
        }
        (joined.parts.len() <= 4).then_some(joined)
    }

    /// Bytes brought back into tract's f32 layout.
    pub(super) fn plain_from_bytes(&mut self, value: &Bytes, name: &str) -> TractResult<OutletId> {
        let mut wires = TVec::new();
        for (index, part) in value.parts.iter().enumerate() {
            let op = FromBytes {
                level: self.levels.float,
                channels: part.channels,
                sides: value.sides,
                grid: value.grid,
            };
            let name = format!("{name}.{index}");
            wires.push(self.wire(&name, op, &[part.wire])?);
        }
        match wires[..] {
            [wire] => Ok(wire),
            _ => Ok(self.to.wire_node(name, TypedConcat { axis: 1 }, &wires)?[0]),
        }
    }
}

/// Weights as whole steps of their output channel's scale, and the scales; `None` where they are not.
fn to_grid(weights: &[f32], per_output: usize) -> Option<(Vec<i8>, Vec<f32>)> {
    let mut levels = Vec::with_capacity(weights.len());
    let mut steps = Vec::new();
    for channel in weights.chunks_exact(per_output) {
        let greatest = channel
            .iter()
            .fold(0f32, |most, weight| most.max(weight.abs()));
        let step = if greatest > 0.0 {
            greatest / 127.0
        } else {
            1.0
        };
        for weight in channel {
            let level = weight / step;
            if (level - level.round()).abs() > OFF_GRID {
                return None;
            }
            levels.push(level.round() as i8);
        }
        steps.push(step);
    }
    Some((levels, steps))
}

#[cfg(test)]
mod tests {
    use super::super::rewrite;
    use crate::engine::kernels::Levels;
    use tract_core::internal::*;
    use tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_u8};

    /// A foreign graph may read one QuantizeLinear's bytes on several grids, or as they are.
    #[test]
    fn bytes_that_are_not_ours_alone_stay_bytes() {
        let model = || -> TractResult<TypedModel> {
            let mut model = TypedModel::default();
            let tile = model.add_source("tile", f32::fact([1, 3, 32, 64]))?;
            let bytes = model.wire_node("bytes", quantize_linear_u8(50.0, 10), &[tile])?[0];
            let own = DequantizeLinearF32::new(0.02, 10);
            let own = model.wire_node("own", own, &[bytes])?[0];
            let other = DequantizeLinearF32::new(0.05, 3);
            let other = model.wire_node("other", other, &[bytes])?[0];
            model.select_output_outlets(&[own, other, bytes])?;
            Ok(model)
        };
        let value = |at: usize| (at % 301) as f32 * 0.02 - 0.7;
        let values: Vec<f32> = (0..3 * 32 * 64).map(value).collect();
        let tile = tensor1(&values).into_shape(&[1, 3, 32, 64]).unwrap();
        let run = |model: TypedModel| {
            let inputs = tvec!(tile.clone().into_tvalue());
            model.into_runnable().unwrap().run(inputs).unwrap()
        };
        let model = model().unwrap();
        let ours = rewrite(&model, Levels::detect()).unwrap();
        assert!(ours.nodes.iter().any(|node| node.op.name() == "ToBytes"));
        let (wanted, got) = (run(model), run(ours));
        for (got, wanted) in got.iter().zip(&wanted) {
            got.close_enough(wanted, Approximation::Close).unwrap();
        }
    }
}
