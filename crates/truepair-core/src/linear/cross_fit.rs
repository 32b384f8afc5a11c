//! The closed form as the matcher of a cross-fitted audit.

use rayon::prelude::*;

use super::canonical::Rotated;
use super::choice::{HeldOut, Model, choose, models, parts};
use super::moments::{Moments, Shift, Weighted};
use super::{Chosen, LinearConfig, LinearMatcher, Pooling, SideVectors, VectorsConfig};
use crate::audit::{self, Cut, Learner};
use crate::dataset::{Dataset, Features};
use crate::error::{Error, Result};
use crate::rng::Seed;
use crate::scores::{Matrix, Scorer};
use crate::text::{LatentSemantics, unfamiliar_captions};
use crate::watch::Watch;

/// Trains [`LinearMatcher`]s on the folds of a data set. One pass over the pairs serves all folds of
/// a cut, and settings are chosen inside every fold's training pairs.
#[derive(Debug)]
pub struct LinearLearner<'a> {
    dataset: &'a Dataset,
    /// Vectors made of the captions' texts, where the data has none.
    made: Option<Features>,
    /// What made them.
    text: Option<LatentSemantics>,
    /// Whether each caption shares no word with captions of other images, where texts are read.
    unread: Vec<bool>,
    pooling: Pooling,
    config: LinearConfig,
}

impl<'a> LinearLearner<'a> {
    /// Reads caption embeddings, or makes vectors of the captions' texts. The latter looks at all
    /// texts, but not at which image they belong to.
    ///
    /// # Errors
    /// If a setting is out of range, images are pictures, vectors are too wide, or there are neither
    /// texts nor embeddings.
    pub fn new(
        dataset: &'a Dataset,
        config: &LinearConfig,
        vectors: &VectorsConfig,
        seed: Seed,
    ) -> Result<Self> {
        config.check()?;
        if dataset.images.are_pictures() {
            return Err(Error::argument(
                "a linear matcher reads features, and the images are pictures",
                "embed them first (`truepair embed`), or train networks (`--matcher network`)",
            ));
        }
        let (made, text, unread) = match &dataset.caption_features {
            Some(_) => (None, None, Vec::new()),
            None => {
                let captions = dataset.require_captions()?;
                let text = LatentSemantics::fit(captions, &vectors.text, seed)?;
                let unread = unfamiliar_captions(captions, &dataset.pairs);
                (Some(text.features(captions)), Some(text), unread)
            }
        };
        let learner = Self {
            dataset,
            made,
            text,
            unread,
            pooling: vectors.pooling,
            config: config.clone(),
        };
        learner.sides()?;
        Ok(learner)
    }

    /// One matcher per fold, each fitted to the other folds.
    pub(super) fn fitted(
        &self,
        cut: &Cut<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Vec<LinearMatcher>> {
        let sides = self.sides()?;
        let data = Weighted {
            images: sides[0],
            captions: sides[1],
            pairs: &self.dataset.pairs,
            weights: cut.weights,
        };
        let cutting = Cutting::new(&data, cut);
        let shift = data.shift()?;
        let moments = data.moments(&shift, &cutting.part_of_pair, cutting.n_parts(), watch)?;
        let chosen = cutting.choose(&data, &shift, &moments, &self.config, cut.seed)?;
        let folds: Vec<usize> = (0..cut.n_folds).collect();
        let fitted = folds.into_par_iter().zip(chosen).map(|(fold, chosen)| {
            let others = cutting.others(fold).map(|part| &moments[part]);
            let others = Moments::sum(others, &shift);
            LinearMatcher::solve(&others, &shift, chosen)
        });
        fitted.collect()
    }

    /// How regions become one vector.
    pub(super) fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// What makes vectors of the captions' texts, where the data has none.
    pub(super) fn text(&self) -> Option<&LatentSemantics> {
        self.text.as_ref()
    }

    /// Images and captions as vectors.
    pub(super) fn sides(&self) -> Result<[SideVectors<'_>; 2]> {
        let given = self.dataset.caption_features.as_ref();
        let captions = (self.made.as_ref()).or(given.map(|named| &named.features));
        let captions = captions.expect("captions without embeddings were made into vectors");
        Ok([
            SideVectors::new(&self.dataset.images, self.pooling)?,
            SideVectors::new(captions, self.pooling)?,
        ])
    }
}

impl audit::Likeness for LinearLearner<'_> {
    fn images(&self, rows: &[u32]) -> Result<Matrix> {
        self.sides()?[0].gather(rows)
    }

    fn captions(&self, rows: &[u32]) -> Result<Matrix> {
        self.sides()?[1].gather(rows)
    }
}

impl<E: From<Error>> Learner<E> for LinearLearner<'_> {
    fn unread_captions(&self) -> &[bool] {
        &self.unread
    }

    fn likeness(&self) -> Option<&dyn audit::Likeness> {
        Some(self)
    }

    fn learn(
        &self,
        cut: &Cut<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Vec<Box<dyn audit::HeldOut<E> + '_>>, E> {
        let sides = self.sides()?;
        let fitted = self.fitted(cut, watch)?.into_iter();
        Ok(fitted
            .map(|matcher| Box::new(Fitted { matcher, sides }) as Box<dyn audit::HeldOut<E> + '_>)
            .collect())
    }
}

/// The parts of a cut whose moments are gathered.
struct Cutting {
    part_of_pair: Vec<u32>,
    n_folds: usize,
    /// Parts per fold: two where there are only two folds, because the other fold must be cut to choose
    /// settings in it.
    per_fold: usize,
}

impl Cutting {
    fn new(data: &Weighted<'_>, cut: &Cut<'_>) -> Self {
        let per_fold = if cut.n_folds == 2 { 2 } else { 1 };
        let half = parts(data.pairs, data.images.len(), per_fold, cut.seed);
        let part = |(fold, half): (&u32, u32)| fold * per_fold as u32 + half;
        Self {
            part_of_pair: cut.fold_of_pair.iter().zip(half).map(part).collect(),
            n_folds: cut.n_folds,
            per_fold,
        }
    }

    fn n_parts(&self) -> usize {
        self.n_folds * self.per_fold
    }

    /// For each fold the settings under which pairs of the other folds rank best, by maps fitted to the
    /// remaining folds.
    fn choose(
        &self,
        data: &Weighted<'_>,
        shift: &Shift,
        moments: &[Moments],
        config: &LinearConfig,
        seed: Seed,
    ) -> Result<Vec<Chosen>> {
        if !config.is_open() {
            return Ok(vec![config.grid()[0]; self.n_folds]);
        }
        let held_out = HeldOut::of_parts(data, &self.part_of_pair, self.n_parts(), seed)?;
        let mut models = Vec::new();
        if self.n_folds == 2 {
            for fold in 0..2 {
                let others: Vec<usize> = self.others(fold).collect();
                models.extend(self::models(moments, shift, &held_out, &others, fold)?);
            }
        } else {
            // Maps fitted without two folds rank each of the two, for the matcher of the other one.
            let two = (0..self.n_folds).flat_map(|a| (0..a).map(move |b| (a, b)));
            let two: Vec<(usize, usize)> = two.collect();
            let fitted = two.into_par_iter().map(|(a, b)| {
                let others = (0..self.n_folds).filter(|&fold| fold != a && fold != b);
                let others = Moments::sum(others.map(|fold| &moments[fold]), shift);
                if others.weight <= 0.0 {
                    return Ok(None);
                }
                Ok(Some(Model {
                    rotated: Rotated::new(&others, shift)?,
                    held_out: vec![(b, &held_out[a]), (a, &held_out[b])],
                }))
            });
            models.extend(fitted.collect::<Result<Vec<_>>>()?.into_iter().flatten());
        }
        choose(&models, self.n_folds, config)
    }

    /// The parts of all folds but one.
    fn others(&self, fold: usize) -> impl Iterator<Item = usize> {
        let per_fold = self.per_fold;
        (0..self.n_parts()).filter(move |part| part / per_fold != fold)
    }
}

/// A linear matcher with the data that it scores.
struct Fitted<'a> {
    matcher: LinearMatcher,
    sides: [SideVectors<'a>; 2],
}

impl<E: From<Error>> audit::HeldOut<E> for Fitted<'_> {
    fn scorer(&self, images: &[u32], captions: &[u32]) -> Result<Box<dyn Scorer + '_>, E> {
        Ok(Box::new(self.matcher.scorer(self.sides, images, captions)?))
    }
}
