//! Hinges of every entry of a score matrix in both directions, in one pass.

use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};

use super::{Array, Gradients, Operation, apply, is_fused};
use crate::objective::{Margins, Negatives, diagonal, off_diagonal};

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

#[derive(Debug)]
struct Hinge(Negatives);

impl Hinge {
    /// What one of the `b` hinges of a pair and direction counts.
    fn share(&self, b: usize) -> f32 {
        match self.0 {
            Negatives::Mean => 1.0 / b as f32,
            Negatives::Hardest | Negatives::Sum => 1.0,
        }
    }
}

/// Scores and margins `[1]`, `[b]` or `[b, b]`.
struct Entries<'a> {
    scores: &'a [f32],
    margins: Array<'a>,
    b: usize,
}

/// The largest of some hinges.
#[derive(Debug, Clone, Copy)]
struct Largest {
    hinge: f32,
    /// The first entry that has it; none where all are 0.
    at: Option<usize>,
}

impl<'a> Entries<'a> {
    fn new(scores: Array<'a>, margins: Array<'a>) -> Self {
        let [b, columns] = scores.dims();
        assert_eq!(b, columns, "scores of a batch are square");
        let fits = [&[1][..], &[b], &[b, b]].contains(&margins.shape);
        assert!(fits, "{:?} margins for {b} pairs", margins.shape);
        Self {
            scores: scores.values,
            margins,
            b,
        }
    }

    /// Calls `visit` with the place in the matrix, the row and the column of every entry off the
    /// diagonal, and with its hinges: the image's in its row, the caption's in its column.
    fn each(&self, mut visit: impl FnMut(usize, [usize; 2], [f32; 2])) {
        let margins = self.margins.values;
        for row in 0..self.b {
            for column in 0..self.b {
                let at = row * self.b + column;
                if row == column {
                    continue;
                }
                let [of_row, of_column] = match self.margins.shape {
                    [1] => [margins[0]; 2],
                    [_] => [margins[row], margins[column]],
                    _ => [margins[at]; 2],
                };
                let own = |pair: usize| self.scores[pair * (self.b + 1)];
                let score = self.scores[at];
                let hinges = [score - own(row) + of_row, score - own(column) + of_column];
                visit(at, [row, column], hinges.map(positive));
            }
        }
    }

    /// The largest hinges of every row and of every column.
    fn largest(&self) -> [Vec<Largest>; 2] {
        let none = Largest {
            hinge: 0.0,
            at: None,
        };
        let mut largest = [vec![none; self.b], vec![none; self.b]];
        self.each(|at, places, hinges| {
            for ((largest, place), hinge) in largest.iter_mut().zip(places).zip(hinges) {
                if hinge > largest[place].hinge || hinge.is_nan() {
                    largest[place] = Largest {
                        hinge,
                        at: Some(at),
                    };
                }
            }
        });
        largest
    }
}

/// `max(x, 0)`, but NaN where `x` is.
fn positive(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

impl Operation for Hinge {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, ()) {
        let entries = Entries::new(inputs[0], inputs[1]);
        let b = entries.b;
        let losses = match self.0 {
            Negatives::Hardest => {
                let [rows, columns] = entries.largest();
                let pairs = rows.iter().zip(&columns);
                pairs
                    .map(|(row, column)| row.hinge + column.hinge)
                    .collect()
            }
            Negatives::Mean | Negatives::Sum => {
                let mut sums = vec![0.0; b];
                entries.each(|_, places, hinges| {
                    (places.iter().zip(hinges)).for_each(|(&pair, hinge)| sums[pair] += hinge);
                });
                sums.iter().map(|sum| sum * self.share(b)).collect()
            }
        };
        (losses, vec![b], ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let entries = Entries::new(inputs[0], inputs[1]);
        let b = entries.b;
        let Some(out) = gradients.get(0) else { return };
        let mut violate = |at: usize, pair: usize, slope: f32| {
            out[at] += slope;
            out[pair * (b + 1)] -= slope;
        };
        match self.0 {
            Negatives::Hardest => {
                for largest in entries.largest() {
                    for (pair, largest) in largest.iter().enumerate() {
                        if let Some(at) = largest.at {
                            violate(at, pair, gradient[pair]);
                        }
                    }
                }
            }
            Negatives::Mean | Negatives::Sum => entries.each(|at, places, hinges| {
                for (pair, hinge) in places.into_iter().zip(hinges) {
                    if hinge > 0.0 {
                        violate(at, pair, gradient[pair] * self.share(b));
                    }
                }
            }),
        }
    }
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
