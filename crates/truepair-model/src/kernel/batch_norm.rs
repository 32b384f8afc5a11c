//! Channels brought to mean 0 and variance 1 by the moments of the batch itself.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use truepair_kernel::{BatchNorm, ColumnMoments, Moments, SlotMoments, SlotNorm};

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

/// Mean and biased variance of every slot of `[n, m, d]` over items and numbers, as constants:
/// `[2, m]`.
pub(crate) fn slot_moments(x: Tensor<3>) -> Tensor<2> {
    let x = x.detach();
    if is_fused(&x.device()) {
        return apply(SlotMoments, [x.into()]);
    }
    let m = x.dims()[1];
    let mean_of = |values: Tensor<3>| values.mean_dim(2).mean_dim(0);
    let mean = mean_of(x.clone());
    let variance = mean_of((x - mean.clone()).square());
    Tensor::cat(vec![mean.reshape([1, m]), variance.reshape([1, m])], 0)
}

/// [`batch_norm`] with one channel a slot of the middle axis, and what may follow in a residual block.
///
/// # Shapes
/// - `x`: `[n, m, d]`, `weight`, `bias`: `[m]`, `moments`: `[2, m]`, [`slot_moments`] of the same `x`
///   if they are [`Moments::OfBatch`], `kept`: as `x`; returns `[n, m, d]`
/// # Panics
/// If the shapes differ.
pub(crate) fn slot_norm(
    operation: SlotNorm,
    x: Tensor<3>,
    [weight, bias]: [Tensor<1>; 2],
    moments: Tensor<2>,
    kept: Option<Tensor<3>>,
) -> Tensor<3> {
    if !is_fused(&x.device()) {
        return slot_twin(operation, x, [weight, bias], moments, kept);
    }
    let inputs = [x.into(), weight.into(), bias.into(), moments.into()];
    match kept {
        None => apply(operation, inputs),
        Some(kept) => {
            let [x, weight, bias, moments] = inputs;
            apply(operation, [x, weight, bias, moments, kept.into()])
        }
    }
}

fn slot_twin(
    operation: SlotNorm,
    x: Tensor<3>,
    [weight, bias]: [Tensor<1>; 2],
    moments: Tensor<2>,
    kept: Option<Tensor<3>>,
) -> Tensor<3> {
    let m = x.dims()[1];
    let slots = |values: Tensor<1>| values.reshape([1, m, 1]);
    let mean_of = |values: Tensor<3>| values.mean_dim(2).mean_dim(0);
    let (centered, variance) = match operation.moments {
        Moments::OfBatch => {
            let centered = x.clone() - mean_of(x);
            let variance = mean_of(centered.clone().square());
            (centered, variance)
        }
        Moments::Given => {
            let row = |row: usize| moments.clone().narrow(0, row, 1).reshape([1, m, 1]);
            (x - row(0), row(1))
        }
    };
    let scale = slots(weight) / (variance + operation.epsilon).sqrt();
    let normed = centered * scale + slots(bias);
    let sum = match kept {
        Some(kept) => normed + kept,
        None => normed,
    };
    if operation.rectify { relu(sum) } else { sum }
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

    fn slot_inputs(n: usize, d: usize) -> [Input; 3] {
        let vector = |salt| Input::normal(&[5]).salted(salt);
        [Input::normal(&[n, 5, d]), vector(1), vector(2)]
    }

    fn normed_slots(operation: SlotNorm, x: &[Given], fused: bool) -> Tensor<3> {
        let values: Tensor<3> = x[0].rank();
        let moments = match operation.moments {
            Moments::OfBatch => slot_moments(values.clone()),
            Moments::Given => Tensor::full([2, 5], 0.7, &values.device()),
        };
        let kept = x.get(3).map(Given::rank);
        let norm = if fused { slot_norm } else { slot_twin };
        norm(operation, values, [x[1].rank(), x[2].rank()], moments, kept)
    }

    const RESIDUAL: SlotNorm = SlotNorm {
        epsilon: 1e-5,
        moments: Moments::OfBatch,
        rectify: true,
    };

    #[test]
    fn slots_equal_their_twin() {
        // The second one is the work of several tasks.
        for (n, d) in [(3, 4), (9, 600)] {
            let plain = SlotNorm {
                rectify: false,
                ..RESIDUAL
            };
            let given = SlotNorm {
                moments: Moments::Given,
                ..plain
            };
            for operation in [plain, given] {
                check_against_twin(
                    &slot_inputs(n, d),
                    |x| normed_slots(operation, x, true),
                    |x| normed_slots(operation, x, false),
                );
            }
        }
    }

    #[test]
    fn what_ends_a_block_equals_its_twin() {
        // Far from the kink at 0, but for a few places.
        let kept = Input::scaled(&[3, 5, 4], 30.0).salted(3);
        let [x, weight, bias] = slot_inputs(3, 4);
        check_against_twin(
            &[x, weight, bias, kept],
            |x| normed_slots(RESIDUAL, x, true),
            |x| normed_slots(RESIDUAL, x, false),
        );
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        check_threads(&inputs(768), normed);
        check_threads(&slot_inputs(9, 3000), |x| normed_slots(RESIDUAL, x, true));
    }
}
