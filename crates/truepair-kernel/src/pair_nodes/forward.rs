//! Tiles from raw inner products to finished nodes.

use rayon::prelude::*;

use super::layout::{Pairs, TILE, Tile};
use super::rows::{self, NodesMut};
use crate::product::{View, Write};
use crate::vector::wide;

/// Buffers of one tile, allocated once per part of the images.
pub(super) struct Scratch {
    /// Inner products `[regions, words]`.
    pub(super) raw: Vec<f32>,
    /// Attention weights, laid out as `raw`.
    pub(super) weights: Vec<f32>,
    /// Attended regions of every word, `[words, d]`.
    pub(super) contexts: Vec<f32>,
    /// Nodes before their scaling, `[words, s]`.
    pub(super) projected: Vec<f32>,
}

impl Scratch {
    /// For tiles of at most `words` words and of at most [`TILE`] captions.
    pub(super) fn new(pairs: &Pairs<'_>, words: usize) -> Self {
        let (regions, rows) = (pairs.most_regions(), words.max(TILE));
        Self {
            raw: vec![0.0; regions * words],
            weights: vec![0.0; regions * words],
            contexts: vec![0.0; rows * pairs.dim()],
            projected: vec![0.0; rows * pairs.width()],
        }
    }
}

/// The nodes `[n, total, s]` and their lengths before scaling, `[n, total]`.
pub(super) fn run(pairs: &Pairs<'_>) -> (Vec<f32>, Vec<f32>) {
    let (n, total, s) = (pairs.images.len(), pairs.n_nodes(), pairs.width());
    let (mut nodes, mut lengths) = (vec![0.0; n * total * s], vec![0.0; n * total]);
    let tiles = pairs.tiles();
    let step = pairs.images_a_part() * total;
    if step > 0 {
        nodes
            .par_chunks_mut(step * s)
            .zip(lengths.par_chunks_mut(step))
            .zip(pairs.parts())
            .for_each(|((nodes, lengths), images)| {
                let mut scratch = Scratch::new(pairs, widest(&tiles));
                // Images are the inner loop: a tile's words are read again while they are in the cache.
                for tile in &tiles {
                    let out = nodes
                        .chunks_exact_mut(total * s)
                        .zip(lengths.chunks_exact_mut(total));
                    for (image, (values, lengths)) in images.clone().zip(out) {
                        let out = NodesMut { values, lengths };
                        local_nodes(pairs, image, tile, &mut scratch, out);
                    }
                }
                let out = nodes
                    .chunks_exact_mut(total * s)
                    .zip(lengths.chunks_exact_mut(total));
                for (image, (nodes, lengths)) in images.zip(out) {
                    global_nodes(pairs, image, &mut scratch, nodes, lengths);
                }
            });
    }
    (nodes, lengths)
}

/// Words of the widest tile.
pub(super) fn widest(tiles: &[Tile<'_>]) -> usize {
    tiles.iter().map(Tile::len).max().unwrap_or(0)
}

fn local_nodes(
    pairs: &Pairs<'_>,
    image: usize,
    tile: &Tile<'_>,
    scratch: &mut Scratch,
    out: NodesMut<'_>,
) {
    attend(pairs, image, tile, scratch);
    let d = pairs.dim();
    let contexts = &mut scratch.contexts[..tile.len() * d];
    wide(|| rows::contexts_to_squares(contexts, tile.words, d));
    let weight = View::rows(&pairs.local.transposed, pairs.width());
    let projected = &mut scratch.projected[..tile.len() * pairs.width()];
    pairs.product(
        View::rows(contexts, d),
        weight,
        projected,
        pairs.width(),
        Write::Replace,
    );
    let NodesMut { values, lengths } = out;
    wide(|| rows::write_nodes(projected, pairs.local.bias, &tile.nodes, values, lengths));
}

/// Fills raw inner products, attention weights and contexts of one image's tile.
pub(super) fn attend(pairs: &Pairs<'_>, image: usize, tile: &Tile<'_>, scratch: &mut Scratch) {
    let (d, width) = (pairs.dim(), tile.len());
    let regions = pairs.images.items(image..image + 1);
    let n_regions = regions.len() / d;
    let contexts = &mut scratch.contexts[..width * d];
    if n_regions == 0 {
        return contexts.fill(0.0);
    }
    let raw = &mut scratch.raw[..n_regions * width];
    let weights = &mut scratch.weights[..n_regions * width];
    let words = match &tile.transposed {
        Some(transposed) => View::rows(transposed, width),
        None => View::rows(tile.words, d).t(),
    };
    pairs.product(View::rows(regions, d), words, raw, width, Write::Replace);
    wide(|| {
        for (start, block) in tile.blocks(n_regions) {
            (pairs.attention).weights(block, &raw[start..], &mut weights[start..]);
        }
    });
    let weights = View::rows(weights, width).t();
    pairs.product(weights, View::rows(regions, d), contexts, d, Write::Replace);
}

fn global_nodes(
    pairs: &Pairs<'_>,
    image: usize,
    scratch: &mut Scratch,
    nodes: &mut [f32],
    lengths: &mut [f32],
) {
    let captions: Vec<usize> = (0..pairs.captions.len()).collect();
    for captions in captions.chunks(TILE) {
        let places = global_squares(pairs, image, captions, &mut scratch.contexts);
        let squares = &scratch.contexts[..captions.len() * pairs.dim()];
        let weight = View::rows(&pairs.global.transposed, pairs.width());
        let projected = &mut scratch.projected[..captions.len() * pairs.width()];
        pairs.product(
            View::rows(squares, pairs.dim()),
            weight,
            projected,
            pairs.width(),
            Write::Replace,
        );
        wide(|| rows::write_nodes(projected, pairs.global.bias, &places, nodes, lengths));
    }
}

/// Writes `(v̄ − t̄)²` of every caption to `squares`; returns the rows of their global nodes.
pub(super) fn global_squares(
    pairs: &Pairs<'_>,
    image: usize,
    captions: &[usize],
    squares: &mut [f32],
) -> Vec<usize> {
    let d = pairs.dim();
    let whole = &pairs.image_wholes[image * d..][..d];
    wide(|| {
        for (caption, out) in captions.iter().zip(squares.chunks_exact_mut(d)) {
            rows::squares(whole, &pairs.caption_wholes[caption * d..][..d], out);
        }
    });
    captions
        .iter()
        .map(|&caption| pairs.global_node(caption))
        .collect()
}
