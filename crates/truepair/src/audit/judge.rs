//! Scores that never saw the pairs they judge: frozen embeddings, or cross-fitted matchers.

use anyhow::{Result, bail};
use truepair_core::audit::{Fold, FoldStatistics, Links, judge_fold};
use truepair_core::dataset::Dataset;
use truepair_core::rng::Seed;
use truepair_core::scores::{InnerProduct, Scorer};

use super::Request;
use crate::progress::Bars;

/// Where the scores of an audit come from.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// The given embeddings as they are, compared by cosine.
    Frozen,
}

impl Matcher {
    /// The matcher in words, for reports.
    pub(crate) fn describe(&self) -> String {
        match self {
            Matcher::Frozen => "cosine of the given embeddings, nothing trained".to_owned(),
        }
    }
}

/// Ranks every pair by scores that were not trained on it.
pub(crate) fn judge(
    dataset: &Dataset,
    links: &Links,
    request: &Request,
    seed: Seed,
    bars: &mut Bars,
) -> Result<Vec<FoldStatistics>> {
    match request.matcher {
        Matcher::Frozen => {
            let scorer = frozen(dataset)?;
            let judged: Vec<u32> = (0..dataset.pairs.len() as u32).collect();
            let fold =
                Fold { scorer: &scorer, pairs: &dataset.pairs, judged: &judged, links, cells: None };
            Ok(vec![judge_fold(&fold, &request.options, seed, bars)?])
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
