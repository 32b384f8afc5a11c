//! One direction of a gated recurrent unit: over whole sequences, or one step at a time.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::Init;
use crate::kernel::{self, GruWeights, Precision, States};

/// A GRU layer of one direction; rows of the weights are stacked in the order r, z, n.
///
/// ```text
/// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
/// n = tanh(W_in x + b_in + r (W_hn h + b_hn))      h' = (1 − z) n + z h
/// ```
/// # Source
/// Cho et al., EMNLP 2014, in the form of PyTorch's `GRU` (two biases, the reset gate after the
/// recurrent product).
#[derive(Module, Debug)]
pub struct GruLayer {
    /// `[3h, d_in]`.
    pub weight_ih: Param<Tensor<2>>,
    /// `[3h, h]`.
    pub weight_hh: Param<Tensor<2>>,
    /// `[3h]`.
    pub bias_ih: Param<Tensor<1>>,
    /// `[3h]`.
    pub bias_hh: Param<Tensor<1>>,
    #[module(skip)]
    precision: Precision,
}

impl GruLayer {
    /// Weights and biases uniform in `±1/√h`: PyTorch's default.
    pub fn new(init: &mut Init, d_in: usize, h: usize) -> Self {
        let bound = 1.0 / (h as f64).sqrt();
        Self {
            weight_ih: init.uniform([3 * h, d_in], bound),
            weight_hh: init.uniform([3 * h, h], bound),
            bias_ih: init.uniform([3 * h], bound),
            bias_hh: init.uniform([3 * h], bound),
            precision: init.precision(),
        }
    }

    /// The states over sequences `[n, t, d_in]`, of which the first `lengths` vectors are valid,
    /// starting from 0; with a layer that reads backward, the mean of both. `[n, t, h]` or
    /// `[n, 1, h]`, see [`States`].
    ///
    /// # Panics
    /// If `x` has another width than the layer, or there is not one length of at most `t` an item.
    pub(crate) fn run(
        &self,
        backward: Option<&Self>,
        x: Tensor<3>,
        lengths: &[usize],
        states: States,
    ) -> Tensor<3> {
        let backward = backward.map(Self::weights);
        kernel::gru(x, lengths, self.weights(), backward, states, self.precision)
    }

    /// The state `[n, h]` after one more vector `[n, d_in]`.
    pub fn step(&self, x: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        let h = state.dims()[1];
        let input = kernel::linear(x, self.weight_ih.val(), self.bias_ih.val(), self.precision);
        let recurrent = kernel::linear(
            state.clone(),
            self.weight_hh.val(),
            self.bias_hh.val(),
            self.precision,
        );
        let gates =
            sigmoid(input.clone().narrow(1, 0, 2 * h) + recurrent.clone().narrow(1, 0, 2 * h));
        let reset = gates.clone().narrow(1, 0, h);
        let update = gates.narrow(1, h, h);
        let fresh = tanh(input.narrow(1, 2 * h, h) + reset * recurrent.narrow(1, 2 * h, h));
        state.clone() + (fresh - state) * (update.neg() + 1.0)
    }

    fn weights(&self) -> GruWeights {
        GruWeights {
            weight_ih: self.weight_ih.val(),
            weight_hh: self.weight_hh.val(),
            bias_ih: self.bias_ih.val(),
            bias_hh: self.bias_hh.val(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::floats;
    use burn::tensor::{Device, TensorData};
    use truepair_core::rng::{Seed, normal};

    #[test]
    fn steps_make_a_run() {
        let mut rng = Seed(5).stream("noise", &[]);
        let values: Vec<f32> = (0..18).map(|_| normal(&mut rng) as f32).collect();
        let x: Tensor<3> = Tensor::from_data(TensorData::new(values, [2, 3, 3]), &Device::flex());
        let stream = Seed(1).stream("init", &[]);
        let layer = GruLayer::new(&mut Init::new(stream, Device::flex(), Precision::F32), 3, 4);
        let states = layer.run(None, x.clone(), &[3, 3], States::EveryToken);
        let mut state = Tensor::zeros([2, 4], &Device::flex());
        for t in 0..3 {
            state = layer.step(x.clone().narrow(1, t, 1).reshape([2, 3]), state);
            let run = floats(states.clone().narrow(1, t, 1));
            for (a, b) in run.into_iter().zip(floats(state.clone())) {
                assert!((a - b).abs() < 1e-6);
            }
        }
    }
}
