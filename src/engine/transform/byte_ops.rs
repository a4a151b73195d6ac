//! tract operators around the integer kernels. A value in bytes is a u8 tensor
//! `blocks x (height + 2) x (width + 2) x 8` whose outermost lines and columns hold the zero point.

use super::ops::{blocks_of, float_fact};
use crate::draem::Upsampling;
use crate::engine::kernels::int8::{
    BLOCK, Output, Packed, Requantize, Sides, Taps, convolve, max_pool, upsample,
};
use std::sync::Arc;
use tract_core::internal::*;

fn shape(blocks: usize, sides: Sides) -> [usize; 4] {
    [blocks, sides.height + 2, sides.width + 2, BLOCK]
}

/// An uninitialised value in bytes with its ring set.
fn bytes_of(blocks: usize, sides: Sides, zero_point: u8) -> TractResult<Tensor> {
    // SAFETY: every byte is a value; the ring is set here and each operator below writes every pixel
    // inside it.
    let mut tensor = unsafe { Tensor::uninitialized::<u8>(&shape(blocks, sides))? };
    let mut view = tensor.try_as_plain_ram_mut()?;
    sides.clear_ring(view.as_slice_mut::<u8>()?, zero_point);
    Ok(tensor)
}

fn byte_fact(blocks: usize, sides: Sides) -> TypedFact {
    u8::fact(shape(blocks, sides))
}

/// How bytes stand for numbers: `scale * (byte - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    pub scale: f32,
    pub zero_point: u8,
}

/// From tract's f32 layout into bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ToBytes {
    pub channels: usize,
    pub sides: Sides,
    pub grid: Grid,
}

impl Eq for ToBytes {}

impl Op for ToBytes {
    fn name(&self) -> StaticName {
        "ToBytes".into()
    }
    op_as_typed_op!();
}

impl EvalOp for ToBytes {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Grid { scale, zero_point } = self.grid;
        let blocks = self.channels.div_ceil(BLOCK);
        let mut output = bytes_of(blocks, self.sides, zero_point)?;
        let mut view = output.try_as_plain_ram_mut()?;
        let to = view.as_slice_mut::<u8>()?;
        if !self.channels.is_multiple_of(BLOCK) {
            to[(blocks - 1) * self.sides.plane()..].fill(zero_point);
        }
        let from = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        let inverse = scale.recip();
        let lines = from.chunks_exact(self.sides.width);
        for (index, line) in lines.enumerate() {
            let (channel, y) = (index / self.sides.height, index % self.sides.height);
            let plane = &mut to[channel / BLOCK * self.sides.plane()..][..self.sides.plane()];
            let pixels = plane[self.sides.line(y)].as_chunks_mut::<BLOCK>().0;
            for (pixel, value) in pixels.iter_mut().zip(line) {
                let level = (value * inverse).round_ties_even() + f32::from(zero_point);
                pixel[channel % BLOCK] = level.clamp(0.0, 255.0) as u8;
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for ToBytes {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(byte_fact(self.channels.div_ceil(BLOCK), self.sides)))
    }
}

/// From bytes into tract's f32 layout.
#[derive(Debug, Clone, PartialEq)]
pub struct FromBytes {
    pub channels: usize,
    pub sides: Sides,
    pub grid: Grid,
}

impl Eq for FromBytes {}

impl Op for FromBytes {
    fn name(&self) -> StaticName {
        "FromBytes".into()
    }
    op_as_typed_op!();
}

impl EvalOp for FromBytes {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Sides { height, width } = self.sides;
        // SAFETY: every value is written below.
        let mut output =
            unsafe { Tensor::uninitialized::<f32>(&[1, self.channels, height, width])? };
        let mut view = output.try_as_plain_ram_mut()?;
        let from = inputs[0].try_as_plain_ram()?.as_slice::<u8>()?;
        let lines = view.as_slice_mut::<f32>()?.chunks_exact_mut(width);
        for (index, line) in lines.enumerate() {
            let (channel, y) = (index / height, index % height);
            let plane = &from[channel / BLOCK * self.sides.plane()..][..self.sides.plane()];
            let pixels = plane[self.sides.line(y)].as_chunks::<BLOCK>().0;
            for (value, pixel) in line.iter_mut().zip(pixels) {
                let level = i32::from(pixel[channel % BLOCK]) - i32::from(self.grid.zero_point);
                *value = level as f32 * self.grid.scale;
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for FromBytes {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let Sides { height, width } = self.sides;
        Ok(tvec!(f32::fact([1, self.channels, height, width])))
    }
}

/// 3x3 convolution in integers over one or more inputs that follow each other along the channels.
#[derive(Debug, Clone)]
pub struct ByteConv {
    pub packed: Arc<Packed>,
    pub sides: Sides,
    /// `None` where the output is not quantized: then it is a value in blocks of f32.
    pub to: Option<Requantize>,
}

impl PartialEq for ByteConv {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.packed, &other.packed)
    }
}

impl Eq for ByteConv {}

impl Op for ByteConv {
    fn name(&self) -> StaticName {
        match self.to {
            Some(_) => "ByteConv".into(),
            None => "ByteConvToFloat".into(),
        }
    }
    op_as_typed_op!();
}

impl EvalOp for ByteConv {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut sources: heapless::Vec<&[u8], 4> = heapless::Vec::new();
        for input in &inputs {
            let bytes = input.try_as_plain_ram()?.as_slice::<u8>()?;
            ensure!(
                sources.push(bytes).is_ok(),
                "a convolution of over four inputs"
            );
        }
        let blocks = self.packed.shape.output_blocks();
        let Sides { height, width } = self.sides;
        let output = match self.to {
            Some(to) => {
                let mut output = bytes_of(blocks, self.sides, to.zero_point)?;
                let mut view = output.try_as_plain_ram_mut()?;
                let bytes = view.as_slice_mut::<u8>()?;
                let mut target = Output::Bytes(bytes, to);
                convolve(&self.packed, self.sides, &sources, &mut target);
                output
            }
            None => {
                let mut output = blocks_of(blocks, height, width)?;
                let mut view = output.try_as_plain_ram_mut()?;
                let mut target = Output::Floats(view.as_slice_mut::<f32>()?);
                convolve(&self.packed, self.sides, &sources, &mut target);
                output
            }
        };
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for ByteConv {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let blocks = self.packed.shape.output_blocks();
        let Sides { height, width } = self.sides;
        Ok(tvec!(match self.to {
            Some(_) => byte_fact(blocks, self.sides),
            None => float_fact(blocks, height, width),
        }))
    }
    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(tract_core::ops::Cost, TDim)>> {
        let inputs: usize = self.packed.shape.inputs.iter().sum();
        let macs = 9 * inputs * self.packed.shape.outputs * self.sides.height * self.sides.width;
        let kind = tract_core::ops::Cost::FMA(u8::datum_type());
        Ok(tvec!((kind, macs.to_dim())))
    }
}

/// 2x2 max pooling; `sides` are the input's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BytePool {
    pub blocks: usize,
    pub sides: Sides,
    pub zero_point: u8,
}

impl BytePool {
    fn half(&self) -> Sides {
        Sides {
            height: self.sides.height / 2,
            width: self.sides.width / 2,
        }
    }
}

impl Op for BytePool {
    fn name(&self) -> StaticName {
        "BytePool".into()
    }
    op_as_typed_op!();
}

impl EvalOp for BytePool {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut output = bytes_of(self.blocks, self.half(), self.zero_point)?;
        let mut view = output.try_as_plain_ram_mut()?;
        let from = inputs[0].try_as_plain_ram()?.as_slice::<u8>()?;
        max_pool(self.sides, from, view.as_slice_mut::<u8>()?);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for BytePool {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(byte_fact(self.blocks, self.half())))
    }
}

/// Bilinear x2; `sides` are the input's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteUpsample {
    pub blocks: usize,
    pub sides: Sides,
    pub zero_point: u8,
    taps: Arc<(Taps, Taps)>,
}

impl ByteUpsample {
    pub fn new(blocks: usize, sides: Sides, zero_point: u8, upsampling: Upsampling) -> Self {
        let taps = |length| Taps::new(length, upsampling);
        Self {
            blocks,
            sides,
            zero_point,
            taps: Arc::new((taps(sides.height), taps(sides.width))),
        }
    }

    fn twice(&self) -> Sides {
        Sides {
            height: 2 * self.sides.height,
            width: 2 * self.sides.width,
        }
    }
}

impl Op for ByteUpsample {
    fn name(&self) -> StaticName {
        "ByteUpsample".into()
    }
    op_as_typed_op!();
}

impl EvalOp for ByteUpsample {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut output = bytes_of(self.blocks, self.twice(), self.zero_point)?;
        let mut view = output.try_as_plain_ram_mut()?;
        let from = inputs[0].try_as_plain_ram()?.as_slice::<u8>()?;
        let (vertical, horizontal) = &*self.taps;
        let to = view.as_slice_mut::<u8>()?;
        upsample(self.sides, vertical, horizontal, from, to, &mut Vec::new());
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for ByteUpsample {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(byte_fact(self.blocks, self.twice())))
    }
}
