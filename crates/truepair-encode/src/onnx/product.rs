//! Matrix products and loops on wide registers.

/// A matrix in a buffer, by strides.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> View<'a> {
    /// Dense rows.
    pub(super) fn dense(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self) -> bool {
        let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
        self.rows == 0
            || self.columns == 0
            || last(self.rows, self.row_stride) + last(self.columns, self.column_stride)
                < self.values.len()
    }
}

/// `out = left right` on the calling thread, `out` dense `[left.rows, right.columns]`.
///
/// # Panics
/// If sizes do not fit or a buffer is too short.
pub(super) fn multiply(left: View<'_>, right: View<'_>, out: &mut [f32]) {
    assert_eq!(left.columns, right.rows, "the inner sizes of a product");
    assert_eq!(out.len(), left.rows * right.columns, "space for a product");
    assert!(left.fits() && right.fits(), "views inside their buffers");
    if out.is_empty() {
        return;
    }
    // SAFETY: the assertions above say that every index that sizes and strides reach lies in its
    // buffer; `out` is borrowed mutably, so nothing aliases it.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            right.columns as isize,
            false,
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
            gemm::Parallelism::None,
        );
    }
}

/// Runs `loops` with the widest vector instructions of this processor. What is to be vectorized
/// must be inlined: the closure itself, `wide(#[inline(always)] || ..)`, and all that it calls.
pub(super) fn wide<R>(loops: impl FnOnce() -> R) -> R {
    struct Loops<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Loops<F> {
        type Output = R;

        #[inline(always)]
        fn call(self) -> R {
            self.0()
        }
    }
    pulp::Arch::new().dispatch(Loops(loops))
}
