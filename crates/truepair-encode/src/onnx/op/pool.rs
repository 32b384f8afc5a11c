//! Windows over planes `[n, c, h, w]`.

use super::super::tensor::Tensor;
use super::super::wire::Fault;
use super::{Inputs, Settings, one};

/// How a window moves over a plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Before the first row and column.
    pub(super) before: [usize; 2],
    /// Input rows and columns.
    pub(super) input: [usize; 2],
    /// Output rows and columns.
    pub(super) output: [usize; 2],
}

impl Window {
    /// # Errors
    /// If the settings are not of two axes, or the window is larger than the padded plane.
    pub(super) fn new(
        settings: &Settings,
        kernel: [usize; 2],
        input: [usize; 2],
    ) -> Result<Self, Fault> {
        let pair = |name: &str| -> Result<[usize; 2], Fault> {
            match settings.ints(name) {
                None | Some([]) => Ok([1, 1]),
                Some(&[a, b]) if a > 0 && b > 0 => Ok([a as usize, b as usize]),
                Some(other) => Err(format!("{name} = {other:?}, expected two sizes")),
            }
        };
        let (stride, dilation) = (pair("strides")?, pair("dilations")?);
        let reach = [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) + 1);
        let pads = Self::pads(settings, reach, stride, input)?;
        let up = settings.int("ceil_mode", 0) != 0;
        let mut output = [0; 2];
        for axis in [0, 1] {
            let padded = input[axis] + pads[axis] + pads[axis + 2];
            let Some(room) = padded.checked_sub(reach[axis]) else {
                return Err(format!("a window of {reach:?} in a plane of {input:?}"));
            };
            let steps = room / stride[axis];
            let more = up && room % stride[axis] > 0;
            // A window that begins in the padding behind the plane is left out.
            let more = more && (steps + 1) * stride[axis] < input[axis] + pads[axis];
            output[axis] = steps + 1 + usize::from(more);
        }
        Ok(Self {
            kernel,
            stride,
            dilation,
            before: [pads[0], pads[1]],
            input,
            output,
        })
    }

    /// Padding before and after both axes, given or so that `ceil(input / stride)` come out.
    fn pads(
        settings: &Settings,
        reach: [usize; 2],
        stride: [usize; 2],
        input: [usize; 2],
    ) -> Result<[usize; 4], Fault> {
        let same = |late: bool| {
            let total = |axis: usize| {
                let steps = input[axis].div_ceil(stride[axis]) - 1;
                (steps * stride[axis] + reach[axis]).saturating_sub(input[axis])
            };
            let before = |axis| (total(axis) + usize::from(late)) / 2;
            let after = |axis| total(axis) - before(axis);
            [before(0), before(1), after(0), after(1)]
        };
        match settings.text("auto_pad").unwrap_or("NOTSET") {
            "SAME_UPPER" => Ok(same(false)),
            "SAME_LOWER" => Ok(same(true)),
            "VALID" => Ok([0; 4]),
            "NOTSET" => match settings.ints("pads") {
                None | Some([]) => Ok([0; 4]),
                Some(&[a, b, c, d]) if a.min(b).min(c).min(d) >= 0 => {
                    Ok([a, b, c, d].map(|pad| pad as usize))
                }
                Some(other) => Err(format!("pads = {other:?}, expected four sizes")),
            },
            other => Err(format!("auto_pad = {other}")),
        }
    }

    /// Outputs `from..to` whose tap `tap` lies inside the input, along `axis`.
    pub(super) fn inside(&self, axis: usize, tap: usize) -> (usize, usize) {
        let (shift, stride) = (tap * self.dilation[axis], self.stride[axis]);
        let from = self.before[axis].saturating_sub(shift).div_ceil(stride);
        let end = self.input[axis] + self.before[axis];
        let to = end.saturating_sub(shift).div_ceil(stride);
        let to = to.min(self.output[axis]);
        (from.min(to), to)
    }

    /// Input position of output `out` under tap `tap`, which must be [`inside`](Self::inside).
    pub(super) fn position(&self, axis: usize, out: usize, tap: usize) -> usize {
        out * self.stride[axis] + tap * self.dilation[axis] - self.before[axis]
    }
}

/// Sizes of planes.
///
/// # Errors
/// If the tensor has not four axes or no value.
pub(super) fn planes(tensor: &Tensor) -> Result<[usize; 4], Fault> {
    match tensor.shape() {
        &[n, c, h, w] if n * c * h * w > 0 => Ok([n, c, h, w]),
        shape => Err(format!("shape {shape:?}, expected planes [n, c, h, w]")),
    }
}

pub(super) fn max(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    windows(
        settings,
        inputs.take(0)?,
        f32::NEG_INFINITY,
        f32::max,
        |x, _| x,
    )
}

pub(super) fn average(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let padding_counts = settings.int("count_include_pad", 0) != 0;
    let share = |sum: f32, counts: [usize; 2]| {
        let [inside, all] = counts;
        sum / (if padding_counts { all } else { inside }).max(1) as f32
    };
    windows(settings, inputs.take(0)?, 0.0, |a, b| a + b, share)
}

/// Folds every window; `finish` gets the fold, the taps inside the plane and all taps.
fn windows(
    settings: &Settings,
    tensor: Tensor,
    start: f32,
    fold: impl Fn(f32, f32) -> f32,
    finish: impl Fn(f32, [usize; 2]) -> f32,
) -> Result<Vec<Tensor>, Fault> {
    let [n, c, h, w] = planes(&tensor)?;
    let kernel = match settings.ints("kernel_shape") {
        Some(&[a, b]) if a > 0 && b > 0 => [a as usize, b as usize],
        other => return Err(format!("kernel_shape = {other:?}, expected two sizes")),
    };
    let window = Window::new(settings, kernel, [h, w])?;
    let [rows, columns] = window.output;
    let mut out = vec![start; n * c * rows * columns];
    let mut counts = vec![0; rows * columns];
    let taps = (0..kernel[0]).flat_map(|y| (0..kernel[1]).map(move |x| [y, x]));
    for [ky, kx] in taps {
        let (top, bottom) = window.inside(0, ky);
        let (left, right) = window.inside(1, kx);
        for y in top..bottom {
            counts[y * columns + left..y * columns + right]
                .iter_mut()
                .for_each(|count| *count += 1);
        }
        let planes = tensor.as_floats()?.chunks_exact(h * w);
        for (plane, out) in planes.zip(out.chunks_exact_mut(rows * columns)) {
            for y in top..bottom {
                let row = &plane[window.position(0, y, ky) * w..][..w];
                for x in left..right {
                    let at = y * columns + x;
                    out[at] = fold(out[at], row[window.position(1, x, kx)]);
                }
            }
        }
    }
    let all = kernel[0] * kernel[1];
    for out in out.chunks_exact_mut(rows * columns) {
        for (x, inside) in out.iter_mut().zip(&counts) {
            *x = finish(*x, [*inside, all]);
        }
    }
    one(Tensor::floats(vec![n, c, rows, columns], out)?)
}

pub(super) fn global_average(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    whole(inputs.take(0)?, |plane| {
        plane.iter().sum::<f32>() / plane.len() as f32
    })
}

pub(super) fn global_max(_: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    whole(inputs.take(0)?, |plane| {
        plane.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    })
}

fn whole(tensor: Tensor, pool: impl Fn(&[f32]) -> f32) -> Result<Vec<Tensor>, Fault> {
    let [n, c, h, w] = planes(&tensor)?;
    let values = tensor.as_floats()?.chunks_exact(h * w).map(pool).collect();
    one(Tensor::floats(vec![n, c, 1, 1], values)?)
}
