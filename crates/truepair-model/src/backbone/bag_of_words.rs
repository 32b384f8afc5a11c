//! A bag of token embeddings under a perceptron: texts without an encoder, at the price of word
//! order.
//!
//! It trains some fifty times faster than a recurrent encoder and needs less data, which is what an
//! audit of raw captions wants: its folds are small and its matchers only have to rank.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input};
use crate::layer::{Init, Linear, Mode};

/// Settings of [`BagOfWords`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BagOfWordsConfig {
    /// Width of a token's embedding.
    pub word_dim: usize,
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Width of the joint space.
    pub dim: usize,
    /// Share of values dropped before each layer while training, [0, 1).
    pub dropout: f64,
}

impl Default for BagOfWordsConfig {
    fn default() -> Self {
        Self {
            word_dim: 256,
            hidden: 512,
            dim: 256,
            dropout: 0.2,
        }
    }
}

/// `x = Σₜ eₜ / √T` over the `T` valid tokens, then `W₂ · gelu(W₁ x + b₁) + b₂` with dropout before
/// each layer.
///
/// # Shapes
/// - input: token ids `[n, t]`; output: `[n, 1, dim]`
#[derive(Module, Debug)]
pub struct BagOfWords {
    embed: Param<Tensor<2>>,
    first: Linear,
    second: Linear,
    #[module(skip)]
    dropout: f64,
}

impl BagOfWordsConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<BagOfWords> {
        let InputShape::Tokens(vocabulary) = shape else {
            return Err(Error::argument(
                "backbone `bag_of_words` reads token ids, the data has feature vectors",
                "use `mlp` for features, or decline caption features",
            ));
        };
        let narrowest = self.word_dim.min(self.hidden).min(self.dim);
        if narrowest == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `bag_of_words` cannot have word_dim = {}, hidden = {}, dim = {}, \
                     dropout = {}",
                    self.word_dim, self.hidden, self.dim, self.dropout
                ),
                "widths are at least 1 and dropout is in [0, 1)",
            ));
        }
        Ok(BagOfWords {
            embed: init.normal([vocabulary, self.word_dim], 1.0),
            first: Linear::new(init, self.word_dim, self.hidden),
            second: Linear::new(init, self.hidden, self.dim),
            dropout: self.dropout,
        })
    }
}

impl BagOfWords {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Tokens { ids, mask } = input else {
            panic!("`bag_of_words` was built for tokens")
        };
        let [n, t] = ids.dims();
        let words = self.embed.val().select(0, ids.clone().reshape([n * t]));
        let d = words.dims()[1];
        let counted = words.reshape([n, t, d]) * mask.clone().unsqueeze_dim(2);
        let total = counted.sum_dim(1).reshape([n, d]);
        let bag = total / mask.clone().sum_dim(1).clamp_min(1.0).sqrt();
        let hidden = gelu(self.first.forward(mode.dropout(bag, self.dropout)));
        let values = self.second.forward(mode.dropout(hidden, self.dropout));
        Encoding::new(values.unsqueeze_dim(1), None)
    }
}
