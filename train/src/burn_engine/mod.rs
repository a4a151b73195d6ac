//! Training on burn's devices: the same list of layers, interpreted in burn's tensors, with Adam in
//! tensors beside it. It holds its state in the same form as the CPU engine, so a run may change its
//! device at any checkpoint.
//!
//! burn's errors on a GPU come late and partly as panics; each call into it is guarded, so that a
//! failing device ends a run with a sentence and the last checkpoint stays.

mod adam;
mod cards;
mod convolution;
mod devices;
mod losses;
mod means;
mod network;
mod parameters;
mod resample;
mod self_test;

use crate::backend::{AdamState, Backend, Batch, Inference, Losses};
use crate::weights::{Array, Weights};
use blemish::draem::{Graph, NetworkSpec};
use burn::tensor::{Device, Tensor, TensorData, Transaction, activation};
use losses::{Gaussian, Terms};
use network::{Outputs, Pass, forward};
use parameters::{Parameters, Values};
use resample::Upsampler;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use cards::Cards;

/// Both networks on one of burn's devices.
pub struct BurnEngine {
    graph: Graph,
    device: Device,
    /// Absent until values were given.
    parameters: Option<Parameters>,
    upsampler: Upsampler,
    gaussian: Gaussian,
}

impl BurnEngine {
    /// Networks without values, on the device `kind` with the number `index`: [`Backend::restore`]
    /// gives them values. On a GPU, one step of a small batch is compared with the CPU engine first.
    ///
    /// # Errors
    /// A sentence for people: there is no such device, or it computes something else than the CPU.
    pub fn open(kind: &str, index: Option<usize>, spec: NetworkSpec) -> Result<Self, String> {
        let mut engine = guarded(|| {
            let device = devices::find(kind, index)?;
            Ok(Self::on(device, spec))
        })
        .map_err(|error| format!("device '{kind}' cannot be used: {error}"))?;
        if kind != "flex" {
            let started = std::time::Instant::now();
            self_test::run(&mut engine).map_err(|error| {
                format!(
                    "device '{kind}' failed its self-test: {error}. Update its driver, or train \
                     with --device cpu"
                )
            })?;
            log::info!(
                "device '{kind}' passed its self-test in {:.1} s",
                started.elapsed().as_secs_f64()
            );
        }
        Ok(engine)
    }

    fn on(device: Device, spec: NetworkSpec) -> Self {
        Self {
            graph: Graph::new(spec),
            parameters: None,
            upsampler: Upsampler::new(spec.upsampling, device.clone()),
            gaussian: Gaussian::new(&device),
            device,
        }
    }

    /// Loss and gradients of one batch without an update: what the tests compare.
    ///
    /// # Errors
    /// Where the batch's lengths do not fit its sides, or the device failed.
    pub fn gradients(&mut self, batch: &Batch) -> Result<(Losses, Weights), String> {
        batch.check()?;
        guarded(|| {
            let leaves = given(self.parameters.as_ref())?.leaves();
            let (outputs, terms) = self.terms(batch, &leaves);
            let mut gradients = total(&terms).backward();
            let losses = read_losses(terms)?;
            let parameters = given(self.parameters.as_mut())?;
            parameters.follow(outputs.moments);
            let gradients = parameters.gradients(&leaves, outputs.convolved, &mut gradients)?;
            Ok((losses, gradients))
        })
    }

    /// Reconstruction (`N x 3 x H x W`) and logits (`N x 2 x H x W`) with the batch's own
    /// statistics, as in a training step.
    ///
    /// # Errors
    /// Where the batch's lengths do not fit its sides, or the device failed.
    pub fn train_forward(&mut self, batch: &Batch) -> Result<(Vec<f32>, Vec<f32>), String> {
        batch.check()?;
        guarded(|| {
            let leaves = given(self.parameters.as_ref())?.leaves();
            let (outputs, _) = self.terms(batch, &leaves);
            Ok((read(outputs.reconstruction)?, read(outputs.logits)?))
        })
    }

    /// Losses and the gradient of all parameters; the running statistics follow the batch.
    fn see(&mut self, batch: &Batch) -> Result<(Terms, Tensor<1>), String> {
        let leaves = given(self.parameters.as_ref())?.leaves();
        let (outputs, terms) = self.terms(batch, &leaves);
        let mut gradients = total(&terms).backward();
        let parameters = given(self.parameters.as_mut())?;
        let gradient = parameters.gradient(&leaves, outputs.convolved, &mut gradients)?;
        parameters.follow(outputs.moments);
        Ok((terms, gradient))
    }

    fn upload(&self, values: &[f32], shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.device)
    }

    fn terms(&mut self, batch: &Batch, leaves: &[Values]) -> (Outputs, Terms) {
        let shape = |channels| [batch.pictures, channels, batch.height_px, batch.width_px];
        let seen = self.upload(&batch.seen, shape(3));
        let clean = self.upload(&batch.clean, shape(3));
        let mask = self.upload(&batch.mask, shape(1));
        let outputs = forward(
            &self.graph,
            Pass::Learning,
            leaves,
            &mut self.upsampler,
            seen,
        );
        let (reconstruction, logits) = (outputs.reconstruction.clone(), outputs.logits.clone());
        let terms = losses::terms(&self.gaussian, reconstruction, clean, logits, mask);
        (outputs, terms)
    }
}

impl Backend for BurnEngine {
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Losses, String> {
        batch.check()?;
        guarded(|| {
            let (terms, gradient) = self.see(batch)?;
            given(self.parameters.as_mut())?.learn(gradient, learning_rate);
            read_losses(terms)
        })
    }

    fn infer(
        &mut self,
        seen: &[f32],
        pictures: usize,
        width_px: usize,
        height_px: usize,
    ) -> Result<Inference, String> {
        crate::backend::check_pictures(seen, pictures, width_px, height_px)?;
        guarded(|| {
            let values = given(self.parameters.as_ref())?.evaluation();
            let seen = self.upload(seen, [pictures, 3, height_px, width_px]);
            let outputs = forward(
                &self.graph,
                Pass::Evaluating,
                &values,
                &mut self.upsampler,
                seen,
            );
            let probability = activation::softmax(outputs.logits, 1);
            Ok(Inference {
                reconstruction: read(outputs.reconstruction)?,
                anomaly_map: read(probability.narrow(1, 1, 1))?,
            })
        })
    }

    fn weights(&self) -> Weights {
        guarded(|| given(self.parameters.as_ref())?.weights())
            .unwrap_or_else(|error| self.unreadable(&error))
    }

    fn adam(&self) -> AdamState {
        guarded(|| given(self.parameters.as_ref())?.adam()).unwrap_or_else(|error| AdamState {
            steps: 0,
            first_moment: self.unreadable(&error),
            second_moment: self.unreadable(&error),
        })
    }

    fn restore(&mut self, weights: &Weights, adam: &AdamState) -> Result<(), String> {
        let parameters = guarded(|| {
            let parameters = Parameters::new(&self.graph, weights, adam, &self.device);
            parameters.map_err(|error| error.to_string())
        })?;
        self.parameters = Some(parameters);
        Ok(())
    }
}

impl BurnEngine {
    /// NaN where a device is lost: no checkpoint is written from it, so the last good one stays.
    fn unreadable(&self, error: &str) -> Weights {
        log::error!("the device was lost: {error}");
        let lost = |(_, key, _): (_, &blemish::draem::ConvKey, _)| {
            let array = Array {
                shape: vec![1],
                values: vec![f32::NAN],
            };
            (format!("{}.weight", key.conv), array)
        };
        Weights(self.graph.convolutions().map(lost).collect())
    }
}

/// The parameters, of which there are none before [`Backend::restore`].
fn given<T>(parameters: Option<T>) -> Result<T, String> {
    parameters.ok_or_else(|| "the networks have no values yet".to_owned())
}

fn total(terms: &Terms) -> Tensor<1> {
    terms.l2.clone() + terms.ssim.clone() + terms.focal.clone()
}

fn read_losses(terms: Terms) -> Result<Losses, String> {
    let data = Transaction::default()
        .register(terms.l2)
        .register(terms.ssim)
        .register(terms.focal)
        .try_execute()
        .map_err(|error| format!("losses could not be read back: {error:?}"))?;
    let mut values = data.into_iter().map(|data| {
        let values = data.try_into_vec::<f32>().ok();
        values.and_then(|values| values.first().copied())
    });
    let mut next = || values.next().flatten().ok_or("a loss has no value");
    Ok(Losses {
        l2: next()?,
        ssim: next()?,
        focal: next()?,
    })
}

fn read(tensor: Tensor<4>) -> Result<Vec<f32>, String> {
    tensor
        .without_autodiff()
        .try_into_vec_as::<f32>()
        .map_err(|error| format!("a result could not be read back: {error:?}"))
}

/// Runs `work`, which calls burn, and makes a sentence of a panic.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(text.unwrap_or("burn panicked without a word").to_owned())
    })
}
