//! An operator of ours, and how tract runs it.

use std::sync::Arc;
use tract_core::internal::*;
use tract_core::ops::Cost;

/// Numbers of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    U8,
    F32,
}

/// A value between operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pub number: Number,
    pub shape: Vec<usize>,
}

impl Format {
    /// Memory that the value takes.
    pub fn bytes(&self) -> usize {
        let size = match self.number {
            Number::U8 => 1,
            Number::F32 => size_of::<f32>(),
        };
        self.shape.iter().product::<usize>() * size
    }
}

/// What a worker keeps from tile to tile, so that no operator takes memory.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A line of bytes, 128 times too great.
    pub words: Vec<i16>,
    /// A line of floats.
    pub floats: Vec<f32>,
}

/// An operator of ours: one value out of others, nothing kept.
pub trait Step: std::fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;
    /// What comes out.
    fn format(&self) -> Format;
    /// Multiply-accumulates of one tile.
    fn macs(&self) -> usize {
        0
    }
    /// Writes every byte of `output`, which holds what `format` says, aligned for it.
    fn compute(&self, inputs: &[&[u8]], output: &mut [u8], scratch: &mut Scratch);
}

/// Bytes as the floats that they are.
///
/// # Panics
/// Where they are not aligned, or not whole: neither tract nor the arena gives such.
pub fn floats(bytes: &[u8]) -> &[f32] {
    // SAFETY: every four bytes are a float.
    let (before, floats, after) = unsafe { bytes.align_to::<f32>() };
    assert!(before.is_empty() && after.is_empty());
    floats
}

/// [`floats`] to write to.
///
/// # Panics
/// As [`floats`].
pub fn floats_mut(bytes: &mut [u8]) -> &mut [f32] {
    // SAFETY: every four bytes are a float, and every float is four bytes.
    let (before, floats, after) = unsafe { bytes.align_to_mut::<f32>() };
    assert!(before.is_empty() && after.is_empty());
    floats
}

/// A step as tract sees it.
#[derive(Debug, Clone)]
pub struct Ours(pub Arc<dyn Step>);

impl PartialEq for Ours {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Ours {}

impl Ours {
    fn fact(&self) -> TypedFact {
        let Format { number, shape } = self.0.format();
        match number {
            Number::U8 => u8::fact(shape),
            Number::F32 => f32::fact(shape),
        }
    }
}

impl Op for Ours {
    fn name(&self) -> StaticName {
        self.0.name().into()
    }
    op_as_typed_op!();
}

impl EvalOp for Ours {
    op_out_of_plan!();
    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Format { number, shape } = self.0.format();
        // SAFETY: every pattern of bytes is a value, and the step writes all of them.
        let mut output = unsafe {
            match number {
                Number::U8 => Tensor::uninitialized::<u8>(&shape)?,
                Number::F32 => Tensor::uninitialized::<f32>(&shape)?,
            }
        };
        let views: TractResult<Vec<_>> = inputs.iter().map(|v| v.try_as_plain_ram()).collect();
        let views = views?;
        let bytes: Vec<&[u8]> = views.iter().map(|view| view.as_bytes()).collect();
        let mut view = output.try_as_plain_ram_mut()?;
        self.0
            .compute(&bytes, view.as_bytes_mut(), &mut Scratch::default());
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for Ours {
    as_op!();
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.fact()))
    }
    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let kind = Cost::FMA(f32::datum_type());
        Ok(match self.0.macs() {
            0 => tvec!(),
            macs => tvec!((kind, macs.to_dim())),
        })
    }
}
