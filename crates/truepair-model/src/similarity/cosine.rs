//! Cosine of mean-pooled vectors: fast, and the only kind of score an index can search.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Result;

use super::{Head, Space};
use crate::encoding::{Encoding, unit_length};
use crate::kernel::{Precision, inner_products};
use crate::layer::{Init, Mode};

/// [`Cosine`] has no settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosineConfig {}

/// `S(I, T) = l2(mean vᵣ) · l2(mean wₜ)`, in [-1, 1].
///
/// # Shapes
/// - `images`: `[n_images, r, d]`, `captions`: `[n_captions, t, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Faghri et al., BMVC 2018 (VSE++); golden `u06_vsepp_loss`.
#[derive(Module, Debug)]
pub struct Cosine {
    #[module(skip)]
    precision: Precision,
}

impl CosineConfig {
    pub(super) fn build(&self, _space: Space, init: &mut Init) -> Result<Cosine> {
        Ok(Cosine {
            precision: init.precision(),
        })
    }
}

impl Head for Cosine {
    fn scores(&self, images: &Encoding, captions: &Encoding, _mode: &mut Mode<'_>) -> Tensor<2> {
        let (images, captions) = (unit_length(images.pooled()), unit_length(captions.pooled()));
        inner_products(images, captions, self.precision)
    }

    fn pair_bytes(&self, _images: &Encoding, _captions: &Encoding) -> usize {
        size_of::<f32>()
    }

    fn embeddings(&self, items: &Encoding) -> Option<Tensor<2>> {
        Some(unit_length(items.pooled()))
    }
}
