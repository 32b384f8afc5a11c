//! The output of a product, written by several threads.

use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

use super::Write;
use super::tile::{SIDE, Sums};

/// Rows of dense columns, `[rows, columns]`.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    stride: usize,
    values: PhantomData<&'a mut [f32]>,
}

// SAFETY: only `update` accesses the values, and its callers vouch for disjoint parts.
unsafe impl Send for Output<'_> {}
// SAFETY: as above.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(values: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride && (rows - 1) * stride + columns <= values.len());
        let start = values.as_mut_ptr();
        Self {
            start,
            rows,
            columns,
            stride,
            values: PhantomData,
        }
    }

    /// Calls `multiply` with 32 × 32 sums that replace the part at `rows` and `columns`, as far as that
    /// reaches; they start with what the part holds where it is added to.
    ///
    /// # Safety
    /// No other thread uses this part meanwhile.
    pub(super) unsafe fn update(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        write: Write,
        multiply: impl Fn(Sums),
    ) {
        assert!(rows.end <= self.rows && columns.end <= self.columns);
        // SAFETY: the part lies in the buffer that `new` has checked, as asserted.
        let row = |row: usize| unsafe { self.start.add(row * self.stride + columns.start) };
        if rows.len() == SIDE && columns.len() == SIDE {
            return multiply(Sums {
                start: row(rows.start),
                stride: self.stride,
            });
        }
        let mut sums = [[0.0; SIDE]; SIDE];
        if write == Write::Add {
            for (sums, index) in sums.iter_mut().zip(rows.clone()) {
                // SAFETY: the row of the part has so many columns, and no other thread uses it.
                let part = unsafe { slice::from_raw_parts(row(index), columns.len()) };
                sums[..columns.len()].copy_from_slice(part);
            }
        }
        multiply(Sums {
            start: sums.as_flattened_mut().as_mut_ptr(),
            stride: SIDE,
        });
        for (sums, index) in sums.iter().zip(rows) {
            // SAFETY: as above.
            let part = unsafe { slice::from_raw_parts_mut(row(index), columns.len()) };
            part.copy_from_slice(&sums[..columns.len()]);
        }
    }
}
