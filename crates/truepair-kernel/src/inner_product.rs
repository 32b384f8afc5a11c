//! Inner products of all rows of two matrices.

use super::product::{Precision, Threads, View};
use super::vector::zeros;
use super::{Array, Gradients, Operation, Output};

/// `A Bᵀ`.
///
/// # Shapes
/// - inputs: `a` `[n, d]`, `b` `[m, d]`; output: `[n, m]`
#[derive(Debug, Clone, Copy)]
pub struct InnerProducts(pub Precision);

impl Operation for InnerProducts {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let ([n, d], [m, _]) = (inputs[0].dims(), inputs[1].dims());
        let mut out = zeros(n * m);
        let (a, b) = (
            View::rows(inputs[0].values, d),
            View::rows(inputs[1].values, d),
        );
        a.times(b.t())
            .with(self.0)
            .on(Threads::All)
            .write(&mut out, m);
        (Output::new(out, [n, m]), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let ([_, d], [m, _]) = (inputs[0].dims::<2>(), inputs[1].dims::<2>());
        let upstream = View::rows(gradient, m);
        if let Some(out) = gradients.get(0) {
            let b = View::rows(inputs[1].values, d);
            upstream
                .times(b)
                .with(self.0)
                .on(Threads::All)
                .write(out, d);
        }
        if let Some(out) = gradients.get(1) {
            let a = View::rows(inputs[0].values, d);
            upstream
                .t()
                .times(a)
                .with(self.0)
                .on(Threads::All)
                .write(out, d);
        }
    }
}
