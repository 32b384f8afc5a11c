//! Batch normalization with the names, defaults and running statistics of published checkpoints.

use burn::module::{Module, Param, RunningState};
use burn::tensor::Tensor;

use super::{Init, Mode};
use crate::kernel::{self, Moments, SlotNorm};

const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// `γ (x − μ) / √(σ² + 1e-5) + β` per channel. Training takes `μ` and the biased `σ²` from the
/// batch and moves the running values by a tenth (the running variance by the unbiased one);
/// evaluation takes the running values.
///
/// # Source
/// Ioffe and Szegedy, ICML 2015; defaults of PyTorch's `BatchNorm1d`.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// `γ`, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `β`, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// `[channels]`; not trained.
    pub running_mean: RunningState<Tensor<1>>,
    /// `[channels]`; not trained.
    pub running_var: RunningState<Tensor<1>>,
}

impl BatchNorm {
    /// `γ = 1`, `β = 0`, running mean 0, running variance 1.
    pub fn new(init: &mut Init, channels: usize) -> Self {
        Self {
            weight: init.filled([channels], 1.0),
            bias: init.zeros([channels]),
            running_mean: RunningState::new(init.constant([channels], 0.0).val()),
            running_var: RunningState::new(init.constant([channels], 1.0).val()),
        }
    }

    /// `[n, channels]`, statistics over `n`.
    pub fn forward(&self, x: Tensor<2>, mode: &Mode<'_>) -> Tensor<2> {
        let [n, channels] = x.dims();
        match mode {
            Mode::Evaluate => {
                let centered = x - self.running_mean.value().unsqueeze();
                self.scale(centered, self.running_var.value().unsqueeze())
            }
            Mode::Train(_) => {
                let moments = kernel::column_moments(x.clone());
                let row = |row: usize| moments.clone().narrow(0, row, 1).reshape([channels]);
                self.absorb(row(0), row(1), n);
                let (weight, bias) = (self.weight.val(), self.bias.val());
                kernel::batch_norm(x, weight, bias, moments, EPSILON)
            }
        }
    }

    /// `γ x / √(σ² + 1e-5) + β` of centered values `[n, channels]`; a single channel is for all
    /// columns. `variance` is `[1, columns]`.
    pub fn scale(&self, centered: Tensor<2>, variance: Tensor<2>) -> Tensor<2> {
        let scale = self.weight.val().unsqueeze() / (variance + EPSILON).sqrt();
        centered * scale + self.bias.val().unsqueeze()
    }

    /// `[n, m, d]` with one channel a slot of the middle axis, `m` at most the number of channels;
    /// statistics over `n` and `d`, of the places where `mask` `[n, m]` is 1.
    ///
    /// A slot that no item has leaves its running values as they are.
    pub fn forward_slots(
        &self,
        x: Tensor<3>,
        mask: Option<&Tensor<2>>,
        mode: &Mode<'_>,
    ) -> Tensor<3> {
        match (mode, mask) {
            (Mode::Train(_), Some(mask)) => {
                let m = x.dims()[1];
                let (mean, variance) = self.masked_statistics(x.clone(), mask);
                let slots = |values: Tensor<1>| values.narrow(0, 0, m).reshape([1, m, 1]);
                let scale = slots(self.weight.val()) / (variance + EPSILON).sqrt();
                (x - mean) * scale + slots(self.bias.val())
            }
            _ => self.slots(x, None, false, mode),
        }
    }

    /// Every place of `[n, m, d]` normalized, `kept` added and negative sums made 0 if asked for.
    fn slots(
        &self,
        x: Tensor<3>,
        kept: Option<Tensor<3>>,
        rectify: bool,
        mode: &Mode<'_>,
    ) -> Tensor<3> {
        let [n, m, d] = x.dims();
        let first = |values: Tensor<1>| values.narrow(0, 0, m);
        let (moments, values) = match mode {
            Mode::Evaluate => {
                let row = |values: Tensor<1>| first(values).reshape([1, m]);
                let rows = [&self.running_mean, &self.running_var].map(|state| row(state.value()));
                (Moments::Given, Tensor::cat(rows.to_vec(), 0))
            }
            Mode::Train(_) => {
                let values = kernel::slot_moments(x.clone());
                let row = |row: usize| values.clone().narrow(0, row, 1).reshape([m]);
                self.absorb(row(0), row(1), n * d);
                (Moments::OfBatch, values)
            }
        };
        let operation = SlotNorm {
            epsilon: EPSILON as f32,
            moments,
            rectify,
        };
        let parameters = [first(self.weight.val()), first(self.bias.val())];
        kernel::slot_norm(operation, x, parameters, values, kept)
    }

    /// Mean and biased variance `[1, m, 1]` of every slot, which the running values absorb.
    fn masked_statistics(&self, x: Tensor<3>, mask: &Tensor<2>) -> (Tensor<3>, Tensor<3>) {
        let [n, m, d] = x.dims();
        let mask = mask.clone().reshape([n, m, 1]);
        let counts = mask.clone().sum_dim(0) * d as f64;
        let mean_of = |values: Tensor<3>| {
            (values.sum_dim(2) * mask.clone()).sum_dim(0) / counts.clone().clamp_min(1.0)
        };
        let mean = mean_of(x.clone());
        let variance = mean_of((x - mean.clone()).square());
        let unbiased = variance.clone() * (counts.clone() / (counts.clone() - 1.0).clamp_min(1.0));
        let share = counts.clamp_max(1.0).reshape([m]) * MOMENTUM;
        self.move_running(mean.clone().reshape([m]), unbiased.reshape([m]), share);
        (mean, variance)
    }

    /// `[n, channels, h, w]`, statistics over all but the channels.
    pub fn forward_planes(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        self.planes(x, None, false, mode)
    }

    /// [`forward_planes`](Self::forward_planes), `kept` of the same shape added if there is any, and
    /// negative values made 0.
    pub fn rectified_planes(
        &self,
        x: Tensor<4>,
        kept: Option<Tensor<4>>,
        mode: &Mode<'_>,
    ) -> Tensor<4> {
        self.planes(x, kept, true, mode)
    }

    fn planes(
        &self,
        x: Tensor<4>,
        kept: Option<Tensor<4>>,
        rectify: bool,
        mode: &Mode<'_>,
    ) -> Tensor<4> {
        let [n, channels, h, w] = x.dims();
        let slots = |planes: Tensor<4>| planes.reshape([n, channels, h * w]);
        let planes = self.slots(slots(x), kept.map(slots), rectify, mode);
        planes.reshape([n, channels, h, w])
    }

    /// Moves the running values of the first channels towards a batch's mean and biased variance of
    /// `n` values a channel.
    pub fn absorb(&self, mean: Tensor<1>, variance: Tensor<1>, n: usize) {
        let unbiased = n as f64 / (n.max(2) - 1) as f64;
        let share = Tensor::full(mean.dims(), MOMENTUM, &mean.device());
        self.move_running(mean, variance * unbiased, share);
    }

    /// Moves the running values of the first channels by a share of the way; all `[m]`.
    fn move_running(&self, mean: Tensor<1>, unbiased: Tensor<1>, share: Tensor<1>) {
        for (state, batch) in [(&self.running_mean, mean), (&self.running_var, unbiased)] {
            let old = state.value();
            let ([channels], [m]) = (old.dims(), batch.dims());
            let moving = old.clone().narrow(0, 0, m);
            let change = (batch.detach() - moving.clone()) * share.clone();
            let mut parts = vec![moving + change];
            if channels > m {
                parts.push(old.narrow(0, m, channels - m));
            }
            state.update(Tensor::cat(parts, 0));
            state.value_sync();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use crate::numbers::floats;
    use burn::tensor::{Device, TensorData};
    use truepair_core::rng::Seed;

    fn norm(channels: usize) -> BatchNorm {
        let stream = Seed(1).stream("init", &[]);
        BatchNorm::new(
            &mut Init::new(stream, Device::flex(), Precision::F32),
            channels,
        )
    }

    fn train<R>(run: impl FnOnce(&Mode<'_>) -> R) -> R {
        run(&Mode::Train(&mut Seed(1).stream("dropout", &[])))
    }

    fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    fn assert_close(found: Tensor<1>, expected: &[f32]) {
        let found = floats(found);
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn slots_count_what_the_mask_keeps_and_leave_the_others_alone() {
        let norm = norm(4);
        // Slot 0 holds 1, 3 | 5, 7; slot 1 holds 2, 4 of the first item only; slot 2 nothing.
        let x = tensor(&[1., 3., 2., 4., 9., 9., 5., 7., 9., 9., 9., 9.], [2, 3, 2]);
        let mask = tensor(&[1., 1., 0., 1., 0., 0.], [2, 3]);
        let y = train(|mode| norm.forward_slots(x.clone(), Some(&mask), mode));
        let y = floats(y);
        assert!((y[0] + 3.0 / 5f32.sqrt()).abs() < 1e-5, "{y:?}");
        assert!((y[2] + 1.0).abs() < 1e-5, "{y:?}");
        assert!(y.iter().all(|y| y.is_finite()));
        assert_close(norm.running_mean.value(), &[0.4, 0.3, 0.0, 0.0]);
        let variances = [0.9 + 0.1 * 20.0 / 3.0, 0.9 + 0.2, 1.0, 1.0];
        assert_close(norm.running_var.value(), &variances);
        let y = floats(norm.forward_slots(x, Some(&mask), &Mode::Evaluate));
        assert!((y[2] - 1.7 / (1.1f32 + 1e-5).sqrt()).abs() < 1e-5, "{y:?}");
    }

    #[test]
    fn slots_without_a_mask_equal_channels() {
        let (slots, channels) = (norm(3), norm(3));
        let x: Vec<f32> = (0..24).map(|i| ((i * 7) % 11) as f32).collect();
        let x = tensor(&x, [4, 3, 2]);
        let rows = x.clone().swap_dims(1, 2).reshape([8, 3]);
        let found = train(|mode| slots.forward_slots(x, None, mode));
        let expected = train(|mode| channels.forward(rows, mode));
        let expected = expected.reshape([4, 2, 3]).swap_dims(1, 2);
        assert_close(found.reshape([24]), &floats(expected));
        assert_close(
            slots.running_mean.value(),
            &floats(channels.running_mean.value()),
        );
        assert_close(
            slots.running_var.value(),
            &floats(channels.running_var.value()),
        );
    }
}
