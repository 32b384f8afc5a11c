//! Regions under a residual perceptron and generalized pooling: the image side of VSE∞.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::rng::{Stream, below, unit};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input, unit_length};
use crate::layer::{BatchNorm, Gpo, Init, Linear, Mode};
use crate::numbers::floats;

/// Settings of [`RegionGpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionGpoConfig {
    /// Width of the joint space.
    pub dim: usize,
    /// Width of the perceptron's hidden layer; half of `dim` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Share of regions left out while training, [0, 1).
    pub region_drop: f64,
}

impl Default for RegionGpoConfig {
    fn default() -> Self {
        Self {
            dim: 1024,
            hidden: None,
            region_drop: 0.2,
        }
    }
}

/// One vector an image:
///
/// ```text
/// yᵣ = W xᵣ + b + W₂ relu(BN(W₁ xᵣ + b₁)) + b₂      v = l2(GPO(y))
/// ```
/// While training, every region is left out with probability `region_drop`, and the rest move
/// together; statistics of the normalization then run over all `n · m` places, where `m` is the
/// largest number of regions that an image of the batch has left. Places that stay empty count as
/// rows of zeros, as in the source.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, 1, dim]`, every vector of length 1
/// # Source
/// Chen et al., CVPR 2021 (VSE∞). Code read at woodfrog/vse_infty@8600f89 (branch `bigru`),
/// `EncoderImageAggr` and `PrecompRegionDataset`. Golden `u06_vseinf_image`.
/// # Deviations
/// 1. An image that would lose every region keeps a random one; the source fails on it.
/// 2. The source holds a second normalization that nothing reads.
#[derive(Module, Debug)]
pub struct RegionGpo {
    fc: Linear,
    first: Linear,
    norm: BatchNorm,
    second: Linear,
    pool: Gpo,
    #[module(skip)]
    region_drop: f64,
}

impl RegionGpoConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<RegionGpo> {
        let InputShape::Features { width, .. } = shape else {
            return Err(Error::argument(
                "backbone `region_gpo` reads feature vectors, the data has token ids",
                "use `gru_gpo` for texts",
            ));
        };
        let hidden = self.hidden.unwrap_or(self.dim / 2);
        if self.dim == 0 || hidden == 0 || !(0.0..1.0).contains(&self.region_drop) {
            return Err(Error::argument(
                format!(
                    "backbone `region_gpo` cannot have dim = {}, hidden = {hidden}, \
                     region_drop = {}",
                    self.dim, self.region_drop
                ),
                "widths are at least 1 and region_drop is in [0, 1)",
            ));
        }
        Ok(RegionGpo {
            fc: Linear::xavier(init, width, self.dim),
            first: Linear::new(init, width, hidden),
            norm: BatchNorm::new(init, hidden),
            second: Linear::new(init, hidden, self.dim),
            pool: Gpo::new(init),
            region_drop: self.region_drop,
        })
    }
}

impl RegionGpo {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Features { values, mask } = input else {
            panic!("`region_gpo` was built for features")
        };
        let (values, mask) = match mode {
            Mode::Evaluate => (values.clone(), mask.clone()),
            Mode::Train(rng) => left(values, mask.as_ref(), self.region_drop, rng),
        };
        let [n, m, width] = values.dims();
        let rows = values.reshape([n * m, width]);
        let hidden = self.norm.forward(self.first.forward(rows.clone()), mode);
        let regions = self.fc.forward(rows) + self.second.forward(relu(hidden));
        let dim = regions.dims()[1];
        let pooled = self.pool.pool(regions.reshape([n, m, dim]), mask.as_ref());
        Encoding::new(unit_length(pooled).unsqueeze_dim(1), None)
    }
}

/// The regions that are there and are not left out, moved together: `[n, m, d]` with their mask,
/// `m` the largest number that an image has.
fn left(
    values: &Tensor<3>,
    mask: Option<&Tensor<2>>,
    rate: f64,
    rng: &mut Stream,
) -> (Tensor<3>, Option<Tensor<2>>) {
    if mask.is_none() && rate <= 0.0 {
        return (values.clone(), None);
    }
    let ([n, r, d], device) = (values.dims(), values.device());
    let present = match mask {
        Some(mask) => floats(mask.clone()),
        None => vec![1.0; n * r],
    };
    let kept: Vec<Vec<usize>> = (0..n)
        .map(|i| {
            let there = (i * r..(i + 1) * r).filter(|&row| present[row] != 0.0);
            thinned(there.collect(), rate, rng)
        })
        .collect();
    let m = kept.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let (mut rows, mut mask) = (Vec::with_capacity(n * m), Vec::with_capacity(n * m));
    for kept in &kept {
        for p in 0..m {
            rows.push(kept.get(p).map_or(0, |&row| row as i64));
            mask.push(f32::from(p < kept.len()));
        }
    }
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n * m]), &device);
    let mask: Tensor<2> = Tensor::from_data(TensorData::new(mask, [n, m]), &device);
    let moved = values.clone().reshape([n * r, d]).select(0, rows);
    let moved = moved.reshape([n, m, d]) * mask.clone().unsqueeze_dim(2);
    (moved, Some(mask))
}

/// Leaves every row out with probability `rate`; one stays.
fn thinned(rows: Vec<usize>, rate: f64, rng: &mut Stream) -> Vec<usize> {
    if rows.is_empty() {
        return rows;
    }
    let kept: Vec<usize> = (rows.iter().copied())
        .filter(|_| unit(rng) >= rate)
        .collect();
    match kept.is_empty() {
        true => vec![rows[below(rng, rows.len() as u64) as usize]],
        false => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use truepair_core::rng::Seed;

    #[test]
    fn what_is_left_is_moved_together_and_never_nothing() {
        let (n, r) = (40, 5);
        // Every region carries its own number; a gap at region 1, and the last image has none.
        let numbers: Vec<f32> = (0..n * r).map(|at| at as f32 + 1.0).collect();
        let there = (0..n * r).map(|at| f32::from(at % r != 1 && at / r != n - 1));
        let values = Tensor::from_data(TensorData::new(numbers, [n, r, 1]), &Device::flex());
        let mask: Tensor<2> = Tensor::from_data(
            TensorData::new(there.collect::<Vec<_>>(), [n, r]),
            &Device::flex(),
        );
        for (rate, expected) in [(0.0, 4.0), (0.5, 2.0), (0.99, 1.0)] {
            let mut rng = Seed(1).stream("drop", &[]);
            let (moved, left) = left(&values, Some(&mask), rate, &mut rng);
            let m = moved.dims()[1];
            let (moved, left) = (floats(moved), floats(left.unwrap()));
            let mut total = 0;
            for i in 0..n {
                let count = left[i * m..][..m].iter().sum::<f32>() as usize;
                assert_eq!(count == 0, i == n - 1, "{rate}");
                let (kept, empty) = moved[i * m..][..m].split_at(count);
                let places = kept.iter().map(|number| *number as usize - 1);
                assert!(places.clone().all(|at| at / r == i && at % r != 1));
                assert!(places.is_sorted() && empty.iter().all(|x| *x == 0.0));
                total += count;
            }
            let mean = total as f64 / (n - 1) as f64;
            assert!((mean - expected).abs() < 0.35, "{rate}: {mean}");
        }
    }
}
