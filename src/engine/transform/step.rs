//! An operator of ours, and how tract runs it.

use crate::engine::kernels::{Lines, Sides};
use std::marker::PhantomData;
use std::ops::Range;
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

/// What a thread keeps from tile to tile, so that no operator takes memory.
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
    /// Lines of each plane of the output: threads may share them out among themselves.
    fn lines(&self) -> usize;
    /// Makes `scratch` as great as [`Step::compute`] needs it.
    fn prepare(&self, _: &mut Scratch) {}
    /// Writes every byte of the lines in `output`, which holds what `format` says, aligned for it.
    fn compute(&self, inputs: &[&[u8]], output: Output<'_>, scratch: &mut Scratch);
}

/// The value that a step writes, or lines of it.
#[derive(Debug)]
pub struct Output<'a> {
    first: *mut u8,
    bytes: usize,
    lines: Range<usize>,
    value: PhantomData<&'a mut [u8]>,
}

impl<'a> Output<'a> {
    /// Lines `lines` of the `bytes` bytes at `first`.
    ///
    /// # Safety
    /// They are there as long as the result lives, and nobody else reads or writes these lines.
    pub unsafe fn share(first: *mut u8, bytes: usize, lines: Range<usize>) -> Self {
        Self {
            first,
            bytes,
            lines,
            value: PhantomData,
        }
    }

    /// As bytes in ringed planes of these sides.
    pub fn bytes(self, sides: Sides) -> Lines<'a, u8> {
        // SAFETY: promised to `share`.
        unsafe { Lines::ringed_of(sides, self.first, self.bytes, self.lines) }
    }

    /// As floats in ringed planes of these sides.
    pub fn floats(self, sides: Sides) -> Lines<'a, f32> {
        let (first, count) = self.as_floats();
        // SAFETY: promised to `share`; four bytes that are aligned are a float.
        unsafe { Lines::ringed_of(sides, first, count, self.lines) }
    }

    /// As floats in tract's layout.
    pub fn planes(self, sides: Sides) -> Lines<'a, f32> {
        let (first, count) = self.as_floats();
        // SAFETY: as above.
        unsafe { Lines::bare_of(sides, first, count, self.lines) }
    }

    fn as_floats(&self) -> (*mut f32, usize) {
        let first = self.first.cast::<f32>();
        assert!(first.is_aligned() && self.bytes.is_multiple_of(size_of::<f32>()));
        (first, self.bytes / size_of::<f32>())
    }
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
        let mut output = match number {
            Number::U8 => Tensor::zero::<u8>(&shape)?,
            Number::F32 => Tensor::zero::<f32>(&shape)?,
        };
        let views: TractResult<Vec<_>> = inputs.iter().map(|v| v.try_as_plain_ram()).collect();
        let views = views?;
        let bytes: Vec<&[u8]> = views.iter().map(|view| view.as_bytes()).collect();
        let mut view = output.try_as_plain_ram_mut()?;
        let to = view.as_bytes_mut();
        let lines = 0..self.0.lines();
        // SAFETY: all lines of a tensor that is ours alone.
        let to = unsafe { Output::share(to.as_mut_ptr(), to.len(), lines) };
        let mut scratch = Scratch::default();
        self.0.prepare(&mut scratch);
        self.0.compute(&bytes, to, &mut scratch);
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
