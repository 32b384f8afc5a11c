//! Both heads of SGRAF in one model.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Result;

use super::saf::{AttentionNorm, Saf, SafConfig};
use super::sgr::{Sgr, SgrConfig};
use crate::encoding::Encoding;
use crate::layer::{Init, Mode};
use crate::similarity::{Head, Space};

/// Settings of [`Sgraf`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgrafConfig {
    /// Width of a similarity node.
    pub sim_dim: usize,
    /// Reasoning steps of the SGR head, at least 1.
    pub steps: usize,
    /// Inverse temperature of the words' attention over regions.
    pub smooth: f64,
    /// Share of values dropped in the global vectors while training, [0, 1).
    pub dropout: f64,
    /// Whose statistics normalize the SAF head's attention while training.
    pub attention_norm: AttentionNorm,
}

impl Default for SgrafConfig {
    fn default() -> Self {
        let (sgr, saf) = (SgrConfig::default(), SafConfig::default());
        Self {
            sim_dim: sgr.sim_dim,
            steps: sgr.steps,
            smooth: sgr.smooth,
            dropout: sgr.dropout,
            attention_norm: saf.attention_norm,
        }
    }
}

/// `S(I, T) = (S_SGR(I, T) + S_SAF(I, T)) / 2`, in (0, 1), of two whole heads on the same encodings.
///
/// # Shapes
/// - `images`: `[n_images, r, d]`, `captions`: `[n_captions, t, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Diao et al., AAAI 2021; Paranioar/SGRAF@50d0c6f, `EncoderSimilarity` and `evaluation.py`.
/// # Deviations
/// 1. The published SGRAF averages the scores of two models that were trained on their own; here
///    both heads learn together on shared backbones, from one loss. They share no weight.
/// 2. Those of [`Sgr`] and [`Saf`].
#[derive(Module, Debug)]
pub struct Sgraf {
    sgr: Sgr,
    saf: Saf,
}

impl SgrafConfig {
    pub(in crate::similarity) fn build(&self, space: Space, init: &mut Init) -> Result<Sgraf> {
        let sgr = SgrConfig {
            sim_dim: self.sim_dim,
            steps: self.steps,
            smooth: self.smooth,
            dropout: self.dropout,
        };
        let saf = SafConfig {
            sim_dim: self.sim_dim,
            smooth: self.smooth,
            dropout: self.dropout,
            attention_norm: self.attention_norm,
        };
        Ok(Sgraf {
            sgr: sgr.build(space, init)?,
            saf: saf.build(space, init)?,
        })
    }
}

impl Head for Sgraf {
    fn scores(&self, images: &Encoding, captions: &Encoding, mode: &mut Mode<'_>) -> Tensor<2> {
        let sgr = self.sgr.scores(images, captions, mode);
        (sgr + self.saf.scores(images, captions, mode)) / 2.0
    }

    fn pair_bytes(&self, images: &Encoding, captions: &Encoding) -> usize {
        self.sgr.pair_bytes(images, captions)
    }
}
