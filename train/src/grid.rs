//! The grids that values and weights lie on in a quantized network.

/// Greatest byte.
pub const LEVELS: f32 = 255.0;
/// Greatest weight: symmetric, so -128 is never used.
pub const WEIGHT_LEVELS: f32 = 127.0;

/// The scale of every node's output; zero points are 0. `None` for the logits, which stay float.
#[derive(Debug, Clone, PartialEq)]
pub struct Grids {
    pub scales: Vec<Option<f32>>,
}

/// One convolution's weights on their grid.
#[derive(Debug, Clone, PartialEq)]
pub struct ByteWeights {
    /// `out x in x 3 x 3`, from -127 to 127.
    pub levels: Vec<i8>,
    /// One per output channel.
    pub scales: Vec<f32>,
}

impl ByteWeights {
    /// Per output channel symmetric, the greatest weight at 127.
    pub fn new(weight: &[f32], outputs: usize) -> Self {
        let mut weights = ByteWeights {
            levels: Vec::with_capacity(weight.len()),
            scales: Vec::with_capacity(outputs),
        };
        for channel in weight.chunks_exact(weight.len() / outputs) {
            let greatest = channel.iter().fold(0f32, |most, w| most.max(w.abs()));
            let scale = if greatest > 0.0 {
                greatest / WEIGHT_LEVELS
            } else {
                1.0
            };
            let levels = channel.iter().map(|w| (w / scale).round_ties_even() as i8);
            weights.levels.extend(levels);
            weights.scales.push(scale);
        }
        weights
    }

    /// The weights that the levels stand for.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        let per_output = self.levels.len() / self.scales.len();
        let levels = self.levels.iter().enumerate();
        levels.map(move |(index, &level)| f32::from(level) * self.scales[index / per_output])
    }
}
