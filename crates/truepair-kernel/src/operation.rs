//! What a fused operation is: a function of dense arrays, and its gradient written by hand.

use std::fmt::Debug;

use crate::vector::zeros;

/// A fused operation on dense `f32` arrays, row-major.
pub trait Operation: Debug + Send + Sync + 'static {
    /// What the backward pass needs besides the inputs.
    type Saved: Send + Sync + 'static;

    /// Whether the backward pass finds the output among its inputs, after all others.
    const KEEPS_OUTPUT: bool = false;

    /// The output and what the backward pass needs.
    ///
    /// # Panics
    /// If an input does not have a shape that the operation is documented for.
    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Self::Saved);

    /// The output of [`forward`](Self::forward) where no backward pass follows, perhaps with less
    /// memory.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    fn output(&self, inputs: &[Array<'_>]) -> Output {
        self.forward(inputs).0
    }

    /// Adds to `gradients` the product of `gradient`, shaped as the output, with the derivative by
    /// each input that wants it.
    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    );
}

/// An input of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    /// Row-major.
    pub values: &'a [f32],
    /// Length of each axis.
    pub shape: &'a [usize],
}

impl Array<'_> {
    /// The shape as a fixed number of axes.
    ///
    /// # Panics
    /// If the number of axes is different.
    pub fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape
            .try_into()
            .expect("an input of the documented rank")
    }
}

/// The result of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Row-major.
    pub values: Vec<f32>,
    /// Length of each axis.
    pub shape: Vec<usize>,
}

impl Output {
    /// Values of this shape.
    pub fn new(values: Vec<f32>, shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        debug_assert_eq!(values.len(), shape.iter().product::<usize>());
        Self { values, shape }
    }
}

/// Gradients of the inputs that want one, initially zero. A buffer is allocated when it is first
/// requested, so that an operation that makes its own never pays for the zeros.
#[derive(Debug)]
pub struct Gradients(Vec<Slot>);

#[derive(Debug)]
enum Slot {
    Unwanted,
    /// Wanted and all zero: the number of values.
    Zero(usize),
    Values(Vec<f32>),
}

impl Slot {
    fn take(&mut self) -> Option<Vec<f32>> {
        match std::mem::replace(self, Self::Unwanted) {
            Self::Unwanted => None,
            Self::Zero(n) => Some(zeros(n)),
            Self::Values(values) => Some(values),
        }
    }
}

impl Gradients {
    /// For every input its number of values, or none where no gradient is wanted.
    pub fn zero(wanted: impl IntoIterator<Item = Option<usize>>) -> Self {
        let slots = wanted.into_iter();
        Self(
            slots
                .map(|n| n.map_or(Slot::Unwanted, Slot::Zero))
                .collect(),
        )
    }

    /// Whether input `index` wants its gradient.
    pub fn wants(&self, index: usize) -> bool {
        !matches!(self.0[index], Slot::Unwanted)
    }

    /// The gradient buffer of input `index`, if it wants one.
    pub fn get(&mut self, index: usize) -> Option<&mut [f32]> {
        let slot = &mut self.0[index];
        if let Slot::Zero(n) = *slot {
            *slot = Slot::Values(zeros(n));
        }
        match slot {
            Slot::Values(values) => Some(values),
            _ => None,
        }
    }

    /// Takes a buffer out; give it back with [`put`](Self::put). Several can be out at a time.
    pub fn take(&mut self, index: usize) -> Option<Vec<f32>> {
        self.0[index].take()
    }

    /// Sets the gradient of input `index`.
    pub fn put(&mut self, index: usize, values: Option<Vec<f32>>) {
        self.0[index] = values.map_or(Slot::Unwanted, Slot::Values);
    }

    /// Every input's gradient, for those that want one.
    pub fn into_values(self) -> impl Iterator<Item = Option<Vec<f32>>> {
        self.0.into_iter().map(|mut slot| slot.take())
    }

    /// Runs `work` on the buffers of the first inputs; an input that wants no gradient gets a buffer
    /// that is thrown away.
    pub(crate) fn with_first<const N: usize>(
        &mut self,
        inputs: &[Array<'_>],
        work: impl FnOnce([&mut [f32]; N]),
    ) {
        let wanted: [bool; N] = std::array::from_fn(|input| self.wants(input));
        let mut buffers: [Vec<f32>; N] = std::array::from_fn(|input| {
            let unwanted = || vec![0.0; inputs[input].values.len()];
            self.take(input).unwrap_or_else(unwanted)
        });
        work(buffers.each_mut().map(|values| &mut values[..]));
        for (input, (values, wanted)) in buffers.into_iter().zip(wanted).enumerate() {
            self.put(input, wanted.then_some(values));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_gradients_come_back() {
        let mut gradients = Gradients::zero([Some(2), None, Some(1)]);
        assert!(gradients.get(1).is_none() && !gradients.wants(1));
        gradients.get(0).unwrap()[1] = 3.0;
        let array = |values| Array { values, shape: &[] };
        let inputs = [array(&[0.0; 2][..]), array(&[0.0; 4])];
        gradients.with_first(&inputs, |[first, second]| {
            assert_eq!((&*first, second.len()), (&[0.0, 3.0][..], 4));
            second.fill(1.0);
        });
        let values: Vec<_> = gradients.into_values().collect();
        assert_eq!(values, [Some(vec![0.0, 3.0]), None, Some(vec![0.0])]);
    }
}
