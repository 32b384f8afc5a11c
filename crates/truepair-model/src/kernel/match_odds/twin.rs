//! The same in tensor operations, which hold every distance.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{Distance, MatchForm};

pub(super) fn twin(
    x: Tensor<3>,
    y: Tensor<3>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    form: MatchForm,
) -> Tensor<2> {
    let ([n, j, d], [m, _, _]) = (x.dims(), y.dims());
    let x: Tensor<4> = x.reshape([n, 1, j, d]).repeat_dim(1, m);
    let x: Tensor<5> = x.unsqueeze_dim(3);
    let y: Tensor<5> = y.reshape([1, m, 1, j, d]);
    let square = (x - y).square().sum_dim(4).reshape([n, m, j * j]) + form.guard;
    let distance = match form.distance {
        Distance::Euclidean => square.clamp_min(1e-30).sqrt(),
        Distance::Squared => square,
    };
    let logits = (distance * scale.neg().unsqueeze() + shift.unsqueeze()) * form.factor;
    let mean = |logits: Tensor<3>| {
        let logs = softplus(logits.neg()).neg();
        let top = logs.clone().max_dim(2).detach();
        let sum = (logs - top.clone()).exp().sum_dim(2).log() + top;
        sum.reshape([n, m])
    };
    mean(logits.clone()) - mean(logits.neg())
}

/// `log(1 + eˣ)`
fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    relu(x.clone()) + (x.abs().neg().exp() + 1.0).log()
}
