//! Initial weights from named random streams, in the ranges that the field's papers assume.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::rng::{Stream, normal, unit};

use crate::kernel::Precision;

/// Draws initial parameters onto one device.
#[derive(Debug)]
pub struct Init {
    rng: Stream,
    device: Device,
    precision: Precision,
}

impl Init {
    /// Draws from `rng`; parameters live on `device`, and products with them have `precision`.
    pub fn new(rng: Stream, device: Device, precision: Precision) -> Self {
        Self {
            rng,
            device,
            precision,
        }
    }

    /// The number format of the factors of products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Uniform in `[-bound, bound]`.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        self.fill(shape, |rng| (2.0 * unit(rng) - 1.0) * bound)
    }

    /// Normal with mean 0.
    pub fn normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        deviation: f64,
    ) -> Param<Tensor<D>> {
        self.fill(shape, |rng| normal(rng) * deviation)
    }

    /// All equal, and not trained.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f64) -> Param<Tensor<D>> {
        self.fill(shape, |_| value).set_require_grad(false)
    }

    /// All equal at first, then trained.
    pub fn filled<const D: usize>(&mut self, shape: [usize; D], value: f64) -> Param<Tensor<D>> {
        self.fill(shape, |_| value)
    }

    /// All zero.
    pub fn zeros<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.fill(shape, |_| 0.0)
    }

    /// 1 on the diagonal and 0 elsewhere.
    pub fn identity(&mut self, d: usize) -> Param<Tensor<2>> {
        let mut values = vec![0.0f32; d * d];
        values.iter_mut().step_by(d + 1).for_each(|x| *x = 1.0);
        Param::from_data(TensorData::new(values, [d, d]), &self.device)
    }

    fn fill<const D: usize>(
        &mut self,
        shape: [usize; D],
        mut draw: impl FnMut(&mut Stream) -> f64,
    ) -> Param<Tensor<D>> {
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| draw(&mut self.rng) as f32).collect();
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}
