//! How far a Dirichlet distribution is from the uniform one.

use burn::tensor::Tensor;

/// The recurrences of ln Γ and ψ lift every argument by this before the asymptotic series.
const LIFT: usize = 4;

/// `KL(Dir(a) ‖ Dir(1))` of every row of `[n, k]`, `[n, 1]`; entries are at least 1.
///
/// ```text
/// KL = ln Γ(A) − Σⱼ ln Γ(aⱼ) − ln Γ(k) + Σⱼ (aⱼ − 1)(ψ(aⱼ) − ψ(A)),   A = Σⱼ aⱼ
///    = Σⱼ h(aⱼ, 1) − h(A, k) − ln Γ(k),   h(a, s) = (a − s) ψ(a) − ln Γ(a) − a
/// ```
/// In `h` the terms that grow faster than a logarithm cancel on paper. Taken one by one they would
/// exceed the result a million times, and single precision would leave none of its digits.
pub(super) fn divergence_from_uniform(concentration: Tensor<2>) -> Tensor<2> {
    let k = concentration.dims()[1];
    let total = concentration.clone().sum_dim(1);
    let ln_gamma_k: f64 = (1..k).map(|n| (n as f64).ln()).sum();
    reduced(concentration, 1.0).sum_dim(1) - reduced(total, k as f64) - ln_gamma_k
}

/// `h(a, s)` for `a ≥ 1`, with an absolute error of 1e-7 beside the rounding.
///
/// With `x = a + m`, Stirling's series for `ln Γ(x)` and its derivative for `ψ(x)`:
/// ```text
/// ε₁(x) = ln x − ψ(x) = 1/(2x) + 1/(12x²) − 1/(120x⁴) + 1/(252x⁶)
/// ε₂(x) = 1/(12x) − 1/(360x³) + 1/(1260x⁵)
/// h = m − ½ ln 2π − (m + s − ½) ln x − (a − s) ε₁ − ε₂ + Σ_{i<m} (ln(a + i) − (a − s)/(a + i))
/// ```
fn reduced(a: Tensor<2>, s: f64) -> Tensor<2> {
    let lift = LIFT as f64;
    let x = a.clone() + lift;
    let inverse = x.clone().recip();
    let square = inverse.clone() * inverse.clone();
    let first = inverse.clone() * 0.5
        + square.clone() * ((square.clone() / 252.0 - 1.0 / 120.0) * square.clone() + 1.0 / 12.0);
    let second = inverse * ((square.clone() / 1260.0 - 1.0 / 360.0) * square + 1.0 / 12.0);
    let beyond = a.clone() - s;
    let mut h = x.log() * -(lift + s - 0.5) - beyond.clone() * first - second
        + (lift - 0.5 * std::f64::consts::TAU.ln());
    for i in 0..LIFT {
        let step = a.clone() + i as f64;
        h = h + step.clone().log() - beyond.clone() / step;
    }
    h
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::PairLoss;
    use crate::objective::check::{check_gradient, run};

    fn divergence(a: &Tensor<2>) -> PairLoss {
        let n = a.dims()[0];
        PairLoss(divergence_from_uniform(a.clone()).reshape([n]))
    }

    /// `ln Γ` and `ψ` of whole numbers, by their definitions.
    fn at_whole(n: usize) -> (f64, f64) {
        const EULER: f64 = 0.577_215_664_901_532_9;
        let ln_gamma = (1..n).map(|i| (i as f64).ln()).sum();
        let psi = (1..n).map(|i| 1.0 / i as f64).sum::<f64>() - EULER;
        (ln_gamma, psi)
    }

    #[test]
    fn whole_numbers_give_the_definition() {
        let rows: [[usize; 3]; 3] = [[1, 1, 1], [1, 2, 5], [20_000, 1, 37]];
        let values: Vec<f32> = rows.iter().flatten().map(|&a| a as f32).collect();
        let (found, _) = run(&values, divergence);
        for (row, found) in rows.iter().zip(found) {
            let (ln_gamma, psi) = at_whole(row.iter().sum());
            let expected: f64 = ln_gamma - 2f64.ln()
                + row
                    .iter()
                    .map(|&a| {
                        let (own, digamma) = at_whole(a);
                        (a as f64 - 1.0) * (digamma - psi) - own
                    })
                    .sum::<f64>();
            assert!(
                (f64::from(found) - expected).abs() < 2e-4,
                "{row:?}: {found} {expected}"
            );
        }
    }

    #[test]
    fn gradient() {
        check_gradient(&[1.5, 2.0, 7.0, 3.0, 1.2, 1.9, 4.0, 4.0, 2.5], divergence);
    }
}
