//! Held-out rank p-values of every pair of a fold, in both directions, with their measured null.
//!
//! A pair's caption is held against captions that do not belong to its image, and its image
//! against images that do not belong to its caption:
//!
//! ```text
//! p_i2t = (1 + #{m : S(i, t_m) >= S(i, t)}) / (M + 1)
//! p_t2i = (1 + #{m : S(i_m, t) >= S(i, t)}) / (M + 1)
//! z     = (ln p_i2t + ln p_t2i) / 2
//! s     = −½ ln [e^{β S(i,t)} / (e^{β S(i,t)} + Σ_m e^{β S(i,t_m)})]
//!         −½ ln [e^{β S(i,t)} / (e^{β S(i,t)} + Σ_m e^{β S(i_m,t)})]
//! ```
//!
//! Were the pair mismatched at random, its caption would be one more draw from the null captions,
//! so each p-value is uniform on {1/(M+1), ..., 1} in finite samples, for any scorer that has not
//! seen the pair (conformal p-values: Vovk, Gammerman and Shafer, 2005). The two are dependent, so
//! the null of `z` is measured on re-paired images and captions of the same fold; whether a
//! caption's own image is among those that it is ranked with moves a rank by one.
//!
//! The surprisal `s` says more than ranks do: by how much the pair stands out or falls behind. But an
//! own image elsewhere in the data, which a re-pairing lacks, raises it, so the noise rate is read
//! from `z` and the order of the pairs from `s`. The sharpness `β` is the one under which the fold's
//! pairs are likeliest.

use rayon::prelude::*;

use super::legibility;
use super::nearby::{
    self, Features, NearbyStatistics, Neighborhood, Plan, PlantedStatistics, Planting,
};
use super::sweep::{Gallery, RowSweep, Standing, Threshold, sweep_row};
use super::temperature;
use super::trials::{Block, Trial, blocks};
use super::{AuditOptions, CountedRows, Links, MIN_GROUPS, MIN_PAIRS};
use crate::error::{Error, Result};
use crate::pair::Pair;
use crate::rng::{Seed, sample};
use crate::scores::{Direction, Scorer};
use crate::watch::{self, Watch};

/// Pairs per block. Larger blocks copy the null vectors less often, smaller ones waste less on the
/// tile of the block's own images and captions.
const BLOCK_PAIRS: usize = 1024;

/// Columns that are turned into rows together: one cache line of scores.
const TURNED_COLUMNS: usize = 16;

/// Pairs, captions and images from which the sharpness of the softmax is fitted.
const SHARPNESS_PAIRS: usize = 500;
const SHARPNESS_ITEMS: usize = 1_000;

/// Pairs to judge, and a scorer that has not been trained on them.
#[derive(Clone, Copy)]
pub struct Fold<'a> {
    /// Scores any image of the data set against any caption.
    pub scorer: &'a dyn Scorer,
    /// All pairs of the data set.
    pub pairs: &'a [Pair],
    /// Indices of the pairs to judge. Their captions and images are also the null.
    pub judged: &'a [u32],
    /// Which captions belong to which images, duplicates included.
    pub links: &'a Links,
    /// For repeated cross-fitting: per pair `[n_pairs]`, a label that is equal only for pairs that
    /// share a fold in every repeat. Re-pairings then stay within a cell and repeats can be
    /// averaged; see [`average_repeats`](super::average_repeats).
    pub cells: Option<&'a [u32]>,
    /// What to plant, where surroundings are to be looked at.
    pub plan: Option<&'a Plan<'a>>,
}

/// What the scores of one fold say about its pairs, and about pairs known to be mismatched.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldStatistics {
    /// The judged pairs, ascending by index.
    pub pairs: Vec<PairStatistics>,
    /// `[pairs, n_repairings]`: the statistic of each pair's image with another pair's caption.
    pub null: Vec<NullStatistic>,
    /// Re-pairings per pair.
    pub n_repairings: usize,
    /// Null captions before exclusions.
    pub n_null_captions: usize,
    /// Null images before exclusions.
    pub n_null_images: usize,
    /// `β`: scores times this are the exponents of the softmax.
    pub sharpness: f64,
    /// What surrounds the pairs, where a plan asked for it.
    pub nearby: Option<NearbyStatistics>,
}

impl FoldStatistics {
    /// Notes how uncertain the embeddings of the judged pairs are, in the pairs' order.
    ///
    /// # Panics
    /// If there is not one value a pair.
    pub fn set_variance(&mut self, variances: &[f64]) {
        assert_eq!(variances.len(), self.pairs.len(), "one variance a pair");
        for (row, variance) in self.pairs.iter_mut().zip(variances) {
            row.variance = Some(*variance);
        }
    }
}

/// Rank statistics of one pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairStatistics {
    /// Index of the pair.
    pub pair: u32,
    /// Rank p-value of the caption for the image, (0, 1].
    pub p_i2t: f64,
    /// Rank p-value of the image for the caption, (0, 1].
    pub p_t2i: f64,
    /// `(ln p_i2t + ln p_t2i) / 2`, at most 0; NaN when there was nothing to compare with.
    pub log_rank: f64,
    /// Mean over both directions of the negative logarithm of the pair's share of the softmax, in
    /// nats, at least 0: small for pairs that stand out. NaN when there was nothing to compare with.
    pub surprisal: f64,
    /// How far the best score of the image, and of the caption, stands out of its scores with a random
    /// sample of all items of the other side, in standard deviations. It does not look at what they
    /// are paired with.
    pub legibility: [f64; 2],
    /// Entropy in nats of which items the image and the caption could mean, mean over both: 0 where
    /// one item stands out, `ln k` where `k` do.
    pub entropy: f64,
    /// Share of the variance in the squared length of the pair's embeddings, [0, 1), where they are
    /// Gaussians; see [`FoldStatistics::set_variance`].
    pub variance: Option<f64>,
    /// 1-based rank of the caption among those compared with, ties against it.
    pub rank_i2t: u32,
    /// 1-based rank of the image among those compared with, ties against it.
    pub rank_t2i: u32,
    /// Captions compared with.
    pub n_captions: u32,
    /// Images compared with.
    pub n_images: u32,
    /// Best null caption for the image, when it scores above the given one.
    pub better_caption: Option<u32>,
    /// Best null image for the caption, when it scores above the given one.
    pub better_image: Option<u32>,
}

/// The statistic of an image with a caption that is known not to be its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NullStatistic {
    /// Index of the pair that lent its caption; `u32::MAX` where none could.
    pub partner: u32,
    /// As in [`PairStatistics::log_rank`]; NaN where none could be computed.
    pub log_rank: f64,
    /// As in [`PairStatistics::surprisal`]; NaN where none could be computed.
    pub surprisal: f64,
    /// As in [`PairStatistics::legibility`], of the image and of the lent caption.
    pub legibility: [f64; 2],
}

/// Ranks every pair of `fold` against its null in both directions.
///
/// Memory is bounded by a tile of 1,024 pairs against `options.null_size` items. The result
/// depends on the seed, not on the number of threads.
///
/// # Errors
/// If there are fewer than [`MIN_PAIRS`] pairs, fewer than [`MIN_GROUPS`] distinct captions or
/// images, a score is not finite, or the watch wants the work to end.
///
/// # Panics
/// If `judged` names a pair that is not there or `cells` has another length than the pairs.
pub fn judge_fold(
    fold: &Fold<'_>,
    options: &AuditOptions,
    seed: Seed,
    watch: &mut dyn Watch,
) -> Result<FoldStatistics> {
    check(fold)?;
    let galleries = |size: usize| {
        let directions = [Direction::ImageToText, Direction::TextToImage];
        directions.map(|direction| gallery(fold, direction, size, seed))
    };
    let [captions, images] = galleries(options.null_size);
    let legibility = Legibility::measure(fold, seed)?;
    let sharpness = sharpness(
        fold,
        galleries(options.null_size.min(SHARPNESS_ITEMS)),
        seed,
    )?;
    let blocks = blocks(fold.pairs, fold.judged, fold.cells, BLOCK_PAIRS, seed);
    let mut tile = Vec::new();
    let mut rows: Vec<(PairStatistics, Vec<NullStatistic>)> = Vec::new();
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
    let null = null.concat();
    let nearby = match fold.plan {
        Some(plan) => {
            let around = Around {
                fold,
                plan,
                galleries: [&captions, &images],
                sharpness,
                legibility: &legibility,
                seed,
            };
            watch::check(watch)?;
            Some(around.look(&pairs, &null, options.n_repairings)?)
        }
        None => None,
    };
    Ok(FoldStatistics {
        nearby,
        pairs,
        null,
        n_repairings: options.n_repairings,
        n_null_captions: captions.items.len(),
        n_null_images: images.items.len(),
        sharpness,
    })
}

/// What is needed to look at the surroundings of a fold's pairs.
struct Around<'a> {
    fold: &'a Fold<'a>,
    plan: &'a Plan<'a>,
    galleries: [&'a Gallery; 2],
    sharpness: f64,
    legibility: &'a Legibility,
    seed: Seed,
}

impl Around<'_> {
    fn look(
        &self,
        rows: &[PairStatistics],
        null: &[NullStatistic],
        n_repairings: usize,
    ) -> Result<NearbyStatistics> {
        let (fold, pairs) = (self.fold, self.fold.pairs);
        let (images, _) = candidates(fold, Direction::TextToImage);
        let planted: Vec<(u32, Planting)> = (0..)
            .zip(&self.plan.planted)
            .filter(|(_, planting)| images.binary_search(&planting.image).is_ok())
            .map(|(place, planting)| (place, *planting))
            .collect();
        let trial = |image: u32, partner: u32| nearby::Trial {
            image,
            caption: pairs[partner as usize].caption,
        };
        let given = rows
            .iter()
            .map(|row| trial(pairs[row.pair as usize].image, row.pair));
        let of_planted = planted
            .iter()
            .map(|(_, planting)| trial(planting.image, planting.partner));
        let repaired: Vec<u32> = (0..)
            .zip(rows)
            .filter(|(place, row)| {
                let partner = null[*place as usize * n_repairings].partner;
                self.plan.repaired.binary_search(&row.pair).is_ok() && partner != u32::MAX
            })
            .map(|(place, _)| place)
            .collect();
        let of_repaired = repaired.iter().map(|&place| {
            let image = pairs[rows[place as usize].pair as usize].image;
            trial(image, null[place as usize * n_repairings].partner)
        });
        let trials: Vec<nearby::Trial> = given.chain(of_planted).chain(of_repaired).collect();
        let neighborhood = Neighborhood {
            scorer: fold.scorer,
            likeness: self.plan.likeness,
            links: fold.links,
            pairs,
            judged: fold.judged,
            seed: self.seed,
        };
        let mut described = nearby::describe(&neighborhood, &trials)?;
        let of_repaired = described.split_off(rows.len() + planted.len());
        let of_planted = described.split_off(rows.len());
        Ok(NearbyStatistics {
            given: described,
            planted: self.planted(&planted, &of_planted)?,
            repaired: repaired.into_iter().zip(of_repaired).collect(),
        })
    }

    /// Planted pairs ranked like re-pairings.
    fn planted(
        &self,
        planted: &[(u32, Planting)],
        features: &[Features],
    ) -> Result<Vec<PlantedStatistics>> {
        let (fold, [captions, images]) = (self.fold, self.galleries);
        let mut tile = Vec::new();
        let mut found = Vec::with_capacity(planted.len());
        for (planted, features) in planted
            .chunks(BLOCK_PAIRS)
            .zip(features.chunks(BLOCK_PAIRS))
        {
            let plantings: Vec<Planting> = planted.iter().map(|(_, planting)| *planting).collect();
            let block = Block::of_planted(fold.pairs, &plantings);
            let judged = BlockJudge {
                links: fold.links,
                block: &block,
                scores: own_scores(fold, &block)?,
                sharpness: self.sharpness,
                legibility: self.legibility,
            };
            let i2t = judged.sweep(fold.scorer, Direction::ImageToText, captions, &mut tile)?;
            let t2i = judged.sweep(fold.scorer, Direction::TextToImage, images, &mut tile)?;
            found.extend(planted.iter().zip(features).enumerate().map(
                |(at, ((place, planting), features))| {
                    let null = judged.null(at, &i2t, &t2i);
                    PlantedStatistics {
                        place: *place,
                        planting: *planting,
                        surprisal: null.surprisal,
                        log_rank: null.log_rank,
                        legibility: null.legibility,
                        features: *features,
                    }
                },
            ));
        }
        Ok(found)
    }
}

/// Fitted to some of the judged pairs.
fn sharpness(fold: &Fold<'_>, galleries: [Gallery; 2], seed: Seed) -> Result<f64> {
    let stream = &mut seed.stream("sharpness", &[]);
    let chosen = sample(stream, fold.judged.len(), SHARPNESS_PAIRS);
    let pairs: Vec<Pair> = (chosen.iter())
        .map(|&at| fold.pairs[fold.judged[at as usize] as usize])
        .collect();
    let [captions, images] = &galleries;
    temperature::fit(fold.scorer, &pairs, fold.links, [captions, images])
}

fn check(fold: &Fold<'_>) -> Result<()> {
    if let Some(cells) = fold.cells {
        assert_eq!(cells.len(), fold.pairs.len(), "one cell label per pair");
    }
    let n = fold.judged.len();
    if n < MIN_PAIRS {
        return Err(Error::argument(
            format!("{n} pairs to judge together, expected at least {MIN_PAIRS}"),
            "add pairs or use fewer folds",
        ));
    }
    for (what, direction) in [
        ("captions", Direction::ImageToText),
        ("images", Direction::TextToImage),
    ] {
        let (side, group) = candidates(fold, direction);
        let mut groups: Vec<u32> = side.iter().map(|&item| group[item as usize]).collect();
        groups.sort_unstable();
        groups.dedup();
        if groups.len() < MIN_GROUPS {
            return Err(Error::argument(
                format!(
                    "{} distinct {what} among {n} pairs, expected at least {MIN_GROUPS}",
                    groups.len()
                ),
                "a pair is judged by comparison with others that differ; check that the column or \
                 array with the data was read",
            ));
        }
    }
    Ok(())
}

/// The distinct captions or images of the fold, ascending, and the group of each by index.
fn candidates<'a>(fold: &Fold<'a>, direction: Direction) -> (Vec<u32>, &'a [u32]) {
    let pairs = fold.judged.iter().map(|&pair| fold.pairs[pair as usize]);
    let (mut items, group): (Vec<u32>, _) = match direction {
        Direction::ImageToText => (
            pairs.map(|pair| pair.caption).collect(),
            fold.links.caption_group(),
        ),
        Direction::TextToImage => (
            pairs.map(|pair| pair.image).collect(),
            fold.links.image_group(),
        ),
    };
    items.sort_unstable();
    items.dedup();
    (items, group)
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

/// Scores of the block's images against the block's captions, row-major.
fn own_scores(fold: &Fold<'_>, block: &Block) -> Result<Vec<f32>> {
    let mut scores = vec![0.0; block.images.len() * block.captions.len()];
    fold.scorer
        .tile(&block.images, &block.captions, &mut scores)?;
    match scores.iter().position(|score| !score.is_finite()) {
        Some(at) => {
            let (image, caption) = (at / block.captions.len(), at % block.captions.len());
            Err(not_finite(block.images[image], block.captions[caption]))
        }
        None => Ok(scores),
    }
}

/// How well the fold's images and captions are read: the items of either side, ascending, and a value
/// for each.
struct Legibility([(Vec<u32>, Vec<f64>); 2]);

impl Legibility {
    fn measure(fold: &Fold<'_>, seed: Seed) -> Result<Self> {
        let [images, captions] = legibility::crowd(fold.pairs, seed);
        let side = |of_items: Direction, queries: Direction, crowd: &[u32]| -> Result<_> {
            let (items, _) = candidates(fold, of_items);
            let values = legibility::measure(fold.scorer, queries, &items, crowd)?;
            Ok((items, values))
        };
        // The candidates of a caption are images.
        let (i2t, t2i) = (Direction::ImageToText, Direction::TextToImage);
        Ok(Self([side(t2i, i2t, &captions)?, side(i2t, t2i, &images)?]))
    }

    fn of(&self, image: u32, caption: u32) -> [f64; 2] {
        let value = |(items, values): &(Vec<u32>, Vec<f64>), item: u32| {
            values[items.binary_search(&item).expect("an item of the fold")]
        };
        [value(&self.0[0], image), value(&self.0[1], caption)]
    }
}

struct BlockJudge<'a> {
    links: &'a Links,
    block: &'a Block,
    scores: Vec<f32>,
    sharpness: f64,
    legibility: &'a Legibility,
}

/// Per trial its standing, and per query (image or caption of the block) its best null item.
struct BlockSweep {
    standings: Vec<Standing>,
    best: Vec<Option<(u32, f32)>>,
}

impl BlockJudge<'_> {
    fn score(&self, trial: &Trial) -> f32 {
        self.scores[trial.image as usize * self.block.captions.len() + trial.caption as usize]
    }

    /// Scores the block's images or captions against the gallery and counts.
    fn sweep(
        &self,
        scorer: &dyn Scorer,
        direction: Direction,
        gallery: &Gallery,
        tile: &mut Vec<f32>,
    ) -> Result<BlockSweep> {
        let queries = match direction {
            Direction::ImageToText => &self.block.images,
            Direction::TextToImage => &self.block.captions,
        };
        let width = gallery.items.len();
        tile.resize(queries.len() * width, 0.0);
        let trials = self.trials_by_query(direction, queries.len());
        let sweep = |query: usize, row: &mut [f32]| {
            self.sweep_query(direction, gallery, query, trials.row(query as u32), row)
        };
        let swept: Vec<RowSweep> = match direction {
            Direction::ImageToText => {
                scorer.tile(queries, &gallery.items, tile)?;
                let rows = tile.par_chunks_exact_mut(width).enumerate();
                rows.map(|(query, row)| sweep(query, row))
                    .collect::<Result<_>>()?
            }
            Direction::TextToImage => {
                scorer.tile(&gallery.items, queries, tile)?;
                let starts = (0..queries.len()).into_par_iter().step_by(TURNED_COLUMNS);
                let swept: Vec<Vec<RowSweep>> = starts
                    .map(|start| {
                        let end = (start + TURNED_COLUMNS).min(queries.len());
                        let mut rows = turn_columns(tile, queries.len(), start, end);
                        let rows = rows.chunks_exact_mut(width).zip(start..);
                        rows.map(|(row, query)| sweep(query, row)).collect()
                    })
                    .collect::<Result<_>>()?;
                swept.concat()
            }
        };
        let mut standings = vec![Standing::default(); self.block.trials.len()];
        for (query, row) in swept.iter().enumerate() {
            for (&trial, &standing) in trials.row(query as u32).iter().zip(&row.standings) {
                standings[trial as usize] = standing;
            }
        }
        Ok(BlockSweep {
            standings,
            best: swept.into_iter().map(|row| row.best).collect(),
        })
    }

    fn trials_by_query(&self, direction: Direction, n_queries: usize) -> CountedRows {
        let entries = self
            .block
            .trials
            .iter()
            .zip(0..)
            .filter_map(|(trial, index)| {
                let trial = trial.as_ref()?;
                Some(match direction {
                    Direction::ImageToText => (trial.image, index),
                    Direction::TextToImage => (trial.caption, index),
                })
            });
        CountedRows::new(n_queries, entries)
    }

    fn sweep_query(
        &self,
        direction: Direction,
        gallery: &Gallery,
        query: usize,
        trials: &[u32],
        row: &mut [f32],
    ) -> Result<RowSweep> {
        let (block, links) = (self.block, self.links);
        let excluded = match direction {
            Direction::ImageToText => links.captions_of(block.images[query]),
            Direction::TextToImage => links.images_of(block.captions[query]),
        };
        let thresholds = trials.iter().map(|&index| {
            let trial = block.trials[index as usize]
                .as_ref()
                .expect("only trials were listed");
            let own_group = match direction {
                Direction::ImageToText => {
                    links.caption_group()[block.captions[trial.caption as usize] as usize]
                }
                Direction::TextToImage => {
                    links.image_group()[block.images[trial.image as usize] as usize]
                }
            };
            Threshold {
                score: self.score(trial),
                also_excluded: (!trial.is_given).then_some(own_group),
            }
        });
        let thresholds: Vec<Threshold> = thresholds.collect();
        sweep_row(row, gallery, excluded, &thresholds, self.sharpness).map_err(|at| {
            let (image, caption) = match direction {
                Direction::ImageToText => (block.images[query], gallery.items[at]),
                Direction::TextToImage => (gallery.items[at], block.captions[query]),
            };
            not_finite(image, caption)
        })
    }

    fn legibility_of(&self, trial: &Trial) -> [f64; 2] {
        let image = self.block.images[trial.image as usize];
        self.legibility
            .of(image, self.block.captions[trial.caption as usize])
    }

    /// The statistic of a trial that was not given as a pair.
    fn null(&self, index: usize, i2t: &BlockSweep, t2i: &BlockSweep) -> NullStatistic {
        let (a, b) = (i2t.standings[index], t2i.standings[index]);
        match &self.block.trials[index] {
            Some(trial) => NullStatistic {
                partner: trial.partner,
                log_rank: log_rank(a, b),
                surprisal: surprisal(a, b),
                legibility: self.legibility_of(trial),
            },
            None => NullStatistic {
                partner: u32::MAX,
                log_rank: f64::NAN,
                surprisal: f64::NAN,
                legibility: [f64::NAN; 2],
            },
        }
    }

    fn statistics(
        &self,
        n_repairings: usize,
        i2t: &BlockSweep,
        t2i: &BlockSweep,
    ) -> Vec<(PairStatistics, Vec<NullStatistic>)> {
        let slots = 1 + n_repairings;
        let given = |n: usize, pair: u32| {
            let trial = self.block.trials[n * slots].expect("the given pair is always a trial");
            let score = self.score(&trial);
            let (a, b) = (i2t.standings[n * slots], t2i.standings[n * slots]);
            let better = |best: Option<(u32, f32)>| {
                best.filter(|&(_, best_score)| best_score > score)
                    .map(|(item, _)| item)
            };
            PairStatistics {
                pair,
                p_i2t: a.p(),
                p_t2i: b.p(),
                log_rank: log_rank(a, b),
                surprisal: surprisal(a, b),
                legibility: self.legibility_of(&trial),
                entropy: (a.entropy + b.entropy) / 2.0,
                variance: None,
                rank_i2t: 1 + a.n_above,
                rank_t2i: 1 + b.n_above,
                n_captions: a.n_compared,
                n_images: b.n_compared,
                better_caption: better(i2t.best[trial.image as usize]),
                better_image: better(t2i.best[trial.caption as usize]),
            }
        };
        let null = |index: usize| self.null(index, i2t, t2i);
        let rows = self.block.pairs.iter().enumerate().map(|(n, &pair)| {
            (
                given(n, pair),
                (n * slots + 1..(n + 1) * slots).map(null).collect(),
            )
        });
        rows.collect()
    }
}

/// Mean over both directions; NaN where one has nothing to compare with.
fn mean(a: Standing, b: Standing, of: fn(Standing) -> f64) -> f64 {
    if a.n_compared > 0 && b.n_compared > 0 {
        (of(a) + of(b)) / 2.0
    } else {
        f64::NAN
    }
}

fn surprisal(a: Standing, b: Standing) -> f64 {
    mean(a, b, |standing| standing.surprisal)
}

fn log_rank(a: Standing, b: Standing) -> f64 {
    mean(a, b, |standing| standing.p().ln())
}

/// Copies columns `start..end` of a row-major tile of `n_columns` into rows.
fn turn_columns(tile: &[f32], n_columns: usize, start: usize, end: usize) -> Vec<f32> {
    let height = tile.len() / n_columns;
    let mut rows = vec![0.0; (end - start) * height];
    for (y, line) in tile.chunks_exact(n_columns).enumerate() {
        for (x, &score) in line[start..end].iter().enumerate() {
            rows[x * height + y] = score;
        }
    }
    rows
}

fn not_finite(image: u32, caption: u32) -> Error {
    Error::argument(
        format!("the score of image {image} and caption {caption} is not a finite number"),
        "check both for NaN, infinity or an overflow in the model",
    )
}
