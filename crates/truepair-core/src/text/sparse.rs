//! Sparse rows and their leading right singular vectors.

use rayon::prelude::*;

use crate::dense::{Eigen, symmetric};
use crate::error::Result;
use crate::rng::{Stream, normal};
use truepair_kernel::product::{Precision, Threads, View};

/// Random directions in addition to those that are wanted.
const OVERSAMPLED: usize = 10;

/// Multiplications by `A Aᵀ` that make the leading directions stand out.
const POWERS: usize = 2;

/// Directions whose squared length is below this share of the largest are rounding errors.
const NEGLIGIBLE: f64 = 1e-6;

/// A matrix `A` `[rows, columns]`, mostly zeros, in both orders.
#[derive(Debug)]
pub(super) struct SparseRows {
    rows: Vec<Vec<(u32, f32)>>,
    columns: Vec<Vec<(u32, f32)>>,
}

impl SparseRows {
    /// Takes the non-zero `(column, value)` entries of every row, ascending by column.
    pub(super) fn new(rows: Vec<Vec<(u32, f32)>>, n_columns: usize) -> Self {
        let mut columns = vec![Vec::new(); n_columns];
        for (row, entries) in rows.iter().enumerate() {
            for &(column, value) in entries {
                columns[column as usize].push((row as u32, value));
            }
        }
        Self { rows, columns }
    }

    /// At most `dim` leading right singular vectors `[columns, dim]`, and how many there are.
    ///
    /// # Errors
    /// If a value is not finite.
    pub(super) fn directions(&self, dim: usize, rng: &mut Stream) -> Result<(Vec<f32>, usize)> {
        let width = (dim + OVERSAMPLED)
            .min(self.rows.len())
            .min(self.columns.len());
        let start: Vec<f32> = (0..self.columns.len() * width)
            .map(|_| normal(rng) as f32)
            .collect();
        let (mut basis, mut width) = orthonormal(product(&self.rows, &start, width), width)?;
        for _ in 0..POWERS {
            let (columns, narrower) = orthonormal(product(&self.columns, &basis, width), width)?;
            (basis, width) = orthonormal(product(&self.rows, &columns, narrower), narrower)?;
        }
        // With B = Qᵀ A, its right singular vectors are Z W / σ for Z = Bᵀ and Zᵀ Z = W σ² Wᵀ.
        let z = product(&self.columns, &basis, width);
        let Eigen { values, vectors } = symmetric(&gram(&z, width), width)?;
        let kept = n_kept(&values).min(dim);
        Ok((rotated(&z, width, &vectors, &values[..kept]), kept))
    }
}

/// `S · dense`, rows side by side: `[rows, width]`.
fn product(sparse: &[Vec<(u32, f32)>], dense: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; sparse.len() * width];
    let rows = out.par_chunks_exact_mut(width.max(1)).zip(sparse);
    rows.for_each(|(out, entries)| {
        for &(at, value) in entries {
            let row = &dense[at as usize * width..][..width];
            (out.iter_mut().zip(row)).for_each(|(sum, x)| *sum += value * x);
        }
    });
    out
}

/// An orthonormal basis `[n, k]` of the columns of `matrix` `[n, width]`, and `k`.
fn orthonormal(matrix: Vec<f32>, width: usize) -> Result<(Vec<f32>, usize)> {
    let Eigen { values, vectors } = symmetric(&gram(&matrix, width), width)?;
    let kept = n_kept(&values);
    Ok((rotated(&matrix, width, &vectors, &values[..kept]), kept))
}

fn n_kept(values: &[f64]) -> usize {
    let largest = values.first().copied().unwrap_or(0.0);
    values.partition_point(|&value| value > NEGLIGIBLE * largest && value > 0.0)
}

/// `MᵀM` `[width, width]` of `M` `[n, width]`.
fn gram(matrix: &[f32], width: usize) -> Vec<f64> {
    let mut out = vec![0.0; width * width];
    let view = View::rows(matrix, width);
    let (precision, threads) = (Precision::F32, Threads::All);
    view.t()
        .times(view)
        .with(precision)
        .on(threads)
        .write(&mut out, width);
    out.into_iter().map(f64::from).collect()
}

/// `M W diag(1 / √values)` `[n, k]` over the first `k = values.len()` columns of `W`
/// `[width, width]`.
fn rotated(matrix: &[f32], width: usize, vectors: &[f64], values: &[f64]) -> Vec<f32> {
    let k = values.len();
    let rotation: Vec<f32> = (0..width * k)
        .map(|at| (vectors[at / k * width + at % k] / values[at % k].sqrt()) as f32)
        .collect();
    let n = matrix.len() / width;
    let mut out = vec![0.0; n * k];
    let (left, right) = (View::rows(matrix, width), View::rows(&rotation, k));
    let (precision, threads) = (Precision::F32, Threads::All);
    left.times(right)
        .with(precision)
        .on(threads)
        .write(&mut out, k);
    out
}
