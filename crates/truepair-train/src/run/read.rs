//! What a run directory gives back: weights ready to score, its recipe, its history.

use std::fmt::Display;
use std::path::Path;

use truepair_core::Error as CoreError;
use truepair_core::error::Place;
use truepair_core::ledger::Ledger;
use truepair_core::rng::Seed;
use truepair_core::source_file;

use super::session::EpochRecord;
use super::{checkpoint, file, texts, weights};
use crate::config::{Config, Recipe};
use crate::error::Result;
use crate::trained::Trained;
use truepair_model::Accelerator;
use truepair_model::matcher::Matcher;
use truepair_model::parameters;

/// Reads a finished or stopped run's kept weights.
///
/// # Errors
/// If the directory holds no run, a file of it is damaged or of another version, or the
/// accelerator is not there.
pub fn load(dir: &Path, accelerator: Accelerator) -> Result<Trained> {
    let device = accelerator.device()?;
    let config: Config = read_config(dir, |text| toml::from_str(text))?;
    let texts = texts::read(&config.matcher, dir)?;
    let (head, weights) = weights::read(dir)?;
    let mut peers: Vec<Matcher> = Vec::new();
    for parameters in weights {
        let fresh = config.matcher.build(
            head.image,
            head.caption,
            Seed(0),
            &device,
            config.training.precision,
        )?;
        peers.push(parameters::import(fresh, parameters)?);
    }
    let history = read_history(dir)?;
    let best_epoch = history.iter().rposition(|record| record.best).unwrap_or(0);
    Ok(Trained {
        config,
        texts,
        peers,
        ledgers: Vec::new(),
        history,
        best_epoch,
        inputs: (head.image, head.caption),
        device,
    })
}

/// Reads a run's weights after its last epoch, whichever epoch was kept.
///
/// # Errors
/// As [`load`], and if the directory holds no checkpoint.
pub fn load_last(dir: &Path, accelerator: Accelerator) -> Result<Trained> {
    let mut trained = load(dir, accelerator)?;
    let last = checkpoint::read(&dir.join(file::CHECKPOINT))?.snapshot;
    trained.best_epoch = last.next_epoch.saturating_sub(1);
    trained.peers = (trained.peers.into_iter().zip(last.peers))
        .map(|(peer, saved)| parameters::import(peer, saved.weights))
        .collect::<Result<_, CoreError>>()?;
    Ok(trained)
}

/// The beliefs that a run ended with, one ledger a peer, a row per given pair.
///
/// # Errors
/// If the run has not ended, as a converted checkpoint never has, or a ledger is damaged.
pub fn ledgers(dir: &Path) -> Result<Vec<Ledger>> {
    let first = dir.join(file::ledger(0));
    if !first.exists() {
        return Err(CoreError::data(
            &first,
            Place::Whole,
            "is not there: only a run that was trained to its end holds beliefs",
            "go on with `truepair train --resume`, or name another run",
        )
        .into());
    }
    let files = (0..).map(|peer| dir.join(file::ledger(peer)));
    let there = files.take_while(|file| file.exists());
    there.map(|file| Ok(Ledger::read(file)?)).collect()
}

/// The recipe that a run directory was trained with, for resuming it.
///
/// # Errors
/// If there is no readable `config.toml`.
pub fn recipe(dir: &Path) -> Result<Recipe> {
    read_config(dir, Recipe::from_toml)
}

/// What `parse` makes of `config.toml`.
fn read_config<T, E: Display>(
    dir: &Path,
    parse: impl FnOnce(&str) -> std::result::Result<T, E>,
) -> Result<T> {
    let path = dir.join(file::CONFIG);
    let text = source_file::read_text(&path, source_file::SETTINGS)
        .map_err(|source| CoreError::io(&path, "read", source))?;
    parse(&text).map_err(|error| {
        CoreError::data(
            &path,
            Place::Whole,
            format!("no config of a run: {error}"),
            "give the folder that `truepair train --out` made",
        )
        .into()
    })
}

/// The epochs so far, from `metrics.jsonl`.
pub(super) fn read_history(dir: &Path) -> Result<Vec<EpochRecord>> {
    let path = dir.join(file::METRICS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = source_file::read_text(&path, source_file::LIST)
        .map_err(|source| CoreError::io(&path, "read", source))?;
    let mut records = Vec::new();
    for (at, line) in text.lines().enumerate() {
        records.push(serde_json::from_str(line).map_err(|error| {
            CoreError::data(
                &path,
                Place::Line(at as u64 + 1),
                format!("no epoch record: {error}"),
                "restore the file, or start a new run",
            )
        })?);
    }
    Ok(records)
}
