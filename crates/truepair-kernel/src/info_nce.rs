//! InfoNCE on a matrix of scores: both directions in one operation.

use rayon::prelude::*;

use super::vector::{add, exp, largest, raise, wide};
use super::{Array, Gradients, Operation, Output};

/// `Lᵢ = −½ log softmaxⱼ(Sᵢⱼ / τ)ᵢ − ½ log softmaxⱼ(Sⱼᵢ / τ)ᵢ`.
///
/// # Shapes
/// - input: scores `[b, b]`; output: `[b]`
#[derive(Debug, Clone, Copy)]
pub struct InfoNce {
    /// `1 / τ`
    inverse: f32,
}

/// Logarithms of the sums of `exp(S / τ)` over rows and over columns, `[b]` each.
#[derive(Debug)]
pub struct Totals {
    rows: Vec<f32>,
    columns: Vec<f32>,
}

/// Rows of one task; fixed, so that sums do not depend on the number of threads.
const ROWS: usize = 64;

impl InfoNce {
    /// With the temperature `τ`.
    pub fn new(temperature: f64) -> Self {
        Self {
            inverse: (1.0 / temperature) as f32,
        }
    }

    fn totals(&self, scores: &[f32], b: usize) -> Totals {
        let tops = column_maxima(scores, b);
        let parts: Vec<(Vec<f32>, Vec<f32>)> = (scores.par_chunks(ROWS * b))
            .map(|rows| {
                let mut columns = vec![0f32; b];
                let mut sums = vec![0f32; rows.len() / b];
                wide(
                    #[inline(always)]
                    || {
                        for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(b)) {
                            *sum = self.row(row, &tops, &mut columns);
                        }
                    },
                );
                (sums, columns)
            })
            .collect();
        let mut rows = Vec::with_capacity(b);
        let mut columns = vec![0f32; b];
        for (part, sums) in parts {
            rows.extend(part);
            add(&mut columns, &sums);
        }
        for (total, top) in columns.iter_mut().zip(tops) {
            *total = total.ln() + top * self.inverse;
        }
        Totals { rows, columns }
    }

    /// The row's logarithm of its sum; adds the row to the columns' sums.
    #[inline(always)]
    fn row(&self, row: &[f32], column_tops: &[f32], columns: &mut [f32]) -> f32 {
        const LANES: usize = 16;
        let top = largest(row);
        let mut sums = [0f32; LANES];
        let blocks =
            (row.chunks(LANES).zip(column_tops.chunks(LANES))).zip(columns.chunks_mut(LANES));
        for ((row, tops), columns) in blocks {
            let values = row.iter().zip(tops).zip(columns).zip(&mut sums);
            for (((x, column_top), column), sum) in values {
                *sum += exp((x - top) * self.inverse);
                *column += exp((x - column_top) * self.inverse);
            }
        }
        sums.iter().sum::<f32>().ln() + top * self.inverse
    }
}

fn column_maxima(scores: &[f32], b: usize) -> Vec<f32> {
    let parts: Vec<Vec<f32>> = (scores.par_chunks(ROWS * b))
        .map(|rows| {
            let mut tops = vec![f32::NEG_INFINITY; b];
            wide(
                #[inline(always)]
                || rows.chunks_exact(b).for_each(|row| raise(&mut tops, row)),
            );
            tops
        })
        .collect();
    let mut tops = vec![f32::NEG_INFINITY; b];
    parts.iter().for_each(|part| raise(&mut tops, part));
    tops
}

impl Operation for InfoNce {
    type Saved = Totals;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Totals) {
        let [b, columns] = inputs[0].dims();
        assert_eq!(b, columns, "scores of a batch are square");
        let scores = inputs[0].values;
        let totals = self.totals(scores, b);
        let losses = (0..b)
            .map(|i| {
                let own = scores[i * b + i] * self.inverse;
                0.5 * (totals.rows[i] - own) + 0.5 * (totals.columns[i] - own)
            })
            .collect();
        (Output::new(losses, [b]), totals)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        totals: &Totals,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let Some(out) = gradients.get(0) else { return };
        let b = gradient.len();
        let half = 0.5 * self.inverse;
        (out.par_chunks_mut(b))
            .zip(inputs[0].values.par_chunks(b))
            .enumerate()
            .for_each(|(i, (out, row))| {
                wide(
                    #[inline(always)]
                    || {
                        let columns = totals.columns.iter().zip(gradient);
                        for ((out, x), (column, g)) in out.iter_mut().zip(row).zip(columns) {
                            let x = x * self.inverse;
                            let by_row = gradient[i] * exp(x - totals.rows[i]);
                            *out = half * (by_row + g * exp(x - column));
                        }
                    },
                );
                out[i] -= 2.0 * half * gradient[i];
            });
    }
}
