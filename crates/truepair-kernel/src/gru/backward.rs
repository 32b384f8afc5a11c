//! Gradients of one direction over one group of items, from its last step to its first.

use super::forward::Tape;
use super::packing::{Group, Item, Order};
use super::{States, Weights};
use crate::panels::Panels;
use crate::product::{Precision, Threads, View, Write};
use crate::vector::wide;

/// Gradients by what a group's steps added up; rows are the group's.
#[derive(Debug)]
pub(super) struct Slopes {
    /// By the inputs of `r`, `z` and `n`: `[rows, 3d]`.
    pub(super) gates: Vec<f32>,
    /// By the recurrent part of `n`: `[rows, d]`.
    pub(super) recurrent: Vec<f32>,
    /// Column sums of `gates`, then of `recurrent`: `[4d]`.
    pub(super) sums: Vec<f32>,
}

/// The recurrent weights of `r` and `z`, and of `n`.
#[derive(Debug)]
pub(super) struct Recurrent {
    gates: Panels,
    fresh: Panels,
}

impl Recurrent {
    pub(super) fn new(weights: &Weights<'_>, precision: Precision) -> Self {
        let (gates, fresh) = weights.hh_parts();
        Self {
            gates: Panels::of_rows(precision, gates, weights.d),
            fresh: Panels::of_rows(precision, fresh, weights.d),
        }
    }
}

/// The gradient of the operation's output as a direction reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upstream<'a> {
    /// `[n, t, d]` or, for last states, `[n, 1, d]`.
    pub(super) values: &'a [f32],
    pub(super) states: States,
    pub(super) n_tokens: usize,
    pub(super) order: Order,
    /// The direction's share of the mean.
    pub(super) share: f32,
}

impl<'a> Upstream<'a> {
    /// The gradient of the state after `step`, if the output holds that state.
    fn row(&self, item: Item, step: usize, d: usize) -> Option<&'a [f32]> {
        let row = match self.states {
            States::EveryToken => item.index * self.n_tokens + self.order.token(item.length, step),
            States::Last if step + 1 == item.length => item.index,
            States::Last => return None,
        };
        Some(&self.values[row * d..][..d])
    }
}

/// Runs all steps back.
pub(super) fn run(
    group: &Group,
    tape: &Tape,
    recurrent: &Recurrent,
    upstream: Upstream<'_>,
    d: usize,
) -> Slopes {
    let n_rows = group.n_rows();
    let mut slopes = Slopes {
        gates: vec![0.0; n_rows * 3 * d],
        recurrent: vec![0.0; n_rows * d],
        sums: vec![0.0; 4 * d],
    };
    let mut by_state = vec![0.0; group.items.len() * d];
    let pass = Pass {
        group,
        tape,
        upstream,
        nothing: &vec![0.0; d],
    };
    for step in (0..group.n_steps()).rev() {
        wide(
            #[inline(always)]
            || pass.retreat(step, &mut by_state, &mut slopes),
        );
        if step > 0 {
            let rows = group.rows(step);
            let out = &mut by_state[..rows.len() * d];
            let gates = &slopes.gates[rows.start * 3 * d..rows.end * 3 * d];
            let gates = View::strided(gates, rows.len(), 2 * d, 3 * d);
            recurrent.gates.multiply(gates, out, d, Write::Add);
            let fresh = View::rows(&slopes.recurrent[rows.start * d..rows.end * d], d);
            recurrent.fresh.multiply(fresh, out, d, Write::Add);
        }
    }
    slopes
}

/// What the steps back over a group read.
#[derive(Clone, Copy)]
struct Pass<'a> {
    group: &'a Group,
    tape: &'a Tape,
    upstream: Upstream<'a>,
    /// The gradient of a state that the output does not hold, `[d]`.
    nothing: &'a [f32],
}

impl Pass<'_> {
    /// One step: takes the gradient by the state after it out of `by_state` and leaves there the
    /// part of the gradient by the state before it that does not go through the products.
    #[inline(always)]
    fn retreat(self, step: usize, by_state: &mut [f32], slopes: &mut Slopes) {
        let (d, tape) = (self.nothing.len(), self.tape);
        let running = self.group.items.iter().zip(by_state.chunks_exact_mut(d));
        for (row, (item, by_state)) in self.group.rows(step).zip(running) {
            let upstream = self.upstream.row(*item, step, d).unwrap_or(self.nothing);
            retreat_row(
                &tape.gates[row * 3 * d..][..3 * d],
                &tape.recurrent[row * d..][..d],
                &tape.before[row * d..][..d],
                (upstream, self.upstream.share),
                by_state,
                &mut slopes.gates[row * 3 * d..][..3 * d],
                &mut slopes.recurrent[row * d..][..d],
                &mut slopes.sums,
            );
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one slice per buffer keeps the loop free of checks"
)]
#[inline(always)]
fn retreat_row(
    gates: &[f32],
    recurrent: &[f32],
    before: &[f32],
    (upstream, share): (&[f32], f32),
    by_state: &mut [f32],
    by_gates: &mut [f32],
    by_recurrent: &mut [f32],
    sums: &mut [f32],
) {
    let d = by_state.len();
    let (reset, update, fresh) = (&gates[..d], &gates[d..2 * d], &gates[2 * d..3 * d]);
    let (recurrent, before, upstream) = (&recurrent[..d], &before[..d], &upstream[..d]);
    let (by_reset, rest) = by_gates.split_at_mut(d);
    let (by_update, by_fresh) = rest.split_at_mut(d);
    let (by_fresh, by_recurrent) = (&mut by_fresh[..d], &mut by_recurrent[..d]);
    let (sum_reset, rest) = sums.split_at_mut(d);
    let (sum_update, rest) = rest.split_at_mut(d);
    let (sum_fresh, sum_recurrent) = rest.split_at_mut(d);
    let sum_recurrent = &mut sum_recurrent[..d];
    for i in 0..d {
        let (r, z, n) = (reset[i], update[i], fresh[i]);
        let by_after = by_state[i] + share * upstream[i];
        let into_fresh = by_after * (1.0 - z) * (1.0 - n * n);
        let into_update = by_after * (before[i] - n) * z * (1.0 - z);
        let into_reset = into_fresh * recurrent[i] * r * (1.0 - r);
        let into_recurrent = into_fresh * r;
        by_state[i] = by_after * z;
        (by_reset[i], by_update[i], by_fresh[i]) = (into_reset, into_update, into_fresh);
        by_recurrent[i] = into_recurrent;
        sum_reset[i] += into_reset;
        sum_update[i] += into_update;
        sum_fresh[i] += into_fresh;
        sum_recurrent[i] += into_recurrent;
    }
}

/// The gradient by the group's packed words, `[rows, w]`.
pub(super) fn by_words(slopes: &Slopes, weights: &Weights<'_>, precision: Precision) -> Vec<f32> {
    let (d, w) = (weights.d, weights.w);
    let mut out = vec![0.0; slopes.recurrent.len() / d * w];
    View::rows(&slopes.gates, 3 * d)
        .times(View::rows(weights.weight_ih, w))
        .with(precision)
        .write(&mut out, w);
    out
}

/// Adds the group's part of the gradient by the input weights, `[3d, w]`.
pub(super) fn add_by_weight_ih(
    slopes: &Slopes,
    packed: &[f32],
    w: usize,
    precision: Precision,
    out: &mut [f32],
) {
    let d = slopes.sums.len() / 4;
    let gates = View::rows(&slopes.gates, 3 * d).t();
    gates
        .times(View::rows(packed, w))
        .with(precision)
        .on(Threads::All)
        .add(out, w);
}

/// Adds the group's part of the gradient by the recurrent weights, `[3d, d]`. The first step has
/// no part in it: the state before it is 0.
pub(super) fn add_by_weight_hh(
    slopes: &Slopes,
    tape: &Tape,
    group: &Group,
    precision: Precision,
    out: &mut [f32],
) {
    let d = slopes.sums.len() / 4;
    let first = group.n_running(0);
    let n_rows = group.n_rows() - first;
    let before = View::rows(&tape.before[first * d..], d);
    let gates = View::strided(&slopes.gates[first * 3 * d..], n_rows, 2 * d, 3 * d).t();
    let recurrent = View::rows(&slopes.recurrent[first * d..], d).t();
    let (by_gates, by_fresh) = out.split_at_mut(2 * d * d);
    for (left, out) in [(gates, by_gates), (recurrent, by_fresh)] {
        left.times(before)
            .with(precision)
            .on(Threads::All)
            .add(out, d);
    }
}
