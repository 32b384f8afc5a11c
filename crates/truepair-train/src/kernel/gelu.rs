//! The Gaussian error linear unit in one pass.

use burn::tensor::{Tensor, activation};
use rayon::prelude::*;

use super::vector::{exp, wide};
use super::{Array, Gradients, Operation, apply, is_fused};

const BLOCK: usize = 1 << 14;

/// `x Φ(x)` with the normal distribution function `Φ`, any shape.
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_fused(&x.device()) {
        apply(Gelu, [x.into()])
    } else {
        activation::gelu(x)
    }
}

#[derive(Debug)]
struct Gelu;

/// `(Φ(x), φ(x))`; `Φ` to 1e-7 by the rational form 7.1.26 of Abramowitz and Stegun.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let bell = exp(-z * z);
    let tail = 0.5 * polynomial * bell;
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    (below, bell * 0.398_942_3)
}

impl Operation for Gelu {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, ()) {
        let mut out = inputs[0].values.to_vec();
        out.par_chunks_mut(BLOCK).for_each(|block| {
            wide(
                #[inline(always)]
                || block.iter_mut().for_each(|x| *x *= normal(*x).0),
            )
        });
        (out, inputs[0].shape.to_vec(), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let Some(out) = gradients.get(0) else { return };
        (out.par_chunks_mut(BLOCK))
            .zip(gradient.par_chunks(BLOCK))
            .zip(inputs[0].values.par_chunks(BLOCK))
            .for_each(|((out, gradient), x)| {
                wide(
                    #[inline(always)]
                    || {
                        for ((out, g), x) in out.iter_mut().zip(gradient).zip(x) {
                            let (below, density) = normal(*x);
                            *out = g * (below + x * density);
                        }
                    },
                );
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        let inputs = [Input::scaled(&[7, 5], 2.0)];
        check_against_twin(
            &inputs,
            |x| gelu(x[0].rank::<2>()),
            |x| activation::gelu(x[0].rank::<2>()),
        );
    }
}
