//! All inner products of two sets of vectors as one operation.

use burn::tensor::Tensor;

use super::vector::zeros;
use super::{
    Array, Gradients, Operation, Precision, Threads, View, Write, apply, is_fused, multiply,
};

/// `a bᵀ`.
///
/// # Shapes
/// - `a`: `[n, d]`, `b`: `[m, d]`; returns `[n, m]`
pub(crate) fn inner_products(a: Tensor<2>, b: Tensor<2>, precision: Precision) -> Tensor<2> {
    if is_fused(&a.device()) {
        apply(InnerProducts(precision), [a.into(), b.into()])
    } else {
        twin(a, b)
    }
}

fn twin(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    a.matmul(b.transpose())
}

#[derive(Debug)]
struct InnerProducts(Precision);

impl Operation for InnerProducts {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, ()) {
        let ([n, d], [m, _]) = (inputs[0].dims(), inputs[1].dims());
        let mut out = zeros(n * m);
        let (a, b) = (
            View::rows(inputs[0].values, d),
            View::rows(inputs[1].values, d),
        );
        multiply(self.0, Threads::All, a, b.t(), &mut out, m, Write::Replace);
        (out, vec![n, m], ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let ([_, d], [m, _]) = (inputs[0].dims::<2>(), inputs[1].dims::<2>());
        let upstream = View::rows(gradient, m);
        if let Some(out) = gradients.get(0) {
            let b = View::rows(inputs[1].values, d);
            multiply(self.0, Threads::All, upstream, b, out, d, Write::Replace);
        }
        if let Some(out) = gradients.get(1) {
            let a = View::rows(inputs[0].values, d);
            multiply(
                self.0,
                Threads::All,
                upstream.t(),
                a,
                out,
                d,
                Write::Replace,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        check_against_twin(
            &[Input::normal(&[5, 7]), Input::normal(&[4, 7])],
            |x| inner_products(x[0].rank(), x[1].rank(), Precision::F32),
            |x| twin(x[0].rank(), x[1].rank()),
        );
    }
}
