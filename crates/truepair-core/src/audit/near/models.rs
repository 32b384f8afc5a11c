//! Models that tell given pairs from known mismatches, each fitted to the pairs of other images.

use rayon::prelude::*;

use super::super::monotone::Monotone;
use super::LAMBDA;
use super::examples::{Example, N, Row, ascending};
use crate::rng::{Seed, sample};

/// Parts that images are split into; each is judged by models fitted to the others.
const PARTS: usize = 4;

/// How many times a model is fitted again, to pairs weighted by what was found.
const ROUNDS: usize = 2;

/// At most this many given pairs are used to fit a model.
const FITTED: usize = 40_000;

/// For each part a model of given pairs against known mismatches, fitted without that part's images.
pub(super) struct Models(Vec<Monotone<N>>);

impl Models {
    pub(super) fn fit(given: &[&Example], known: &[&Example], seed: Seed) -> Self {
        let chosen = sample(&mut seed.stream("fitted", &[]), given.len(), FITTED);
        let chosen: Vec<&Example> = chosen.into_iter().map(|at| given[at as usize]).collect();
        let of_part = |held_out: usize| {
            let others = |examples: &[&Example]| -> Vec<(Row, f64)> {
                let others = examples.iter().filter(|one| part(one.image) != held_out);
                others.map(|one| (one.row, 1.0)).collect()
            };
            let (mut a, b) = (others(&chosen), others(known));
            let mut model = Monotone::fit(&a, &b);
            for _ in 0..ROUNDS {
                let share = mismatched_share(&model, &a, &b);
                for (row, weight) in &mut a {
                    *weight = 1.0 - (share * (-model.logit(row)).exp()).min(1.0);
                }
                model = Monotone::fit(&a, &b);
            }
            model
        };
        Self((0..PARTS).into_par_iter().map(of_part).collect())
    }

    /// The higher the logit, the less the pair is like a known mismatch.
    pub(super) fn logit(&self, example: &Example) -> f64 {
        self.0[part(example.image)].logit(&example.row)
    }

    /// The logits of all given pairs; NaN for those that could not be compared.
    pub(super) fn logits(&self, given: &[Option<Example>]) -> Vec<f64> {
        let logit = |example: &Option<Example>| {
            (example.as_ref()).map_or(f64::NAN, |example| self.logit(example))
        };
        given.par_iter().map(logit).collect()
    }
}

/// The part of an image.
fn part(image: u32) -> usize {
    // Neighboring numbers may be alike, so they are spread.
    (image.wrapping_mul(0x9E37_79B9) >> 16) as usize % PARTS
}

/// Share of mismatches among the given pairs `a`, by their places among the known ones `b`.
fn mismatched_share(model: &Monotone<N>, a: &[(Row, f64)], b: &[(Row, f64)]) -> f64 {
    let known = ascending(b.iter().map(|(row, _)| model.logit(row)));
    let middle = known.get(known.len() / 2).copied().unwrap_or(0.0);
    let n_below = (a.iter())
        .filter(|(row, _)| model.logit(row) < middle)
        .count();
    (n_below as f64 / a.len().max(1) as f64 / LAMBDA).min(1.0)
}
