//! Regions that exchange what they know and are then read one after the other: the image side of
//! VSRN.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input, Regions, unit_length};
use crate::kernel::{self, Items, States};
use crate::layer::{BatchNorm, GruLayer, Init, Linear, Mode};
use crate::numbers::floats;

/// Settings of [`RegionGraph`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionGraphConfig {
    /// Width of the joint space, of every region and of the GRU's state.
    pub dim: usize,
    /// Relation layers.
    pub layers: usize,
    /// Whether every channel of the projected regions is scaled to length 1 over the regions; the
    /// source does so for COCO.
    pub normalize_projection: bool,
    /// Whether the GRU's last state is batch-normalized; the source does so for Flickr30K.
    pub batch_norm_state: bool,
}

impl Default for RegionGraphConfig {
    fn default() -> Self {
        Self {
            dim: 2048,
            layers: 4,
            normalize_projection: false,
            batch_norm_state: true,
        }
    }
}

/// One vector an image:
///
/// ```text
/// y = W x + b                            (normalize_projection: y ← y / ‖y‖ over the regions)
/// layers times: y ← y + BN(W_o (θ(y) φ(y)ᵀ / r) g(y))            BN starts at γ = β = 0
/// y ← y / ‖y‖ over the regions, per channel;  h = last state of GRU(y) in file order
/// v = l2(h)                              (batch_norm_state: v = l2(BN(h)))
/// ```
/// An image with fewer regions than places is encoded as if the empty places were not there: they
/// take no part in relations, lengths, batch statistics and the GRU, and `r` is what it has. The
/// lengths over regions, not over channels, are those of the released code.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, 1, dim]`, every vector of length 1, with the regions
///   `y` before the GRU `[n, r, dim]`, empty places last
/// # Source
/// Li et al., ICCV 2019 (VSRN). Code read at KunpengLi1994/VSRN@777ae74,
/// `EncoderImagePrecompAttn` and `Rs_GCN`. Golden `u07_vsrn_image_f30k`, `u07_vsrn_image_coco`.
/// # Deviations
/// 1. Lengths have the guard of [`unit_length`]; the source divides 0 by 0 for a channel of zeros.
#[derive(Module, Debug)]
pub struct RegionGraph {
    fc: Linear,
    relations: Vec<Relation>,
    gru: GruLayer,
    norm: Option<BatchNorm>,
    #[module(skip)]
    normalize_projection: bool,
}

/// One relation layer.
#[derive(Module, Debug)]
struct Relation {
    theta: Linear,
    phi: Linear,
    value: Linear,
    out: Linear,
    norm: BatchNorm,
}

impl RegionGraphConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<RegionGraph> {
        let InputShape::Features { width, .. } = shape else {
            return Err(Error::argument(
                "backbone `region_graph` reads feature vectors, the data has token ids",
                "use `gru` for texts",
            ));
        };
        if self.dim == 0 {
            return Err(Error::argument(
                "backbone `region_graph` cannot have dim = 0",
                "the width of the joint space is at least 1; the paper uses 2048",
            ));
        }
        Ok(RegionGraph {
            fc: Linear::xavier(init, width, self.dim),
            relations: (0..self.layers)
                .map(|_| Relation::new(init, self.dim))
                .collect(),
            gru: GruLayer::new(init, self.dim, self.dim),
            norm: (self.batch_norm_state).then(|| BatchNorm::new(init, self.dim)),
            normalize_projection: self.normalize_projection,
        })
    }
}

impl RegionGraph {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Features { values, mask } = input else {
            panic!("`region_graph` was built for features")
        };
        let (rows, items) = packed(values, mask.as_ref());
        let mut rows = self.fc.forward(rows);
        if self.normalize_projection {
            rows = kernel::unit_columns(rows, &items);
        }
        for relation in &self.relations {
            rows = relation.forward(rows, &items, mode);
        }
        let regions = Regions {
            values: items.spread(kernel::unit_columns(rows, &items)),
            lengths: items.lengths().to_vec(),
        };
        let states = (self.gru).run(None, regions.values.clone(), &regions.lengths, States::Last);
        let state = states.squeeze_dim(1);
        let state = match &self.norm {
            Some(norm) => norm.forward(state, mode),
            None => state,
        };
        Encoding {
            regions: Some(regions),
            ..Encoding::new(unit_length(state).unsqueeze_dim(1), None)
        }
    }
}

impl Relation {
    fn new(init: &mut Init, dim: usize) -> Self {
        Self {
            theta: Linear::new(init, dim, dim),
            phi: Linear::new(init, dim, dim),
            value: Linear::new(init, dim, dim),
            out: Linear::new(init, dim, dim),
            norm: BatchNorm {
                weight: init.zeros([dim]),
                ..BatchNorm::new(init, dim)
            },
        }
    }

    /// `[rows, d]` to `[rows, d]`, the regions of all images.
    fn forward(&self, rows: Tensor<2>, items: &Items, mode: &Mode<'_>) -> Tensor<2> {
        let [theta, phi, value] =
            [&self.theta, &self.phi, &self.value].map(|layer| layer.forward(rows.clone()));
        let gathered = kernel::relation(theta, phi, value, items, self.out.precision());
        rows + self.norm.forward(self.out.forward(gathered), mode)
    }
}

/// The regions of `[n, r, d]` without empty places, one image after another, `[rows, d]`; a row of 0
/// when no image has any.
fn packed(values: &Tensor<3>, mask: Option<&Tensor<2>>) -> (Tensor<2>, Items) {
    let [n, r, d] = values.dims();
    let rows = values.clone().reshape([n * r, d]);
    let Some(mask) = mask else {
        return (rows, Items::new(vec![r; n], r));
    };
    let mask = floats(mask.clone());
    let present = |row: &usize| mask[*row] != 0.0;
    let lengths = (0..n).map(|image| (image * r..(image + 1) * r).filter(present).count());
    let lengths = lengths.collect();
    let mut kept: Vec<i64> = (0..n * r).filter(present).map(|row| row as i64).collect();
    if kept.is_empty() {
        kept.push(0);
    }
    let size = kept.len();
    let kept = Tensor::<1, Int>::from_data(TensorData::new(kept, [size]), &values.device());
    (rows.select(0, kept), Items::new(lengths, r))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use crate::parameters::{export, import};
    use burn::tensor::Device;
    use truepair_core::rng::{Seed, normal};

    fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let mut rng = Seed(4).stream("noise", &[]);
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| normal(&mut rng) as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// With weights away from the start, where every relation layer does nothing.
    fn built() -> RegionGraph {
        let config = RegionGraphConfig {
            dim: 6,
            layers: 2,
            ..RegionGraphConfig::default()
        };
        let shape = InputShape::Features {
            width: 5,
            regions: 4,
        };
        let mut init = Init::new(Seed(1).stream("init", &[]), Device::flex(), Precision::F32);
        let graph = config.build(shape, &mut init).unwrap();
        let mut rng = Seed(2).stream("moved", &[]);
        let mut weights = export(&graph);
        for values in weights.values_mut() {
            let moves = values.values.iter_mut();
            moves.for_each(|x| *x += 0.2 * normal(&mut rng).abs() as f32);
        }
        import(graph, weights).unwrap()
    }

    fn encoded(graph: &RegionGraph, values: Tensor<3>, mask: Option<Tensor<2>>) -> Vec<f32> {
        let mut rng = Seed(3).stream("dropout", &[]);
        let mut mode = Mode::Train(&mut rng);
        let input = Input::Features { values, mask };
        floats(graph.encode(&input, &mut mode).values)
    }

    #[test]
    fn empty_places_change_neither_encodings_nor_batch_statistics() {
        let regions = noise([3, 2, 5]);
        let gap = noise([3, 1, 5]);
        let parts: Vec<Tensor<3>> = (0..2).map(|r| regions.clone().narrow(1, r, 1)).collect();
        let spread = Tensor::cat(
            vec![
                gap.clone(),
                parts[0].clone(),
                gap.clone(),
                parts[1].clone(),
                gap,
            ],
            1,
        );
        let mask = [0f32, 1., 0., 1., 0.].repeat(3);
        let mask = Tensor::from_data(TensorData::new(mask, [3, 5]), &Device::flex());
        let (plain, gapped) = (built(), built());
        let expected = encoded(&plain, regions, None);
        let found = encoded(&gapped, spread, Some(mask));
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "{found:?} {expected:?}");
        }
        let (plain, gapped) = (export(&plain), export(&gapped));
        for (name, values) in &plain {
            for (a, b) in values.values.iter().zip(&gapped[name].values) {
                assert!((a - b).abs() < 1e-5, "{name}");
            }
        }
        assert!(plain.keys().any(|name| name.ends_with("running_var")));
    }

    #[test]
    fn relation_layers_start_as_the_identity() {
        let config = |layers| RegionGraphConfig {
            dim: 6,
            layers,
            ..RegionGraphConfig::default()
        };
        let shape = InputShape::Features {
            width: 5,
            regions: 4,
        };
        let regions = |layers| {
            let stream = Seed(1).stream("init", &[]);
            let mut init = Init::new(stream, Device::flex(), Precision::F32);
            let graph = config(layers).build(shape, &mut init).unwrap();
            let input = Input::Features {
                values: noise([2, 4, 5]),
                mask: None,
            };
            let encoding = graph.encode(&input, &mut Mode::Evaluate);
            floats(encoding.regions.unwrap().values)
        };
        assert_eq!(regions(0), regions(3));
    }
}
