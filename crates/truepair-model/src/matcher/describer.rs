//! Writing each image's caption from its regions: an auxiliary loss, not a way to score.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use crate::encoding::{Input, Regions};
use crate::kernel::{self, States};
use crate::layer::{GruLayer, Init, Linear, Mode};

/// Settings of [`Describer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DescriberConfig {
    /// Width of a token's embedding.
    pub word_dim: usize,
    /// Width of both GRUs' states and of the attention.
    pub hidden: usize,
    /// Share of values dropped while training before the second GRU and after the projection of
    /// regions, [0, 1).
    pub dropout: f64,
    /// Longest caption in tokens, markers included; longer ones are cut.
    pub max_tokens: usize,
    /// Factor of the loss beside that of the scores, at least 0.
    pub weight: f64,
}

impl Default for DescriberConfig {
    fn default() -> Self {
        Self {
            word_dim: 300,
            hidden: 512,
            dropout: 0.2,
            max_tokens: 60,
            weight: 1.0,
        }
    }
}

/// A caption written token by token, each from the true ones before it:
///
/// ```text
/// eᵣ = GRU(W yᵣ + b)ᵣ over the regions      h₀ = last state
/// aₜᵣ = softmaxᵣ(u · tanh(W_e eᵣ + W_h hₜ + b_a))
/// hₜ₊₁ = GRU([word embedding of token t; Σᵣ aₜᵣ eᵣ], hₜ)
/// log P(token t + 1) = log softmax(W_o hₜ₊₁ + b_o)
/// loss = −weight / n · Σ log P(token t + 1) over the valid tokens of the batch
/// ```
/// Empty places of an image take no part in the first GRU and in the attention.
///
/// # Shapes
/// - regions `[n, r, d]`, tokens `[n, t]`; log probabilities `[n, t − 1, vocabulary]`, loss `[1]`
/// # Source
/// Venugopalan et al., ICCV 2015; as the caption branch of VSRN (Li et al., ICCV 2019), code read
/// at KunpengLi1994/VSRN@777ae74, `EncoderRNN`, `DecoderRNN` and `LanguageModelCriterion`. Golden
/// `u07_vsrn_caption`.
/// # Deviations
/// 1. The source lists these weights twice for the optimizer, so that they count twice in the
///    gradient's norm; here they count once.
/// 2. The source never switches this part to evaluation; nothing reads it there.
/// 3. Steps end with the longest caption of the batch instead of after `max_tokens`; only dropout's
///    draws differ.
#[derive(Module, Debug)]
pub struct Describer {
    project: Linear,
    encoder: GruLayer,
    /// `[vocabulary, word_dim]`.
    embed: Param<Tensor<2>>,
    /// `[W_e, W_h]` and `b_a`.
    attention: Linear,
    /// `u`, `[1, hidden]`.
    attention_score: Param<Tensor<2>>,
    decoder: GruLayer,
    out: Linear,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    max_tokens: usize,
    #[module(skip)]
    weight: f64,
}

impl DescriberConfig {
    /// Builds the describer for regions of width `d` and token ids below `vocabulary`.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn build(&self, d: usize, vocabulary: usize, init: &mut Init) -> Result<Describer> {
        let in_range = self.word_dim > 0
            && self.hidden > 0
            && (0.0..1.0).contains(&self.dropout)
            && self.max_tokens >= 2
            && self.weight >= 0.0
            && self.weight.is_finite();
        if !in_range {
            return Err(Error::argument(
                format!(
                    "the describer cannot have word_dim = {}, hidden = {}, dropout = {}, \
                     max_tokens = {}, weight = {}",
                    self.word_dim, self.hidden, self.dropout, self.max_tokens, self.weight
                ),
                "widths are at least 1, dropout is in [0, 1), max_tokens is at least 2 and weight \
                 is at least 0",
            ));
        }
        let hidden = self.hidden;
        Ok(Describer {
            project: xavier_normal(init, d, hidden),
            encoder: GruLayer::new(init, hidden, hidden),
            embed: init.normal([vocabulary, self.word_dim], 1.0),
            attention: Linear::new(init, 2 * hidden, hidden),
            attention_score: init.uniform([1, hidden], 1.0 / (hidden as f64).sqrt()),
            decoder: GruLayer::new(init, self.word_dim + hidden, hidden),
            out: xavier_normal(init, hidden, vocabulary),
            dropout: self.dropout,
            max_tokens: self.max_tokens,
            weight: self.weight,
        })
    }
}

/// Weights normal with variance `2 / (in + out)`, the bias as in [`Linear::new`].
fn xavier_normal(init: &mut Init, d_in: usize, d_out: usize) -> Linear {
    let deviation = (2.0 / (d_in + d_out) as f64).sqrt();
    let mut layer = Linear::new(init, d_in, d_out);
    layer.weight = init.normal([d_out, d_in], deviation);
    layer
}

impl Describer {
    /// The weighted loss of writing caption `i` from the regions of image `i`, `[1]`.
    ///
    /// # Panics
    /// If the captions are no tokens or their number is not that of the images.
    pub fn loss(&self, regions: &Regions, captions: &Input, mode: &mut Mode<'_>) -> Tensor<1> {
        let Input::Tokens { ids, mask } = captions else {
            panic!("a describer was built for tokens")
        };
        let n = ids.dims()[0];
        let t = ids.dims()[1].min(self.max_tokens);
        if t < 2 {
            return Tensor::zeros([1], &regions.values.device());
        }
        let (ids, mask) = (ids.clone().narrow(1, 0, t), mask.clone().narrow(1, 0, t));
        let next = ids.clone().narrow(1, 1, t - 1).unsqueeze_dim(2);
        let found = self.log_probabilities(regions, ids, mode).gather(2, next);
        let counted = found.reshape([n, t - 1]) * mask.narrow(1, 1, t - 1);
        counted.sum() * (-self.weight / n as f64)
    }

    /// Logarithms of the probabilities of every next token, `[n, t − 1, vocabulary]`, given the
    /// true tokens `[n, t]` before it.
    ///
    /// # Panics
    /// If there are fewer than two tokens, or images and captions differ in number.
    pub fn log_probabilities(
        &self,
        regions: &Regions,
        ids: Tensor<2, Int>,
        mode: &mut Mode<'_>,
    ) -> Tensor<3> {
        let [n, t] = ids.dims();
        let encoded = self.encode(regions, mode);
        let mut state = last_states(encoded.clone(), &regions.lengths);
        let hidden = state.dims()[1];
        let attention = Attention::new(self, encoded, &regions.lengths);
        let words = self.embed.val().select(0, ids.reshape([n * t]));
        let word_dim = words.dims()[1];
        let words: Tensor<3> = words.reshape([n, t, word_dim]);
        let mut states: Vec<Tensor<3>> = Vec::with_capacity(t - 1);
        for step in 0..t - 1 {
            let word = words.clone().narrow(1, step, 1).reshape([n, word_dim]);
            let seen = attention.of(&state);
            let input = mode.dropout(Tensor::cat(vec![word, seen], 1), self.dropout);
            state = self.decoder.step(input, state);
            states.push(state.clone().unsqueeze_dim(1));
        }
        let states = Tensor::cat(states, 1).reshape([n * (t - 1), hidden]);
        let log_probabilities = log_softmax(self.out.forward(states), 1);
        let vocabulary = log_probabilities.dims()[1];
        log_probabilities.reshape([n, t - 1, vocabulary])
    }

    /// `eᵣ`, `[n, r, hidden]`.
    fn encode(&self, regions: &Regions, mode: &mut Mode<'_>) -> Tensor<3> {
        let projected = self.project.forward_items(regions.values.clone());
        let projected = mode.dropout(projected, self.dropout);
        (self.encoder).run(None, projected, &regions.lengths, States::EveryToken)
    }
}

/// The state `[n, h]` at the last valid vector of every item of `[n, r, h]`.
fn last_states(states: Tensor<3>, lengths: &[usize]) -> Tensor<2> {
    let [n, r, h] = states.dims();
    let rows = lengths.iter().enumerate();
    let rows = rows.map(|(item, length)| (item * r + length.saturating_sub(1)) as i64);
    let rows = TensorData::new(rows.collect::<Vec<_>>(), [n]);
    let rows = Tensor::<1, Int>::from_data(rows, &states.device());
    states.reshape([n * r, h]).select(0, rows)
}

/// The attention over one batch's regions; the regions' part of its layer is computed once.
struct Attention<'a> {
    /// `eᵣ`, `[n, r, hidden]`.
    encoded: Tensor<3>,
    /// `W_e eᵣ + b_a`, `[n, r, hidden]`.
    keys: Tensor<3>,
    /// `W_hᵀ`, `[hidden, hidden]`.
    state_weight: Tensor<2>,
    /// `u`, `[1, hidden]`.
    score: Tensor<2>,
    lengths: &'a [usize],
}

impl<'a> Attention<'a> {
    fn new(describer: &Describer, encoded: Tensor<3>, lengths: &'a [usize]) -> Self {
        let [n, r, hidden] = encoded.dims();
        let weight = describer.attention.weight.val();
        let rows = encoded.clone().reshape([n * r, hidden]);
        let keys = kernel::linear(
            rows,
            weight.clone().narrow(1, 0, hidden),
            describer.attention.bias.val(),
            describer.attention.precision(),
        );
        Self {
            encoded,
            keys: keys.reshape([n, r, hidden]),
            state_weight: weight.narrow(1, hidden, hidden).transpose(),
            score: describer.attention_score.val(),
            lengths,
        }
    }

    /// `Σᵣ aᵣ eᵣ` for states `[n, hidden]`, `[n, hidden]`.
    fn of(&self, state: &Tensor<2>) -> Tensor<2> {
        kernel::additive_attention(
            self.encoded.clone(),
            self.keys.clone(),
            state.clone().matmul(self.state_weight.clone()),
            self.score.clone(),
            self.lengths,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use burn::tensor::Device;
    use truepair_core::rng::{Seed, normal};

    fn loss(r: usize, present: usize, ids: &[i64], max_tokens: usize) -> f32 {
        let device = Device::flex();
        let config = DescriberConfig {
            word_dim: 4,
            hidden: 5,
            max_tokens,
            ..DescriberConfig::default()
        };
        let mut init = Init::new(Seed(1).stream("init", &[]), device.clone(), Precision::F32);
        let describer = config.build(3, 9, &mut init).unwrap();
        let mut rng = Seed(2).stream("regions", &[]);
        let values: Vec<f32> = (0..r * 3).map(|_| normal(&mut rng) as f32).collect();
        let t = ids.len();
        let valid: Vec<f32> = ids.iter().map(|&id| f32::from(id != 0)).collect();
        let regions = Regions {
            values: Tensor::from_data(TensorData::new(values, [1, r, 3]), &device),
            lengths: vec![present],
        };
        let captions = Input::Tokens {
            ids: Tensor::from_data(TensorData::new(ids.to_vec(), [1, t]), &device),
            mask: Tensor::from_data(TensorData::new(valid, [1, t]), &device),
        };
        let loss = describer.loss(&regions, &captions, &mut Mode::Evaluate);
        loss.into_data().try_into_vec::<f32>().unwrap()[0]
    }

    #[test]
    fn padding_of_regions_and_of_tokens_changes_nothing() {
        let plain = loss(2, 2, &[1, 5, 2], 60);
        assert!(plain > 0.0);
        assert!((loss(4, 2, &[1, 5, 2, 0, 0], 60) - plain).abs() < 1e-6);
        assert!((loss(2, 2, &[1, 5, 2, 7, 2], 3) - plain).abs() < 1e-6);
        assert_eq!(loss(2, 2, &[1], 60), 0.0);
    }
}
