//! The surroundings of an image and a caption, as numbers.

use rayon::prelude::*;

use super::nearest::nearest;
use super::{NearbyFeatures, Neighborhood, Trial};
use crate::audit::Links;
use crate::error::Result;
use crate::lists::{Lists, distinct, place};
use crate::rng::{Stream, sample};
use crate::scores::{Matrix, Scorer};

/// How many near images an image has.
const NEAR_IMAGES: usize = 12;

/// How many captions of near images are looked at.
const LOCAL_CAPTIONS: usize = 64;

/// How many nearest captions of a caption have their images looked at, and how many more are kept
/// because some belong to the image or to the caption's own image.
const NEAR_CAPTIONS: usize = 30;
const SPARE: usize = 10;

/// How much more nearer captions count.
const SHARPNESS: f64 = 10.0;

/// Images whose scores are held at once.
const BLOCK: usize = 512;

/// How many items neighbors are searched among.
const POOL: usize = 4_096;

/// The rank of the median likeness where an image has no other caption: one half.
const NO_RANK: f64 = std::f64::consts::LN_2;

/// Describes `trials`, whose images and captions are in the neighborhood's fold.
///
/// # Errors
/// If a row cannot be read or the scorer fails.
pub(in crate::audit) fn describe(
    neighborhood: &Neighborhood<'_>,
    trials: &[Trial],
) -> Result<Vec<NearbyFeatures>> {
    let fold = FoldItems::new(neighborhood)?;
    let entries =
        (trials.iter().zip(0..)).map(|(trial, at)| (place(&fold.images.items, trial.image), at));
    let of_image = Lists::new(fold.images.items.len(), entries);
    let mut features = vec![[0.0; super::N_FEATURES]; trials.len()];
    let images: Vec<u32> = (0..fold.images.items.len() as u32).collect();
    for block in images.chunks(BLOCK) {
        let scored = block.iter().map(|&image| {
            let captions = (of_image.get(image).iter())
                .map(|&at| place(&fold.captions.items, trials[at as usize].caption) as usize);
            fold.score(neighborhood.scorer, image as usize, captions.collect())
        });
        let scored: Vec<Scored> = scored.collect::<Result<_>>()?;
        let described: Vec<Vec<NearbyFeatures>> = scored
            .par_iter()
            .map(|scored| fold.describe(neighborhood.links, scored))
            .collect();
        for (&image, described) in block.iter().zip(described) {
            for (&at, found) in of_image.get(image).iter().zip(described) {
                features[at as usize] = found;
            }
        }
    }
    Ok(features)
}

/// The distinct images or captions of a fold, ascending, as vectors.
struct Side {
    items: Vec<u32>,
    vectors: Matrix,
}

impl Side {
    /// For every item the `k` most similar items of a random sample of the side, as places in the side,
    /// the most similar first; copies, which share a `group`, are left out.
    fn neighbors(&self, k: usize, group: &[u32], stream: &mut Stream) -> Vec<Vec<(u32, f32)>> {
        let mut pool = sample(stream, self.items.len(), POOL);
        pool.sort_unstable();
        let rows = pool.iter().flat_map(|&at| self.vectors.row(at as usize));
        let vectors = Matrix::new(rows.copied().collect(), self.vectors.dim());
        let group = |at: usize| group[self.items[at] as usize];
        let mut found = nearest(&self.vectors, &vectors, k, |item, at| {
            group(item) != group(pool[at] as usize)
        });
        for (at, _) in found.iter_mut().flatten() {
            *at = pool[*at as usize];
        }
        found
    }

    fn likeness(&self, a: usize, b: usize) -> f32 {
        dot(self.vectors.row(a), self.vectors.row(b))
    }
}

/// The items of a fold with their neighbors; images and captions by their places in the lists.
struct FoldItems {
    images: Side,
    captions: Side,
    /// Captions of every image in the fold, and images of every caption.
    captions_of: Lists,
    images_of: Lists,
    near_images: Vec<Vec<u32>>,
    near_captions: Vec<Vec<(u32, f32)>>,
}

/// Scores around an image, by places in the fold's lists.
struct Scored {
    image: usize,
    /// Captions to describe.
    captions: Vec<usize>,
    /// Captions of near images, with the image's scores.
    local: Vec<usize>,
    local_scores: Vec<f32>,
    /// `[1 + near images, captions]`: the image itself first.
    scores: Vec<f32>,
}

impl FoldItems {
    fn new(neighborhood: &Neighborhood<'_>) -> Result<Self> {
        let (likeness, links) = (neighborhood.likeness, neighborhood.links);
        let pairs = || {
            let judged = neighborhood.judged.iter();
            judged.map(|&n| neighborhood.pairs[n as usize])
        };
        let images = distinct(pairs().map(|pair| pair.image));
        let captions = distinct(pairs().map(|pair| pair.caption));
        let places =
            || pairs().map(|pair| (place(&images, pair.image), place(&captions, pair.caption)));
        let captions_of = Lists::new(images.len(), places());
        let images_of = Lists::new(captions.len(), places().map(|(a, b)| (b, a)));
        let images = Side {
            vectors: likeness.images(&images)?,
            items: images,
        };
        let captions = Side {
            vectors: likeness.captions(&captions)?,
            items: captions,
        };
        let stream = |side: u64| neighborhood.seed.stream("neighbors", &[side]);
        let near_images = images.neighbors(NEAR_IMAGES, links.image_group(), &mut stream(0));
        let near_captions =
            captions.neighbors(NEAR_CAPTIONS + SPARE, links.caption_group(), &mut stream(1));
        let places_alone = |found: Vec<(u32, f32)>| found.into_iter().map(|(at, _)| at).collect();
        Ok(Self {
            images,
            captions,
            captions_of,
            images_of,
            near_images: near_images.into_iter().map(places_alone).collect(),
            near_captions,
        })
    }

    /// Scores what is around an image and these captions.
    fn score(&self, scorer: &dyn Scorer, image: usize, captions: Vec<usize>) -> Result<Scored> {
        let own = self.captions_of.get(image as u32);
        let near = &self.near_images[image];
        let mut local: Vec<usize> = Vec::with_capacity(LOCAL_CAPTIONS);
        for &near in near {
            for &caption in self.captions_of.get(near) {
                let is_known = own.contains(&caption) || local.contains(&(caption as usize));
                if local.len() < LOCAL_CAPTIONS && !is_known {
                    local.push(caption as usize);
                }
            }
        }
        let items = |side: &Side, places: &[usize]| -> Vec<u32> {
            places.iter().map(|&at| side.items[at]).collect()
        };
        let mut local_scores = vec![0.0; local.len()];
        if !local.is_empty() {
            let image = self.images.items[image];
            scorer.tile(&[image], &items(&self.captions, &local), &mut local_scores)?;
        }
        let rows: Vec<usize> = std::iter::once(image)
            .chain(near.iter().map(|&at| at as usize))
            .collect();
        let mut scores = vec![0.0; rows.len() * captions.len()];
        if !captions.is_empty() {
            let captions = items(&self.captions, &captions);
            scorer.tile(&items(&self.images, &rows), &captions, &mut scores)?;
        }
        Ok(Scored {
            image,
            captions,
            local,
            local_scores,
            scores,
        })
    }

    /// The surroundings of an image with each of its captions.
    fn describe(&self, links: &Links, scored: &Scored) -> Vec<NearbyFeatures> {
        let columns = 0..scored.captions.len();
        columns
            .map(|column| self.describe_caption(links, scored, column))
            .collect()
    }

    /// The surroundings of an image with the caption in one column of its scores.
    fn describe_caption(&self, links: &Links, scored: &Scored, column: usize) -> NearbyFeatures {
        let (caption, score) = (scored.captions[column], scored.scores[column]);
        let group = |at: usize| links.caption_group()[self.captions.items[at] as usize];
        let is_other = |at: usize| group(at) != group(caption);
        let local = || {
            let local = scored.local.iter().copied().zip(&scored.local_scores);
            local.filter(|(at, _)| is_other(*at))
        };
        let rank_local = log_rank(local().map(|(_, score)| *score), score);
        let (rank_near, margin) = self.among_near_images(scored, column);
        let likeness = |other: usize| self.captions.likeness(caption, other);
        let there = descending(local().map(|(at, _)| likeness(at)));
        let own = self.captions_of.get(scored.image as u32).iter();
        let siblings = own.map(|&at| at as usize).filter(|at| is_other(*at));
        let siblings = descending(siblings.map(likeness));
        let (median, largest, rank) = match siblings.first() {
            Some(&largest) => {
                let n = siblings.len();
                let median = (siblings[n / 2] + siblings[(n - 1) / 2]) / 2.0;
                (median, largest, log_rank(there.iter().copied(), median))
            }
            None => (0.0, 0.0, -NO_RANK),
        };
        let [weighted, best] = self.among_near_captions(scored.image, caption);
        [
            f64::from(score),
            -rank_local,
            -rank_near,
            f64::from(margin),
            f64::from(median),
            f64::from(largest),
            -rank,
            weighted,
            best,
            mean(&there),
            mean(&there[..there.len().min(5)]),
        ]
    }

    /// The rank of an image's score with a caption among those of near images, and by how much it
    /// exceeds the best of these.
    fn among_near_images(&self, scored: &Scored, column: usize) -> (f64, f32) {
        let (n, score) = (scored.captions.len(), scored.scores[column]);
        let of_caption = self.images_of.get(scored.captions[column] as u32);
        let near_scores = (self.near_images[scored.image].iter().enumerate())
            .filter(|(_, near)| !of_caption.contains(near))
            .map(|(row, _)| scored.scores[(row + 1) * n + column]);
        let rank = log_rank(near_scores.clone(), score);
        let best = near_scores.fold(f32::NEG_INFINITY, f32::max);
        let margin = if best.is_finite() { score - best } else { 0.0 };
        (rank, margin)
    }

    /// Likeness of an image to the images of the captions nearest to a caption: the mean, nearer
    /// captions counting more, and the mean of the five best.
    fn among_near_captions(&self, image: usize, caption: usize) -> [f64; 2] {
        let own = self.captions_of.get(image as u32);
        let of_caption = self.images_of.get(caption as u32);
        let is_sibling = |other: &u32| {
            let mut images = of_caption.iter();
            images.any(|&image| self.captions_of.get(image).contains(other))
        };
        let nearest = (self.near_captions[caption].iter())
            .filter(|(other, _)| !own.contains(other) && !is_sibling(other));
        let nearest: Vec<(f32, f32)> = nearest
            .take(NEAR_CAPTIONS)
            .map(|&(other, like)| {
                let theirs = self.images_of.get(other)[0] as usize;
                (like, self.images.likeness(image, theirs))
            })
            .collect();
        let most = nearest.first().map_or(0.0, |(like, _)| f64::from(*like));
        let (mut sum, mut weights) = (0.0, 0.0);
        for (like, theirs) in &nearest {
            let weight = (SHARPNESS * (f64::from(*like) - most)).exp();
            sum += weight * f64::from(*theirs);
            weights += weight;
        }
        let theirs = descending(nearest.iter().map(|(_, theirs)| *theirs));
        [
            if weights > 0.0 { sum / weights } else { 0.0 },
            mean(&theirs[..theirs.len().min(5)]),
        ]
    }
}

/// Logarithm of the share of `others` that is at least `value`, `value` itself included.
fn log_rank(others: impl Iterator<Item = f32>, value: f32) -> f64 {
    let (n, above) = others.fold((1.0, 1.0), |(n, above), other| {
        (n + 1.0, above + f64::from(u8::from(other >= value)))
    });
    f64::ln(above / n)
}

fn descending(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut values: Vec<f32> = values.collect();
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    values
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len().max(1) as f64
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight running sums, because one would serialize the loop.
    let mut lanes = [0.0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = (a_chunks.remainder().iter().zip(b_chunks.remainder()))
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
