//! The closed form as a backbone: a linear map that canonical correlation fits.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::linear::{self, Pooling};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Gaussian, Input, unit_length};
use crate::layer::{Init, Mode};

/// Settings of [`Projection`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectionConfig {
    /// Most directions; the joint space has this width, and zeros along those that are not taken.
    pub dim: usize,
    /// How regions become one vector.
    pub pooling: Pooling,
}

impl Default for ProjectionConfig {
    fn default() -> Self {
        Self {
            dim: 256,
            pooling: Pooling::Mean,
        }
    }
}

/// `e(x) = (x / ‖x‖ − x̄) W` with `x̄` and `W` of [`LinearMatcher`](linear::LinearMatcher), and what
/// the canonical correlations leave open as variances: a Gaussian an item. Nothing here is trained
/// by gradients.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, 1, dim]`
#[derive(Module, Debug)]
pub struct Projection {
    /// `x̄` `[d]`.
    shift: Param<Tensor<1>>,
    /// `W` `[d, dim]`.
    map: Param<Tensor<2>>,
    /// `ln σ` `[dim]`.
    log_deviation: Param<Tensor<1>>,
    #[module(skip)]
    pooling: Pooling,
}

/// `ln σ` along directions that are not taken.
const NOTHING_OPEN: f64 = -30.0;

impl ProjectionConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Projection> {
        let InputShape::Features { width, regions } = shape else {
            return Err(Error::argument(
                "the closed form reads vectors, the data is read as token ids",
                "use it for captions as well (`--matcher linear`), which makes texts into vectors",
            ));
        };
        if self.dim == 0 {
            return Err(Error::argument(
                "a projection cannot have dim = 0",
                "it is the most directions that may be taken, at least 1",
            ));
        }
        let width = self.pooling.width(width, regions);
        Ok(Projection {
            shift: init.constant([width], 0.0),
            map: init.constant([width, self.dim], 0.0),
            log_deviation: init.constant([self.dim], NOTHING_OPEN),
            pooling: self.pooling,
        })
    }
}

impl Projection {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    /// The projection with fitted numbers.
    pub(super) fn fitted(self, side: &linear::Projection) -> Self {
        self.scaled(side, 1.0)
    }

    /// The projection with fitted numbers, each direction scaled by `scale`.
    ///
    /// # Panics
    /// If it is fitted to vectors of another width, or to more directions than there is room for.
    pub(super) fn scaled(mut self, side: &linear::Projection, scale: f32) -> Self {
        let [d, dim] = self.map.val().dims();
        let taken = side.width();
        assert!(
            side.shift.len() == d && taken <= dim,
            "a projection of this shape"
        );
        let mut map = vec![0.0; d * dim];
        for (row, fitted) in map
            .chunks_exact_mut(dim)
            .zip(side.map.chunks_exact(taken.max(1)))
        {
            (row.iter_mut().zip(fitted)).for_each(|(x, fitted)| *x = scale * fitted);
        }
        let deviation = |variance: &f32| (f64::from(scale) * f64::from(*variance).sqrt()).ln();
        let mut log_deviation = vec![NOTHING_OPEN as f32; dim];
        for (x, variance) in log_deviation.iter_mut().zip(&side.variance) {
            *x = deviation(variance).max(NOTHING_OPEN) as f32;
        }
        let device = self.shift.val().device();
        self.shift = self.shift.map(|_| fixed(side.shift.clone(), [d], &device));
        self.map = self.map.map(|_| fixed(map, [d, dim], &device));
        self.log_deviation = (self.log_deviation).map(|_| fixed(log_deviation, [dim], &device));
        self
    }

    pub(super) fn encode(&self, input: &Input, _mode: &mut Mode<'_>) -> Encoding {
        let projected = self.project(input);
        let [n, dim] = projected.dims();
        let log_deviation = self.log_deviation.val().unsqueeze::<2>().expand([n, dim]);
        Encoding {
            gaussian: Some(Gaussian::new(log_deviation)),
            ..Encoding::new(projected.unsqueeze_dim(1), None)
        }
    }

    /// `[n, dim]`.
    pub(super) fn project(&self, input: &Input) -> Tensor<2> {
        let x = unit_length(pooled(input, self.pooling));
        (x - self.shift.val().unsqueeze()).matmul(self.map.val())
    }
}

fn fixed<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device).set_require_grad(false)
}

/// One vector an item `[n, d]`: the mean over regions and, where wanted, their deviation beside it.
fn pooled(input: &Input, pooling: Pooling) -> Tensor<2> {
    let Input::Features { values, mask } = input else {
        panic!("`projection` was built for features")
    };
    let items = Encoding::new(values.clone(), mask.clone());
    let mean = items.pooled();
    let [n, regions, d] = values.dims();
    if pooling == Pooling::Mean || regions == 1 {
        return mean;
    }
    let apart = values.clone() - mean.clone().unsqueeze_dim(1);
    let counted = items.mask_or_ones();
    let squares = apart.square() * counted.clone().unsqueeze_dim(2);
    let variance = squares.sum_dim(1).reshape([n, d]) / counted.sum_dim(1).clamp_min(1.0);
    Tensor::cat(vec![mean, variance.sqrt()], 1)
}
