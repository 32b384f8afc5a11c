//! One run of training as `truepair train` makes it: the splits, the planted noise, the run
//! directory and what is measured at its end. Every command that makes run directories goes through
//! here, so that a run is the same run whoever started it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::dataset::{Apart, Dataset};
use truepair_core::durable;
use truepair_core::metric::{Protocol, Report};
use truepair_core::noise::Manifest;
use truepair_core::rng::Seed;
use truepair_core::watch::Watch;
use truepair_read::dataset::{self, FORMATS, ReadOptions};
use truepair_train::config::Keep;
use truepair_train::run::file::CHECKPOINT;
use truepair_train::{Config, Recipe, Session, TrainWatch, Trained, train};

use crate::audit::{PlantedNoise, plant};
use crate::encoded::LoadedEncoders;
use crate::folder::MadeFolder;
use crate::folder_lock::FolderLock;
use crate::oracle::Oracle;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, RetrievalRecord};
use crate::run_folder::{self, Environment, RunJob};
use crate::{folder, remote, session, shared};

/// Splits that choose the epoch, by the names that data sets give them.
const DEV_SPLITS: &[&str] = &["dev", "val", "valid", "validation"];

/// Marks a run directory as finished.
pub(crate) const RESULT: &str = "result.json";

/// The JSON object that `truepair train --json` prints and every run keeps as [`RESULT`].
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TrainResult {
    command: &'static str,
    strategy: &'static str,
    /// Backbones of images and captions.
    backbones: [&'static str; 2],
    similarity: &'static str,
    pairs: usize,
    seed: Seed,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<PlantedNoise>,
    /// The epoch that was kept, from 0 as in `metrics.jsonl`.
    best_epoch: usize,
    /// Epochs that were trained, warm-up included.
    epochs: usize,
    test: Option<RetrievalRecord>,
    dev: Option<RetrievalRecord>,
    protocol: Option<Protocol>,
    out: PathBuf,
    seconds: f64,
}

impl Output for TrainResult {
    const SCHEMA: &'static str = "truepair/train/1";
}

/// How long a finished run took; `None` where there is no result.
pub(crate) fn seconds_of(run: &Path) -> Option<f64> {
    let file = run.join(RESULT);
    let result: serde_json::Value = run_folder::load(&file, "train again").ok()?;
    result.get("seconds")?.as_f64()
}

/// What to train, and where.
pub(crate) struct RunPlan {
    pub(crate) job: RunJob,
    pub(crate) recipe: Recipe,
    pub(crate) out: PathBuf,
    /// Whether the run directory may hold a run to continue.
    pub(crate) resume: bool,
}

/// The splits of one data set, as given.
pub(crate) struct Splits {
    pub(crate) train: Dataset,
    pub(crate) dev: Option<Dataset>,
    pub(crate) test: Option<Dataset>,
}

impl Splits {
    /// Opens the training split that `read` names, and the splits for choosing and measuring.
    pub(crate) fn read(
        path: &Path,
        read: &ReadOptions,
        encoders: &LoadedEncoders,
        bars: &mut Bars,
    ) -> Result<Self> {
        let train = encoders.open(path, read, bars)?.dataset;
        let names = match FORMATS.iter().any(|format| format.name() == train.format) {
            true => {
                let (path, read) = remote::fetched(path, &encoders.reading(read)?, bars)?;
                // The folder of a list is another format than the list.
                dataset::splits(&path, &read)?
            }
            false => Vec::new(),
        };
        let mut open = |wanted: &[&str]| -> Result<Option<Dataset>> {
            let Some(split) = wanted
                .iter()
                .find(|name| names.iter().any(|known| known == *name))
            else {
                return Ok(None);
            };
            let encoded = encoders.open(path, &read.for_split(split), bars)?;
            Ok(Some(encoded.dataset))
        };
        let (dev, test) = (open(DEV_SPLITS)?, open(&["test"])?);
        let measured: Vec<&Dataset> = dev.iter().chain(&test).collect();
        shared::tell(&train, &measured, bars)?;
        if test.is_none() {
            render::note("there is no test split: nothing is measured after training");
        }
        Ok(Self { train, dev, test })
    }

    /// Says on what the epoch is chosen, where a configuration wants one chosen, and whether the split is fit for it.
    pub(crate) fn tell_what_chooses<'a>(
        &self,
        mut configs: impl Iterator<Item = &'a Config>,
    ) -> Result<()> {
        let chosen = configs.any(|config| matches!(config.training.keep, Keep::Best));
        match &self.dev {
            Some(dev) if chosen => tell_if_unlike(&self.train, dev)?,
            None if chosen => {
                render::note(
                    "there is no dev split: the epoch is chosen on held-out training pairs",
                );
            }
            _ => {}
        }
        Ok(())
    }
}

/// Warns of a dev split whose images are of another kind than those trained on: where its classes do not occur in
/// training, the epoch that it chose cost attention matchers up to 24 points of rSum (docs/results.md).
fn tell_if_unlike(train: &Dataset, dev: &Dataset) -> Result<()> {
    /// Standard deviations of the training images, and times what chance makes of it.
    const FAR: (f64, f64) = (0.2, 2.0);
    let Some(Apart {
        distance,
        by_chance,
    }) = train.images_apart(dev)?
    else {
        return Ok(());
    };
    if distance > FAR.0.max(FAR.1 * by_chance) {
        render::note(&format!(
            "warning: the images of split `{}` are unlike those of training: their mean lies {distance:.2} standard \
             deviations off (by chance about {by_chance:.2}), so an epoch chosen on them may be a poor one; \
             `--set training.keep=last` keeps the last, and without the split held-out training pairs choose",
            dev.split
        ));
    }
    Ok(())
}

/// A run that is ready to train: noise is planted and every setting is known.
pub(crate) struct Run<'a> {
    plan: &'a RunPlan,
    splits: &'a Splits,
    /// The training pairs with their noise.
    dataset: Dataset,
    pub(crate) manifest: Option<Manifest>,
    config: Config,
}

impl<'a> Run<'a> {
    pub(crate) fn prepare(plan: &'a RunPlan, splits: &'a Splits) -> Result<Self> {
        let (noisy, manifest) = plant(splits.train.clone(), &plan.job.noise, plan.job.seed)?;
        let dataset = match plan.job.oracle {
            Some(oracle) => oracle.corrected(&splits.train, noisy, manifest.as_ref())?,
            None => noisy,
        };
        let config = plan.recipe.resolve(&dataset)?;
        Ok(Self {
            plan,
            splits,
            dataset,
            manifest,
            config,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The oracle's or the strategy's name.
    fn method(&self) -> &'static str {
        let strategy = self.config.strategy.name();
        self.plan.job.oracle.map_or(strategy, Oracle::name)
    }

    /// Trains in the run directory, continuing from its checkpoint where the plan allows it. The directory is this
    /// process's alone until the lock is dropped.
    pub(crate) fn train(&self, watch: &mut dyn TrainWatch) -> Result<(Trained, FolderLock)> {
        let out = self.plan.out.as_path();
        let folder = RunFolder::open(self.plan)?;
        run_folder::store(
            out,
            run_folder::ENVIRONMENT,
            &Environment::of(&self.dataset)?,
        )?;
        if let Some(manifest) = &self.manifest {
            run_folder::store_manifest(out, manifest)?;
        }
        let mut session = Session {
            dir: Some(out),
            resume: self.plan.resume && out.join(CHECKPOINT).exists(),
            ..session::training(watch)
        };
        let trained = train(
            &self.dataset,
            self.splits.dev.as_ref(),
            &self.config,
            self.plan.job.seed,
            &mut session,
        )?;
        Ok((trained, folder.keep()))
    }

    /// Measures a split under the noise that this run was trained with.
    pub(crate) fn measure(
        &self,
        trained: &Trained,
        split: &Option<Dataset>,
        watch: &mut dyn Watch,
    ) -> Result<Option<Report>> {
        let Some(split) = split else { return Ok(None) };
        let noise = self.manifest.as_ref().map(run_folder::noise_of);
        run_folder::measure(trained, split, noise, 1, watch).map(Some)
    }

    /// Writes the result into the run directory, which finishes it; returns it with its text.
    pub(crate) fn conclude(
        &self,
        trained: &Trained,
        dev: Option<&Report>,
        test: Option<&Report>,
        seconds: f64,
    ) -> Result<(TrainResult, String)> {
        let out = &self.plan.out;
        let result = TrainResult {
            command: "train",
            strategy: self.method(),
            backbones: [
                &trained.config.matcher.image,
                &trained.config.matcher.caption,
            ]
            .map(|backbone| backbone.name()),
            similarity: trained.config.matcher.similarity.name(),
            pairs: self.dataset.pairs.len(),
            seed: self.plan.job.seed,
            noise: self.manifest.as_ref().map(PlantedNoise::of),
            best_epoch: trained.best_epoch,
            epochs: trained.history.len(),
            test: test.map(RetrievalRecord::of),
            dev: dev.map(RetrievalRecord::of),
            protocol: test.map(|report| report.protocol.clone()),
            out: out.clone(),
            seconds,
        };
        let text = text(self.method(), trained, test, out);
        durable::write(out.join("report.md"), report(&text).as_bytes())?;
        run_folder::publish(out, RESULT, &result)?;
        Ok((result, text))
    }
}

/// A run directory that disappears again when training cannot even start.
pub(crate) struct RunFolder<'a> {
    path: &'a Path,
    /// The directory, where it was not there before.
    made: Option<MadeFolder>,
    lock: Option<FolderLock>,
}

impl<'a> RunFolder<'a> {
    pub(crate) fn open(plan: &'a RunPlan) -> Result<Self> {
        let path = plan.out.as_path();
        let place = path.display();
        let made = if path.exists() {
            None
        } else {
            Some(folder::create(path, "run directory")?)
        };
        if !path.is_dir() {
            bail!("{place}: is not a folder for a run (choose another --out)")
        }
        let lock = FolderLock::inside(path)?;
        if !plan.resume && !folder::is_free(path) {
            bail!(
                "{place}: is not empty (add --resume to continue the run in it, or choose another \
                 --out)"
            )
        }
        let folder = Self {
            path,
            made,
            lock: Some(lock),
        };
        plan.job.store(path)?;
        Ok(folder)
    }

    /// Training got as far as it could; whatever lies there is wanted.
    pub(crate) fn keep(mut self) -> FolderLock {
        self.made = None;
        self.lock.take().expect("a folder is kept once")
    }
}

impl Drop for RunFolder<'_> {
    fn drop(&mut self) {
        if let Some(made) = &self.made
            && !self.path.join(CHECKPOINT).exists()
        {
            made.remove();
        }
    }
}

fn text(method: &str, trained: &Trained, test: Option<&Report>, out: &Path) -> String {
    let matcher = &trained.config.matcher;
    let backbones = format!("{} and {}", matcher.image.name(), matcher.caption.name());
    let mut rows = vec![
        ("strategy", method.to_owned()),
        ("backbones", backbones),
        ("similarity", matcher.similarity.name().to_owned()),
        (
            "kept",
            format!(
                "epoch {} of {}, warm-up included (`best_epoch` {} in files, which count from 0)",
                trained.best_epoch + 1,
                trained.history.len(),
                trained.best_epoch
            ),
        ),
        ("run", out.display().to_string()),
    ];
    if test.is_none() {
        rows.push(("test", "no test split".to_owned()));
    }
    let measured = test.map(|report| format!("\ntest split\n{}", render::report_text(report)));
    format!("{}{}", render::fields(&rows), measured.unwrap_or_default())
}

fn report(text: &str) -> String {
    format!("# Run\n\n{}", render::fenced(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_data_stays_inside_the_fence_of_the_report() {
        let text = report("run   out\ndata  a\n```\n<img src=x>\u{1b}[31m\n");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["# Run", "", "````text"]);
        assert_eq!(lines[6..], ["<img src=x>\\u{1b}[31m", "````"]);
    }
}
