//! Adam and AdamW with global-norm clipping, fused into one pass.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::adamp::Projection;
use super::moments::{AdamConfig, Moments};
use crate::kernel::{AdamStep, is_fused, sum_of_squares};
use crate::numbers::floats;

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
    moments: Vec<State>,
    projection: Option<Projection>,
    /// Factor on every parameter's rate, 0 where it is frozen; empty for 1 everywhere.
    shares: Vec<f64>,
}

impl Adam {
    /// A state before the first step.
    pub fn new(config: AdamConfig, decay: Decay) -> Self {
        Self {
            config,
            decay,
            steps: 0,
            moments: Vec::new(),
            projection: None,
            shares: Vec::new(),
        }
    }

    /// Removes from steps what only changes a parameter's length.
    pub(super) fn projected(mut self, projection: Projection) -> Self {
        self.projection = Some(projection);
        self
    }

    /// Sets the factor on every parameter's rate, in the order in which they are visited; a
    /// parameter with 0 is frozen: it does not move, its moments rest, and its gradient does not
    /// count in the norm.
    pub fn set_shares(&mut self, shares: Vec<f64>) {
        self.shares = shares;
    }

    /// Steps taken and the moments, for a checkpoint.
    pub fn state(&self) -> (u64, Vec<Moments>) {
        (
            self.steps,
            self.moments.iter().map(State::moments).collect(),
        )
    }

    /// Takes up a state that [`state`](Self::state) gave.
    pub fn restore(&mut self, steps: u64, moments: Vec<Moments>) {
        (self.steps, self.moments) = (steps, moments.into_iter().map(State::Host).collect());
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
        let mut values = collected.values;
        for (value, share) in values.iter_mut().zip(&self.shares) {
            if *share <= 0.0 {
                *value = None;
            }
        }
        let norm = norm(&values);
        let scale = clip_norm.map_or(1.0, |limit| clip_scale(norm, limit));
        self.moments.resize_with(values.len(), State::default);
        self.steps += 1;
        let steps = (0..values.len()).map(|at| {
            let share = self.shares.get(at).copied().unwrap_or(1.0);
            constants(&self.config, self.decay, self.steps, factor * share, scale)
        });
        let mut apply = Apply {
            steps: steps.collect(),
            projection: self.projection,
            values,
            moments: &mut self.moments,
            next: 0,
        };
        (module.map(&mut apply), norm)
    }
}

/// Euclidean norm of all gradients together.
pub fn global_norm<'a>(gradients: impl Iterator<Item = &'a [f32]>) -> f64 {
    gradients.map(sum_of_squares).sum::<f64>().sqrt()
}

/// The factor that brings `norm` down to `limit`, as PyTorch computes it.
pub fn clip_scale(norm: f64, limit: f64) -> f64 {
    (limit / (norm + 1e-6)).min(1.0)
}

fn constants(config: &AdamConfig, decay: Decay, steps: u64, factor: f64, scale: f64) -> AdamStep {
    let rate = config.rate * factor;
    let bias = |beta: f64| 1.0 - beta.powf(steps as f64);
    let (shrink, coupled) = match decay {
        Decay::Coupled => (1.0, config.weight_decay),
        Decay::Decoupled => (1.0 - rate * config.weight_decay, 0.0),
    };
    AdamStep {
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

/// A parameter's gradient where the parameter lives.
#[expect(clippy::large_enum_variant, reason = "one a parameter")]
enum Gradient {
    Host(Vec<f32>),
    Device(Tensor<1>),
}

/// A parameter's moments where the parameter lives.
#[expect(clippy::large_enum_variant, reason = "one a parameter")]
#[derive(Debug, Clone)]
enum State {
    Host(Moments),
    Device { first: Tensor<1>, second: Tensor<1> },
}

impl Default for State {
    fn default() -> Self {
        Self::Host(Moments::default())
    }
}

impl State {
    fn moments(&self) -> Moments {
        match self {
            Self::Host(moments) => moments.clone(),
            Self::Device { first, second } => Moments {
                first: floats(first.clone()),
                second: floats(second.clone()),
            },
        }
    }

    fn on_host(&mut self, n: usize) -> &mut Moments {
        if !matches!(self, Self::Host(_)) {
            *self = Self::Host(self.moments());
        }
        let Self::Host(moments) = self else {
            unreachable!("the state was just moved to the host")
        };
        if moments.first.is_empty() {
            (moments.first, moments.second) = (vec![0.0; n], vec![0.0; n]);
        }
        moments
    }

    fn on_device(&mut self, n: usize, device: &Device) -> (Tensor<1>, Tensor<1>) {
        match std::mem::take(self) {
            Self::Device { first, second } => (first, second),
            Self::Host(moments) if moments.first.is_empty() => {
                (Tensor::zeros([n], device), Tensor::zeros([n], device))
            }
            Self::Host(moments) => {
                let there = |values| Tensor::from_data(TensorData::new(values, [n]), device);
                (there(moments.first), there(moments.second))
            }
        }
    }
}

fn norm(gradients: &[Option<Gradient>]) -> f64 {
    let (mut squares, mut on_device) = (0.0, Vec::new());
    for gradient in gradients.iter().flatten() {
        match gradient {
            Gradient::Host(values) => squares += sum_of_squares(values),
            Gradient::Device(values) => on_device.push(values.clone().square().sum()),
        }
    }
    if !on_device.is_empty() {
        squares += floats(Tensor::cat(on_device, 0))
            .iter()
            .map(|x| f64::from(*x))
            .sum::<f64>();
    }
    squares.sqrt()
}

struct Collect<'a> {
    gradients: &'a mut Gradients,
    values: Vec<Option<Gradient>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad_remove(self.gradients);
        self.values.push(gradient.map(|gradient| {
            if is_fused(&gradient.device()) {
                Gradient::Host(floats(gradient))
            } else {
                let n = gradient.shape().num_elements();
                Gradient::Device(gradient.reshape([n]))
            }
        }));
    }
}

struct Apply<'a> {
    steps: Vec<AdamStep>,
    projection: Option<Projection>,
    values: Vec<Option<Gradient>>,
    moments: &'a mut [State],
    next: usize,
}

impl ModuleMapper for Apply<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let at = self.next;
        self.next += 1;
        let Some(gradient) = self.values[at].take() else {
            return param;
        };
        let (state, step) = (&mut self.moments[at], self.steps[at]);
        if let Some(projection) = self.projection {
            let gradient = match gradient {
                Gradient::Host(values) => values,
                Gradient::Device(values) => floats(values),
            };
            return param.map(|value| {
                let (shape, device) = (value.dims(), value.device());
                let mut weights = floats(value);
                let moments = state.on_host(weights.len());
                projection.apply(step, &mut weights, &shape, &gradient, moments);
                Tensor::from_data(TensorData::new(weights, shape), &device).require_grad()
            });
        }
        param.map(|value| {
            let (shape, device) = (value.dims(), value.device());
            match gradient {
                Gradient::Host(gradient) => {
                    let mut weights = floats(value);
                    let Moments { first, second } = state.on_host(weights.len());
                    step.apply(&mut weights, &gradient, first, second);
                    Tensor::from_data(TensorData::new(weights, shape), &device).require_grad()
                }
                Gradient::Device(gradient) => {
                    let moved = on_device(step, value.inner(), gradient, state);
                    Tensor::from_inner(moved).require_grad()
                }
            }
        })
    }
}

/// The step of [`AdamStep::apply`] in tensor operations.
fn on_device<const D: usize>(
    step: AdamStep,
    weights: Tensor<D>,
    gradient: Tensor<1>,
    state: &mut State,
) -> Tensor<D> {
    let (shape, n) = (weights.dims(), weights.shape().num_elements());
    let (first, second) = state.on_device(n, &gradient.device());
    let weights = weights.reshape([n]);
    let gradient = gradient * step.scale + weights.clone() * step.coupled;
    let first = first * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let second = second * step.beta2 + gradient.square() * (1.0 - step.beta2);
    let root = (second.clone() * step.inverse_second).sqrt() + step.epsilon;
    let moved = weights * step.shrink - first.clone() * step.rate / root;
    *state = State::Device { first, second };
    moved.reshape(shape)
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
        let step = constants(&config, Decay::Decoupled, 1, 1.0, 1.0);
        step.apply(&mut weights, &[0.0], &mut [0.0], &mut [0.0]);
        assert!((weights[0] - 1.9).abs() < 1e-6);
    }

    #[test]
    fn tensor_operations_take_the_same_steps() {
        let config = AdamConfig {
            weight_decay: 0.1,
            ..AdamConfig::default()
        };
        let device = Device::flex();
        let mut weights = vec![0.5f32, -1.0, 2.0];
        let mut moved: Tensor<1> =
            Tensor::from_data(TensorData::new(weights.clone(), [3]), &device);
        let (mut host, mut state) = (Moments::default(), State::default());
        (host.first, host.second) = (vec![0.0; 3], vec![0.0; 3]);
        for steps in 1..4 {
            let gradient = vec![0.3 * steps as f32, -0.1, 0.02];
            let step = constants(&config, Decay::Coupled, steps, 0.5, 0.8);
            step.apply(&mut weights, &gradient, &mut host.first, &mut host.second);
            let gradient = Tensor::from_data(TensorData::new(gradient, [3]), &device);
            moved = on_device(step, moved, gradient, &mut state);
        }
        for (a, b) in floats(moved).iter().zip(&weights) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        for (a, b) in state.moments().second.iter().zip(&host.second) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
