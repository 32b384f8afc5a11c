//! Gradients of all inputs, tile by tile, from products that are computed again.
//!
//! Pairs whose nodes all have the gradient 0 are left out: a loss over hardest negatives reaches about
//! three of every hundred pairs, and their words are gathered into separate tiles.

use std::ops::Range;

use rayon::prelude::*;

use super::forward::{Scratch, attend, global_squares, widest};
use super::input;
use super::layout::{Pairs, TILE, Tile, transpose, transpose_into};
use super::rows::{self, Compared, Nodes};
use crate::Gradients;
use crate::product::{View, Write};
use crate::vector::wide;

/// Adds the gradients of all inputs that want one.
pub(super) fn run(pairs: &Pairs<'_>, nodes: &Nodes<'_>, gradients: &mut Gradients) {
    let tiles = pairs.tiles();
    let parts: Vec<Sums> = (pairs.parts().into_par_iter())
        .map(|images| Part::new(pairs, nodes, images, widest(&tiles)).run(&tiles))
        .collect();
    let mut collect = |index: usize, of: &dyn Fn(&Sums) -> &[f32]| {
        if let Some(out) = gradients.get(index) {
            parts.iter().for_each(|part| add(out, of(part)));
        }
    };
    collect(input::CAPTIONS, &|part| &part.caption_wholes);
    collect(input::LOCAL, &|part| &part.local);
    collect(input::LOCAL_BIAS, &|part| &part.local_bias);
    collect(input::GLOBAL, &|part| &part.global);
    collect(input::GLOBAL_BIAS, &|part| &part.global_bias);
    if let Some(out) = gradients.get(input::IMAGES) {
        let rows = parts.iter().flat_map(|part| &part.image_wholes);
        out.iter_mut().zip(rows).for_each(|(sum, x)| *sum += x);
    }
    if let Some(out) = gradients.get(input::REGIONS) {
        let packed: Vec<f32> = parts
            .iter()
            .flat_map(|part| &part.regions)
            .copied()
            .collect();
        pairs.images.scatter(&packed, out);
    }
    if let Some(out) = gradients.get(input::WORDS) {
        let mut packed = vec![0.0; pairs.captions.values().len()];
        parts.iter().for_each(|part| add(&mut packed, &part.words));
        pairs.captions.scatter(&packed, out);
    }
}

fn add(out: &mut [f32], values: &[f32]) {
    out.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
}

/// Gradients that the images of one part contribute.
struct Sums {
    /// The part's regions, packed.
    regions: Vec<f32>,
    /// The part's images.
    image_wholes: Vec<f32>,
    /// All words, packed.
    words: Vec<f32>,
    caption_wholes: Vec<f32>,
    local: Vec<f32>,
    local_bias: Vec<f32>,
    global: Vec<f32>,
    global_bias: Vec<f32>,
}

/// A part of the images at work.
struct Part<'a> {
    pairs: &'a Pairs<'a>,
    nodes: &'a Nodes<'a>,
    images: Range<usize>,
    /// Of every image of the part, its regions `[d, r]`.
    transposed: Vec<Vec<f32>>,
    scratch: Scratch,
    /// Squared differences of a tile, then the gradient by them, then that by the contexts.
    squares: Vec<f32>,
    /// Lengths of a tile's contexts before scaling.
    lengths: Vec<f32>,
    /// Gradient by the weights and then by the raw products, `[regions, words]`.
    by_weights: Vec<f32>,
    /// Gradient by the weights as its product leaves it, `[words, regions]`.
    turned: Vec<f32>,
    sums: Sums,
}

impl<'a> Part<'a> {
    fn new(
        pairs: &'a Pairs<'a>,
        nodes: &'a Nodes<'a>,
        images: Range<usize>,
        widest: usize,
    ) -> Self {
        let d = pairs.dim();
        // Tiles of gathered captions can be wider than all others.
        let words = widest.max(TILE);
        let zeros = |n: usize| vec![0.0; n];
        let like = |values: &[f32]| vec![0.0; values.len()];
        let regions = pairs.images.items(images.clone());
        Self {
            pairs,
            nodes,
            transposed: (images.clone())
                .map(|image| transpose(pairs.images.items(image..image + 1), d))
                .collect(),
            scratch: Scratch::new(pairs, words),
            squares: zeros(words * d),
            lengths: zeros(words),
            by_weights: zeros(words * pairs.most_regions()),
            turned: zeros(words * pairs.most_regions()),
            sums: Sums {
                regions: like(regions),
                image_wholes: zeros(images.len() * d),
                words: like(pairs.captions.values()),
                caption_wholes: like(pairs.caption_wholes),
                local: like(pairs.local.weight),
                local_bias: like(pairs.local.bias),
                global: like(pairs.global.weight),
                global_bias: like(pairs.global.bias),
            },
            images,
        }
    }

    fn run(mut self, tiles: &[Tile<'_>]) -> Sums {
        let reached: Vec<Vec<bool>> = self.images.clone().map(|i| self.reached(i)).collect();
        let mut sparse: Vec<Vec<usize>> = vec![Vec::new(); reached.len()];
        let mut by_words = std::mem::take(&mut self.sums.words);
        for tile in tiles {
            for (at, image) in self.images.clone().enumerate() {
                let captions = tile.captions.iter().copied();
                let reached: Vec<usize> = captions.filter(|&j| reached[at][j]).collect();
                if 2 * reached.len() < tile.captions.len() {
                    sparse[at].extend(reached);
                } else {
                    self.local(
                        image,
                        tile,
                        &mut by_words[self.pairs.packed(&tile.captions)],
                    );
                }
            }
        }
        for (image, captions) in self.images.clone().zip(sparse) {
            for run in self.pairs.runs(captions) {
                self.gathered(image, run, &mut by_words);
            }
        }
        for (image, reached) in self.images.clone().zip(reached) {
            let captions: Vec<usize> = (0..reached.len()).filter(|&j| reached[j]).collect();
            for captions in captions.chunks(TILE) {
                self.global(image, captions);
            }
        }
        self.sums.words = by_words;
        self.sums
    }

    /// Of every caption, whether a node that it has with `image` has a gradient.
    fn reached(&self, image: usize) -> Vec<bool> {
        let (total, s) = (self.pairs.n_nodes(), self.pairs.width());
        let gradient = &self.nodes.gradient[image * total * s..][..total * s];
        (0..self.pairs.captions.len())
            .map(|caption| {
                let first = self.pairs.global_node(caption);
                let n = 1 + self.pairs.captions.range(caption).len();
                gradient[first * s..(first + n) * s]
                    .iter()
                    .any(|g| *g != 0.0)
            })
            .collect()
    }

    /// A tile of captions that are not adjacent.
    fn gathered(&mut self, image: usize, captions: Vec<usize>, by_words: &mut [f32]) {
        let pairs = self.pairs;
        let words: Vec<f32> = (captions.iter())
            .flat_map(|&caption| pairs.captions.items(caption..caption + 1))
            .copied()
            .collect();
        let mut gradient = vec![0.0; words.len()];
        let tile = pairs.tile(captions, &words, None);
        self.local(image, &tile, &mut gradient);
        let mut rest = &gradient[..];
        for &caption in &tile.captions {
            let out = &mut by_words[pairs.packed(&[caption])];
            let (rows, after) = rest.split_at(out.len());
            add(out, rows);
            rest = after;
        }
    }

    /// Everything that the local nodes of one image's tile contribute; that to the tile's words
    /// goes to `by_words`.
    fn local(&mut self, image: usize, tile: &Tile<'_>, by_words: &mut [f32]) {
        let (pairs, d, s) = (self.pairs, self.pairs.dim(), self.pairs.width());
        let n = tile.len();
        attend(pairs, image, tile, &mut self.scratch);
        let contexts = &mut self.scratch.contexts[..n * d];
        let squares = &mut self.squares[..n * d];
        let lengths = &mut self.lengths[..n];
        wide(|| rows::contexts_and_squares(contexts, tile.words, d, lengths, squares));
        let projected = &mut self.scratch.projected[..n * s];
        self.nodes.read(
            pairs,
            image,
            &tile.nodes,
            projected,
            &mut self.sums.local_bias,
        );
        let upstream = View::rows(projected, s);
        let (weight, sum) = (View::rows(pairs.local.weight, d), &mut self.sums.local);
        pairs.product(upstream.t(), View::rows(squares, d), sum, d, Write::Add);
        pairs.product(upstream, weight, squares, d, Write::Replace);
        let compared = Compared {
            contexts,
            lengths,
            words: tile.words,
            d,
        };
        wide(|| rows::squares_backward(compared, squares, by_words));
        self.attention(image, tile, by_words);
    }

    /// From the gradient by the contexts, which is in `squares`, to those by regions and words.
    fn attention(&mut self, image: usize, tile: &Tile<'_>, by_words: &mut [f32]) {
        let (pairs, d, n) = (self.pairs, self.pairs.dim(), tile.len());
        let regions = pairs.images.items(image..image + 1);
        let n_regions = regions.len() / d;
        if n_regions == 0 {
            return;
        }
        let by_contexts = View::rows(&self.squares[..n * d], d);
        let raw = &self.scratch.raw[..n_regions * n];
        let weights = &self.scratch.weights[..n_regions * n];
        let turned = &mut self.turned[..n_regions * n];
        let gradient = &mut self.by_weights[..n_regions * n];
        let transposed = &self.transposed[image - self.images.start];
        let transposed = View::rows(transposed, n_regions);
        pairs.product(by_contexts, transposed, turned, n_regions, Write::Replace);
        transpose_into(turned, n_regions, gradient);
        wide(|| {
            for (start, block) in tile.blocks(n_regions) {
                let (raw, weights) = (&raw[start..], &weights[start..]);
                pairs
                    .attention
                    .backward(block, raw, weights, &mut gradient[start..]);
            }
        });
        let first = pairs.images.range(self.images.start).start;
        let range = pairs.images.range(image);
        let by_regions = &mut self.sums.regions[(range.start - first) * d..(range.end - first) * d];
        let (weights, gradient) = (View::rows(weights, n), View::rows(gradient, n));
        let words = View::rows(tile.words, d);
        pairs.product(weights, by_contexts, by_regions, d, Write::Add);
        pairs.product(gradient, words, by_regions, d, Write::Add);
        pairs.product(
            gradient.t(),
            View::rows(regions, d),
            by_words,
            d,
            Write::Add,
        );
    }

    /// Everything that the global nodes of one image with some captions contribute.
    fn global(&mut self, image: usize, captions: &[usize]) {
        let (pairs, d, s) = (self.pairs, self.pairs.dim(), self.pairs.width());
        let n = captions.len();
        let places = global_squares(pairs, image, captions, &mut self.squares);
        let squares = &mut self.squares[..n * d];
        let projected = &mut self.scratch.projected[..n * s];
        self.nodes
            .read(pairs, image, &places, projected, &mut self.sums.global_bias);
        let upstream = View::rows(projected, s);
        let (weight, sum) = (View::rows(pairs.global.weight, d), &mut self.sums.global);
        pairs.product(upstream.t(), View::rows(squares, d), sum, d, Write::Add);
        pairs.product(upstream, weight, squares, d, Write::Replace);
        let whole = &pairs.image_wholes[image * d..][..d];
        let by_whole = &mut self.sums.image_wholes[(image - self.images.start) * d..][..d];
        let by_captions = &mut self.sums.caption_wholes;
        wide(|| {
            for (caption, gradient) in captions.iter().zip(squares.chunks_exact(d)) {
                let at = caption * d..(caption + 1) * d;
                let other = &pairs.caption_wholes[at.clone()];
                rows::wholes_backward(whole, other, gradient, by_whole, &mut by_captions[at]);
            }
        });
    }
}

impl Nodes<'_> {
    /// Writes the gradient by the projected rows of one image's nodes at `places`.
    fn read(
        &self,
        pairs: &Pairs<'_>,
        image: usize,
        places: &[usize],
        projected: &mut [f32],
        by_bias: &mut [f32],
    ) {
        let (total, s) = (pairs.n_nodes(), pairs.width());
        let rows = image * total * s..(image + 1) * total * s;
        let own = Nodes {
            values: &self.values[rows.clone()],
            lengths: &self.lengths[image * total..][..total],
            gradient: &self.gradient[rows],
        };
        wide(|| rows::read_nodes(own, places, projected, by_bias));
    }
}
