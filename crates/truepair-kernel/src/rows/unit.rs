//! Vectors scaled to length 1.

use super::{Row, rowwise, rowwise_back};
use crate::vector::dot;
use crate::{Array, Gradients, Operation, Output};

/// Added to a length before dividing by it.
pub(super) const EPSILON: f32 = 1e-8;
/// Least squared length of which a root is taken: the root's slope at 0 is not a number.
pub(super) const LEAST_SQUARE: f32 = 1e-30;

/// `x / (‖x‖ + 1e-8)` for every vector along the last axis; 0 for a zero vector.
///
/// # Shapes
/// - input and output: `[.., d]`
#[derive(Debug, Clone, Copy)]
pub struct UnitRows;

impl Operation for UnitRows {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        (rowwise(self, &inputs[0]), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        rowwise_back(self, &inputs[0], gradient, gradients);
    }
}

impl Row<1> for UnitRows {
    #[inline(always)]
    fn write(&self, [x]: [&[f32]; 1], out: &mut [f32]) {
        let scale = 1.0 / (dot(x, x).max(LEAST_SQUARE).sqrt() + EPSILON);
        out.iter_mut().zip(x).for_each(|(out, x)| *out = x * scale);
    }
}

impl Row<2> for UnitRows {
    #[inline(always)]
    fn write(&self, [x, g]: [&[f32]; 2], out: &mut [f32]) {
        let square = dot(x, x);
        let norm = square.max(LEAST_SQUARE).sqrt();
        let scale = 1.0 / (norm + EPSILON);
        let along = if square > LEAST_SQUARE {
            dot(g, x) * scale * scale / norm
        } else {
            0.0
        };
        for ((out, g), x) in out.iter_mut().zip(g).zip(x) {
            *out = g * scale - x * along;
        }
    }
}
