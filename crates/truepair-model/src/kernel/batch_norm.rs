//! Channels brought to mean 0 and variance 1 by the moments of the batch itself.

use burn::tensor::Tensor;
use truepair_kernel::{BatchNorm, ColumnMoments};

use super::{apply, is_fused};

/// Mean and biased variance of every column of `[n, d]`, as constants: `[2, d]`.
pub(crate) fn column_moments(x: Tensor<2>) -> Tensor<2> {
    let x = x.detach();
    if is_fused(&x.device()) {
        return apply(ColumnMoments, [x.into()]);
    }
    let mean = x.clone().mean_dim(0);
    let variance = (x - mean.clone()).square().mean_dim(0);
    Tensor::cat(vec![mean, variance], 0)
}

/// `γ (x − μ) / √(σ² + ε) + β` with the mean `μ` and the biased variance `σ²` of each column of `x`,
/// through which the gradient flows.
///
/// # Shapes
/// - `x`: `[n, d]`, `weight`, `bias`: `[d]`, `moments`: `[2, d]`, [`column_moments`] of the same
///   `x`; returns `[n, d]`
/// # Panics
/// If the shapes differ.
pub(crate) fn batch_norm(
    x: Tensor<2>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    moments: Tensor<2>,
    epsilon: f64,
) -> Tensor<2> {
    if !is_fused(&x.device()) {
        return twin(x, weight, bias, epsilon);
    }
    let operation = BatchNorm {
        epsilon: epsilon as f32,
    };
    apply(
        operation,
        [x.into(), weight.into(), bias.into(), moments.into()],
    )
}

fn twin(x: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let centered = x.clone() - x.mean_dim(0);
    let variance = centered.clone().square().mean_dim(0);
    let scale = weight.unsqueeze() / (variance + epsilon).sqrt();
    centered * scale + bias.unsqueeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Given, Input, check_against_twin, check_threads};

    const EPSILON: f64 = 1e-5;

    fn inputs(n: usize) -> [Input; 3] {
        let vector = |salt| Input::normal(&[5]).salted(salt);
        [Input::normal(&[n, 5]), vector(1), vector(2)]
    }

    fn normed(x: &[Given]) -> Tensor<2> {
        let rows: Tensor<2> = x[0].rank();
        let moments = column_moments(rows.clone());
        batch_norm(rows, x[1].rank(), x[2].rank(), moments, EPSILON)
    }

    #[test]
    fn equals_its_twin() {
        // The last one is the work of several tasks.
        for n in [3, 7, 521] {
            check_against_twin(&inputs(n), normed, |x| {
                twin(x[0].rank(), x[1].rank(), x[2].rank(), EPSILON)
            });
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        check_threads(&inputs(768), normed);
    }
}
