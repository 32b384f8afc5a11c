//! The Gaussian error linear unit in one pass.

use super::vector::{collect, exp};
use super::{Array, Gradients, Operation, Output};

/// `x Φ(x)` with the normal distribution function `Φ`.
///
/// # Shapes
/// - input and output: any
#[derive(Debug, Clone, Copy)]
pub struct Gelu;

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

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let x = inputs[0].values;
        let out = collect(
            x.len(),
            #[inline(always)]
            |first, out| {
                for (out, x) in out.iter_mut().zip(&x[first..]) {
                    *out = x * normal(*x).0;
                }
            },
        );
        (Output::new(out, inputs[0].shape), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        if !gradients.wants(0) {
            return;
        }
        let x = inputs[0].values;
        let out = collect(
            x.len(),
            #[inline(always)]
            |first, out| {
                let sources = gradient[first..].iter().zip(&x[first..]);
                for (out, (g, x)) in out.iter_mut().zip(sources) {
                    let (below, density) = normal(*x);
                    *out = g * (below + x * density);
                }
            },
        );
        gradients.put(0, Some(out));
    }
}
