//! Settings of the training loop.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use truepair_core::Error as CoreError;
use truepair_core::dataset::{Augmentation, Dataset};
use truepair_core::metric::{METRICS, Metric, RSum};

use crate::error::Result;
use truepair_model::kernel::Precision;

/// Settings of the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Epochs after the strategy's warm-up.
    pub epochs: usize,
    /// Pairs in a batch, at least 2.
    pub batch: usize,
    /// Which pairs stand in a batch together.
    pub sampling: Sampling,
    /// Number format of the factors of matrix products; sums, losses and weights are `f32`.
    pub precision: Precision,
    /// Gradients are scaled down to this global norm; 0 turns clipping off.
    pub clip_norm: f64,
    /// How the losses of a batch's pairs become one number.
    pub reduction: Reduction,
    /// Longest caption in tokens, markers included; longer ones are cut, and counted in a warning.
    pub max_tokens: usize,
    /// Memory for one tile of scores while evaluating, in MiB; for similarities that compare
    /// vectors pair by pair.
    pub tile_mib: usize,
    /// Which epoch's weights a run keeps.
    pub keep: Keep,
    /// The metric by which epochs are compared on the dev split; of a metric with a number for each
    /// direction, the mean of both.
    pub select: String,
    /// Epochs are compared on at most that many images of the dev split, the first with their captions; 0 is
    /// all of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub dev_images: usize,
    /// Share of the training images held out to choose the epoch when there is no dev split, (0, 1); at most 1,000
    /// images, as many as publications choose theirs on.
    pub held_out: f64,
    /// Share of every training caption's words that are made unknown at random in each step, and as
    /// large a share removed, [0, 1).
    #[serde(skip_serializing_if = "is_off")]
    pub caption_drop: f64,
    /// How training varies pictures that are read as pixels; left out, the defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
    /// Word vectors in GloVe's text format, the first weights of the captions' word embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word_vectors: Option<PathBuf>,
}

/// Which pairs stand in a batch together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// `batch` pairs at random, every pair once an epoch.
    #[default]
    Shuffled,
    /// One pair of every class of the data, `batch` is not read: an anchor, which follows a shuffled
    /// list of all pairs, and of every other class one pair drawn anew. An epoch has as many steps as
    /// there are pairs divided by classes, and two.
    OnePerClass,
}

impl Sampling {
    /// Steps of an epoch over that many pairs in batches of about `size`, which is the number of classes where they
    /// decide.
    pub(crate) fn steps(self, n_pairs: usize, size: usize) -> usize {
        let size = size.max(1);
        match self {
            Self::Shuffled => ((n_pairs + size / 2) / size).max(1),
            Self::OnePerClass => (n_pairs / size + 2).min(n_pairs).max(1),
        }
    }
}

/// How the losses of a batch's pairs become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Divided by the number of pairs.
    Mean,
    /// Summed, as in the NCR lineage; `clip_norm` then binds almost always.
    Sum,
}

/// Which epoch's weights a run keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The best on the dev split, or on held-out pairs when there is none.
    Best,
    /// The last.
    Last,
}

/// Training images that are held out to choose the epoch, at most.
const MOST_HELD_OUT: usize = 1_000;

impl TrainingConfig {
    /// Images and captions of training, each at most, that a held-out pair is ranked against to choose the epoch.
    pub const HELD_OUT_AGAINST: usize = 1_000;

    /// How many of `n_images` training images are held out to choose the epoch where there is no dev split.
    #[must_use]
    pub fn n_held_out(&self, n_images: usize) -> usize {
        let share = (self.held_out * n_images as f64).ceil() as usize;
        share.min(MOST_HELD_OUT)
    }

    /// Steps of an epoch of one network that trains on all pairs of `data`.
    pub fn steps(&self, data: &Dataset) -> usize {
        let size = match (self.sampling, data.labels.as_deref()) {
            (Sampling::OnePerClass, Some(labels)) => {
                let classes = data.pairs.iter().map(|pair| labels[pair.image as usize]);
                classes.collect::<BTreeSet<i64>>().len()
            }
            _ => self.batch,
        };
        self.sampling.steps(data.pairs.len(), size)
    }

    /// # Errors
    /// If a setting is out of range.
    pub(super) fn check(&self) -> Result<()> {
        self.select_metric()?;
        check_ranges(&[
            (
                "training.epochs",
                self.epochs as f64,
                self.epochs > 0,
                "at least 1",
            ),
            (
                "training.batch",
                self.batch as f64,
                self.batch > 1,
                "at least 2",
            ),
            (
                "training.clip_norm",
                self.clip_norm,
                self.clip_norm >= 0.0,
                "at least 0 (0 turns clipping off)",
            ),
            (
                "training.max_tokens",
                self.max_tokens as f64,
                self.max_tokens > 2,
                "at least 3: two markers and a word",
            ),
            (
                "training.tile_mib",
                self.tile_mib as f64,
                self.tile_mib > 0,
                "at least 1",
            ),
            (
                "training.held_out",
                self.held_out,
                self.held_out > 0.0 && self.held_out < 1.0,
                "in (0, 1)",
            ),
            (
                "training.dev_images",
                self.dev_images as f64,
                self.dev_images != 1,
                "0, which is all, or at least 2: an image alone has no rank",
            ),
            (
                "training.caption_drop",
                self.caption_drop,
                (0.0..1.0).contains(&self.caption_drop),
                "in [0, 1); 0.1 is published",
            ),
        ])?;
        if let Some(augmentation) = &self.augmentation {
            augmentation.check()?;
        }
        Ok(())
    }

    /// The metric that `select` names.
    ///
    /// # Errors
    /// If there is no such metric for pairs; the message lists those that there are.
    pub fn select_metric(&self) -> Result<&'static dyn Metric> {
        let for_pairs = || METRICS.iter().copied().filter(|metric| metric.applies(1));
        for_pairs()
            .find(|metric| metric.name() == self.select)
            .ok_or_else(|| {
                let names: Vec<&str> = for_pairs().map(Metric::name).collect();
                CoreError::argument(
                    format!(
                        "[training] select = {:?} is not a metric of pairs",
                        self.select
                    ),
                    format!("choose one of {}", names.join(", ")),
                )
                .into()
            })
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

fn is_off(share: &f64) -> bool {
    *share == 0.0
}

/// A setting's name, its value, whether that is in range, and the range.
pub(super) type RangeRule = (&'static str, f64, bool, &'static str);

/// # Errors
/// Names the first setting that is out of range.
pub(super) fn check_ranges(rules: &[RangeRule]) -> Result<()> {
    match rules.iter().find(|(_, _, holds, _)| !holds) {
        None => Ok(()),
        Some((name, value, _, range)) => Err(CoreError::argument(
            format!("{name} = {value} is out of range"),
            format!("it must be {range}"),
        )
        .into()),
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 128,
            sampling: Sampling::Shuffled,
            precision: Precision::F32,
            clip_norm: 2.0,
            reduction: Reduction::Mean,
            max_tokens: 128,
            tile_mib: 256,
            keep: Keep::Best,
            select: RSum.name().to_owned(),
            dev_images: 0,
            held_out: 0.1,
            caption_drop: 0.0,
            augmentation: None,
            word_vectors: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_held_out_and_of_many_images_a_thousand() {
        let config = TrainingConfig {
            held_out: 0.1,
            ..TrainingConfig::default()
        };
        let held = [25, 1_200, 29_000].map(|n_images| config.n_held_out(n_images));
        assert_eq!(held, [3, 120, 1_000]);
    }
}
