//! Attention weights of one item's vectors over another's, as SCAN defines them.

use serde::{Deserialize, Serialize};

use super::vector::exp;

const SLOPE: f32 = 0.1;
const GUARD: f32 = 1e-8;

/// How raw inner products are normalized over the queries of each context before the softmax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RawNorm {
    /// Leaky ReLU with slope 0.1, then divided by the Euclidean norm.
    #[default]
    #[serde(rename = "clipped_l2norm")]
    ClippedL2,
    /// Divided by the Euclidean norm.
    #[serde(rename = "l2norm")]
    L2,
    /// Leaky ReLU with slope 0.1, then divided by the sum of magnitudes.
    #[serde(rename = "clipped_l1norm")]
    ClippedL1,
    /// Divided by the sum of magnitudes.
    #[serde(rename = "l1norm")]
    L1,
    /// Leaky ReLU with slope 0.1 only.
    #[serde(rename = "clipped")]
    Clipped,
    /// Softmax.
    #[serde(rename = "softmax")]
    Softmax,
    /// As they are.
    #[serde(rename = "no_norm")]
    Plain,
}

impl RawNorm {
    fn clips(self) -> bool {
        matches!(self, Self::ClippedL2 | Self::ClippedL1 | Self::Clipped)
    }
}

/// Attention of queries over contexts:
///
/// ```text
/// a_cq = norm over q of leaky(raw_cq)      w_cq = softmax over c of λ a_cq
/// ```
/// # Source
/// Lee et al., ECCV 2018; kuanghuei/SCAN@8063557, `func_attention` (golden `u05_scan_attention`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention {
    pub(crate) norm: RawNorm,
    /// Inverse temperature λ of the softmax over contexts.
    pub(crate) smooth: f32,
}

/// A block `[contexts, queries]` in a buffer whose rows start `stride` apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) contexts: usize,
    pub(crate) queries: usize,
    pub(crate) stride: usize,
}

impl Block {
    fn row(self, context: usize) -> std::ops::Range<usize> {
        context * self.stride..context * self.stride + self.queries
    }
}

impl Attention {
    /// Weights of `block` from its raw inner products; both buffers are laid out alike. Inline it
    /// into [`wide`](super::vector::wide).
    #[inline(always)]
    pub(crate) fn weights(self, block: Block, raw: &[f32], weights: &mut [f32]) {
        for context in 0..block.contexts {
            let out = &mut weights[block.row(context)];
            out.copy_from_slice(&raw[block.row(context)]);
            if self.norm.clips() {
                out.iter_mut().for_each(|x| *x = leaky(*x));
            }
            self.normalize(out);
            out.iter_mut().for_each(|x| *x *= self.smooth);
        }
        for start in (0..block.queries).step_by(LANES) {
            softmax_over_contexts(block, start, weights);
        }
    }

    #[inline(always)]
    fn normalize(self, row: &mut [f32]) {
        let scale = match self.norm {
            RawNorm::Clipped | RawNorm::Plain => return,
            RawNorm::ClippedL2 | RawNorm::L2 => length(row) + GUARD,
            RawNorm::ClippedL1 | RawNorm::L1 => row.iter().map(|x| x.abs()).sum::<f32>() + GUARD,
            RawNorm::Softmax => {
                let largest = row.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
                row.iter_mut().for_each(|x| *x = exp(*x - largest));
                row.iter().sum()
            }
        };
        let inverse = 1.0 / scale;
        row.iter_mut().for_each(|x| *x *= inverse);
    }

    /// Turns the gradient by the weights into the gradient by the raw inner products, in place.
    #[inline(always)]
    pub(crate) fn backward(self, block: Block, raw: &[f32], weights: &[f32], gradient: &mut [f32]) {
        for start in (0..block.queries).step_by(LANES) {
            softmax_backward(block, start, weights, gradient);
        }
        for context in 0..block.contexts {
            let range = block.row(context);
            self.normalize_backward(&raw[range.clone()], &mut gradient[range]);
        }
    }

    /// `gradient` holds the derivative by `λ a`; afterwards by the raw row.
    #[inline(always)]
    fn normalize_backward(self, raw: &[f32], gradient: &mut [f32]) {
        gradient.iter_mut().for_each(|g| *g *= self.smooth);
        let clip = |x: f32| if self.norm.clips() { leaky(x) } else { x };
        match self.norm {
            RawNorm::Clipped | RawNorm::Plain => {}
            RawNorm::ClippedL2 | RawNorm::L2 => {
                let along: f32 = pairs(raw, gradient).map(|(x, g)| clip(x) * g).sum();
                let norm = raw.iter().map(|x| clip(*x) * clip(*x)).sum::<f32>().sqrt();
                let inverse = 1.0 / (norm + GUARD);
                let pull = if norm > 0.0 {
                    along * inverse / norm
                } else {
                    0.0
                };
                for (x, g) in raw.iter().zip(gradient.iter_mut()) {
                    *g = (*g - clip(*x) * pull) * inverse;
                }
            }
            RawNorm::ClippedL1 | RawNorm::L1 => {
                let along: f32 = pairs(raw, gradient).map(|(x, g)| clip(x) * g).sum();
                let inverse = 1.0 / (raw.iter().map(|x| clip(*x).abs()).sum::<f32>() + GUARD);
                for (x, g) in raw.iter().zip(gradient.iter_mut()) {
                    let sign = if *x == 0.0 { 0.0 } else { x.signum() };
                    *g = (*g - sign * along * inverse) * inverse;
                }
            }
            RawNorm::Softmax => {
                let largest = raw.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
                let total: f32 = raw.iter().map(|x| exp(*x - largest)).sum();
                let share = |x: f32| exp(x - largest) / total;
                let along: f32 = pairs(raw, gradient).map(|(x, g)| share(x) * g).sum();
                for (x, g) in raw.iter().zip(gradient.iter_mut()) {
                    *g = share(*x) * (*g - along);
                }
            }
        }
        if self.norm.clips() {
            for (x, g) in raw.iter().zip(gradient.iter_mut()) {
                *g *= if *x > 0.0 { 1.0 } else { SLOPE };
            }
        }
    }
}

fn pairs<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = (f32, f32)> + 'a {
    a.iter().zip(b).map(|(x, y)| (*x, *y))
}

#[inline(always)]
fn leaky(x: f32) -> f32 {
    if x > 0.0 { x } else { SLOPE * x }
}

#[inline(always)]
fn length(row: &[f32]) -> f32 {
    row.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// Queries that one pass over the contexts takes at a time.
const LANES: usize = 16;

#[inline(always)]
fn softmax_over_contexts(block: Block, start: usize, weights: &mut [f32]) {
    let n = LANES.min(block.queries - start);
    let (mut largest, mut total) = ([f32::NEG_INFINITY; LANES], [0f32; LANES]);
    let at = |context: usize| context * block.stride + start;
    for context in 0..block.contexts {
        let row = &weights[at(context)..][..n];
        largest
            .iter_mut()
            .zip(row)
            .for_each(|(m, x)| *m = m.max(*x));
    }
    for context in 0..block.contexts {
        let row = &mut weights[at(context)..][..n];
        for lane in 0..n {
            row[lane] = exp(row[lane] - largest[lane]);
            total[lane] += row[lane];
        }
    }
    total.iter_mut().for_each(|sum| *sum = 1.0 / *sum);
    for context in 0..block.contexts {
        let row = &mut weights[at(context)..][..n];
        row.iter_mut()
            .zip(&total)
            .for_each(|(x, inverse)| *x *= inverse);
    }
}

#[inline(always)]
fn softmax_backward(block: Block, start: usize, weights: &[f32], gradient: &mut [f32]) {
    let n = LANES.min(block.queries - start);
    let mut along = [0f32; LANES];
    let at = |context: usize| context * block.stride + start;
    for context in 0..block.contexts {
        let (w, g) = (&weights[at(context)..][..n], &gradient[at(context)..][..n]);
        for lane in 0..n {
            along[lane] += w[lane] * g[lane];
        }
    }
    for context in 0..block.contexts {
        let w = &weights[at(context)..][..n];
        let g = &mut gradient[at(context)..][..n];
        for lane in 0..n {
            g[lane] = w[lane] * (g[lane] - along[lane]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::rng::{Seed, normal};

    const ALL: [RawNorm; 7] = [
        RawNorm::ClippedL2,
        RawNorm::L2,
        RawNorm::ClippedL1,
        RawNorm::L1,
        RawNorm::Clipped,
        RawNorm::Softmax,
        RawNorm::Plain,
    ];

    /// The equations in `f64`, one entry at a time.
    fn oracle(norm: RawNorm, smooth: f64, raw: &[f64], queries: usize) -> Vec<f64> {
        let contexts = raw.len() / queries;
        let mut a = Vec::new();
        for row in raw.chunks_exact(queries) {
            let clipped: Vec<f64> = (row.iter())
                .map(|&x| if norm.clips() && x < 0.0 { 0.1 * x } else { x })
                .collect();
            let scale = match norm {
                RawNorm::ClippedL2 | RawNorm::L2 => {
                    clipped.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-8
                }
                RawNorm::ClippedL1 | RawNorm::L1 => {
                    clipped.iter().map(|x| x.abs()).sum::<f64>() + 1e-8
                }
                RawNorm::Softmax => clipped.iter().map(|x| x.exp()).sum(),
                RawNorm::Clipped | RawNorm::Plain => 1.0,
            };
            let softmax = norm == RawNorm::Softmax;
            a.extend(
                clipped
                    .iter()
                    .map(|x| if softmax { x.exp() } else { *x } / scale),
            );
        }
        let mut out = vec![0.0; raw.len()];
        for q in 0..queries {
            let total: f64 = (0..contexts)
                .map(|c| (smooth * a[c * queries + q]).exp())
                .sum();
            for c in 0..contexts {
                out[c * queries + q] = (smooth * a[c * queries + q]).exp() / total;
            }
        }
        out
    }

    #[test]
    fn weights_and_gradients_equal_the_equations() {
        let (contexts, queries, stride) = (5, 19, 21);
        let block = Block {
            contexts,
            queries,
            stride,
        };
        let mut rng = Seed(3).stream("attention", &[]);
        let raw: Vec<f64> = (0..contexts * queries).map(|_| normal(&mut rng)).collect();
        let cotangent: Vec<f64> = (0..contexts * queries).map(|_| normal(&mut rng)).collect();
        let spread = |values: &[f64]| {
            let mut out = vec![0f32; contexts * stride];
            for (at, value) in values.iter().enumerate() {
                out[at / queries * stride + at % queries] = *value as f32;
            }
            out
        };
        for norm in ALL {
            let attention = Attention { norm, smooth: 4.0 };
            let wide_raw = spread(&raw);
            let mut weights = vec![0f32; contexts * stride];
            attention.weights(block, &wide_raw, &mut weights);
            let expected = oracle(norm, 4.0, &raw, queries);
            let mut gradient = spread(&cotangent);
            attention.backward(block, &wide_raw, &weights, &mut gradient);
            for at in 0..raw.len() {
                let place = at / queries * stride + at % queries;
                assert!(
                    (f64::from(weights[place]) - expected[at]).abs() < 2e-6,
                    "{norm:?}"
                );
                let moved = |step: f64| -> f64 {
                    let mut raw = raw.clone();
                    raw[at] += step;
                    let out = oracle(norm, 4.0, &raw, queries);
                    out.iter().zip(&cotangent).map(|(w, c)| w * c).sum()
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let error = (f64::from(gradient[place]) - slope).abs();
                assert!(error < 2e-5, "{norm:?} {at}: {} {slope}", gradient[place]);
            }
        }
    }
}
