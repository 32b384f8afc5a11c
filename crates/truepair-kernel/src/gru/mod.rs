//! Gated recurrent units over items of unequal length, with the gradient through time by hand.
//!
//! Items are sorted by length and dealt to groups; a direction over a group is one task on one
//! thread, whose steps multiply only the items that are still running.

mod backward;
mod forward;
mod packing;

use rayon::prelude::*;

use self::packing::{Order, Packing};
use super::{Array, Gradients, Operation, Output};
use crate::product::Precision;

/// Most items in a group: more rows would not make products faster.
const GROUP: usize = 128;
/// The least number of tasks in a batch. It does not depend on the number of threads, because sums
/// depend on it.
const TASKS: usize = 2;

/// Which states a recurrent unit returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// The state at every token, `[n, t, d]`; 0 at padding.
    EveryToken,
    /// The state after the last step, `[n, 1, d]`: at the last valid token, and for the backward
    /// direction at the first. 0 for an item without tokens.
    Last,
}

/// Which way a recurrent unit reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// From the first token to the last.
    Forward,
    /// Both ways.
    Both,
}

/// One direction's weights.
#[derive(Debug, Clone, Copy)]
struct Weights<'a> {
    order: Order,
    weight_ih: &'a [f32],
    weight_hh: &'a [f32],
    bias_ih: &'a [f32],
    bias_hh: &'a [f32],
    w: usize,
    d: usize,
}

impl<'a> Weights<'a> {
    /// The weights of every direction, from an operation's inputs.
    fn all(inputs: &[Array<'a>]) -> Vec<Self> {
        let [_, _, w] = inputs[0].dims();
        let orders = [Order::Forward, Order::Backward];
        (inputs[1..].chunks_exact(4).zip(orders))
            .map(|(inputs, order)| {
                let [gates, d] = inputs[1].dims();
                assert_eq!(gates, 3 * d, "a square of recurrent weights per gate");
                assert_eq!(inputs[0].dims(), [3 * d, w]);
                assert_eq!((inputs[2].dims(), inputs[3].dims()), ([3 * d], [3 * d]));
                Self {
                    order,
                    weight_ih: inputs[0].values,
                    weight_hh: inputs[1].values,
                    bias_ih: inputs[2].values,
                    bias_hh: inputs[3].values,
                    w,
                    d,
                }
            })
            .collect()
    }

    /// The recurrent weights of `r` and `z`, `[2d, d]`, and of `n`, `[d, d]`.
    fn hh_parts(&self) -> (&'a [f32], &'a [f32]) {
        self.weight_hh.split_at(2 * self.d * self.d)
    }
}

/// The states of a gated recurrent unit; with a backward direction, the mean of both.
///
/// ```text
/// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
/// n = tanh(W_in x + b_in + r (W_hn h + b_hn))      h' = (1 − z) n + z h
/// ```
/// An item's first `lengths[i]` tokens are valid. The backward direction starts at the last valid
/// one; padding changes no state and gets no gradient.
///
/// # Shapes
/// - inputs: words `x` `[n, t, w]`; then of every direction the weights `[3d, w]` and `[3d, d]` of
///   words and states and the biases `[3d]` of both, rows stacked in the order r, z, n
/// - output: `[n, t, d]` or `[n, 1, d]`, see [`States`]
#[derive(Debug)]
pub struct Gru {
    packing: Packing,
    states: States,
    precision: Precision,
}

/// One tape per group of every direction.
type Tapes = Vec<Vec<forward::Tape>>;

impl Operation for Gru {
    type Saved = Tapes;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Tapes) {
        let words = inputs[0].values;
        let n_tokens = self.packing.n_tokens;
        let tapes: Tapes = (Weights::all(inputs).par_iter())
            .map(|weights| {
                let recurrent = forward::Recurrent::new(weights, self.precision);
                (self.packing.groups.par_iter())
                    .map(|group| {
                        let packed =
                            forward::pack(group, weights.order, words, n_tokens, weights.w);
                        forward::run(group, &packed, weights, &recurrent, self.precision)
                    })
                    .collect()
            })
            .collect();
        let d = inputs[2].shape[1];
        let (values, rows) = match self.states {
            States::EveryToken => (self.every_state(&tapes, d), n_tokens),
            States::Last => (self.last_states(&tapes, d), 1),
        };
        (
            Output::new(values, [self.packing.n_items(), rows, d]),
            tapes,
        )
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        tapes: &Tapes,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let weights = Weights::all(inputs);
        let wants_words = gradients.wants(0);
        let mut parts: Vec<[Option<Vec<f32>>; 4]> = (0..weights.len())
            .map(|direction| [1, 2, 3, 4].map(|part| gradients.take(4 * direction + part)))
            .collect();
        let by_words: Vec<Vec<Vec<f32>>> = (weights.par_iter().zip(tapes).zip(&mut parts))
            .map(|((weights, tapes), parts)| {
                let share = 1.0 / (inputs.len() / 4) as f32;
                let slopes = self.slopes(weights, tapes, gradient, share);
                self.add_by_weights(inputs[0].values, weights, tapes, &slopes, parts);
                if wants_words {
                    (slopes.par_iter())
                        .map(|slopes| backward::by_words(slopes, weights, self.precision))
                        .collect()
                } else {
                    Vec::new()
                }
            })
            .collect();
        for (direction, parts) in parts.into_iter().enumerate() {
            for (part, values) in parts.into_iter().enumerate() {
                gradients.put(4 * direction + part + 1, values);
            }
        }
        if let Some(out) = gradients.get(0) {
            for (weights, groups) in weights.iter().zip(&by_words) {
                self.unpack_add(groups, weights, out);
            }
        }
    }
}

impl Gru {
    /// For items of `lengths` tokens, padded to `n_tokens`.
    ///
    /// # Panics
    /// If an item is longer.
    pub fn new(
        lengths: &[usize],
        n_tokens: usize,
        directions: Directions,
        states: States,
        precision: Precision,
    ) -> Self {
        let n_directions = match directions {
            Directions::Forward => 1,
            Directions::Both => 2,
        };
        let n_groups = lengths.len().div_ceil(GROUP).max(TASKS / n_directions);
        Self {
            packing: Packing::new(lengths, n_tokens, n_groups),
            states,
            precision,
        }
    }

    /// `[n, t, d]`.
    fn every_state(&self, tapes: &Tapes, d: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.packing.n_items() * self.packing.n_tokens * d];
        let items = out.par_chunks_mut((self.packing.n_tokens * d).max(1));
        items.enumerate().for_each(|(index, out)| {
            let (at, rank) = self.packing.place(index);
            let group = &self.packing.groups[at];
            let length = group.items[rank].length;
            for (token, out) in out.chunks_exact_mut(d).take(length).enumerate() {
                let steps = [token, Order::Backward.token(length, token)];
                mean(out, tapes, |tapes, direction| {
                    tapes[at].state(group, rank, steps[direction])
                });
            }
        });
        out
    }

    /// `[n, d]`.
    fn last_states(&self, tapes: &Tapes, d: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.packing.n_items() * d];
        for (index, out) in out.chunks_exact_mut(d).enumerate() {
            let (at, rank) = self.packing.place(index);
            mean(out, tapes, |tapes, _| &tapes[at].last[rank * d..][..d]);
        }
        out
    }

    /// One direction's gradients by what its gates read, for every group.
    fn slopes(
        &self,
        weights: &Weights<'_>,
        tapes: &[forward::Tape],
        gradient: &[f32],
        share: f32,
    ) -> Vec<backward::Slopes> {
        let recurrent = backward::Recurrent::new(weights, self.precision);
        let upstream = backward::Upstream {
            values: gradient,
            states: self.states,
            n_tokens: self.packing.n_tokens,
            order: weights.order,
            share,
        };
        (self.packing.groups.par_iter().zip(tapes))
            .map(|(group, tape)| backward::run(group, tape, &recurrent, upstream, weights.d))
            .collect()
    }

    /// Adds one direction's gradients by its weights to those of the four `parts` that are wanted.
    fn add_by_weights(
        &self,
        words: &[f32],
        weights: &Weights<'_>,
        tapes: &[forward::Tape],
        slopes: &[backward::Slopes],
        [weight_ih, weight_hh, bias_ih, bias_hh]: &mut [Option<Vec<f32>>; 4],
    ) {
        let (d, w, n_tokens) = (weights.d, weights.w, self.packing.n_tokens);
        for ((group, tape), slopes) in self.packing.groups.iter().zip(tapes).zip(slopes) {
            if let Some(out) = weight_ih {
                let packed = forward::pack(group, weights.order, words, n_tokens, w);
                backward::add_by_weight_ih(slopes, &packed, w, self.precision, out);
            }
            if let Some(out) = weight_hh {
                backward::add_by_weight_hh(slopes, tape, group, self.precision, out);
            }
            let (gates, fresh) = slopes.sums.split_at(2 * d);
            for (out, fresh) in [(&mut *bias_ih, &fresh[..d]), (&mut *bias_hh, &fresh[d..])] {
                let sums = gates.iter().chain(fresh);
                (out.iter_mut().flatten().zip(sums)).for_each(|(out, sum)| *out += sum);
            }
        }
    }

    /// Adds a direction's gradient by its packed words to that by `words`, `[n, t, w]`.
    fn unpack_add(&self, groups: &[Vec<f32>], weights: &Weights<'_>, out: &mut [f32]) {
        let w = weights.w;
        for (group, rows) in self.packing.groups.iter().zip(groups) {
            for ((item, step), row) in group.cells().zip(rows.chunks_exact(w)) {
                let token = weights.order.token(item.length, step);
                let cell = item.index * self.packing.n_tokens + token;
                let out = &mut out[cell * w..][..w];
                out.iter_mut()
                    .zip(row)
                    .for_each(|(out, value)| *out += value);
            }
        }
    }
}

/// The mean over directions of the rows that `row` picks.
fn mean<'a>(
    out: &mut [f32],
    tapes: &'a Tapes,
    row: impl Fn(&'a [forward::Tape], usize) -> &'a [f32],
) {
    match &tapes[..] {
        [both, back] => {
            let rows = row(both, 0).iter().zip(row(back, 1));
            (out.iter_mut().zip(rows)).for_each(|(out, (a, b))| *out = 0.5 * (a + b));
        }
        [one] => out.copy_from_slice(row(one, 0)),
        _ => unreachable!("one direction or two"),
    }
}
