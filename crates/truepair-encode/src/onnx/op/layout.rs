//! Operators that move values and compute none.

use super::super::tensor::{Tensor, axis_of, strides};
use super::super::wire::Fault;
use super::combine::joint_shape;
use super::index::{count, sizes};
use super::{Inputs, Settings, one};

/// 0 keeps a size, −1 takes what is left.
pub(super) fn reshape(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let asked = inputs.ints(1, settings, "shape")?.ok_or("no shape")?;
    let keeps = settings.int("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(asked.len());
    for (axis, size) in asked.iter().enumerate() {
        shape.push(match size {
            -1 => 1,
            0 if keeps => *(tensor.shape().get(axis)).ok_or_else(|| format!("shape {asked:?}"))?,
            size => usize::try_from(*size).map_err(|_| format!("shape {asked:?}"))?,
        });
    }
    if let Some(open) = asked.iter().position(|size| *size == -1) {
        shape[open] = tensor.len() / count(&shape)?.max(1);
    }
    one(tensor.reshaped(shape)?)
}

pub(super) fn flatten(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let rank = tensor.rank() as i64;
    let axis = settings.int("axis", 1);
    let axis = if axis < 0 { axis + rank } else { axis };
    if !(0..=rank).contains(&axis) {
        return Err(format!("axis {axis} of {rank}"));
    }
    let (before, after) = tensor.shape().split_at(axis as usize);
    let shape = vec![before.iter().product(), after.iter().product()];
    one(tensor.reshaped(shape)?)
}

pub(super) fn squeeze(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let gone = match inputs.ints(1, settings, "axes")? {
        Some(axes) => axes
            .iter()
            .map(|axis| tensor.axis(*axis))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..tensor.rank())
            .filter(|axis| tensor.shape()[*axis] == 1)
            .collect(),
    };
    let kept = (0..tensor.rank()).filter(|axis| !gone.contains(axis));
    let shape = kept.map(|axis| tensor.shape()[axis]).collect();
    one(tensor.reshaped(shape)?)
}

pub(super) fn unsqueeze(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let axes = inputs.ints(1, settings, "axes")?.ok_or("no axes")?;
    let rank = tensor.rank() + axes.len();
    let new = (axes.iter().map(|axis| axis_of(*axis, rank))).collect::<Result<Vec<_>, _>>()?;
    let mut old = tensor.shape().iter();
    let size = |axis| match new.contains(&axis) {
        true => 1,
        false => old.next().copied().unwrap_or(1),
    };
    let shape = (0..rank).map(size).collect();
    one(tensor.reshaped(shape)?)
}

/// Walks `shape` in row-major order; a step along an axis moves by its stride in `steps`.
fn walk(shape: &[usize], steps: &[isize], start: usize) -> impl Iterator<Item = usize> + use<> {
    let (shape, steps) = (shape.to_vec(), steps.to_vec());
    let n: usize = shape.iter().product();
    let mut counter = vec![0; shape.len()];
    let mut at = start as isize;
    (0..n).map(move |_| {
        let place = at as usize;
        for axis in (0..shape.len()).rev() {
            counter[axis] += 1;
            at += steps[axis];
            if counter[axis] < shape[axis] {
                break;
            }
            at -= steps[axis] * shape[axis] as isize;
            counter[axis] = 0;
        }
        place
    })
}

fn signed(steps: &[usize]) -> Vec<isize> {
    steps.iter().map(|step| *step as isize).collect()
}

pub(super) fn transpose(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let order: Vec<usize> = match settings.ints("perm") {
        Some(axes) => sizes(axes)?,
        None => (0..tensor.rank()).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..tensor.rank()).collect::<Vec<_>>() {
        return Err(format!(
            "axes in the order {order:?} of {:?}",
            tensor.shape()
        ));
    }
    let own = strides(tensor.shape());
    let shape: Vec<usize> = order.iter().map(|axis| tensor.shape()[*axis]).collect();
    let steps: Vec<isize> = order.iter().map(|axis| own[*axis] as isize).collect();
    let places = walk(&shape, &steps, 0);
    one(tensor.picked(shape, places)?)
}

pub(super) fn expand(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (tensor, asked) = (inputs.take(0)?, inputs.take(1)?);
    let shape = joint_shape(tensor.shape(), &sizes(asked.as_ints()?)?)?;
    count(&shape)?;
    let offset = shape.len() - tensor.rank();
    let own = strides(tensor.shape());
    let step = |axis: usize| match axis.checked_sub(offset) {
        Some(axis) if tensor.shape()[axis] != 1 => own[axis] as isize,
        _ => 0,
    };
    let steps: Vec<isize> = (0..shape.len()).map(step).collect();
    let places = walk(&shape, &steps, 0);
    one(tensor.picked(shape, places)?)
}

pub(super) fn tile(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (tensor, repeats) = (inputs.take(0)?, inputs.take(1)?);
    let repeats = sizes(repeats.as_ints()?)?;
    if repeats.len() != tensor.rank() {
        return Err(format!("repeats {repeats:?} of {:?}", tensor.shape()));
    }
    // Every axis becomes two: the repeats, which do not move, and the values.
    let own = strides(tensor.shape());
    let axes = || repeats.iter().zip(tensor.shape()).zip(&own);
    let inner: Vec<usize> = axes().flat_map(|((r, size), _)| [*r, *size]).collect();
    let steps: Vec<isize> = axes().flat_map(|(_, step)| [0, *step as isize]).collect();
    let shape: Vec<usize> = axes().map(|((r, size), _)| r * size).collect();
    count(&shape)?;
    let places = walk(&inner, &steps, 0);
    one(tensor.picked(shape, places)?)
}

pub(super) fn slice(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let starts = inputs.ints(1, settings, "starts")?.ok_or("no starts")?;
    let ends = inputs.ints(2, settings, "ends")?.ok_or("no ends")?;
    let axes =
        (inputs.ints(3, settings, "axes")?).unwrap_or_else(|| (0..starts.len() as i64).collect());
    let strides_asked = inputs
        .ints(4, settings, "steps")?
        .unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), strides_asked.len()] != [starts.len(); 3] {
        return Err(format!("{} starts and {} ends", starts.len(), ends.len()));
    }
    let mut shape = tensor.shape().to_vec();
    let mut steps = signed(&strides(tensor.shape()));
    let mut first = 0;
    for (n, axis) in axes.iter().enumerate() {
        let axis = tensor.axis(*axis)?;
        let (size, step) = (tensor.shape()[axis] as i64, strides_asked[n]);
        let from_start = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (start, end, n) = match step {
            1.. => {
                let start = from_start(starts[n]).clamp(0, size);
                let end = from_start(ends[n]).clamp(start, size);
                (
                    start,
                    end,
                    (end - start).unsigned_abs().div_ceil(step.unsigned_abs()),
                )
            }
            0 => return Err("steps of 0".into()),
            _ => {
                let start = from_start(starts[n]).clamp(-1, size - 1);
                let end = from_start(ends[n]).clamp(-1, start);
                (
                    start,
                    end,
                    (start - end).unsigned_abs().div_ceil(step.unsigned_abs()),
                )
            }
        };
        debug_assert!(start >= end || step > 0);
        shape[axis] = n as usize;
        if n > 0 {
            first += start as usize * strides(tensor.shape())[axis];
        }
        steps[axis] *= step as isize;
    }
    let places = walk(&shape, &steps, first);
    one(tensor.picked(shape.clone(), places)?)
}

pub(super) fn concat(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let parts = (0..inputs.len()).map(|index| inputs.take(index));
    let parts = parts.collect::<Result<Vec<Tensor>, _>>()?;
    let first = parts.first().ok_or("nothing to join")?;
    let axis = first.axis(settings.int("axis", 0))?;
    let mut shape = first.shape().to_vec();
    shape[axis] = 0;
    for part in &parts {
        let others = |shape: &[usize]| [&shape[..axis], &shape[axis + 1..]].concat();
        if part.rank() != shape.len() || others(part.shape()) != others(&shape) {
            return Err(format!("parts {:?} and {:?}", first.shape(), part.shape()));
        }
        shape[axis] += part.shape()[axis];
    }
    let [before, _, _] = first.around(axis);
    let whole = parts.iter().all(|part| part.as_ints().is_ok());
    fn join<'a, T: Copy + 'a>(parts: &[&'a [T]], before: usize) -> Vec<T> {
        let rows = |row: usize| {
            parts.iter().flat_map(move |part| {
                let width = part.len() / before.max(1);
                part[row * width..(row + 1) * width].iter().copied()
            })
        };
        (0..before).flat_map(rows).collect()
    }
    one(if whole {
        let parts = parts
            .iter()
            .map(Tensor::as_ints)
            .collect::<Result<Vec<_>, _>>()?;
        Tensor::ints(shape, join(&parts, before))?
    } else {
        let parts = parts
            .iter()
            .map(Tensor::as_floats)
            .collect::<Result<Vec<_>, _>>()?;
        Tensor::floats(shape, join(&parts, before))?
    })
}

pub(super) fn split(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let axis = tensor.axis(settings.int("axis", 0))?;
    let [before, along, after] = tensor.around(axis);
    let parts = match inputs.ints(1, settings, "split")? {
        Some(parts) => sizes(&parts)?,
        None => {
            let n = settings.n_outputs.max(1);
            let share = along.div_ceil(n);
            (0..n)
                .map(|i| share.min(along.saturating_sub(i * share)))
                .collect()
        }
    };
    if parts.iter().sum::<usize>() != along {
        return Err(format!("parts {parts:?} of {along}"));
    }
    let mut start = 0;
    let mut results = Vec::with_capacity(parts.len());
    for size in parts {
        let mut shape = tensor.shape().to_vec();
        shape[axis] = size;
        let places = (0..before).flat_map(move |row| {
            let first = (row * along + start) * after;
            first..first + size * after
        });
        results.push(tensor.picked(shape, places)?);
        start += size;
    }
    Ok(results)
}

/// Adds a constant around; negative and reflecting padding are not supported.
pub(super) fn pad(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let pads = inputs.ints(1, settings, "pads")?.ok_or("no pads")?;
    let pads = sizes(&pads)?;
    let rank = tensor.rank();
    if settings.text("mode").unwrap_or("constant") != "constant" || pads.len() != 2 * rank {
        return Err(format!(
            "pads {pads:?} of {:?}, expected constants",
            tensor.shape()
        ));
    }
    let value = match inputs.optional(2) {
        Some(value) => value.as_floats()?.first().copied().unwrap_or(0.0),
        None => settings.float("value", 0.0),
    };
    let padded = |axis: usize| pads[axis] + tensor.shape()[axis] + pads[rank + axis];
    let shape: Vec<usize> = (0..rank).map(padded).collect();
    let steps = strides(&shape);
    let start = (0..rank).map(|axis| pads[axis] * steps[axis]).sum();
    let mut out = vec![value; count(&shape)?];
    let places = walk(tensor.shape(), &signed(&steps), start);
    for (place, x) in places.zip(tensor.as_floats()?) {
        out[place] = *x;
    }
    one(Tensor::floats(shape, out)?)
}
