//! The best of all pairs of embeddings: the score of items with several meanings.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Result;

use super::{Head, Space};
use crate::encoding::{Encoding, unit_length};
use crate::kernel::{Precision, inner_products};
use crate::layer::{Init, Mode};

/// [`MultipleInstance`] has no settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultipleInstanceConfig {}

/// `S(I, T) = max_{k,l} l2(vₖ) · l2(tₗ)`, in [-1, 1]; −2 for an item without vectors. The first of
/// equal cosines gets the gradient.
///
/// # Shapes
/// - `images`: `[n_images, k, d]`, `captions`: `[n_captions, l, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Song and Soleymani, CVPR 2019 (PVSE), code read at yalesong/pvse@874aa16, `PVSELoss`. Golden
/// `u08_pvse_loss`.
#[derive(Module, Debug)]
pub struct MultipleInstance {
    #[module(skip)]
    precision: Precision,
}

impl MultipleInstanceConfig {
    pub(super) fn build(&self, _space: Space, init: &mut Init) -> Result<MultipleInstance> {
        Ok(MultipleInstance {
            precision: init.precision(),
        })
    }
}

/// Below every cosine.
const ABSENT: f64 = -2.0;

impl Head for MultipleInstance {
    fn scores(&self, images: &Encoding, captions: &Encoding, _mode: &mut Mode<'_>) -> Tensor<2> {
        let ([n, k, d], [m, l, _]) = (images.values.dims(), captions.values.dims());
        let rows =
            |items: &Encoding, count: usize| unit_length(items.values.clone()).reshape([count, d]);
        let cosines = inner_products(rows(images, n * k), rows(captions, m * l), self.precision);
        let cosines = match (&images.mask, &captions.mask) {
            (None, None) => cosines,
            _ => {
                let images = images.mask_or_ones().reshape([n * k, 1]);
                let present = images * captions.mask_or_ones().reshape([1, m * l]);
                cosines * present.clone() + (present.neg() + 1.0) * ABSENT
            }
        };
        let by_image = cosines.reshape([n, k, m * l]).max_dim(1);
        by_image.reshape([n * m, l]).max_dim(1).reshape([n, m])
    }

    fn pair_bytes(&self, images: &Encoding, captions: &Encoding) -> usize {
        // The cosines and their maxima over the image's vectors.
        (images.values.dims()[1] + 1) * captions.values.dims()[1] * size_of::<f32>()
    }

    fn embeddings(&self, items: &Encoding) -> Option<Tensor<2>> {
        // One vector an item is plain cosine.
        match (items.values.dims()[1], &items.mask) {
            (1, None) => Some(unit_length(items.pooled())),
            _ => None,
        }
    }
}
