//! The states of one direction over one group of items.

use super::Weights;
use super::packing::{Group, Order};
use crate::panels::Panels;
use crate::product::{Precision, View, Write};
use crate::vector::{sigmoid, tanh, wide};

/// What a group's steps leave behind; rows are the group's.
#[derive(Debug)]
pub struct Tape {
    /// `r`, `z`, `n`: `[rows, 3d]`.
    pub(super) gates: Vec<f32>,
    /// The recurrent part of `n`, `W_hn h + b_hn`: `[rows, d]`.
    pub(super) recurrent: Vec<f32>,
    /// The state before each row's step: `[rows, d]`.
    pub(super) before: Vec<f32>,
    /// The state after each item's last step, 0 without one: `[items, d]`.
    pub(super) last: Vec<f32>,
}

impl Tape {
    /// The state of the item with this rank after `step`.
    pub(super) fn state(&self, group: &Group, rank: usize, step: usize) -> &[f32] {
        let d = self.last.len() / group.items.len();
        if rank < group.n_running(step + 1) {
            &self.before[(group.rows(step + 1).start + rank) * d..][..d]
        } else {
            &self.last[rank * d..][..d]
        }
    }
}

/// The transposed recurrent weights of `r` and `z`, and of `n`.
#[derive(Debug)]
pub(super) struct Recurrent {
    gates: Panels,
    fresh: Panels,
}

impl Recurrent {
    pub(super) fn new(weights: &Weights<'_>, precision: Precision) -> Self {
        let (gates, fresh) = weights.hh_parts();
        Self {
            gates: Panels::of_columns(precision, gates, weights.d),
            fresh: Panels::of_columns(precision, fresh, weights.d),
        }
    }
}

/// The group's rows of `words`, `[n, t, w]`, in the direction's order.
pub(super) fn pack(
    group: &Group,
    order: Order,
    words: &[f32],
    n_tokens: usize,
    w: usize,
) -> Vec<f32> {
    let mut packed = Vec::with_capacity(group.n_rows() * w);
    for (item, step) in group.cells() {
        let cell = item.index * n_tokens + order.token(item.length, step);
        packed.extend_from_slice(&words[cell * w..][..w]);
    }
    packed
}

/// Runs all steps on `packed` words.
pub(super) fn run(
    group: &Group,
    packed: &[f32],
    weights: &Weights<'_>,
    recurrent: &Recurrent,
    precision: Precision,
) -> Tape {
    let (d, n_rows) = (weights.d, group.n_rows());
    let mut tape = Tape {
        gates: vec![0.0; n_rows * 3 * d],
        recurrent: vec![0.0; n_rows * d],
        before: vec![0.0; n_rows * d],
        last: vec![0.0; group.items.len() * d],
    };
    View::rows(packed, weights.w)
        .times(View::rows(weights.weight_ih, weights.w).t())
        .with(precision)
        .write(&mut tape.gates, 3 * d);
    let biases = Biases::new(weights);
    for step in 0..group.n_steps() {
        let rows = group.rows(step);
        if step > 0 {
            let before = View::rows(&tape.before[rows.start * d..rows.end * d], d);
            let gates = &mut tape.gates[rows.start * 3 * d..rows.end * 3 * d];
            recurrent.gates.multiply(before, gates, 3 * d, Write::Add);
            let fresh = &mut tape.recurrent[rows.start * d..rows.end * d];
            recurrent.fresh.multiply(before, fresh, d, Write::Replace);
        }
        wide(
            #[inline(always)]
            || advance(group, step, &mut tape, &biases),
        );
    }
    tape
}

/// Biases by what they are added to.
struct Biases<'a> {
    /// Of `r` and `z`, both sides together: `[2d]`.
    gates: Vec<f32>,
    /// Of `n`, input side: `[d]`.
    fresh: &'a [f32],
    /// Of `n`, recurrent side: `[d]`.
    recurrent: &'a [f32],
}

impl<'a> Biases<'a> {
    fn new(weights: &Weights<'a>) -> Self {
        let (gates_ih, fresh) = weights.bias_ih.split_at(2 * weights.d);
        let (gates_hh, recurrent) = weights.bias_hh.split_at(2 * weights.d);
        Self {
            gates: gates_ih.iter().zip(gates_hh).map(|(a, b)| a + b).collect(),
            fresh,
            recurrent,
        }
    }
}

/// The gates and the next states of one step, from the products in `gates` and `recurrent`.
#[inline(always)]
fn advance(group: &Group, step: usize, tape: &mut Tape, biases: &Biases<'_>) {
    let (rows, n_next) = (group.rows(step), group.n_running(step + 1));
    let d = biases.fresh.len();
    let (before, next) = tape.before.split_at_mut(rows.end * d);
    let gates = tape.gates[rows.start * 3 * d..].chunks_exact_mut(3 * d);
    let recurrent = tape.recurrent[rows.start * d..].chunks_exact_mut(d);
    let before = before[rows.start * d..].chunks_exact(d);
    for (rank, ((gates, recurrent), before)) in gates.zip(recurrent).zip(before).enumerate() {
        let after = if rank < n_next {
            &mut next[rank * d..][..d]
        } else {
            &mut tape.last[rank * d..][..d]
        };
        advance_row(gates, recurrent, before, after, biases);
    }
}

/// In loops over few slices each: with more, the compiler gives up checking that none overlap and
/// does not vectorize.
#[inline(always)]
fn advance_row(
    gates: &mut [f32],
    recurrent: &mut [f32],
    before: &[f32],
    after: &mut [f32],
    biases: &Biases<'_>,
) {
    let d = after.len();
    let (both, fresh) = gates.split_at_mut(2 * d);
    for (gate, bias) in both.iter_mut().zip(&biases.gates) {
        *gate = sigmoid(*gate + bias);
    }
    let (reset, update) = both.split_at(d);
    for (part, bias) in recurrent.iter_mut().zip(biases.recurrent) {
        *part += bias;
    }
    let products = reset.iter().zip(&*recurrent);
    for ((fresh, bias), (reset, part)) in fresh.iter_mut().zip(biases.fresh).zip(products) {
        *fresh = tanh(*fresh + bias + reset * part);
    }
    let blends = update.iter().zip(&*fresh);
    for ((after, before), (update, fresh)) in after.iter_mut().zip(before).zip(blends) {
        *after = fresh + update * (before - fresh);
    }
}
