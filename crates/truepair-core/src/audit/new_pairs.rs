//! Pairs that came later, judged by what was learned from others.
//!
//! The pairs of reference say how matched pairs rank, random re-pairings how mismatched ones do; both are
//! properties of the matcher and the kind of data, not of how many pairs are wrong. So a list of new pairs has a
//! rate of its own:
//!
//! ```text
//! P(mismatched | p) = ρ / (ρ + (1 − ρ) f1(p)),   f1 = (f − π) / (1 − π)
//! ρ = (Σ_n P(mismatched | p_n) + κ ρ_0) / (n + κ)
//! ```
//!
//! with `f` and `π` of the reference: expectation maximization for shifted priors (Saerens, Latinne and
//! Decaestecker, 2002) with `κ` pseudo-pairs at the reference's rate, so that a single pair is judged at that.
//! This assumes that matched pairs of the list rank as those of the reference do. Re-pairings of the list show
//! whether its items are of another kind: where their statistics are distributed otherwise, nothing is said, and
//! nothing is said of a pair whose image or caption the matchers read worse than nearly all of the reference. Near
//! misses are not looked for: a wrong pair of the right scene counts as a match here.

use super::legibility::{Statistic, calibrate_pooled};
use super::{AuditOptions, DecreasingDensity, Evidence, Findings, FoldStatistics, Links, conclude};
use crate::error::Result;
use crate::pair::Pair;
use crate::rng::Seed;

/// Pseudo-pairs at the reference's rate.
const PSEUDO_PAIRS: f64 = 10.0;

/// The rate of single pairs where the reference shows no mismatch.
const SMALLEST_RATE: f64 = 0.01;

/// Rounds of expectation maximization.
const ROUNDS: usize = 200;

/// Fewest new pairs whose re-pairings are held against the reference's, and the p-value below which they are of
/// another kind.
const COMPARED: usize = 30;
const OF_ANOTHER_KIND: f64 = 1e-3;

/// A new pair whose image or caption is read worse than all but this share of those of the reference is not judged.
const READ_WORSE: f64 = 0.005;

/// What is said of new pairs.
#[derive(Debug, Clone)]
pub struct NewFindings {
    /// What the pairs of reference show by themselves.
    pub reference: Findings,
    /// The share of mismatches among the new pairs that their probabilities add up to.
    pub rate: f64,
    /// One verdict a new pair, in their order.
    pub verdicts: Vec<NewVerdict>,
    /// Why nothing can be said of any of them, in one sentence.
    pub open: Option<String>,
}

/// What is said of one new pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewVerdict {
    /// Rank p-value of the caption for the image, and of the image for the caption, (0, 1].
    pub ranks: [f64; 2],
    /// Probability that the pair is mismatched; `None` where it cannot be told.
    pub posterior: Option<f64>,
}

impl NewVerdict {
    /// `matched`, `mismatched` or `unknown`.
    pub fn name(&self) -> &'static str {
        match self.posterior {
            None => "unknown",
            Some(posterior) if posterior > 0.5 => "mismatched",
            Some(_) => "matched",
        }
    }
}

/// Pairs of reference with pairs that came later.
#[derive(Debug, Clone, Copy)]
pub struct Later<'a> {
    /// The pairs of reference, then the later ones.
    pub pairs: &'a [Pair],
    /// Place of the first later pair.
    pub first: usize,
    /// Which captions belong to which images, duplicates included.
    pub links: &'a Links,
    /// Whether each caption holds nothing that the matchers can have learned, `[captions]`; empty where every caption can
    /// be read.
    pub unread_captions: &'a [bool],
}

/// Judges the later pairs by those of reference. `folds` hold statistics of all pairs, each by matchers that
/// saw none of the pairs that they judge; a later pair may be judged by several, whose p-values are averaged on the
/// scale of their logits.
///
/// # Errors
/// As [`conclude`], for the pairs of reference.
///
/// # Panics
/// If a fold names a pair that is not there.
pub fn judge_new(
    later: &Later<'_>,
    folds: &[FoldStatistics],
    options: &AuditOptions,
    seed: Seed,
) -> Result<NewFindings> {
    let Later {
        pairs,
        first: n_reference,
        links,
        unread_captions,
    } = *later;
    let of_reference: Vec<FoldStatistics> =
        folds.iter().map(|fold| before(fold, n_reference)).collect();
    let evidence = Evidence {
        unread_captions,
        ..Evidence::of(&of_reference)
    };
    let known = Known::of(&pairs[..n_reference], links, &evidence, options, seed)?;
    let found = mean_p(folds, pairs.len(), n_reference);
    let open = (known.open.clone()).or_else(|| of_another_kind(folds, n_reference));
    let likelihoods: Vec<f64> = found
        .iter()
        .map(|found| known.likelihood(found.p))
        .collect();
    let is_known: Vec<bool> = (found.iter().zip(&pairs[n_reference..]))
        .map(|(found, pair)| {
            let is_unread = unread_captions.get(pair.caption as usize) == Some(&true);
            open.is_none() && !found.p.is_nan() && !is_unread && !links.is_blank(*pair)
        })
        .collect();
    let usable = likelihoods
        .iter()
        .zip(&is_known)
        .filter(|(_, known)| **known);
    let usable: Vec<f64> = usable.map(|(likelihood, _)| *likelihood).collect();
    let rate = known.rate_of(&usable);
    let verdicts = found.iter().zip(&likelihoods).zip(&is_known);
    Ok(NewFindings {
        rate,
        verdicts: verdicts
            .map(|((found, likelihood), known)| NewVerdict {
                ranks: found.ranks,
                posterior: known.then(|| posterior(rate, *likelihood)),
            })
            .collect(),
        reference: known.findings,
        open,
    })
}

/// What pairs of reference say of others.
#[derive(Debug)]
pub(super) struct Known {
    findings: Findings,
    /// The density of the reference's p-values.
    density: DecreasingDensity,
    /// Share of the reference that is mismatched.
    rate: f64,
    /// So many pairs were seen that none is surer than this.
    floor: f64,
    /// Why the reference says nothing.
    pub(super) open: Option<String>,
}

impl Known {
    /// # Errors
    /// As [`conclude`].
    pub(super) fn of(
        pairs: &[Pair],
        links: &Links,
        evidence: &Evidence<'_>,
        options: &AuditOptions,
        seed: Seed,
    ) -> Result<Self> {
        use super::Outcome::{CannotBeTold, Refused};
        let findings = conclude(pairs, links, evidence, options, seed)?;
        let p = calibrate_pooled(evidence.folds, pairs.len(), Statistic::Surprisal);
        let open = match &findings.outcome {
            Refused { reason } | CannotBeTold { reason, .. } => {
                Some(format!("the pairs of reference say nothing: {reason}"))
            }
            _ => None,
        };
        Ok(Self {
            density: DecreasingDensity::fit(&p),
            rate: findings.noise_rate.estimate.clamp(0.0, 0.99),
            floor: 1.0 / (1.0 + pairs.len() as f64),
            findings,
            open,
        })
    }

    /// How much likelier the p-value is of a matched pair than of a re-pairing.
    fn likelihood(&self, p: f64) -> f64 {
        ((self.density.joined_at(p) - self.rate) / (1.0 - self.rate)).max(self.floor)
    }

    /// The share of mismatches among pairs of these likelihoods.
    fn rate_of(&self, likelihoods: &[f64]) -> f64 {
        rate(likelihoods, self.rate.max(SMALLEST_RATE))
    }

    /// What is said of a single pair.
    pub(super) fn verdict(&self, found: MeanP) -> NewVerdict {
        let likelihood = self.likelihood(found.p);
        let is_known = self.open.is_none() && !found.p.is_nan();
        NewVerdict {
            ranks: found.ranks,
            posterior: is_known.then(|| posterior(self.rate_of(&[likelihood]), likelihood)),
        }
    }
}

fn posterior(rate: f64, likelihood: f64) -> f64 {
    rate / (rate + (1.0 - rate) * likelihood)
}

fn rate(likelihoods: &[f64], prior: f64) -> f64 {
    let n = likelihoods.len() as f64;
    let mut rate = prior;
    for _ in 0..ROUNDS {
        let sum: f64 = likelihoods
            .iter()
            .map(|likelihood| posterior(rate, *likelihood))
            .sum();
        rate = (sum + PSEUDO_PAIRS * prior) / (n + PSEUDO_PAIRS);
    }
    rate
}

/// The statistics of the pairs before `n`.
fn before(fold: &FoldStatistics, n: usize) -> FoldStatistics {
    let kept = fold
        .pairs
        .iter()
        .take_while(|row| (row.pair as usize) < n)
        .count();
    FoldStatistics {
        pairs: fold.pairs[..kept].to_vec(),
        null: fold.null[..kept * fold.n_repairings].to_vec(),
        nearby: None,
        ..*fold
    }
}

/// What all matchers say of one new pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeanP {
    /// NaN where there was nothing to compare with, or half of the matchers read it too badly.
    p: f64,
    ranks: [f64; 2],
}

/// What each matcher said of one new pair, added up on the scale of logits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Opinions {
    p: f64,
    ranks: [f64; 2],
    n: f64,
    n_badly_read: f64,
}

impl Opinions {
    /// A matcher's p-value of the surprisal, and rank p-values of the caption and of the image.
    pub(super) fn add(&mut self, p: f64, ranks: [f64; 2], is_badly_read: bool) {
        self.p += logit(p);
        (self.ranks.iter_mut().zip(ranks)).for_each(|(sum, p)| *sum += logit(p));
        self.n += 1.0;
        self.n_badly_read += f64::from(u8::from(is_badly_read));
    }

    pub(super) fn mean(self) -> MeanP {
        let n = self.n.max(1.0);
        let is_read = self.n > 2.0 * self.n_badly_read;
        MeanP {
            p: if is_read { expit(self.p / n) } else { f64::NAN },
            ranks: self.ranks.map(|sum| expit(sum / n)),
        }
    }
}

fn mean_p(folds: &[FoldStatistics], n_pairs: usize, n_reference: usize) -> Vec<MeanP> {
    let mut opinions = vec![Opinions::default(); n_pairs - n_reference];
    for fold in folds {
        let worst = worst_read(fold, n_reference);
        let p = calibrate_pooled(std::slice::from_ref(fold), n_pairs, Statistic::Surprisal);
        for row in fold
            .pairs
            .iter()
            .filter(|row| row.pair as usize >= n_reference && !row.log_rank.is_nan())
        {
            let mut sides = row.legibility.iter().zip(worst);
            opinions[row.pair as usize - n_reference].add(
                p[row.pair as usize],
                [row.p_i2t, row.p_t2i],
                sides.any(|(own, worst)| *own < worst),
            );
        }
    }
    opinions.into_iter().map(Opinions::mean).collect()
}

/// The legibility of images and of captions below which a pair is read worse than those of the reference.
fn worst_read(fold: &FoldStatistics, n_reference: usize) -> [f64; 2] {
    [0, 1].map(|side| {
        let known = fold
            .pairs
            .iter()
            .filter(|row| (row.pair as usize) < n_reference);
        worst_of(known.map(|row| row.legibility[side]).collect())
    })
}

/// The legibility that all but a few of the reference reach.
pub(super) fn worst_of(mut known: Vec<f64>) -> f64 {
    known.sort_unstable_by(f64::total_cmp);
    let place = (READ_WORSE * known.len() as f64) as usize;
    known.get(place).copied().unwrap_or(f64::NEG_INFINITY)
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-9, 1.0 - 1e-9);
    (p / (1.0 - p)).ln()
}

fn expit(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Why nothing can be said where re-pairings of the new pairs look otherwise.
fn of_another_kind(folds: &[FoldStatistics], n_reference: usize) -> Option<String> {
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for fold in folds {
        for (row, null) in fold
            .pairs
            .iter()
            .zip(fold.null.chunks(fold.n_repairings.max(1)))
        {
            let is_new = row.pair as usize >= n_reference;
            // One re-pairing a pair, because several of an image are dependent, and among items of its own kind.
            let mut own = null.iter().filter(|null| !null.surprisal.is_nan());
            let first = own.find(|null| (null.partner as usize >= n_reference) == is_new);
            let group = if is_new { &mut new } else { &mut known };
            group.extend(first.map(|null| null.surprisal));
        }
    }
    let n_new = folds
        .iter()
        .flat_map(|fold| &fold.pairs)
        .filter(|row| row.pair as usize >= n_reference)
        .count();
    if n_new < COMPARED || known.len() < COMPARED || new.len() < COMPARED {
        return None;
    }
    let p = kolmogorov_smirnov(&mut known, &mut new);
    (p < OF_ANOTHER_KIND).then(|| {
        format!(
            "the new pairs are of another kind than those of reference: random re-pairings of theirs score otherwise \
             (p = {p:.1e}); audit them by themselves"
        )
    })
}

/// The p-value of the largest distance of two distribution functions (Smirnov's asymptotic formula).
fn kolmogorov_smirnov(a: &mut [f64], b: &mut [f64]) -> f64 {
    a.sort_unstable_by(f64::total_cmp);
    b.sort_unstable_by(f64::total_cmp);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let mut furthest: f64 = 0.0;
    for &x in a.iter().chain(b.iter()) {
        let below = |sorted: &[f64]| sorted.partition_point(|&y| y <= x) as f64;
        furthest = furthest.max((below(a) / n - below(b) / m).abs());
    }
    let root = (n * m / (n + m)).sqrt();
    let at = (root + 0.12 + 0.11 / root) * furthest;
    let term =
        |k: i32| 2.0 * f64::from(1 - 2 * ((k + 1) % 2)) * (-2.0 * f64::from(k * k) * at * at).exp();
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Fold, judge_fold};
    use super::*;
    use crate::rng::{Stream, normal};
    use crate::scores::{InnerProduct, Matrix};

    const DIM: usize = 16;

    /// Captions that are noisy copies of their images, and pairs of which the first `wrong` have another's caption.
    struct World {
        images: Vec<f32>,
        captions: Vec<f32>,
        pairs: Vec<Pair>,
        unread: Vec<bool>,
    }

    impl World {
        fn new() -> Self {
            Self {
                images: Vec::new(),
                captions: Vec::new(),
                pairs: Vec::new(),
                unread: Vec::new(),
            }
        }

        fn add(&mut self, n: usize, wrong: usize, noise: f64, stream: &mut Stream) {
            let first = self.pairs.len() as u32;
            for at in 0..n as u32 {
                let image: Vec<f64> = (0..DIM).map(|_| normal(stream)).collect();
                self.images.extend(image.iter().map(|x| *x as f32));
                self.captions
                    .extend(image.iter().map(|x| (x + noise * normal(stream)) as f32));
                let caption = if (at as usize) < wrong {
                    (at + 1) % wrong as u32
                } else {
                    at
                };
                self.pairs.push(Pair {
                    image: first + at,
                    caption: first + caption,
                });
            }
        }

        fn judge(&self, n_reference: usize) -> NewFindings {
            let mut images = Matrix::new(self.images.clone(), DIM);
            let mut captions = Matrix::new(self.captions.clone(), DIM);
            images.normalize();
            captions.normalize();
            let scorer = InnerProduct::new(images, captions).unwrap();
            let groups: Vec<u32> = (0..self.pairs.len() as u32).collect();
            let links = Links::new(&self.pairs, groups.clone(), groups.clone()).unwrap();
            let options = AuditOptions {
                near_misses: false,
                ..AuditOptions::default()
            };
            let fold = Fold {
                scorer: &scorer,
                pairs: &self.pairs,
                judged: &groups,
                links: &links,
                cells: None,
                plan: None,
            };
            let statistics = judge_fold(&fold, &options, Seed(0), &mut ()).unwrap();
            judge_new(
                &Later {
                    pairs: &self.pairs,
                    first: n_reference,
                    links: &links,
                    unread_captions: &self.unread,
                },
                &[statistics],
                &options,
                Seed(0),
            )
            .unwrap()
        }
    }

    #[test]
    fn a_list_has_a_rate_of_its_own() {
        let stream = &mut Seed(3).stream("new pairs", &[]);
        for (of_reference, wrong) in [(0, 120), (90, 0), (90, 180)] {
            let mut world = World::new();
            world.add(600, of_reference, 0.5, stream);
            world.add(300, wrong, 0.5, stream);
            let found = world.judge(600);
            assert_eq!(found.open, None);
            let rate = wrong as f64 / 300.0;
            assert!(
                (found.rate - rate).abs() < 0.07,
                "{} for {rate}",
                found.rate
            );
            let right = (found.verdicts.iter().enumerate())
                .filter(|(at, verdict)| (verdict.name() == "mismatched") == (*at < wrong));
            assert!(right.count() > 280);
        }
    }

    #[test]
    fn one_pair_is_judged_at_the_rate_of_the_reference() {
        let stream = &mut Seed(4).stream("new pairs", &[]);
        let mut world = World::new();
        world.add(600, 60, 0.5, stream);
        world.add(3, 2, 0.5, stream);
        let found = world.judge(600);
        let names: Vec<&str> = found.verdicts.iter().map(NewVerdict::name).collect();
        assert_eq!(names, ["mismatched", "mismatched", "matched"]);
    }

    #[test]
    fn nothing_is_said_of_pairs_of_another_kind_or_by_a_reference_that_shows_nothing() {
        let stream = &mut Seed(5).stream("new pairs", &[]);
        let mut world = World::new();
        world.add(600, 60, 0.5, stream);
        // Items that hardly differ from each other score otherwise when they are re-paired.
        let first = world.images.len();
        world.add(100, 0, 0.5, stream);
        for side in [&mut world.images, &mut world.captions] {
            side[first..]
                .iter_mut()
                .enumerate()
                .for_each(|(at, x)| *x = 0.1 * *x + f32::from(u8::from(at % DIM == 0)));
        }
        let found = world.judge(600);
        assert!(
            found
                .open
                .as_ref()
                .is_some_and(|reason| reason.contains("another kind")),
            "{:?}",
            found.open
        );
        assert!(
            found
                .verdicts
                .iter()
                .all(|verdict| verdict.name() == "unknown")
        );
        let mut noise = World::new();
        noise.add(400, 400, 0.5, stream);
        noise.add(50, 0, 0.5, stream);
        let found = noise.judge(400);
        assert!(found.open.is_some(), "{:?}", found.reference.outcome);
    }

    #[test]
    fn what_cannot_be_read_is_not_judged() {
        let stream = &mut Seed(7).stream("new pairs", &[]);
        let mut world = World::new();
        world.add(600, 60, 0.5, stream);
        world.add(3, 0, 0.5, stream);
        // The second later caption holds no known word; the image of the third is alike to all captions.
        world.unread = (0..603).map(|caption| caption == 601).collect();
        let mean: Vec<f32> = (0..DIM).map(|k| 1.0 + 0.01 * k as f32).collect();
        world.images[602 * DIM..].copy_from_slice(&mean);
        for caption in world.captions.chunks_mut(DIM) {
            // No caption stands out for that image: each has the same product with it.
            let product: f32 = caption.iter().zip(&mean).map(|(a, b)| a * b).sum();
            let square: f32 = mean.iter().map(|x| x * x).sum();
            caption
                .iter_mut()
                .zip(&mean)
                .for_each(|(a, b)| *a -= product / square * b);
        }
        let found = world.judge(600);
        let names: Vec<&str> = found.verdicts.iter().map(NewVerdict::name).collect();
        assert_eq!(names, ["matched", "unknown", "unknown"], "{:?}", found.open);
    }

    #[test]
    fn equal_distributions_are_told_from_others() {
        let stream = &mut Seed(6).stream("ks", &[]);
        let mut draw =
            |n: usize, shift: f64| -> Vec<f64> { (0..n).map(|_| normal(stream) + shift).collect() };
        let mut small = 0;
        for _ in 0..200 {
            small +=
                usize::from(kolmogorov_smirnov(&mut draw(300, 0.0), &mut draw(100, 0.0)) < 0.05);
        }
        assert!((2..25).contains(&small), "{small}");
        assert!(kolmogorov_smirnov(&mut draw(300, 0.0), &mut draw(100, 1.0)) < 1e-6);
    }
}
