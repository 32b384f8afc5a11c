//! Systems of a few linear equations.

/// Solves `matrix x = right` for a positive definite matrix, leaving `x` in `right` (Cholesky).
pub(crate) fn solve(matrix: &mut [f64], right: &mut [f64]) {
    let n = right.len();
    for row in 0..n {
        for column in 0..=row {
            let inner: f64 = (0..column)
                .map(|at| matrix[row * n + at] * matrix[column * n + at])
                .sum();
            let value = matrix[row * n + column] - inner;
            matrix[row * n + column] = match row == column {
                true => value.max(1e-12).sqrt(),
                false => value / matrix[column * n + column],
            };
        }
    }
    for row in 0..n {
        let inner: f64 = (0..row).map(|at| matrix[row * n + at] * right[at]).sum();
        right[row] = (right[row] - inner) / matrix[row * n + row];
    }
    for row in (0..n).rev() {
        let inner: f64 = (row + 1..n)
            .map(|at| matrix[at * n + row] * right[at])
            .sum();
        right[row] = (right[row] - inner) / matrix[row * n + row];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved() {
        let mut matrix = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let known = [1.0, -2.0, 0.5];
        let mut right: Vec<f64> = (matrix.chunks(3))
            .map(|row| row.iter().zip(known).map(|(a, b)| a * b).sum())
            .collect();
        solve(&mut matrix, &mut right);
        for (found, known) in right.iter().zip(known) {
            assert!((found - known).abs() < 1e-12);
        }
    }
}
