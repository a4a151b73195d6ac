//! DRAEM's training step on a CPU, written for its graph: 3x3 convolutions on blocks of eight
//! channels, batch norm and ReLU beside them, gradients by hand.
//!
//! Pictures of a batch run in parallel and every sum over them is taken in order, so the number of
//! threads changes no bit of the result.

mod backward;
mod forward;
mod norm;
mod parameters;
mod plan;
mod resample;
mod scratch;
#[cfg(test)]
mod tests;
mod weight_gradient;

use crate::backend::{AdamState, Backend, Batch, Inference, Losses};
use crate::grid::Grids;
use crate::loss;
use crate::weights::Weights;
use backward::Backward;
use blemish::draem::{Graph, NetworkSpec, NodeId};
use blemish::engine::kernels::float::Level;
use forward::{Mode, Steps, Tape};
use parameters::Parameters;
use scratch::Pool;

/// Both networks on this processor.
pub struct CpuEngine {
    graph: Graph,
    parameters: Parameters,
    level: Level,
    threads: rayon::ThreadPool,
    train: Option<Tape>,
    evaluate: Option<Tape>,
    pool: Pool,
    /// The grids of a quantized network.
    steps: Option<Steps>,
}

impl CpuEngine {
    /// Networks with all parameters zero: [`Backend::restore`] gives them values. `threads` 0 means
    /// all cores.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn new(spec: NetworkSpec, threads: usize) -> Result<Self, String> {
        Self::with_level(spec, threads, Level::detect())
    }

    /// The same on a chosen instruction set.
    ///
    /// # Errors
    /// As [`CpuEngine::new`].
    pub fn with_level(spec: NetworkSpec, threads: usize, level: Level) -> Result<Self, String> {
        let graph = Graph::new(spec);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("fit-{index}"))
            .build()
            .map_err(|error| format!("no threads for training: {error}"))?;
        Ok(Self {
            parameters: Parameters::new(&graph),
            graph,
            level,
            threads,
            train: None,
            evaluate: None,
            pool: Pool::default(),
            steps: None,
        })
    }

    /// Loss and gradients of one batch without an update: what the tests compare.
    ///
    /// # Errors
    /// Where the batch's lengths do not fit its sides.
    pub fn gradients(&mut self, batch: &Batch) -> Result<(Losses, Weights), String> {
        let losses = self.backward(batch)?;
        Ok((losses, self.parameters.gradients()))
    }

    /// Reconstruction (`N x 3 x H x W`) and logits (`N x 2 x H x W`) with the batch's own
    /// statistics, as in a training step; running statistics are updated.
    ///
    /// # Errors
    /// Where the sides are not multiples of 32.
    pub fn train_forward(
        &mut self,
        seen: &[f32],
        pictures: usize,
        width_px: usize,
        height_px: usize,
    ) -> Result<(Vec<f32>, Vec<f32>), String> {
        check_sides(height_px, width_px)?;
        let Self {
            graph,
            parameters,
            level,
            threads,
            train,
            steps,
            ..
        } = self;
        let tape = reuse(
            train,
            *level,
            graph,
            [pictures, pictures],
            [height_px, width_px],
            steps,
        );
        threads.install(|| tape.forward(graph, parameters, seen, Mode::Train));
        let outputs = (
            tape.output(graph.reconstruction, 3),
            tape.output(graph.logits, 2),
        );
        Ok(outputs)
    }

    /// Runs both networks in evaluation mode and shows every node's output to `visit`,
    /// `N x C x H x W`: what quantizing measures. `sides` is width and height.
    ///
    /// # Errors
    /// Where the sides are not multiples of 32 or the pictures do not fill them.
    pub fn observe(
        &mut self,
        seen: &[f32],
        pictures: usize,
        sides: (usize, usize),
        visit: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<(), String> {
        check_sides(sides.1, sides.0)?;
        if pictures == 0 || seen.len() != 3 * pictures * sides.0 * sides.1 {
            return Err(format!("{} values are not {pictures} pictures", seen.len()));
        }
        let channels: Vec<usize> = self.graph.nodes.iter().map(|node| node.channels).collect();
        self.evaluate(seen, pictures, (sides.1, sides.0), &mut |tape| {
            for (id, &channels) in channels.iter().enumerate() {
                visit(id, &tape.output(id, channels));
            }
        });
        Ok(())
    }

    /// Runs both networks in evaluation mode, as many pictures at once as there are threads, and
    /// shows every pass to `each`. `sides` is height and width.
    fn evaluate(
        &mut self,
        seen: &[f32],
        pictures: usize,
        sides: (usize, usize),
        each: &mut dyn FnMut(&Tape),
    ) {
        let Self {
            graph,
            parameters,
            level,
            threads,
            evaluate,
            steps,
            ..
        } = self;
        let most = threads.current_num_threads();
        let room = [most.min(pictures), most];
        let tape = reuse(evaluate, *level, graph, room, sides.into(), steps);
        for group in seen.chunks(3 * sides.0 * sides.1 * tape.room) {
            threads.install(|| tape.forward(graph, parameters, group, Mode::Evaluate));
            each(tape);
        }
    }

    /// From now on computes as the integer network on `grids`: outputs and weights are rounded, and
    /// gradients pass the rounding as if it were not there (Jacob et al. 2018, section 3).
    pub fn round_to(&mut self, grids: &Grids) {
        self.steps = Some(grids.scales.clone());
        (self.train, self.evaluate) = (None, None);
        let parameters = &mut self.parameters;
        self.threads.install(|| parameters.round_to_bytes());
    }

    /// One Adam step towards the outputs that another network gives for `seen`, with the running
    /// statistics as they are. The loss: [`loss::imitation`] of the anomaly maps and mean square of the
    /// reconstructions' difference.
    ///
    /// # Errors
    /// Where the lengths do not fit.
    pub fn imitate(
        &mut self,
        batch: &Batch,
        wanted: &Inference,
        learning_rate: f64,
    ) -> Result<f64, String> {
        batch.check()?;
        let area = batch.height_px * batch.width_px;
        if wanted.anomaly_map.len() != batch.pictures * area
            || wanted.reconstruction.len() != batch.seen.len()
        {
            return Err(format!(
                "{} probabilities are not the maps of {} pictures",
                wanted.anomaly_map.len(),
                batch.pictures
            ));
        }
        let loss = self.descend(batch, Mode::Evaluate, |_, outputs, slopes| {
            let wanted_picture = &wanted.reconstruction;
            loss::l2(
                &outputs.reconstruction,
                wanted_picture,
                &mut slopes.reconstruction,
            ) + loss::imitation(
                &outputs.logits,
                &wanted.anomaly_map,
                area,
                &mut slopes.logits,
            )
        });
        self.update(learning_rate);
        Ok(f64::from(loss))
    }

    fn backward(&mut self, batch: &Batch) -> Result<Losses, String> {
        batch.check()?;
        let (width, area) = (batch.width_px, batch.width_px * batch.height_px);
        Ok(self.descend(batch, Mode::Train, |level, outputs, slopes| {
            let (painted, by_painted) = (&outputs.reconstruction, &mut slopes.reconstruction);
            Losses {
                l2: loss::l2(painted, &batch.clean, by_painted),
                ssim: loss::ssim(level, painted, &batch.clean, width, area, by_painted),
                focal: loss::focal(&outputs.logits, &batch.mask, area, &mut slopes.logits),
            }
        }))
    }

    /// Forward and backward over a batch that was checked: `judge` gives the loss and writes its slopes,
    /// zero before, by both outputs.
    fn descend<L: Send>(
        &mut self,
        batch: &Batch,
        mode: Mode,
        judge: impl FnOnce(Level, &Outputs, &mut Outputs) -> L + Send,
    ) -> L {
        let Self {
            graph,
            parameters,
            level,
            threads,
            train,
            pool,
            steps,
            ..
        } = self;
        let room = [batch.pictures; 2];
        let sides = [batch.height_px, batch.width_px];
        let tape = reuse(train, *level, graph, room, sides, steps);
        threads.install(|| {
            tape.forward(graph, parameters, &batch.seen, mode);
            let outputs = Outputs {
                reconstruction: tape.output(graph.reconstruction, 3),
                logits: tape.output(graph.logits, 2),
            };
            let mut slopes = Outputs {
                reconstruction: vec![0.0; outputs.reconstruction.len()],
                logits: vec![0.0; outputs.logits.len()],
            };
            let loss = judge(*level, &outputs, &mut slopes);
            let mut backward = Backward::new(graph, tape, pool);
            backward.seed(graph.logits, &slopes.logits);
            backward.seed(graph.reconstruction, &slopes.reconstruction);
            backward.run(parameters);
            loss
        })
    }

    fn update(&mut self, learning_rate: f64) {
        let parameters = &mut self.parameters;
        self.threads.install(|| parameters.update(learning_rate));
    }
}

/// Values of both networks' outputs, or slopes by them: `N x 3 x H x W` and `N x 2 x H x W`.
struct Outputs {
    reconstruction: Vec<f32>,
    logits: Vec<f32>,
}

fn check_sides(height: usize, width: usize) -> Result<(), String> {
    if height == 0 || width == 0 || !height.is_multiple_of(32) || !width.is_multiple_of(32) {
        return Err(format!(
            "tiles of {width}x{height} px: both sides must be multiples of 32"
        ));
    }
    Ok(())
}

/// The tape where it has room for `[least, most]` pictures of these sides, else a new one with the
/// least.
fn reuse<'a>(
    tape: &'a mut Option<Tape>,
    level: Level,
    graph: &Graph,
    [least, most]: [usize; 2],
    [height, width]: [usize; 2],
    steps: &Option<Steps>,
) -> &'a mut Tape {
    let fits = tape.as_ref().is_some_and(|tape| {
        let sides = tape.sides(0);
        (least..=most).contains(&tape.room) && sides.height == height && sides.width == width
    });
    if !fits {
        *tape = None;
    }
    tape.get_or_insert_with(|| {
        let mut tape = Tape::new(level, graph, least, height, width);
        tape.steps.clone_from(steps);
        tape
    })
}

impl Backend for CpuEngine {
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Losses, String> {
        let losses = self.backward(batch)?;
        self.update(learning_rate);
        Ok(losses)
    }

    fn infer(
        &mut self,
        seen: &[f32],
        pictures: usize,
        width_px: usize,
        height_px: usize,
    ) -> Result<Inference, String> {
        check_sides(height_px, width_px)?;
        let area = height_px * width_px;
        if pictures == 0 || seen.len() != 3 * pictures * area {
            return Err(format!(
                "{} values are not {pictures} pictures of {width_px}x{height_px}",
                seen.len()
            ));
        }
        let (reconstruction, logits) = (self.graph.reconstruction, self.graph.logits);
        let mut found = Inference::default();
        self.evaluate(seen, pictures, (height_px, width_px), &mut |tape| {
            found.reconstruction.extend(tape.output(reconstruction, 3));
            for logits in tape.output(logits, 2).chunks_exact(2 * area) {
                let (normal, anomaly) = logits.split_at(area);
                found.anomaly_map.extend(
                    normal
                        .iter()
                        .zip(anomaly)
                        .map(|(normal, anomaly)| 1.0 / (1.0 + (normal - anomaly).exp())),
                );
            }
        });
        Ok(found)
    }

    fn weights(&self) -> Weights {
        self.parameters.weights()
    }

    fn adam(&self) -> AdamState {
        self.parameters.adam()
    }

    fn restore(&mut self, weights: &Weights, adam: &AdamState) -> Result<(), String> {
        self.parameters.restore(weights, adam)
    }
}
