//! One vector for a whole image or caption: attention of its mean over its parts.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{softmax, tanh};

use crate::encoding::{Encoding, unit_length};
use crate::layer::{BatchNorm, Init, Linear, Mode};

/// The whole image from its regions:
///
/// ```text
/// l_r = drop(tanh(BN_slot(W_l v_r + b_l)))      g = drop(tanh(BN(W_g mean_r v_r + b_g)))
/// a = softmax over r of W_a (l_r g) + b_a       v̄ = l2(Σ_r a_r v_r)
/// ```
/// `BN_slot` has one channel a region slot, with statistics over images and all `d` numbers.
///
/// # Shapes
/// - `[n, r, d]` to `[n, d]`, `r` at most the number of slots
/// # Source
/// Diao et al., AAAI 2021; Paranioar/SGRAF@50d0c6f and XLearning-SCU/2021-NeurIPS-NCR@60256ba,
/// `VisualSA` (golden `u01_sgraf_visual_sa`).
/// # Deviations
/// 1. A missing region gets no attention and takes no part in the slot statistics; the source knows
///    only images with all regions.
/// 2. Images with fewer slots than the module use its first ones.
#[derive(Module, Debug)]
pub struct VisualGlobal {
    local: Linear,
    local_norm: BatchNorm,
    global: Linear,
    global_norm: BatchNorm,
    attention: Linear,
    #[module(skip)]
    dropout: f64,
}

/// The whole caption from its words: as [`VisualGlobal`], without batch normalization.
///
/// # Shapes
/// - `[c, t, d]` to `[c, d]`; a caption without words gives 0
/// # Source
/// As [`VisualGlobal`], `TextSA` (golden `u01_sgraf_text_sa`).
#[derive(Module, Debug)]
pub struct TextGlobal {
    local: Linear,
    global: Linear,
    attention: Linear,
    #[module(skip)]
    dropout: f64,
}

impl VisualGlobal {
    /// For `regions` slots of vectors of `dim` numbers; `dropout` in [0, 1).
    pub fn new(init: &mut Init, dim: usize, regions: usize, dropout: f64) -> Self {
        Self {
            local: Linear::xavier(init, dim, dim),
            local_norm: BatchNorm::new(init, regions),
            global: Linear::xavier(init, dim, dim),
            global_norm: BatchNorm::new(init, dim),
            attention: Linear::xavier(init, dim, 1),
            dropout,
        }
    }

    /// `[n, d]`, every vector of length 1 unless it is 0.
    ///
    /// # Panics
    /// If an image has more vectors than the module has slots.
    pub fn forward(&self, images: &Encoding, mode: &mut Mode<'_>) -> Tensor<2> {
        let local = self.local.forward_items(images.values.clone());
        let local = self
            .local_norm
            .forward_slots(local, images.mask.as_ref(), mode);
        let local = mode.dropout(tanh(local), self.dropout);
        let global = self.global.forward(images.pooled());
        let global = self.global_norm.forward(global, mode);
        let global = mode.dropout(tanh(global), self.dropout);
        attend(&self.attention, images, local, global)
    }
}

impl TextGlobal {
    /// For vectors of `dim` numbers; `dropout` in [0, 1).
    pub fn new(init: &mut Init, dim: usize, dropout: f64) -> Self {
        Self {
            local: Linear::xavier(init, dim, dim),
            global: Linear::xavier(init, dim, dim),
            attention: Linear::xavier(init, dim, 1),
            dropout,
        }
    }

    /// `[c, d]`, every vector of length 1 unless it is 0.
    pub fn forward(&self, captions: &Encoding, mode: &mut Mode<'_>) -> Tensor<2> {
        let local = tanh(self.local.forward_items(captions.values.clone()));
        let local = mode.dropout(local, self.dropout);
        let global = tanh(self.global.forward(captions.pooled()));
        let global = mode.dropout(global, self.dropout);
        attend(&self.attention, captions, local, global)
    }
}

/// `l2(Σ a x)` with `a = softmax(W (local · global) + b)` over the vectors that count.
fn attend(layer: &Linear, items: &Encoding, local: Tensor<3>, global: Tensor<2>) -> Tensor<2> {
    let [n, _, d] = items.values.dims();
    let logits = layer.forward_items(local * global.unsqueeze_dim(1));
    let weights = match &items.mask {
        None => softmax(logits, 1),
        Some(mask) => {
            let mask = mask.clone().unsqueeze_dim::<3>(2);
            softmax(logits + (mask.clone() - 1.0) * 1e9, 1) * mask
        }
    };
    unit_length((items.values.clone() * weights).sum_dim(1).reshape([n, d]))
}
