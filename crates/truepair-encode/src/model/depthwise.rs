//! Convolutions of every channel by itself, which `rten` 0.27 computes without vectors.

use truepair_kernel::vector::wide;

use super::Output;
use super::wire::Fault;

/// Values of a row that are summed at a time.
const LANES: usize = 16;

/// How a picture is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// Rows above, columns on the left, rows below, columns on the right.
    By([usize; 4]),
    /// So that a stride of 1 leaves the size as it is, the odd one after the picture.
    Same,
}

/// `out[c] = bias[c] + weights[c] ⋆ in[c]`.
#[derive(Debug, Clone)]
pub(super) struct Depthwise {
    /// Rows and columns of a window.
    pub(super) window: [usize; 2],
    /// Rows and columns between two windows.
    pub(super) stride: [usize; 2],
    pub(super) padding: Padding,
    /// `[channels, rows, columns]`.
    pub(super) weights: Vec<f32>,
    /// `[channels]`, or nothing.
    pub(super) bias: Vec<f32>,
}

/// Sizes of a run, each of rows and columns.
struct Sizes {
    input: [usize; 2],
    output: [usize; 2],
    /// Padding before the picture.
    before: [usize; 2],
}

impl Depthwise {
    /// The output `[n, channels, rows, columns]`.
    ///
    /// # Errors
    /// If the input is not `[n, channels, rows, columns]`, or a window is larger than it.
    pub(super) fn run(&self, input: &Output) -> Result<Output, Fault> {
        let taps = self.window[0] * self.window[1];
        let channels = self.weights.len() / taps;
        let &[n, found, height, width] = input.shape.as_slice() else {
            return Err(format!("Conv: an input of shape {:?}", input.shape));
        };
        if found != channels {
            return Err(format!("Conv: {found} channels, expected {channels}"));
        }
        let sizes = self.sizes([height, width])?;
        let [rows, columns] = sizes.output;
        let mut values = vec![0.0; n * channels * rows * columns];
        let mut padded = Vec::new();
        let planes = input.values.chunks_exact((height * width).max(1));
        let outs = values.chunks_exact_mut(rows * columns);
        for (at, (plane, out)) in planes.zip(outs).enumerate() {
            let channel = at % channels;
            let weights = &self.weights[channel * taps..][..taps];
            let bias = self.bias.get(channel).copied().unwrap_or(0.0);
            wide(
                #[inline(always)]
                || {
                    self.pad(&sizes, plane, &mut padded);
                    self.sum(&sizes, &padded, weights, bias, out);
                },
            );
        }
        Ok(Output {
            shape: vec![n, channels, rows, columns],
            values,
        })
    }

    fn sizes(&self, input: [usize; 2]) -> Result<Sizes, Fault> {
        let mut sizes = Sizes {
            input,
            output: [0; 2],
            before: [0; 2],
        };
        for axis in 0..2 {
            let (size, window, stride) = (input[axis], self.window[axis], self.stride[axis]);
            let (before, whole) = match self.padding {
                Padding::By(by) => (by[axis], size + by[axis] + by[axis + 2]),
                Padding::Same => {
                    let wanted = (size.div_ceil(stride).max(1) - 1) * stride + window;
                    let added = wanted.saturating_sub(size);
                    (added / 2, size + added)
                }
            };
            if window == 0 || whole < window || size == 0 {
                return Err(format!("Conv: a window of {window} over {whole} values"));
            }
            sizes.before[axis] = before;
            sizes.output[axis] = (whole - window) / stride + 1;
        }
        Ok(sizes)
    }

    /// Columns of a padded row of one residue, with room for whole lanes.
    fn row_len(&self, sizes: &Sizes) -> usize {
        sizes.output[1].next_multiple_of(LANES) + self.window[1] / self.stride[1] + 1
    }

    /// The plane with its padding. Columns that windows step over together lie side by side: row
    /// `y` is `stride` rows, of the columns 0, `stride`, 2 `stride`, and so on, of those from 1, and
    /// so on.
    #[inline(always)]
    fn pad(&self, sizes: &Sizes, plane: &[f32], padded: &mut Vec<f32>) {
        let (stride, row_len) = (self.stride[1], self.row_len(sizes));
        let rows = (sizes.output[0] - 1) * self.stride[0] + self.window[0];
        padded.clear();
        padded.resize(rows * stride * row_len, 0.0);
        let [before_row, before] = sizes.before;
        for (y, row) in plane.chunks_exact(sizes.input[1]).enumerate() {
            if y + before_row >= rows {
                break;
            }
            let target = &mut padded[(y + before_row) * stride * row_len..][..stride * row_len];
            if stride == 1 {
                let n = row.len().min(row_len - before.min(row_len));
                target[before..before + n].copy_from_slice(&row[..n]);
                continue;
            }
            for residue in 0..stride {
                // The first column whose place in the padded row is of this residue.
                let first = (residue + stride - before % stride) % stride;
                let start = (first + before) / stride;
                let target = &mut target[residue * row_len..][..row_len];
                let source = row.get(first..).unwrap_or_default().iter().step_by(stride);
                let target = target.get_mut(start..).unwrap_or_default();
                target
                    .iter_mut()
                    .zip(source)
                    .for_each(|(to, from)| *to = *from);
            }
        }
    }

    #[inline(always)]
    fn sum(&self, sizes: &Sizes, padded: &[f32], weights: &[f32], bias: f32, out: &mut [f32]) {
        let (stride, row_len) = (self.stride[1], self.row_len(sizes));
        for (y, out) in out.chunks_exact_mut(sizes.output[1]).enumerate() {
            let top = y * self.stride[0];
            for (at, out) in out.chunks_mut(LANES).enumerate() {
                let mut sums = [bias; LANES];
                for (ky, weights) in weights.chunks_exact(self.window[1]).enumerate() {
                    let row = &padded[(top + ky) * stride * row_len..][..stride * row_len];
                    for (kx, weight) in weights.iter().enumerate() {
                        let start = kx % stride * row_len + at * LANES + kx / stride;
                        let Some(values) = row[start..].first_chunk::<LANES>() else {
                            continue;
                        };
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum += weight * value;
                        }
                    }
                }
                out.copy_from_slice(&sums[..out.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, value by value.
    fn plain(conv: &Depthwise, input: &Output, before: [usize; 2]) -> Vec<f32> {
        let out = conv.run(input).unwrap();
        let [_, channels, h, w] = *input.shape.first_chunk::<4>().unwrap();
        let [_, _, rows, columns] = *out.shape.first_chunk::<4>().unwrap();
        let at = |c: usize, y: usize, x: usize| -> f32 {
            let (y, x) = (y.wrapping_sub(before[0]), x.wrapping_sub(before[1]));
            if y < h && x < w {
                input.values[(c * h + y) * w + x]
            } else {
                0.0
            }
        };
        let [kh, kw] = conv.window;
        let mut values = Vec::new();
        for place in 0..channels * rows * columns {
            let (c, y, x) = (
                place / (rows * columns),
                place / columns % rows,
                place % columns,
            );
            let taps = (0..kh * kw).map(|tap| {
                let (ky, kx) = (tap / kw, tap % kw);
                let value = at(c, y * conv.stride[0] + ky, x * conv.stride[1] + kx);
                conv.weights[c * kh * kw + tap] * value
            });
            values.push(conv.bias[c] + taps.sum::<f32>());
        }
        values
    }

    #[test]
    fn every_window_stride_and_padding_is_the_sum_of_its_taps() {
        let wave = |n: usize, step: f32| -> Vec<f32> {
            (0..n).map(|at| (at as f32 * step).sin()).collect()
        };
        for (size, window, stride, padding, before) in [
            ([7, 7], [3, 3], [1, 1], Padding::By([1; 4]), [1, 1]),
            ([14, 15], [5, 5], [2, 2], Padding::Same, [1, 2]),
            ([9, 40], [3, 5], [2, 3], Padding::By([0, 2, 1, 1]), [0, 2]),
            ([8, 33], [3, 3], [1, 2], Padding::By([0; 4]), [0, 0]),
        ] {
            let conv = Depthwise {
                window,
                stride,
                padding,
                weights: wave(2 * window[0] * window[1], 0.7),
                bias: vec![0.5, -1.0],
            };
            let input = Output {
                shape: vec![1, 2, size[0], size[1]],
                values: wave(2 * size[0] * size[1], 0.37),
            };
            let expected = plain(&conv, &input, before);
            let found = conv.run(&input).unwrap().values;
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(&expected) {
                assert!(
                    (a - b).abs() < 1e-5,
                    "{size:?}, {window:?}: {a}, expected {b}"
                );
            }
        }
        let conv = Depthwise {
            window: [9, 9],
            stride: [1, 1],
            padding: Padding::By([0; 4]),
            weights: vec![0.0; 81],
            bias: Vec::new(),
        };
        let small = Output {
            shape: vec![1, 1, 4, 4],
            values: vec![0.0; 16],
        };
        assert!(conv.run(&small).unwrap_err().contains("window of 9"));
    }
}
