//! How pairs are cut into tiles, and the factors of their products as these read them best.

use std::ops::Range;

use super::input;
use crate::product::{Precision, View, Write};
use crate::{Array, Attention, Block, Ragged};

/// Words of a tile: enough rows for products at full speed, and few enough that a tile's vectors
/// stay in the cache of one core.
pub(super) const TILE: usize = 224;
/// Parts that images are divided into; fixed, so that sums do not depend on the number of threads.
const PARTS: usize = 8;

/// Everything that tiles read.
pub(super) struct Pairs<'a> {
    pub(super) attention: Attention,
    pub(super) precision: Precision,
    pub(super) images: Ragged<'a>,
    pub(super) captions: Ragged<'a>,
    /// `[n, d]`
    pub(super) image_wholes: &'a [f32],
    /// `[c, d]`
    pub(super) caption_wholes: &'a [f32],
    pub(super) local: Layer<'a>,
    pub(super) global: Layer<'a>,
}

/// A projection's weights in both layouts.
pub(super) struct Layer<'a> {
    /// `[s, d]`
    pub(super) weight: &'a [f32],
    /// `[d, s]`: a product with a long transposed right factor runs at three quarters of the speed.
    pub(super) transposed: Vec<f32>,
    /// `[s]`
    pub(super) bias: &'a [f32],
}

/// Words of some captions side by side; what one image does with them is computed at once.
pub(super) struct Tile<'a> {
    pub(super) captions: Vec<usize>,
    /// Of every caption, its columns in the tile.
    pub(super) columns: Vec<Range<usize>>,
    /// Of every column, its node's row among an image's nodes.
    pub(super) nodes: Vec<usize>,
    /// `[columns, d]`
    pub(super) words: &'a [f32],
    /// The words `[d, columns]`, if they were laid out for several images.
    pub(super) transposed: Option<Vec<f32>>,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(operation: &super::PairNodes, inputs: &[Array<'a>]) -> Self {
        let ragged = |vectors: usize, mask: usize| Ragged::new(inputs[vectors], inputs[mask]);
        let layer = |weight: usize, bias: usize| Layer::new(inputs[weight], inputs[bias].values);
        Self {
            attention: operation.attention,
            precision: operation.precision,
            images: ragged(input::REGIONS, input::REGION_MASK),
            captions: ragged(input::WORDS, input::WORD_MASK),
            image_wholes: inputs[input::IMAGES].values,
            caption_wholes: inputs[input::CAPTIONS].values,
            local: layer(input::LOCAL, input::LOCAL_BIAS),
            global: layer(input::GLOBAL, input::GLOBAL_BIAS),
        }
    }

    /// Numbers in a region or a word.
    pub(super) fn dim(&self) -> usize {
        self.images.width()
    }

    /// Numbers in a node.
    pub(super) fn width(&self) -> usize {
        self.local.bias.len()
    }

    /// Nodes of an image.
    pub(super) fn n_nodes(&self) -> usize {
        self.captions.total() + self.captions.len()
    }

    /// The row of a caption's global node among an image's nodes.
    pub(super) fn global_node(&self, caption: usize) -> usize {
        self.captions.range(caption).start + caption
    }

    /// Where the numbers of neighboring captions' words lie among those of all words.
    pub(super) fn packed(&self, captions: &[usize]) -> Range<usize> {
        let (first, last) = (captions[0], captions[captions.len() - 1]);
        let words = self.captions.range(first).start..self.captions.range(last).end;
        words.start * self.dim()..words.end * self.dim()
    }

    /// Regions of the image that has the most.
    pub(super) fn most_regions(&self) -> usize {
        let regions = (0..self.images.len()).map(|image| self.images.range(image).len());
        regions.max().unwrap_or(0)
    }

    /// Contiguous parts of the images, never more than [`PARTS`].
    pub(super) fn parts(&self) -> Vec<Range<usize>> {
        let n = self.images.len();
        let step = self.images_a_part();
        (0..n)
            .step_by(step)
            .map(|start| start..(start + step).min(n))
            .collect()
    }

    /// Images of every part but the last.
    pub(super) fn images_a_part(&self) -> usize {
        self.images.len().div_ceil(PARTS).max(1)
    }

    /// `captions` cut into runs of at most [`TILE`] words; a longer caption is a run of its own, and
    /// one without words is in no run.
    pub(super) fn runs(&self, captions: impl IntoIterator<Item = usize>) -> Vec<Vec<usize>> {
        let mut runs: Vec<Vec<usize>> = Vec::new();
        let mut words = usize::MAX / 2;
        for caption in captions {
            let length = self.captions.range(caption).len();
            if length == 0 {
                continue;
            }
            words += length;
            if words > TILE {
                runs.push(Vec::new());
                words = length;
            }
            runs.last_mut().expect("a run was begun").push(caption);
        }
        runs
    }

    /// All captions in tiles, with their words laid out for the products of every image.
    pub(super) fn tiles(&self) -> Vec<Tile<'_>> {
        let runs = self.runs(0..self.captions.len());
        let tiles = runs.into_iter().map(|run| {
            let words = &self.captions.values()[self.packed(&run)];
            let transposed = Some(transpose(words, self.dim()));
            self.tile(run, words, transposed)
        });
        tiles.collect()
    }

    /// A tile of captions whose words `[columns, d]` are in `words`.
    pub(super) fn tile<'t>(
        &self,
        captions: Vec<usize>,
        words: &'t [f32],
        transposed: Option<Vec<f32>>,
    ) -> Tile<'t> {
        let (mut columns, mut nodes) = (Vec::new(), Vec::new());
        for &caption in &captions {
            let start = nodes.len();
            let first = self.global_node(caption) + 1;
            nodes.extend(first..first + self.captions.range(caption).len());
            columns.push(start..nodes.len());
        }
        Tile {
            captions,
            columns,
            nodes,
            words,
            transposed,
        }
    }

    /// A product on the calling thread; `out` has dense rows of `width` numbers.
    pub(super) fn product(
        &self,
        left: View<'_>,
        right: View<'_>,
        out: &mut [f32],
        width: usize,
        write: Write,
    ) {
        left.times(right)
            .with(self.precision)
            .put(write, out, width);
    }
}

impl<'a> Layer<'a> {
    fn new(weight: Array<'a>, bias: &'a [f32]) -> Self {
        let [_, d] = weight.dims();
        Self {
            weight: weight.values,
            transposed: transpose(weight.values, d),
            bias,
        }
    }
}

impl Tile<'_> {
    /// Number of words.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Of every caption, where its weights lie in a buffer `[regions, columns]`.
    pub(super) fn blocks(&self, regions: usize) -> impl Iterator<Item = (usize, Block)> + '_ {
        let stride = self.len();
        self.columns.iter().map(move |columns| {
            let block = Block {
                contexts: regions,
                queries: columns.len(),
                stride,
            };
            (columns.start, block)
        })
    }
}

/// The transpose of dense rows, `[columns, rows]`.
pub(super) fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    transpose_into(values, columns, &mut out);
    out
}

/// Writes the transpose of dense rows to `out`. Squares of 16 keep both sides within whole cache
/// lines.
pub(super) fn transpose_into(values: &[f32], columns: usize, out: &mut [f32]) {
    const SIDE: usize = 16;
    let rows = values.len() / columns;
    for row_start in (0..rows).step_by(SIDE) {
        for column_start in (0..columns).step_by(SIDE) {
            for column in column_start..(column_start + SIDE).min(columns) {
                for row in row_start..(row_start + SIDE).min(rows) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
}
