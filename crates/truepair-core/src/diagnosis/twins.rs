//! Equal items of which only one counts as right: every tie among them counts against the matcher.

use std::collections::HashMap;

use super::{Diagnosis, grouped};
use crate::error::Result;
use crate::relevance::Relevance;
use crate::rng::{Seed, sample};
use crate::scores::{Direction, Scorer};

/// Items of the other side whose scores must agree for two items to be the same.
const PROBES: usize = 12;

/// Queries below this share are what every collection has.
const SHARE: f64 = 0.01;

/// Whether queries lose because items that score alike throughout, copies of one another, are not all
/// marked as relevant; told where it concerns at least 1 % of the queries of a direction.
///
/// ```
/// use truepair_core::diagnosis::twins;
/// use truepair_core::pair::Pair;
/// use truepair_core::relevance::Relevance;
/// use truepair_core::rng::Seed;
/// use truepair_core::scores::{InnerProduct, Matrix};
///
/// // Both images, and both captions, are the same; each image has one of the captions.
/// let rows = || Matrix::new(vec![1.0, 0.0, 1.0, 0.0], 2);
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 1, caption: 1 }];
/// let relevance = Relevance::from_pairs(2, 2, &pairs);
/// let found = twins(&InnerProduct::new(rows(), rows())?, &relevance, Seed(0))?;
/// assert_eq!(found.map(|found| found.count), Some(4));
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If the scorer fails.
pub fn twins(scorer: &dyn Scorer, relevance: &Relevance, seed: Seed) -> Result<Option<Diagnosis>> {
    let sizes = [scorer.n_images(), scorer.n_captions()];
    if sizes.contains(&0) {
        return Ok(None);
    }
    let [images, captions] = groups(scorer, seed)?;
    let mut found: Vec<String> = Vec::new();
    let mut count = 0;
    for (direction, items, noun) in [
        (Direction::ImageToText, &captions, "captions"),
        (Direction::TextToImage, &images, "images"),
    ] {
        let n_queries = relevance.n_queries(direction);
        let lost = n_lost(relevance, direction, items);
        if lost > 0 && lost as f64 >= SHARE * n_queries as f64 {
            count += lost;
            found.push(format!(
                "{} of {} {noun} repeat others; for {} of {n_queries} {} queries a copy of what is right \
                 is not marked as right, and a tie counts against the matcher",
                grouped(items.n_copies),
                grouped(items.of_item.len()),
                grouped(lost),
                match direction {
                    Direction::ImageToText => "image",
                    Direction::TextToImage => "caption",
                }
            ));
        }
    }
    let help = "measure on one of each (`truepair inspect` names them), or mark the copies as right \
                (--relevance); --check-ties says how far the recalls would rise";
    Ok((!found.is_empty())
        .then(|| Diagnosis::new("unmarked-copies", count, found.join("; "), help)))
}

/// Items that score alike.
struct Groups {
    /// A number per item that copies share.
    of_item: Vec<u32>,
    /// Items that repeat an earlier one.
    n_copies: usize,
}

impl Groups {
    fn of(keys: Vec<Vec<u32>>) -> Self {
        let mut known = HashMap::with_capacity(keys.len());
        let n = keys.len();
        let of_item = keys.into_iter().map(|key| {
            let next = known.len() as u32;
            *known.entry(key).or_insert(next)
        });
        let of_item: Vec<u32> = of_item.collect();
        Self {
            of_item,
            n_copies: n - known.len(),
        }
    }
}

/// Copies among images and among captions: their scores with a few others are equal to the bit.
fn groups(scorer: &dyn Scorer, seed: Seed) -> Result<[Groups; 2]> {
    let stream = &mut seed.stream("copies", &[]);
    let mut probes = |n: usize| {
        let mut probes = sample(stream, n, PROBES);
        probes.sort_unstable();
        probes
    };
    let (images, captions) = (probes(scorer.n_images()), probes(scorer.n_captions()));
    let mut of_images: Vec<Vec<u32>> = Vec::with_capacity(scorer.n_images());
    let shape = scorer.tile_shape();
    let all: Vec<u32> = (0..scorer.n_images() as u32).collect();
    for some in all.chunks(shape.images.max(1)) {
        let mut tile = vec![0.0f32; some.len() * captions.len()];
        scorer.tile(some, &captions, &mut tile)?;
        of_images.extend(tile.chunks_exact(captions.len()).map(bits));
    }
    let mut of_captions: Vec<Vec<u32>> = Vec::with_capacity(scorer.n_captions());
    let all: Vec<u32> = (0..scorer.n_captions() as u32).collect();
    for some in all.chunks(shape.captions.max(1)) {
        let mut tile = vec![0.0f32; some.len() * images.len()];
        scorer.tile(&images, some, &mut tile)?;
        let column =
            |at: usize| -> Vec<f32> { tile[at..].iter().step_by(some.len()).copied().collect() };
        of_captions.extend((0..some.len()).map(|at| bits(&column(at))));
    }
    Ok([Groups::of(of_images), Groups::of(of_captions)])
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|score| score.to_bits()).collect()
}

/// Queries with a copy of a relevant item that is not relevant itself.
fn n_lost(relevance: &Relevance, direction: Direction, items: &Groups) -> usize {
    if items.n_copies == 0 {
        return 0;
    }
    let mut size = vec![0u32; items.of_item.len()];
    items
        .of_item
        .iter()
        .for_each(|&group| size[group as usize] += 1);
    let n = match direction {
        Direction::ImageToText => relevance.n_images(),
        Direction::TextToImage => relevance.n_captions(),
    };
    let loses = |query: &u32| {
        let relevant = relevance.relevant(direction, *query);
        let mut own: Vec<u32> = (relevant.iter())
            .map(|&item| items.of_item[item as usize])
            .collect();
        own.sort_unstable();
        own.chunk_by(|a, b| a == b)
            .any(|group| (group.len() as u32) < size[group[0] as usize])
    };
    (0..n as u32).filter(loses).count()
}
