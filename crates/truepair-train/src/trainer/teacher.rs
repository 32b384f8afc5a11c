//! A mean teacher: a running average of a network's weights, which forgets late errors slowly.

use truepair_core::Result;

use truepair_model::matcher::Matcher;
use truepair_model::parameters::{self, Parameters};

/// `w̄ ← δ w̄ + (1 − δ) w` after every step, with `δ = min(1 − 1/(t + 1), decay)` at step `t`, so that
/// the first weights are soon forgotten.
///
/// # Source
/// Tarvainen and Valpola, NeurIPS 2017.
#[derive(Debug)]
pub(crate) struct Teacher {
    pub(crate) decay: f64,
    pub(crate) steps: u64,
    pub(crate) weights: Parameters,
}

impl Teacher {
    pub(crate) fn new(decay: f64, matcher: &Matcher) -> Self {
        Self {
            decay,
            steps: 0,
            weights: parameters::export(matcher),
        }
    }

    /// Takes in the weights after a step.
    pub(crate) fn follow(&mut self, matcher: &Matcher) {
        self.steps += 1;
        let decay = (1.0 - 1.0 / (self.steps as f64 + 1.0)).min(self.decay) as f32;
        for (name, new) in parameters::export(matcher) {
            let held = self.weights.get_mut(&name).expect("names never change");
            for (held, new) in held.values.iter_mut().zip(new.values) {
                *held = decay * *held + (1.0 - decay) * new;
            }
        }
    }

    /// `matcher` with the averaged weights.
    pub(crate) fn matcher(&self, matcher: Matcher) -> Result<Matcher> {
        parameters::import(matcher, self.weights.clone())
    }
}
