//! Several embeddings of a caption from its words: the text side of PVSE.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input, lengths, unit_length};
use crate::kernel;
use crate::layer::{BackwardState, Init, Mode, PieNet, Sentence};

/// Settings of [`GruPie`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GruPieConfig {
    /// Width of a token's embedding.
    pub word_dim: usize,
    /// Width of the joint space; even.
    pub dim: usize,
    /// Embeddings a caption.
    pub embeddings: usize,
    /// Share of values dropped while training, of words and of residuals, [0, 1).
    pub dropout: f64,
    /// Where the backward direction is read.
    pub backward: BackwardState,
}

impl Default for GruPieConfig {
    fn default() -> Self {
        Self {
            word_dim: 300,
            dim: 1024,
            embeddings: 2,
            dropout: 0.0,
            backward: BackwardState::Final,
        }
    }
}

/// `tₖ = l2(PIE([h→; h←], words)ₖ)`: `k` embeddings from the states of a GRU in both directions and
/// what `k` heads attend to among the words.
///
/// # Shapes
/// - input: token ids `[n, t]`; output: `[n, k, dim]` with residuals, every vector of length 1
/// # Panics
/// If a token is valid after one that is not.
/// # Source
/// Song and Soleymani, CVPR 2019 (PVSE). Code read at yalesong/pvse@874aa16, `EncoderText`. Golden
/// `u08_pvse_text`.
/// # Deviations
/// 1. Words start uniform in ±0.1; the source starts from GloVe.
/// 2. Dropout acts on words and residuals, not on the GRU's output.
#[derive(Module, Debug)]
pub struct GruPie {
    /// `[vocabulary, word_dim]`.
    embed: Param<Tensor<2>>,
    sentence: Sentence,
    pie: PieNet,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    backward: BackwardState,
}

impl GruPieConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<GruPie> {
        let InputShape::Tokens(vocabulary) = shape else {
            return Err(Error::argument(
                "backbone `gru_pie` reads token ids, the data has feature vectors",
                "use `pie` for features, or decline caption features",
            ));
        };
        let widths = [self.word_dim, self.dim, self.embeddings];
        let even = self.dim.is_multiple_of(2);
        if widths.contains(&0) || !even || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `gru_pie` cannot have word_dim = {}, dim = {}, embeddings = {}, \
                     dropout = {}",
                    self.word_dim, self.dim, self.embeddings, self.dropout
                ),
                "widths are at least 1, dim is even, and dropout is in [0, 1)",
            ));
        }
        Ok(GruPie {
            embed: init.uniform([vocabulary, self.word_dim], 0.1),
            sentence: Sentence::new(init, self.word_dim, self.dim),
            pie: PieNet::new(init, self.word_dim, self.dim, self.embeddings, self.dropout),
            dropout: self.dropout,
            backward: self.backward,
        })
    }
}

impl GruPie {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Tokens { ids, mask } = input else {
            panic!("`gru_pie` was built for tokens")
        };
        let words = kernel::embedding(self.embed.val(), ids.clone());
        let words = mode.dropout(words, self.dropout);
        let global = self.sentence.read(&words, &lengths(mask), self.backward);
        let (embeddings, residuals) = self.pie.forward(global, &words, Some(mask), mode);
        Encoding {
            residuals: Some(residuals),
            ..Encoding::new(unit_length(embeddings), None)
        }
    }
}
