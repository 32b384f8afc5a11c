//! Channels of an item scaled to length 1 over its rows.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::unit::{EPSILON, LEAST_SQUARE};
use crate::encoding::unit_length_along;
use crate::kernel::items::{Items, split};
use crate::kernel::vector::wide;
use crate::kernel::{Array, Gradients, Operation, apply, is_fused};

/// `x / (‖x‖ + 1e-8)` for every channel of every item, `‖x‖` over the item's rows; 0 for a channel
/// of zeros.
///
/// # Shapes
/// - `[rows, d]`, an item's rows one after another; rows beyond those of the items give 0
/// # Panics
/// If there are fewer rows than the items have.
pub(crate) fn unit_columns(x: Tensor<2>, items: &Items) -> Tensor<2> {
    if !is_fused(&x.device()) {
        return twin(x, items);
    }
    apply(UnitColumns(items.clone()), [x.into()])
}

fn twin(x: Tensor<2>, items: &Items) -> Tensor<2> {
    items.pack(unit_length_along(items.spread(x), 1))
}

#[derive(Debug)]
struct UnitColumns(Items);

impl UnitColumns {
    /// Runs `work` on the place of every item's rows and on its part of `out`.
    fn each_item(
        &self,
        out: &mut [f32],
        d: usize,
        work: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
    ) {
        let parts = split(out, self.0.lengths().iter().map(|m| m * d));
        (self.0.ranges().into_par_iter())
            .zip(parts)
            .for_each(|(range, out)| {
                wide(
                    #[inline(always)]
                    || work(range.start * d..range.end * d, out),
                );
            });
    }
}

impl Operation for UnitColumns {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, ()) {
        let ([_, d], x) = (inputs[0].dims(), inputs[0].values);
        let mut out = vec![0.0; x.len()];
        self.each_item(
            &mut out,
            d,
            #[inline(always)]
            |range, out| scale(&x[range], out, d),
        );
        (out, inputs[0].shape.to_vec(), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let ([_, d], x) = (inputs[0].dims(), inputs[0].values);
        if let Some(out) = gradients.get(0) {
            self.each_item(
                out,
                d,
                #[inline(always)]
                |range, out| scale_back(&x[range.clone()], &gradient[range], out, d),
            );
        }
    }
}

#[inline(always)]
fn scale(x: &[f32], out: &mut [f32], d: usize) {
    let mut scales = products(x, x, d);
    for square in &mut scales {
        *square = 1.0 / (square.max(LEAST_SQUARE).sqrt() + EPSILON);
    }
    for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
        for ((out, x), scale) in out.iter_mut().zip(x).zip(&scales) {
            *out = x * scale;
        }
    }
}

#[inline(always)]
fn scale_back(x: &[f32], gradient: &[f32], out: &mut [f32], d: usize) {
    let mut scales = products(x, x, d);
    let mut along = products(x, gradient, d);
    for (square, along) in scales.iter_mut().zip(&mut along) {
        let norm = square.max(LEAST_SQUARE).sqrt();
        let scale = 1.0 / (norm + EPSILON);
        *along = match *square > LEAST_SQUARE {
            true => *along * scale * scale / norm,
            false => 0.0,
        };
        *square = scale;
    }
    let rows = x.chunks_exact(d).zip(gradient.chunks_exact(d));
    for (out, (x, g)) in out.chunks_exact_mut(d).zip(rows) {
        let columns = scales.iter().zip(&along);
        for (((out, x), g), (scale, along)) in out.iter_mut().zip(x).zip(g).zip(columns) {
            *out = g * scale - x * along;
        }
    }
}

/// `Σ a b` of every column.
#[inline(always)]
fn products(a: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let mut sums = vec![0.0; d];
    for (a, b) in a.chunks_exact(d).zip(b.chunks_exact(d)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin, check_threads};
    use burn::tensor::Device;

    #[test]
    fn equals_its_twin() {
        for lengths in [vec![3, 3], vec![2, 0, 4, 1]] {
            let rows = lengths.iter().sum();
            let items = Items::new(lengths, 4);
            let input = [Input::normal(&[rows, 37])];
            check_against_twin(
                &input,
                |x| unit_columns(x[0].rank(), &items),
                |x| twin(x[0].rank(), &items),
            );
            check_threads(&input, |x| unit_columns(x[0].rank(), &items));
        }
    }

    #[test]
    fn zero_stays_zero_with_the_twin_s_gradient() {
        let items = Items::new(vec![2], 2);
        let run = |operation: fn(Tensor<2>, &Items) -> Tensor<2>| {
            let x: Tensor<2> = Tensor::zeros([2, 3], &Device::flex().autodiff());
            let x = x.require_grad();
            let out = operation(x.clone(), &items);
            let tape = out.clone().sum().backward();
            (out.into_data(), x.grad(&tape).unwrap().into_data())
        };
        let (found, expected) = (run(unit_columns), run(twin));
        assert!(found.1.iter::<f32>().all(f32::is_finite));
        assert_eq!(found, expected);
    }
}
