//! Convolutions of planes.

use truepair_kernel::product::View;
use truepair_kernel::vector::wide;

use super::super::tensor::Tensor;
use super::super::wire::Fault;
use super::linear::multiply;
use super::pool::{Window, planes};
use super::{Inputs, Settings, one};

/// `out[m] = bias[m] + Σ_c weight[m, c] ⋆ in[c]`, in groups of channels.
///
/// A window of one value is a matrix product; groups of one channel are summed tap by tap; all
/// others gather their windows into columns and multiply.
pub(super) fn conv(settings: &Settings, mut inputs: Inputs) -> Result<Vec<Tensor>, Fault> {
    let (input, weight, bias) = (inputs.take(0)?, inputs.take(1)?, inputs.optional(2));
    let [n, channels, h, w] = planes(&input)?;
    let [filters, depth, kh, kw] = planes(&weight)?;
    let groups = usize::try_from(settings.int("group", 1))
        .unwrap_or(0)
        .max(1);
    if channels != groups * depth || !filters.is_multiple_of(groups) {
        return Err(format!(
            "{channels} channels in {groups} groups with weights {:?}",
            weight.shape()
        ));
    }
    if bias.as_ref().is_some_and(|bias| bias.len() != filters) {
        return Err(format!("a bias of other size than {filters}"));
    }
    let window = Window::new(settings, [kh, kw], [h, w])?;
    let [rows, columns] = window.output;
    let (area, of_group) = (rows * columns, filters / groups);
    let (values, weights) = (input.as_floats()?, weight.as_floats()?);
    let mut out = vec![0.0; n * filters * area];
    let mut gathered = Vec::new();
    for (image, out) in values
        .chunks_exact(channels * h * w)
        .zip(out.chunks_exact_mut(filters * area))
    {
        let groups = image.chunks_exact(depth * h * w);
        let outs = out.chunks_exact_mut(of_group * area);
        let filters = weights.chunks_exact(of_group * depth * kh * kw);
        for ((planes, out), weights) in groups.zip(outs).zip(filters) {
            if depth == 1 {
                let taps = weights.chunks_exact(kh * kw);
                let outs = out.chunks_exact_mut(area);
                taps.zip(outs)
                    .for_each(|(taps, out)| sum_taps(&window, planes, taps, out));
                continue;
            }
            let plain = [kh, kw] == [1, 1] && window.stride == [1, 1] && area == h * w;
            let columns = match plain {
                true => planes,
                false => {
                    gather(&window, planes, &mut gathered);
                    &gathered
                }
            };
            let taps = depth * kh * kw;
            multiply(
                View::strided(weights, of_group, taps, taps),
                View::strided(columns, taps, area, area),
                out,
            );
        }
    }
    if let Some(bias) = &bias {
        let bias = bias.as_floats()?.iter().cycle();
        for (plane, bias) in out.chunks_exact_mut(area).zip(bias) {
            plane.iter_mut().for_each(|x| *x += bias);
        }
    }
    one(Tensor::floats(vec![n, filters, rows, columns], out)?)
}

/// Adds one plane under every tap to `out` `[rows, columns]`.
fn sum_taps(window: &Window, plane: &[f32], taps: &[f32], out: &mut [f32]) {
    let ([_, width], columns) = (window.input, window.output[1]);
    for ky in 0..window.kernel[0] {
        let (top, bottom) = window.inside(0, ky);
        for (y, out) in out
            .chunks_exact_mut(columns)
            .enumerate()
            .take(bottom)
            .skip(top)
        {
            let row = &plane[window.position(0, y, ky) * width..][..width];
            for kx in 0..window.kernel[1] {
                let (left, right) = window.inside(1, kx);
                if left < right {
                    let first = window.position(1, left, kx);
                    let weight = taps[ky * window.kernel[1] + kx];
                    add_scaled(
                        &row[first..],
                        window.stride[1],
                        weight,
                        &mut out[left..right],
                    );
                }
            }
        }
    }
}

fn add_scaled(row: &[f32], stride: usize, weight: f32, out: &mut [f32]) {
    wide(
        #[inline(always)]
        || match stride {
            1 => out.iter_mut().zip(row).for_each(|(x, y)| *x += weight * y),
            2 => {
                let (pairs, rest) = row.as_chunks::<2>();
                let last = rest.first().into_iter();
                let even = pairs.iter().map(|[first, _]| first).chain(last);
                out.iter_mut().zip(even).for_each(|(x, y)| *x += weight * y);
            }
            _ => {
                let strided = row.iter().step_by(stride);
                out.iter_mut()
                    .zip(strided)
                    .for_each(|(x, y)| *x += weight * y);
            }
        },
    );
}

/// The windows of planes as columns `[channels * taps, rows * columns]`, 0 outside the plane.
fn gather(window: &Window, planes: &[f32], out: &mut Vec<f32>) {
    let ([height, width], [rows, columns]) = (window.input, window.output);
    let [kh, kw] = window.kernel;
    let channels = planes.len() / (height * width);
    out.clear();
    out.resize(channels * kh * kw * rows * columns, 0.0);
    let mut targets = out.chunks_exact_mut(rows * columns);
    for plane in planes.chunks_exact(height * width) {
        for tap in 0..kh * kw {
            let (ky, kx) = (tap / kw, tap % kw);
            let Some(target) = targets.next() else { return };
            let (top, bottom) = window.inside(0, ky);
            let (left, right) = window.inside(1, kx);
            if left == right {
                continue;
            }
            for y in top..bottom {
                let row = &plane[window.position(0, y, ky) * width..][..width];
                let row = &row[window.position(1, left, kx)..];
                let target = &mut target[y * columns..][left..right];
                match window.stride[1] {
                    1 => target.copy_from_slice(&row[..right - left]),
                    stride => (target.iter_mut().zip(row.iter().step_by(stride)))
                        .for_each(|(x, y)| *x = *y),
                }
            }
        }
    }
}
