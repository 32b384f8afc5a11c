//! A trained matcher: what a run ends with, and what it is good for.

pub(crate) mod encode;
mod occlusion;

use burn::tensor::Device;
use truepair_core::dataset::Dataset;
use truepair_core::ledger::Ledger;
use truepair_core::rng::Seed;
use truepair_core::scores::Scorer;
use truepair_core::watch::Watch;

use crate::backbone::InputShape;
use crate::config::Config;
use crate::error::Result;
use crate::layer::Init;
use crate::matcher::Matcher;
use crate::reader::{Reader, Texts, check_regions, check_widths};
use crate::run::EpochRecord;
use crate::similarity::{
    Compares, GaussianDistanceConfig, GaussianMeasure, SimilarityConfig, Space,
};

pub use encode::Uncertainty;
pub use occlusion::Erased;

/// The outcome of a run: the kept epoch's weights of every peer, and what was learned about pairs.
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use truepair_core::rng::Seed;
/// use truepair_core::scores::Scorer;
/// use truepair_read::dataset::{ReadOptions, open};
/// use truepair_train::{Accelerator, Recipe, Session, train};
///
/// let data = open("data/f30k_precomp", &ReadOptions::default())?;
/// let config = Recipe::default().resolve(&data)?;
/// let (stop, watch) = (AtomicBool::new(false), &mut ());
/// let mut session = Session::unkept(Accelerator::Cpu, &stop, watch, || 0.0);
/// let trained = train(&data, None, &config, Seed(0), &mut session)?;
///
/// let scorer = trained.scorer(&data, &mut ())?;
/// assert_eq!(scorer.n_captions(), data.n_captions());
/// println!("epoch {} of {} was kept", trained.best_epoch, trained.history.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trained {
    /// The resolved config.
    pub config: Config,
    /// How captions are read, unless they are features that the data brings.
    pub texts: Option<Texts>,
    /// One matcher a peer; their scores are averaged.
    pub peers: Vec<Matcher>,
    /// Per peer the last beliefs about every given pair; empty when read from a directory.
    pub ledgers: Vec<Ledger>,
    /// One record an epoch.
    pub history: Vec<EpochRecord>,
    /// Epoch whose weights were kept, from 0.
    pub best_epoch: usize,
    /// The images and captions that the matchers were built for.
    pub inputs: (InputShape, InputShape),
    /// Where the matchers live.
    pub device: Device,
}

impl Trained {
    /// Scores every image of `dataset` against every caption.
    ///
    /// # Errors
    /// If the data set lacks what the backbones read, a feature has another width, or images have
    /// more regions than the similarity has places for.
    pub fn scorer(&self, dataset: &Dataset, watch: &mut dyn Watch) -> Result<Box<dyn Scorer>> {
        check_widths(dataset, self.inputs, self.texts.as_ref())?;
        if self.config.matcher.similarity.compares() == Compares::Places {
            check_regions(dataset, self.inputs.0)?;
        }
        let max_tokens = self.config.training.max_tokens;
        let reader = Reader::new(dataset, self.texts.as_ref(), max_tokens, &self.device)?;
        if let Some(warning) = reader.warning(max_tokens) {
            watch.warn(&warning);
        }
        encode::scorer(&self.peers, &reader, self.config.training.tile_mib, watch)
    }

    /// How uncertain every item of `dataset` is; `None` unless items are Gaussians.
    ///
    /// # Errors
    /// As [`scorer`](Self::scorer).
    pub fn uncertainty(
        &self,
        dataset: &Dataset,
        watch: &mut dyn Watch,
    ) -> Result<Option<Uncertainty>> {
        let parts = [&self.config.matcher.image, &self.config.matcher.caption];
        if !parts.iter().all(|part| part.is_gaussian()) {
            return Ok(None);
        }
        check_widths(dataset, self.inputs, self.texts.as_ref())?;
        let max_tokens = self.config.training.max_tokens;
        let reader = Reader::new(dataset, self.texts.as_ref(), max_tokens, &self.device)?;
        encode::uncertainty(&self.peers, &reader, watch)
    }

    /// The same matchers, ranking by another measure of their Gaussians.
    ///
    /// # Errors
    /// If items are no Gaussians.
    pub fn measured_by(mut self, measure: GaussianMeasure) -> Result<Self> {
        let config = GaussianDistanceConfig {
            measure,
            ..GaussianDistanceConfig::default()
        };
        self.config.matcher.similarity = SimilarityConfig::Gaussian(config);
        self.config.matcher.check_parts()?;
        for peer in &mut self.peers {
            let precision = self.config.training.precision;
            let similarity = self.config.matcher.similarity.build(
                Space {
                    dim: self.config.matcher.image.dim(),
                    regions: 1,
                },
                &mut Init::new(Seed(0).stream("init", &[]), self.device.clone(), precision),
            )?;
            peer.similarity = similarity;
        }
        Ok(self)
    }

    /// Networks whose scores are averaged.
    pub fn n_peers(&self) -> usize {
        self.peers.len()
    }
}
