//! Operators that compare values with others of their row or channel.

use super::super::tensor::Tensor;
use super::super::wire::Fault;
use super::{Inputs, Settings, one};

pub(super) fn softmax(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    soft(settings, inputs, |values| {
        let total: f32 = values.iter().map(|x| x.exp()).sum();
        values.iter_mut().for_each(|x| *x = x.exp() / total);
    })
}

pub(super) fn log_softmax(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    soft(settings, inputs, |values| {
        let total: f32 = values.iter().map(|x| x.exp()).sum();
        values.iter_mut().for_each(|x| *x -= total.ln());
    })
}

/// Calls `f` with the values along the axis, their largest subtracted. Before version 13 the axis
/// begins the part of the shape that is taken as one row.
fn soft(
    settings: &Settings,
    mut inputs: Inputs,
    f: impl Fn(&mut [f32]),
) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let flat = settings.opset < 13;
    let axis = tensor.axis(settings.int("axis", if flat { 1 } else { -1 }))?;
    let [before, mut along, mut after] = tensor.around(axis);
    if flat {
        (along, after) = (along * after, 1);
    }
    let stable = |row: &mut [f32]| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // A row of −∞ alone would become NaN.
        let shift = if largest.is_finite() { largest } else { 0.0 };
        row.iter_mut().for_each(|x| *x -= shift);
        f(row);
    };
    rows_along(tensor, [before, along, after], stable)
}

/// Calls `f` with every row of `along` values that lie `after` apart.
fn rows_along(
    tensor: Tensor,
    [before, along, after]: [usize; 3],
    mut f: impl FnMut(&mut [f32]),
) -> Result<Vec<Tensor>, Fault> {
    let shape = tensor.shape().to_vec();
    let mut values = tensor.into_floats()?;
    if after == 1 {
        values.chunks_exact_mut(along.max(1)).for_each(f);
        return one(Tensor::floats(shape, values)?);
    }
    let mut row = vec![0.0; along];
    for start in (0..before).flat_map(|i| (0..after).map(move |j| i * along * after + j)) {
        let places = || (0..along).map(|k| start + k * after);
        row.iter_mut()
            .zip(places())
            .for_each(|(x, at)| *x = values[at]);
        f(&mut row);
        row.iter().zip(places()).for_each(|(x, at)| values[at] = *x);
    }
    one(Tensor::floats(shape, values)?)
}

/// `γ (x − μ) / √(σ² + ε) + β` with the running statistics.
pub(super) fn batch(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    if tensor.rank() < 2 {
        return Err(format!(
            "shape {:?}, expected [n, channels, ...]",
            tensor.shape()
        ));
    }
    let [_, channels, area] = tensor.around(1);
    let mut row = |index: usize| -> Result<Vec<f32>, Fault> {
        let values = inputs.take(index)?.into_floats()?;
        match values.len() == channels {
            true => Ok(values),
            false => Err(format!("{} values for {channels} channels", values.len())),
        }
    };
    let (scale, shift, mean, variance) = (row(1)?, row(2)?, row(3)?, row(4)?);
    let epsilon = settings.float("epsilon", 1e-5);
    let shape = tensor.shape().to_vec();
    let mut values = tensor.into_floats()?;
    for (at, plane) in values.chunks_exact_mut(area.max(1)).enumerate() {
        let c = at % channels;
        let factor = scale[c] / (variance[c] + epsilon).sqrt();
        let offset = shift[c] - mean[c] * factor;
        plane.iter_mut().for_each(|x| *x = *x * factor + offset);
    }
    one(Tensor::floats(shape, values)?)
}

/// `γ (x − μ) / √(σ² + ε) + β` with the statistics of the axes from `axis` on.
pub(super) fn layer(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (tensor, scale) = (inputs.take(0)?, inputs.take(1)?.into_floats()?);
    let shift = inputs.optional(2).map(Tensor::into_floats).transpose()?;
    let axis = tensor.axis(settings.int("axis", -1))?;
    let [before, along, after] = tensor.around(axis);
    let width = along * after;
    let shift = shift.unwrap_or_else(|| vec![0.0; width]);
    if scale.len() != width || shift.len() != width {
        return Err(format!("{} scales for rows of {width}", scale.len()));
    }
    let epsilon = f64::from(settings.float("epsilon", 1e-5));
    rows_along(tensor, [before, width, 1], |row| {
        let n = row.len() as f64;
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let squares = row.iter().map(|x| (f64::from(*x) - mean).powi(2));
        let factor = (1.0 / (squares.sum::<f64>() / n + epsilon).sqrt()) as f32;
        let mean = mean as f32;
        for ((x, scale), shift) in row.iter_mut().zip(&scale).zip(&shift) {
            *x = (*x - mean) * factor * scale + shift;
        }
    })
}

/// Rows of length 1.
pub(super) fn lp(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let around = tensor.around(tensor.axis(settings.int("axis", -1))?);
    let absolute = settings.int("p", 2) == 1;
    rows_along(tensor, around, |row| {
        let norm = match absolute {
            true => row.iter().map(|x| x.abs()).sum::<f32>(),
            false => row.iter().map(|x| x * x).sum::<f32>().sqrt(),
        };
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
    })
}
