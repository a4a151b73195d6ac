//! Several cards that learn together: each takes an even share of every batch, and burn brings the mean of
//! their gradients to all of them (NCCL's all-reduce, which burn has for CUDA alone). So all hold the same
//! values at every step, and a checkpoint is that of one card.
//!
//! Norms see one card's share only, as in PyTorch's DistributedDataParallel; their running statistics are
//! averaged with the gradients.

use super::{BurnEngine, given, guarded, read_losses};
use crate::backend::{AdamState, Backend, Batch, Inference, Losses};
use crate::weights::Weights;
use blemish::draem::NetworkSpec;
use burn::tensor::distributed::{ReduceOperation, all_reduce};
use burn::tensor::{Device, Tensor};

/// Brings the mean of one tensor of each card to all cards.
type Mean = fn(Vec<Tensor<1>>, &[Device]) -> Vec<Tensor<1>>;

/// Both networks on each of several cards.
pub struct Cards {
    cards: Vec<BurnEngine>,
    mean: Mean,
}

impl Cards {
    /// The cards `numbers` of CUDA; see [`BurnEngine::open`].
    ///
    /// # Errors
    /// A sentence for people: burn has no exchange between such devices, or one cannot be used.
    pub fn open(kind: &str, numbers: &[usize], spec: NetworkSpec) -> Result<Self, String> {
        if kind != "cuda" {
            return Err(format!(
                "device '{kind}' is used one at a time; burn has an exchange between several cards for \
                 'cuda' only"
            ));
        }
        let cards = numbers
            .iter()
            .map(|number| BurnEngine::open(kind, Some(*number), spec));
        Ok(Self {
            cards: cards.collect::<Result<_, _>>()?,
            mean: by_burn,
        })
    }

    /// Runs `work` on every card at once, and waits for all.
    fn each<T: Send>(
        &mut self,
        work: impl Fn(usize, &mut BurnEngine) -> Result<T, String> + Sync,
    ) -> Result<Vec<T>, String> {
        let work = &work;
        std::thread::scope(|scope| {
            let cards = self.cards.iter_mut().enumerate();
            let threads: Vec<_> = cards
                .map(|(number, card)| scope.spawn(move || guarded(|| work(number, card))))
                .collect();
            let results = threads.into_iter().enumerate().map(|(number, thread)| {
                let result = thread.join();
                let result = result.unwrap_or_else(|_| Err("its thread panicked".to_owned()));
                result.map_err(|error| format!("card {number} of this run: {error}"))
            });
            // All are waited for before the first error is told.
            let results: Vec<_> = results.collect();
            results.into_iter().collect()
        })
    }
}

impl Backend for Cards {
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Losses, String> {
        batch.check()?;
        let shares = shares(batch, self.cards.len())?;
        // The losses are read before the exchange: a card that failed would leave the others waiting in it.
        let seen = self.each(|number, card| {
            let (terms, gradient) = card.see(&shares[number])?;
            let shared = given(card.parameters.as_ref())?.shared(gradient);
            Ok((read_losses(terms)?, shared))
        })?;
        let (losses, shared): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
        guarded(|| {
            let devices: Vec<_> = self.cards.iter().map(|card| card.device.clone()).collect();
            let means = (self.mean)(shared, &devices);
            for (card, mean) in self.cards.iter_mut().zip(means) {
                given(card.parameters.as_mut())?.learn_shared(mean, learning_rate);
            }
            Ok(())
        })?;
        let of =
            |term: fn(&Losses) -> f32| losses.iter().map(term).sum::<f32>() / losses.len() as f32;
        Ok(Losses {
            l2: of(|losses| losses.l2),
            ssim: of(|losses| losses.ssim),
            focal: of(|losses| losses.focal),
        })
    }

    fn infer(
        &mut self,
        seen: &[f32],
        pictures: usize,
        width_px: usize,
        height_px: usize,
    ) -> Result<Inference, String> {
        self.cards[0].infer(seen, pictures, width_px, height_px)
    }

    fn weights(&self) -> Weights {
        self.cards[0].weights()
    }

    fn adam(&self) -> AdamState {
        self.cards[0].adam()
    }

    fn restore(&mut self, weights: &Weights, adam: &AdamState) -> Result<(), String> {
        self.each(|_, card| card.restore(weights, adam)).map(drop)
    }
}

/// Even shares of a batch, in its order.
///
/// # Errors
/// Where there is none.
fn shares(batch: &Batch, count: usize) -> Result<Vec<Batch>, String> {
    if !batch.pictures.is_multiple_of(count) {
        return Err(format!(
            "{count} cards cannot share a batch of {} evenly; try --batch {}",
            batch.pictures,
            batch.pictures.next_multiple_of(count)
        ));
    }
    let pictures = batch.pictures / count;
    let part = |values: &[f32], number: usize| {
        let length = values.len() / count;
        values[number * length..][..length].to_vec()
    };
    let share = |number| Batch {
        pictures,
        width_px: batch.width_px,
        height_px: batch.height_px,
        clean: part(&batch.clean, number),
        seen: part(&batch.seen, number),
        mask: part(&batch.mask, number),
        scored: Vec::new(),
    };
    Ok((0..count).map(share).collect())
}

fn by_burn(tensors: Vec<Tensor<1>>, devices: &[Device]) -> Vec<Tensor<1>> {
    // Begun on all before any is waited for.
    let begun: Vec<_> = tensors
        .into_iter()
        .map(|tensor| all_reduce(tensor, ReduceOperation::Mean, devices.to_vec()))
        .collect();
    begun.into_iter().map(|tensor| tensor.resolve()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{devices::for_tests, self_test};
    use super::*;
    use crate::fit::initial;

    /// What burn does between real cards.
    fn by_hand(tensors: Vec<Tensor<1>>, _: &[Device]) -> Vec<Tensor<1>> {
        let count = tensors.len();
        let sum = tensors.iter().cloned().reduce(|a, b| a + b);
        vec![sum.unwrap() / count as f64; count]
    }

    /// Two engines on one device stand for two cards.
    fn two_cards(device: &Device, spec: NetworkSpec) -> Cards {
        let mut cards = Cards {
            cards: (0..2)
                .map(|_| BurnEngine::on(device.clone(), spec))
                .collect(),
            mean: by_hand,
        };
        let weights = initial::weights(spec, 3);
        cards.restore(&weights, &AdamState::default()).unwrap();
        cards
    }

    fn near(what: &str, got: &Weights, of: (&Weights, &Weights), factor: f32) {
        for (name, got) in &got.0 {
            let Some(a) = of.0.0.get(name) else { continue };
            let wanted = a.values.iter().zip(&of.1.0[name].values);
            for (got, (a, b)) in got.values.iter().zip(wanted) {
                let wanted = factor * (a + b) / 2.0;
                let off = (got - wanted).abs();
                assert!(
                    off <= 1e-6 + 1e-4 * wanted.abs(),
                    "{what} {name}: {got}, {wanted}"
                );
            }
        }
    }

    #[test]
    fn two_cards_learn_from_the_mean_of_their_shares() {
        let Some(device) = for_tests() else { return };
        let spec = NetworkSpec::official(4, 2);
        let batch = self_test::batch();
        let halves = shares(&batch, 2).unwrap();
        let mut cards = two_cards(&device, spec);
        let losses = cards.step(&batch, 1e-3).unwrap();

        let alone = |half: &Batch| {
            let mut card = two_cards(&device, spec).cards.remove(0);
            let (losses, gradients) = card.gradients(half).unwrap();
            (losses, gradients, card.weights())
        };
        let (a, b) = (alone(&halves[0]), alone(&halves[1]));
        assert!((losses.total() - (a.0.total() + b.0.total()) / 2.0).abs() < 1e-5);
        // Adam's first moment after one step is a tenth of the gradient.
        near("gradient", &cards.adam().first_moment, (&a.1, &b.1), 0.1);
        let running = |weights: &Weights| {
            let of = weights
                .0
                .iter()
                .filter(|(name, _)| name.contains(".running_"));
            Weights(
                of.map(|(name, array)| (name.clone(), array.clone()))
                    .collect(),
            )
        };
        let seen = running(&cards.weights());
        assert!(!seen.0.is_empty());
        near("statistics", &seen, (&running(&a.2), &running(&b.2)), 1.0);
        assert_ne!(running(&a.2), running(&b.2), "both halves look alike");

        // Every further step starts from the same values on all cards.
        cards.step(&batch, 1e-3).unwrap();
        assert_eq!(cards.cards[0].weights(), cards.cards[1].weights());
        assert_eq!(cards.cards[0].adam(), cards.cards[1].adam());
        assert_eq!(cards.adam().steps, 2);
    }

    #[test]
    fn a_batch_that_cannot_be_shared_changes_nothing() {
        let Some(device) = for_tests() else { return };
        let mut cards = two_cards(&device, NetworkSpec::official(4, 2));
        let before = cards.weights();
        let mut batch = shares(&self_test::batch(), 4).unwrap().remove(0);
        let error = cards.step(&batch, 1e-3).unwrap_err();
        assert!(
            error.contains("batch of 1 evenly; try --batch 2"),
            "{error}"
        );
        batch.mask.pop();
        assert!(cards.step(&batch, 1e-3).unwrap_err().contains("mask"));
        assert_eq!(cards.weights(), before);
    }

    #[test]
    fn a_card_that_fails_ends_the_step_on_all() {
        let Some(device) = for_tests() else { return };
        let mut cards = two_cards(&device, NetworkSpec::official(4, 2));
        cards.cards[1].parameters = None;
        let error = cards.step(&self_test::batch(), 1e-3).unwrap_err();
        assert!(error.contains("card 1 of this run"), "{error}");
        assert_eq!(cards.adam().steps, 0);
    }

    #[test]
    fn only_cuda_has_an_exchange() {
        let error = Cards::open("vulkan", &[0, 1], NetworkSpec::official(4, 2)).err();
        assert!(error.unwrap_or_default().contains("for 'cuda' only"));
    }
}
