//! Operators of two or three values, with NumPy's broadcasting.

use truepair_kernel::vector::wide;

use super::super::tensor::{Tensor, Values, strides};
use super::super::wire::Fault;
use super::{Inputs, Settings, one};

pub(super) fn add(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    arithmetic(
        inputs,
        #[inline(always)]
        |a, b| a + b,
        i64::wrapping_add,
    )
}

pub(super) fn sub(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    arithmetic(
        inputs,
        #[inline(always)]
        |a, b| a - b,
        i64::wrapping_sub,
    )
}

pub(super) fn mul(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    arithmetic(
        inputs,
        #[inline(always)]
        |a, b| a * b,
        i64::wrapping_mul,
    )
}

/// Whole numbers are cut toward zero; by 0 they give 0.
pub(super) fn div(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let whole = |a: i64, b: i64| a.checked_div(b).unwrap_or(0);
    arithmetic(
        inputs,
        #[inline(always)]
        |a, b| a / b,
        whole,
    )
}

pub(super) fn modulo(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let like_c = settings.int("fmod", 0) != 0;
    let whole = |a: i64, b: i64| match (b, like_c) {
        (0, _) => 0,
        (_, true) => a.wrapping_rem(b),
        (_, false) => (a.wrapping_rem(b) + b).wrapping_rem(b),
    };
    arithmetic(inputs, |a, b| a % b, whole)
}

pub(super) fn pow(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (base, exponent) = (inputs.take(0)?, inputs.take(1)?);
    // Exponents may be whole numbers while the base is not.
    let exponent = match exponent.values() {
        Values::Ints(values) if base.as_floats().is_ok() => {
            let floats = values.iter().map(|x| *x as f32).collect();
            Tensor::floats(exponent.shape().to_vec(), floats)?
        }
        _ => exponent,
    };
    let inputs = Inputs(vec![Some(base), Some(exponent)]);
    let float = |a: f32, b: f32| match b {
        2.0 => a * a,
        3.0 => a * a * a,
        0.5 => a.sqrt(),
        b => a.powf(b),
    };
    let whole = |a: i64, b: i64| u32::try_from(b).map_or(0, |b| a.wrapping_pow(b));
    arithmetic(inputs, float, whole)
}

pub(super) fn min(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    fold(inputs, f32::min, i64::min)
}

pub(super) fn max(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    fold(inputs, f32::max, i64::max)
}

fn fold(
    mut inputs: Inputs,
    float: impl Fn(f32, f32) -> f32 + Copy,
    whole: impl Fn(i64, i64) -> i64 + Copy,
) -> Result<Vec<Tensor>, Fault> {
    let mut result = inputs.take(0)?;
    for index in 1..inputs.len() {
        let pair = Inputs(vec![Some(result), Some(inputs.take(index)?)]);
        result = arithmetic(pair, float, whole)?.swap_remove(0);
    }
    one(result)
}

pub(super) fn equal(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    compare(inputs, |a, b| a == b, |a, b| a == b)
}

pub(super) fn less(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    compare(inputs, |a, b| a < b, |a, b| a < b)
}

pub(super) fn less_or_equal(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    compare(inputs, |a, b| a <= b, |a, b| a <= b)
}

pub(super) fn greater(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    compare(inputs, |a, b| a > b, |a, b| a > b)
}

pub(super) fn greater_or_equal(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    compare(inputs, |a, b| a >= b, |a, b| a >= b)
}

pub(super) fn and(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    compare(inputs, |_, _| false, |a, b| a != 0 && b != 0)
}

pub(super) fn or(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    compare(inputs, |_, _| false, |a, b| a != 0 || b != 0)
}

/// `condition ? a : b`
pub(super) fn choose(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (condition, a, b) = (inputs.take(0)?, inputs.take(1)?, inputs.take(2)?);
    let shape = joint_shape(&joint_shape(condition.shape(), a.shape())?, b.shape())?;
    let asked = spread(condition.as_ints()?, condition.shape(), &shape);
    one(match (a.values(), b.values()) {
        (Values::Ints(x), Values::Ints(y)) => {
            let pairs = spread(x, a.shape(), &shape).zip(spread(y, b.shape(), &shape));
            let chosen = asked
                .zip(pairs)
                .map(|(c, (x, y))| if c != 0 { x } else { y });
            Tensor::ints(shape.clone(), chosen.collect())?
        }
        _ => {
            let pairs = spread(a.as_floats()?, a.shape(), &shape).zip(spread(
                b.as_floats()?,
                b.shape(),
                &shape,
            ));
            let chosen = asked
                .zip(pairs)
                .map(|(c, (x, y))| if c != 0 { x } else { y });
            Tensor::floats(shape.clone(), chosen.collect())?
        }
    })
}

fn compare(
    mut inputs: Inputs,
    float: impl Fn(f32, f32) -> bool,
    whole: impl Fn(i64, i64) -> bool,
) -> Result<Vec<Tensor>, Fault> {
    let (a, b) = (inputs.take(0)?, inputs.take(1)?);
    let shape = joint_shape(a.shape(), b.shape())?;
    let truths: Vec<i64> = match (a.values(), b.values()) {
        (Values::Ints(x), Values::Ints(y)) => spread(x, a.shape(), &shape)
            .zip(spread(y, b.shape(), &shape))
            .map(|(x, y)| i64::from(whole(x, y)))
            .collect(),
        _ => spread(a.as_floats()?, a.shape(), &shape)
            .zip(spread(b.as_floats()?, b.shape(), &shape))
            .map(|(x, y)| i64::from(float(x, y)))
            .collect(),
    };
    one(Tensor::ints(shape, truths)?)
}

#[inline(always)]
fn arithmetic(
    mut inputs: Inputs,
    float: impl Fn(f32, f32) -> f32,
    whole: impl Fn(i64, i64) -> i64,
) -> Result<Vec<Tensor>, Fault> {
    let (a, b) = (inputs.take(0)?, inputs.take(1)?);
    let shape = joint_shape(a.shape(), b.shape())?;
    if let (Values::Ints(x), Values::Ints(y)) = (a.values(), b.values()) {
        let pairs = spread(x, a.shape(), &shape).zip(spread(y, b.shape(), &shape));
        let values = pairs.map(|(x, y)| whole(x, y)).collect();
        return one(Tensor::ints(shape, values)?);
    }
    // The whole of one side and a repeated end of the other need no index arithmetic.
    if a.shape() == shape && repeats(b.shape(), &shape) {
        let right = b.as_floats()?.to_vec();
        let values = in_place(a.into_floats()?, &right, float);
        return one(Tensor::floats(shape, values)?);
    }
    if b.shape() == shape && repeats(a.shape(), &shape) {
        let left = a.as_floats()?.to_vec();
        let values = in_place(
            b.into_floats()?,
            &left,
            #[inline(always)]
            |y, x| float(x, y),
        );
        return one(Tensor::floats(shape, values)?);
    }
    let (x, y) = (a.as_floats()?, b.as_floats()?);
    let pairs = spread(x, a.shape(), &shape).zip(spread(y, b.shape(), &shape));
    let values = pairs.map(|(x, y)| float(x, y)).collect();
    one(Tensor::floats(shape, values)?)
}

/// Combines `values` with `other`, which starts again at its end.
#[inline(always)]
fn in_place(mut values: Vec<f32>, other: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    wide(
        #[inline(always)]
        || match other {
            [single] => values.iter_mut().for_each(|x| *x = f(*x, *single)),
            _ => values.chunks_exact_mut(other.len().max(1)).for_each(
                #[inline(always)]
                |chunk| {
                    chunk
                        .iter_mut()
                        .zip(other)
                        .for_each(|(x, y)| *x = f(*x, *y))
                },
            ),
        },
    );
    values
}

/// Whether values of `shape` are repeated as a whole to fill `full`.
fn repeats(shape: &[usize], full: &[usize]) -> bool {
    let first = shape
        .iter()
        .position(|size| *size != 1)
        .unwrap_or(shape.len());
    full.ends_with(&shape[first..]) && shape.iter().all(|size| *size > 0)
}

/// The shape of two tensors together.
///
/// # Errors
/// If sizes differ where none is 1.
pub(super) fn joint_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Fault> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| match axis + shape.len() >= rank {
        true => shape[axis + shape.len() - rank],
        false => 1,
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("shapes {a:?} and {b:?} do not fit")),
        })
        .collect()
}

/// The values of `shape`, repeated to fill `full`, in row-major order.
pub(super) fn spread<'a, T: Copy>(
    values: &'a [T],
    shape: &[usize],
    full: &[usize],
) -> impl Iterator<Item = T> + use<'a, T> {
    let offset = full.len() - shape.len();
    let own = strides(shape);
    let steps: Vec<usize> = (0..full.len())
        .map(|axis| match axis.checked_sub(offset) {
            Some(axis) if shape[axis] != 1 => own[axis],
            _ => 0,
        })
        .collect();
    let full = full.to_vec();
    let n: usize = full.iter().product();
    let mut counter = vec![0; full.len()];
    let mut at = 0;
    (0..n).map(move |_| {
        let value = values[at];
        for axis in (0..full.len()).rev() {
            counter[axis] += 1;
            at += steps[axis];
            if counter[axis] < full[axis] {
                break;
            }
            at -= steps[axis] * full[axis];
            counter[axis] = 0;
        }
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize]) -> Tensor {
        let n = shape.iter().product::<usize>();
        Tensor::floats(shape.to_vec(), (0..n).map(|x| x as f32).collect()).unwrap()
    }

    fn sum(a: &[usize], b: &[usize]) -> Tensor {
        let inputs = Inputs(vec![Some(tensor(a)), Some(tensor(b))]);
        arithmetic(inputs, |a, b| a + 10.0 * b, |_, _| 0)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn shapes_are_broadcast_in_every_order() {
        assert_eq!(sum(&[2, 2], &[2]).as_floats().unwrap(), [0., 11., 2., 13.]);
        assert_eq!(sum(&[2], &[2, 2]).as_floats().unwrap(), [0., 11., 20., 31.]);
        let outer = sum(&[2, 1], &[1, 2]);
        assert_eq!(outer.as_floats().unwrap(), [0., 10., 1., 11.]);
        let middle = sum(&[2, 2, 1], &[2, 1, 1]);
        assert_eq!(middle.shape(), [2, 2, 1]);
        assert_eq!(middle.as_floats().unwrap(), [0., 1., 12., 13.]);
        assert_eq!(sum(&[], &[3]).as_floats().unwrap(), [0., 10., 20.]);
        assert!(joint_shape(&[2, 3], &[2]).is_err());
    }
}
