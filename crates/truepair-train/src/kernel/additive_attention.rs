//! One look of a decoder at the vectors of an item.

use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::vector::{add, add_scaled, dot, exp, tanh as fast_tanh, wide};
use super::{Array, Gradients, Operation, apply, is_fused};

/// `Σᵣ aᵣ xᵣ` with `aᵣ = softmaxᵣ(u · tanh(kᵣ + q))` over an item's valid vectors; 0 for an item
/// without any.
///
/// # Shapes
/// - `values` `x`: `[n, r, d]`, `keys` `k`: `[n, r, h]`, `queries` `q`: `[n, h]`, `score` `u`:
///   `[1, h]`, `lengths`: `n`, valid vectors of each item, which come first; returns `[n, d]`
/// # Panics
/// If there is not one length of at most `r` an item.
pub(crate) fn additive_attention(
    values: Tensor<3>,
    keys: Tensor<3>,
    queries: Tensor<2>,
    score: Tensor<2>,
    lengths: &[usize],
) -> Tensor<2> {
    if !is_fused(&values.device()) {
        return twin(values, keys, queries, score, lengths);
    }
    let operation = Look {
        lengths: lengths.to_vec(),
    };
    apply(
        operation,
        [values.into(), keys.into(), queries.into(), score.into()],
    )
}

/// Score of a vector that is not there.
const ABSENT: f64 = -1e4;

fn twin(
    values: Tensor<3>,
    keys: Tensor<3>,
    queries: Tensor<2>,
    score: Tensor<2>,
    lengths: &[usize],
) -> Tensor<2> {
    let ([n, r, h], d) = (keys.dims(), values.dims()[2]);
    let present = (lengths.iter()).flat_map(|&m| (0..r).map(move |at| f32::from(at < m)));
    let present = TensorData::new(present.collect::<Vec<_>>(), [n, r]);
    let present: Tensor<2> = Tensor::from_data(present, &keys.device());
    let mixed = tanh(keys + queries.unsqueeze_dim(1)).reshape([n * r, h]);
    let scores = mixed.matmul(score.transpose()).reshape([n, r]);
    let scores = scores + (present.clone().neg() + 1.0) * ABSENT;
    let shares: Tensor<3> = (softmax(scores, 1) * present).unsqueeze_dim(1);
    shares.matmul(values).reshape([n, d])
}

#[derive(Debug)]
struct Look {
    lengths: Vec<usize>,
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

impl Look {
    fn items<'a>(&self, inputs: &[Array<'a>]) -> Vec<Item<'a>> {
        let [n, r, h] = inputs[1].dims();
        let [_, _, d] = inputs[0].dims();
        assert_eq!(inputs[0].dims(), [n, r, d]);
        assert_eq!((inputs[2].dims(), inputs[3].dims()), ([n, h], [1, h]));
        assert_eq!(self.lengths.len(), n, "one length an item");
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

impl Operation for Look {
    /// The attention of every item.
    type Saved = Vec<Vec<f32>>;

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, Self::Saved) {
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
        (out, vec![n, d], shares)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        shares: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let ([n, r, h], [_, _, d]) = (inputs[1].dims(), inputs[0].dims());
        let wanted = [0, 1, 2].map(|input| gradients.wants(input));
        let mut buffers = [0, 1, 2].map(|input| {
            let unwanted = || vec![0.0; inputs[input].values.len()];
            gradients.take(input).unwrap_or_else(unwanted)
        });
        // Every item has its own, so that their sum does not depend on the threads.
        let mut scores = vec![0.0; n * h];
        let [values, keys, queries] = &mut buffers;
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
        for (input, (values, wanted)) in buffers.into_iter().zip(wanted).enumerate() {
            gradients.put(input, wanted.then_some(values));
        }
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
        *out = fast_tanh(key + query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Given, Input, check_against_twin, check_threads};

    const LENGTHS: [usize; 4] = [3, 0, 1, 2];

    fn inputs() -> [Input; 4] {
        [
            Input::normal(&[4, 3, 5]),
            Input::normal(&[4, 3, 37]),
            Input::normal(&[4, 37]),
            Input::normal(&[1, 37]),
        ]
    }

    fn looked(x: &[Given]) -> Tensor<2> {
        additive_attention(x[0].rank(), x[1].rank(), x[2].rank(), x[3].rank(), &LENGTHS)
    }

    #[test]
    fn equals_its_twin() {
        check_against_twin(&inputs(), looked, |x| {
            twin(x[0].rank(), x[1].rank(), x[2].rank(), x[3].rank(), &LENGTHS)
        });
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        check_threads(&inputs(), looked);
    }
}
