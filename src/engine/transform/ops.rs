//! tract operators around the kernels. A value in blocks is an f32 tensor
//! `blocks x (height + 2) x (width + 2) x 8` whose outermost lines and columns are zero.

use crate::draem::Upsampling;
use crate::engine::kernels::float::{
    Activation, BLOCK, Level, Packed, Planes, Sides, Slot, Start, Taps, convolve, from_planar,
    max_pool, to_planar, upsample,
};
use std::sync::Arc;
use tract_core::internal::*;

fn shape(blocks: usize, height: usize, width: usize) -> [usize; 4] {
    [blocks, height + 2, width + 2, BLOCK]
}

/// An uninitialised value in blocks with its ring cleared.
pub(super) fn blocks_of(blocks: usize, height: usize, width: usize) -> TractResult<Tensor> {
    // SAFETY: every f32 pattern is a value; the ring is cleared here and each operator below writes
    // every pixel inside it.
    let mut tensor = unsafe { Tensor::uninitialized::<f32>(&shape(blocks, height, width))? };
    let sides = Sides { height, width };
    let mut view = tensor.try_as_plain_ram_mut()?;
    for plane in view.as_slice_mut::<f32>()?.chunks_exact_mut(sides.plane()) {
        let stride = sides.line_stride();
        plane[..stride].fill(0.0);
        plane[(height + 1) * stride..].fill(0.0);
        for line in plane[stride..(height + 1) * stride].chunks_exact_mut(stride) {
            line[..BLOCK].fill(0.0);
            line[stride - BLOCK..].fill(0.0);
        }
    }
    Ok(tensor)
}

pub(super) fn float_fact(blocks: usize, height: usize, width: usize) -> TypedFact {
    f32::fact(shape(blocks, height, width))
}

/// From tract's layout into blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToBlocks {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Op for ToBlocks {
    fn name(&self) -> StaticName {
        "ToBlocks".into()
    }
    op_as_typed_op!();
}

impl EvalOp for ToBlocks {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let blocks = self.channels.div_ceil(BLOCK);
        let mut output = blocks_of(blocks, self.height, self.width)?;
        let sides = Sides {
            height: self.height,
            width: self.width,
        };
        let mut view = output.try_as_plain_ram_mut()?;
        let to = view.as_slice_mut::<f32>()?;
        if !self.channels.is_multiple_of(BLOCK) {
            to[(blocks - 1) * sides.plane()..].fill(0.0);
        }
        let from = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        from_planar(to, sides, 0, from, self.channels);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for ToBlocks {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let blocks = self.channels.div_ceil(BLOCK);
        Ok(tvec!(float_fact(blocks, self.height, self.width)))
    }
}

/// From blocks into tract's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromBlocks {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Op for FromBlocks {
    fn name(&self) -> StaticName {
        "FromBlocks".into()
    }
    op_as_typed_op!();
}

impl EvalOp for FromBlocks {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = [1, self.channels, self.height, self.width];
        // SAFETY: `to_planar` writes every value.
        let mut output = unsafe { Tensor::uninitialized::<f32>(&shape)? };
        let sides = Sides {
            height: self.height,
            width: self.width,
        };
        let mut view = output.try_as_plain_ram_mut()?;
        let from = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        to_planar(from, sides, 0, view.as_slice_mut::<f32>()?, self.channels);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for FromBlocks {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact([
            1,
            self.channels,
            self.height,
            self.width
        ])))
    }
}

/// 3x3 convolution with bias and, where asked for, ReLU, over one or more inputs that follow each
/// other along the channels.
#[derive(Debug, Clone)]
pub struct BlockConv {
    level: Level,
    /// One per input; the bias is with the first.
    packed: Arc<[Packed]>,
    activation: Activation,
    sides: Sides,
    /// Real channels, for the cost.
    channels: (usize, usize),
}

impl BlockConv {
    pub fn new(
        level: Level,
        packed: Vec<Packed>,
        activation: Activation,
        (height, width): (usize, usize),
        channels: (usize, usize),
    ) -> Self {
        Self {
            level,
            packed: packed.into(),
            activation,
            sides: Sides { height, width },
            channels,
        }
    }

    fn out_blocks(&self) -> usize {
        self.packed[0].out_blocks
    }
}

impl PartialEq for BlockConv {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.packed, &other.packed)
    }
}

impl Eq for BlockConv {}

impl Op for BlockConv {
    fn name(&self) -> StaticName {
        match self.activation {
            Activation::Relu => "BlockConvRelu".into(),
            Activation::None => "BlockConv".into(),
        }
    }
    op_as_typed_op!();
}

impl EvalOp for BlockConv {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Sides { height, width } = self.sides;
        let mut output = blocks_of(self.out_blocks(), height, width)?;
        let like = |blocks| Planes {
            pictures: 1,
            blocks,
            height,
            width,
            values: Vec::new(),
        };
        let mut view = output.try_as_plain_ram_mut()?;
        let to = view.as_slice_mut::<f32>()?;
        let first = Slot { first_block: 0 };
        let last = inputs.len() - 1;
        for (index, (input, packed)) in inputs.iter().zip(&*self.packed).enumerate() {
            convolve(
                self.level,
                packed,
                &like(packed.in_blocks),
                input.try_as_plain_ram()?.as_slice::<f32>()?,
                first,
                &like(packed.out_blocks),
                to,
                first,
                if index == 0 {
                    Start::Bias
                } else {
                    Start::Output
                },
                if index == last {
                    self.activation
                } else {
                    Activation::None
                },
                |_, _, _| {},
            );
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for BlockConv {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(float_fact(
            self.out_blocks(),
            self.sides.height,
            self.sides.width
        )))
    }
    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(tract_core::ops::Cost, TDim)>> {
        let macs = 9 * self.channels.0 * self.channels.1 * self.sides.height * self.sides.width;
        Ok(tvec!((
            tract_core::ops::Cost::FMA(f32::datum_type()),
            macs.to_dim()
        )))
    }
}

/// 2x2 max pooling; sides are the input's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPool {
    pub level: Level,
    pub blocks: usize,
    pub height: usize,
    pub width: usize,
}

impl Op for BlockPool {
    fn name(&self) -> StaticName {
        "BlockPool".into()
    }
    op_as_typed_op!();
}

impl EvalOp for BlockPool {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut output = blocks_of(self.blocks, self.height / 2, self.width / 2)?;
        let sides = Sides {
            height: self.height,
            width: self.width,
        };
        let mut view = output.try_as_plain_ram_mut()?;
        let from = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        max_pool(self.level, sides, from, view.as_slice_mut::<f32>()?);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for BlockPool {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(float_fact(
            self.blocks,
            self.height / 2,
            self.width / 2
        )))
    }
}

/// Bilinear x2; sides are the input's.
#[derive(Debug, Clone)]
pub struct BlockUpsample {
    level: Level,
    blocks: usize,
    sides: Sides,
    /// Along and across.
    taps: Arc<(Taps, Taps)>,
}

impl BlockUpsample {
    pub fn new(
        level: Level,
        blocks: usize,
        (height, width): (usize, usize),
        upsampling: Upsampling,
    ) -> Self {
        Self {
            level,
            blocks,
            sides: Sides { height, width },
            taps: Arc::new((Taps::new(height, upsampling), Taps::new(width, upsampling))),
        }
    }
}

impl PartialEq for BlockUpsample {
    fn eq(&self, other: &Self) -> bool {
        (self.blocks, self.sides) == (other.blocks, other.sides) && self.taps == other.taps
    }
}

impl Eq for BlockUpsample {}

impl Op for BlockUpsample {
    fn name(&self) -> StaticName {
        "BlockUpsample".into()
    }
    op_as_typed_op!();
}

impl EvalOp for BlockUpsample {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Sides { height, width } = self.sides;
        let mut output = blocks_of(self.blocks, 2 * height, 2 * width)?;
        let mut view = output.try_as_plain_ram_mut()?;
        let from = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        let (vertical, horizontal) = &*self.taps;
        let to = view.as_slice_mut::<f32>()?;
        let mut line = Vec::new();
        upsample(
            self.level, self.sides, vertical, horizontal, from, to, &mut line,
        );
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for BlockUpsample {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(float_fact(
            self.blocks,
            2 * self.sides.height,
            2 * self.sides.width
        )))
    }
}
