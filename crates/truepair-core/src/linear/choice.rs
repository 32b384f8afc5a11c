//! Settings chosen by the ranks of held-out pairs; nobody needs to say which pairs are right.
//!
//! A mismatched pair ranks anywhere under every setting, so the mean logarithm of the ranks of all
//! pairs differs between settings only through their effect on matched pairs.

use rayon::prelude::*;

use super::canonical::{Canonical, Rotated, scales};
use super::moments::{Moments, Shift, Weighted};
use super::{Chosen, LinearConfig};
use crate::error::Result;
use crate::pair::Pair;
use crate::rng::{Seed, below, sample};
use crate::scores::Matrix;
use truepair_kernel::product::{Precision, Threads, View, multiply_transposed};

/// At most this many images of a part are ranked, and this many of their pairs.
const IMAGES: usize = 512;
const PAIRS: usize = 1024;

/// Parts that images are cut into where there are no folds.
pub(super) const PARTS: usize = 4;

/// The part of every pair, by its image.
pub(super) fn parts(pairs: &[Pair], n_images: usize, n_parts: usize, seed: Seed) -> Vec<u32> {
    let stream = &mut seed.stream("held-out parts", &[]);
    let part: Vec<u32> = (0..n_images)
        .map(|_| below(stream, n_parts as u64) as u32)
        .collect();
    pairs.iter().map(|pair| part[pair.image as usize]).collect()
}

/// Maps, with pairs that they were not fitted to.
pub(super) struct Model<'a> {
    pub(super) rotated: Rotated,
    /// The pairs: each list with the choice that it counts toward.
    pub(super) held_out: Vec<(usize, &'a HeldOut)>,
}

/// One model per part of `among`, fitted to the other parts, for the choice `choice`.
///
/// # Errors
/// If a vector is not finite.
pub(super) fn models<'a>(
    moments: &[Moments],
    shift: &Shift,
    held_out: &'a [HeldOut],
    among: &[usize],
    choice: usize,
) -> Result<Vec<Model<'a>>> {
    let mut models = Vec::new();
    for &part in among {
        let others = among.iter().filter(|other| **other != part);
        let others = Moments::sum(others.map(|&other| &moments[other]), shift);
        if others.weight > 0.0 {
            models.push(Model {
                rotated: Rotated::new(&others, shift)?,
                held_out: vec![(choice, &held_out[part])],
            });
        }
    }
    Ok(models)
}

/// For each choice the settings under which its held-out pairs rank best; the first settings if there
/// are no pairs.
///
/// Ridges are tried from the one nearest to [`START`] outward, until no choice is at an end of the
/// tried range: the ranks have a single optimum along the ridges.
///
/// # Errors
/// If a number is not finite.
pub(super) fn choose(
    models: &[Model<'_>],
    n_choices: usize,
    config: &LinearConfig,
) -> Result<Vec<Chosen>> {
    let grid = config.grid();
    let mut by_ridge: Vec<&[Chosen]> = grid.chunk_by(|a, b| a.ridge == b.ridge).collect();
    by_ridge.sort_by(|a, b| a[0].ridge.total_cmp(&b[0].ridge));
    if grid.len() == 1 || models.is_empty() {
        return Ok(vec![grid[0]; n_choices]);
    }
    let off = |settings: &&[Chosen]| ((settings[0].ridge + 1e-9) / START).ln().abs();
    let start = (0..by_ridge.len())
        .min_by(|&a, &b| off(&by_ridge[a]).total_cmp(&off(&by_ridge[b])))
        .expect("a checked grid is not empty");
    let mut tallies = vec![Tally::default(); n_choices];
    let (mut low, mut high) = (start, start);
    let mut new = start.saturating_sub(1)..(start + 2).min(by_ridge.len());
    loop {
        let settings = by_ridge[new.clone()].concat();
        let sums = models.par_iter().map(|model| model.log_ranks(&settings));
        for (model, sums) in models.iter().zip(sums.collect::<Result<Vec<_>>>()?) {
            for ((choice, _), sums) in model.held_out.iter().zip(sums) {
                tallies[*choice].add(&settings, &sums);
            }
        }
        (low, high) = (low.min(new.start), high.max(new.end - 1));
        let stands_at = |at: usize| {
            let ridge = by_ridge[at][0].ridge;
            tallies
                .iter()
                .any(|tally| tally.best().is_some_and(|best| best.ridge == ridge))
        };
        if low > 0 && stands_at(low) {
            new = low - 1..low;
        } else if high + 1 < by_ridge.len() && stands_at(high) {
            new = high + 1..high + 2;
        } else {
            break;
        }
    }
    Ok(tallies
        .iter()
        .map(|tally| tally.best().unwrap_or(grid[0]))
        .collect())
}

/// The ridge where the search begins.
const START: f64 = 2.0;

/// The sums of several evaluations, from which the best settings follow.
#[derive(Debug, Clone, Default)]
struct Tally(Vec<(Chosen, f64)>);

impl Tally {
    fn add(&mut self, settings: &[Chosen], log_ranks: &[f64]) {
        for (chosen, log_rank) in settings.iter().zip(log_ranks) {
            match self.0.iter_mut().find(|(known, _)| known == chosen) {
                Some((_, sum)) => *sum += log_rank,
                None => self.0.push((*chosen, *log_rank)),
            }
        }
    }

    /// The first of the settings with the least sum.
    fn best(&self) -> Option<Chosen> {
        let least = self
            .0
            .iter()
            .fold(f64::INFINITY, |least, (_, sum)| least.min(*sum));
        let best = self.0.iter().find(|(_, sum)| *sum <= least);
        best.map(|(chosen, _)| *chosen)
    }
}

impl Model<'_> {
    /// For each list of held-out pairs and each setting, the weighted sum of the logarithms of the
    /// pairs' ranks.
    fn log_ranks(&self, settings: &[Chosen]) -> Result<Vec<Vec<f64>>> {
        let turned: Vec<Turned<'_>> = (self.held_out.iter())
            .map(|(_, held_out)| held_out.turned(&self.rotated))
            .collect();
        let by_ridge: Vec<&[Chosen]> = settings.chunk_by(|a, b| a.ridge == b.ridge).collect();
        let by_ridge = by_ridge.into_par_iter().map(|settings| {
            let widest = settings.iter().map(|chosen| chosen.width).max();
            let canonical = (self.rotated).canonical(settings[0].ridge, widest.unwrap_or(0))?;
            let of_list = |turned: &Turned<'_>| -> Vec<f64> {
                let along = turned.along(&canonical);
                let scales = settings
                    .iter()
                    .map(|chosen| scales(&canonical.correlations, *chosen));
                scales.map(|scales| along.log_ranks(&scales)).collect()
            };
            Ok(turned.iter().map(of_list).collect())
        });
        let by_ridge: Vec<Vec<Vec<f64>>> = by_ridge.collect::<Result<_>>()?;
        let of_list = |list: usize| {
            by_ridge
                .iter()
                .flat_map(|lists| lists[list].clone())
                .collect()
        };
        Ok((0..turned.len()).map(of_list).collect())
    }
}

/// Pairs for maps that were not fitted to them.
#[derive(Debug)]
pub(super) struct HeldOut {
    images: Matrix,
    captions: Matrix,
    /// The image and the weight of every caption; captions of one image are adjacent.
    own: Vec<(u32, f64)>,
}

impl HeldOut {
    /// Draws pairs of every part.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub(super) fn of_parts(
        data: &Weighted<'_>,
        part_of_pair: &[u32],
        n_parts: usize,
        seed: Seed,
    ) -> Result<Vec<Self>> {
        let mut members = vec![Vec::new(); n_parts];
        for (pair, &part) in part_of_pair.iter().enumerate() {
            if data.weight(pair as u32) > 0.0 {
                members[part as usize].push(pair as u32);
            }
        }
        let drawn = members.into_iter().zip(0..);
        drawn
            .map(|(pairs, part)| Self::draw(data, pairs, seed.child("held-out pairs", part)))
            .collect()
    }

    fn draw(data: &Weighted<'_>, mut pairs: Vec<u32>, seed: Seed) -> Result<Self> {
        let image = |pair: u32| data.pairs[pair as usize].image;
        pairs.sort_unstable_by_key(|&pair| (image(pair), pair));
        let by_image: Vec<&[u32]> = pairs.chunk_by(|&a, &b| image(a) == image(b)).collect();
        let mut chosen: Vec<u32> = Vec::new();
        for at in sample(&mut seed.stream("draw", &[]), by_image.len(), IMAGES) {
            let own = by_image[at as usize];
            let room = PAIRS - chosen.len();
            chosen.extend(&own[..own.len().min(room)]);
        }
        let mut images: Vec<u32> = chosen.iter().map(|&pair| image(pair)).collect();
        images.dedup();
        let mut own = Vec::with_capacity(chosen.len());
        let mut at = 0;
        for &pair in &chosen {
            at += usize::from(images[at] != image(pair));
            own.push((at as u32, f64::from(data.weight(pair))));
        }
        let captions: Vec<u32> = (chosen.iter())
            .map(|&pair| data.pairs[pair as usize].caption)
            .collect();
        Ok(Self {
            images: data.images.gather(&images)?,
            captions: data.captions.gather(&captions)?,
            own,
        })
    }

    /// The pairs in the coordinates in which the covariances are decomposed.
    fn turned(&self, rotated: &Rotated) -> Turned<'_> {
        let single = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
        let [images, captions] = rotated.rotate(&self.images, &self.captions).map(single);
        Turned {
            images: Matrix::new(images, self.images.dim()),
            captions: Matrix::new(captions, self.captions.dim()),
            own: &self.own,
        }
    }
}

/// Held-out pairs in the coordinates of eigenvectors.
struct Turned<'a> {
    images: Matrix,
    captions: Matrix,
    own: &'a [(u32, f64)],
}

impl Turned<'_> {
    /// Embeddings before any direction is scaled.
    fn along(&self, canonical: &Canonical) -> Along<'_> {
        let width = canonical.correlations.len();
        let along = |rows: &Matrix, map: &[f64]| {
            let map: Vec<f32> = map.iter().map(|x| *x as f32).collect();
            let mut out = vec![0.0; rows.len() * width];
            if width > 0 {
                let (left, right) = (
                    View::rows(rows.values(), rows.dim()),
                    View::rows(&map, width),
                );
                let (precision, threads) = (Precision::F32, Threads::One);
                left.times(right)
                    .with(precision)
                    .on(threads)
                    .write(&mut out, width);
            }
            out
        };
        Along {
            images: along(&self.images, &canonical.left),
            captions: along(&self.captions, &canonical.right),
            width,
            own: self.own,
        }
    }
}

/// Held-out pairs along canonical directions.
struct Along<'a> {
    images: Vec<f32>,
    captions: Vec<f32>,
    width: usize,
    own: &'a [(u32, f64)],
}

impl Along<'_> {
    /// Weighted sum over pairs of the mean logarithm of both ranks; other captions of the image do
    /// not count, ties count against the pair.
    fn log_ranks(&self, scales: &[f64]) -> f64 {
        if scales.is_empty() || self.own.is_empty() {
            return 0.0;
        }
        let scales: Vec<f32> = scales.iter().map(|x| *x as f32).collect();
        let scaled = |rows: &[f32]| {
            let mut scaled = Vec::with_capacity(rows.len() / self.width * scales.len());
            for row in rows.chunks_exact(self.width) {
                scaled.extend(row.iter().zip(&scales).map(|(x, scale)| x * scale));
            }
            let mut rows = Matrix::new(scaled, scales.len());
            rows.normalize();
            rows
        };
        let (images, captions) = (scaled(&self.images), scaled(&self.captions));
        let n = captions.len();
        let mut scores = vec![0.0; images.len() * n];
        multiply_transposed(
            images.values(),
            captions.values(),
            scales.len(),
            &mut scores,
        );
        let own = self.own.iter().enumerate();
        let own: Vec<f32> = own
            .map(|(at, (image, _))| scores[*image as usize * n + at])
            .collect();
        let mut above = vec![0u32; n];
        for row in scores.chunks_exact(n) {
            let columns = above.iter_mut().zip(row).zip(&own);
            columns.for_each(|((count, score), own)| *count += u32::from(score >= own));
        }
        let mut sum = 0.0;
        let mut at = 0;
        for captions in self.own.chunk_by(|a, b| a.0 == b.0) {
            let row = &scores[captions[0].0 as usize * n..][..n];
            let siblings = at..at + captions.len();
            for (pair, (_, weight)) in siblings.clone().zip(captions) {
                let at_least = |row: &[f32]| row.iter().filter(|x| **x >= own[pair]).count();
                let below = 1 + at_least(row) - at_least(&row[siblings.clone()]);
                sum += weight * ((below as f64).ln() + f64::from(above[pair]).ln()) / 2.0;
            }
            at += captions.len();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_leave_out_siblings_and_count_ties_against_the_pair() {
        // Two images, three captions; the first two belong to the first image.
        let own = [(0, 1.0), (0, 1.0), (1, 2.0)];
        let along = Along {
            images: vec![1.0, 0.0, 0.0, 1.0],
            captions: vec![1.0, 0.1, 0.1, 1.0, 1.0, 1.0],
            width: 2,
            own: &own,
        };
        // Image 0 scores (0.995, 0.0995, 0.707), image 1 (0.0995, 0.995, 0.707).
        // Pair 0 ranks first both ways; pair 1 second and second; pair 2 second and, by a tie, second.
        let expected = 0.0 + 2f64.ln() + 2.0 * 2f64.ln();
        assert!((along.log_ranks(&[1.0, 1.0]) - expected).abs() < 1e-6);
        assert_eq!(along.log_ranks(&[]), 0.0);
    }

    #[test]
    fn the_first_of_equals_is_taken() {
        let chosen = |ridge| Chosen {
            ridge,
            width: 1,
            power: 1.0,
        };
        let mut tally = Tally::default();
        assert_eq!(tally.best(), None);
        tally.add(&[3.0, 1.0].map(chosen), &[5.0, 3.0]);
        tally.add(&[1.0, 2.0].map(chosen), &[1.0, 4.0]);
        assert_eq!(tally.best(), Some(chosen(1.0)));
    }
}
