//! Scores that never saw the pairs they judge: frozen embeddings, or cross-fitted matchers.

use anyhow::{Result, bail};
use truepair_core::audit::{Findings, Fold, Links, conclude, judge_fold};
use truepair_core::dataset::Dataset;
use truepair_core::rng::Seed;
use truepair_core::scores::{InnerProduct, Scorer};
use truepair_train::{CrossFitConfig, Session, cross_fit};

use super::Request;
use crate::accelerator;
use crate::interrupt;
use crate::progress::{Bars, now};

/// Where the scores of an audit come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matcher {
    /// The given embeddings as they are, compared by cosine.
    Frozen,
    /// Matchers trained on the other folds.
    CrossFitted,
}

impl Matcher {
    /// The matcher in words, for reports.
    pub(crate) fn describe(self, config: &CrossFitConfig) -> String {
        let strategy = config
            .recipe
            .strategy
            .as_ref()
            .map_or("plain", |strategy| strategy.name());
        match self {
            Matcher::Frozen => "cosine of the given embeddings, nothing trained".to_owned(),
            Matcher::CrossFitted => {
                let refit = if config.refit {
                    ", refitted on what they keep"
                } else {
                    ""
                };
                format!(
                    "matchers that never saw the pairs they judge: {strategy}, {} folds, {} repeats{refit}",
                    config.folds, config.repeats
                )
            }
        }
    }
}

/// Ranks every pair by scores that were not trained on it, and draws conclusions.
pub(crate) fn judge(
    dataset: &Dataset,
    links: &Links,
    request: &Request,
    seed: Seed,
    bars: &mut Bars,
) -> Result<Findings> {
    let options = &request.config.audit;
    match request.matcher {
        Matcher::Frozen => {
            let scorer = frozen(dataset)?;
            let judged: Vec<u32> = (0..dataset.pairs.len() as u32).collect();
            let pairs = &dataset.pairs;
            let fold = Fold {
                scorer: &scorer,
                pairs,
                judged: &judged,
                links,
                cells: None,
            };
            let statistics = judge_fold(&fold, options, seed, bars)?;
            Ok(conclude(pairs, links, &[statistics], options, seed)?)
        }
        Matcher::CrossFitted => {
            let stop = interrupt::stop_flag();
            let mut session = Session {
                dir: None,
                resume: false,
                matched: None,
                accelerator: accelerator::chosen(),
                stop,
                watch: bars,
                now,
            };
            Ok(cross_fit(
                dataset,
                links,
                &request.config,
                seed,
                &mut session,
            )?)
        }
    }
}

/// Cosine of image and caption embeddings as given.
///
/// # Errors
/// If there are no caption embeddings, or the two sides have different widths.
pub(crate) fn frozen(dataset: &Dataset) -> Result<InnerProduct> {
    let Some(named) = &dataset.caption_features else {
        bail!(
            "{}: --frozen compares embeddings, and this data has caption texts only (drop --frozen \
             to train a matcher, or lay the captions' embeddings beside them)",
            dataset.name
        )
    };
    let mut images = dataset.images.pooled()?;
    let mut captions = named.features.pooled()?;
    if images.dim() != captions.dim() {
        bail!(
            "{}: image embeddings have {} numbers and caption embeddings `{}` have {}, so they \
             share no space (drop --frozen to train a matcher that joins them)",
            dataset.name,
            images.dim(),
            named.name,
            captions.dim()
        )
    }
    images.normalize();
    captions.normalize();
    let scorer = InnerProduct::new(images, captions)?;
    debug_assert_eq!(scorer.n_captions(), dataset.n_captions());
    Ok(scorer)
}
