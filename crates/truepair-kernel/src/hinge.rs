//! Hinges of every entry of a score matrix in both directions, in one pass.

use super::{Array, Gradients, Operation, Output};
/// Which of the batch's other pairs a hinge counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Negatives {
    /// The one with the largest hinge, in each direction.
    Hardest,
    /// The mean over the batch; the given pair's own 0 is counted, as in the released code.
    Mean,
    /// All of them, summed.
    Sum,
}

/// One loss per pair of a batch, from the hinges of its two directions.
///
/// ```text
/// Rᵢⱼ = [αᵢ + Sᵢⱼ − Sᵢᵢ]₊ (image anchor)    Cᵢⱼ = [αⱼ + Sᵢⱼ − Sⱼⱼ]₊ (caption anchor)    j ≠ i
/// Lᵢ  = maxⱼ Rᵢⱼ + maxⱼ Cⱼᵢ   or   Lᵢ = (Σⱼ Rᵢⱼ + Σⱼ Cⱼᵢ) / b   or   Lᵢ = Σⱼ Rᵢⱼ + Σⱼ Cⱼᵢ
/// ```
///
/// The gradient of a largest hinge goes to the first of the entries that share it, and to none where
/// the hinge is 0. Margins are constants. A NaN among the scores makes every loss NaN that it enters.
///
/// # Shapes
/// - inputs: scores `S` `[b, b]`, margins `α` `[1]`, `[b]` or `[b, b]`
/// - output: `[b]`
#[derive(Debug, Clone, Copy)]
pub struct Hinge(pub Negatives);

impl Hinge {
    /// The weight of one of the `b` hinges of a pair and direction.
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

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
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
        (Output::new(losses, [b]), ())
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
