//! Reasoning steps over the fully connected graph of every pair's nodes: parts of pairs in parallel,
//! each with its own gradients by the weights.
//!
//! The forward pass leaves nothing behind. The backward pass looks which pairs have a gradient at all,
//! which with hardest negatives are about three in the batch's size, and computes the steps of those
//! again. Where every pair has one, keeping each step's nodes and edges is 8 % faster on a quiet
//! machine (3.5 instead of 3.8 s for a training step of 128 x 128 pairs of 15 nodes of width 256), but
//! takes 10 % more processor time, most of it for fresh pages, and 450 MiB more. Where few have one,
//! nothing is gained.

mod affine;
mod edges;
mod fold;
mod full;
mod last;
mod steps;
mod tile;

use rayon::prelude::*;

use self::fold::{Folded, FoldedGradient, Given, GivenGradient};
use self::steps::Steps;
use self::tile::Tile;
use crate::pairs::{CHUNKS, Pairs, even, split};
use crate::product::Precision;
use crate::{Array, Gradients, Operation, Output};

/// Pairs of a part of the backward pass, if there are as many: each part adds up gradients by all
/// weights, which is only worth it for whole tiles.
const LEAST_PAIRS: usize = 16;

/// Reasoning over the nodes `X` of every pair; every step is
///
/// ```text
/// E = softmax over rows of (X Wqᵀ + 1 bqᵀ)(X Wkᵀ + 1 bkᵀ)ᵀ     X ← relu(E X Wgᵀ + 1 bgᵀ)
/// ```
///
/// and the result is the first node after the last one. The gradient by a key bias is exactly 0,
/// because it moves a whole row of a softmax. An entry of `E` below 1e-30 counts as 0.
///
/// # Shapes
/// - inputs: nodes `[n, total, s]`, of every image the nodes of its pair with the first caption, then
///   of that with the second, and so on; then of query, key and reason the weights of all steps
///   `[steps, s, s]`, from columns to rows, and their biases `[steps, s]`
/// - output: `[n, c, s]`
/// # Panics
/// If a weight is not of width `s`, a length is 0, or the lengths do not add up to `total`.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Nodes of each caption, at least 1: `c`.
    pub lengths: Vec<usize>,
    /// Precision of the products.
    pub precision: Precision,
}

impl Graph {
    fn pairs(&self, nodes: Array<'_>) -> Pairs {
        let [n, total, _] = nodes.dims();
        Pairs::new(n, &self.lengths, total)
    }

    fn folded(&self, inputs: &[Array<'_>]) -> Vec<Folded> {
        let given = given(inputs).into_iter();
        given
            .map(|given| Folded::new(given, self.precision))
            .collect()
    }
}

impl Operation for Graph {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Self::Saved) {
        let [n, _, s] = inputs[0].dims();
        let (pairs, weights) = (self.pairs(inputs[0]), self.folded(inputs));
        let all: Vec<usize> = (0..pairs.len()).collect();
        let parts = even(all.len(), CHUNKS);
        let mut output = vec![0.0; all.len() * s];
        let outputs = split(&mut output, parts.iter().map(|part| part.end * s));
        let work = parts.into_par_iter().zip(outputs);
        work.for_each(|(part, mut output)| {
            let mut steps = Steps::new(&weights);
            for tile in Tile::cut(&pairs, &all[part]) {
                let (out, rest) = output.split_at_mut(tile.len() * s);
                out.copy_from_slice(steps.forward(&tile, &tile.rows(inputs[0].values, s)));
                output = rest;
            }
        });
        (Output::new(output, [n, self.lengths.len(), s]), ())
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        (): &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let (nodes, s) = (inputs[0].values, inputs[0].dims::<3>()[2]);
        let (pairs, weights) = (self.pairs(inputs[0]), self.folded(inputs));
        let reached = reached(gradient, s);
        let parts = even(
            reached.len(),
            CHUNKS.min(reached.len().div_ceil(LEAST_PAIRS)),
        );
        let wanted = gradients.take(0);
        let wants_nodes = wanted.is_some();
        let mut by_nodes = wanted.unwrap_or_else(|| vec![0.0; nodes.len()]);
        let ends = parts
            .iter()
            .map(|part| pairs.rows(reached[part.end - 1]).end);
        let starts: Vec<usize> = std::iter::once(0).chain(ends.clone()).collect();
        let by_parts = split(&mut by_nodes, ends.map(|row| row * s));
        let work = parts.into_par_iter().zip(starts).zip(by_parts);
        let sums: Vec<Vec<FoldedGradient>> = work
            .map(|((part, first), by_part)| {
                let mut steps = Steps::new(&weights);
                let mut sums: Vec<_> = weights.iter().map(|_| FoldedGradient::zeros(s)).collect();
                for tile in Tile::cut(&pairs, &reached[part]) {
                    let (x, upstream) = (tile.rows(nodes, s), tile.pair_rows(gradient, s));
                    steps.forward(&tile, &x);
                    tile.write_rows(by_part, first, s, |by_rows| {
                        steps.backward(&tile, &x, upstream, by_rows, &mut sums);
                    });
                }
                sums
            })
            .collect();
        if wants_nodes {
            gradients.put(0, Some(by_nodes));
        }
        let values = given(inputs)
            .into_par_iter()
            .enumerate()
            .map(|(step, given)| {
                let mut sum = FoldedGradient::zeros(s);
                sums.iter().for_each(|part| sum.merge(&part[step]));
                sum.unfold(given, self.precision)
            });
        for (step, values) in values.collect::<Vec<_>>().into_iter().enumerate() {
            write(step, values, gradients);
        }
    }
}

/// The pairs whose gradient, of `s` numbers each, is not all 0; NaN is not 0.
fn reached(gradient: &[f32], s: usize) -> Vec<usize> {
    let rows = gradient.chunks_exact(s).enumerate();
    rows.filter(|(_, row)| row.iter().any(|g| *g != 0.0))
        .map(|(pair, _)| pair)
        .collect()
}

fn given<'a>(inputs: &[Array<'a>]) -> Vec<Given<'a>> {
    let [steps, s] = inputs[2].dims();
    let width = inputs[0].dims::<3>()[2];
    let square = |input: usize| inputs[input].shape == [steps, width, width];
    assert!(
        s == width && [1, 3, 5].into_iter().all(square),
        "weights of width {width}"
    );
    let matrix = |input: usize, step: usize| &inputs[input].values[step * s * s..][..s * s];
    let bias = |input: usize, step: usize| &inputs[input].values[step * s..][..s];
    (0..steps)
        .map(|step| Given {
            query: matrix(1, step),
            query_bias: bias(2, step),
            key: matrix(3, step),
            reason: matrix(5, step),
            reason_bias: bias(6, step),
        })
        .collect()
}

fn write(step: usize, values: GivenGradient, gradients: &mut Gradients) {
    let operands = [
        (1, values.query),
        (2, values.query_bias),
        (3, values.key),
        (5, values.reason),
        (6, values.reason_bias),
    ];
    for (operand, values) in operands {
        if let Some(out) = gradients.get(operand) {
            out[step * values.len()..][..values.len()].copy_from_slice(&values);
        }
    }
}
