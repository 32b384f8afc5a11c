//! What the program adds to a run directory, beside the weights and logs of the training crate:
//! what was trained on, where, and how well it did.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::Dataset;
use truepair_core::durable;
use truepair_core::metric::{Protocol, Report, TrainingNoise, evaluate};
use truepair_core::noise::{Manifest, NoiseSpec};
use truepair_core::relevance::Relevance;
use truepair_core::rng::Seed;
use truepair_core::scores::{MeanScorer, Scorer};
use truepair_core::source_file;
use truepair_core::watch::Watch;
use truepair_read::dataset::{CaptionFeatures, ReadOptions, options_for_other_data};
use truepair_train::Trained;

use crate::accelerator;
use crate::encoded::Encoders;
use crate::oracle::Oracle;
use crate::output::{self, Output};

pub(crate) const JOB: &str = "job.json";
pub(crate) const ENVIRONMENT: &str = "environment.json";
const MANIFEST: &str = "manifest.json";
/// Where a converted run's weights come from; such a run has no job.
pub(crate) const PROVENANCE: &str = "provenance.json";

const RESTORE: &str = "restore it, or train again";

/// What a run was started with; enough to continue it and to evaluate it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunJob {
    /// The data, as an absolute path or an address.
    pub(crate) data: PathBuf,
    /// How it is read; the split is that of the training pairs.
    pub(crate) read: ReadOptions,
    /// What its pictures and captions are embedded by.
    #[serde(default, skip_serializing_if = "Encoders::are_none")]
    pub(crate) encoders: Encoders,
    /// Noise planted in the training pairs.
    pub(crate) noise: NoiseSpec,
    /// Where all randomness comes from.
    pub(crate) seed: Seed,
    /// Whether the run is told the truth about the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) oracle: Option<Oracle>,
}

impl RunJob {
    pub(crate) fn load(run: &Path) -> Result<Self> {
        let file = run.join(JOB);
        let place = file.display();
        let text = source_file::read_text(&file, source_file::SETTINGS).with_context(|| {
            format!("{place}: cannot read (give the folder that `truepair train --out` or `truepair convert --out` made)")
        })?;
        serde_json::from_str(&text).with_context(|| format!("{place}: is damaged ({RESTORE})"))
    }

    pub(crate) fn store(&self, run: &Path) -> Result<()> {
        store(run, JOB, self)
    }

    /// # Errors
    /// If `other` would train on something else; the first difference is named.
    pub(crate) fn check_same(&self, other: &RunJob, run: &Path) -> Result<()> {
        let differences = [
            ("other data", self.data != other.data),
            ("other reading options", self.read != other.read),
            ("other encoders", self.encoders != other.encoders),
            ("other noise", self.noise != other.noise),
            ("another seed", self.seed != other.seed),
            ("another oracle", self.oracle != other.oracle),
        ];
        match differences.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((what, _)) => bail!(
                "{}: was started with {what} (resume with `truepair train --resume {}` alone, \
                 or choose another --out)",
                run.display(),
                run.display()
            ),
        }
    }
}

/// The data of a run, how it is read and by what it is embedded: `given` instead of what it was trained on.
///
/// # Errors
/// If the run's job cannot be read, or a converted run is given no data.
pub(crate) fn data_of(
    run: &Path,
    given: Option<&Path>,
) -> Result<(PathBuf, ReadOptions, Encoders)> {
    if !run.join(PROVENANCE).exists() {
        let job = RunJob::load(run)?;
        let Some(given) = given else {
            return Ok((job.data, job.read, job.encoders));
        };
        // What cannot be recognized yet, for instance by an address, says so when it is opened.
        let read = options_for_other_data(given, &job.read).unwrap_or(job.read);
        return Ok((given.to_path_buf(), read, job.encoders));
    }
    let Some(data) = given else {
        bail!(
            "{}: was converted from a checkpoint and comes without data (add --data PATH)",
            run.display()
        )
    };
    // Published models read the captions' texts.
    let read = ReadOptions {
        caption_features: CaptionFeatures::None,
        ..ReadOptions::default()
    };
    Ok((data.to_path_buf(), read, Encoders::default()))
}

/// Whether a run's pairs of training were of another split than this one. A run without a job is a converted one,
/// whose authors' splits have the usual names.
pub(crate) fn never_saw(run: &Path, split: &str) -> bool {
    let trained_on = RunJob::load(run).map_or_else(|_| "train".to_owned(), |job| job.read.split);
    split != trained_on && split != "train"
}

/// The oracle that a run was trained for, if any; a converted run has no job and no oracle.
///
/// # Errors
/// If the run's job cannot be read.
pub(crate) fn oracle_of(run: &Path) -> Result<Option<Oracle>> {
    if run.join(PROVENANCE).exists() {
        return Ok(None);
    }
    Ok(RunJob::load(run)?.oracle)
}

/// Writes `value`, which only the program reads, as JSON into the run directory.
pub(crate) fn store(run: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    Ok(durable::write(run.join(name), text.as_bytes())?)
}

/// Writes an object for scripts, which names its schema, into the run directory.
pub(crate) fn publish(run: &Path, name: &str, value: &impl Output) -> Result<()> {
    let text = output::text(value)?;
    Ok(durable::write(run.join(name), text.as_bytes())?)
}

/// Reads JSON that [`store`] or [`publish`] wrote; `remedy` says what to do when it is damaged.
///
/// # Errors
/// If the file cannot be read or holds something else.
pub(crate) fn load<T: DeserializeOwned>(file: &Path, remedy: &str) -> Result<T> {
    let place = file.display();
    let text = source_file::read_text(file, source_file::LIST)
        .with_context(|| format!("{place}: cannot read"))?;
    output::read(&text).with_context(|| format!("{place}: is damaged ({remedy})"))
}

pub(crate) fn store_manifest(run: &Path, manifest: &Manifest) -> Result<()> {
    publish(run, MANIFEST, manifest)
}

/// The noise that a run was trained with, as its evaluation must name it.
pub(crate) fn training_noise(run: &Path) -> Result<Option<TrainingNoise>> {
    let file = run.join(MANIFEST);
    if !file.exists() {
        return Ok(None);
    }
    let manifest: Manifest = load(&file, RESTORE)?;
    Ok(Some(noise_of(&manifest)))
}

pub(crate) fn noise_of(manifest: &Manifest) -> TrainingNoise {
    TrainingNoise {
        sha256: manifest.sha256.clone(),
        protocol: manifest.protocol.clone(),
        rate: manifest.realized,
    }
}

/// Ranks a split with a trained matcher.
pub(crate) fn measure(
    trained: &Trained,
    dataset: &Dataset,
    noise: Option<TrainingNoise>,
    folds: u32,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let relevance = relevance(dataset);
    let protocol = Protocol {
        folds,
        ..protocol(trained, dataset, &relevance, noise)?
    };
    let scorer = trained.scorer(dataset, watch)?;
    Ok(evaluate(scorer.as_ref(), &relevance, protocol, watch)?)
}

/// The mean of the scores of several runs on one data set, and of how many networks it is.
///
/// # Errors
/// If a run cannot be opened or cannot read the data.
pub(crate) fn mean_of(
    runs: &[PathBuf],
    dataset: &Dataset,
    watch: &mut dyn Watch,
) -> Result<(Box<dyn Scorer>, usize)> {
    let (mut scorers, mut n_networks) = (Vec::new(), 0);
    for run in runs {
        let trained = truepair_train::load(run, accelerator::chosen())?;
        n_networks += trained.n_peers();
        scorers.push(trained.scorer(dataset, watch)?);
    }
    Ok((Box::new(MeanScorer(scorers)), n_networks))
}

/// Who belongs to whom in a split.
pub(crate) fn relevance(dataset: &Dataset) -> Relevance {
    Relevance::from_pairs(dataset.n_images(), dataset.n_captions(), &dataset.pairs)
}

/// What is measured when a trained matcher ranks a whole split.
pub(crate) fn protocol(
    trained: &Trained,
    dataset: &Dataset,
    relevance: &Relevance,
    noise: Option<TrainingNoise>,
) -> Result<Protocol> {
    Ok(Protocol {
        noise,
        ensemble: trained.n_peers() as u32,
        data_hash: Some(dataset.content_hash()?),
        ..Protocol::new(dataset.name.as_str(), dataset.split.as_str(), relevance)
    })
}

/// The machine and the data that a run saw.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Environment {
    version: String,
    system: String,
    processor: String,
    threads: usize,
    data_sha256: String,
}

impl Environment {
    pub(crate) fn of(dataset: &Dataset) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: processor(),
            threads: rayon::current_num_threads(),
            data_sha256: dataset.content_hash()?,
        })
    }

    /// # Errors
    /// If `dataset`, noise included, is not what the run in `run` was trained on.
    pub(crate) fn check_same_data(run: &Path, dataset: &Dataset) -> Result<()> {
        let trained: Self = load(&run.join(ENVIRONMENT), RESTORE)?;
        if trained.data_sha256 != dataset.content_hash()? {
            bail!(
                "{}: was trained on pairs other than those that {} holds now (give the data as it was)",
                run.display(),
                dataset.name
            )
        }
        Ok(())
    }
}

/// The processor's name where Linux tells it.
fn processor() -> String {
    let text =
        source_file::read_text("/proc/cpuinfo".as_ref(), source_file::SETTINGS).unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}
