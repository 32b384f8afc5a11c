//! One direction of a gated recurrent unit, over any sequence of vectors.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use crate::init::Init;
use crate::kernel::{self, GruWeights, Precision};

/// The order in which a layer takes the vectors of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the first to the last.
    FirstToLast,
    /// From the last to the first.
    LastToFirst,
}

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

    /// The weights, for the fused operation.
    pub(crate) fn weights(&self) -> GruWeights {
        GruWeights {
            weight_ih: self.weight_ih.val(),
            weight_hh: self.weight_hh.val(),
            bias_ih: self.bias_ih.val(),
            bias_hh: self.bias_hh.val(),
        }
    }

    /// The number format of the factors of products.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// The state after every vector, starting from 0: `[n, t, d_in]` to `[n, t, h]`. A place where
    /// the mask `[n, t]` is 0 leaves the state as it is and repeats it, so that `LastToFirst`
    /// begins at the last valid vector and the last place of `FirstToLast` holds the final state.
    ///
    /// # Panics
    /// If `x` has another width than the layer or no place at all.
    pub fn run(&self, x: Tensor<3>, mask: Option<&Tensor<2>>, order: Order) -> Tensor<3> {
        let [n, t, d_in] = x.dims();
        let device = x.device();
        let h = self.weight_hh.dims()[1];
        // The input's part of all gates is one product; only the recurrent one runs step by step.
        let inputs = self
            .input_part(x.reshape([n * t, d_in]))
            .reshape([n, t, 3 * h]);
        let mut state: Tensor<2> = Tensor::zeros([n, h], &device);
        let mut states: Vec<Option<Tensor<3>>> = vec![None; t];
        let places: Vec<usize> = match order {
            Order::FirstToLast => (0..t).collect(),
            Order::LastToFirst => (0..t).rev().collect(),
        };
        for place in places {
            let input = inputs.clone().narrow(1, place, 1).reshape([n, 3 * h]);
            let change = self.change(input, state.clone());
            state = state
                + match mask {
                    Some(mask) => change * mask.clone().narrow(1, place, 1),
                    None => change,
                };
            states[place] = Some(state.clone().unsqueeze_dim(1));
        }
        Tensor::cat(states.into_iter().flatten().collect(), 1)
    }

    /// The state `[n, h]` after one more vector `[n, d_in]`.
    pub fn step(&self, x: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        state.clone() + self.change(self.input_part(x), state)
    }

    fn input_part(&self, x: Tensor<2>) -> Tensor<2> {
        kernel::linear(x, self.weight_ih.val(), self.bias_ih.val(), self.precision)
    }

    /// `h' − h = (1 − z)(n − h)` for the input's part `[n, 3h]` of the gates.
    fn change(&self, input: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        let d = state.dims()[1];
        let recurrent = kernel::linear(
            state.clone(),
            self.weight_hh.val(),
            self.bias_hh.val(),
            self.precision,
        );
        let gates =
            sigmoid(input.clone().narrow(1, 0, 2 * d) + recurrent.clone().narrow(1, 0, 2 * d));
        let reset = gates.clone().narrow(1, 0, d);
        let update = gates.narrow(1, d, d);
        let fresh = tanh(input.narrow(1, 2 * d, d) + reset * recurrent.narrow(1, 2 * d, d));
        (fresh - state) * (update.neg() + 1.0)
    }
}

/// The final state `[n, h]` of states `[n, t, h]` that [`GruLayer::run`] gave for
/// [`Order::FirstToLast`].
pub fn final_state(states: Tensor<3>) -> Tensor<2> {
    let [n, t, h] = states.dims();
    states.narrow(1, t - 1, 1).reshape([n, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use truepair_core::rng::{Seed, normal};

    fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let mut rng = Seed(5).stream("noise", &[]);
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| normal(&mut rng) as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn layer() -> GruLayer {
        let stream = Seed(1).stream("init", &[]);
        GruLayer::new(&mut Init::new(stream, Device::flex(), Precision::F32), 3, 4)
    }

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn steps_make_a_run_and_padding_repeats_the_state() {
        let (layer, x) = (layer(), noise([2, 3, 3]));
        let states = layer.run(x.clone(), None, Order::FirstToLast);
        let mut state = Tensor::zeros([2, 4], &Device::flex());
        for t in 0..3 {
            state = layer.step(x.clone().narrow(1, t, 1).reshape([2, 3]), state);
            let run = floats(states.clone().narrow(1, t, 1));
            let pairs = run.into_iter().zip(floats(state.clone()));
            pairs
                .into_iter()
                .for_each(|(a, b)| assert!((a - b).abs() < 1e-6));
        }
        let padded = Tensor::cat(vec![x.clone(), noise([2, 2, 3])], 1);
        let mask = Tensor::cat(
            vec![
                Tensor::<2>::ones([2, 3], &Device::flex()),
                Tensor::zeros([2, 2], &Device::flex()),
            ],
            1,
        );
        let held = layer.run(padded.clone(), Some(&mask), Order::FirstToLast);
        assert_eq!(floats(final_state(held)), floats(final_state(states)));
        let back = layer.run(padded, Some(&mask), Order::LastToFirst);
        let plain = layer.run(x, None, Order::LastToFirst);
        assert_eq!(floats(back.narrow(1, 0, 3)), floats(plain));
    }
}
