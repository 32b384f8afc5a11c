//! What a finished cell keeps beside the usual files of its run directory.
//!
//! | file | content |
//! |---|---|
//! | `cell.json` | [`CellRecord`]: every metric of the ensemble, of one network and of the last epoch |
//! | `queries.json` | [`QueryRanks`]: the rank of every test query behind their recalls |
//! | `split.jsonl` | beliefs against planted noise, one line per epoch |

use std::path::Path;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::metric::{Protocol, QueryUnits, Report};
use truepair_core::ranking::Ranks;

use super::split::{self, EpochSplit};
use crate::output::Output;
use crate::render::RetrievalRecord;
use crate::run_folder;
use crate::training::RESULT;

pub(super) const RECORD: &str = "cell.json";
pub(super) const QUERIES: &str = "queries.json";
pub(super) const FAILURE: &str = "failed.json";

const VERSION: u32 = 3;

/// Oldest version that is read: it kept five numbers per direction, and like version 2 in percent.
const OLDEST: u32 = 1;

const REMEDY: &str = "remove the run directory";

/// What was measured on the test split.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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

impl Output for CellRecord {
    const SCHEMA: &'static str = "truepair/cell/3";
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
        run_folder::publish(run, RECORD, self)
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

/// Takes back that a cell is finished; what it measured is measured again.
pub(super) fn forget(run: &Path) -> Result<()> {
    let file = run.join(RECORD);
    std::fs::remove_file(&file).with_context(|| format!("{}: cannot remove", file.display()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use truepair_core::metric::{Relevant, Source, measure};
    use truepair_core::pair::Pair;
    use truepair_core::relevance::Relevance;
    use truepair_core::scores::{Matrix, ScoreMatrix};

    fn stored(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/formats")
            .join(name)
    }

    /// Two pairs; the first image's caption wins everywhere.
    fn write(run: &Path) {
        let pairs = [0, 1].map(|n| Pair {
            image: n,
            caption: n,
        });
        let relevance = Relevance::from_pairs(2, 2, &pairs);
        let scores = ScoreMatrix(Matrix::new(vec![0.9, 0.1, 0.8, 0.2], 2));
        let (source, relevant) = (Source::Scores(&scores), Relevant::Lists(&relevance));
        let protocol = Protocol::new("toy", "test", &relevance);
        let measured = measure(source, relevant, &relevance, protocol, &mut ()).unwrap();
        let ranked = RankedWeights {
            ensemble: Ranked {
                report: measured.report(),
                ranks: measured.first_ranks().unwrap(),
            },
            single: None,
            last: None,
            last_single: None,
        };
        let shape = RunShape {
            best_epoch: 0,
            n_epochs: 1,
            train_seconds: 1.5,
        };
        CellRecord::new(&ranked, shape).store(run).unwrap();
        let units = QueryUnits::new(&relevance);
        QueryRanks::new(units, ranked).store(run).unwrap();
    }

    #[test]
    fn cells_of_every_version_open() {
        for version in [1, 2, 3] {
            let cell = FinishedCell::read(&stored(&format!("cell-{version}"))).unwrap();
            assert_eq!(cell.record.version, version);
            assert_eq!(cell.record.ensemble.recalls()[0], 0.5);
            assert_eq!(cell.queries.ensemble.image_to_text, [1, 2]);
            assert_eq!(cell.kept_epoch().unwrap().loss_auc, Some(0.75));
        }
    }

    /// Metrics may be added without a new version; nothing else may.
    #[test]
    fn the_newest_specimen_is_what_is_written_today() {
        let home = tempfile::tempdir().unwrap();
        write(home.path());
        std::fs::copy(stored("cell-1/split.jsonl"), home.path().join(split::SPLIT)).unwrap();
        let today = FinishedCell::read(home.path()).unwrap();
        let stored = FinishedCell::read(&stored("cell-3")).unwrap();
        assert_eq!(stored.record.version, VERSION, "store a specimen of it");
        assert_eq!(stored.record.protocol, today.record.protocol);
        assert_eq!(
            stored.record.ensemble.recalls(),
            today.record.ensemble.recalls()
        );
        assert_eq!(stored.queries.ensemble, today.queries.ensemble);
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        for name in [RECORD, QUERIES, split::SPLIT] {
            let text = std::fs::read_to_string(stored("cell-1").join(name)).unwrap();
            let text = text.replace("\"version\": 1", "\"version\": 99");
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let error = FinishedCell::read(home.path()).unwrap_err().to_string();
        assert!(error.contains("another version"), "{error}");
    }
}
