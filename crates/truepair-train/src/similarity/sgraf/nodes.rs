//! What every head of SGRAF starts from: similarity nodes of encoded images and captions.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use truepair_core::Error;

use super::global::{TextGlobal, VisualGlobal};
use crate::encoding::Encoding;
use crate::error::Result;
use crate::init::Init;
use crate::kernel::{self, Attention, PairInputs, Precision, Projection, RawNorm, Side};
use crate::linear::Linear;
use crate::mode::Mode;
use crate::similarity::Space;

/// Captions of a block of an evaluation; a caption's words are counted below.
const CAPTIONS: usize = 256;
/// Numbers that the nodes of a block of an evaluation may have: 128 MiB of them.
const BLOCK: usize = 1 << 25;

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
            )
            .into());
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
    /// Scores `[n, c]` that `head` gives from the nodes of all pairs.
    ///
    /// Training hands over all pairs at once, for heads with statistics of the batch. Evaluation
    /// goes block by block, because the nodes of a whole tile can be larger than the memory.
    pub(super) fn scores(
        &self,
        images: &Encoding,
        captions: &Encoding,
        mode: &mut Mode<'_>,
        head: impl Fn(Nodes, &Mode<'_>) -> Tensor<2>,
    ) -> Tensor<2> {
        if let Mode::Train(_) = mode {
            let images = side(images, self.visual.forward(images, mode));
            let captions = side(captions, self.textual.forward(captions, mode));
            let counts = node_counts(&captions);
            return head(self.nodes(images, captions, counts), mode);
        }
        let images = in_blocks(images, |images| self.visual.forward(images, mode));
        let captions = in_blocks(captions, |captions| self.textual.forward(captions, mode));
        let counts = node_counts(&captions);
        let columns = blocks(counts.len(), CAPTIONS).map(|columns| {
            let captions = narrowed(&captions, columns.clone());
            let counts = &counts[columns];
            let nodes = counts.iter().sum::<usize>() * self.local.weight.dims()[0];
            let rows = blocks(images.mask.dims()[0], (BLOCK / nodes).max(1)).map(|rows| {
                let images = narrowed(&images, rows);
                head(self.nodes(images, captions.clone(), counts.to_vec()), mode)
            });
            Tensor::cat(rows.collect(), 0)
        });
        Tensor::cat(columns.collect(), 1)
    }

    /// Bytes of one pair's nodes, in the three forms in which they are alive at a time.
    pub(super) fn pair_bytes(&self, captions: &Encoding) -> usize {
        let nodes = captions.values.dims()[1] + 1;
        3 * nodes * self.local.weight.dims()[0] * size_of::<f32>()
    }

    fn nodes(&self, images: Side, captions: Side, counts: Vec<usize>) -> Nodes {
        let projection = |layer: &Linear| Projection {
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

/// Global vectors of some hundred items at a time.
fn in_blocks(items: &Encoding, mut whole: impl FnMut(&Encoding) -> Tensor<2>) -> Side {
    let n = items.values.dims()[0];
    let wholes = blocks(n, CAPTIONS).map(|rows| {
        let part = |mask: Tensor<2>| mask.narrow(0, rows.start, rows.len());
        whole(&Encoding {
            values: items.values.clone().narrow(0, rows.start, rows.len()),
            mask: items.mask.clone().map(part),
            regions: None,
        })
    });
    side(items, Tensor::cat(wholes.collect(), 0))
}

fn narrowed(items: &Side, rows: Range<usize>) -> Side {
    let (start, n) = (rows.start, rows.len());
    Side {
        vectors: items.vectors.clone().narrow(0, start, n),
        mask: items.mask.clone().narrow(0, start, n),
        whole: items.whole.clone().narrow(0, start, n),
    }
}

fn blocks(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n)
        .step_by(size)
        .map(move |start| start..(start + size).min(n))
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
