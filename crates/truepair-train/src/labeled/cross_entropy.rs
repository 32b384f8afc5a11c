//! Plain cross-entropy on the class centers: what MRL is compared with.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

use super::view::{ItemLoss, LabelView, column};

/// Settings of `cross-entropy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropyConfig {
    /// Divides the similarities to the class centers.
    pub temperature: f64,
}

impl Default for CrossEntropyConfig {
    fn default() -> Self {
        Self { temperature: 1.0 }
    }
}

impl CrossEntropyConfig {
    /// `−Σₐ log softmax(cₖ · zₐ / τ)` at the label.
    ///
    /// # Source
    /// `--loss CE` of penghu-cs/MRL@e0f5c8f, the deep-SM row of Hu et al., CVPR 2021. Golden
    /// `u11_mrl_loss_2view`, `u11_mrl_loss_3view` (`out.ce`).
    ///
    /// # Deviations
    /// 1. A temperature other than 1 may be set.
    pub(super) fn item_loss(&self, view: &LabelView<'_>) -> ItemLoss {
        let b = view.embeddings[0].dims()[0];
        let mut loss = Tensor::zeros([b], &view.embeddings[0].device());
        for (embedding, target) in view.embeddings.iter().zip(view.targets) {
            let logits = embedding.clone().matmul(view.centers.clone()) / self.temperature;
            let log = log_softmax(logits, 1) * target.clone();
            loss = loss - column(log.sum_dim(1));
        }
        ItemLoss(loss)
    }
}
