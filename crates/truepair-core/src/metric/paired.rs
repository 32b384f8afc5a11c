//! Whether one run is better than another on the queries that both answered.
//!
//! Two runs that rank the same test split make many of the same mistakes, so their difference is known
//! far better than either rSum. It is resampled over test images, each with its captions: captions of
//! one image are hard or easy together, and drawing them one by one would make the interval too narrow.

use serde::{Deserialize, Serialize};

use super::Recall;
use super::bootstrap::{quantile, significance};
use crate::error::{Error, Result};
use crate::ranking::Ranks;
use crate::relevance::Relevance;
use crate::rng::{Seed, below};

/// Which queries are drawn together: an image query and the caption queries of that image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryUnits {
    n_images: usize,
    /// For each caption query the position of its image among the image queries.
    of_caption: Vec<u32>,
}

impl QueryUnits {
    /// The units of the queries that [`Ranks`] holds, in its order. A caption of several images
    /// goes with the first of them.
    pub fn new(relevance: &Relevance) -> Self {
        let mut position = vec![0; relevance.n_images()];
        let mut n_images = 0;
        for image in 0..relevance.n_images() as u32 {
            if !relevance.captions_of(image).is_empty() {
                position[image as usize] = n_images;
                n_images += 1;
            }
        }
        let captions = 0..relevance.n_captions() as u32;
        let first_images = captions.filter_map(|caption| relevance.images_of(caption).first());
        Self {
            n_images: n_images as usize,
            of_caption: first_images
                .map(|&image| position[image as usize])
                .collect(),
        }
    }

    fn fits(&self, ranks: &Ranks) -> bool {
        ranks.image_to_text.len() == self.n_images
            && ranks.text_to_image.len() == self.of_caption.len()
    }
}

/// How far the first run is ahead of the second in rSum; values lie in [-6, 6].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// rSum of the first minus rSum of the second, mean over seeds.
    pub mean: f64,
    /// Lower end of the 95 % percentile interval.
    pub low: f64,
    /// Upper end of the 95 % percentile interval.
    pub high: f64,
    /// Two-sided bootstrap p-value of no difference, (0, 1].
    pub p: f64,
}

/// Bootstraps the difference in rSum of runs that are paired by their seed: `runs` holds the ranks
/// of the first and of the second run, one entry per seed.
///
/// Seeds are held fixed and averaged; only the test images are drawn, `n_resamples` times. The
/// interval therefore says what another test split of this kind could have shown, and the spread
/// over seeds says what other seeds could have.
///
/// # Source
/// Efron and Tibshirani, An Introduction to the Bootstrap (1993), sections 13.3 and 16.4: percentile
/// interval and achieved significance level, the latter with one added to count and total so that
/// it is never 0.
///
/// # Errors
/// If there is no pair of runs, or a run answered queries other than those in `units`.
///
/// # Panics
/// If `n_resamples` is 0.
pub fn rsum_difference(
    runs: &[(&Ranks, &Ranks)],
    units: &QueryUnits,
    n_resamples: usize,
    seed: Seed,
) -> Result<Difference> {
    assert!(n_resamples > 0, "a bootstrap draws at least once");
    if runs.is_empty() || units.n_images == 0 {
        return Err(Error::argument(
            "no runs to compare",
            "give at least one pair of runs on a split with queries",
        ));
    }
    if let Some((first, second)) =
        (runs.iter()).find(|(first, second)| !units.fits(first) || !units.fits(second))
    {
        return Err(Error::argument(
            format!(
                "the runs answered {} and {} caption queries, the split has {}",
                first.text_to_image.len(),
                second.text_to_image.len(),
                units.of_caption.len()
            ),
            "compare runs that were measured on the same split",
        ));
    }
    let gains = gains(runs, units);
    let scale = 1.0 / runs.len() as f64;
    let mean = scale * statistic(gains.iter());
    let mut rng = seed.stream("paired bootstrap", &[]);
    let mut draws: Vec<f64> = (0..n_resamples)
        .map(|_| {
            let drawn =
                (0..gains.len()).map(|_| &gains[below(&mut rng, gains.len() as u64) as usize]);
            scale * statistic(drawn)
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    Ok(Difference {
        mean,
        low: quantile(&draws, 0.025),
        high: quantile(&draws, 0.975),
        p: significance(&draws),
    })
}

/// Hits gained by the first runs over the second on one unit, added over seeds and cutoffs.
#[derive(Debug, Clone, Copy, Default)]
struct Gain {
    image_to_text: i64,
    text_to_image: i64,
    n_captions: u64,
}

fn gains(runs: &[(&Ranks, &Ranks)], units: &QueryUnits) -> Vec<Gain> {
    let mut gains = vec![Gain::default(); units.n_images];
    for &unit in &units.of_caption {
        gains[unit as usize].n_captions += 1;
    }
    for (first, second) in runs {
        let images = first.image_to_text.iter().zip(&second.image_to_text);
        for (gain, (&first, &second)) in gains.iter_mut().zip(images) {
            gain.image_to_text += hits(first) - hits(second);
        }
        let captions = first.text_to_image.iter().zip(&second.text_to_image);
        for (&unit, (&first, &second)) in units.of_caption.iter().zip(captions) {
            gains[unit as usize].text_to_image += hits(first) - hits(second);
        }
    }
    gains
}

/// At how many of the three cutoffs the query counts as answered.
fn hits(rank: u32) -> i64 {
    let cutoffs = Recall::ALL.iter();
    cutoffs.filter(|recall| rank <= recall.k()).count() as i64
}

/// The gain in rSum over some units: each direction's mean over its own queries.
fn statistic<'a>(units: impl Iterator<Item = &'a Gain>) -> f64 {
    let (mut total, mut n_images) = (Gain::default(), 0u64);
    for gain in units {
        total.image_to_text += gain.image_to_text;
        total.text_to_image += gain.text_to_image;
        total.n_captions += gain.n_captions;
        n_images += 1;
    }
    let share = |sum: i64, n: u64| sum as f64 / n.max(1) as f64;
    share(total.image_to_text, n_images) + share(total.text_to_image, total.n_captions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::RSum;
    use crate::pair::Pair;

    const N: usize = 5;

    fn units() -> QueryUnits {
        let pairs: Vec<Pair> = (0..2 * N as u32)
            .map(|caption| Pair {
                image: caption / 2,
                caption,
            })
            .collect();
        QueryUnits::new(&Relevance::from_pairs(N, 2 * N, &pairs))
    }

    fn ranks(image_to_text: [u32; N], text_to_image: [u32; 2 * N]) -> Ranks {
        Ranks {
            image_to_text: image_to_text.to_vec(),
            text_to_image: text_to_image.to_vec(),
            ..Ranks::default()
        }
    }

    fn first() -> Ranks {
        ranks([1, 4, 1, 9, 2], [1, 1, 3, 8, 1, 20, 6, 2, 1, 1])
    }

    fn second() -> Ranks {
        ranks([2, 1, 7, 30, 2], [1, 6, 3, 2, 1, 40, 12, 2, 4, 1])
    }

    /// The bootstrap distribution of five units, all 5^5 draws of it, by the definition of rSum.
    fn every_draw(first: &Ranks, second: &Ranks) -> Vec<f64> {
        let of = |ranks: &Ranks, drawn: &[usize]| {
            RSum.of(&Ranks {
                image_to_text: drawn
                    .iter()
                    .map(|&unit| ranks.image_to_text[unit])
                    .collect(),
                text_to_image: (drawn.iter())
                    .flat_map(|&unit| ranks.text_to_image[2 * unit..2 * unit + 2].to_vec())
                    .collect(),
                ..Ranks::default()
            })
        };
        let mut draws: Vec<f64> = (0..N.pow(N as u32))
            .map(|code| {
                let drawn: Vec<usize> = (0..N as u32).map(|at| code / N.pow(at) % N).collect();
                of(first, &drawn) - of(second, &drawn)
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        draws
    }

    #[test]
    fn the_sample_agrees_with_every_possible_draw() {
        let (first, second) = (first(), second());
        let found = rsum_difference(&[(&first, &second)], &units(), 40_000, Seed(3)).unwrap();
        assert!((found.mean - (RSum.of(&first) - RSum.of(&second))).abs() < 1e-12);
        let draws = every_draw(&first, &second);
        assert!(
            (found.low - quantile(&draws, 0.025)).abs() < 0.11,
            "{found:?}"
        );
        assert!(
            (found.high - quantile(&draws, 0.975)).abs() < 0.11,
            "{found:?}"
        );
        let exact =
            2.0 * draws.iter().filter(|&&draw| draw <= 1e-12).count() as f64 / draws.len() as f64;
        assert!((found.p - exact).abs() < 0.01, "{} {exact}", found.p);
    }

    #[test]
    fn swapping_the_runs_turns_the_sign() {
        let (first, second) = (first(), second());
        let there = rsum_difference(&[(&first, &second)], &units(), 999, Seed(3)).unwrap();
        let back = rsum_difference(&[(&second, &first)], &units(), 999, Seed(3)).unwrap();
        assert!((there.mean + back.mean).abs() < 1e-12 && there.p == back.p);
        assert!((there.low + back.high).abs() < 0.11, "{there:?} {back:?}");
    }

    #[test]
    fn equal_runs_differ_by_nothing_and_seeds_are_averaged() {
        let (first, second) = (first(), second());
        let none = rsum_difference(&[(&first, &first)], &units(), 100, Seed(0)).unwrap();
        assert_eq!(
            (none.mean, none.low, none.high, none.p),
            (0.0, 0.0, 0.0, 1.0)
        );
        let runs = [(&first, &second), (&first, &first)];
        let half = rsum_difference(&runs, &units(), 100, Seed(0)).unwrap();
        let whole = rsum_difference(&runs[..1], &units(), 100, Seed(0)).unwrap();
        assert!((half.mean - whole.mean / 2.0).abs() < 1e-12);
        assert!((half.low - whole.low / 2.0).abs() < 1e-12);
    }

    #[test]
    fn captions_go_with_their_image_and_items_without_partner_with_none() {
        let pairs = [(1, 2), (3, 0), (1, 3)].map(|(image, caption)| Pair { image, caption });
        let units = QueryUnits::new(&Relevance::from_pairs(4, 5, &pairs));
        assert_eq!((units.n_images, units.of_caption), (2, vec![1, 0, 0]));
    }

    #[test]
    fn runs_on_other_queries_are_refused() {
        let (first, mut second) = (first(), second());
        second.text_to_image.pop();
        let error = rsum_difference(&[(&first, &second)], &units(), 9, Seed(0)).unwrap_err();
        assert!(error.to_string().contains("9 caption queries"), "{error}");
        assert!(rsum_difference(&[], &units(), 9, Seed(0)).is_err());
    }
}
