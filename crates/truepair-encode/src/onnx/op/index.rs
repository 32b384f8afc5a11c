//! Operators that make constants, ask for sizes, or look values up.

use super::super::tensor::{Tensor, Values};
use super::super::wire::Fault;
use super::{Inputs, Settings, one};

pub(super) fn constant(settings: &Settings, _: Inputs) -> Result<Vec<Tensor>, Fault> {
    let value = settings.attributes.iter().find_map(|attribute| {
        Some(match attribute.name.as_str() {
            "value" => return attribute.tensor.clone().map(Ok),
            "value_int" => Tensor::ints(Vec::new(), vec![attribute.int?]),
            "value_float" => Tensor::floats(Vec::new(), vec![attribute.float?]),
            "value_ints" => Tensor::ints(vec![attribute.ints.len()], attribute.ints.clone()),
            "value_floats" => {
                Tensor::floats(vec![attribute.floats.len()], attribute.floats.clone())
            }
            _ => return None,
        })
    });
    one(value.ok_or("it has no value")??)
}

pub(super) fn constant_of_shape(
    settings: &Settings,
    mut inputs: Inputs,
) -> Result<Vec<Tensor>, Fault> {
    let shape = sizes(inputs.take(0)?.as_ints()?)?;
    let n = count(&shape)?;
    let value = settings
        .find("value")
        .and_then(|attribute| attribute.tensor.as_ref());
    one(match value.map(Tensor::values) {
        Some(Values::Ints(values)) => {
            Tensor::ints(shape, vec![values.first().copied().unwrap_or(0); n])?
        }
        Some(Values::Floats(values)) => {
            Tensor::floats(shape, vec![values.first().copied().unwrap_or(0.0); n])?
        }
        None => Tensor::floats(shape, vec![0.0; n])?,
    })
}

/// Values that a model may ask for at once: 4 GiB of them.
const MOST_VALUES: usize = 1 << 30;

/// # Errors
/// If a tensor of this shape is too large to be meant.
pub(super) fn count(shape: &[usize]) -> Result<usize, Fault> {
    let n = shape
        .iter()
        .try_fold(1usize, |product, size| product.checked_mul(*size));
    n.filter(|n| *n <= MOST_VALUES)
        .ok_or_else(|| format!("a tensor of shape {shape:?}"))
}

/// # Errors
/// If a size is negative.
pub(super) fn sizes(values: &[i64]) -> Result<Vec<usize>, Fault> {
    let sizes = values.iter().map(|size| usize::try_from(*size));
    sizes
        .collect::<Result<_, _>>()
        .map_err(|_| format!("sizes {values:?}"))
}

pub(super) fn shape(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let rank = tensor.rank() as i64;
    let place = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let (start, end) = (
        place(settings.int("start", 0)),
        place(settings.int("end", rank)),
    );
    let sizes = tensor.shape().get(start..end).unwrap_or_default();
    let sizes: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
    one(Tensor::ints(vec![sizes.len()], sizes)?)
}

pub(super) fn range(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (start, end, step) = (inputs.take(0)?, inputs.take(1)?, inputs.take(2)?);
    let (Some(&start), Some(&end), Some(&step)) = (
        start.as_ints()?.first(),
        end.as_ints()?.first(),
        step.as_ints()?.first(),
    ) else {
        return Err("an empty limit".into());
    };
    if step == 0 {
        return Err("steps of 0".into());
    }
    let room = if step > 0 {
        end.saturating_sub(start)
    } else {
        start.saturating_sub(end)
    };
    let n = count(&[room.max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as usize])?;
    one(Tensor::ints(
        vec![n],
        (0..n as i64).map(|i| start + i * step).collect(),
    )?)
}

/// An index counted from the end when it is negative.
fn within(index: i64, n: usize) -> Result<usize, Fault> {
    let from_start = if index < 0 { index + n as i64 } else { index };
    let found = usize::try_from(from_start).ok().filter(|index| *index < n);
    found.ok_or_else(|| format!("index {index} of {n}"))
}

/// Slices of `data` along the axis, one for every index.
pub(super) fn gather(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (data, indices) = (inputs.take(0)?, inputs.take(1)?);
    let axis = data.axis(settings.int("axis", 0))?;
    let [before, along, after] = data.around(axis);
    let rows = indices.as_ints()?.iter().map(|index| within(*index, along));
    let rows = rows.collect::<Result<Vec<usize>, _>>()?;
    let mut shape = data.shape()[..axis].to_vec();
    shape.extend(indices.shape());
    shape.extend(&data.shape()[axis + 1..]);
    let rows = &rows;
    let places = (0..before).flat_map(move |i| {
        rows.iter().flat_map(move |row| {
            let start = (i * along + row) * after;
            start..start + after
        })
    });
    one(data.picked(shape, places)?)
}

pub(super) fn gather_elements(
    settings: &Settings,
    mut inputs: Inputs,
) -> Result<Vec<Tensor>, Fault> {
    let (data, indices) = (inputs.take(0)?, inputs.take(1)?);
    let axis = data.axis(settings.int("axis", 0))?;
    let fits = data.rank() == indices.rank()
        && (0..data.rank()).all(|at| at == axis || data.shape()[at] == indices.shape()[at]);
    if !fits {
        return Err(format!(
            "indices {:?} into {:?}",
            indices.shape(),
            data.shape()
        ));
    }
    let [_, along, after] = data.around(axis);
    let [_, asked, _] = indices.around(axis);
    let mut places = Vec::with_capacity(indices.len());
    for (at, index) in indices.as_ints()?.iter().enumerate() {
        let (row, column) = (at / (asked * after), at % after);
        places.push((row * along + within(*index, along)?) * after + column);
    }
    one(data.picked(indices.shape().to_vec(), places.into_iter())?)
}

pub(super) fn gather_nd(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (data, indices) = (inputs.take(0)?, inputs.take(1)?);
    let depth = indices.shape().last().copied().unwrap_or(0);
    if settings.int("batch_dims", 0) != 0 || depth == 0 || depth > data.rank() {
        return Err(format!(
            "indices {:?} into {:?}",
            indices.shape(),
            data.shape()
        ));
    }
    let after: usize = data.shape()[depth..].iter().product();
    let mut places = Vec::new();
    for index in indices.as_ints()?.chunks_exact(depth) {
        let mut at = 0;
        for (index, size) in index.iter().zip(data.shape()) {
            at = at * size + within(*index, *size)?;
        }
        places.extend(at * after..(at + 1) * after);
    }
    let mut shape = indices.shape()[..indices.rank() - 1].to_vec();
    shape.extend(&data.shape()[depth..]);
    one(data.picked(shape, places.into_iter())?)
}
