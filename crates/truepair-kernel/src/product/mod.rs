//! Matrix products of `f32` buffers: the one place that multiplies.
//!
//! [`View::times`] is for buffers of any layout, with factors as they are or rounded to 16 bits.
//! [`RowFactor`] is for scores, every row of one factor against every row of the other: on
//! processors with matrix tiles it has the precision of `f32` at about half its time.
//! [`dots`] is for a few queries against many stored rows, where a score may depend on its two rows alone.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod bf16;
pub mod dots;
mod rows;

pub use rows::{RowCache, RowFactor, multiply_transposed};

/// Number format of the factors of every matrix product; sums are always `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Precision {
    /// Factors as they are.
    #[default]
    F32,
    /// Factors rounded to 8 significant bits, on processors with matrix tiles (AMX); elsewhere the
    /// same rounding with ordinary arithmetic.
    Bf16,
}

/// Who multiplies: the calling thread, or all threads of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread; for products inside a parallel loop.
    One,
    /// All threads of the pool.
    All,
}

/// Which factor of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Its rows are the rows of the product.
    Left,
    /// Its columns are the columns of the product. Where it is given transposed: its rows are.
    Right,
}

/// Whether a product replaces what the output holds or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// `C = A B`
    Replace,
    /// `C += A B`
    Add,
}

/// A matrix in a buffer.
///
/// ```
/// use truepair_kernel::product::View;
///
/// let view = View::rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
/// assert_eq!((view.n_rows(), view.n_columns()), (2, 3));
/// assert_eq!(view.t().n_rows(), 3);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// Dense rows `[values.len() / columns, columns]`.
    ///
    /// # Panics
    /// If `columns` does not divide the number of values.
    pub fn rows(values: &'a [f32], columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns));
        Self::strided(values, values.len() / columns, columns, columns)
    }

    /// `rows` rows of `columns` values, each starting `row_stride` after the one before.
    ///
    /// # Panics
    /// If the buffer is too short.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || (rows - 1) * row_stride + columns <= values.len());
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        self.columns
    }

    /// `self · right`, to be written somewhere.
    ///
    /// # Panics
    /// If the inner sizes differ.
    pub fn times(self, right: View<'a>) -> Product<'a> {
        assert_eq!(self.columns, right.rows, "inner sizes of a product");
        Product {
            left: self,
            right,
            precision: Precision::F32,
            threads: Threads::One,
        }
    }

    /// The transposed matrix; nothing moves.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A product of two matrices on its way into a buffer: of factors as they are, by the calling thread,
/// unless it is told otherwise.
///
/// What it is written to has dense columns; rows start `stride` apart.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Product<'a> {
    left: View<'a>,
    right: View<'a>,
    precision: Precision,
    threads: Threads,
}

impl<'a> Product<'a> {
    /// The same product with factors in this format.
    pub fn with(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same product on these threads.
    pub fn on(self, threads: Threads) -> Self {
        Self { threads, ..self }
    }

    /// `out = left · right`
    ///
    /// # Panics
    /// If `out` is too short.
    pub fn write(self, out: &mut [f32], stride: usize) {
        self.put(Write::Replace, out, stride);
    }

    /// `out += left · right`
    ///
    /// # Panics
    /// If `out` is too short.
    pub fn add(self, out: &mut [f32], stride: usize) {
        self.put(Write::Add, out, stride);
    }

    /// One or the other.
    ///
    /// # Panics
    /// If `out` is too short.
    pub fn put(self, write: Write, out: &mut [f32], stride: usize) {
        let (m, n) = (self.left.rows, self.right.columns);
        if m == 0 || n == 0 {
            return;
        }
        assert!(n <= stride && (m - 1) * stride + n <= out.len());
        match self.precision {
            Precision::F32 => self.put_f32(write, out, stride),
            Precision::Bf16 => bf16::put(self, write, out, stride),
        }
    }

    fn put_f32(self, write: Write, out: &mut [f32], stride: usize) {
        let Self { left, right, .. } = self;
        let parallelism = match self.threads {
            Threads::One => gemm::Parallelism::None,
            Threads::All => gemm::Parallelism::Rayon(0),
        };
        // SAFETY: `View` checks that every index that its sizes and strides reach lies in its buffer,
        // `View::times` that the inner sizes agree, and `put` the same of `out`; `out` is borrowed
        // mutably, so nothing aliases it.
        unsafe {
            gemm::gemm(
                left.rows,
                right.columns,
                left.columns,
                out.as_mut_ptr(),
                1,
                stride as isize,
                write == Write::Add,
                left.values.as_ptr(),
                left.column_stride as isize,
                left.row_stride as isize,
                right.values.as_ptr(),
                right.column_stride as isize,
                right.row_stride as isize,
                1.0f32,
                1.0f32,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, seed: u32) -> Vec<f32> {
        (0..rows * columns)
            .map(|i| ((i as u32).wrapping_mul(2_654_435_761) ^ seed) as f32 / 4e9 - 0.5)
            .collect()
    }

    #[test]
    fn strides_transposes_and_addition_equal_the_definition() {
        let (m, n, k) = (5, 7, 9);
        let (a, b) = (matrix(k, m, 1), matrix(n, k + 3, 2));
        for write in [Write::Replace, Write::Add] {
            let mut out = vec![2.0; m * (n + 2)];
            let left = View::rows(&a, m).t();
            let right = View::strided(&b, n, k, k + 3).t();
            left.times(right).put(write, &mut out, n + 2);
            for i in 0..m {
                for j in 0..n {
                    let sum: f32 = (0..k).map(|l| a[l * m + i] * b[j * (k + 3) + l]).sum();
                    let expected = sum + if write == Write::Add { 2.0 } else { 0.0 };
                    assert!((out[i * (n + 2) + j] - expected).abs() < 1e-5);
                }
                assert_eq!(out[i * (n + 2) + n], 2.0);
            }
        }
    }
}
