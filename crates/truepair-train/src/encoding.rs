//! What a backbone reads and what it hands to a similarity.

use burn::tensor::{Int, Tensor};

use crate::kernel;
use crate::optimizer::floats;

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
