//! What a backbone reads and what it hands to a similarity.

use burn::tensor::{Int, Tensor};

use crate::kernel;
use crate::numbers::floats;

/// A batch of one modality as a backbone reads it.
#[derive(Debug, Clone)]
pub enum Input {
    /// Feature vectors; `r` is 1 for one vector an item.
    Features {
        /// `[n, r, d]`; rows where the mask is 0 are 0.
        values: Tensor<3>,
        /// 1 where a region is there, 0 where an item has fewer than `r`, `[n, r]`; `None` when
        /// every item has `r`.
        mask: Option<Tensor<2>>,
    },
    /// Token ids, 0 where padded.
    Tokens {
        /// Vocabulary indices `[n, t]`.
        ids: Tensor<2, Int>,
        /// 1 where a token is valid, 0 where padded, `[n, t]`.
        mask: Tensor<2>,
    },
}

/// A batch of one modality as a similarity reads it: `m` vectors an item.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// Vectors `[n, m, d]`; rows where the mask is 0 are 0.
    pub values: Tensor<3>,
    /// 1 where a vector counts, `[n, m]`; `None` when all do.
    pub mask: Option<Tensor<2>>,
    /// What the vectors were pooled from, where something reads that too; otherwise `None`.
    pub regions: Option<Regions>,
    /// What several embeddings of an item add to its global vector, `[n, m, d]`, where a backbone
    /// gives several embeddings; otherwise `None`.
    pub residuals: Option<Tensor<3>>,
    /// How uncertain an item is, where the vector `[n, 1, d]` is a mean; otherwise `None`.
    pub gaussian: Option<Gaussian>,
}

/// The other half of Gaussian embeddings with independent dimensions.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `log σ`, `[n, d]`.
    pub log_deviation: Tensor<2>,
    /// Draws from the Gaussians `[n, j, d]`, where a similarity compares draws; otherwise `None`.
    pub samples: Option<Tensor<3>>,
    /// The largest log σ, to which larger ones are clipped; infinite where nothing is.
    pub limit: f64,
}

impl Gaussian {
    /// Gaussians without draws, whose log σ nothing clips.
    pub fn new(log_deviation: Tensor<2>) -> Self {
        Self {
            log_deviation,
            samples: None,
            limit: f64::INFINITY,
        }
    }

    /// The share of log σ that is at its limit, in [0, 1]; 0 where a draw at the limit is less than a hundredth of a
    /// unit from its mean, since deviations are held next to nothing there.
    pub fn at_limit(&self) -> f64 {
        let d = self.log_deviation.dims()[1] as f64;
        if self.limit.is_infinite() || self.limit.exp() * d.sqrt() < 0.01 {
            return 0.0;
        }
        let clipped = self.log_deviation.clone().detach();
        let share = clipped.greater_equal_elem(self.limit).float().mean();
        f64::from(floats(share)[0])
    }
}

/// The regions of a batch of images, after they were related to one another.
#[derive(Debug, Clone)]
pub struct Regions {
    /// `[n, r, d]`: an image's regions come first, then rows of 0.
    pub values: Tensor<3>,
    /// Regions of every image, `n`.
    pub lengths: Vec<usize>,
}

impl Encoding {
    /// Vectors alone.
    pub fn new(values: Tensor<3>, mask: Option<Tensor<2>>) -> Self {
        Self {
            values,
            mask,
            regions: None,
            residuals: None,
            gaussian: None,
        }
    }

    /// `log σ`, `[n, d]`.
    ///
    /// # Panics
    /// If the items are no Gaussians; a matcher is only built of parts that fit.
    pub fn log_deviation(&self) -> Tensor<2> {
        let gaussian = self
            .gaussian
            .as_ref()
            .expect("items of a Gaussian backbone");
        gaussian.log_deviation.clone()
    }

    /// Share of the variance in the mean squared length of an item's draws, `[n]` in [0, 1):
    /// `Σ σ² / (‖μ‖² + Σ σ²)`; `None` without Gaussians.
    pub fn uncertainty(&self) -> Option<Tensor<1>> {
        let gaussian = self.gaussian.as_ref()?;
        let n = gaussian.log_deviation.dims()[0];
        let variance = (gaussian.log_deviation.clone() * 2.0).exp().sum_dim(1);
        let mean = self.pooled().square().sum_dim(1);
        let share = variance.clone() / (mean + variance).clamp_min(1e-30);
        Some(share.reshape([n]))
    }

    /// The mask `[n, m]`, ones when every vector counts.
    pub fn mask_or_ones(&self) -> Tensor<2> {
        let [n, m, _] = self.values.dims();
        (self.mask.clone()).unwrap_or_else(|| Tensor::ones([n, m], &self.values.device()))
    }

    /// One vector an item: the mean of the vectors that count, `[n, d]`.
    pub fn pooled(&self) -> Tensor<2> {
        let [n, m, d] = self.values.dims();
        let total = match m {
            1 => return self.values.clone().reshape([n, d]),
            _ => self.values.clone().sum_dim(1).reshape([n, d]),
        };
        match &self.mask {
            None => total / m as f64,
            Some(mask) => total / mask.clone().sum_dim(1).clamp_min(1.0),
        }
    }
}

/// How alike the items of one modality are: cosines of their mean-pooled encodings, with gradients.
#[derive(Debug, Clone)]
pub struct Structure {
    /// Images against images, `[b, b]` in [-1, 1].
    pub images: Tensor<2>,
    /// Captions against captions, `[b, b]` in [-1, 1].
    pub captions: Tensor<2>,
}

/// Scales vectors along the last axis to length 1 with the guard `x / (‖x‖ + 1e-8)` of the SCAN
/// lineage. The root is taken of at least 1e-30, because its gradient at 0 is not a number.
pub fn unit_length<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    kernel::unit_rows(x)
}

/// [`unit_length`] along another axis.
pub fn unit_length_along<const D: usize>(x: Tensor<D>, axis: usize) -> Tensor<D> {
    let norm = x.clone().square().sum_dim(axis).clamp_min(1e-30).sqrt();
    x / (norm + 1e-8)
}

/// Valid tokens of every item of a mask `[n, t]`.
///
/// # Panics
/// If a token is valid after one that is not.
pub(crate) fn lengths(mask: &Tensor<2>) -> Vec<usize> {
    let [n, t] = mask.dims();
    let mask = floats(mask.clone());
    (0..n)
        .map(|item| {
            let row = &mask[item * t..][..t];
            let length = row.partition_point(|&valid| valid > 0.0);
            let rest = &row[length..];
            assert!(
                rest.iter().all(|&valid| valid <= 0.0),
                "valid tokens come first"
            );
            length
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn deviations_held_next_to_nothing_are_at_no_limit() {
        let of = |limit: f64| {
            let high = limit as f32;
            let log = Tensor::from_data([[high, high - 1.0], [high, high]], &Device::flex());
            let gaussian = Gaussian {
                limit,
                ..Gaussian::new(log)
            };
            gaussian.at_limit()
        };
        assert_eq!((of(2.0), of(-10.0)), (0.75, 0.0));
    }
}
