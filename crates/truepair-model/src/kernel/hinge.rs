//! Hinges of every entry of a score matrix in both directions, in one pass.

use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use truepair_kernel::{Hinge, Negatives};

use super::{apply, is_fused};
use crate::objective::{diagonal, off_diagonal};

/// The margin of every hinge: a constant, through which no gradient flows.
#[derive(Debug, Clone)]
pub enum Margins {
    /// One margin for all.
    Fixed(f64),
    /// The margin of the anchor's pair in both directions, `[b]`.
    PerPair(Tensor<1>),
    /// One margin per entry, the same for both directions, `[b, b]`: what released code computes by
    /// broadcasting.
    PerEntry(Tensor<2>),
}

/// One loss per pair of scores `[b, b]`, `[b]`; the equations are those of
/// [`triplet`](crate::objective::triplet).
///
/// The gradient of a largest hinge goes to the first of the entries that share it, and to none
/// where the hinge is 0. Margins are constants. A NaN among the scores makes the losses NaN that it
/// enters.
///
/// # Panics
/// If the scores are not square or a margin has another length.
pub(crate) fn hinge(scores: Tensor<2>, margins: &Margins, negatives: Negatives) -> Tensor<1> {
    if !is_fused(&scores.device()) {
        return twin(scores, margins, negatives);
    }
    let margins = match margins {
        Margins::Fixed(margin) => {
            let margin = TensorData::new(vec![*margin as f32], [1]);
            Tensor::<1>::from_data(margin, &scores.device()).into()
        }
        Margins::PerPair(margins) => margins.clone().into(),
        Margins::PerEntry(margins) => margins.clone().into(),
    };
    apply(Hinge(negatives), [scores.into(), margins])
}

fn twin(scores: Tensor<2>, margins: &Margins, negatives: Negatives) -> Tensor<1> {
    let b = scores.dims()[0];
    let own = diagonal(&scores);
    let off = off_diagonal(&scores);
    let rows = scores.clone() - own.clone().reshape([b, 1]);
    let columns = scores - own.reshape([1, b]);
    let (rows, columns) = match margins {
        Margins::Fixed(margin) => (rows + *margin, columns + *margin),
        Margins::PerPair(margin) => (
            rows + margin.clone().detach().reshape([b, 1]),
            columns + margin.clone().detach().reshape([1, b]),
        ),
        Margins::PerEntry(margin) => (
            rows + margin.clone().detach(),
            columns + margin.clone().detach(),
        ),
    };
    let (rows, columns) = (relu(rows) * off.clone(), relu(columns) * off);
    let (rows, columns) = match negatives {
        Negatives::Hardest => (rows.max_dim(1), columns.max_dim(0)),
        Negatives::Mean => (rows.mean_dim(1), columns.mean_dim(0)),
        Negatives::Sum => (rows.sum_dim(1), columns.sum_dim(0)),
    };
    rows.reshape([b]) + columns.reshape([b])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::kernel::tests::{Given, Input, check_against_twin};

    const ALL: [Negatives; 3] = [Negatives::Hardest, Negatives::Mean, Negatives::Sum];

    #[test]
    fn equals_its_twin_with_every_kind_of_margin() {
        for (b, negatives) in [1, 2, 9].into_iter().flat_map(|b| ALL.map(|n| (b, n))) {
            let inputs = [
                Input::scaled(&[b, b], 5.0),
                Input::constant(&[b], (0..b).map(|i| 0.1 * i as f32).collect()),
                Input::constant(&[b, b], (0..b * b).map(|i| (i as f32).cos()).collect()),
            ];
            let kinds: [fn(&[Given]) -> Margins; 3] = [
                |_| Margins::Fixed(0.3),
                |x| Margins::PerPair(x[1].rank()),
                |x| Margins::PerEntry(x[2].rank()),
            ];
            for margins in kinds {
                check_against_twin(
                    &inputs,
                    |x| hinge(x[0].rank(), &margins(x), negatives),
                    |x| twin(x[0].rank(), &margins(x), negatives),
                );
            }
        }
    }

    fn run(scores: &[f32], negatives: Negatives) -> (Vec<f32>, Vec<f32>) {
        let b = scores.len().isqrt();
        let scores = TensorData::new(scores.to_vec(), [b, b]);
        let scores = Tensor::from_data(scores, &Device::flex().autodiff()).require_grad();
        let losses = hinge(scores.clone(), &Margins::Fixed(0.2), negatives);
        let graph = losses.clone().sum().backward();
        let gradient: Tensor<2> = scores.grad(&graph).unwrap();
        (
            losses.into_data().try_into_vec().unwrap(),
            gradient.into_data().try_into_vec().unwrap(),
        )
    }

    #[test]
    fn the_first_of_equal_entries_gets_the_gradient() {
        let (losses, gradient) = run(&[0.5; 9], Negatives::Hardest);
        assert!(losses.iter().all(|loss| (loss - 0.4).abs() < 1e-6));
        assert_eq!(gradient, [-2.0, 2.0, 1.0, 2.0, -2.0, 0.0, 1.0, 0.0, -2.0]);
    }

    #[test]
    fn a_score_that_is_not_a_number_does_not_look_like_a_small_loss() {
        for negatives in ALL {
            let (losses, _) = run(
                &[0.9, f32::NAN, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9],
                negatives,
            );
            assert!(losses[0].is_nan() && losses[1].is_nan() && losses[2] == 0.0);
        }
    }
}
