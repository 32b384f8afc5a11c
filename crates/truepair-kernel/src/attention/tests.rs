//! The equations against a slow copy of them and against finite differences.

use super::*;
use crate::tests::Draws;

pub(crate) const ALL: [RawNorm; 7] = [
    RawNorm::ClippedL2,
    RawNorm::L2,
    RawNorm::ClippedL1,
    RawNorm::L1,
    RawNorm::Clipped,
    RawNorm::Softmax,
    RawNorm::Plain,
];

/// The equations in `f64`, one entry at a time.
pub(crate) fn oracle(norm: RawNorm, smooth: f64, raw: &[f64], queries: usize) -> Vec<f64> {
    let contexts = raw.len() / queries;
    let slope = f64::from(norm.slope());
    let mut a = Vec::new();
    for row in raw.chunks_exact(queries) {
        let clipped: Vec<f64> = row.iter().map(|&x| x.max(slope * x)).collect();
        let scale = match norm {
            RawNorm::ClippedL2 | RawNorm::L2 => {
                clipped.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-8
            }
            RawNorm::ClippedL1 | RawNorm::L1 => clipped.iter().map(|x| x.abs()).sum::<f64>() + 1e-8,
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

fn noise(name: &str, n: usize) -> Vec<f64> {
    let mut draws = Draws::new(name);
    (0..n).map(|_| draws.normal()).collect()
}

/// Rows of `queries` values, `stride` apart.
fn spread(values: &[f64], queries: usize, stride: usize) -> Vec<f32> {
    let mut out = vec![0f32; values.len() / queries * stride];
    for (at, value) in values.iter().enumerate() {
        out[at / queries * stride + at % queries] = *value as f32;
    }
    out
}

/// Slope of `Σ cotangent · oracle` along entry `at`.
fn slope(norm: RawNorm, raw: &[f64], cotangent: &[f64], queries: usize, at: usize) -> f64 {
    let moved = |step: f64| -> f64 {
        let mut raw = raw.to_vec();
        raw[at] += step;
        let out = oracle(norm, 4.0, &raw, queries);
        out.iter().zip(cotangent).map(|(w, c)| w * c).sum()
    };
    (moved(1e-6) - moved(-1e-6)) / 2e-6
}

#[test]
fn weights_and_gradients_equal_the_equations() {
    let (contexts, queries, stride) = (5, 19, 21);
    let block = Block {
        contexts,
        queries,
        stride,
    };
    let raw = noise("raw", contexts * queries);
    let cotangent = noise("cotangent", contexts * queries);
    for norm in ALL {
        let attention = Attention { norm, smooth: 4.0 };
        let wide_raw = spread(&raw, queries, stride);
        let mut weights = vec![0f32; contexts * stride];
        let mut gradient = spread(&cotangent, queries, stride);
        attention.weights(block, &wide_raw, &mut weights);
        attention.backward(block, &wide_raw, &weights, &mut gradient);
        let expected = oracle(norm, 4.0, &raw, queries);
        for (at, expected) in expected.into_iter().enumerate() {
            let place = at / queries * stride + at % queries;
            let error = (f64::from(weights[place]) - expected).abs();
            assert!(error < 2e-6, "{norm:?}");
            let slope = slope(norm, &raw, &cotangent, queries, at);
            let error = (f64::from(gradient[place]) - slope).abs();
            assert!(error < 2e-5, "{norm:?} {at}: {} {slope}", gradient[place]);
        }
    }
}

/// The derivative by `λ a` where `weights` are softmaxes over rows and `cotangent` their gradient.
fn through_softmax(weights: &[f32], cotangent: &[f32], stride: usize) -> Vec<f32> {
    let mut out = vec![0.0; weights.len()];
    for column in 0..stride {
        let places = || (column..weights.len()).step_by(stride);
        let along: f32 = places().map(|at| weights[at] * cotangent[at]).sum();
        places().for_each(|at| out[at] = weights[at] * (cotangent[at] - along));
    }
    out
}

#[test]
fn items_of_a_tile_are_attended_on_their_own() {
    let (contexts, offsets) = (5, [7, 8, 8, 27, 30]);
    let columns = offsets[4] - offsets[0];
    let stride = segment::padded(columns);
    let tile = Tile {
        contexts,
        offsets: &offsets,
        raw_stride: stride,
        stride,
    };
    let raw = spread(&noise("tile", contexts * columns), columns, stride);
    let cotangent = spread(&noise("upstream", contexts * columns), columns, stride);
    for (norm, smooth) in ALL.into_iter().flat_map(|norm| [(norm, 4.0), (norm, 40.0)]) {
        let attention = Attention { norm, smooth };
        let (mut norms, mut sums) = (vec![0.0; contexts * tile.items()], vec![0.0; columns]);
        let mut weights = vec![0f32; raw.len()];
        let mut room = Room::new(stride, tile.items());
        let target = Numerators {
            norms: &mut norms,
            out: &mut weights,
            sums: &mut sums,
        };
        attention.numerators(tile, &raw, target, &mut room);
        for row in weights.chunks_exact_mut(stride) {
            row.iter_mut().zip(&sums).for_each(|(w, sum)| *w /= sum);
        }
        let mut gradient = through_softmax(&weights, &cotangent, stride);
        attention.numerators_backward(tile, &raw, &norms, &mut gradient, &mut room);
        for (start, queries) in tile.segments() {
            let block = Block {
                contexts,
                queries,
                stride,
            };
            let mut alone = vec![0f32; raw.len()];
            attention.weights(block, &raw[start..], &mut alone);
            let mut slopes = cotangent[start..].to_vec();
            attention.backward(block, &raw[start..], &alone, &mut slopes);
            for at in (0..contexts).flat_map(|c| (0..queries).map(move |q| c * stride + q)) {
                assert!((weights[start + at] - alone[at]).abs() < 1e-5, "{norm:?}");
                let error = (gradient[start + at] - slopes[at]).abs();
                assert!(error < 1e-5 * smooth, "{norm:?} {error}");
            }
        }
    }
}
