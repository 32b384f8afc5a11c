//! Dense values between operators.

use std::sync::Arc;

use super::wire::Fault;

/// Numbers in row-major order. Cloning shares them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    shape: Vec<usize>,
    values: Values,
}

/// Whole numbers and truth values are `i64`, all others `f32`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Floats(Arc<Vec<f32>>),
    Ints(Arc<Vec<i64>>),
}

impl Tensor {
    /// # Errors
    /// If the shape has another number of values.
    pub(crate) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, Fault> {
        check(&shape, values.len())?;
        let values = Values::Floats(Arc::new(values));
        Ok(Self { shape, values })
    }

    /// # Errors
    /// If the shape has another number of values.
    pub(crate) fn ints(shape: Vec<usize>, values: Vec<i64>) -> Result<Self, Fault> {
        check(&shape, values.len())?;
        let values = Values::Ints(Arc::new(values));
        Ok(Self { shape, values })
    }

    /// The same values in another shape.
    ///
    /// # Errors
    /// If the shape has another number of values.
    pub(crate) fn reshaped(self, shape: Vec<usize>) -> Result<Self, Fault> {
        check(&shape, self.len())?;
        Ok(Self { shape, ..self })
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(crate) fn len(&self) -> usize {
        match &self.values {
            Values::Floats(values) => values.len(),
            Values::Ints(values) => values.len(),
        }
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// # Errors
    /// If the values are whole numbers.
    pub(crate) fn as_floats(&self) -> Result<&[f32], Fault> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            Values::Ints(_) => Err("whole numbers where others are expected".into()),
        }
    }

    /// # Errors
    /// If the values are no whole numbers.
    pub(super) fn as_ints(&self) -> Result<&[i64], Fault> {
        match &self.values {
            Values::Ints(values) => Ok(values),
            Values::Floats(_) => Err("fractions where whole numbers are expected".into()),
        }
    }

    /// The values as a vector of its own; nothing is copied when nobody else has them.
    ///
    /// # Errors
    /// If the values are whole numbers.
    pub(super) fn into_floats(self) -> Result<Vec<f32>, Fault> {
        match self.values {
            Values::Floats(values) => {
                Ok(Arc::try_unwrap(values).unwrap_or_else(|shared| shared.to_vec()))
            }
            Values::Ints(_) => Err("whole numbers where others are expected".into()),
        }
    }

    /// A tensor of the values at `places`.
    ///
    /// # Errors
    /// If the shape has another number of values.
    ///
    /// # Panics
    /// If there is no such place.
    pub(super) fn picked(
        &self,
        shape: Vec<usize>,
        places: impl Iterator<Item = usize>,
    ) -> Result<Self, Fault> {
        match &self.values {
            Values::Floats(values) => Self::floats(shape, places.map(|at| values[at]).collect()),
            Values::Ints(values) => Self::ints(shape, places.map(|at| values[at]).collect()),
        }
    }

    /// Axis `axis`, counted from the end when it is negative.
    ///
    /// # Errors
    /// If there is no such axis.
    pub(super) fn axis(&self, axis: i64) -> Result<usize, Fault> {
        axis_of(axis, self.rank())
    }

    /// Sizes before, at and after `axis`, each as one product.
    pub(super) fn around(&self, axis: usize) -> [usize; 3] {
        let product = |sizes: &[usize]| sizes.iter().product();
        [
            product(&self.shape[..axis]),
            self.shape[axis],
            product(&self.shape[axis + 1..]),
        ]
    }
}

/// # Errors
/// If a tensor of `rank` axes has no axis `axis`.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, Fault> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    let found = usize::try_from(from_start).ok().filter(|axis| *axis < rank);
    found.ok_or_else(|| format!("axis {axis} of {rank}"))
}

/// Row-major strides.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

fn check(shape: &[usize], found: usize) -> Result<(), Fault> {
    let wanted = (shape.iter()).try_fold(1usize, |product, size| product.checked_mul(*size));
    match wanted == Some(found) {
        true => Ok(()),
        false => Err(format!("{found} values for shape {shape:?}")),
    }
}
