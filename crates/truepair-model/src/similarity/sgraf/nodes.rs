//! What every head of SGRAF starts from: similarity nodes of encoded images and captions.

use burn::module::Module;
use burn::tensor::Tensor;
use truepair_core::{Error, Result};

use super::global::{TextGlobal, VisualGlobal};
use crate::encoding::Encoding;
use crate::kernel::{self, Attention, NodeProjection, PairInputs, Precision, RawNorm, Side};
use crate::layer::{Init, Linear, Mode};
use crate::similarity::Space;

/// Items whose global vectors an evaluation computes at a time: their layers write several numbers
/// for each one of an item, which [`NodeEncoder::pair_bytes`] does not count.
const ITEMS: usize = 256;

/// Global vectors of both sides, attended contexts, and their projection to similarity nodes; the
/// equations stand at [`VisualGlobal`] and at the fused operation.
#[derive(Module, Debug)]
pub struct NodeEncoder {
    visual: VisualGlobal,
    textual: TextGlobal,
    local: Linear,
    global: Linear,
    #[module(skip)]
    attention: Attention,
    #[module(skip)]
    precision: Precision,
}

/// Settings that every head shares.
pub(super) struct NodeSettings {
    pub(super) sim_dim: usize,
    pub(super) smooth: f64,
    pub(super) dropout: f64,
}

/// Nodes of all pairs of a block.
pub(super) struct Nodes {
    /// `[n, total, s]`
    pub(super) values: Tensor<3>,
    /// Nodes of every caption: its global one and one a word.
    pub(super) counts: Vec<usize>,
}

impl NodeSettings {
    /// # Errors
    /// If a setting of similarity `name` is out of range.
    pub(super) fn build(&self, name: &str, space: Space, init: &mut Init) -> Result<NodeEncoder> {
        let fits = self.sim_dim > 0 && self.smooth > 0.0 && self.smooth.is_finite();
        if !fits || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "similarity `{name}` cannot have sim_dim = {}, smooth = {}, dropout = {}",
                    self.sim_dim, self.smooth, self.dropout
                ),
                "sim_dim is at least 1, smooth above 0 and dropout in [0, 1); the paper has 256, \
                 9 and 0.4",
            ));
        }
        Ok(NodeEncoder {
            visual: VisualGlobal::new(init, space.dim, space.regions, self.dropout),
            textual: TextGlobal::new(init, space.dim, self.dropout),
            local: Linear::xavier(init, space.dim, self.sim_dim),
            global: Linear::xavier(init, space.dim, self.sim_dim),
            attention: Attention {
                norm: RawNorm::ClippedL2,
                smooth: self.smooth as f32,
            },
            precision: init.precision(),
        })
    }
}

impl NodeEncoder {
    /// Scores `[n, c]` that `head` gives from the nodes of all pairs, which are in memory at once.
    ///
    /// Training takes the global vectors of all items together, for their normalization with
    /// statistics of the batch.
    pub(super) fn scores(
        &self,
        images: &Encoding,
        captions: &Encoding,
        mode: &mut Mode<'_>,
        head: impl Fn(Nodes, &Mode<'_>) -> Tensor<2>,
    ) -> Tensor<2> {
        let (images, captions) = match mode {
            Mode::Train(_) => (
                side(images, self.visual.forward(images, mode)),
                side(captions, self.textual.forward(captions, mode)),
            ),
            Mode::Evaluate => (
                in_blocks(images, |images| self.visual.forward(images, mode)),
                in_blocks(captions, |captions| self.textual.forward(captions, mode)),
            ),
        };
        let counts = node_counts(&captions);
        head(self.nodes(images, captions, counts), mode)
    }

    /// Bytes of one pair's nodes, a handful of numbers for each, and what a head makes of them. Fused
    /// operations hold no more; the plain tensors of other devices hold nodes several times.
    pub(super) fn pair_bytes(&self, captions: &Encoding) -> usize {
        let (nodes, s) = (captions.values.dims()[1] + 1, self.local.weight.dims()[0]);
        (nodes * (s + 4) + s) * size_of::<f32>()
    }

    fn nodes(&self, images: Side, captions: Side, counts: Vec<usize>) -> Nodes {
        let projection = |layer: &Linear| NodeProjection {
            weight: layer.weight.val(),
            bias: layer.bias.val(),
        };
        let inputs = PairInputs {
            images,
            captions,
            local: projection(&self.local),
            global: projection(&self.global),
        };
        Nodes {
            values: kernel::pair_nodes(inputs, self.attention, self.precision),
            counts,
        }
    }
}

fn side(items: &Encoding, whole: Tensor<2>) -> Side {
    Side {
        vectors: items.values.clone(),
        mask: items.mask_or_ones(),
        whole,
    }
}

/// Global vectors of [`ITEMS`] items at a time.
fn in_blocks(items: &Encoding, mut whole: impl FnMut(&Encoding) -> Tensor<2>) -> Side {
    let n = items.values.dims()[0];
    let wholes = (0..n).step_by(ITEMS).map(|start| {
        let count = ITEMS.min(n - start);
        whole(&Encoding::new(
            items.values.clone().narrow(0, start, count),
            (items.mask.clone()).map(|mask| mask.narrow(0, start, count)),
        ))
    });
    side(items, Tensor::cat(wholes.collect(), 0))
}

fn node_counts(captions: &Side) -> Vec<usize> {
    let t = captions.mask.dims()[1];
    let mask: Vec<f32> = captions
        .mask
        .to_data()
        .try_into_vec()
        .expect("a mask of f32");
    (mask.chunks_exact(t))
        .map(|row| 1 + row.iter().filter(|keep| **keep != 0.0).count())
        .collect()
}
