//! Element-wise loops compiled for the widest vectors that the processor has.

/// Runs `loops` with the widest vector instructions of this processor. The closure and all that it
/// calls must be inlined, `wide(#[inline(always)] || ..)`, or they are compiled for the oldest one.
pub(crate) fn wide<R>(loops: impl FnOnce() -> R) -> R {
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
