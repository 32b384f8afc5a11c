//! A weighted sum over the sorted values of every dimension, as one operation.

use rayon::prelude::*;

use super::vector::wide;
use super::{Array, Gradients, Operation, Output};

/// `outᵢₖ = Σₚ wᵢₚ x₍ₚ₎ᵢₖ`, where `x₍ₚ₎ᵢₖ` is the `p`-th largest value of dimension `k` among the
/// valid vectors of item `i`; 0 for an item without any.
///
/// # Shapes
/// - inputs: features `x` `[n, m, d]`, mask `[n, m]` of 0 and 1 in any arrangement, weights `w`
///   `[n, m]`, of which the first as many count as an item has valid vectors
/// - output: `[n, d]`; gradients: of features and weights
/// # Panics
/// If an item has more than 65 536 vectors.
#[derive(Debug, Clone, Copy)]
pub struct SortPool;

/// Dimensions sorted side by side; their values and row numbers fit the first-level cache.
const LANES: usize = 64;

impl Operation for SortPool {
    /// Which row holds the `p`-th largest value of dimension `k`, `[n, m, d]`; places beyond the
    /// valid vectors hold 0 and are never read.
    type Saved = Vec<u16>;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Vec<u16>) {
        let sizes @ [n, m, d] = self.sizes(inputs);
        let (mut out, mut order) = (vec![0.0; n * d], vec![0u16; n * m * d]);
        (out.par_chunks_mut(d).zip(order.par_chunks_mut(m * d)))
            .enumerate()
            .for_each(|(i, (out, order))| pool(inputs, sizes, i, out, order));
        (Output::new(out, [n, d]), order)
    }

    fn output(&self, inputs: &[Array<'_>]) -> Output {
        let sizes @ [n, _, d] = self.sizes(inputs);
        let mut out = vec![0.0; n * d];
        (out.par_chunks_mut(d).enumerate())
            .for_each(|(i, out)| pool(inputs, sizes, i, out, &mut []));
        Output::new(out, [n, d])
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        order: &Vec<u16>,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let [_, m, d] = inputs[0].dims();
        let n_valid = |i: usize| valid_rows(&inputs[1].values[i * m..][..m]).len();
        let upstream = |i: usize| &gradient[i * d..][..d];
        let rows = |i: usize| order[i * m * d..][..n_valid(i) * d].chunks_exact(d);
        if let Some(out) = gradients.get(0) {
            out.par_chunks_mut(m * d).enumerate().for_each(|(i, out)| {
                for (rows, weight) in rows(i).zip(&inputs[2].values[i * m..]) {
                    for (k, (&row, g)) in rows.iter().zip(upstream(i)).enumerate() {
                        out[usize::from(row) * d + k] = weight * g;
                    }
                }
            });
        }
        if let Some(out) = gradients.get(2) {
            out.par_chunks_mut(m).enumerate().for_each(|(i, out)| {
                let features = &inputs[0].values[i * m * d..][..m * d];
                for (rows, out) in rows(i).zip(out) {
                    let terms = rows.iter().zip(upstream(i)).enumerate();
                    *out = terms
                        .map(|(k, (&row, g))| features[usize::from(row) * d + k] * g)
                        .sum();
                }
            });
        }
    }
}

impl SortPool {
    fn sizes(&self, inputs: &[Array<'_>]) -> [usize; 3] {
        let [n, m, d] = inputs[0].dims();
        assert!(
            m <= 1 + usize::from(u16::MAX),
            "row numbers are kept in two bytes, not {m}"
        );
        [n, m, d]
    }
}

/// The output of item `i`, and its order where that is wanted.
fn pool(inputs: &[Array<'_>], [_, m, d]: [usize; 3], i: usize, out: &mut [f32], order: &mut [u16]) {
    let features = &inputs[0].values[i * m * d..][..m * d];
    let valid = valid_rows(&inputs[1].values[i * m..][..m]);
    let weights = &inputs[2].values[i * m..][..m];
    let item = Item {
        features,
        valid: &valid,
        weights,
        network: &network(valid.len()),
    };
    wide(|| item.pool(out, order));
}

fn valid_rows(mask: &[f32]) -> Vec<u16> {
    (0..mask.len())
        .filter(|&row| mask[row] != 0.0)
        .map(|row| row as u16)
        .collect()
}

/// What is sorted and summed up for one item.
#[derive(Clone, Copy)]
struct Item<'a> {
    features: &'a [f32],
    /// Rows that the mask keeps.
    valid: &'a [u16],
    weights: &'a [f32],
    /// The comparisons that sort so many rows.
    network: &'a [(usize, usize)],
}

impl Item<'_> {
    /// Sorts a strip of dimensions at a time and sums it up; `order` is empty when it is not wanted.
    #[inline(always)]
    fn pool(self, out: &mut [f32], order: &mut [u16]) {
        let Self {
            features,
            valid,
            weights,
            network,
        } = self;
        let d = out.len();
        let mut strip = vec![([0f32; LANES], [0u32; LANES]); valid.len()];
        for start in (0..d).step_by(LANES) {
            let width = LANES.min(d - start);
            for ((values, rows), &row) in strip.iter_mut().zip(valid) {
                values[..width].copy_from_slice(&features[usize::from(row) * d + start..][..width]);
                rows.fill(u32::from(row));
            }
            for &(above, below) in network {
                let (head, tail) = strip.split_at_mut(below);
                exchange(&mut head[above], &mut tail[0]);
            }
            let out = &mut out[start..start + width];
            for ((values, _), weight) in strip.iter().zip(weights) {
                for (out, value) in out.iter_mut().zip(values) {
                    *out += weight * value;
                }
            }
            for ((_, rows), order) in strip.iter().zip(order.chunks_exact_mut(d)) {
                for (order, row) in order[start..start + width].iter_mut().zip(rows) {
                    *order = *row as u16;
                }
            }
        }
    }
}

type Lanes = ([f32; LANES], [u32; LANES]);

/// Moves the larger value of every lane up, its row number with it. Bits are exchanged under a mask
/// because the compiler leaves a conditional exchange of both arrays scalar, at a quarter of the
/// speed.
#[inline(always)]
fn exchange(above: &mut Lanes, below: &mut Lanes) {
    for lane in 0..LANES {
        let (x, y) = (above.0[lane], below.0[lane]);
        let swap = if x < y { u32::MAX } else { 0 };
        let values = (x.to_bits() ^ y.to_bits()) & swap;
        let rows = (above.1[lane] ^ below.1[lane]) & swap;
        above.0[lane] = f32::from_bits(x.to_bits() ^ values);
        below.0[lane] = f32::from_bits(y.to_bits() ^ values);
        above.1[lane] ^= rows;
        below.1[lane] ^= rows;
    }
}

/// The comparisons that sort `n` values, whatever they are (Batcher's odd-even merge exchange;
/// Knuth, The Art of Computer Programming 3, algorithm 5.2.2M).
fn network(n: usize) -> Vec<(usize, usize)> {
    let mut comparisons = Vec::new();
    let largest = n.next_power_of_two() / 2;
    let mut run = largest;
    while run > 0 {
        let (mut span, mut phase, mut distance) = (largest, 0, run);
        loop {
            let firsts = (0..n.saturating_sub(distance)).filter(|i| i & run == phase);
            comparisons.extend(firsts.map(|i| (i, i + distance)));
            if span == run {
                break;
            }
            (distance, span, phase) = (span - run, span / 2, run);
        }
        run /= 2;
    }
    comparisons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_sorts_every_pattern_of_zeros_and_ones() {
        for n in 0..=12usize {
            let network = network(n);
            for pattern in 0..1u32 << n {
                let mut bits: Vec<u32> = (0..n).map(|i| pattern >> i & 1).collect();
                for &(above, below) in &network {
                    if bits[above] < bits[below] {
                        bits.swap(above, below);
                    }
                }
                assert!(bits.is_sorted_by(|a, b| a >= b), "{n}: {pattern:b}");
            }
        }
    }
}
