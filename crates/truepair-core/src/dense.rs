//! Products and eigenvectors of small matrices in double precision: the one place
//! that calls `faer`.
//!
//! Each call runs on the calling thread, so its bits do not depend on the number of threads, and
//! several decompositions side by side are faster than one spread over all.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par, Side};

use crate::error::{Error, Result};

/// Eigenvalues and eigenvectors of a symmetric matrix, the largest first.
#[derive(Debug, Clone)]
pub(crate) struct Eigen {
    /// `[n]`, descending.
    pub(crate) values: Vec<f64>,
    /// `[n, n]` row-major; column `k` belongs to value `k`.
    pub(crate) vectors: Vec<f64>,
}

/// Decomposes a symmetric matrix `[n, n]`; only its lower triangle is read.
///
/// # Errors
/// If a number is not finite.
///
/// # Panics
/// If the buffer is not square.
pub(crate) fn symmetric(matrix: &[f64], n: usize) -> Result<Eigen> {
    assert_eq!(matrix.len(), n * n, "a square matrix");
    finite(matrix)?;
    let view = MatRef::from_row_major_slice(matrix, n, n);
    let eigen = view
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| no_convergence())?;
    let (values, vectors) = (eigen.S(), eigen.U());
    // Ascending in faer.
    let column = |k: usize| n - 1 - k;
    Ok(Eigen {
        values: (0..n).map(|k| values[column(k)]).collect(),
        vectors: (0..n * n)
            .map(|at| vectors[(at / n, column(at % n))])
            .collect(),
    })
}

/// `A B` of `[m, k]` and `[k, n]`, row-major.
///
/// # Panics
/// If a buffer is of the wrong size.
pub(crate) fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    multiplied(MatRef::from_row_major_slice(a, m, k), b, n)
}

/// `Aᵀ B` of `[k, m]` and `[k, n]`, row-major.
///
/// # Panics
/// If a buffer is of the wrong size.
pub(crate) fn product_transposed(a: &[f64], b: &[f64], [k, m, n]: [usize; 3]) -> Vec<f64> {
    multiplied(MatRef::from_row_major_slice(a, k, m).transpose(), b, n)
}

fn multiplied(a: MatRef<'_, f64>, b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; a.nrows() * n];
    matmul(
        MatMut::from_row_major_slice_mut(&mut out, a.nrows(), n),
        Accum::Replace,
        a,
        MatRef::from_row_major_slice(b, a.ncols(), n),
        1.0,
        Par::Seq,
    );
    out
}

fn finite(matrix: &[f64]) -> Result<()> {
    if matrix.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(Error::argument(
        "products of the features are not finite numbers",
        "scale the features down: their squares must be finite numbers",
    ))
}

fn no_convergence() -> Error {
    Error::argument(
        "the features' covariance could not be decomposed",
        "check the features for values of very different sizes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * 0.7).sin()).collect()
    }

    #[test]
    fn a_symmetric_matrix_is_put_together_again() {
        let n = 9;
        let half = wave(n * n);
        let matrix: Vec<f64> = (0..n * n)
            .map(|at| half[at] + half[at % n * n + at / n])
            .collect();
        let Eigen { values, vectors } = symmetric(&matrix, n).unwrap();
        assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
        for i in 0..n {
            for j in 0..n {
                let sum: f64 = (0..n)
                    .map(|k| vectors[i * n + k] * values[k] * vectors[j * n + k])
                    .sum();
                assert!((sum - matrix[i * n + j]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn products_are_sums_over_the_inner_index() {
        let (a, b) = (wave(3 * 4), wave(4 * 2));
        let found = product(&a, &b, [3, 4, 2]);
        let turned: Vec<f64> = (0..12).map(|at| a[at % 3 * 4 + at / 3]).collect();
        assert_eq!(product_transposed(&turned, &b, [4, 3, 2]), found);
        for i in 0..3 {
            for j in 0..2 {
                let sum: f64 = (0..4).map(|k| a[i * 4 + k] * b[k * 2 + j]).sum();
                assert!((found[i * 2 + j] - sum).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        assert!(symmetric(&[1.0, f64::NAN, 0.0, 1.0], 2).is_err());
        assert!(symmetric(&[f64::INFINITY], 1).is_err());
    }
}
