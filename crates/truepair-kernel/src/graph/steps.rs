//! All steps on one tile after another.

use super::fold::{Folded, FoldedGradient};
use super::full::{Before, Full, Scratch};
use super::last::Last;
use super::tile::Tile;

/// Buffers of every step, made once for many tiles.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    weights: &'a [Folded],
    full: Vec<Full>,
    last: Last,
    scratch: Scratch,
}

impl<'a> Steps<'a> {
    pub(super) fn new(weights: &'a [Folded]) -> Self {
        let full = weights.len() - 1;
        Self {
            weights,
            full: (0..full).map(|_| Full::default()).collect(),
            last: Last::default(),
            scratch: Scratch::default(),
        }
    }

    /// Runs all steps on the nodes `x` of `tile`; returns the first nodes after them, `[pairs, s]`.
    pub(super) fn forward(&mut self, tile: &Tile, x: &[f32]) -> &[f32] {
        for at in 0..self.full.len() {
            let (before, step) = self.full.split_at_mut(at);
            let weights = &self.weights[at];
            let x = after(before, x);
            step[0].forward(Before { tile, weights, x });
        }
        let weights = &self.weights[self.full.len()];
        let x = after(&self.full, x);
        self.last.forward(Before { tile, weights, x });
        &self.last.nodes
    }

    /// From `upstream`, the gradient by the result of the forward pass that ran last: sets
    /// `gradient`, the one by the nodes, and adds to those by the weights of every step.
    pub(super) fn backward(
        &mut self,
        tile: &Tile,
        x: &[f32],
        upstream: Vec<f32>,
        gradient: &mut [f32],
        sums: &mut [FoldedGradient],
    ) {
        let Self {
            weights,
            full,
            last,
            scratch,
        } = self;
        let before = |at: usize| Before {
            tile,
            weights: &weights[at],
            x: after(&full[..at], x),
        };
        let at = full.len();
        last.backward(before(at), upstream, gradient, &mut sums[at]);
        for (at, step) in full.iter().enumerate().rev() {
            step.backward(before(at), gradient, scratch, &mut sums[at]);
        }
    }
}

/// The nodes after all of these steps.
fn after<'b>(steps: &'b [Full], x: &'b [f32]) -> &'b [f32] {
    steps.last().map_or(x, |step| &step.nodes)
}
