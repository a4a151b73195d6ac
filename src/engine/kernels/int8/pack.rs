//! One table of shapes and one packing for every instruction set.

use super::BLOCK;
use super::units::{Joined, UNIT_ROWS, Unit};

/// Instructions for bytes that this processor has, for it is made by looking alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(Instructions);

/// Kinds of instructions that kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// `vpdpbusd` on 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// `vpdpbusd` on 256 bits.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// `vpmaddubsw` on weights that cannot saturate it, see [`Form::Units`].
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// `usmmla`: Neoverse V1, Cortex-A710 and later; no Raspberry Pi and no Jetson up to Orin.
    #[cfg(target_arch = "aarch64")]
    I8mm,
    /// `sdot`: Cortex-A76, A78AE.
    #[cfg(target_arch = "aarch64")]
    DotProduct,
    /// Products in 16 bits summed in pairs: Cortex-A57, A72.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Plain Rust: the twin of all others.
    Scalar,
}

impl Level {
    /// What every processor can run.
    pub const SCALAR: Self = Self(Instructions::Scalar);

    /// All levels that this processor can run, the best first.
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            // To the compiler avx512f has avx2, fma and f16c in it: a hypervisor may see that differently.
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if wide && is_x86_feature_detected!("avx512vnni") {
                levels.push(Self(Instructions::Avx512Vnni));
            }
            if is_x86_feature_detected!("avxvnni") && is_x86_feature_detected!("avx2") {
                levels.push(Self(Instructions::AvxVnni));
            }
            if is_x86_feature_detected!("avx2") {
                levels.push(Self(Instructions::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            if std::arch::is_aarch64_feature_detected!("i8mm") {
                levels.push(Self(Instructions::I8mm));
            }
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                levels.push(Self(Instructions::DotProduct));
            }
            levels.push(Self(Instructions::Neon));
        }
        levels.push(Self::SCALAR);
        levels
    }

    /// The best level of this processor.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// Its instructions.
    #[inline]
    pub fn instructions(self) -> Instructions {
        self.0
    }

    /// Blocks of output channels that one run of the kernel computes together, for a layer with
    /// `blocks` of them left: the shape table.
    pub fn group(self, blocks: usize) -> usize {
        let most = match self.0 {
            // 32 registers of four sums, or 16 of eight, hold two blocks for enough pixels, and their weights.
            #[cfg(target_arch = "aarch64")]
            Instructions::DotProduct | Instructions::Neon => 2,
            // A square of a `usmmla` has two outputs of two pixels: one block of twelve pixels fills 24 registers.
            #[cfg(target_arch = "aarch64")]
            Instructions::I8mm => 1,
            #[cfg(target_arch = "x86_64")]
            Instructions::AvxVnni | Instructions::Avx2 => 1,
            _ => 4,
        };
        match blocks.min(most) {
            1 => 1,
            2 | 3 => 2,
            _ => 4,
        }
    }

    /// Output channels that a group of `blocks` computes, in a layer with `outputs` real ones: half a block
    /// of no more is left out where that saves registers.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(unused_variables, reason = "only kernels leave any out")
    )]
    fn lanes(self, blocks: usize, outputs: usize) -> usize {
        match self.0 {
            #[cfg(target_arch = "aarch64")]
            Instructions::DotProduct | Instructions::Neon if outputs <= BLOCK / 2 => BLOCK / 2,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni if outputs <= NARROW => outputs,
            _ => blocks * BLOCK,
        }
    }

    /// What a kernel takes off every activation before it multiplies.
    fn shift(self) -> u8 {
        match self.0 {
            #[cfg(target_arch = "aarch64")]
            Instructions::DotProduct | Instructions::Neon => 128,
            _ => 0,
        }
    }

    /// How a group of `blocks` is computed, in a layer with `outputs` real output channels.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "AVX-512's")
    )]
    fn form(self, blocks: usize, outputs: usize) -> Form {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni if outputs <= NARROW => Form::Pixels,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni if blocks == 1 => Form::Pairs,
            #[cfg(target_arch = "aarch64")]
            Instructions::I8mm => Form::Pairs,
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => Form::Halves,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Form::Units,
            _ => Form::Quads,
        }
    }
}

/// Most output channels of [`Form::Pixels`].
#[cfg(target_arch = "x86_64")]
pub const NARROW: usize = 4;

/// What lies side by side in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Output channels; four input channels of one pixel at a time. Half a block of inputs without a
    /// real channel is left out.
    Quads,
    /// As quads, but a register has two input channels of four output channels, then the other two.
    Halves,
    /// Eight output channels; eight input channels at a time, of one pixel and with two partial sums for every
    /// output (AVX-512), or of two pixels (i8mm).
    Pairs,
    /// As quads of one block, but in no order: sums of products may leave 16 bits, so units are alone or in pairs where
    /// they do not, some weights and their activations turned for it. Units of zeros are left out.
    Units,
    /// Eight pixels with two partial sums each, of one output channel; eight input channels at a time.
    Pixels,
}

impl Form {
    /// Input channels that go into a register together.
    pub(super) fn inputs(self) -> usize {
        match self {
            Form::Quads | Form::Halves | Form::Units => BLOCK / 2,
            Form::Pairs | Form::Pixels => BLOCK,
        }
    }

    /// Where a weight lies among those of one column of the filter.
    pub(super) fn place(self, output: usize, input: usize) -> usize {
        match self {
            Form::Halves => output / 4 * 16 + input / 2 * 8 + output % 4 * 2 + input % 2,
            Form::Quads | Form::Units | Form::Pairs | Form::Pixels => {
                output * self.inputs() + input
            }
        }
    }
}

/// Output blocks that one run of a kernel computes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub first_block: usize,
    pub blocks: usize,
    pub form: Form,
    /// Its output channels with weights; the others of its blocks have none and come out as the zero point.
    pub lanes: usize,
    /// Where its weights begin.
    pub weights: usize,
    /// Its units, where it has them.
    pub units: Joined,
}

/// Real channels of a convolution: one number per input that follows the other, and the output's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub inputs: Vec<usize>,
    pub outputs: usize,
}

impl Shape {
    /// Blocks of each input.
    pub fn input_blocks(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().map(|channels| channels.div_ceil(BLOCK))
    }

    /// Blocks of the output.
    pub fn output_blocks(&self) -> usize {
        self.outputs.div_ceil(BLOCK)
    }
}

/// From sums to what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requantize {
    /// Zero point of the output.
    pub zero_point: u8,
    /// Least value stored: the zero point where a ReLU follows, else 0.
    pub least: u8,
}

/// Weights, biases and scales in the order in which the kernels read them, unchecked: nobody but
/// [`Packed::new`] puts them together.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    pub(super) level: Level,
    pub(super) shape: Shape,
    /// By group: input block, line of the filter, then
    /// in quads: `half block, column, output, 4 inputs`;
    /// in halves: `half block, column, 4 outputs, 2 of 4 inputs, output, 2 inputs`;
    /// in units, of one or two: `8 outputs, 4 inputs` of each, and for those that are turned as many bytes once more, -1
    /// where the activation is taken off 255, else 0;
    /// in pairs: `column, output, 8 inputs`;
    /// in pixels: `column, real output, 8 inputs`.
    pub(super) weights: Vec<i8>,
    pub(super) groups: Vec<Group>,
    pub(super) units: Vec<Unit>,
    /// Start of every sum: the bias less what the input's zero point adds, and what turned weights leave out.
    pub(super) bias: Vec<i32>,
    /// What a sum is multiplied with: scale of input times scale of weight, divided by the scale of
    /// the output where that is quantized.
    pub(super) scale: Vec<f32>,
}

impl Packed {
    /// Packs `weight(output, input, tap)`, with inputs counted through all parts; `bias` and `scale`
    /// have one entry per output channel. `zero_point` is the inputs'.
    ///
    /// `None` where a sum could leave 32 bits or its product the integers that a float holds, where a weight is
    /// -128, whose products could leave 16 bits in pairs, or where there are more inputs than a kernel takes.
    pub fn new(
        level: Level,
        shape: Shape,
        zero_point: u8,
        weight: impl Fn(usize, usize, usize) -> i8,
        bias: &[i32],
        scale: &[f32],
    ) -> Option<Self> {
        let outputs = shape.output_blocks() * BLOCK;
        let real = channel_map(&shape);
        let mut packed = Packed {
            level,
            weights: Vec::new(),
            groups: Vec::new(),
            units: Vec::new(),
            bias: vec![0; outputs],
            scale: vec![0.0; outputs],
            shape,
        };
        for output in 0..packed.shape.outputs {
            let all = real
                .iter()
                .flatten()
                .flat_map(|&input| (0..9).map(move |tap| (input, tap)));
            let (mut sum, mut most) = (0i64, 0i64);
            for (input, tap) in all {
                let value = i64::from(weight(output, input, tap));
                if value == i64::from(i8::MIN) {
                    return None;
                }
                sum += value;
                most += value.abs() * 255;
            }
            let offset = i64::from(level.shift()) - i64::from(zero_point);
            let start = i64::from(bias[output]) + offset * sum;
            let greatest = most + start.abs();
            if greatest > i64::from(i32::MAX)
                || !scale[output].is_finite()
                || greatest as f64 * f64::from(scale[output]).abs() > 1e9
            {
                return None;
            }
            packed.bias[output] = start as i32;
            packed.scale[output] = scale[output];
        }
        let mut first_block = 0;
        while first_block < packed.shape.output_blocks() {
            let blocks = level.group(packed.shape.output_blocks() - first_block);
            let mut group = Group {
                first_block,
                blocks,
                form: level.form(blocks, packed.shape.outputs),
                lanes: level.lanes(blocks, packed.shape.outputs),
                weights: packed.weights.len(),
                units: Joined::default(),
            };
            let rows = real
                .chunks_exact(BLOCK)
                .flat_map(|i| [0, 1, 2].map(|line| (i, line)));
            if group.form == Form::Units {
                if rows.clone().count() > UNIT_ROWS {
                    return None;
                }
                group.units = packed.units(first_block * BLOCK, rows, &weight);
            } else {
                for (inputs, line) in rows {
                    packed.row(&group, inputs, line, &weight);
                }
            }
            packed.groups.push(group);
            first_block += blocks;
        }
        Some(packed)
    }

    /// What it was packed for.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Weights of one line of the filter for the channels of one input block.
    fn row(
        &mut self,
        group: &Group,
        inputs: &[Option<usize>],
        line: usize,
        weight: &impl Fn(usize, usize, usize) -> i8,
    ) {
        let (lanes, wide) = (group.lanes, group.form.inputs());
        let filled = inputs.chunks(wide).filter(|part| part[0].is_some());
        for part in filled {
            for column in 0..3 {
                let first = self.weights.len();
                self.weights.resize(first + lanes * wide, 0);
                for lane in 0..lanes {
                    let output = group.first_block * BLOCK + lane;
                    if output >= self.shape.outputs {
                        continue;
                    }
                    let real = part.iter().enumerate();
                    for (at, input) in real.filter_map(|(at, &input)| Some((at, input?))) {
                        self.weights[first + group.form.place(lane, at)] =
                            weight(output, input, line * 3 + column);
                    }
                }
            }
        }
    }
}

/// For every channel in memory the real input channel that it holds.
fn channel_map(shape: &Shape) -> Vec<Option<usize>> {
    let mut map = Vec::new();
    let mut first = 0;
    for &channels in &shape.inputs {
        let padded = channels.div_ceil(BLOCK) * BLOCK;
        map.extend((0..padded).map(|channel| (channel < channels).then_some(first + channel)));
        first += channels;
    }
    map
}
