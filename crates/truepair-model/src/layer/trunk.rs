//! What precedes a head on precomputed features: scaling, and a dense layer where one is wanted.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};

use super::{Init, Linear, Mode};
use crate::backbone::InputScale;
use crate::encoding::{Encoding, Input, unit_length};
use crate::kernel::gelu;
use crate::numbers::floats;

/// `dropout(gelu(W s(xᵣ) + b))` of every vector, or `s(xᵣ)` alone; `s` scales as
/// [`InputScale`] says.
///
/// # Shapes
/// - features `[n, r, d]` to `[n, r, hidden]`; empty places stay 0
#[derive(Module, Debug)]
pub struct Trunk {
    scaling: Option<Scaling>,
    layer: Option<Linear>,
    #[module(skip)]
    dropout: f64,
}

/// The measured part of [`InputScale::Standard`].
#[derive(Module, Debug)]
struct Scaling {
    /// `[d]`: mean of the training data at length 1; measured, never trained.
    shift: Param<Tensor<1>>,
    /// `[1]`: inverse deviation of the training data; measured, never trained.
    scale: Param<Tensor<1>>,
}

impl Trunk {
    /// For features of width `d`; no layer when `hidden` is 0.
    pub(crate) fn new(
        init: &mut Init,
        d: usize,
        hidden: usize,
        input: InputScale,
        dropout: f64,
    ) -> Self {
        Self {
            scaling: (input == InputScale::Standard).then(|| Scaling {
                shift: init.constant([d], 0.0),
                scale: init.constant([1], 1.0),
            }),
            layer: (hidden > 0).then(|| Linear::new(init, d, hidden)),
            dropout,
        }
    }

    /// The vectors and their mask, if places are empty.
    ///
    /// # Panics
    /// If the input holds no features.
    pub(crate) fn forward(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let (values, mask) = features(input);
        let mut x = values.clone();
        if let Some(Scaling { shift, scale }) = &self.scaling {
            x = (unit_length(x) - shift.val().unsqueeze()) * scale.val().unsqueeze();
        }
        if let Some(layer) = &self.layer {
            x = mode.dropout(gelu(layer.forward_items(x)), self.dropout);
        }
        if let Some(mask) = mask {
            x = x * mask.clone().unsqueeze_dim(2);
        }
        Encoding::new(x, mask.cloned())
    }

    /// Measures the scaling on a sample.
    pub(crate) fn measure(mut self, sample: &Input) -> Self {
        let Some(scaling) = &mut self.scaling else {
            return self;
        };
        let (values, mask) = features(sample);
        let [n, r, d] = values.dims();
        let device = values.device();
        let count = match mask {
            None => (n * r) as f32,
            Some(mask) => floats(mask.clone().sum())[0].max(1.0),
        };
        // Empty places are 0 and stay 0 at length 1.
        let rows = unit_length(values.clone()).reshape([n * r, d]);
        let mean = rows.clone().sum_dim(0) / count;
        let spread = rows.square().sum() / count - mean.clone().square().sum();
        let deviation = (spread / d as f64).clamp_min(1e-12).sqrt();
        let fixed = |data| Tensor::from_data(data, &device).set_require_grad(false);
        let shift = fixed(TensorData::new(floats(mean), [d]));
        let scale = fixed(TensorData::new(floats(deviation.recip()), [1]));
        let (old_shift, old_scale) = (scaling.shift.clone(), scaling.scale.clone());
        scaling.shift = old_shift.map(|_| shift);
        scaling.scale = old_scale.map(|_| scale);
        self
    }
}

fn features(input: &Input) -> (&Tensor<3>, Option<&Tensor<2>>) {
    let Input::Features { values, mask } = input else {
        panic!("a head was built for features")
    };
    (values, mask.as_ref())
}
