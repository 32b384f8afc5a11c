//! A finished run as a judge of the pairs it was trained on.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use truepair_core::dataset::Dataset;
use truepair_core::ledger::{Belief, Ledger};
use truepair_train::{Trained, ledgers};

use crate::accelerator;
use crate::run_folder::{self, Environment};

/// A run and what it believes.
#[derive(Debug, Clone)]
pub(crate) struct Believer {
    run: PathBuf,
    strategy: &'static str,
    belief: Belief,
}

impl Believer {
    /// # Errors
    /// If the run has not ended, or its method keeps no beliefs or was told the truth.
    pub(crate) fn open(run: &Path) -> Result<Self> {
        let place = run.display();
        let recipe = truepair_train::recipe(run)?;
        let Some(strategy) = recipe.strategy else {
            bail!("{place}: config.toml does not name a strategy (restore it, or train again)")
        };
        if let Some(oracle) = run_folder::oracle_of(run)? {
            bail!(
                "{place}: `{}` was told which pairs are mismatched, so it has no verdicts of its own \
                 (name a run of another strategy)",
                oracle.name()
            )
        }
        let ledgers = ledgers(run)?;
        let Some(belief) = Belief::of(&ledgers.iter().collect::<Vec<&Ledger>>()) else {
            bail!(
                "{place}: `{}` believes in every pair, so there are no verdicts (audit without \
                 --from-run, or name a run of a strategy that keeps beliefs, such as `ncr` or `gsc`)",
                strategy.name()
            )
        };
        Ok(Self {
            run: run.to_path_buf(),
            strategy: strategy.name(),
            belief,
        })
    }

    /// The run's kept weights.
    ///
    /// # Errors
    /// If `dataset` is not what the run was trained on, or the weights cannot be read.
    pub(crate) fn trained(&self, dataset: &Dataset) -> Result<Trained> {
        Environment::check_same_data(&self.run, dataset)?;
        Ok(truepair_train::load(&self.run, accelerator::chosen())?)
    }

    /// Belief that each pair is matched, `[n_pairs]`, [0, 1].
    pub(crate) fn clean(&self) -> &[f64] {
        &self.belief.clean
    }

    /// The matcher in words, for reports.
    pub(crate) fn describe(&self) -> String {
        format!(
            "`{}` of the run {}, which was trained on these pairs; probabilities are its {}",
            self.strategy,
            self.run.display(),
            match self.belief.signal {
                "clean_posterior" => "clean posteriors",
                _ => "soft labels",
            }
        )
    }
}
