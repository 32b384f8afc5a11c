//! Initial weights from named random streams, in the ranges that the field's papers assume.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::rng::{Stream, normal, unit};

/// Draws initial parameters onto one device.
#[derive(Debug)]
pub struct Init {
    rng: Stream,
    device: Device,
}

impl Init {
    /// Draws from `rng`; parameters live on `device`.
    pub fn new(rng: Stream, device: Device) -> Self {
        Self { rng, device }
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

    /// All zero.
    pub fn zeros<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.fill(shape, |_| 0.0)
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
