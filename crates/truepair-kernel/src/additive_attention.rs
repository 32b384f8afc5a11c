//! One look of a decoder at the vectors of an item.

use rayon::prelude::*;

use super::vector::{add, add_scaled, dot, exp, tanh, wide};
use super::{Array, Gradients, Operation, Output};

/// `Σᵣ aᵣ xᵣ` with `aᵣ = softmaxᵣ(u · tanh(kᵣ + q))` over an item's valid vectors; 0 for an item
/// without any.
///
/// # Shapes
/// - inputs: values `x` `[n, r, d]`, keys `k` `[n, r, h]`, queries `q` `[n, h]`, score `u` `[1, h]`
/// - output: `[n, d]`
#[derive(Debug, Clone)]
pub struct AdditiveAttention {
    /// Valid vectors of each item, at most `r`, which come first: `n`.
    pub lengths: Vec<usize>,
}

/// One item's part of every input.
#[derive(Clone, Copy)]
struct Item<'a> {
    values: &'a [f32],
    keys: &'a [f32],
    query: &'a [f32],
    score: &'a [f32],
    d: usize,
}

/// One item's part of the gradients by values, keys, the query and the score.
struct Slopes<'a> {
    values: &'a mut [f32],
    keys: &'a mut [f32],
    query: &'a mut [f32],
    score: &'a mut [f32],
}

impl AdditiveAttention {
    fn items<'a>(&self, inputs: &[Array<'a>]) -> Vec<Item<'a>> {
        let [n, r, h] = inputs[1].dims();
        let [_, _, d] = inputs[0].dims();
        assert_eq!(inputs[0].dims(), [n, r, d]);
        assert_eq!((inputs[2].dims(), inputs[3].dims()), ([n, h], [1, h]));
        assert_eq!(self.lengths.len(), n, "one length per item");
        (self.lengths.iter().enumerate())
            .map(|(item, &m)| {
                assert!(m <= r, "{m} of {r} vectors");
                Item {
                    values: &inputs[0].values[item * r * d..][..m * d],
                    keys: &inputs[1].values[item * r * h..][..m * h],
                    query: &inputs[2].values[item * h..][..h],
                    score: inputs[3].values,
                    d,
                }
            })
            .collect()
    }
}

impl Operation for AdditiveAttention {
    /// The attention of every item.
    type Saved = Vec<Vec<f32>>;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Self::Saved) {
        let [n, _, d] = inputs[0].dims();
        let mut out = vec![0.0; n * d];
        let shares = (self.items(inputs).into_par_iter())
            .zip(out.par_chunks_mut(d))
            .map(|(item, out)| {
                wide(
                    #[inline(always)]
                    || item.look(out),
                )
            })
            .collect();
        (Output::new(out, [n, d]), shares)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        shares: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let ([n, r, h], [_, _, d]) = (inputs[1].dims(), inputs[0].dims());
        // Every item has its own part, so that the sum does not depend on the threads.
        let mut scores = vec![0.0; n * h];
        gradients.with_first(inputs, |[values, keys, queries]| {
            let outputs = (values.par_chunks_mut(r * d))
                .zip(keys.par_chunks_mut(r * h))
                .zip(queries.par_chunks_mut(h).zip(scores.par_chunks_mut(h)));
            (self.items(inputs).into_par_iter())
                .zip(shares.par_iter().zip(gradient.par_chunks(d)))
                .zip(outputs)
                .for_each(
                    |((item, (shares, upstream)), ((values, keys), (query, score)))| {
                        let slopes = Slopes {
                            values,
                            keys,
                            query,
                            score,
                        };
                        wide(
                            #[inline(always)]
                            || item.look_back(shares, upstream, slopes),
                        );
                    },
                );
        });
        if let Some(out) = gradients.get(3) {
            scores.chunks_exact(h).for_each(|score| add(out, score));
        }
    }
}

impl Item<'_> {
    /// Adds what the item shows to `out` and returns its attention.
    #[inline(always)]
    fn look(self, out: &mut [f32]) -> Vec<f32> {
        let h = self.query.len();
        let mut mixed = vec![0.0; h];
        let mut shares = Vec::with_capacity(self.values.len() / self.d);
        for key in self.keys.chunks_exact(h) {
            mix(&mut mixed, key, self.query);
            shares.push(dot(&mixed, self.score));
        }
        let largest = shares.iter().fold(f32::MIN, |a, b| a.max(*b));
        shares.iter_mut().for_each(|x| *x = exp(*x - largest));
        let total: f32 = shares.iter().sum();
        shares.iter_mut().for_each(|x| *x /= total);
        for (share, value) in shares.iter().zip(self.values.chunks_exact(self.d)) {
            add_scaled(out, *share, value);
        }
        shares
    }

    #[inline(always)]
    fn look_back(self, shares: &[f32], upstream: &[f32], slopes: Slopes<'_>) {
        let (d, h) = (self.d, self.query.len());
        let by_share = self
            .values
            .chunks_exact(d)
            .map(|value| dot(upstream, value));
        let by_share: Vec<f32> = by_share.collect();
        let mean: f32 = shares.iter().zip(&by_share).map(|(a, b)| a * b).sum();
        for (share, out) in shares.iter().zip(slopes.values.chunks_exact_mut(d)) {
            add_scaled(out, *share, upstream);
        }
        let mut mixed = vec![0.0; h];
        let rows = self
            .keys
            .chunks_exact(h)
            .zip(slopes.keys.chunks_exact_mut(h));
        for ((key, by_key), (share, by_share)) in rows.zip(shares.iter().zip(&by_share)) {
            let by_score = share * (by_share - mean);
            mix(&mut mixed, key, self.query);
            add_scaled(slopes.score, by_score, &mixed);
            for ((by_key, mixed), score) in by_key.iter_mut().zip(&mixed).zip(self.score) {
                *by_key = by_score * score * (1.0 - mixed * mixed);
            }
            add(slopes.query, by_key);
        }
    }
}

/// `tanh(key + query)`
#[inline(always)]
fn mix(out: &mut [f32], key: &[f32], query: &[f32]) {
    for ((out, key), query) in out.iter_mut().zip(key).zip(query) {
        *out = tanh(key + query);
    }
}
