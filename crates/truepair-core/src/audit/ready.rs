//! Pairs judged as they come, by a reference that was gone through once.
//!
//! A pair's statistics are those of [`judge_fold`] among the items of reference; what they mean is said as for a list
//! of that one pair, see [`judge_new`](super::judge_new). How well an item is read is measured on the items of
//! reference as well, of which none is its partner; so the reference's own items are measured without theirs.

use super::legibility::Statistic;
use super::new_pairs::{Known, NewVerdict, Opinions, worst_of};
use super::rank_p::galleries;
use super::sweep::{Gallery, Threshold, sweep_row};
use super::{AuditOptions, Evidence, Fold, FoldStatistics, Links, crowd, judge_fold};
use crate::error::{Error, Result};
use crate::lists::distinct;
use crate::pair::Pair;
use crate::rng::Seed;
use crate::scores::Scorer;
use crate::watch::Watch;

/// A reference that judges one pair after the other.
#[derive(Debug)]
pub struct ReadyJudge {
    folds: Vec<ReadyFold>,
    links: Links,
    known: Known,
}

/// What the scores of a fold's matcher are held against.
#[derive(Debug)]
struct ReadyFold {
    /// Captions that an image's own one is compared with, and images likewise.
    galleries: [Gallery; 2],
    /// Captions that say how well an image is read, and images that say it of a caption.
    crowd: [Gallery; 2],
    sharpness: f64,
    /// Surprisals of re-pairings, ascending.
    null: Vec<f64>,
    /// Legibility of images and of captions below which a pair is read too badly.
    worst: [f64; 2],
}

/// The scores of one new pair by the matcher of one fold.
#[derive(Debug, Clone, Copy)]
pub struct PairScores<'a> {
    /// Of the pair.
    pub own: f32,
    /// `[n]` each: of the image with the captions of reference, of the caption with the images of reference.
    pub with: [&'a [f32]; 2],
}

impl ReadyJudge {
    /// Goes through the pairs of reference. Each fold has the scorer of its matcher and the rows that the matcher never
    /// saw.
    ///
    /// # Errors
    /// As [`judge_fold`] and [`conclude`](super::conclude).
    pub fn new(
        pairs: &[Pair],
        links: Links,
        folds: &[(&dyn Scorer, Vec<u32>)],
        options: &AuditOptions,
        seed: Seed,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let mut statistics = Vec::with_capacity(folds.len());
        let mut ready = Vec::with_capacity(folds.len());
        for (scorer, judged) in folds {
            let fold = Fold {
                scorer: *scorer,
                pairs,
                judged,
                links: &links,
                cells: None,
                plan: None,
            };
            let found = judge_fold(&fold, options, seed, watch)?;
            ready.push(ReadyFold::new(&fold, &found, options, seed)?);
            statistics.push(found);
        }
        let known = Known::of(pairs, &links, &Evidence::of(&statistics), options, seed)?;
        Ok(Self {
            folds: ready,
            links,
            known,
        })
    }

    /// Why nothing can be said of any pair.
    pub fn open(&self) -> Option<&str> {
        self.known.open.as_deref()
    }

    /// Judges a pair by its scores `[folds]`. `twins` are the pairs of reference with the same image, and those with
    /// the same caption, which it is not compared with.
    ///
    /// # Errors
    /// If a score is not finite.
    ///
    /// # Panics
    /// If there is not one of the scores for each fold, of the reference's length.
    pub fn judge(&self, scores: &[PairScores<'_>], twins: [&[u32]; 2]) -> Result<NewVerdict> {
        assert_eq!(scores.len(), self.folds.len(), "scores of every fold");
        let of_image = twins[0].iter().flat_map(|&row| self.links.captions_of(row));
        let of_caption = twins[1].iter().flat_map(|&row| self.links.images_of(row));
        let excluded = [distinct(of_image.copied()), distinct(of_caption.copied())];
        let mut opinions = Opinions::default();
        for (fold, scores) in self.folds.iter().zip(scores) {
            fold.say(scores, &excluded, &mut opinions)?;
        }
        Ok(self.known.verdict(opinions.mean()))
    }
}

impl ReadyFold {
    fn new(
        fold: &Fold<'_>,
        found: &FoldStatistics,
        options: &AuditOptions,
        seed: Seed,
    ) -> Result<Self> {
        let links = fold.links;
        let null = found.null.iter().filter(|null| !null.log_rank.is_nan());
        let mut null: Vec<f64> = null
            .map(|null| Statistic::Surprisal.of_null(null))
            .collect();
        null.sort_unstable_by(f64::total_cmp);
        let [images, captions] = crowd::draw(fold.pairs, options.crowd, seed);
        let crowd = [
            Gallery::new(captions, links.caption_group()),
            Gallery::new(images, links.image_group()),
        ];
        let mut read = [const { Vec::new() }; 2];
        for &judged in fold.judged {
            let Pair { image, caption } = fold.pairs[judged as usize];
            let own = [links.captions_of(image), links.images_of(caption)];
            for side in 0..2 {
                let mut row = vec![0.0; crowd[side].items.len()];
                match side {
                    0 => fold.scorer.tile(&[image], &crowd[0].items, &mut row)?,
                    _ => fold.scorer.tile(&crowd[1].items, &[caption], &mut row)?,
                }
                read[side].extend(legibility(row, &crowd[side], own[side]));
            }
        }
        Ok(Self {
            galleries: galleries(fold, options.null_size, seed),
            crowd,
            sharpness: found.sharpness,
            null,
            worst: read.map(worst_of),
        })
    }

    fn say(
        &self,
        scores: &PairScores<'_>,
        excluded: &[Vec<u32>; 2],
        opinions: &mut Opinions,
    ) -> Result<()> {
        if !scores.own.is_finite() {
            return Err(not_finite());
        }
        let (mut p, mut surprisal, mut is_badly_read) = ([1.0; 2], 0.0, false);
        let threshold = [Threshold {
            score: scores.own,
            also_excluded: None,
        }];
        for side in 0..2 {
            let of = |items: &[u32]| -> Vec<f32> {
                let items = items.iter();
                items
                    .map(|&item| scores.with[side][item as usize])
                    .collect()
            };
            let gallery = &self.galleries[side];
            let mut row = of(&gallery.items);
            let swept = sweep_row(
                &mut row,
                gallery,
                &excluded[side],
                &threshold,
                self.sharpness,
            )
            .map_err(|_| not_finite())?;
            let standing = swept.standings[0];
            if standing.n_compared == 0 {
                return Ok(());
            }
            p[side] = standing.p();
            surprisal += standing.surprisal / 2.0;
            let crowd = &self.crowd[side];
            let read = legibility(of(&crowd.items), crowd, &excluded[side]);
            is_badly_read |= read.is_some_and(|read| read < self.worst[side]);
        }
        let n_below = self.null.partition_point(|&null| null <= surprisal);
        let p_surprisal = (1 + n_below) as f64 / (1 + self.null.len()) as f64;
        opinions.add(p_surprisal, p, is_badly_read);
        Ok(())
    }
}

/// How well an item is read, from its scores with a crowd but for these groups; `None` without a crowd.
fn legibility(mut row: Vec<f32>, crowd: &Gallery, excluded: &[u32]) -> Option<f64> {
    crowd.exclude(excluded, &mut row);
    row.retain(|score| score.is_finite());
    (!row.is_empty()).then(|| crowd::of_row(&row))
}

fn not_finite() -> Error {
    Error::argument(
        "a score of a new pair is not a finite number",
        "check its image and its caption for NaN, infinity or an overflow in the model",
    )
}
