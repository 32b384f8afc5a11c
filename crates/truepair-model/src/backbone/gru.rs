//! Token embedding and a GRU: the text side of VSE++, SCAN, VSRN, SGRAF and NCR.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input, lengths, unit_length};
use crate::kernel::{self, States};
use crate::layer::{GruLayer, Init, Mode};

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

/// `wₜ = l2((h→ₜ + h←ₜ) / 2)` over the states of a forward and a backward GRU, or `l2(h→ₜ)` of a
/// forward one alone; for the last state, the same of `h→` at the last and `h←` at the first token.
///
/// ```text
/// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
/// n = tanh(W_in x + b_in + r (W_hn h + b_hn))      h' = (1 − z) n + z h
/// ```
/// Padded tokens leave the state as it is, so the backward direction starts at the last valid
/// token; their output vectors are 0, and so is everything of a caption without tokens.
///
/// # Shapes
/// - input: token ids `[n, t]`; output: `[n, t, dim]` with the tokens' mask, or `[n, 1, dim]`
/// # Panics
/// If a token is valid after one that is not.
/// # Source
/// Cho et al., EMNLP 2014. Words of both directions: SGRAF, code read at
/// XLearning-SCU/2021-NeurIPS-NCR@60256ba, `EncoderText` (golden `u01_sgraf_text_encoder`). The
/// last state of one direction: Faghri et al., BMVC 2018, code read at fartashf/vsepp@dae4e1c,
/// `EncoderText` (golden `u06_vsepp_encoders`).
///
/// Deviation from VSE++ and VSRN: (1) l2 divides by `‖h‖ + 1e-8` where they divide by `‖h‖`, so a
/// caption without tokens is 0 and not NaN.
#[derive(Module, Debug)]
pub struct Gru {
    embed: Param<Tensor<2>>,
    forward: GruLayer,
    backward: Option<GruLayer>,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    output: GruOutput,
}

impl GruConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Gru> {
        let InputShape::Tokens(vocabulary) = shape else {
            return Err(Error::argument(
                "backbone `gru` reads token ids, the data has feature vectors",
                "use `mlp` or `region_linear` for features, or decline caption features",
            ));
        };
        if self.word_dim == 0 || self.dim == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `gru` cannot have word_dim = {}, dim = {}, dropout = {}",
                    self.word_dim, self.dim, self.dropout
                ),
                "widths are at least 1 and dropout is in [0, 1)",
            ));
        }
        Ok(Gru {
            embed: init.uniform([vocabulary, self.word_dim], 0.1),
            forward: GruLayer::new(init, self.word_dim, self.dim),
            backward: match self.directions {
                GruDirections::Both => Some(GruLayer::new(init, self.word_dim, self.dim)),
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
        let words = kernel::embedding(self.embed.val(), ids.clone());
        let states = match self.output {
            GruOutput::Words => States::EveryToken,
            GruOutput::Last => States::Last,
        };
        let words = mode.dropout(words, self.dropout);
        let values = (self.forward).run(self.backward.as_ref(), words, &lengths(mask), states);
        Encoding::new(
            unit_length(values),
            match self.output {
                GruOutput::Words => Some(mask.clone()),
                GruOutput::Last => None,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use crate::numbers::floats;
    use crate::parameters;
    use burn::tensor::{Device, Int, TensorData};
    use truepair_core::rng::Seed;

    const DIM: usize = 6;

    fn config(directions: GruDirections, output: GruOutput) -> GruConfig {
        GruConfig {
            word_dim: 5,
            dim: DIM,
            dropout: 0.0,
            directions,
            output,
        }
    }

    fn build(config: &GruConfig) -> Gru {
        let device = Device::flex().autodiff();
        let mut init = Init::new(Seed(1).stream("init", &[]), device, Precision::F32);
        config.build(InputShape::Tokens(9), &mut init).unwrap()
    }

    /// Captions of these ids; 0 is padding.
    fn captions<const N: usize>(ids: [[i64; 3]; N]) -> Input {
        let device = Device::flex().autodiff();
        let ids = ids.concat();
        let mask: Vec<f32> = ids.iter().map(|&id| f32::from(id != 0)).collect();
        Input::Tokens {
            ids: Tensor::<2, Int>::from_data(TensorData::new(ids, [N, 3]), &device),
            mask: Tensor::from_data(TensorData::new(mask, [N, 3]), &device),
        }
    }

    const EVERY: [(GruDirections, GruOutput); 4] = [
        (GruDirections::Both, GruOutput::Words),
        (GruDirections::Both, GruOutput::Last),
        (GruDirections::Forward, GruOutput::Words),
        (GruDirections::Forward, GruOutput::Last),
    ];

    #[test]
    fn captions_without_tokens_are_zero_with_finite_gradients() {
        for (directions, output) in EVERY {
            let gru = build(&config(directions, output));
            let input = captions([[0, 0, 0], [4, 2, 0], [0, 0, 0]]);
            let encoded = gru.encode(&input, &mut Mode::Evaluate).values;
            let rows = encoded.dims()[1];
            let tape = encoded.clone().sum().backward();
            let values = floats(encoded);
            for (caption, values) in values.chunks_exact(rows * DIM).enumerate() {
                let zero = values.iter().all(|&x| x == 0.0);
                assert_eq!(zero, caption != 1, "{directions:?} {output:?}: {values:?}");
            }
            for weight in [&gru.embed, &gru.forward.weight_ih, &gru.forward.weight_hh] {
                let gradient = floats(weight.val().grad(&tape).unwrap());
                assert!(gradient.iter().all(|g| g.is_finite()));
                assert!(gradient.iter().any(|&g| g != 0.0));
            }
        }
    }

    #[test]
    fn the_last_state_of_one_direction_is_that_of_the_last_word() {
        let input = captions([[4, 2, 0], [3, 1, 7]]);
        let encode = |output| {
            let gru = build(&config(GruDirections::Forward, output));
            let encoding = gru.encode(&input, &mut Mode::Evaluate);
            assert_eq!(encoding.mask.is_some(), output == GruOutput::Words);
            floats(encoding.values)
        };
        let (words, last) = (encode(GruOutput::Words), encode(GruOutput::Last));
        assert_eq!(last[..DIM], words[DIM..2 * DIM]);
        assert_eq!(last[DIM..], words[5 * DIM..]);
        assert!(words[2 * DIM..3 * DIM].iter().all(|&x| x == 0.0));
    }

    #[test]
    fn parameters_are_named_by_direction() {
        let names = |directions| parameters::names(&build(&config(directions, GruOutput::Words)));
        let both = names(GruDirections::Both);
        assert_eq!(both.len(), 9);
        assert_eq!(both[0], "embed");
        assert_eq!(both[1], "forward.weight_ih");
        assert_eq!(both[8], "backward.bias_hh");
        assert_eq!(names(GruDirections::Forward), both[..5]);
    }

    #[test]
    fn settings_are_words() {
        let json = serde_json::json!({ "directions": "forward", "output": "last" });
        let read: GruConfig = serde_json::from_value(json).unwrap();
        assert_eq!(read.directions, GruDirections::Forward);
        assert_eq!(read.output, GruOutput::Last);
    }
}
