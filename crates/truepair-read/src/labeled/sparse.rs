//! Sparse matrices as MATLAB stores them, column by column, made dense.

/// Numbers that any sparse matrix may have when it is dense.
const SMALL: usize = 1 << 24;
/// Zeros for each stored number beyond that: a file of some bytes must not ask for all memory.
const MOST_ZEROS: usize = 4096;

/// A sparse matrix: the entries of column `c` are those from `starts[c]` to `starts[c + 1]`.
pub(super) struct Sparse {
    pub(super) n_rows: usize,
    /// Row of every entry, from 0.
    pub(super) rows: Vec<usize>,
    /// `[n_columns + 1]`.
    pub(super) starts: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl Sparse {
    /// The matrix row by row.
    ///
    /// # Errors
    /// What contradicts itself in it.
    pub(super) fn dense(&self) -> Result<Vec<f32>, String> {
        let n_columns = self.starts.len().saturating_sub(1);
        let n_entries = self.starts.last().copied().unwrap_or(0);
        let length = dense_length(self.n_rows, n_columns, n_entries)?;
        if !self.starts.is_sorted() || n_entries > self.rows.len() || n_entries > self.values.len()
        {
            return Err("the columns of the sparse matrix do not fit its entries".into());
        }
        let mut dense = vec![0.0; length];
        for (column, ends) in self.starts.windows(2).enumerate() {
            for entry in ends[0]..ends[1] {
                let row = self.rows[entry];
                if row >= self.n_rows {
                    return Err(format!("an entry of the sparse matrix is in row {row}"));
                }
                dense[row * n_columns + column] = self.values[entry];
            }
        }
        Ok(dense)
    }
}

/// Numbers of a dense matrix.
///
/// # Errors
/// If they are too many for so few entries.
pub(super) fn dense_length(
    n_rows: usize,
    n_columns: usize,
    n_entries: usize,
) -> Result<usize, String> {
    let most = n_entries.saturating_mul(MOST_ZEROS).max(SMALL);
    let length = n_rows.checked_mul(n_columns);
    length.filter(|length| *length <= most).ok_or_else(|| {
        format!(
            "a sparse matrix of {n_rows} x {n_columns} with {n_entries} entries is too large to be \
             made dense"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows_and_nonsense_is_refused() {
        let matrix = |n_rows, rows: &[usize], starts: &[usize]| Sparse {
            n_rows,
            rows: rows.to_vec(),
            starts: starts.to_vec(),
            values: vec![1.0, 2.0, 3.0],
        };
        let dense = matrix(2, &[0, 1, 0], &[0, 2, 2, 3]).dense().unwrap();
        assert_eq!(dense, [1.0, 0.0, 3.0, 2.0, 0.0, 0.0]);
        assert!(matrix(2, &[0, 1, 2], &[0, 3]).dense().is_err());
        assert!(matrix(2, &[0, 1, 1], &[0, 9]).dense().is_err());
        assert!(matrix(2, &[0, 1, 1], &[2, 0, 3]).dense().is_err());
        assert!(matrix(1 << 40, &[0], &[0, 1]).dense().is_err());
        assert!(matrix(usize::MAX, &[0], &[0, 1, 1]).dense().is_err());
    }
}
