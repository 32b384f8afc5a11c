//! RONO: discriminative centers, a bounded loss on a shared classifier, and contrast.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};

use super::view::{ItemLoss, LabelMethod, LabelView, column};
use super::{SelfTerm, multimodal_contrastive};
use truepair_model::encoding::unit_length_along;

/// Settings of `rono`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RonoConfig {
    /// Divides the losses of the centers.
    pub scale: f64,
    /// Margin between the own center and the mean of all.
    pub margin: f64,
    /// Epochs over which the second loss of the centers replaces the first.
    pub warm_up: usize,
    /// Weight of the bounded loss of the classifier.
    pub classifier: f64,
    /// Temperature of the contrast.
    pub contrastive_temperature: f64,
}

impl Default for RonoConfig {
    fn default() -> Self {
        Self {
            scale: 0.05,
            margin: 0.3,
            warm_up: 25,
            classifier: 5.0,
            contrastive_temperature: 0.22,
        }
    }
}

impl LabelMethod for RonoConfig {
    /// The sum of three losses, with centers `cₖ` of length 1, their mean `c̄` and `K` classes:
    ///
    /// ```text
    /// centers     (1 − v) [e(c̄ · z) − e((K + 1)/K · c_y · z)] / a − v |e(c̄ · z) − e(c_y · z) + α| / a
    ///             v = min(epoch / (warm-up − 1), 1)
    /// classifier  w (1 − softmax(A z + b)_y)
    /// contrast    the multimodal contrastive loss without self term
    /// ```
    /// The first two are summed over the modalities.
    ///
    /// # Source
    /// Feng et al., CVPR 2023. Equations as in sxfly99/RONO@0580fdf.
    ///
    /// # Deviations
    /// 1. Modalities are vectors here, images and point clouds there, and the sum over them is
    ///    reconstructed.
    /// 2. One optimizer moves everything; the released code has one for each part, with equal rates.
    fn item_loss(&self, view: &LabelView<'_>) -> ItemLoss {
        let head = view.head.expect("`rono` is built with a classifier");
        let [_, k] = view.centers.dims();
        let centers = unit_length_along(view.centers.clone(), 0);
        let mean = centers.clone().mean_dim(1);
        let share = match self.warm_up {
            0 | 1 => 1.0,
            epochs => (view.epoch as f64 / (epochs - 1) as f64).min(1.0),
        };
        let mut loss = multimodal_contrastive(
            view.embeddings,
            self.contrastive_temperature,
            SelfTerm::Excluded,
        );
        for (embedding, target) in view.embeddings.iter().zip(view.targets) {
            let middle = embedding.clone().matmul(mean.clone()).exp();
            let own = (embedding.clone().matmul(centers.clone()) * target.clone()).sum_dim(1);
            let wider = (own.clone() * ((k as f64 + 1.0) / k as f64)).exp();
            let first = (middle.clone() - wider) / self.scale;
            let second = (middle - own.exp() + self.margin).abs() / -self.scale;
            let predicted: Tensor<2> = softmax(head.forward(embedding.clone()), 1);
            let missed = (predicted * target.clone()).sum_dim(1).neg() + 1.0;
            let terms = first * (1.0 - share) + second * share + missed * self.classifier;
            loss = loss + column(terms);
        }
        ItemLoss(loss)
    }

    fn scales(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("scale", self.scale),
            ("contrastive_temperature", self.contrastive_temperature),
        ]
    }
}
