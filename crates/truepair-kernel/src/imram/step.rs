//! One step of one tile: what it computes and keeps, and its element-wise loops.

use crate::attention::Tile;
use crate::columns::Columns;
use crate::vector::{dot, exp};

/// Queries are divided by their length plus this.
const GUARD: f32 = 1e-8;

/// Memory of one step. Rows of the first group are contexts, `stride` apart; rows of the second are
/// queries, `d` or `2 d` wide.
#[derive(Debug)]
pub(super) struct Step {
    /// Inner products of contexts and this step's queries.
    pub(super) raw: Vec<f32>,
    /// Numerators `e` of the attention weights.
    pub(super) numerators: Vec<f32>,
    /// `G e`; going backward `2 κ e`.
    pub(super) lifted: Vec<f32>,
    /// Attention weights.
    pub(super) weights: Vec<f32>,
    /// What normalized raw values, one number per context and item.
    pub(super) norms: Vec<f32>,
    pub(super) columns: Columns,
    /// `o` and `g`, `[b, 2 d]`; going backward the gradient by what the two functions were given.
    pub(super) gates: Vec<f32>,
    /// The next step's queries, `[b, d]`.
    pub(super) next: Vec<f32>,
    /// Their lengths before they were scaled.
    lengths: Vec<f32>,
}

impl Step {
    /// For up to `m` contexts, rows of `stride`, `items` items and updates of `updated` queries of
    /// width `d`.
    pub(super) fn new(m: usize, stride: usize, items: usize, updated: usize, d: usize) -> Self {
        let row = || vec![0.0; m * stride];
        Self {
            raw: row(),
            numerators: row(),
            lifted: row(),
            weights: row(),
            norms: vec![0.0; m * items],
            columns: Columns::new(stride, items),
            gates: vec![0.0; updated * 2 * d],
            next: vec![0.0; updated * d],
            lengths: vec![0.0; updated],
        }
    }

    /// Fills the weights from their numerators. Inline it into [`wide`](crate::vector::wide).
    #[inline(always)]
    pub(super) fn divide(&mut self, tile: Tile<'_>) {
        let n = tile.columns();
        let sums = &self.columns.sums[..n];
        for context in 0..tile.contexts {
            let at = context * tile.stride;
            let (out, e) = (&mut self.weights[at..][..n], &self.numerators[at..][..n]);
            for q in 0..n {
                out[q] = e[q] / sums[q];
            }
        }
    }

    /// Adds to the gradient by `λ a` what comes through the weights from their gradient. Inline it
    /// into [`wide`](crate::vector::wide).
    #[inline(always)]
    pub(super) fn through_weights(
        &self,
        tile: Tile<'_>,
        by_weights: &[f32],
        along: &mut [f32],
        by_logits: &mut [f32],
    ) {
        let n = tile.columns();
        let along = &mut along[..n];
        along.fill(0.0);
        for context in 0..tile.contexts {
            let at = context * tile.stride;
            let (w, g) = (&self.weights[at..][..n], &by_weights[at..][..n]);
            for q in 0..n {
                along[q] += w[q] * g[q];
            }
        }
        for context in 0..tile.contexts {
            let at = context * tile.stride;
            let (w, g) = (&self.weights[at..][..n], &by_weights[at..][..n]);
            let out = &mut by_logits[at..][..n];
            for q in 0..n {
                out[q] += w[q] * (g[q] - along[q]);
            }
        }
    }

    /// From a part of what the two functions are given to `o`, `g` and the next queries; `added` is
    /// the other part, one row of `2 d` for each query or for all. Inline it into
    /// [`wide`](crate::vector::wide).
    #[inline(always)]
    pub(super) fn advance(&mut self, added: &[f32], queries: &[f32], d: usize, normalize: bool) {
        let rows = queries
            .chunks_exact(d)
            .zip(self.gates.chunks_exact_mut(2 * d));
        let rows = rows.zip(added.chunks_exact(2 * d).cycle());
        let out = self.next.chunks_exact_mut(d).zip(&mut self.lengths);
        for (((query, gates), added), (next, length)) in rows.zip(out) {
            let (o, g) = gates.split_at_mut(d);
            let (o_added, g_added) = added.split_at(d);
            for i in 0..d {
                let (output, gate) = activations(o[i] + o_added[i], g[i] + g_added[i]);
                (o[i], g[i]) = (output, gate);
                next[i] = output + gate * (query[i] - output);
            }
            if normalize {
                *length = dot(next, next).sqrt();
                let inverse = 1.0 / (*length + GUARD);
                next.iter_mut().for_each(|x| *x *= inverse);
            }
        }
    }

    /// `gradient`, by the next queries, turns into the part of the gradient by `queries` that does
    /// not go through the functions; `gates` turns into the gradient by what they were given. Inline
    /// it into [`wide`](crate::vector::wide).
    #[inline(always)]
    pub(super) fn retreat(
        &mut self,
        queries: &[f32],
        gradient: &mut [f32],
        d: usize,
        normalize: bool,
    ) {
        let rows = queries
            .chunks_exact(d)
            .zip(self.gates.chunks_exact_mut(2 * d));
        let out = self.next.chunks_exact(d).zip(&self.lengths);
        let rows = rows.zip(out).zip(gradient.chunks_exact_mut(d));
        for (((query, gates), (next, length)), slope) in rows {
            if normalize {
                let scale = length + GUARD;
                let along = dot(next, slope);
                let pull = if *length > 0.0 {
                    along * scale / length
                } else {
                    0.0
                };
                for (g, x) in slope.iter_mut().zip(next) {
                    *g = (*g - x * pull) / scale;
                }
            }
            let (o, g) = gates.split_at_mut(d);
            for i in 0..d {
                let (output, gate, slope_here) = (o[i], g[i], slope[i]);
                let by_output = slope_here * (1.0 - gate);
                let by_gate = slope_here * (query[i] - output);
                o[i] = by_output * (1.0 - output * output);
                g[i] = by_gate * gate * (1.0 - gate);
                slope[i] = slope_here * gate;
            }
        }
    }
}

/// `tanh x` and `1 / (1 + e⁻ʸ)`, both to 3e-7, with one division, which is what costs here.
#[inline(always)]
fn activations(x: f32, y: f32) -> (f32, f32) {
    let (e, f) = (
        exp((2.0 * x).clamp(-30.0, 30.0)),
        exp((-y).clamp(-30.0, 30.0)),
    );
    let (below, beside) = (e + 1.0, f + 1.0);
    let inverse = 1.0 / (below * beside);
    ((e - 1.0) * beside * inverse, below * inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_equal_the_standard_library() {
        for i in -400..400 {
            let (x, y) = (i as f32 * 0.1, i as f32 * -0.3);
            let (tanh, sigmoid) = activations(x, y);
            assert!((f64::from(tanh) - f64::from(x).tanh()).abs() < 3e-7, "{x}");
            let exact = 1.0 / (1.0 + (-f64::from(y)).exp());
            assert!((f64::from(sigmoid) - exact).abs() < 3e-7, "{y}");
        }
    }
}
