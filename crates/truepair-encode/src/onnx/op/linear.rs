//! Matrix products.

use truepair_kernel::product::View;

use super::super::tensor::Tensor;
use super::super::wire::Fault;
use super::combine::{joint_shape, spread};
use super::{Inputs, Settings, one};

/// `out = left right` on the calling thread, `out` dense.
///
/// # Panics
/// If sizes do not fit.
pub(super) fn multiply(left: View<'_>, right: View<'_>, out: &mut [f32]) {
    let n = right.n_columns();
    assert_eq!(out.len(), left.n_rows() * n, "space for a product");
    left.times(right).write(out, n);
}

/// `A B` of the last two axes, the others broadcast.
pub(super) fn mat_mul(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (a, b) = (inputs.take(0)?, inputs.take(1)?);
    let fault = || format!("a product of {:?} and {:?}", a.shape(), b.shape());
    let (rank_a, rank_b) = (a.rank(), b.rank());
    if rank_a == 0 || rank_b == 0 {
        return Err(fault());
    }
    let [m, k] = match a.shape() {
        [k] => [1, *k],
        shape => [shape[rank_a - 2], shape[rank_a - 1]],
    };
    let [inner, n] = match b.shape() {
        [k] => [*k, 1],
        shape => [shape[rank_b - 2], shape[rank_b - 1]],
    };
    if k != inner {
        return Err(fault());
    }
    let batch_a = &a.shape()[..rank_a.saturating_sub(2)];
    let batch_b = &b.shape()[..rank_b.saturating_sub(2)];
    let batch = joint_shape(batch_a, batch_b).map_err(|_| fault())?;
    let (x, y) = (a.as_floats()?, b.as_floats()?);
    let n_products: usize = batch.iter().product();
    let mut out = vec![0.0; n_products * m * n];
    if batch_b.iter().product::<usize>() == 1 {
        // One right side for all: a single product of all rows.
        multiply(
            View::strided(x, n_products * m, k, k),
            View::strided(y, k, n, n),
            &mut out,
        );
    } else if m * n > 0 {
        let starts = |shape: &[usize]| (0..shape.iter().product::<usize>()).collect::<Vec<_>>();
        let (left, right) = (starts(batch_a), starts(batch_b));
        let pairs = spread(&left, batch_a, &batch).zip(spread(&right, batch_b, &batch));
        for (out, (i, j)) in out.chunks_exact_mut(m * n).zip(pairs) {
            let left = View::strided(&x[i * m * k..(i + 1) * m * k], m, k, k);
            let right = View::strided(&y[j * k * n..(j + 1) * k * n], k, n, n);
            multiply(left, right, out);
        }
    }
    let mut shape = batch;
    shape.extend((rank_a > 1).then_some(m));
    shape.extend((rank_b > 1).then_some(n));
    one(Tensor::floats(shape, out)?)
}

/// `α A B + β C`, `A` and `B` perhaps transposed.
pub(super) fn gemm(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (a, b) = (inputs.take(0)?, inputs.take(1)?);
    let view = |tensor: &'_ Tensor, transposed: bool| -> Result<[usize; 2], Fault> {
        match (tensor.shape(), transposed) {
            (&[rows, columns], false) => Ok([rows, columns]),
            (&[rows, columns], true) => Ok([columns, rows]),
            (shape, _) => Err(format!("a matrix of shape {shape:?}")),
        }
    };
    let turn = |name| settings.int(name, 0) != 0;
    let ([m, k], [inner, n]) = (view(&a, turn("transA"))?, view(&b, turn("transB"))?);
    if k != inner {
        return Err(format!("a product of {:?} and {:?}", a.shape(), b.shape()));
    }
    let oriented = |values, rows, columns, turned: bool| match turned {
        false => View::strided(values, rows, columns, columns),
        true => View::strided(values, columns, rows, rows).t(),
    };
    let mut out = vec![0.0; m * n];
    multiply(
        oriented(a.as_floats()?, m, k, turn("transA")),
        oriented(b.as_floats()?, k, n, turn("transB")),
        &mut out,
    );
    let (alpha, beta) = (settings.float("alpha", 1.0), settings.float("beta", 1.0));
    out.iter_mut().for_each(|x| *x *= alpha);
    if let Some(bias) = inputs.optional(2) {
        if joint_shape(bias.shape(), &[m, n])? != [m, n] {
            return Err(format!("a bias of shape {:?}", bias.shape()));
        }
        let bias = bias
            .as_floats()
            .map(|values| spread(values, bias.shape(), &[m, n]))?;
        out.iter_mut().zip(bias).for_each(|(x, b)| *x += beta * b);
    }
    one(Tensor::floats(vec![m, n], out)?)
}
