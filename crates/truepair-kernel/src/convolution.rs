//! Convolutions of planes as one operation: windows gathered into columns, image by image.

use rayon::prelude::*;

use super::vector::{add, zeros};
use super::{Array, Gradients, Operation, Output};
use crate::product::{Precision, View};

/// Sizes of a convolution with square windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side of a window.
    pub side: usize,
    /// Pixels between two windows.
    pub stride: usize,
    /// Zeros around the planes.
    pub padding: usize,
}

/// `out[f] = Σ_c weight[f, c] ⋆ x[c]`, without a bias.
///
/// # Shapes
/// - inputs: `x` `[n, c, h, w]`, weight `[f, c, side, side]`
/// - output: `[n, f, h', w']` with `h' = (h + 2 padding − side) / stride + 1`
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    /// Where windows lie.
    pub window: Window,
    /// Precision of the products.
    pub precision: Precision,
}

/// Images whose weight gradients one task adds up; fixed, so that sums do not depend on the number
/// of threads.
const IMAGES: usize = 8;

impl Operation for Convolution {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let plan = Plan::new(self.window, inputs);
        let weight = View::rows(inputs[1].values, plan.taps);
        let mut out = zeros(plan.n * plan.filters * plan.area());
        (out.par_chunks_mut(plan.filters * plan.area()))
            .zip(inputs[0].values.par_chunks(plan.image()))
            .for_each_init(Vec::new, |columns, (out, image)| {
                let columns = plan.columns(image, columns);
                let columns = View::rows(columns, plan.area());
                let area = plan.area();
                weight.times(columns).with(self.precision).write(out, area);
            });
        let shape = vec![plan.n, plan.filters, plan.rows, plan.width];
        (Output::new(out, shape), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let plan = Plan::new(self.window, inputs);
        let (area, filters) = (plan.area(), plan.filters);
        let images = inputs[0].values;
        if let Some(out) = gradients.get(1) {
            let parts: Vec<Vec<f32>> = (images.par_chunks(IMAGES * plan.image()))
                .zip(gradient.par_chunks(IMAGES * filters * area))
                .map(|(images, upstream)| {
                    let (mut part, mut columns) = (vec![0.0; filters * plan.taps], Vec::new());
                    let pairs = images.chunks_exact(plan.image());
                    for (image, upstream) in pairs.zip(upstream.chunks_exact(filters * area)) {
                        let columns = View::rows(plan.columns(image, &mut columns), area).t();
                        let upstream = View::rows(upstream, area);
                        let taps = plan.taps;
                        upstream
                            .times(columns)
                            .with(self.precision)
                            .add(&mut part, taps);
                    }
                    part
                })
                .collect();
            parts.iter().for_each(|part| add(out, part));
        }
        if let Some(out) = gradients.get(0) {
            let weight = View::rows(inputs[1].values, plan.taps).t();
            (out.par_chunks_mut(plan.image()))
                .zip(gradient.par_chunks(filters * area))
                .for_each_init(Vec::new, |columns, (out, upstream)| {
                    columns.resize(plan.taps * area, 0.0);
                    let upstream = View::rows(upstream, area);
                    weight
                        .times(upstream)
                        .with(self.precision)
                        .write(columns, area);
                    plan.scatter(columns, out);
                });
        }
    }
}

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
struct Plan {
    window: Window,
    n: usize,
    channels: usize,
    /// Sides of the input planes.
    input: [usize; 2],
    filters: usize,
    /// Values of a window over all channels.
    taps: usize,
    /// Sides of the output planes.
    rows: usize,
    width: usize,
}

impl Plan {
    fn new(window: Window, inputs: &[Array<'_>]) -> Self {
        let [n, channels, h, w] = inputs[0].dims();
        let [filters, depth, side, _] = inputs[1].dims();
        assert_eq!(
            (depth, side),
            (channels, window.side),
            "weights of the planes"
        );
        let steps = |size: usize| {
            let padded = size + 2 * window.padding;
            assert!(
                padded >= side,
                "planes of {h} x {w} under windows of {side}"
            );
            (padded - side) / window.stride + 1
        };
        Self {
            window,
            n,
            channels,
            input: [h, w],
            filters,
            taps: channels * side * side,
            rows: steps(h),
            width: steps(w),
        }
    }

    fn area(&self) -> usize {
        self.rows * self.width
    }

    fn image(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    /// The windows of an image as columns `[taps, area]`; the image itself where they are its pixels.
    fn columns<'a>(&self, image: &'a [f32], space: &'a mut Vec<f32>) -> &'a [f32] {
        let plain = Window {
            side: 1,
            stride: 1,
            padding: 0,
        };
        if self.window == plain {
            return image;
        }
        space.clear();
        space.resize(self.taps * self.area(), 0.0);
        let stride = self.window.stride;
        self.each_row(|column, pixels, at| {
            let row = image[at..].iter().step_by(stride);
            space[column..column + pixels]
                .iter_mut()
                .zip(row)
                .for_each(|(x, y)| *x = *y);
        });
        space
    }

    /// Adds columns back onto the pixels that they were gathered from.
    fn scatter(&self, columns: &[f32], image: &mut [f32]) {
        let stride = self.window.stride;
        self.each_row(|column, pixels, at| {
            let row = image[at..].iter_mut().step_by(stride);
            row.zip(&columns[column..column + pixels])
                .for_each(|(x, y)| *x += y);
        });
    }

    /// Calls `visit` with each stretch of a column that lies inside the image: where it begins, how
    /// long it is, and its first pixel.
    fn each_row(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let Window {
            side,
            stride,
            padding,
        } = self.window;
        let [h, w] = self.input;
        let inside = |tap: usize, size: usize, steps: usize| {
            let first = padding.saturating_sub(tap).div_ceil(stride);
            let end = (size + padding)
                .saturating_sub(tap)
                .div_ceil(stride)
                .min(steps);
            first.min(end)..end
        };
        for tap in 0..self.taps {
            let (channel, ky, kx) = (tap / (side * side), tap / side % side, tap % side);
            let across = inside(kx, w, self.width);
            if across.is_empty() {
                continue;
            }
            for y in inside(ky, h, self.rows) {
                let row = (channel * h + y * stride + ky - padding) * w;
                let first = row + across.start * stride + kx - padding;
                let column = tap * self.area() + y * self.width + across.start;
                visit(column, across.len(), first);
            }
        }
    }
}
