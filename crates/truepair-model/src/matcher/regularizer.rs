//! Terms of a loss that read encodings instead of scores: what keeps several embeddings of an item
//! apart, two modalities alike, and Gaussians from shrinking to points.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_core::rng::below;

use crate::encoding::{Encoding, unit_length};
use crate::layer::Mode;

/// Which terms a strategy adds, with their weights; 0 or `None` leaves a term out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Regularizers {
    /// Divergence of Gaussians from the standard one.
    pub divergence: Option<Divergence>,
    /// Weight of [`uniformity`] over all draws of both modalities.
    pub uniformity: f64,
    /// Weight of [`diversity`] in either modality.
    pub diversity: f64,
    /// Weight of [`discrepancy`] between the modalities.
    pub discrepancy: f64,
    /// Weight of the soft contrastive loss inside either modality, between two independent draws of
    /// every item.
    pub within: f64,
}

/// A weighted KL divergence of every item's Gaussian from the standard one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// Factor of the term, above 0.
    pub weight: f64,
    /// How it is computed.
    pub form: DivergenceForm,
}

/// How the divergence from `N(0, I)` is computed; `l = log σ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DivergenceForm {
    /// `½ Σ (σ² + μ² − 1 − 2 l)` over dimensions.
    Sum,
    /// The same as a mean over dimensions.
    Mean,
    /// `½ Σ (eˡ + z̄² − 1 − l)`, which takes `l` for the logarithm of the variance, with the mean `z̄`
    /// of the item's draws.
    Released,
}

/// Regularizers of one batch, weighted.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// One number a pair, `[b]`, reduced like the pairs' losses.
    pub pairs: Option<Tensor<1>>,
    /// One number for the batch, `[1]`.
    pub batch: Option<Tensor<1>>,
}

impl Regularizers {
    /// The terms of a batch of pairs, of which the `within` term is none: it needs scores.
    ///
    /// # Panics
    /// If the encodings lack what a term reads.
    pub fn terms(&self, images: &Encoding, captions: &Encoding, mode: &mut Mode<'_>) -> Terms {
        let mut terms = Terms::default();
        for items in [images, captions] {
            if let Some(divergence) = &self.divergence {
                terms.add_pairs(divergence.form.of(items) * divergence.weight);
            }
            if self.diversity > 0.0 {
                let residuals = items.residuals.clone().expect("items with residuals");
                terms.add_pairs(diversity(residuals) * self.diversity);
            }
        }
        if self.discrepancy > 0.0 {
            let rows = |items: &Encoding| flat(items.values.clone());
            terms.add_batch(discrepancy(rows(images), rows(captions)) * self.discrepancy);
        }
        if self.uniformity > 0.0 {
            let points = Tensor::cat([images, captions].map(|items| flat(draws(items))).into(), 0);
            terms.add_batch(uniformity(thinned(points, mode)) * self.uniformity);
        }
        terms
    }
}

impl Terms {
    /// Adds one number a pair, `[b]`.
    pub fn add_pairs(&mut self, term: Tensor<1>) {
        self.pairs = Some(match self.pairs.take() {
            Some(sum) => sum + term,
            None => term,
        });
    }

    fn add_batch(&mut self, term: Tensor<1>) {
        self.batch = Some(match self.batch.take() {
            Some(sum) => sum + term,
            None => term,
        });
    }
}

impl DivergenceForm {
    /// One number an item, `[n]`.
    ///
    /// # Source
    /// Alemi et al., ICLR 2017, as in HIB (sum), PCME++ (mean; naver-ai/pcmepp@8829c0d) and the code
    /// of PCME (naver-ai/pcme@4947684, `kl_divergence`). Golden `u09_pcme_loss`, `u09_pcmepp_loss`.
    ///
    /// Deviation: (1) PCME++'s code leaves the term out of steps in which it is above 1e4.
    pub fn of(self, items: &Encoding) -> Tensor<1> {
        let l = items.log_deviation();
        let [n, d] = l.dims();
        let terms = match self {
            Self::Sum | Self::Mean => {
                let variance = (l.clone() * 2.0).exp();
                variance + items.pooled().square() - 1.0 - l * 2.0
            }
            Self::Released => {
                let mean = draws(items).mean_dim(1).reshape([n, d]);
                l.clone().exp() + mean.square() - 1.0 - l
            }
        };
        let share = match self {
            Self::Sum | Self::Released => 0.5,
            Self::Mean => 0.5 / d as f64,
        };
        terms.sum_dim(1).reshape([n]) * share
    }
}

/// The draws `[n, j, d]` that scores compared, or the means where nothing was drawn.
fn draws(items: &Encoding) -> Tensor<3> {
    let gaussian = items.gaussian.as_ref();
    let samples = gaussian.and_then(|gaussian| gaussian.samples.clone());
    samples.unwrap_or_else(|| items.values.clone())
}

fn flat(items: Tensor<3>) -> Tensor<2> {
    let [n, m, d] = items.dims();
    items.reshape([n * m, d])
}

/// `‖G − I‖ / k²` with the cosines `G` of an item's residuals, `[n]`: 0 where they are orthogonal.
///
/// # Shapes
/// - `residuals`: `[n, k, d]`
/// # Source
/// Song and Soleymani, CVPR 2019 (PVSE), `diversity_loss` in yalesong/pvse@874aa16. Golden
/// `u08_pvse_loss`.
pub fn diversity(residuals: Tensor<3>) -> Tensor<1> {
    let [n, k, _] = residuals.dims();
    let unit = unit_length(residuals);
    let others = Tensor::<2>::eye(k, &unit.device()).neg() + 1.0;
    let cosines = unit.clone().matmul(unit.swap_dims(1, 2)) * others.unsqueeze_dim(0);
    let square = cosines.square().reshape([n, k * k]).sum_dim(1);
    square.clamp_min(1e-30).sqrt().reshape([n]) / (k * k) as f64
}

/// `mean_{ij} k(xᵢ, xⱼ) − 2 mean k(xᵢ, yⱼ) + mean k(yᵢ, yⱼ)` with `k(u, v) = e^(−γ ‖u − v‖)`, `γ = ½`:
/// a maximum mean discrepancy, `[1]`.
///
/// # Shapes
/// - `x`: `[n, d]`, `y`: `[m, d]`
/// # Source
/// Gretton et al., JMLR 2012; `mmd_rbf_loss` in yalesong/pvse@874aa16, whose kernel is Laplacian
/// although its name says otherwise. Golden `u08_pvse_loss`.
pub fn discrepancy(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    let similar = |distances: Tensor<2>| (distances * -0.5).exp().mean();
    let own = |points: &Tensor<2>| {
        let others = Tensor::<2>::eye(points.dims()[0], &points.device()).neg() + 1.0;
        similar(distances(points, points) * others)
    };
    own(&x) - similar(distances(&x, &y)) * 2.0 + own(&y)
}

/// `‖xᵢ − yⱼ‖` of `[n, d]` and `[m, d]`, at least 1e-10.
fn distances(x: &Tensor<2>, y: &Tensor<2>) -> Tensor<2> {
    let squares = |rows: &Tensor<2>| rows.clone().square().sum_dim(1);
    let products = x.clone().matmul(y.clone().transpose());
    let square = squares(x) + squares(y).transpose() - products * 2.0;
    square.clamp_min(1e-20).sqrt()
}

/// `log mean_{u < v} e^(−2 ‖z_u − z_v‖²)`, `[1]`: the more negative, the more evenly spread; 0 for
/// fewer than two points.
///
/// # Shapes
/// - `points`: `[n, d]`
/// # Source
/// Wang and Isola, ICML 2020; `uniform_loss` in naver-ai/pcme@4947684. Golden `u09_pcme_loss`.
pub fn uniformity(points: Tensor<2>) -> Tensor<1> {
    let [n, _] = points.dims();
    let device = points.device();
    if n < 2 {
        return Tensor::zeros([1], &device);
    }
    let squares = points.clone().square().sum_dim(1);
    let products = points.clone().matmul(points.transpose());
    let distances = (squares.clone() + squares.transpose() - products * 2.0).clamp_min(0.0);
    let others = Tensor::<2>::eye(n, &device).neg() + 1.0;
    // The nearest pair's term becomes 1, so that the sum cannot vanish.
    let far = (others.clone().neg() + 1.0) * 1e30;
    let nearest = (distances.clone() + far).min().detach();
    let near = (distances - nearest.clone().unsqueeze()) * -2.0;
    let sum = (near.clamp_max(0.0).exp() * others).sum() / (n * (n - 1)) as f64;
    sum.log() - nearest * 2.0
}

/// All points, or 128 random ones of more than 128.
///
/// Deviation from PCME's code: (1) it draws with replacement, so that points can be their own
/// neighbors.
fn thinned(points: Tensor<2>, mode: &mut Mode<'_>) -> Tensor<2> {
    const MOST: usize = 128;
    let ([n, _], device) = (points.dims(), points.device());
    let Mode::Train(rng) = mode else {
        return points;
    };
    if n <= MOST {
        return points;
    }
    let mut rows: Vec<i64> = (0..n as i64).collect();
    for at in 0..MOST {
        let other = at + below(rng, (n - at) as u64) as usize;
        rows.swap(at, other);
    }
    rows.truncate(MOST);
    points.select(
        0,
        Tensor::<1, Int>::from_data(TensorData::new(rows, [MOST]), &device),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Gaussian;
    use crate::numbers::floats;
    use burn::tensor::Device;

    fn matrix<const N: usize>(rows: [[f32; 2]; N]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(rows.concat(), [N, 2]), &Device::flex())
    }

    fn is(found: Tensor<1>, expected: f32) {
        let found = floats(found);
        assert!((found[0] - expected).abs() < 1e-5, "{found:?} {expected}");
    }

    #[test]
    fn terms_equal_worked_examples() {
        is(
            diversity(matrix([[1.0, 0.0], [0.6, 0.8]]).unsqueeze_dim(0)),
            0.212_132_03,
        );
        let y = matrix([[0.0, 1.0], [3.0, 4.0]]);
        is(
            discrepancy(matrix([[0.0, 0.0], [1.0, 0.0]]), y),
            0.718_920_8,
        );
        is(
            uniformity(matrix([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])),
            -3.095_802,
        );
        is(uniformity(matrix([[1.0, 0.0]])), 0.0);
        let far = uniformity(matrix([[0.0, 0.0], [30.0, 0.0]]));
        is(far, -1800.0);
    }

    #[test]
    fn the_released_divergence_takes_a_deviation_for_a_variance() {
        let items = |mean: f32, deviation: f32| Encoding {
            gaussian: Some(Gaussian::new(matrix([[deviation.ln(), 0.0]]))),
            ..Encoding::new(matrix([[mean, 0.0]]).unsqueeze_dim(0), None)
        };
        is(DivergenceForm::Released.of(&items(0.5, 0.3)), 0.376_986_4);
        is(DivergenceForm::Sum.of(&items(0.5, 0.3)), 0.873_972_8);
        is(DivergenceForm::Mean.of(&items(0.5, 0.3)), 0.436_986_4);
    }

    #[test]
    fn many_points_are_thinned_without_repeats() {
        use truepair_core::rng::Seed;
        let n = 500;
        let values: Vec<f32> = (0..2 * n).map(|at| at as f32).collect();
        let points = Tensor::from_data(TensorData::new(values, [n, 2]), &Device::flex());
        let mut rng = Seed(1).stream("test", &[]);
        let mut kept = floats(thinned(points, &mut Mode::Train(&mut rng)));
        assert_eq!(kept.len(), 256);
        kept.sort_by(f32::total_cmp);
        kept.dedup();
        assert_eq!(kept.len(), 256);
    }
}
