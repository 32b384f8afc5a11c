//! Where scores come from: frozen embeddings or cross-fitted matchers, which never saw the pairs
//! they judge, or a run, which did.

use anyhow::{Result, bail};
use truepair_core::audit::{
    Evidence, Findings, Fold, FoldStatistics, Links, Plan, conclude, conclude_from_beliefs,
    judge_fold,
};
use truepair_core::dataset::Dataset;
use truepair_core::linear::{ItemVectors, Pooling, SideVectors};
use truepair_core::rng::Seed;
use truepair_core::scores::{InnerProduct, Scorer};
use truepair_train::{AuditMatcher, CrossFitConfig, Session, cross_fit};

use super::{Believer, Request};
use crate::accelerator;
use crate::interrupt;
use crate::progress::{Bars, now};

/// Where the scores of an audit come from.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// The given embeddings as they are, compared by cosine.
    Frozen,
    /// Matchers trained on the other folds.
    CrossFitted,
    /// A finished run: its beliefs are the posteriors.
    Run(Believer),
}

impl Matcher {
    /// The matcher in words, for reports.
    pub(crate) fn describe(&self, config: &CrossFitConfig, dataset: &Dataset) -> String {
        match self {
            Matcher::Frozen => "cosine of the given embeddings, nothing trained".to_owned(),
            Matcher::CrossFitted => cross_fitted(config, dataset),
            Matcher::Run(believer) => believer.describe(),
        }
    }
}

fn cross_fitted(config: &CrossFitConfig, dataset: &Dataset) -> String {
    let strategy = (config.recipe.strategy.as_ref()).map_or("plain", |strategy| strategy.name());
    // The audit has run, so the choice was possible.
    let matcher = config.matcher(dataset).unwrap_or(AuditMatcher::Linear);
    let matcher = match matcher {
        AuditMatcher::Linear => "linear".to_owned(),
        AuditMatcher::Network => format!("network ({strategy})"),
        AuditMatcher::Both => format!("linear and network ({strategy})"),
    };
    let refit = if config.refit {
        ", fitted to what a first round keeps"
    } else {
        ""
    };
    format!(
        "matchers that never saw the pairs they judge: {matcher}, {} folds, cut {} times{refit}",
        config.folds, config.repeats
    )
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
    match &request.matcher {
        Matcher::Frozen => {
            let captions = dataset
                .caption_features
                .as_ref()
                .filter(|_| options.near_misses);
            let vectors = captions.map(|captions| {
                Ok::<_, truepair_core::Error>(ItemVectors {
                    images: SideVectors::new(&dataset.images, Pooling::Mean)?,
                    captions: SideVectors::new(&captions.features, Pooling::Mean)?,
                })
            });
            let vectors = vectors.transpose()?;
            let plan = vectors
                .as_ref()
                .map(|vectors| Plan::new(&dataset.pairs, links, None, vectors, seed));
            let plan = plan.transpose()?;
            let scorer = frozen(dataset)?;
            let statistics =
                judge_all(&scorer, dataset, links, plan.as_ref(), request, seed, bars)?;
            Ok(conclude(
                &dataset.pairs,
                links,
                &Evidence::of(&[statistics]),
                options,
                seed,
            )?)
        }
        Matcher::Run(believer) => {
            let trained = believer.trained(dataset)?;
            let scorer = trained.scorer(dataset, bars)?;
            let mut statistics =
                judge_all(scorer.as_ref(), dataset, links, None, request, seed, bars)?;
            if let Some(uncertainty) = trained.uncertainty(dataset, bars)? {
                let pairs = dataset.pairs.iter();
                let of_pairs: Vec<f64> = pairs.map(|pair| uncertainty.of_pair(*pair)).collect();
                statistics.set_variance(&of_pairs);
            }
            let (pairs, clean) = (&dataset.pairs, believer.clean());
            let folds = [statistics];
            Ok(conclude_from_beliefs(
                pairs, links, &folds, clean, options, seed,
            )?)
        }
        Matcher::CrossFitted => {
            let stop = interrupt::stop_flag();
            let mut session = Session::unkept(accelerator::chosen(), stop, bars, now);
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

/// Ranks all pairs by the same scores.
fn judge_all(
    scorer: &dyn Scorer,
    dataset: &Dataset,
    links: &Links,
    plan: Option<&Plan<'_>>,
    request: &Request,
    seed: Seed,
    bars: &mut Bars,
) -> Result<FoldStatistics> {
    let judged: Vec<u32> = (0..dataset.pairs.len() as u32).collect();
    let fold = Fold {
        scorer,
        pairs: &dataset.pairs,
        judged: &judged,
        links,
        cells: None,
        plan,
    };
    Ok(judge_fold(&fold, &request.config.audit, seed, bars)?)
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
