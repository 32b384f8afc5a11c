//! One perceptron a modality into a joint space of unit vectors, and the class centers in it.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::rng::{Seed, normal};
use truepair_core::scores::Matrix;

use truepair_model::backbone::InputScale;
use truepair_model::encoding::unit_length;
use truepair_model::layer::{Init, Linear, Mode};
use truepair_model::numbers::floats;

/// Sizes of the networks, the same for every modality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Width of the two hidden layers; 4096 as published.
    pub hidden: usize,
    /// Width of the joint space; 512 as published.
    pub dim: usize,
    /// Share of hidden values dropped while training, [0, 1); 0 as published.
    pub dropout: f64,
    /// How features are scaled first; raw as published.
    pub input: InputScale,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            hidden: 512,
            dim: 256,
            dropout: 0.2,
            input: InputScale::Standard,
        }
    }
}

/// The networks of all modalities with what they share.
#[derive(Module, Debug)]
pub struct LabelNetworks {
    /// One a modality.
    pub networks: Vec<ModalityNetwork>,
    /// Class centers, `[d, k]`.
    pub centers: Param<Tensor<2>>,
    /// A shared classifier, `d` to `k`, for methods that have one.
    pub head: Option<Linear>,
}

/// `z = ℓ₂(W₃ relu(W₂ relu(W₁ x + b₁) + b₂) + b₃)`.
///
/// # Shapes
/// - input: `[b, width]`; output: `[b, d]` of length 1
///
/// # Source
/// Hu et al., CVPR 2021. Code read at penghu-cs/MRL@e0f5c8f. Golden `u11_mrl_network`.
///
/// # Deviations
/// 1. The length is raised by 1e-8 before dividing, so that a zero vector stays zero.
/// 2. Inputs may be brought to a common scale first (`input = "standard"`) and hidden values may be
///    dropped; `input = "raw"` and `dropout = 0` is the released network.
#[derive(Module, Debug)]
pub struct ModalityNetwork {
    /// `[width]`: mean of the training data at length 1; measured, never trained.
    shift: Param<Tensor<1>>,
    /// `[1]`: inverse deviation of the training data; measured, never trained.
    scale: Param<Tensor<1>>,
    /// First layer.
    pub first: Linear,
    /// Second layer.
    pub second: Linear,
    /// Layer into the joint space.
    pub third: Linear,
    #[module(skip)]
    input: InputScale,
    #[module(skip)]
    dropout: f64,
}

impl LabelNetworks {
    /// Networks for inputs of these widths with fresh weights; centers are orthogonal, or of random
    /// direction where there are more classes than dimensions.
    pub fn new(
        config: &NetworkConfig,
        widths: &[usize],
        n_classes: usize,
        has_head: bool,
        init: &mut Init,
    ) -> Self {
        let networks = (widths.iter())
            .map(|&width| ModalityNetwork::new(config, width, init))
            .collect();
        let mut centers = init.normal([config.dim, n_classes], 1.0);
        centers = centers.map(|values| {
            let device = values.device();
            let columns = orthogonal_columns(floats(values), config.dim, n_classes);
            Tensor::from_data(TensorData::new(columns, [config.dim, n_classes]), &device)
                .require_grad()
        });
        Self {
            networks,
            centers,
            head: has_head.then(|| Linear::new(init, config.dim, n_classes)),
        }
    }

    /// Per modality embeddings of length 1, `[b, d]`.
    pub fn embed(&self, inputs: &[Tensor<2>], mode: &mut Mode<'_>) -> Vec<Tensor<2>> {
        let each = self.networks.iter().zip(inputs);
        each.map(|(network, input)| network.forward(input.clone(), mode))
            .collect()
    }

    /// The centers as columns of length 1, outside the graph.
    pub(super) fn with_unit_centers(mut self) -> Self {
        self.centers = self.centers.map(|values| {
            let ([d, k], device) = (values.dims(), values.device());
            let mut values = floats(values);
            for class in 0..k {
                let square: f64 = (0..d)
                    .map(|row| f64::from(values[row * k + class]).powi(2))
                    .sum();
                let scale = (1.0 / square.sqrt().max(1e-12)) as f32;
                (0..d).for_each(|row| values[row * k + class] *= scale);
            }
            Tensor::from_data(TensorData::new(values, [d, k]), &device).require_grad()
        });
        self
    }
}

impl ModalityNetwork {
    fn new(config: &NetworkConfig, width: usize, init: &mut Init) -> Self {
        Self {
            shift: init.constant([width], 0.0),
            scale: init.constant([1], 1.0),
            first: Linear::new(init, width, config.hidden),
            second: Linear::new(init, config.hidden, config.hidden),
            third: Linear::new(init, config.hidden, config.dim),
            input: config.input,
            dropout: config.dropout,
        }
    }

    /// Embeddings of length 1, `[b, d]`.
    pub fn forward(&self, x: Tensor<2>, mode: &mut Mode<'_>) -> Tensor<2> {
        let x = match self.input {
            InputScale::Raw => x,
            InputScale::Standard => {
                (unit_length(x) - self.shift.val().unsqueeze()) * self.scale.val().unsqueeze()
            }
        };
        let hidden = mode.dropout(relu(self.first.forward(x)), self.dropout);
        let hidden = mode.dropout(relu(self.second.forward(hidden)), self.dropout);
        unit_length(self.third.forward(hidden))
    }

    /// Measures shift and scale on the training data.
    pub(super) fn measure(mut self, rows: &Matrix) -> Self {
        if self.input == InputScale::Raw {
            return self;
        }
        let (mean, scale) = moments(rows);
        let device = self.shift.val().device();
        let fixed = |values: Vec<f32>| {
            let n = values.len();
            Tensor::from_data(TensorData::new(values, [n]), &device).set_require_grad(false)
        };
        self.shift = self.shift.map(|_| fixed(mean));
        self.scale = self.scale.map(|_| fixed(vec![scale]));
        self
    }
}

/// Mean row at length 1, and the inverse deviation around it over all numbers.
fn moments(rows: &Matrix) -> (Vec<f32>, f32) {
    let mut unit = rows.clone();
    unit.normalize();
    let (n, d) = (unit.len() as f64, unit.dim());
    let mut mean = vec![0f64; d];
    for row in unit.values().chunks_exact(d) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(sum, x)| *sum += f64::from(*x));
    }
    mean.iter_mut().for_each(|sum| *sum /= n);
    let rows = unit.values().chunks_exact(d);
    let square: f64 = rows
        .flat_map(|row| row.iter().zip(&mean))
        .map(|(x, mean)| (f64::from(*x) - mean).powi(2))
        .sum();
    let deviation = (square / (n * d as f64)).sqrt().max(1e-6);
    (
        mean.iter().map(|x| *x as f32).collect(),
        (1.0 / deviation) as f32,
    )
}

/// Columns of random numbers `[d, k]` made orthogonal and of length 1, as many as there can be
/// (Gram and Schmidt); the rest is of length 1.
fn orthogonal_columns(values: Vec<f32>, d: usize, k: usize) -> Vec<f32> {
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(k);
    let mut spare = Seed(0).stream("centers", &[]);
    for class in 0..k {
        let mut column: Vec<f64> = (0..d)
            .map(|row| f64::from(values[row * k + class]))
            .collect();
        for earlier in columns.iter().take(d).filter(|_| class < d) {
            let along: f64 = column.iter().zip(earlier).map(|(a, b)| a * b).sum();
            column
                .iter_mut()
                .zip(earlier)
                .for_each(|(x, e)| *x -= along * e);
        }
        let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm < 1e-9 {
            column = (0..d).map(|_| normal(&mut spare)).collect();
        }
        let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        column.iter_mut().for_each(|x| *x /= norm);
        columns.push(column);
    }
    let at = |index: usize| columns[index % k][index / k] as f32;
    (0..d * k).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use truepair_model::kernel::Precision;

    fn built(k: usize) -> LabelNetworks {
        let device = Device::flex().autodiff();
        let mut init = Init::new(Seed(1).stream("init", &[]), device, Precision::F32);
        let config = NetworkConfig {
            hidden: 8,
            dim: 6,
            ..NetworkConfig::default()
        };
        LabelNetworks::new(&config, &[5, 3], k, false, &mut init)
    }

    #[test]
    fn centers_begin_orthogonal_and_of_length_1() {
        for (k, orthogonal) in [(4, true), (9, false)] {
            let centers = floats(built(k).centers.val());
            for a in 0..k {
                for b in 0..k {
                    let inner: f32 = (0..6)
                        .map(|row| centers[row * k + a] * centers[row * k + b])
                        .sum();
                    if a == b {
                        assert!((inner - 1.0).abs() < 1e-5);
                    } else if orthogonal {
                        assert!(inner.abs() < 1e-5, "{a} {b}: {inner}");
                    }
                }
            }
        }
    }

    #[test]
    fn standard_inputs_have_mean_0_and_deviation_1() {
        let rows = Matrix::new((0..60).map(|at| ((at * 37) % 11) as f32 + 1.0).collect(), 5);
        let (mean, scale) = moments(&rows);
        let mut unit = rows.clone();
        unit.normalize();
        let standard: Vec<f32> = (unit.values().iter().enumerate())
            .map(|(at, x)| (x - mean[at % 5]) * scale)
            .collect();
        let square = standard.iter().map(|x| x * x).sum::<f32>() / 60.0;
        assert!((square - 1.0).abs() < 1e-4, "{square}");
        assert!(standard.iter().sum::<f32>().abs() < 1e-3);
    }
}
