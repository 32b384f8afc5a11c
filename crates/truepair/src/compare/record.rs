//! What a finished cell keeps beside the usual files of its run directory.
//!
//! | file | content |
//! |---|---|
//! | `cell.json` | [`CellRecord`]: every metric of the ensemble, of one network and of the last epoch |
//! | `queries.json` | [`QueryRanks`]: the rank of every test query behind their recalls |
//! | `split.jsonl` | beliefs against planted noise, one line per epoch |

use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use truepair_core::metric::{Protocol, QueryUnits, Report};
use truepair_core::ranking::Ranks;

use super::split::{self, EpochSplit};
use crate::render::RetrievalRecord;
use crate::run_folder;
use crate::training::RESULT;

pub(super) const RECORD: &str = "cell.json";
pub(super) const QUERIES: &str = "queries.json";
pub(super) const FAILURE: &str = "failed.json";

const VERSION: u32 = 2;

/// Oldest version that is read: it kept five numbers per direction.
const OLDEST: u32 = 1;

const REMEDY: &str = "remove the run directory";

/// What was measured on the test split, recalls in percent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CellRecord {
    version: u32,
    /// Networks whose scores are averaged.
    pub(crate) networks: u32,
    /// Epoch whose weights were kept, from 0.
    pub(crate) best_epoch: usize,
    pub(crate) n_epochs: usize,
    /// All networks, kept epoch.
    pub(crate) ensemble: RetrievalRecord,
    /// The first network alone, kept epoch.
    pub(crate) single: RetrievalRecord,
    /// All networks, last epoch.
    pub(crate) last: RetrievalRecord,
    /// The first network alone, last epoch.
    pub(crate) last_single: RetrievalRecord,
    /// How `ensemble` was measured.
    pub(crate) protocol: Protocol,
    /// Duration of all epochs, over every session that trained some.
    pub(crate) train_seconds: f64,
}

/// The ranks of every test query; `None` where they are those of the line above.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryRanks {
    version: u32,
    pub(crate) units: QueryUnits,
    pub(crate) ensemble: Ranks,
    pub(crate) single: Option<Ranks>,
    pub(crate) last: Option<Ranks>,
    pub(crate) last_single: Option<Ranks>,
}

/// What one set of weights is worth on the test split.
pub(super) struct Ranked {
    pub(super) report: Report,
    pub(super) ranks: Ranks,
}

/// What the tables tell apart; `None` where it is the same as the line above.
pub(super) struct RankedWeights {
    /// All networks, kept epoch.
    pub(super) ensemble: Ranked,
    /// The first network alone, kept epoch.
    pub(super) single: Option<Ranked>,
    /// All networks, last epoch.
    pub(super) last: Option<Ranked>,
    /// The first network alone, last epoch.
    pub(super) last_single: Option<Ranked>,
}

impl CellRecord {
    pub(super) fn new(ranked: &RankedWeights, shape: RunShape) -> Self {
        let ensemble = &ranked.ensemble;
        let single = ranked.single.as_ref().unwrap_or(ensemble);
        let last = ranked.last.as_ref().unwrap_or(ensemble);
        // One network's last epoch is the ensemble's, and without a later epoch the kept one's.
        let last_single = match (&ranked.last_single, &ranked.last) {
            (Some(ranked), _) => ranked,
            (None, None) => single,
            (None, Some(last)) => last,
        };
        let of = |ranked: &Ranked| RetrievalRecord::of(&ranked.report);
        let protocol = ensemble.report.protocol.clone();
        Self {
            version: VERSION,
            networks: protocol.ensemble,
            best_epoch: shape.best_epoch,
            n_epochs: shape.n_epochs,
            ensemble: of(ensemble),
            single: of(single),
            last: of(last),
            last_single: of(last_single),
            train_seconds: shape.train_seconds,
            protocol,
        }
    }

    pub(super) fn store(&self, run: &Path) -> Result<()> {
        run_folder::store(run, RECORD, self)
    }
}

/// How long a run was, and which of its epochs was kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunShape {
    pub(super) best_epoch: usize,
    pub(super) n_epochs: usize,
    pub(super) train_seconds: f64,
}

impl QueryRanks {
    pub(super) fn new(units: QueryUnits, ranked: RankedWeights) -> Self {
        let ranks = |ranked: Option<Ranked>| ranked.map(|ranked| ranked.ranks);
        Self {
            version: VERSION,
            units,
            ensemble: ranked.ensemble.ranks,
            single: ranks(ranked.single),
            last: ranks(ranked.last),
            last_single: ranks(ranked.last_single),
        }
    }

    pub(super) fn store(&self, run: &Path) -> Result<()> {
        let text = serde_json::to_string(self)? + "\n";
        Ok(truepair_core::durable::write(
            run.join(QUERIES),
            text.as_bytes(),
        )?)
    }
}

/// Everything that the tables read of a finished cell.
#[derive(Debug)]
pub(crate) struct FinishedCell {
    pub(crate) record: CellRecord,
    pub(crate) queries: QueryRanks,
    pub(crate) epochs: Vec<EpochSplit>,
}

/// Whether a run directory is that of a finished cell.
pub(crate) fn is_finished(run: &Path) -> bool {
    run.join(RESULT).exists() && run.join(RECORD).exists()
}

impl FinishedCell {
    pub(crate) fn read(run: &Path) -> Result<Self> {
        let record: CellRecord = run_folder::load(&run.join(RECORD), REMEDY)?;
        let queries: QueryRanks = run_folder::load(&run.join(QUERIES), REMEDY)?;
        let known = OLDEST..=VERSION;
        if !known.contains(&record.version) || !known.contains(&queries.version) {
            bail!(
                "{}: was written by another version of the program (remove the run directory)",
                run.display()
            )
        }
        Ok(Self {
            record,
            queries,
            epochs: split::read(run)?,
        })
    }

    /// The epoch whose weights were kept.
    pub(crate) fn kept_epoch(&self) -> Option<&EpochSplit> {
        (self.epochs.iter()).find(|epoch| epoch.epoch == self.record.best_epoch)
    }
}
