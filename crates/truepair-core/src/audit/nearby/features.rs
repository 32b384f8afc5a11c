//! The surroundings of image and caption, as numbers.

use rayon::prelude::*;

use super::nearest::nearest;
use super::{NearbyFeatures, Neighborhood, Trial};
use crate::audit::{CountedRows, Links};
use crate::error::Result;
use crate::rng::sample;
use crate::scores::{Matrix, Scorer};

/// Near images of an image.
const NEAR_IMAGES: usize = 12;

/// Captions of near images that are looked at.
const LOCAL_CAPTIONS: usize = 64;

/// Nearest captions of a caption whose images are looked at, and how many more are kept because some
/// belong to the image or to the caption's own.
const NEAR_CAPTIONS: usize = 30;
const SPARE: usize = 10;

/// How sharply nearer captions count more.
const SHARPNESS: f64 = 10.0;

/// Images whose scores are held at once.
const BLOCK: usize = 512;

/// Items that neighbors are found among.
const POOL: usize = 4_096;

/// The rank of the median likeness where an image has no other caption: in the middle.
const NO_RANK: f64 = std::f64::consts::LN_2;

/// Describes `trials`, whose images and captions stand in the neighborhood's fold.
///
/// # Errors
/// If a row cannot be read or the scorer fails.
pub(in crate::audit) fn describe(
    neighborhood: &Neighborhood<'_>,
    trials: &[Trial],
) -> Result<Vec<NearbyFeatures>> {
    let fold = FoldItems::new(neighborhood)?;
    let place = |items: &[u32], item: u32| items.binary_search(&item).expect("an item of the fold");
    let entries = trials
        .iter()
        .zip(0..)
        .map(|(trial, at)| (place(&fold.images, trial.image) as u32, at));
    let of_image = CountedRows::new(fold.images.len(), entries);
    let mut features = vec![[0.0; super::N_FEATURES]; trials.len()];
    let images: Vec<u32> = (0..fold.images.len() as u32).collect();
    for block in images.chunks(BLOCK) {
        let scored = block.iter().map(|&image| {
            let captions = of_image.row(image).iter();
            let captions = captions.map(|&at| place(&fold.captions, trials[at as usize].caption));
            fold.score(neighborhood.scorer, image as usize, captions.collect())
        });
        let scored: Vec<Scored> = scored.collect::<Result<_>>()?;
        let described: Vec<Vec<NearbyFeatures>> = scored
            .par_iter()
            .map(|scored| fold.describe(neighborhood.links, scored))
            .collect();
        for (&image, described) in block.iter().zip(described) {
            for (&at, found) in of_image.row(image).iter().zip(described) {
                features[at as usize] = found;
            }
        }
    }
    Ok(features)
}

/// The items of a fold with their neighbors; images and captions by their places in the lists.
struct FoldItems {
    images: Vec<u32>,
    captions: Vec<u32>,
    image_vectors: Matrix,
    caption_vectors: Matrix,
    /// Captions of every image in the fold, and images of every caption.
    captions_of: CountedRows,
    images_of: CountedRows,
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
        let pairs = || {
            neighborhood
                .judged
                .iter()
                .map(|&n| neighborhood.pairs[n as usize])
        };
        let distinct = |mut items: Vec<u32>| {
            items.sort_unstable();
            items.dedup();
            items
        };
        let images = distinct(pairs().map(|pair| pair.image).collect());
        let captions = distinct(pairs().map(|pair| pair.caption).collect());
        let place =
            |items: &[u32], item: u32| items.binary_search(&item).expect("just listed") as u32;
        let places =
            || pairs().map(|pair| (place(&images, pair.image), place(&captions, pair.caption)));
        let image_vectors = neighborhood.likeness.images(&images)?;
        let caption_vectors = neighborhood.likeness.captions(&captions)?;
        let pool = |side: u64, n: usize| {
            let mut chosen = sample(&mut neighborhood.seed.stream("neighbors", &[side]), n, POOL);
            chosen.sort_unstable();
            chosen
        };
        let taken = |vectors: &Matrix, pool: &[u32]| {
            let rows = pool
                .iter()
                .flat_map(|&at| vectors.row(at as usize))
                .copied();
            Matrix::new(rows.collect(), vectors.dim())
        };
        let (image_group, caption_group) = (
            neighborhood.links.image_group(),
            neighborhood.links.caption_group(),
        );
        let image_pool = pool(0, images.len());
        let near_images = nearest(
            &image_vectors,
            &taken(&image_vectors, &image_pool),
            NEAR_IMAGES,
            |image, at| {
                let group = |at: usize| image_group[images[at] as usize];
                group(image) != group(image_pool[at] as usize)
            },
        );
        let caption_pool = pool(1, captions.len());
        let near_captions = nearest(
            &caption_vectors,
            &taken(&caption_vectors, &caption_pool),
            NEAR_CAPTIONS + SPARE,
            |caption, at| {
                let group = |at: usize| caption_group[captions[at] as usize];
                group(caption) != group(caption_pool[at] as usize)
            },
        );
        let real = |found: Vec<(u32, f32)>, pool: &[u32]| -> Vec<(u32, f32)> {
            found
                .into_iter()
                .map(|(at, like)| (pool[at as usize], like))
                .collect()
        };
        Ok(Self {
            captions_of: CountedRows::new(images.len(), places()),
            images_of: CountedRows::new(
                captions.len(),
                places().map(|(image, caption)| (caption, image)),
            ),
            near_images: (near_images.into_iter())
                .map(|found| {
                    real(found, &image_pool)
                        .into_iter()
                        .map(|(at, _)| at)
                        .collect()
                })
                .collect(),
            near_captions: near_captions
                .into_iter()
                .map(|found| real(found, &caption_pool))
                .collect(),
            images,
            captions,
            image_vectors,
            caption_vectors,
        })
    }

    /// Scores what is around an image and these captions.
    fn score(&self, scorer: &dyn Scorer, image: usize, captions: Vec<usize>) -> Result<Scored> {
        let own = self.captions_of.row(image as u32);
        let near = &self.near_images[image];
        let mut local: Vec<usize> = Vec::with_capacity(LOCAL_CAPTIONS);
        for &near in near {
            for &caption in self.captions_of.row(near) {
                let caption = caption as usize;
                if local.len() < LOCAL_CAPTIONS
                    && !own.contains(&(caption as u32))
                    && !local.contains(&caption)
                {
                    local.push(caption);
                }
            }
        }
        let local_items: Vec<u32> = local.iter().map(|&at| self.captions[at]).collect();
        let mut local_scores = vec![0.0; local.len()];
        if !local.is_empty() {
            scorer.tile(&[self.images[image]], &local_items, &mut local_scores)?;
        }
        let mut image_items = vec![self.images[image]];
        image_items.extend(near.iter().map(|&at| self.images[at as usize]));
        let caption_items: Vec<u32> = captions.iter().map(|&at| self.captions[at]).collect();
        let mut scores = vec![0.0; image_items.len() * caption_items.len()];
        if !captions.is_empty() {
            scorer.tile(&image_items, &caption_items, &mut scores)?;
        }
        Ok(Scored {
            image,
            captions,
            local,
            local_scores,
            scores,
        })
    }

    /// The surroundings of an image with its captions.
    fn describe(&self, links: &Links, scored: &Scored) -> Vec<NearbyFeatures> {
        let Scored {
            image,
            captions,
            local,
            local_scores,
            scores,
        } = scored;
        let image = *image;
        let caption_group = |at: usize| links.caption_group()[self.captions[at] as usize];
        let (own, near) = (self.captions_of.row(image as u32), &self.near_images[image]);
        let described = captions.iter().enumerate().map(|(column, &caption)| {
            let group = caption_group(caption);
            let score = scores[column];
            let of_caption = self.images_of.row(caption as u32);
            let is_other = |at: &&usize| caption_group(**at) != group;

            let others = local.iter().zip(local_scores);
            let others = others.filter(|(at, _)| caption_group(**at) != group);
            let rank_local = log_rank(others.map(|(_, score)| *score), score);

            let near_scores = (near.iter().enumerate())
                .filter(|(_, near)| !of_caption.contains(near))
                .map(|(row, _)| scores[(row + 1) * captions.len() + column]);
            let rank_near = log_rank(near_scores.clone(), score);
            let best_near = near_scores.fold(f32::NEG_INFINITY, f32::max);
            let margin = if best_near.is_finite() {
                score - best_near
            } else {
                0.0
            };

            let likeness = |other: usize| {
                dot(
                    self.caption_vectors.row(caption),
                    self.caption_vectors.row(other),
                )
            };
            let mut siblings: Vec<f32> = (own.iter())
                .map(|&at| at as usize)
                .filter(|at| caption_group(*at) != group)
                .map(likeness)
                .collect();
            siblings.sort_unstable_by(f32::total_cmp);
            let mut there: Vec<f32> = local
                .iter()
                .filter(is_other)
                .map(|&at| likeness(at))
                .collect();
            let (median, largest, rank) = match siblings.last() {
                Some(&largest) => {
                    let n = siblings.len();
                    let median = (siblings[(n - 1) / 2] + siblings[n / 2]) / 2.0;
                    (median, largest, log_rank(there.iter().copied(), median))
                }
                None => (0.0, 0.0, -NO_RANK),
            };
            there.sort_unstable_by(|a, b| b.total_cmp(a));

            let nearest = self.near_captions[caption].iter().filter(|(other, _)| {
                !own.contains(other)
                    && !of_caption
                        .iter()
                        .any(|&image| self.captions_of.row(image).contains(other))
            });
            let nearest: Vec<(f32, f32)> = nearest
                .take(NEAR_CAPTIONS)
                .map(|&(other, like)| {
                    let theirs = self.images_of.row(other)[0] as usize;
                    (
                        like,
                        dot(
                            self.image_vectors.row(image),
                            self.image_vectors.row(theirs),
                        ),
                    )
                })
                .collect();
            let most = nearest.first().map_or(0.0, |(like, _)| f64::from(*like));
            let (sum, weights) =
                nearest
                    .iter()
                    .fold((0.0, 0.0), |(sum, weights), (like, theirs)| {
                        let weight = (SHARPNESS * (f64::from(*like) - most)).exp();
                        (sum + weight * f64::from(*theirs), weights + weight)
                    });
            let mut theirs: Vec<f32> = nearest.iter().map(|(_, theirs)| *theirs).collect();
            theirs.sort_unstable_by(|a, b| b.total_cmp(a));
            [
                f64::from(score),
                -rank_local,
                -rank_near,
                f64::from(margin),
                f64::from(median),
                f64::from(largest),
                -rank,
                if weights > 0.0 { sum / weights } else { 0.0 },
                mean(&theirs[..theirs.len().min(5)]),
                mean(&there),
                mean(&there[..there.len().min(5)]),
            ]
        });
        described.collect()
    }
}

/// Logarithm of the share of `others` that is at least `value`, that itself included.
fn log_rank(others: impl Iterator<Item = f32>, value: f32) -> f64 {
    let (n, above) = others.fold((1.0, 1.0), |(n, above), other| {
        (n + 1.0, above + f64::from(u8::from(other >= value)))
    });
    f64::ln(above / n)
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
