//! Adam and AdamW with global-norm clipping, fused into one pass.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Settings of Adam and AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Learning rate before the schedule.
    pub rate: f64,
    /// Decay of the first moment, [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, [0, 1).
    pub beta2: f64,
    /// Guard added to the root of the second moment.
    pub epsilon: f64,
    /// Strength of the decay towards 0.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
    }
}

/// Where weight decay acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// Added to the gradient (Adam with L2).
    Coupled,
    /// Applied to the weights (AdamW).
    Decoupled,
}

/// The optimizer's state: moments in the order in which the module's parameters are visited.
///
/// ```text
/// m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
/// w ← w − rate · m̂ / (√v̂ + ε),   m̂ = m / (1 − β₁ᵗ),   v̂ = v / (1 − β₂ᵗ)
/// ```
/// # Source
/// Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019. Golden `u10_torch_optim`,
/// `u10_clip_grad`.
#[derive(Debug, Clone)]
pub struct Adam {
    config: AdamConfig,
    decay: Decay,
    steps: u64,
    moments: Vec<Moments>,
}

/// First and second moment of one parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of the squared gradient.
    pub second: Vec<f32>,
}

impl Adam {
    /// A state before the first step.
    pub fn new(config: AdamConfig, decay: Decay) -> Self {
        Self {
            config,
            decay,
            steps: 0,
            moments: Vec::new(),
        }
    }

    /// Steps taken and the moments, for a checkpoint.
    pub fn state(&self) -> (u64, &[Moments]) {
        (self.steps, &self.moments)
    }

    /// Takes up a state that [`state`](Self::state) gave.
    pub fn restore(&mut self, steps: u64, moments: Vec<Moments>) {
        (self.steps, self.moments) = (steps, moments);
    }

    /// Moves the module against its gradients at `factor` times the configured rate, after scaling
    /// the gradients to a global norm of at most `clip_norm`. Returns the module and the norm
    /// before clipping.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: &mut Gradients,
        factor: f64,
        clip_norm: Option<f64>,
    ) -> (M, f64) {
        let mut collected = Collect {
            gradients,
            values: Vec::new(),
        };
        module.visit(&mut collected);
        let values = collected.values;
        let norm = global_norm(values.iter().flatten().map(Vec::as_slice));
        let scale = clip_norm.map_or(1.0, |limit| clip_scale(norm, limit));
        self.moments.resize_with(values.len(), Moments::default);
        self.steps += 1;
        let step = Step::new(&self.config, self.decay, self.steps, factor, scale);
        let mut apply = Apply {
            step,
            values,
            moments: &mut self.moments,
            next: 0,
        };
        (module.map(&mut apply), norm)
    }
}

/// Euclidean norm of all gradients together.
pub fn global_norm<'a>(gradients: impl Iterator<Item = &'a [f32]>) -> f64 {
    gradients
        .flatten()
        .map(|g| f64::from(*g).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// The factor that brings `norm` down to `limit`, as PyTorch computes it.
pub fn clip_scale(norm: f64, limit: f64) -> f64 {
    (limit / (norm + 1e-6)).min(1.0)
}

/// The constants of one step.
#[derive(Debug, Clone, Copy)]
struct Step {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    scale: f32,
    rate: f32,
    inverse_second: f32,
    shrink: f32,
    coupled: f32,
}

impl Step {
    fn new(config: &AdamConfig, decay: Decay, steps: u64, factor: f64, scale: f64) -> Self {
        let rate = config.rate * factor;
        let bias = |beta: f64| 1.0 - beta.powf(steps as f64);
        let (shrink, coupled) = match decay {
            Decay::Coupled => (1.0, config.weight_decay),
            Decay::Decoupled => (1.0 - rate * config.weight_decay, 0.0),
        };
        Self {
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            epsilon: config.epsilon as f32,
            scale: scale as f32,
            rate: (rate / bias(config.beta1)) as f32,
            inverse_second: (1.0 / bias(config.beta2)) as f32,
            shrink: shrink as f32,
            coupled: coupled as f32,
        }
    }

    fn apply(self, weights: &mut [f32], gradient: &[f32], moments: &mut Moments) {
        if moments.first.is_empty() {
            moments.first = vec![0.0; weights.len()];
            moments.second = vec![0.0; weights.len()];
        }
        const BLOCK: usize = 1 << 15;
        (weights.par_chunks_mut(BLOCK))
            .zip(gradient.par_chunks(BLOCK))
            .zip(moments.first.par_chunks_mut(BLOCK))
            .zip(moments.second.par_chunks_mut(BLOCK))
            .for_each(|(((weights, gradient), first), second)| {
                let state = first.iter_mut().zip(second);
                for ((w, g), (m, v)) in weights.iter_mut().zip(gradient).zip(state) {
                    let g = g * self.scale + self.coupled * *w;
                    *m = self.beta1 * *m + (1.0 - self.beta1) * g;
                    *v = self.beta2 * *v + (1.0 - self.beta2) * g * g;
                    let root = (*v * self.inverse_second).sqrt() + self.epsilon;
                    *w = self.shrink * *w - self.rate * *m / root;
                }
            });
    }
}

struct Collect<'a> {
    gradients: &'a mut Gradients,
    values: Vec<Option<Vec<f32>>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad_remove(self.gradients);
        self.values.push(gradient.map(floats));
    }
}

struct Apply<'a> {
    step: Step,
    values: Vec<Option<Vec<f32>>>,
    moments: &'a mut [Moments],
    next: usize,
}

impl ModuleMapper for Apply<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let at = self.next;
        self.next += 1;
        let Some(gradient) = self.values[at].take() else {
            return param;
        };
        let moments = &mut self.moments[at];
        let step = self.step;
        param.map(|value| {
            let (shape, device) = (value.dims(), value.device());
            let mut weights = floats(value);
            step.apply(&mut weights, &gradient, moments);
            Tensor::from_data(TensorData::new(weights, shape), &device).require_grad()
        })
    }
}

/// The values of a tensor of `f32`.
pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec()
        .expect("every tensor of this crate holds f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_only_ever_shrinks() {
        assert_eq!(clip_scale(1.0, 2.0), 1.0);
        assert!((clip_scale(8.0, 2.0) - 0.25).abs() < 1e-6);
    }

    #[test]
    fn decoupled_decay_shrinks_a_weight_without_gradient() {
        let config = AdamConfig {
            rate: 0.1,
            weight_decay: 0.5,
            ..AdamConfig::default()
        };
        let mut weights = [2.0];
        let step = Step::new(&config, Decay::Decoupled, 1, 1.0, 1.0);
        step.apply(&mut weights, &[0.0], &mut Moments::default());
        assert!((weights[0] - 1.9).abs() < 1e-6);
    }
}
