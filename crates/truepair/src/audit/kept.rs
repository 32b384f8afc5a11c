//! What an audit keeps so that pairs which come later can be judged by it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use truepair_core::audit::NewFindings;
use truepair_core::dataset::{Dataset, Features};
use truepair_core::durable;
use truepair_core::linear::{KeptJudge, LinearLearner, NewItems, ReadyMatchers};
use truepair_core::pair::Pair;
use truepair_train::AuditMatcher;

use super::{Audited, Judge, Request};
use crate::embedder::{Embedder, EmbedderSource};
use crate::progress::Bars;
use crate::run_folder;
use crate::search::DataSource;

/// Where the audited data lies and how it is read.
const SOURCE: &str = "judge.json";

/// What an audit kept.
pub(crate) struct KeptAudit {
    pub(crate) source: DataSource,
    judge: KeptJudge,
    folder: PathBuf,
}

/// New pairs with their scores and what is said of them.
pub(crate) struct LaterPairs {
    pub(crate) found: NewFindings,
    pub(crate) scores: Vec<f32>,
}

/// Writes the judge beside the other files of an audit, where it is a closed form or none is trained.
///
/// # Errors
/// If it cannot be fitted or written.
pub(super) fn keep(folder: &Path, audited: &Audited, request: &Request) -> Result<()> {
    let (Some(source), dataset) = (&request.kept, &audited.dataset) else {
        return Ok(());
    };
    let config = &request.config;
    let judge = match &request.judge {
        Judge::Run(_) => return Ok(()),
        Judge::Frozen => KeptJudge::frozen(dataset, request.seed)?,
        Judge::CrossFitted => {
            if config.matcher(dataset)? != AuditMatcher::Linear {
                return Ok(());
            }
            let learner =
                LinearLearner::new(dataset, &config.linear, &config.vectors, request.seed)?;
            let fitted_to = (&audited.findings, config.folds);
            KeptJudge::fit(&learner, dataset, fitted_to, request.seed, &mut ())?
        }
    };
    judge.write(folder)?;
    let text = serde_json::to_string_pretty(source)? + "\n";
    Ok(durable::write(folder.join(SOURCE), text.as_bytes())?)
}

impl KeptAudit {
    /// # Errors
    /// If the folder is no audit that kept its judge.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let place = folder.display();
        if !KeptJudge::is_in(folder) {
            bail!(
                "{place}: keeps no judge: only audits by `--matcher linear` or `--frozen` do, written with --out \
                 (audit again)"
            )
        }
        Ok(Self {
            source: run_folder::load(&folder.join(SOURCE), "audit again")?,
            judge: KeptJudge::read(folder)?,
            folder: folder.to_path_buf(),
        })
    }

    /// The judge, once it has gone through its pairs of reference.
    ///
    /// # Errors
    /// If the reference cannot be judged.
    pub(crate) fn ready(self) -> Result<ReadyMatchers> {
        let place = self.folder.display();
        ReadyMatchers::new(self.judge, &mut ())
            .with_context(|| format!("{place}: cannot judge single pairs"))
    }

    /// What turns new texts into what the audit read: words by its own analysis, or a text encoder.
    ///
    /// # Errors
    /// If nothing here reads texts.
    pub(crate) fn texts(&self, texts: &[String]) -> Result<Features> {
        if let Some(vectors) = self.judge.caption_vectors(texts) {
            return Ok(vectors);
        }
        let embedder = Embedder::open(&EmbedderSource {
            encoders: self.source.encoders.clone(),
            ..EmbedderSource::default()
        })?;
        let place = self.folder.display();
        embedder
            .text_features(texts)
            .with_context(|| format!("{place}: was given caption embeddings"))
    }

    /// Judges pairs of the data from `first` on.
    ///
    /// # Errors
    /// If their items are not what the audit read.
    pub(crate) fn judge(
        &self,
        dataset: &Dataset,
        first: usize,
        bars: &mut Bars,
    ) -> Result<LaterPairs> {
        let pairs = &dataset.pairs[first..];
        let (images, captions) = (
            distinct(pairs, |pair| pair.image),
            distinct(pairs, |pair| pair.caption),
        );
        let place = |items: &[u32], item: u32| items.partition_point(|&other| other < item) as u32;
        let placed: Vec<Pair> = (pairs.iter())
            .map(|pair| Pair {
                image: place(&images, pair.image),
                caption: place(&captions, pair.caption),
            })
            .collect();
        let (vectors, unread) = match &dataset.caption_features {
            Some(named) => (named.features.select(&captions), Vec::new()),
            None => {
                let texts = dataset.require_captions()?;
                let texts = captions.iter().map(|&row| texts[row as usize].clone());
                let texts: Vec<String> = texts.collect();
                let unread = texts.iter().map(|text| !self.judge.knows(text)).collect();
                (self.texts(&texts)?, unread)
            }
        };
        let selected = dataset.images.select(&images);
        let new = NewItems {
            images: &selected,
            captions: &vectors,
            unread_captions: &unread,
            pairs: &placed,
        };
        Ok(LaterPairs {
            scores: self.judge.scores(new)?,
            found: self.judge.judge(new, bars)?,
        })
    }
}

fn distinct(pairs: &[Pair], of: impl Fn(&Pair) -> u32) -> Vec<u32> {
    let mut items: Vec<u32> = pairs.iter().map(of).collect();
    items.sort_unstable();
    items.dedup();
    items
}
