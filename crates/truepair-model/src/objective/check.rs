//! What every objective must keep to, for the tests of those here and of strategies elsewhere.

use burn::tensor::{Device, Tensor, TensorData};

use super::PairLoss;

/// A score matrix `[b, b]` without structure, in [-1, 1].
pub fn scores(b: usize) -> Vec<f32> {
    (0..b * b)
        .map(|i| ((i * i + 3 * i) as f32 * 0.37).sin())
        .collect()
}

/// Scores `[b * b]` as a matrix that gradients reach.
pub fn tracked(values: &[f32]) -> Tensor<2> {
    let b = (values.len() as f64).sqrt() as usize;
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values.to_vec(), [b, b]), &device).require_grad()
}

/// Loss per pair and the gradient of their sum.
///
/// # Panics
/// If the loss does not depend on the scores.
pub fn run(values: &[f32], loss: impl Fn(&Tensor<2>) -> PairLoss) -> (Vec<f32>, Vec<f32>) {
    let scores = tracked(values);
    let pairs = loss(&scores).0;
    let gradients = pairs.clone().sum().backward();
    let gradient = scores.grad(&gradients).expect("scores are tracked");
    (
        pairs.into_data().try_into_vec().expect("losses are f32"),
        gradient
            .into_data()
            .try_into_vec()
            .expect("gradients are f32"),
    )
}

/// The analytic gradient against central differences of the summed loss.
///
/// # Panics
/// If they differ.
pub fn check_gradient(values: &[f32], loss: impl Fn(&Tensor<2>) -> PairLoss) {
    let (_, gradient) = run(values, &loss);
    let largest = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
    for at in 0..values.len() {
        let shifted = |step: f32| -> f64 {
            let mut values = values.to_vec();
            values[at] += step;
            run(&values, &loss).0.iter().map(|x| f64::from(*x)).sum()
        };
        let numeric = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
        let error = (numeric - f64::from(gradient[at])).abs();
        assert!(
            error < 0.02 * f64::from(largest) + 1e-4,
            "{at}: {numeric} {}",
            gradient[at]
        );
    }
}

/// Permuting the batch must permute the losses.
///
/// # Panics
/// If it does not.
pub fn check_permutation(values: &[f32], loss: impl Fn(&Tensor<2>) -> PairLoss) {
    let b = (values.len() as f64).sqrt() as usize;
    let order: Vec<usize> = (0..b).map(|i| (i * 3 + 1) % b).collect();
    let permuted: Vec<f32> = (0..b * b)
        .map(|at| values[order[at / b] * b + order[at % b]])
        .collect();
    let (plain, _) = run(values, &loss);
    let (moved, _) = run(&permuted, &loss);
    for i in 0..b {
        assert!(
            (moved[i] - plain[order[i]]).abs() < 1e-5,
            "{moved:?} {plain:?}"
        );
    }
}
