//! Held-out rank p-values of every pair of a fold, in both directions, with their measured null.
//!
//! A pair's caption is compared with captions that do not belong to its image, and its image with
//! images that do not belong to its caption:
//!
//! ```text
//! p_i2t = (1 + #{m : S(i, t_m) >= S(i, t)}) / (M + 1)
//! p_t2i = (1 + #{m : S(i_m, t) >= S(i, t)}) / (M + 1)
//! z     = (ln p_i2t + ln p_t2i) / 2
//! s     = −½ ln [e^{β S(i,t)} / (e^{β S(i,t)} + Σ_m e^{β S(i,t_m)})]
//!         −½ ln [e^{β S(i,t)} / (e^{β S(i,t)} + Σ_m e^{β S(i_m,t)})]
//! ```
//!
//! If the pair were mismatched at random, its caption would be one more draw from the null captions, so
//! each p-value is uniform on {1/(M+1), ..., 1} in finite samples, for any scorer that has not seen the
//! pair (conformal p-values: Vovk, Gammerman and Shafer, 2005). The two are dependent, so the null of
//! `z` is measured on re-paired images and captions of the same fold; whether a caption's own image is
//! among those it is ranked with changes a rank by one.
//!
//! The surprisal `s` says more than ranks do: how far the pair stands out or falls behind. But an own
//! image elsewhere in the data, which a re-pairing lacks, raises it, so the noise rate is read from `z`
//! and the order of the pairs from `s`. The sharpness `β` is the one that makes the fold's pairs most
//! likely.

use super::around::Around;
use super::block_judge::{BlockJudge, Legibility, own_scores};
use super::fold::candidates;
use super::sweep::Gallery;
use super::temperature;
use super::trials::{Block, blocks};
use super::{AuditOptions, BLOCK_PAIRS, Fold, FoldStatistics, MIN_GROUPS, MIN_PAIRS};
use crate::error::{Error, Result};
use crate::lists::distinct;
use crate::pair::Pair;
use crate::rng::{Seed, sample};
use crate::scores::Direction;
use crate::watch::{self, Watch};

/// Pairs, captions and images from which the sharpness of the softmax is fitted.
const SHARPNESS_PAIRS: usize = 500;
const SHARPNESS_ITEMS: usize = 1_000;

/// Ranks every pair of `fold` against its null in both directions.
///
/// Memory is bounded by a tile of 256 items against `options.null_size` items. The result
/// depends on the seed, not on the number of threads.
///
/// # Errors
/// If there are fewer than [`MIN_PAIRS`] pairs, fewer than [`MIN_GROUPS`] distinct captions or
/// images, a score is not finite, or the watch asks for the work to end.
///
/// # Panics
/// If `judged` names a pair that does not exist or `cells` is not as long as the pairs.
pub fn judge_fold(
    fold: &Fold<'_>,
    options: &AuditOptions,
    seed: Seed,
    watch: &mut dyn Watch,
) -> Result<FoldStatistics> {
    check(fold)?;
    let [captions, images] = galleries(fold, options.null_size, seed);
    let legibility = Legibility::measure(fold, options.crowd, seed)?;
    let sharpness = sharpness(fold, options.null_size, seed)?;
    let blocks = blocks(fold.pairs, fold.judged, fold.cells, BLOCK_PAIRS, seed);
    let mut tile = Vec::new();
    let mut rows = Vec::new();
    for members in blocks {
        watch::check(watch)?;
        let block = Block::new(fold.pairs, members, fold.links, options.n_repairings, seed);
        let judged = BlockJudge {
            links: fold.links,
            block: &block,
            scores: own_scores(fold, &block)?,
            sharpness,
            legibility: &legibility,
        };
        let i2t = judged.sweep(fold.scorer, Direction::ImageToText, &captions, &mut tile)?;
        let t2i = judged.sweep(fold.scorer, Direction::TextToImage, &images, &mut tile)?;
        rows.extend(judged.statistics(options.n_repairings, &i2t, &t2i));
        watch.advance("rank", rows.len() as u64, fold.judged.len() as u64);
    }
    rows.sort_unstable_by_key(|(pair, _)| pair.pair);
    let (pairs, null): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let mut statistics = FoldStatistics {
        pairs,
        null: null.concat(),
        n_repairings: options.n_repairings,
        n_null_captions: captions.items.len(),
        n_null_images: images.items.len(),
        sharpness,
        nearby: None,
    };
    if let Some(plan) = fold.plan {
        watch::check(watch)?;
        let around = Around {
            fold,
            plan,
            galleries: [&captions, &images],
            sharpness,
            legibility: &legibility,
            seed,
        };
        statistics.nearby = Some(around.look(&statistics)?);
    }
    Ok(statistics)
}

/// The sharpness, fitted to some of the judged pairs.
fn sharpness(fold: &Fold<'_>, null_size: usize, seed: Seed) -> Result<f64> {
    let stream = &mut seed.stream("sharpness", &[]);
    let chosen = sample(stream, fold.judged.len(), SHARPNESS_PAIRS);
    let pairs: Vec<Pair> = (chosen.iter())
        .map(|&at| fold.pairs[fold.judged[at as usize] as usize])
        .collect();
    let [captions, images] = galleries(fold, null_size.min(SHARPNESS_ITEMS), seed);
    temperature::fit(fold.scorer, &pairs, fold.links, [&captions, &images])
}

fn check(fold: &Fold<'_>) -> Result<()> {
    if let Some(cells) = fold.cells {
        assert_eq!(cells.len(), fold.pairs.len(), "one cell label per pair");
    }
    let n = fold.judged.len();
    if n < MIN_PAIRS {
        return Err(Error::argument(
            format!("{n} pairs to judge together, expected at least {MIN_PAIRS}"),
            "add pairs",
        ));
    }
    for (what, direction) in [
        ("captions", Direction::ImageToText),
        ("images", Direction::TextToImage),
    ] {
        let (side, group) = candidates(fold, direction);
        let n_groups = distinct(side.iter().map(|&item| group[item as usize])).len();
        if n_groups < MIN_GROUPS {
            return Err(Error::argument(
                format!(
                    "{n_groups} distinct {what} among {n} pairs, expected at least {MIN_GROUPS}"
                ),
                "a pair is judged by comparison with others that differ; check that the column or \
                 array with the data was read",
            ));
        }
    }
    Ok(())
}

/// The null captions and the null images.
pub(super) fn galleries(fold: &Fold<'_>, null_size: usize, seed: Seed) -> [Gallery; 2] {
    let directions = [Direction::ImageToText, Direction::TextToImage];
    directions.map(|direction| gallery(fold, direction, null_size, seed))
}

fn gallery(fold: &Fold<'_>, direction: Direction, null_size: usize, seed: Seed) -> Gallery {
    let (items, group) = candidates(fold, direction);
    let stream = &mut seed.stream("null", &[u64::from(direction == Direction::TextToImage)]);
    let mut chosen: Vec<u32> = sample(stream, items.len(), null_size)
        .into_iter()
        .map(|position| items[position as usize])
        .collect();
    chosen.sort_unstable();
    Gallery::new(chosen, group)
}
