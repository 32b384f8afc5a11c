//! What a run directory gives back: weights ready to score, its recipe, its history.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use truepair_core::Error as CoreError;
use truepair_core::error::Place;
use truepair_core::ledger::Ledger;
use truepair_core::rng::Seed;

use super::{checkpoint, ledger_name, weights};
use crate::config::{Config, Recipe};
use crate::error::Result;
use crate::matcher::Matcher;
use crate::parameters;
use crate::session::EpochRecord;
use crate::texts::Texts;
use crate::trained::Trained;

/// Reads the kept weights of a run directory.
pub(crate) fn load(dir: &Path, device: &Device) -> Result<Trained> {
    let config: Config = read_config(dir, |text| toml::from_str(text))?;
    let texts = Texts::read(&config.matcher, dir)?;
    let (head, weights) = weights::read(dir)?;
    let mut peers: Vec<Matcher> = Vec::new();
    for parameters in weights {
        let fresh = config.matcher.build(
            head.image,
            head.caption,
            Seed(0),
            device,
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
        device: device.clone(),
    })
}

/// Reads the weights after the last finished epoch of a run directory.
pub(crate) fn load_last(dir: &Path, device: &Device) -> Result<Trained> {
    let mut trained = load(dir, device)?;
    let last = checkpoint::read(&dir.join("checkpoint.bin"))?.snapshot;
    trained.best_epoch = last.next_epoch.saturating_sub(1);
    trained.peers = (trained.peers.into_iter().zip(last.peers))
        .map(|(peer, saved)| parameters::import(peer, saved.weights))
        .collect::<Result<_>>()?;
    Ok(trained)
}

/// The beliefs that a run ended with, one ledger a peer, a row per given pair.
///
/// # Errors
/// If the run has not ended, as a converted checkpoint never has, or a ledger is damaged.
pub fn ledgers(dir: &Path) -> Result<Vec<Ledger>> {
    let first = dir.join(ledger_name(0));
    if !first.exists() {
        return Err(CoreError::data(
            &first,
            Place::Whole,
            "is not there: only a run that was trained to its end holds beliefs",
            "go on with `truepair train --resume`, or name another run",
        )
        .into());
    }
    let files = (0..).map(|peer| dir.join(ledger_name(peer)));
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
    let path = dir.join("config.toml");
    let text = fs::read_to_string(&path).map_err(|source| CoreError::io(&path, "read", source))?;
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
    let path = dir.join("metrics.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(|source| CoreError::io(&path, "read", source))?;
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
