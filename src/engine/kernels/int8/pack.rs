//! One table of shapes and one packing for every instruction set.

use super::BLOCK;

/// What this processor can do with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `vpdpbusd` on 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// `vpdpbusd` on 256 bits.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// Products in 16 bits summed in pairs: no instruction of AVX2 saturates on the way.
    #[cfg(target_arch = "x86_64")]
    Avx2,
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
    /// All levels that this processor can run, the best first.
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw");
            if wide && is_x86_feature_detected!("avx512vnni") {
                levels.push(Level::Avx512Vnni);
            }
            if is_x86_feature_detected!("avxvnni") && is_x86_feature_detected!("avx2") {
                levels.push(Level::AvxVnni);
            }
            if is_x86_feature_detected!("avx2") {
                levels.push(Level::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                levels.push(Level::DotProduct);
            }
            levels.push(Level::Neon);
        }
        levels.push(Level::Scalar);
        levels
    }

    /// The best level of this processor.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// Blocks of output channels that one run of the kernel computes together, for a layer with
    /// `blocks` of them left: the shape table.
    pub fn group(self, blocks: usize) -> usize {
        let most = match self {
            // 32 registers of four sums, or 16 of eight, hold two blocks for enough pixels, and their weights.
            #[cfg(target_arch = "aarch64")]
            Level::DotProduct | Level::Neon => 2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 2,
            _ => 4,
        };
        match blocks.min(most) {
            1 => 1,
            2 | 3 => 2,
            _ => 4,
        }
    }

    /// What a kernel takes off every activation before it multiplies.
    fn shift(self) -> u8 {
        match self {
            #[cfg(target_arch = "aarch64")]
            Level::DotProduct | Level::Neon => 128,
            _ => 0,
        }
    }

    /// How a group of `blocks` is computed, in a layer with `outputs` real output channels.
    fn form(self, blocks: usize, outputs: usize) -> Form {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni if outputs <= NARROW => Form::Pixels,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni if blocks == 1 => Form::Pairs,
            #[cfg(target_arch = "aarch64")]
            Level::Neon => Form::Halves,
            _ => Form::Quads,
        }
    }
}

/// Most output channels of [`Form::Pixels`].
pub const NARROW: usize = 4;

/// What lies side by side in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Output channels; four input channels of one pixel at a time. Half a block of inputs without a
    /// real channel is left out.
    Quads,
    /// As quads, but a register has two input channels of four output channels, then the other two.
    Halves,
    /// Eight output channels with two partial sums each; eight input channels of one pixel at a time.
    Pairs,
    /// Eight pixels with two partial sums each, of one output channel; eight input channels at a time.
    Pixels,
}

impl Form {
    /// Input channels that go into a register together.
    pub(super) fn inputs(self) -> usize {
        match self {
            Form::Quads | Form::Halves => BLOCK / 2,
            Form::Pairs | Form::Pixels => BLOCK,
        }
    }

    /// Where a weight lies among those of one column of the filter.
    pub(super) fn place(self, output: usize, input: usize) -> usize {
        match self {
            Form::Halves => output / 4 * 16 + input / 2 * 8 + output % 4 * 2 + input % 2,
            Form::Quads | Form::Pairs | Form::Pixels => output * self.inputs() + input,
        }
    }
}

/// Output blocks that one run of a kernel computes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    pub first_block: usize,
    pub blocks: usize,
    pub form: Form,
    /// Where its weights begin.
    pub weights: usize,
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

    /// Blocks of all inputs together.
    pub fn all_input_blocks(&self) -> usize {
        self.input_blocks().sum()
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

/// Weights, biases and scales in the order in which the kernels read them.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    pub level: Level,
    pub shape: Shape,
    /// By group: input block, line of the filter, then
    /// in quads: `half block, column, output, 4 inputs`;
    /// in halves: `half block, column, 4 outputs, 2 of 4 inputs, output, 2 inputs`;
    /// in pairs: `column, output, 8 inputs`;
    /// in pixels: `column, real output, 8 inputs`.
    pub weights: Vec<i8>,
    pub groups: Vec<Group>,
    /// Start of every sum: the bias less what the input's zero point adds.
    pub bias: Vec<i32>,
    /// What a sum is multiplied with: scale of input times scale of weight, divided by the scale of
    /// the output where that is quantized.
    pub scale: Vec<f32>,
}

impl Packed {
    /// Packs `weight(output, input, tap)`, with inputs counted through all parts; `bias` and `scale`
    /// have one entry per output channel. `zero_point` is the inputs'.
    ///
    /// `None` where a sum could leave 32 bits or its product the integers that a float holds, or where a
    /// weight is -128, whose products could leave 16 bits in pairs.
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
            let group = Group {
                first_block,
                blocks,
                form: level.form(blocks, packed.shape.outputs),
                weights: packed.weights.len(),
            };
            packed.groups.push(group);
            for input in real.chunks_exact(BLOCK) {
                for line in 0..3 {
                    packed.row(group, input, line, &weight);
                }
            }
            first_block += blocks;
        }
        Some(packed)
    }

    /// Weights of one line of the filter for the channels of one input block.
    fn row(
        &mut self,
        group: Group,
        inputs: &[Option<usize>],
        line: usize,
        weight: &impl Fn(usize, usize, usize) -> i8,
    ) {
        let lanes = match group.form {
            Form::Quads | Form::Halves | Form::Pairs => group.blocks * BLOCK,
            Form::Pixels => self.shape.outputs,
        };
        let wide = group.form.inputs();
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
