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
use truepair_train::{AuditMatcher, CrossFitConfig, cross_fit};

use super::{Believer, Request};
use crate::progress::Bars;
use crate::session;

/// What an audit can do where there is no cosine.
const JOIN: &str = "drop --frozen to fit a matcher that joins them";

/// Where the scores of an audit come from.
#[derive(Debug, Clone)]
pub(crate) enum Judge {
    /// The given embeddings as they are, compared by cosine.
    Frozen,
    /// Matchers trained on the other folds.
    CrossFitted,
    /// A finished run: its beliefs are the posteriors.
    Run(Believer),
}

impl Judge {
    /// The matcher in words, for reports.
    pub(crate) fn describe(&self, config: &CrossFitConfig, dataset: &Dataset) -> String {
        match self {
            Judge::Frozen => "cosine of the given embeddings, nothing trained".to_owned(),
            Judge::CrossFitted => cross_fitted(config, dataset),
            Judge::Run(believer) => believer.describe(),
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
        "matchers that never saw the pairs they judge: {matcher}, {} folds, cut {}{refit}",
        config.folds,
        match config.repeats {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        }
    )
}

/// Pairs to judge, and how.
pub(super) struct Case<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) links: &'a Links,
    pub(super) request: &'a Request,
    pub(super) seed: Seed,
}

impl Case<'_> {
    /// Ranks every pair as the request's judge does, and draws conclusions.
    pub(super) fn judge(&self, bars: &mut Bars) -> Result<Findings> {
        match &self.request.judge {
            Judge::Frozen => self.by_given_embeddings(bars),
            Judge::Run(believer) => self.by_run(believer, bars),
            Judge::CrossFitted => self.by_cross_fitting(bars),
        }
    }

    fn by_given_embeddings(&self, bars: &mut Bars) -> Result<Findings> {
        let (dataset, options) = (self.dataset, &self.request.config.audit);
        let captions = (dataset.caption_features.as_ref()).filter(|_| options.near_misses);
        let vectors = captions.map(|captions| {
            Ok::<_, truepair_core::Error>(ItemVectors {
                images: SideVectors::new(&dataset.images, Pooling::Mean)?,
                captions: SideVectors::new(&captions.features, Pooling::Mean)?,
            })
        });
        let vectors = vectors.transpose()?;
        let plan = vectors
            .as_ref()
            .map(|vectors| Plan::new(&dataset.pairs, self.links, None, vectors, self.seed));
        let plan = plan.transpose()?;
        let statistics = self.rank_all(&frozen(dataset, JOIN)?, plan.as_ref(), bars)?;
        Ok(conclude(
            &dataset.pairs,
            self.links,
            &Evidence::of(&[statistics]),
            options,
            self.seed,
        )?)
    }

    fn by_run(&self, believer: &Believer, bars: &mut Bars) -> Result<Findings> {
        let (dataset, options) = (self.dataset, &self.request.config.audit);
        let trained = believer.trained(dataset)?;
        let scorer = trained.scorer(dataset, bars)?;
        let mut statistics = self.rank_all(scorer.as_ref(), None, bars)?;
        if let Some(uncertainty) = trained.uncertainty(dataset, bars)? {
            let pairs = dataset.pairs.iter();
            let of_pairs: Vec<f64> = pairs.map(|pair| uncertainty.of_pair(*pair)).collect();
            statistics.set_variance(&of_pairs);
        }
        Ok(conclude_from_beliefs(
            &dataset.pairs,
            self.links,
            &[statistics],
            believer.clean(),
            options,
            self.seed,
        )?)
    }

    fn by_cross_fitting(&self, bars: &mut Bars) -> Result<Findings> {
        Ok(cross_fit(
            self.dataset,
            self.links,
            &self.request.config,
            self.seed,
            &mut session::training(bars),
        )?)
    }

    /// Ranks all pairs by the same scores.
    fn rank_all(
        &self,
        scorer: &dyn Scorer,
        plan: Option<&Plan<'_>>,
        bars: &mut Bars,
    ) -> Result<FoldStatistics> {
        let judged: Vec<u32> = (0..self.dataset.pairs.len() as u32).collect();
        let fold = Fold {
            scorer,
            pairs: &self.dataset.pairs,
            judged: &judged,
            links: self.links,
            cells: None,
            plan,
        };
        let options = &self.request.config.audit;
        Ok(judge_fold(&fold, options, self.seed, bars)?)
    }
}

/// Cosine of image and caption embeddings as given; `otherwise` is what else the user can do where it
/// cannot be computed.
///
/// # Errors
/// If there are no caption embeddings, or the two sides have different widths.
pub(crate) fn frozen(dataset: &Dataset, otherwise: &str) -> Result<InnerProduct> {
    let Some(named) = &dataset.caption_features else {
        bail!(
            "{}: cosine compares embeddings, and this data has caption texts only (lay the captions' \
             embeddings beside them, or {otherwise})",
            dataset.name
        )
    };
    let mut images = dataset.images.pooled()?;
    let mut captions = named.features.pooled()?;
    if images.dim() != captions.dim() {
        bail!(
            "{}: image embeddings have {} numbers and caption embeddings `{}` have {}, so they \
             share no space that cosine could compare them in (give embeddings of one space, or \
             {otherwise})",
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
