//! Order violation: how far a caption says more than its image shows.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};
use truepair_core::Result;

use super::{Head, Space};
use crate::encoding::{Encoding, unit_length};
use crate::layer::{Init, Mode};

/// [`Order`] has no settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderConfig {}

/// `S(I, T) = −‖max(0, |t| − |v|)‖`, at most 0; `v` and `t` are mean-pooled vectors of length 1.
///
/// # Shapes
/// - `images`: `[n_images, r, d]`, `captions`: `[n_captions, t, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Vendrov et al., ICLR 2016, as in fartashf/vsepp@dae4e1c, `order_sim` (golden `u06_vsepp_loss`).
/// # Deviations
/// 1. The root is taken of at least 1e-12: at a violation of exactly 0 its gradient is not a number
///    in the released code.
#[derive(Module, Debug)]
pub struct Order {
    #[module(skip)]
    kind: (),
}

impl OrderConfig {
    pub(super) fn build(&self, _space: Space, _init: &mut Init) -> Result<Order> {
        Ok(Order { kind: () })
    }
}

impl Head for Order {
    fn scores(&self, images: &Encoding, captions: &Encoding, _mode: &mut Mode<'_>) -> Tensor<2> {
        let image = unit_length(images.pooled()).abs();
        let caption = unit_length(captions.pooled()).abs();
        let ([n, _], [m, _]) = (image.dims(), caption.dims());
        let above = relu(caption.unsqueeze_dim::<3>(0) - image.unsqueeze_dim::<3>(1));
        above
            .square()
            .sum_dim(2)
            .reshape([n, m])
            .clamp_min(1e-12)
            .sqrt()
            .neg()
    }

    fn pair_bytes(&self, images: &Encoding, _captions: &Encoding) -> usize {
        // The differences, their positive part and its square.
        3 * images.values.dims()[2] * size_of::<f32>()
    }
}
