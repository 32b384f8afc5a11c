//! Gradients of items without their padding.

use super::Ragged;

/// The gradient by the vectors that a [`Ragged`] keeps, from zero on. Where nothing was padded it
/// is the gradient buffer itself.
#[derive(Debug)]
pub(crate) struct Packed<'a> {
    ragged: &'a Ragged<'a>,
    values: Option<Vec<f32>>,
    /// The padded gradient, when it is another buffer.
    padded: Option<Vec<f32>>,
}

impl<'a> Packed<'a> {
    /// For the padded gradient `padded`, all zero, if one is wanted.
    pub(crate) fn new(ragged: &'a Ragged<'a>, padded: Option<Vec<f32>>) -> Self {
        let (values, padded) = match padded {
            Some(padded) if !ragged.is_dense() => {
                (Some(vec![0.0; ragged.values().len()]), Some(padded))
            }
            other => (other, None),
        };
        Self {
            ragged,
            values,
            padded,
        }
    }

    /// The packed gradient `[total, d]`, if one is wanted.
    pub(crate) fn values(&mut self) -> Option<&mut [f32]> {
        self.values.as_deref_mut()
    }

    /// The padded gradient.
    pub(crate) fn into_padded(self) -> Option<Vec<f32>> {
        match (self.values, self.padded) {
            (Some(values), Some(mut padded)) => {
                self.ragged.scatter(&values, &mut padded);
                Some(padded)
            }
            (values, _) => values,
        }
    }
}
