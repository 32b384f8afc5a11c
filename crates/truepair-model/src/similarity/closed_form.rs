//! The expected squared distance of two Gaussians' draws, without drawing: the score of PCME++.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::{Head, Points, Role, Space};
use crate::encoding::Encoding;
use crate::kernel::{Precision, inner_products};
use crate::layer::{Init, Mode};
use crate::numbers::floats;

/// Settings of [`ClosedForm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClosedFormConfig {
    /// Which distance.
    pub distance: ClosedDistance,
    /// What `a` starts from, above 0; learned.
    pub scale: f64,
    /// What `b` starts from; learned.
    pub shift: f64,
}

/// A distance of two Gaussians in closed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClosedDistance {
    /// `‖μ − μ'‖² + Σ σ² + Σ σ'²`: the expected squared distance of independent draws.
    Sampled,
    /// `‖μ − μ'‖² + Σ (σ − σ')²`: the squared 2-Wasserstein distance.
    Wasserstein,
}

impl Default for ClosedFormConfig {
    fn default() -> Self {
        Self {
            distance: ClosedDistance::Sampled,
            scale: 5.0,
            shift: 5.0,
        }
    }
}

/// `S(I, T) = −a δ + b` with a distance `δ` of [`ClosedDistance`]; `σ(S)` is the match probability.
/// `a` and `b` are learned.
///
/// # Shapes
/// - means `[n, 1, d]` with log σ `[n, d]` on either side; returns `[n_images, n_captions]`
/// # Source
/// Chun, ICLR 2024 (PCME++), code read at naver-ai/pcmepp@8829c0d, `ClosedFormSampledDistanceLoss`,
/// where the tensor named `std` is `log σ²`. Golden `u09_pcmepp_loss`.
#[derive(Module, Debug)]
pub struct ClosedForm {
    /// `a`, `[1]`.
    pub scale: Param<Tensor<1>>,
    /// `b`, `[1]`.
    pub shift: Param<Tensor<1>>,
    #[module(skip)]
    distance: ClosedDistance,
    #[module(skip)]
    precision: Precision,
}

impl ClosedFormConfig {
    pub(super) fn build(&self, _space: Space, init: &mut Init) -> Result<ClosedForm> {
        if !(self.scale > 0.0 && self.shift.is_finite()) {
            return Err(Error::argument(
                format!(
                    "similarity `closed_form` cannot have scale = {}, shift = {}",
                    self.scale, self.shift
                ),
                "the scale is above 0 and the shift finite",
            ));
        }
        Ok(ClosedForm {
            scale: init.filled([1], self.scale),
            shift: init.filled([1], self.shift),
            distance: self.distance,
            precision: init.precision(),
        })
    }
}

impl Head for ClosedForm {
    fn scores(&self, images: &Encoding, captions: &Encoding, _mode: &mut Mode<'_>) -> Tensor<2> {
        let mean = square_distances(images.pooled(), captions.pooled(), self.precision);
        let deviation = |items: &Encoding| items.log_deviation().exp();
        let spread = match self.distance {
            ClosedDistance::Sampled => {
                let [images, captions] =
                    [images, captions].map(|items| deviation(items).square().sum_dim(1));
                images + captions.transpose()
            }
            ClosedDistance::Wasserstein => {
                square_distances(deviation(images), deviation(captions), self.precision)
            }
        };
        (mean + spread) * self.scale.val().neg().unsqueeze() + self.shift.val().unsqueeze()
    }

    /// `a δ` is a squared distance: with the found item's total deviation `√(a Σσ²)` as one more coordinate, which
    /// is 0 where an item asks, or with all its deviations. What only the asking item adds is its offset.
    fn points(&self, items: &Encoding, role: Role) -> Option<Points> {
        let scale = floats(self.scale.val())[0];
        if scale <= 0.0 {
            return None;
        }
        let means = items.pooled() * scale.sqrt();
        let deviations = items.log_deviation().exp() * scale.sqrt();
        let shift = self.shift.val().unsqueeze::<2>();
        let [n, _] = means.dims();
        let device = means.device();
        let total = deviations.clone().square().sum_dim(1);
        let variances = total.clone().reshape([n]);
        let (others, offsets) = match (self.distance, role) {
            (ClosedDistance::Wasserstein, _) => (deviations, shift.repeat_dim(0, n)),
            (ClosedDistance::Sampled, Role::Found) => (total.sqrt(), shift.repeat_dim(0, n)),
            (ClosedDistance::Sampled, Role::Asking) => {
                (Tensor::zeros([n, 1], &device), shift - total)
            }
        };
        Some(Points {
            places: Tensor::cat(vec![means, others], 1),
            offsets: match role {
                Role::Found => Tensor::zeros([n], &device),
                Role::Asking => offsets.reshape([n]),
            },
            variances,
        })
    }

    fn pair_bytes(&self, _images: &Encoding, _captions: &Encoding) -> usize {
        // Inner products, the two sums and the scores.
        4 * size_of::<f32>()
    }
}

/// `‖xᵢ − yⱼ‖²` of `[n, d]` and `[m, d]`, `[n, m]`.
pub(super) fn square_distances(x: Tensor<2>, y: Tensor<2>, precision: Precision) -> Tensor<2> {
    let lengths = |rows: &Tensor<2>| rows.clone().square().sum_dim(1);
    let sums = lengths(&x) + lengths(&y).transpose();
    sums - inner_products(x, y, precision) * 2.0
}
