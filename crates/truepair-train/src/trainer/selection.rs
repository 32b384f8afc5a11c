//! Which epoch is kept, without ever looking at truth or a test split.
//!
//! On a clean dev split the criterion is a metric, rSum if nothing else is said. Without one, some training images are held out with
//! their pairs, and the criterion is the audit's own statistic on them: the mean of
//! `−(ln p_i2t + ln p_t2i) / 2` over rank p-values. A mismatched held-out pair adds the same
//! expected amount whatever the matcher, so noise in the held-out pairs does not mislead it.

use std::borrow::Cow;

use burn::tensor::Device;
use truepair_core::Error as CoreError;
use truepair_core::audit::{AuditOptions, Fold, Links, MIN_PAIRS, PairStatistics, judge_fold};
use truepair_core::dataset::Dataset;
use truepair_core::metric::{Metric, Protocol, Report, evaluate};
use truepair_core::relevance::Relevance;
use truepair_core::rng::{Seed, shuffle};
use truepair_core::scores::Scorer;
use truepair_core::watch::Watch;

use crate::config::{Config, Keep, TrainingConfig};
use crate::error::Result;
use crate::run::Criterion;
use truepair_model::encode;
use truepair_model::matcher::Matcher;
use truepair_model::reader::{Reader, Texts};

/// How epochs are compared.
pub(crate) enum Selection<'a> {
    /// By a metric on a dev split.
    Dev {
        /// The dev split, or its first images.
        split: Box<Cow<'a, Dataset>>,
        relevance: Relevance,
        metric: &'static dyn Metric,
    },
    /// By the audit's statistic on held-out pairs.
    HeldOut(HeldOut<'a>),
    /// Not at all: the last epoch is kept.
    Last,
}

/// Pairs that are not trained on.
pub(crate) struct HeldOut<'a> {
    split: &'a Dataset,
    /// Per pair, whether it is trained on.
    trained: Vec<bool>,
    judged: Vec<u32>,
    links: Links,
    seed: Seed,
}

/// What the selection says of one epoch.
pub(crate) struct Judged {
    pub(crate) criterion: Option<Criterion>,
    pub(crate) dev: Option<Report>,
}

impl<'a> Selection<'a> {
    pub(crate) fn new(
        train: &'a Dataset,
        dev: Option<&'a Dataset>,
        config: &Config,
        seed: Seed,
    ) -> Result<Self> {
        if let Some(split) = dev {
            let split = Box::new(first_images(split, config.training.dev_images));
            let relevance =
                Relevance::from_pairs(split.n_images(), split.n_captions(), &split.pairs);
            return Ok(Self::Dev {
                split,
                relevance,
                metric: config.training.select_metric()?,
            });
        }
        match config.training.keep {
            Keep::Last => Ok(Self::Last),
            Keep::Best => Ok(Self::HeldOut(HeldOut::new(train, &config.training, seed)?)),
        }
    }

    /// The pairs that training may use.
    pub(crate) fn training_split(&self, train: &'a Dataset) -> Cow<'a, Dataset> {
        match self {
            Self::HeldOut(held) => Cow::Owned(train.with_pairs_kept(&held.trained)),
            _ => Cow::Borrowed(train),
        }
    }

    /// Per given pair, whether it is trained on; `None` when all are.
    pub(crate) fn trained(&self) -> Option<&[bool]> {
        match self {
            Self::HeldOut(held) => Some(&held.trained),
            _ => None,
        }
    }

    /// Judges the peers' ensemble.
    pub(crate) fn judge(&self, ensemble: &Ensemble<'_>, watch: &mut dyn Watch) -> Result<Judged> {
        match self {
            Self::Last => Ok(Judged {
                criterion: None,
                dev: None,
            }),
            Self::Dev {
                split,
                relevance,
                metric,
            } => {
                let scorer = ensemble.scorer(split, watch)?;
                let protocol = Protocol {
                    ensemble: ensemble.peers.len() as u32,
                    ..Protocol::new(&split.name, &split.split, relevance)
                };
                let report = evaluate(&*scorer, relevance, protocol, watch)?;
                let of = match &**split {
                    Cow::Borrowed(_) => String::new(),
                    Cow::Owned(first) => format!(" of the first {} images", first.n_images()),
                };
                let criterion = report.overall(*metric).map(|value| Criterion {
                    name: format!("{} {}{of}", split.split, metric.name()),
                    metric: Some(metric.name().to_owned()),
                    value,
                    higher_is_better: metric.higher_is_better(),
                });
                Ok(Judged {
                    criterion,
                    dev: Some(report),
                })
            }
            Self::HeldOut(held) => Ok(Judged {
                criterion: Some(held.criterion(ensemble, watch)?),
                dev: None,
            }),
        }
    }
}

/// The first `at_most` images of a split with their captions; 0 is all of them.
fn first_images(split: &Dataset, at_most: usize) -> Cow<'_, Dataset> {
    let n = split.n_images();
    if at_most == 0 || at_most >= n {
        return Cow::Borrowed(split);
    }
    let keep: Vec<bool> = (0..n).map(|image| image < at_most).collect();
    Cow::Owned(split.clone().with_images_kept(&keep).0)
}

/// Networks whose scores are averaged, and how they read data.
pub(crate) struct Ensemble<'a> {
    pub(crate) peers: &'a [Matcher],
    pub(crate) texts: Option<&'a Texts>,
    pub(crate) device: &'a Device,
    pub(crate) limits: &'a TrainingConfig,
}

impl Ensemble<'_> {
    fn scorer(&self, split: &Dataset, watch: &mut dyn Watch) -> Result<Box<dyn Scorer>> {
        let reader = Reader::new(split, self.texts, self.limits.max_tokens, self.device)?;
        let tile_mib = self.limits.tile_mib;
        Ok(encode::scorer(self.peers, &reader, tile_mib, watch)?)
    }
}

impl<'a> HeldOut<'a> {
    /// The audit's statistic on the pairs that were not trained on.
    fn criterion(&self, ensemble: &Ensemble<'_>, watch: &mut dyn Watch) -> Result<Criterion> {
        let scorer = ensemble.scorer(self.split, watch)?;
        let fold = Fold {
            scorer: &*scorer,
            pairs: &self.split.pairs,
            judged: &self.judged,
            links: &self.links,
            cells: None,
            plan: None,
        };
        let options = AuditOptions {
            n_repairings: 1,
            crowd: 0,
            null_size: TrainingConfig::HELD_OUT_AGAINST,
            ..AuditOptions::default()
        };
        let statistics = judge_fold(&fold, &options, self.seed, watch)?;
        let n = statistics.pairs.len() as f64;
        let log_p = |pair: &PairStatistics| (pair.p_i2t.ln() + pair.p_t2i.ln()) / 2.0;
        Ok(Criterion {
            name: "held-out mean of -(ln p_i2t + ln p_t2i) / 2".to_owned(),
            metric: None,
            value: -statistics.pairs.iter().map(log_p).sum::<f64>() / n,
            higher_is_better: true,
        })
    }

    fn new(split: &'a Dataset, config: &TrainingConfig, seed: Seed) -> Result<Self> {
        let mut images: Vec<u32> = (0..split.n_images() as u32).collect();
        shuffle(&mut seed.stream("held-out", &[]), &mut images);
        let n_held = config.n_held_out(images.len());
        let mut held_image = vec![false; images.len()];
        images
            .iter()
            .take(n_held)
            .for_each(|&image| held_image[image as usize] = true);
        // A caption that a held-out image shares with a training image would leak; such pairs are
        // left out of training too.
        let mut held_caption = vec![false; split.n_captions()];
        for pair in split
            .pairs
            .iter()
            .filter(|pair| held_image[pair.image as usize])
        {
            held_caption[pair.caption as usize] = true;
        }
        let trained: Vec<bool> = (split.pairs.iter())
            .map(|pair| !held_image[pair.image as usize] && !held_caption[pair.caption as usize])
            .collect();
        let judged: Vec<u32> = (0..split.pairs.len() as u32)
            .filter(|&pair| held_image[split.pairs[pair as usize].image as usize])
            .collect();
        if judged.len() < MIN_PAIRS {
            return Err(CoreError::argument(
                format!(
                    "there is no dev split to choose the epoch on, and the {} pairs that training.held_out = {} \
                     sets aside for it are too few, expected at least {MIN_PAIRS}",
                    judged.len(),
                    config.held_out
                ),
                "add a dev split, raise training.held_out, or keep the last epoch with training.keep = \"last\"",
            )
            .into());
        }
        let links = Links::without_duplicates(&split.pairs, split.n_images(), split.n_captions())?;
        Ok(Self {
            split,
            trained,
            judged,
            links,
            seed: seed.child("held-out", 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::dataset::Features;
    use truepair_core::pair::Pair;

    /// Five images with two captions each, which stand apart.
    fn dev() -> Dataset {
        Dataset {
            name: "toy".into(),
            format: "memory",
            split: "dev".into(),
            images: Features::from_rows((0..5).map(|n| n as f32).collect(), 1),
            image_ids: (0..5).map(|n| n.to_string()).collect(),
            image_files: Vec::new(),
            captions: Some((0..10).map(|n| format!("caption {n}")).collect()),
            caption_features: None,
            pairs: (0..10)
                .map(|n| Pair {
                    image: n % 5,
                    caption: n,
                })
                .collect(),
            labels: None,
            files: Vec::new(),
            account: Default::default(),
        }
    }

    #[test]
    fn the_first_images_come_with_their_captions() {
        let dev = dev();
        for all in [0, 5, 6] {
            assert!(matches!(first_images(&dev, all), Cow::Borrowed(_)));
        }
        let first = first_images(&dev, 2);
        assert_eq!(first.image_ids, ["0", "1"]);
        let texts = first.require_captions().unwrap();
        assert_eq!(texts, ["caption 0", "caption 1", "caption 5", "caption 6"]);
        let images: Vec<u32> = first.pairs.iter().map(|pair| pair.image).collect();
        assert_eq!(images, [0, 1, 0, 1]);
    }
}
