//! One cell of the grid with everything that is needed to run it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use truepair_core::source_file;
use truepair_train::Config;
use truepair_train::run::file::CONFIG;

use super::grid::GridCell;
use super::record::is_finished;
use crate::run_folder::RunJob;
use crate::training::RunPlan;

/// A cell with everything that is needed to run it.
pub(crate) struct CellTask {
    pub(crate) cell: GridCell,
    pub(crate) plan: RunPlan,
    /// The settings as they will be used; `None` where nothing is trained.
    pub(crate) config: Option<Config>,
    /// The runs whose scores are averaged, where nothing else is done.
    pub(crate) parts: Vec<PathBuf>,
}

impl CellTask {
    pub(crate) fn is_finished(&self) -> bool {
        is_finished(&self.plan.out)
    }

    /// # Errors
    /// If the run directory holds a run of other data or settings.
    pub(crate) fn check(&self) -> Result<()> {
        let out = &self.plan.out;
        if !out.join("job.json").exists() {
            return Ok(());
        }
        RunJob::load(out)?.check_same(&self.plan.job, out)?;
        // A run that was stopped before it began has no settings yet; one without training never has
        // any.
        let known = source_file::read_text(&out.join(CONFIG), source_file::SETTINGS);
        let (Ok(known), Some(config)) = (known, &self.config) else {
            return Ok(());
        };
        // Settings that came since, at their defaults, are no difference.
        let known = toml::from_str::<Config>(&known).map_or(known, |config| config.to_toml());
        let wanted = config.to_toml();
        let mut lines = known.lines().zip(wanted.lines());
        let differing = lines.find(|(known, wanted)| known != wanted);
        if let Some((known, wanted)) = differing {
            bail!(
                "{}: was run with `{known}`, not `{wanted}` (choose another --out, or remove it)",
                out.display()
            )
        }
        if known != wanted {
            bail!(
                "{}: was run with other settings (choose another --out, or remove it)",
                out.display()
            )
        }
        Ok(())
    }

    /// Epochs of the whole run, warm-up included.
    pub(crate) fn n_epochs(&self) -> usize {
        let Some(config) = &self.config else { return 1 };
        let n_main = config.training.epochs;
        let warm_up = config.strategy.build(n_main);
        n_main + warm_up.map_or(0, |strategy| strategy.n_warm_up())
    }
}
