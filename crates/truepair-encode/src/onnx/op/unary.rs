//! Operators that map every value by itself.

use truepair_kernel::vector::wide;

use super::super::tensor::{Tensor, Values};
use super::super::wire::Fault;
use super::{Inputs, Settings, one};

/// Maps floats in place; vectorized where `f` is plain arithmetic.
#[inline(always)]
fn map(mut inputs: Inputs, f: impl Fn(f32) -> f32) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let shape = tensor.shape().to_vec();
    let mut values = tensor.into_floats()?;
    wide(
        #[inline(always)]
        || values.iter_mut().for_each(|x| *x = f(*x)),
    );
    one(Tensor::floats(shape, values)?)
}

pub(super) fn identity(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    one(inputs.take(0)?)
}

pub(super) fn relu(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(
        inputs,
        #[inline(always)]
        |x| x.max(0.0),
    )
}

pub(super) fn leaky_relu(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let slope = settings.float("alpha", 0.01);
    map(
        inputs,
        #[inline(always)]
        |x| if x < 0.0 { slope * x } else { x },
    )
}

pub(super) fn sigmoid(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, |x| 1.0 / (1.0 + (-x).exp()))
}

pub(super) fn hard_sigmoid(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (alpha, beta) = (settings.float("alpha", 0.2), settings.float("beta", 0.5));
    map(
        inputs,
        #[inline(always)]
        |x| (alpha * x + beta).clamp(0.0, 1.0),
    )
}

pub(super) fn hard_swish(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(
        inputs,
        #[inline(always)]
        |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
    )
}

pub(super) fn softplus(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())
}

pub(super) fn tanh(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, f32::tanh)
}

pub(super) fn erf(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, erf_of)
}

/// `x Φ(x)`, or its approximation with the hyperbolic tangent where the model asks for that.
pub(super) fn gelu(settings: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    if settings.text("approximate") == Some("tanh") {
        let inner = |x: f32| (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
        return map(inputs, |x| 0.5 * x * (1.0 + inner(x).tanh()));
    }
    let scale = std::f32::consts::FRAC_1_SQRT_2;
    map(
        inputs,
        #[inline(always)]
        |x| 0.5 * x * (1.0 + erf_of(x * scale)),
    )
}

/// The error function to 3e-7.
///
/// # Source
/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.28; it needs no exponential.
#[inline(always)]
fn erf_of(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let series = 1.0
        + a * (0.070_523_078_4
            + a * (0.042_282_012_3
                + a * (0.009_270_527_2
                    + a * (0.000_152_014_3 + a * (0.000_276_567_2 + a * 0.000_043_063_8)))));
    let fourth = series * series * series * series;
    let magnitude = 1.0 - 1.0 / (fourth * fourth * fourth * fourth);
    (magnitude as f32).copysign(x)
}

pub(super) fn exp(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, f32::exp)
}

pub(super) fn log(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, f32::ln)
}

pub(super) fn sqrt(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(
        inputs,
        #[inline(always)]
        |x| x.sqrt(),
    )
}

pub(super) fn reciprocal(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(
        inputs,
        #[inline(always)]
        |x| 1.0 / x,
    )
}

pub(super) fn sin(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, f32::sin)
}

pub(super) fn cos(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, f32::cos)
}

pub(super) fn floor(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, f32::floor)
}

pub(super) fn ceil(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map(inputs, f32::ceil)
}

pub(super) fn neg(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map_either(inputs, |x| -x, |x| x.wrapping_neg())
}

pub(super) fn abs(_: &Settings, inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    map_either(inputs, f32::abs, i64::wrapping_abs)
}

pub(super) fn not(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let values = tensor.as_ints()?.iter().map(|x| i64::from(*x == 0));
    one(Tensor::ints(tensor.shape().to_vec(), values.collect())?)
}

fn map_either(
    mut inputs: Inputs,
    float: impl Fn(f32) -> f32,
    int: impl Fn(i64) -> i64,
) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let shape = tensor.shape().to_vec();
    one(match tensor.values() {
        Values::Floats(values) => {
            Tensor::floats(shape, values.iter().map(|x| float(*x)).collect())?
        }
        Values::Ints(values) => Tensor::ints(shape, values.iter().map(|x| int(*x)).collect())?,
    })
}

/// Limits are inputs in new models and settings in old ones.
pub(super) fn clip(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let mut limit = |index: usize, name: &str, default: f32| match inputs.optional(index) {
        Some(tensor) => {
            let values = tensor.as_floats()?;
            values
                .first()
                .copied()
                .ok_or_else(|| "an empty limit".to_owned())
        }
        None => Ok(settings.float(name, default)),
    };
    let low = limit(1, "min", f32::NEG_INFINITY)?;
    let high = limit(2, "max", f32::INFINITY)?;
    map(
        inputs,
        #[inline(always)]
        |x| x.max(low).min(high),
    )
}

/// Types of whole numbers and truth values in the standard.
const WHOLE: [i64; 9] = [2, 3, 4, 5, 6, 7, 9, 12, 13];
const TRUTH: i64 = 9;

pub(super) fn cast(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let tensor = inputs.take(0)?;
    let to = settings.int("to", 1);
    let shape = tensor.shape().to_vec();
    let whole = WHOLE.contains(&to);
    one(match tensor.values() {
        Values::Floats(values) if to == TRUTH => {
            let truths = values.iter().map(|x| i64::from(*x != 0.0));
            Tensor::ints(shape, truths.collect())?
        }
        Values::Floats(values) if whole => {
            Tensor::ints(shape, values.iter().map(|x| *x as i64).collect())?
        }
        Values::Ints(values) if to == TRUTH => {
            Tensor::ints(shape, values.iter().map(|x| i64::from(*x != 0)).collect())?
        }
        Values::Ints(values) if !whole => {
            Tensor::floats(shape, values.iter().map(|x| *x as f32).collect())?
        }
        _ => tensor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_is_close() {
        for (x, expected) in [
            (0.0f32, 0.0f32),
            (0.1, 0.112_462_92),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (2.0, 0.995_322_3),
            (4.0, 1.0),
        ] {
            assert!((erf_of(x) - expected).abs() < 5e-7, "{x}: {}", erf_of(x));
            assert_eq!(erf_of(-x), -erf_of(x));
        }
    }
}
