//! AdamP: Adam without the part of a step that only changes a weight's length.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use truepair_kernel::vector::{dot, wide};

use super::moments::{AdamConfig, Moments};
use crate::kernel::AdamStep;

/// Settings of AdamP.
///
/// ```text
/// p = m̂ / (√v̂ + ε)      r = 1
/// for views of w as rows, then as one row, where w has at least two axes:
///   if max |cos(g, w)| over rows < δ / √(row length):
///     p ← p − n (n · p) in every row, n = w / (‖w‖ + ε);   r = weight_decay_ratio; stop
/// w ← (1 − rate · weight_decay · r) w − rate · p
/// ```
/// # Source
/// Heo et al., ICLR 2021; code read at clovaai/AdamP@7f6f038. Golden `u10_adamp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamPConfig {
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
    /// δ: how nearly perpendicular gradient and weight must be.
    pub delta: f64,
    /// What is left of the decay of a projected parameter.
    pub weight_decay_ratio: f64,
    /// Whether a step looks ahead by one gradient.
    pub nesterov: bool,
}

impl Default for AdamPConfig {
    fn default() -> Self {
        Self {
            rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            delta: 0.1,
            weight_decay_ratio: 0.1,
            nesterov: false,
        }
    }
}

impl AdamPConfig {
    /// The settings that Adam has, too.
    pub(super) fn adam(&self) -> AdamConfig {
        AdamConfig {
            rate: self.rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
        }
    }

    pub(super) fn projection(&self) -> Projection {
        Projection {
            delta: self.delta,
            decay_ratio: self.weight_decay_ratio as f32,
            nesterov: self.nesterov,
        }
    }
}

/// What AdamP adds to Adam.
#[derive(Debug, Clone, Copy)]
pub(super) struct Projection {
    delta: f64,
    decay_ratio: f32,
    nesterov: bool,
}

/// Sums over one row.
#[derive(Clone, Copy, Default)]
struct Sums {
    gradient_weight: f64,
    gradient: f64,
    weight: f64,
    step_weight: f64,
}

impl Sums {
    fn add(mut self, other: Self) -> Self {
        self.gradient_weight += other.gradient_weight;
        self.gradient += other.gradient;
        self.weight += other.weight;
        self.step_weight += other.step_weight;
        self
    }

    /// `|cos(g, w)|`
    fn cosine(self, epsilon: f64) -> f64 {
        let lengths = (self.gradient.sqrt() + epsilon) * (self.weight.sqrt() + epsilon);
        self.gradient_weight.abs() / lengths
    }

    /// What `n (n · p)` is in units of the weight.
    fn along(self, epsilon: f64) -> f64 {
        self.step_weight / (self.weight.sqrt() + epsilon).powi(2)
    }
}

/// One row of every buffer.
struct Row<'a> {
    weights: &'a [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    step: &'a mut [f32],
}

impl Row<'_> {
    /// Moves the moments, sets the unprojected step and sums up.
    #[inline(always)]
    fn moments(self, step: AdamStep, nesterov: bool) -> Sums {
        let ahead = if nesterov { step.beta1 } else { 1.0 };
        let state = self.first.iter_mut().zip(self.second);
        for ((g, p), (m, v)) in self.gradient.iter().zip(&mut *self.step).zip(state) {
            let g = g * step.scale;
            *m = step.beta1 * *m + (1.0 - step.beta1) * g;
            *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
            let next = ahead * *m + (1.0 - ahead) * g;
            *p = next / ((*v * step.inverse_second).sqrt() + step.epsilon);
        }
        let scale = f64::from(step.scale);
        Sums {
            gradient_weight: scale * f64::from(dot(self.gradient, self.weights)),
            gradient: scale * scale * f64::from(dot(self.gradient, self.gradient)),
            weight: f64::from(dot(self.weights, self.weights)),
            step_weight: f64::from(dot(self.step, self.weights)),
        }
    }
}

impl Projection {
    /// Moves weights of this shape and their moments.
    pub(super) fn apply(
        self,
        step: AdamStep,
        weights: &mut [f32],
        shape: &[usize],
        gradient: &[f32],
        moments: &mut Moments,
    ) {
        let n_rows = if shape.len() > 1 { shape[0] } else { 1 };
        let width = (weights.len() / n_rows.max(1)).max(1);
        let mut steps = vec![0.0; weights.len()];
        let sums: Vec<Sums> = (weights.par_chunks(width))
            .zip(gradient.par_chunks(width))
            .zip(moments.first.par_chunks_mut(width))
            .zip(moments.second.par_chunks_mut(width))
            .zip(steps.par_chunks_mut(width))
            .map(|((((weights, gradient), first), second), out)| {
                let row = Row {
                    weights,
                    gradient,
                    first,
                    second,
                    step: out,
                };
                wide(
                    #[inline(always)]
                    || row.moments(step, self.nesterov),
                )
            })
            .collect();
        let along = self.along(&sums, width, shape.len(), f64::from(step.epsilon));
        let shrink = match along {
            Some(_) => 1.0 - (1.0 - step.shrink) * self.decay_ratio,
            None => step.shrink,
        };
        (weights.par_chunks_mut(width).enumerate())
            .zip(steps.par_chunks(width))
            .for_each(|((row, weights), steps)| {
                let along = along.as_ref().map_or(0.0, |along| along[row] as f32);
                wide(
                    #[inline(always)]
                    || {
                        for (w, p) in weights.iter_mut().zip(steps) {
                            *w = shrink * *w - step.rate * (p - along * *w);
                        }
                    },
                );
            });
    }

    /// Per row how much of the step lies along the weights; `None` where nothing is projected.
    fn along(self, sums: &[Sums], width: usize, n_axes: usize, epsilon: f64) -> Option<Vec<f64>> {
        if n_axes < 2 {
            return None;
        }
        let perpendicular = |rows: &[Sums], length: usize| {
            let largest = rows
                .iter()
                .map(|row| row.cosine(epsilon))
                .fold(0.0, f64::max);
            largest < self.delta / (length as f64).sqrt()
        };
        if perpendicular(sums, width) {
            return Some(sums.iter().map(|row| row.along(epsilon)).collect());
        }
        let whole = sums.iter().fold(Sums::default(), |sum, row| sum.add(*row));
        perpendicular(&[whole], width * sums.len()).then(|| vec![whole.along(epsilon); sums.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The identity after one step against a gradient of 2 × 2, at a rate of 0.1.
    fn stepped(gradient: [f32; 4]) -> Vec<f32> {
        let config = AdamPConfig::default();
        let step = AdamStep {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            scale: 1.0,
            rate: 1.0,
            inverse_second: 1000.0,
            shrink: 1.0,
            coupled: 0.0,
        };
        let mut weights = vec![1.0, 0.0, 0.0, 1.0];
        let mut moments = Moments {
            first: vec![0.0; 4],
            second: vec![0.0; 4],
        };
        let projection = config.projection();
        projection.apply(step, &mut weights, &[2, 2], &gradient, &mut moments);
        weights
    }

    #[test]
    fn a_gradient_across_the_weights_leaves_their_length() {
        let close = |found: Vec<f32>, expected: [f32; 4]| {
            let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            assert!(error.fold(0.0, f32::max) < 1e-5, "{found:?}");
        };
        close(stepped([0.01, 1.0, 1.0, 0.02]), [1.0, -0.1, -0.1, 1.0]);
        close(stepped([0.01, 1.0, 1.0, 0.5]), [0.9, -0.1, -0.1, 0.9]);
    }
}
