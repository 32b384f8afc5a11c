//! The leading directions of one side, each scaled to about unit variance. It looks at one side alone, so
//! nothing of which items belong together is in it.

use crate::dense::{Eigen, product, product_transposed, symmetric};
use crate::error::Result;
use crate::rng::{Seed, normal};
use crate::scores::Matrix;
use truepair_kernel::product::{Threads, View};

/// Directions beyond those wanted, and times that the covariance is applied to find them.
const SPARE: usize = 8;
const POWER: usize = 2;

/// Ridge as a multiple of the mean variance of the directions kept.
const RIDGE: f64 = 0.3;

/// A map of vectors to a few whitened directions.
#[derive(Debug)]
pub(super) struct Whitening {
    mean: Vec<f32>,
    /// `[dim, rank]`.
    map: Vec<f32>,
    pub(super) rank: usize,
}

impl Whitening {
    /// The `rank` leading directions of `rows`, by random projection with power iterations (Halko,
    /// Martinsson and Tropp, 2011).
    ///
    /// # Errors
    /// If a number is not finite.
    pub(super) fn fit(rows: &Matrix, rank: usize, seed: Seed) -> Result<Self> {
        let (n, dim) = (rows.len(), rows.dim());
        let rank = rank.min(dim).min(n);
        let width = (rank + SPARE).min(dim).min(n);
        let mean = mean(rows);
        let mut centered: Vec<f64> = Vec::with_capacity(n * dim);
        for row in rows.values().chunks_exact(dim) {
            centered.extend(row.iter().zip(&mean).map(|(x, mean)| f64::from(*x) - mean));
        }
        let stream = &mut seed.stream("whitening", &[]);
        let mut basis: Vec<f64> = (0..dim * width).map(|_| normal(stream)).collect();
        for _ in 0..=POWER {
            let along = product(&centered, &basis, [n, dim, width]);
            basis = orthonormal(
                &product_transposed(&centered, &along, [n, dim, width]),
                width,
            )?;
        }
        let along = product(&centered, &basis, [n, dim, width]);
        let Eigen { values, vectors } = symmetric(
            &product_transposed(&along, &along, [n, width, width]),
            width,
        )?;
        let variances: Vec<f64> = values[..rank]
            .iter()
            .map(|x| x.max(0.0) / n as f64)
            .collect();
        let ridge = RIDGE * variances.iter().sum::<f64>() / rank.max(1) as f64;
        let scales: Vec<f64> = (variances.iter())
            .map(|variance| 1.0 / (variance + ridge).max(f64::MIN_POSITIVE).sqrt())
            .collect();
        let turned = product(&basis, &vectors, [dim, width, width]);
        let scaled = turned
            .chunks_exact(width)
            .flat_map(|row| (row.iter().zip(&scales)).map(|(x, scale)| (x * scale) as f32));
        Ok(Self {
            map: scaled.collect(),
            mean: mean.into_iter().map(|x| x as f32).collect(),
            rank,
        })
    }

    /// The vectors along the directions, `[rows, rank]`.
    pub(super) fn apply(&self, rows: Matrix) -> Vec<f32> {
        let (n, dim) = (rows.len(), rows.dim());
        let mut values = rows.into_values();
        for row in values.chunks_exact_mut(dim) {
            (row.iter_mut().zip(&self.mean)).for_each(|(x, mean)| *x -= mean);
        }
        let mut out = vec![0.0; n * self.rank];
        View::rows(&values, dim)
            .times(View::rows(&self.map, self.rank))
            .on(Threads::All)
            .write(&mut out, self.rank);
        out
    }
}

fn mean(rows: &Matrix) -> Vec<f64> {
    let mut mean = vec![0.0; rows.dim()];
    let share = 1.0 / rows.len().max(1) as f64;
    for row in rows.values().chunks_exact(rows.dim()) {
        (mean.iter_mut().zip(row)).for_each(|(sum, x)| *sum += share * f64::from(*x));
    }
    mean
}

/// Orthonormal columns that span those of `columns` `[n, width]`; zeros where they span less.
fn orthonormal(columns: &[f64], width: usize) -> Result<Vec<f64>> {
    let n = columns.len() / width;
    let gram = product_transposed(columns, columns, [n, width, width]);
    let Eigen { values, vectors } = symmetric(&gram, width)?;
    let least = 1e-12 * values.first().copied().unwrap_or(0.0);
    let mut turned = product(columns, &vectors, [n, width, width]);
    for row in turned.chunks_exact_mut(width) {
        for (x, value) in row.iter_mut().zip(&values) {
            *x *= if *value > least {
                1.0 / value.sqrt()
            } else {
                0.0
            };
        }
    }
    Ok(turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_directions_come_first_and_have_about_unit_variance() {
        let stream = &mut Seed(1).stream("test", &[]);
        let (n, dim) = (400, 40);
        let scale = |at: usize| if at < 3 { 5.0 } else { 0.1 };
        let values: Vec<f32> = (0..n * dim)
            .map(|at| (2.0 + scale(at % dim) * normal(stream)) as f32)
            .collect();
        let rows = Matrix::new(values, dim);
        let whitening = Whitening::fit(&rows, 3, Seed(2)).unwrap();
        let out = whitening.apply(rows);
        for k in 0..3 {
            let column = out.iter().skip(k).step_by(3);
            let variance = column.map(|x| f64::from(*x).powi(2)).sum::<f64>() / n as f64;
            let expected = 1.0 / (1.0 + RIDGE);
            assert!((variance - expected).abs() < 0.15, "{variance}");
        }
    }

    #[test]
    fn equal_rows_whiten_to_zeros() {
        let rows = Matrix::new(vec![1.0; 12], 3);
        let whitening = Whitening::fit(&rows, 2, Seed(0)).unwrap();
        assert!(whitening.apply(rows).iter().all(|x| x.abs() < 1e-3));
    }
}
