//! MRL: robust clustering around class centers, with contrast between modalities.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::view::{ItemLoss, LabelMethod, LabelView};
use super::{SelfTerm, multimodal_contrastive, robust_clustering};

/// Settings of `mrl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MrlConfig {
    /// Share of robust clustering, [0, 1]; the rest is contrast.
    pub beta: f64,
    /// Temperature of robust clustering.
    pub temperature: f64,
    /// Temperature of the contrast.
    pub contrastive_temperature: f64,
    /// Whether an embedding is contrasted with itself.
    pub self_term: SelfTerm,
}

impl Default for MrlConfig {
    fn default() -> Self {
        Self {
            beta: 0.7,
            temperature: 0.2,
            contrastive_temperature: 0.2,
            self_term: SelfTerm::Excluded,
        }
    }
}

impl LabelMethod for MrlConfig {
    /// `β Σₐ robust clustering + (1 − β) multimodal contrast`; the centers are columns of length 1.
    ///
    /// # Source
    /// Hu et al., CVPR 2021. Code read at penghu-cs/MRL@e0f5c8f. Golden `u11_mrl_loss_2view`,
    /// `u11_mrl_loss_3view`, `u11_mrl_network`.
    ///
    /// # Deviations
    /// 1. `self_term = "excluded"` is the released code, `"included"` the paper, Eq. (6), with any
    ///    number of modalities; the two differ in every value.
    /// 2. The released program minimizes cross-entropy with the same contrast unless it is told
    ///    otherwise; that is `cross-entropy` with `beta` below 1.
    /// 3. Temperatures are 0.2 unless they are set; they are 1 in the paper. With 1 the softmax of unit
    ///    vectors is nearly flat, and with many classes learning takes many more epochs.
    fn item_loss(&self, view: &LabelView<'_>) -> ItemLoss {
        let b = view.embeddings[0].dims()[0];
        let mut clustering = Tensor::zeros([b], &view.embeddings[0].device());
        for (embedding, target) in view.embeddings.iter().zip(view.targets) {
            let one = robust_clustering(embedding, &view.centers, target, self.temperature);
            clustering = clustering + one;
        }
        let contrast = multimodal_contrastive(
            view.embeddings,
            self.contrastive_temperature,
            self.self_term,
        );
        ItemLoss(clustering * self.beta + contrast * (1.0 - self.beta))
    }

    fn scales(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("temperature", self.temperature),
            ("contrastive_temperature", self.contrastive_temperature),
        ]
    }

    fn beta(&self) -> Option<f64> {
        Some(self.beta)
    }
}
