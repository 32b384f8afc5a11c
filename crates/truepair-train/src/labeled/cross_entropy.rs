//! Cross-entropy on the class centers, alone or with MRL's contrast: what MRL is compared with.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

use super::view::{ItemLoss, LabelMethod, LabelView, column};
use super::{SelfTerm, multimodal_contrastive};

/// Settings of `cross-entropy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropyConfig {
    /// Share of cross-entropy, [0, 1]; the rest is contrast between modalities.
    pub beta: f64,
    /// Divides the similarities to the class centers.
    pub temperature: f64,
    /// Temperature of the contrast.
    pub contrastive_temperature: f64,
    /// Whether an embedding is contrasted with itself.
    pub self_term: SelfTerm,
}

impl Default for CrossEntropyConfig {
    fn default() -> Self {
        Self {
            beta: 1.0,
            temperature: 0.2,
            contrastive_temperature: 0.2,
            self_term: SelfTerm::Excluded,
        }
    }
}

impl LabelMethod for CrossEntropyConfig {
    /// `−β Σₐ log softmax(cₖ · zₐ / τ)` at the label `+ (1 − β) multimodal contrast`.
    ///
    /// # Source
    /// `--loss CE` of penghu-cs/MRL@e0f5c8f; with β = 1 the deep-SM row of Hu et al., CVPR 2021.
    /// Golden `u11_mrl_loss_2view`, `u11_mrl_loss_3view` (`out.ce`, `out.mc`).
    ///
    /// # Deviations
    /// 1. β is 1 unless it is set: cross-entropy alone. The released program's β is that of MRL, so
    ///    its contrast counts there, too.
    /// 2. Temperatures are those of `mrl` unless they are set; they are 1 in the paper.
    fn item_loss(&self, view: &LabelView<'_>) -> ItemLoss {
        let b = view.embeddings[0].dims()[0];
        let mut loss = Tensor::zeros([b], &view.embeddings[0].device());
        for (embedding, target) in view.embeddings.iter().zip(view.targets) {
            let logits = embedding.clone().matmul(view.centers.clone()) / self.temperature;
            let log = log_softmax(logits, 1) * target.clone();
            loss = loss - column(log.sum_dim(1));
        }
        if self.beta == 1.0 {
            return ItemLoss(loss);
        }
        let contrast = multimodal_contrastive(
            view.embeddings,
            self.contrastive_temperature,
            self.self_term,
        );
        ItemLoss(loss * self.beta + contrast * (1.0 - self.beta))
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
