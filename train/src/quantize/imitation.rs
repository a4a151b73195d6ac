//! Fine-tuning with the rounding in view: the integer network learns to say what the float one says.

use crate::backend::{AdamState, Backend, Batch};
use crate::cpu::CpuEngine;
use crate::grid::Grids;
use crate::weights::Weights;
use blemish::draem::NetworkSpec;

/// The float network that teaches, and the same network on grids that learns.
pub struct Student {
    float: CpuEngine,
    rounded: CpuEngine,
    steps: u64,
    done: u64,
    learning_rate: f64,
}

impl Student {
    /// Both networks with `weights`; `steps` and `learning_rate` are of the whole fine-tuning, whose
    /// rate falls to nought as a cosine.
    ///
    /// # Errors
    /// Where the system gives no threads, or an array is missing.
    pub fn new(
        network: NetworkSpec,
        weights: &Weights,
        grids: &Grids,
        threads: usize,
        (steps, learning_rate): (u64, f64),
    ) -> Result<Self, String> {
        let engine = || {
            let mut engine = CpuEngine::new(network, threads)?;
            engine.restore(weights, &AdamState::default())?;
            Ok::<_, String>(engine)
        };
        let (float, mut rounded) = (engine()?, engine()?);
        rounded.round_to(grids);
        Ok(Self {
            float,
            rounded,
            steps,
            done: 0,
            learning_rate,
        })
    }

    /// Learns from one batch; gives the loss.
    ///
    /// # Errors
    /// Where the batch does not fit, or the loss is no number.
    pub fn learn(&mut self, batch: &Batch) -> Result<f64, String> {
        let (seen, pictures) = (&batch.seen, batch.pictures);
        let wanted = (self.float).infer(seen, pictures, batch.width_px, batch.height_px)?;
        let share = self.done as f64 / self.steps.max(1) as f64;
        let rate = self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        let loss = self.rounded.imitate(batch, &wanted, rate)?;
        self.done += 1;
        match loss.is_finite() {
            true => Ok(loss),
            false => Err(format!(
                "the loss of fine-tuning step {} is {loss}",
                self.done
            )),
        }
    }

    /// How far the rounded network is from the float one on `batches`: the root of the mean squared
    /// difference of their anomaly maps.
    ///
    /// # Errors
    /// Where a batch does not fit.
    pub fn measure(&mut self, batches: &[Batch]) -> Result<f64, String> {
        let (mut sum, mut pixels) = (0f64, 0usize);
        for batch in batches {
            let map = |engine: &mut CpuEngine| {
                let sides = (batch.width_px, batch.height_px);
                let found = engine.infer(&batch.seen, batch.pictures, sides.0, sides.1)?;
                Ok::<_, String>(found.anomaly_map)
            };
            let (wanted, found) = (map(&mut self.float)?, map(&mut self.rounded)?);
            let pairs = wanted.iter().zip(&found);
            sum += pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            pixels += found.len();
        }
        Ok((sum / pixels.max(1) as f64).sqrt())
    }

    /// What was learnt: float weights whose rounding is the integer network.
    pub fn weights(&self) -> Weights {
        self.rounded.weights()
    }
}
