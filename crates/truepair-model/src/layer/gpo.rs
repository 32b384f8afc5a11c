//! Generalized pooling: learned weights for the largest, second largest, ... value of a dimension.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{GruLayer, Init};
use crate::kernel::{self, States};
use crate::numbers::floats;

/// Width of a position's encoding.
const POSITION: usize = 32;
/// Width of each direction's state.
const HIDDEN: usize = 32;
const TEMPERATURE: f64 = 0.1;
/// Score of a place beyond an item's vectors; its weight is 0.
const ABSENT: f64 = -1e4;

/// Pools a set of vectors by what rank, not which vector, a value has.
///
/// ```text
/// eₚ = (sin p ω₀, cos p ω₀, sin p ω₁, …),  ωₖ = 10000^(−2k / 32)      p = 0 … L − 1
/// sₚ = u · (GRU→(e)ₚ + GRU←(e)ₚ) / 2       w = softmax(s / 0.1)
/// outₖ = Σₚ wₚ x₍ₚ₎ₖ,   x₍ₚ₎ₖ the p-th largest of the L values of dimension k
/// ```
/// The weights depend on the number of vectors alone, so a batch needs them once for every number
/// that occurs in it.
///
/// # Shapes
/// - `[n, m, d]` with the mask `[n, m]` to `[n, d]`; an item without vectors gives 0
/// # Source
/// Chen et al., CVPR 2021 (VSE∞). Code read at woodfrog/vse_infty@8600f89 (branch `bigru`), `GPO`.
/// Golden `u06_gpo`.
/// # Deviations
/// 1. Padding is left out of the sort instead of being sorted as −10000, which differs only for
///    features below −10000.
/// 2. Of equal values the source's sort and this one may pick different vectors to receive the
///    gradient.
#[derive(Module, Debug)]
pub struct Gpo {
    forward: GruLayer,
    backward: GruLayer,
    /// `u`, `[1, 32]`.
    score: Param<Tensor<2>>,
}

impl Gpo {
    /// PyTorch's default initialization of both layers.
    pub fn new(init: &mut Init) -> Self {
        Self {
            forward: GruLayer::new(init, POSITION, HIDDEN),
            backward: GruLayer::new(init, POSITION, HIDDEN),
            score: init.uniform([1, HIDDEN], 1.0 / (HIDDEN as f64).sqrt()),
        }
    }

    /// Pools `[n, m, d]` to `[n, d]`; the mask `[n, m]` may have gaps.
    pub fn pool(&self, features: Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<2> {
        let [n, m, _] = features.dims();
        let device = features.device();
        let mask = match mask {
            Some(mask) => mask.clone(),
            None => Tensor::ones([n, m], &device),
        };
        let lengths: Vec<usize> = floats(mask.clone().sum_dim(1))
            .into_iter()
            .map(|length| length as usize)
            .collect();
        let mut distinct = lengths.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let which = lengths.iter().map(|length| {
            let at = distinct.binary_search(length);
            at.expect("every length is among the distinct ones") as i64
        });
        let which = TensorData::new(which.collect::<Vec<_>>(), [n]);
        let which = Tensor::<1, Int>::from_data(which, &device);
        let weights = self.weights(&distinct, m, &device).select(0, which);
        kernel::sort_pool(features, mask, weights)
    }

    /// Pooling weights of items with these numbers of vectors, `[lengths.len(), m]`, 0 beyond the
    /// vectors; a row sums to 1.
    ///
    /// # Panics
    /// If a length is more than `m`.
    pub fn weights(&self, lengths: &[usize], m: usize, device: &Device) -> Tensor<2> {
        assert!(lengths.iter().all(|&length| length <= m));
        let k = lengths.len();
        let mask: Vec<f32> = (lengths.iter())
            .flat_map(|&length| (0..m).map(move |p| f32::from(p < length)))
            .collect();
        let mask: Tensor<2> = Tensor::from_data(TensorData::new(mask, [k, m]), device);
        let positions = Tensor::<2>::from_data(position_encoding(m), device);
        let positions: Tensor<3> = positions.unsqueeze_dim(0);
        let positions = positions.repeat_dim(0, k);
        let states =
            (self.forward).run(Some(&self.backward), positions, lengths, States::EveryToken);
        let mean = states.reshape([k * m, HIDDEN]);
        let scores = mean
            .matmul(self.score.val().transpose())
            .reshape([k, m])
            .mul(mask.clone())
            + (mask.neg() + 1.0) * ABSENT;
        softmax(scores / TEMPERATURE, 1)
    }
}

/// Sines and cosines of `m` positions, `[m, 32]`.
fn position_encoding(m: usize) -> TensorData {
    let mut values = Vec::with_capacity(m * POSITION);
    for p in 0..m {
        for k in 0..POSITION / 2 {
            let frequency = (-(2.0 * k as f64) * 10_000f64.ln() / POSITION as f64).exp();
            let (sine, cosine) = (p as f64 * frequency).sin_cos();
            values.extend([sine as f32, cosine as f32]);
        }
    }
    TensorData::new(values, [m, POSITION])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use truepair_core::rng::Seed;

    #[test]
    fn positions_are_encoded_as_in_the_source() {
        let values = position_encoding(3).try_into_vec::<f32>().unwrap();
        assert_eq!(&values[..4], [0.0, 1.0, 0.0, 1.0]);
        let expected = [1f64.sin(), 1f64.cos()].map(|x| x as f32);
        assert_eq!(&values[POSITION..POSITION + 2], expected);
        let slowest = 2.0 * 10_000f64.powf(-30.0 / 32.0);
        assert!((f64::from(values[2 * POSITION + 30]) - slowest.sin()).abs() < 1e-7);
    }

    #[test]
    fn neither_gaps_nor_padding_nor_order_changes_what_is_pooled() {
        let device = Device::flex();
        let gpo = Gpo::new(&mut Init::new(
            Seed(1).stream("init", &[]),
            device.clone(),
            Precision::F32,
        ));
        let pool = |values: &[f32], mask: &[f32]| -> Vec<f32> {
            let m = mask.len();
            let features: Tensor<3> =
                Tensor::from_data(TensorData::new(values.to_vec(), [1, m, 2]), &device);
            let mask = Tensor::from_data(TensorData::new(mask.to_vec(), [1, m]), &device);
            let pooled = gpo.pool(features, Some(&mask));
            pooled.into_data().try_into_vec().unwrap()
        };
        let plain = pool(&[1., 9., 5., 2., 3., 4.], &[1., 1., 1.]);
        let moved = pool(
            &[3., 4., 77., 77., 1., 9., 5., 2., -8., 8.],
            &[1., 0., 1., 1., 0.],
        );
        for (a, b) in plain.iter().zip(&moved) {
            assert!((a - b).abs() < 1e-6, "{plain:?} {moved:?}");
        }
        assert_eq!(pool(&[1., 2.], &[0.]), [0.0, 0.0]);
    }
}
