//! A Gaussian a caption from its words: the text side of PCME.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::{Deviation, InputShape};
use crate::encoding::{Encoding, Input, lengths, unit_length};
use crate::kernel;
use crate::layer::{BackwardState, Init, Linear, LocalAttention, Mode, PieNet, Sentence};

/// Settings of [`GruPcme`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GruPcmeConfig {
    /// Width of a token's embedding.
    pub word_dim: usize,
    /// Width of the joint space; even.
    pub dim: usize,
    /// Share of values dropped while training, of words and of the mean's residual, [0, 1).
    pub dropout: f64,
    /// Where the backward direction is read; published: `last-token`.
    pub backward: BackwardState,
    /// Where log σ starts and what it is clipped to.
    pub deviation: Deviation,
}

impl Default for GruPcmeConfig {
    fn default() -> Self {
        Self {
            word_dim: 300,
            dim: 1024,
            dropout: 0.0,
            backward: BackwardState::Final,
            deviation: Deviation::default(),
        }
    }
}

/// Mean and deviation of a caption's Gaussian:
///
/// ```text
/// μ = l2(PIE([h→; h←], words))      log σ = [h'→; h'←] + W LocalAttention(words) + b
/// ```
/// The deviation's branch has a GRU of its own.
///
/// # Shapes
/// - input: token ids `[n, t]`; output: means `[n, 1, dim]` of length 1 with log σ `[n, dim]`
/// # Panics
/// If a token is valid after one that is not.
/// # Source
/// Chun et al., CVPR 2021 (PCME). Code read at naver-ai/pcme@4947684, `EncoderText`,
/// `UncertaintyModuleText`. Golden `u09_pcme_text`.
/// # Deviations
/// 1. The backward direction is read after its last step; the released code reads it at the last
///    token, where it has seen one word: `backward = "last-token"`.
/// 2. Words start uniform in ±0.1; the source starts from GloVe.
/// 3. log σ is clipped to [`Deviation`]'s range and starts from `start`; published: 0.
#[derive(Module, Debug)]
pub struct GruPcme {
    /// `[vocabulary, word_dim]`.
    embed: Param<Tensor<2>>,
    sentence: Sentence,
    pie: PieNet,
    uncertain: UncertainText,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    backward: BackwardState,
    #[module(skip)]
    deviation: Deviation,
}

/// The deviation's branch.
#[derive(Module, Debug)]
struct UncertainText {
    attention: LocalAttention,
    fc: Linear,
    sentence: Sentence,
}

impl GruPcmeConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<GruPcme> {
        let InputShape::Tokens(vocabulary) = shape else {
            return Err(Error::argument(
                "backbone `gru_pcme` reads token ids, the data has feature vectors",
                "use `pcme` for features, or decline caption features",
            ));
        };
        let even = self.dim > 0 && self.dim.is_multiple_of(2);
        if self.word_dim == 0 || !even || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `gru_pcme` cannot have word_dim = {}, dim = {}, dropout = {}",
                    self.word_dim, self.dim, self.dropout
                ),
                "widths are at least 1, dim is even, and dropout is in [0, 1)",
            ));
        }
        self.deviation.check("gru_pcme")?;
        let (w, d) = (self.word_dim, self.dim);
        Ok(GruPcme {
            embed: init.uniform([vocabulary, w], 0.1),
            sentence: Sentence::new(init, w, d),
            pie: PieNet::new(init, w, d, 1, self.dropout),
            uncertain: UncertainText {
                attention: LocalAttention::new(init, w, 1),
                fc: self.deviation.layer(init, w, d),
                sentence: Sentence::new(init, w, d),
            },
            dropout: self.dropout,
            backward: self.backward,
            deviation: self.deviation,
        })
    }
}

impl GruPcme {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Tokens { ids, mask } = input else {
            panic!("`gru_pcme` was built for tokens")
        };
        let words = kernel::embedding(self.embed.val(), ids.clone());
        let words = mode.dropout(words, self.dropout);
        let lengths = lengths(mask);
        let global = self.sentence.read(&words, &lengths, self.backward);
        let (mean, _) = self.pie.forward(global, &words, Some(mask), mode);
        let seen = self.uncertain.attention.forward(&words, Some(mask));
        let local = self.uncertain.fc.forward(seen.squeeze_dim(1));
        let whole = (self.uncertain.sentence).read(&words, &lengths, self.backward);
        Encoding {
            gaussian: Some(self.deviation.clipped(local + whole)),
            ..Encoding::new(unit_length(mean), None)
        }
    }
}
