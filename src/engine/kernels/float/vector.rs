//! Eight or sixteen f32 at a time, on the instruction sets that matter.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::BLOCK;

/// Instructions that this processor has, for it is made by looking alone. Results differ between levels
/// only by the rounding of fused multiply-adds; within a level they are the same on every run.
///
/// ```compile_fail
/// use blemish::engine::kernels::float::{Instructions, Level};
/// let made_up = Level(Instructions::Portable);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(Instructions);

/// Kinds of instructions that kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Level {
    /// What every processor can run.
    pub const PORTABLE: Self = Self(Instructions::Portable);

    /// The best level of this processor.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// All levels that this processor can run, the best first.
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            // To the compiler avx512f has avx2, fma and f16c in it: a hypervisor may see that differently.
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                levels.push(Self(Instructions::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self(Instructions::Avx2));
            }
        }
        levels.push(Self::PORTABLE);
        levels
    }

    /// Its instructions.
    #[inline]
    pub fn instructions(self) -> Instructions {
        self.0
    }
}

/// A register of [`Vector::BLOCKS`] channel blocks.
///
/// # Safety
/// Every method needs the instruction set of its type, and pointers that are valid for the floats
/// that the method names. No alignment is asked for.
#[expect(
    clippy::missing_safety_doc,
    reason = "said once, above, for all methods"
)]
pub trait Vector: Copy {
    /// Blocks of eight channels in one register.
    const BLOCKS: usize;
    unsafe fn zero() -> Self;
    /// `BLOCKS * 8` consecutive floats.
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Eight floats at `from`, the next eight at `from + block_stride`.
    unsafe fn load_blocks(from: *const f32, block_stride: usize) -> Self;
    unsafe fn store_blocks(self, to: *mut f32, block_stride: usize);
    /// One float in every lane.
    unsafe fn splat(from: *const f32) -> Self;
    /// `self + a * b`, rounded once where the processor can.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `max(0, self)`.
    unsafe fn positive(self) -> Self;
}

/// Two blocks in a 512-bit register.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Zmm(__m512);

// The intrinsics need avx512f.
#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Vector for Zmm {
    const BLOCKS: usize = 2;
    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self(_mm512_setzero_ps()) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(_mm512_loadu_ps(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_blocks(from: *const f32, block_stride: usize) -> Self {
        unsafe {
            let low = _mm512_castps_pd(_mm512_castps256_ps512(_mm256_loadu_ps(from)));
            let high = _mm256_castps_pd(_mm256_loadu_ps(from.add(block_stride)));
            Self(_mm512_castpd_ps(_mm512_insertf64x4::<1>(low, high)))
        }
    }
    #[inline(always)]
    unsafe fn store_blocks(self, to: *mut f32, block_stride: usize) {
        unsafe {
            let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0));
            _mm256_storeu_ps(to, _mm512_castps512_ps256(self.0));
            _mm256_storeu_ps(to.add(block_stride), _mm256_castpd_ps(high));
        }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        unsafe { Self(_mm512_set1_ps(*from)) }
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0)) }
    }
    #[inline(always)]
    unsafe fn positive(self) -> Self {
        unsafe { Self(_mm512_max_ps(self.0, _mm512_setzero_ps())) }
    }
}

/// One block in a 256-bit register.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Ymm(__m256);

// The intrinsics need avx, fma.
#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Vector for Ymm {
    const BLOCKS: usize = 1;
    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self(_mm256_setzero_ps()) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(_mm256_loadu_ps(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn load_blocks(from: *const f32, _block_stride: usize) -> Self {
        unsafe { Self::load(from) }
    }
    #[inline(always)]
    unsafe fn store_blocks(self, to: *mut f32, _block_stride: usize) {
        unsafe { self.store(to) }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        unsafe { Self(_mm256_broadcast_ss(&*from)) }
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0)) }
    }
    #[inline(always)]
    unsafe fn positive(self) -> Self {
        unsafe { Self(_mm256_max_ps(self.0, _mm256_setzero_ps())) }
    }
}

/// One block as an array: the scalar twin, and what other processors vectorise by themselves.
#[derive(Clone, Copy)]
pub struct Lanes([f32; BLOCK]);

// No instruction set is needed.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the trait's contract is passed on to the caller"
)]
impl Vector for Lanes {
    const BLOCKS: usize = 1;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; BLOCK])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(from.cast::<[f32; BLOCK]>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; BLOCK]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_blocks(from: *const f32, _block_stride: usize) -> Self {
        unsafe { Self::load(from) }
    }
    #[inline(always)]
    unsafe fn store_blocks(self, to: *mut f32, _block_stride: usize) {
        unsafe { self.store(to) }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        unsafe { Self([*from; BLOCK]) }
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        let mut sum = self.0;
        for (lane, sum) in sum.iter_mut().enumerate() {
            // Without a fused instruction `mul_add` is a library call, a hundred times slower.
            *sum = if cfg!(target_arch = "aarch64") {
                a.0[lane].mul_add(b.0[lane], *sum)
            } else {
                a.0[lane] * b.0[lane] + *sum
            };
        }
        Self(sum)
    }
    #[inline(always)]
    unsafe fn positive(self) -> Self {
        Self(self.0.map(|lane| if lane > 0.0 { lane } else { 0.0 }))
    }
}

/// Compiles a safe function once per instruction set and calls the one that `level` names.
#[macro_export]
macro_rules! multiversion {
    ($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "as many as the function has that is compiled")]
        pub fn $name(level: $crate::engine::kernels::float::Level, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "as many as the function has that is compiled")]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
            #[allow(clippy::too_many_arguments, reason = "as many as the function has that is compiled")]
            fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            #[allow(clippy::too_many_arguments, reason = "as many as the function has that is compiled")]
            fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            match level.instructions() {
                // SAFETY: a `Level` is only made for processors that have its instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::engine::kernels::float::Instructions::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::engine::kernels::float::Instructions::Avx2 => unsafe { avx2($($arg),*) },
                $crate::engine::kernels::float::Instructions::Portable => body($($arg),*),
            }
        }
    };
}
