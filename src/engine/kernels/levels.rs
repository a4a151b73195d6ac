//! Which instructions the kernels of a plan use.

use super::{float, int8};

/// One level for each kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    pub int8: int8::Level,
    pub float: float::Level,
}

impl Levels {
    /// The best of this processor.
    pub fn detect() -> Self {
        Self {
            int8: int8::Level::detect(),
            float: float::Level::detect(),
        }
    }

    /// All that this processor can run, the best first: what a lesser one would have is among them.
    pub fn available() -> Vec<Self> {
        let floats = float::Level::available();
        let with_float = |int8: int8::Level| {
            let float = match int8.instructions() {
                int8::Instructions::Scalar => Some(float::Level::PORTABLE),
                #[cfg(target_arch = "x86_64")]
                int8::Instructions::AvxVnni | int8::Instructions::Avx2 => floats
                    .iter()
                    .copied()
                    .find(|&level| level.instructions() != float::Instructions::Avx512),
                _ => floats.first().copied(),
            };
            Self {
                int8,
                float: float.unwrap_or(float::Level::PORTABLE),
            }
        };
        int8::Level::available()
            .into_iter()
            .map(with_float)
            .collect()
    }

    /// What `blemish bench --kernels` calls it: the integers' instructions.
    pub fn name(self) -> &'static str {
        match self.int8.instructions() {
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            int8::Instructions::I8mm => "i8mm",
            #[cfg(target_arch = "aarch64")]
            int8::Instructions::DotProduct => "dotprod",
            #[cfg(target_arch = "aarch64")]
            int8::Instructions::Neon => "neon",
            int8::Instructions::Scalar => "scalar",
        }
    }
}
