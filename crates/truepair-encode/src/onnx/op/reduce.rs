//! Operators that make one value of several.

use super::super::tensor::{Tensor, Values, axis_of, strides};
use super::super::wire::Fault;
use super::{Inputs, Settings, one};

pub(super) fn mean(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    floats(settings, inputs, 0.0, |a, b| a + b, |sum, n| sum / n as f32)
}

pub(super) fn sum(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    either(settings, inputs, (0.0, |a, b| a + b), (0, |a, b| a + b))
}

pub(super) fn product(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    either(settings, inputs, (1.0, |a, b| a * b), (1, |a, b| a * b))
}

pub(super) fn max(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    either(
        settings,
        inputs,
        (f32::NEG_INFINITY, f32::max),
        (i64::MIN, i64::max),
    )
}

pub(super) fn min(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    either(
        settings,
        inputs,
        (f32::INFINITY, f32::min),
        (i64::MAX, i64::min),
    )
}

pub(super) fn l2(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    floats(settings, inputs, 0.0, |a, b| a + b * b, |sum, _| sum.sqrt())
}

/// A start and how a value is taken in.
type Fold<T> = (T, fn(T, T) -> T);

fn either(
    settings: &Settings,
    mut inputs: Inputs,
    float: Fold<f32>,
    whole: Fold<i64>,
) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let plan = Plan::new(settings, &mut inputs, &tensor)?;
    one(match tensor.values() {
        Values::Floats(values) => {
            let (folded, _) = plan.fold(values, float.0, float.1);
            Tensor::floats(plan.shape, folded)?
        }
        Values::Ints(values) => {
            let (folded, _) = plan.fold(values, whole.0, whole.1);
            Tensor::ints(plan.shape, folded)?
        }
    })
}

fn floats(
    settings: &Settings,
    mut inputs: Inputs,
    start: f32,
    fold: fn(f32, f32) -> f32,
    finish: fn(f32, usize) -> f32,
) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let plan = Plan::new(settings, &mut inputs, &tensor)?;
    let (mut folded, n) = plan.fold(tensor.as_floats()?, start, fold);
    folded.iter_mut().for_each(|x| *x = finish(*x, n));
    one(Tensor::floats(plan.shape, folded)?)
}

/// Which axes vanish.
struct Plan {
    /// Shape of the result.
    shape: Vec<usize>,
    input: Vec<usize>,
    /// Stride of each input axis in the result; 0 for axes that vanish.
    steps: Vec<usize>,
}

impl Plan {
    fn new(settings: &Settings, inputs: &mut Inputs, tensor: &Tensor) -> Result<Self, Fault> {
        let rank = tensor.rank();
        let named = inputs.ints(1, settings, "axes")?.unwrap_or_default();
        let mut gone = vec![false; rank];
        for axis in &named {
            gone[axis_of(*axis, rank)?] = true;
        }
        if named.is_empty() && settings.int("noop_with_empty_axes", 0) == 0 {
            gone.fill(true);
        }
        let sizes = tensor.shape().iter().zip(&gone);
        let kept: Vec<usize> = sizes
            .map(|(size, gone)| if *gone { 1 } else { *size })
            .collect();
        let own = strides(&kept);
        let steps = own
            .iter()
            .zip(&gone)
            .map(|(step, gone)| if *gone { 0 } else { *step });
        let keep = settings.int("keepdims", 1) != 0;
        let sizes = kept.iter().zip(&gone).filter(|(_, gone)| keep || !**gone);
        Ok(Self {
            shape: sizes.map(|(size, _)| *size).collect(),
            input: tensor.shape().to_vec(),
            steps: steps.collect(),
        })
    }

    /// The folds, and how many values went into each.
    fn fold<T: Copy>(&self, values: &[T], start: T, fold: fn(T, T) -> T) -> (Vec<T>, usize) {
        let n: usize = self.shape.iter().product();
        let mut out = vec![start; n];
        let mut counter = vec![0; self.input.len()];
        let mut at = 0;
        for value in values {
            out[at] = fold(out[at], *value);
            for axis in (0..self.input.len()).rev() {
                counter[axis] += 1;
                at += self.steps[axis];
                if counter[axis] < self.input[axis] {
                    break;
                }
                at -= self.steps[axis] * self.input[axis];
                counter[axis] = 0;
            }
        }
        (out, values.len() / n.max(1))
    }
}

pub(super) fn arg_max(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let axis = tensor.axis(settings.int("axis", 0))?;
    let [before, along, after] = tensor.around(axis);
    let last = settings.int("select_last_index", 0) != 0;
    let value = |at: usize| match tensor.values() {
        Values::Floats(values) => f64::from(values[at]),
        Values::Ints(values) => values[at] as f64,
    };
    let mut found = Vec::with_capacity(before * after);
    for start in (0..before).flat_map(|i| (0..after).map(move |j| i * along * after + j)) {
        let mut best = 0;
        for k in 1..along {
            let (held, new) = (value(start + best * after), value(start + k * after));
            if new > held || (last && new >= held) {
                best = k;
            }
        }
        found.push(best as i64);
    }
    let mut shape = tensor.shape().to_vec();
    match settings.int("keepdims", 1) != 0 {
        true => shape[axis] = 1,
        false => drop(shape.remove(axis)),
    }
    one(Tensor::ints(shape, found)?)
}

pub(super) fn cum_sum(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (tensor, axis) = (inputs.take(0)?, inputs.take(1)?);
    if settings.int("exclusive", 0) != 0 || settings.int("reverse", 0) != 0 {
        return Err("exclusive and reverse sums are not supported".into());
    }
    let axis = axis.as_ints()?.first().copied().ok_or("no axis")?;
    let [before, along, after] = tensor.around(tensor.axis(axis)?);
    let shape = tensor.shape().to_vec();
    fn run<T: Copy + std::ops::Add<Output = T>>(values: &[T], sizes: [usize; 3]) -> Vec<T> {
        let [before, along, after] = sizes;
        let mut sums = values.to_vec();
        for start in (0..before).flat_map(|i| (0..after).map(move |j| i * along * after + j)) {
            for k in 1..along {
                let at = start + k * after;
                sums[at] = sums[at] + sums[at - after];
            }
        }
        sums
    }
    let sizes = [before, along, after];
    one(match tensor.values() {
        Values::Floats(values) => Tensor::floats(shape, run(values, sizes))?,
        Values::Ints(values) => Tensor::ints(shape, run(values, sizes))?,
    })
}
