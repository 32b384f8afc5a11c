//! A weighted sum over the sorted values of every dimension, as one operation.

use burn::tensor::{Int, Tensor};
use truepair_kernel::SortPool;

use super::{apply, is_fused};

/// `outᵢₖ = Σₚ wᵢₚ x₍ₚ₎ᵢₖ`, where `x₍ₚ₎ᵢₖ` is the `p`-th largest value of dimension `k` among the
/// valid vectors of item `i`; 0 for an item without any.
///
/// # Shapes
/// - `features`: `[n, m, d]`, `mask`: `[n, m]` of 0 and 1 in any arrangement, `weights`: `[n, m]`,
///   of which the first as many count as an item has valid vectors; returns `[n, d]`
/// - gradients: of `features` and `weights`
/// # Panics
/// If an item has more than 65 536 vectors.
pub(crate) fn sort_pool(features: Tensor<3>, mask: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
    if is_fused(&features.device()) {
        apply(SortPool, [features.into(), mask.into(), weights.into()])
    } else {
        twin(features, mask, weights)
    }
}

/// Below every feature: what the source puts in place of padding before it sorts.
const LOWEST: f64 = -1e4;

fn twin(features: Tensor<3>, mask: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
    let [n, m, d] = features.dims();
    let absent = mask.clone().neg() + 1.0;
    let present: Tensor<3> = features * mask.clone().unsqueeze_dim(2);
    let sorted = (present + (absent * LOWEST).unsqueeze_dim(2)).sort_descending(1);
    let places = Tensor::<1, Int>::arange(0..m as i64, &mask.device()).float();
    let counted = places
        .reshape([1, m])
        .expand([n, m])
        .lower(mask.sum_dim(1).expand([n, m]));
    let weights: Tensor<3> = (weights * counted.float()).unsqueeze_dim(2);
    (sorted * weights).sum_dim(1).reshape([n, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        for (m, d) in [(1, 3), (5, 70), (7, 64)] {
            let n = 4;
            // All there, a gap inside, padding behind, and nothing at all.
            let mask = (0..n * m).map(|at| {
                let (i, p) = (at / m, at % m);
                f32::from([true, p != 1, p < m / 2, false][i])
            });
            check_against_twin(
                &[
                    Input::normal(&[n, m, d]),
                    Input::constant(&[n, m], mask.collect()),
                    Input::normal(&[n, m]),
                ],
                |x| sort_pool(x[0].rank(), x[1].rank(), x[2].rank()),
                |x| twin(x[0].rank(), x[1].rank(), x[2].rank()),
            );
        }
    }

    #[test]
    fn equal_values_share_nothing_and_lose_nothing() {
        check_against_twin(
            &[
                Input::constant(&[1, 3, 2], vec![1.0; 6]),
                Input::constant(&[1, 3], vec![1.0; 3]),
                Input::normal(&[1, 3]),
            ],
            |x| sort_pool(x[0].rank(), x[1].rank(), x[2].rank()),
            |x| twin(x[0].rank(), x[1].rank(), x[2].rank()),
        );
    }
}
