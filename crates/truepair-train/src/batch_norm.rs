//! Batch normalization with the names, defaults and running statistics of published checkpoints.

use burn::module::{Module, Param, RunningState};
use burn::tensor::Tensor;

use crate::init::Init;
use crate::mode::Mode;

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
        let n = x.dims()[0];
        let (mean, variance) = match mode {
            Mode::Evaluate => (self.running_mean.value(), self.running_var.value()),
            Mode::Train(_) => {
                let mean = x.clone().mean_dim(0);
                let variance = (x.clone() - mean.clone()).square().mean_dim(0);
                let channels = x.dims()[1];
                let (mean, variance) = (mean.reshape([channels]), variance.reshape([channels]));
                self.absorb(mean.clone(), variance.clone(), n);
                (mean, variance)
            }
        };
        let scale = self.weight.val() / (variance + EPSILON).sqrt();
        (x - mean.unsqueeze()) * scale.unsqueeze() + self.bias.val().unsqueeze()
    }

    /// Moves the running values towards a batch's mean and biased variance of `n` values a channel.
    pub fn absorb(&self, mean: Tensor<1>, variance: Tensor<1>, n: usize) {
        let unbiased = n as f64 / (n.max(2) - 1) as f64;
        for (state, batch) in [
            (&self.running_mean, mean),
            (&self.running_var, variance * unbiased),
        ] {
            let moved = state.value() * (1.0 - MOMENTUM) + batch.detach() * MOMENTUM;
            state.update(moved);
            state.value_sync();
        }
    }
}
