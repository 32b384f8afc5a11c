//! Token embedding and a bidirectional GRU: the text side of SCAN, SGRAF and NCR.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};
use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::InputShape;
use crate::encoding::{Encoding, Input, unit_length};
use crate::error::Result;
use crate::init::Init;
use crate::mode::Mode;

/// Settings of [`Gru`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GruConfig {
    /// Width of a token's embedding.
    pub word_dim: usize,
    /// Width of the joint space and of each direction's state.
    pub dim: usize,
    /// Share of embedding values dropped while training, [0, 1).
    pub dropout: f64,
    /// Which ways captions are read.
    pub directions: GruDirections,
    /// What a caption becomes.
    pub output: GruOutput,
}

/// Which ways a caption is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GruDirections {
    /// From both ends; the states are averaged.
    Both,
    /// From the first token to the last.
    Forward,
}

/// What a caption becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GruOutput {
    /// One vector a token: the state there.
    Words,
    /// One vector: the state after the last step, which is at the last valid token and, for the
    /// backward direction, at the first.
    Last,
}

impl Default for GruConfig {
    fn default() -> Self {
        Self {
            word_dim: 300,
            dim: 1024,
            dropout: 0.4,
            directions: GruDirections::Both,
            output: GruOutput::Words,
        }
    }
}

/// `wₜ = l2((h→ₜ + h←ₜ) / 2)` over the states of a forward and a backward GRU.
///
/// ```text
/// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
/// n = tanh(W_in x + b_in + r (W_hn h + b_hn))      h' = (1 − z) n + z h
/// ```
/// Padded tokens leave the state as it is, so the backward direction starts at the last valid
/// token; their output vectors are 0.
///
/// # Shapes
/// - input: token ids `[n, t]`; output: `[n, t, dim]` with the tokens' mask
/// # Source
/// Cho et al., EMNLP 2014; averaged directions as in SGRAF, code read at
/// XLearning-SCU/2021-NeurIPS-NCR@60256ba, `EncoderText` (golden `u01_sgraf_text_encoder`).
#[derive(Module, Debug)]
pub struct Gru {
    embed: Param<Tensor<2>>,
    forward: Direction,
    backward: Option<Direction>,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    output: GruOutput,
}

/// One direction's weights; rows are stacked in the order r, z, n.
#[derive(Module, Debug)]
struct Direction {
    /// `[3h, word_dim]`.
    weight_ih: Param<Tensor<2>>,
    /// `[3h, h]`.
    weight_hh: Param<Tensor<2>>,
    /// `[3h]`.
    bias_ih: Param<Tensor<1>>,
    /// `[3h]`.
    bias_hh: Param<Tensor<1>>,
}

impl GruConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Gru> {
        let InputShape::Tokens(vocabulary) = shape else {
            return Err(Error::argument(
                "backbone `gru` reads token ids, the data has feature vectors",
                "use `mlp` or `region_linear` for features, or decline caption features",
            )
            .into());
        };
        if self.word_dim == 0 || self.dim == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `gru` cannot have word_dim = {}, dim = {}, dropout = {}",
                    self.word_dim, self.dim, self.dropout
                ),
                "widths are at least 1 and dropout is in [0, 1)",
            )
            .into());
        }
        Ok(Gru {
            embed: init.uniform([vocabulary, self.word_dim], 0.1),
            forward: Direction::new(init, self.word_dim, self.dim),
            backward: match self.directions {
                GruDirections::Both => Some(Direction::new(init, self.word_dim, self.dim)),
                GruDirections::Forward => None,
            },
            dropout: self.dropout,
            output: self.output,
        })
    }
}

impl Gru {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Tokens { ids, mask } = input else {
            panic!("`gru` was built for tokens")
        };
        let [n, t] = ids.dims();
        let flat = ids.clone().reshape([n * t]);
        let words = mode.dropout(self.embed.val().select(0, flat), self.dropout);
        let mut states = vec![self.forward.run(words.clone(), mask, 0..t)];
        if let Some(backward) = &self.backward {
            states.push(backward.run(words, mask, (0..t).rev()));
        }
        // Padding repeats a state, so the last one stands at the end that a direction runs to.
        let (states, mask) = match self.output {
            GruOutput::Words => (states, Some(mask.clone())),
            GruOutput::Last => {
                let ends = states.into_iter().zip([t - 1, 0]);
                (ends.map(|(all, end)| all.narrow(1, end, 1)).collect(), None)
            }
        };
        let n_directions = states.len() as f64;
        let sum = states.into_iter().reduce(|sum, states| sum + states);
        let mean = sum.expect("there is a forward direction") / n_directions;
        let values = match &mask {
            Some(mask) => unit_length(mean) * mask.clone().unsqueeze_dim(2),
            None => unit_length(mean),
        };
        Encoding {
            values,
            mask,
            regions: None,
        }
    }
}

impl Direction {
    fn new(init: &mut Init, d_in: usize, d: usize) -> Self {
        let bound = 1.0 / (d as f64).sqrt();
        Self {
            weight_ih: init.uniform([3 * d, d_in], bound),
            weight_hh: init.uniform([3 * d, d], bound),
            bias_ih: init.uniform([3 * d], bound),
            bias_hh: init.uniform([3 * d], bound),
        }
    }

    /// States `[n, t, h]` of words `[n * t, word_dim]` taken in the order `steps`. The input
    /// projection of all steps is one product; only the recurrent one runs step by step.
    fn run(
        &self,
        words: Tensor<2>,
        mask: &Tensor<2>,
        steps: impl Iterator<Item = usize>,
    ) -> Tensor<3> {
        let [n, t] = mask.dims();
        let d = self.weight_hh.dims()[1];
        let inputs =
            words.matmul(self.weight_ih.val().transpose()) + self.bias_ih.val().unsqueeze();
        let inputs = inputs.reshape([n, t, 3 * d]);
        let recurrent = self.weight_hh.val().transpose();
        let mut state: Tensor<2> = Tensor::zeros([n, d], &mask.device());
        let mut states: Vec<Option<Tensor<3>>> = vec![None; t];
        for step in steps {
            let x = inputs.clone().narrow(1, step, 1).reshape([n, 3 * d]);
            let h = state.clone().matmul(recurrent.clone()) + self.bias_hh.val().unsqueeze();
            let gates = sigmoid(x.clone().narrow(1, 0, 2 * d) + h.clone().narrow(1, 0, 2 * d));
            let reset = gates.clone().narrow(1, 0, d);
            let update = gates.narrow(1, d, d);
            let fresh = tanh(x.narrow(1, 2 * d, d) + reset * h.narrow(1, 2 * d, d));
            let valid = mask.clone().narrow(1, step, 1);
            // h + m (1 − z)(n − h): one blend for the gate and for padding.
            let change = (fresh - state.clone()) * (update.neg() + 1.0) * valid;
            state = state + change;
            states[step] = Some(state.clone().unsqueeze_dim(1));
        }
        Tensor::cat(states.into_iter().flatten().collect(), 1)
    }
}
