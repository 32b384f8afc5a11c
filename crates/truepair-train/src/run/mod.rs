//! The run directory: everything a run needs to be resumed, reprinted and read from elsewhere.
//!
//! | file | content |
//! |---|---|
//! | `config.toml` | the resolved config |
//! | `metrics.jsonl` | one [`EpochRecord`] a line |
//! | `events.out.tfevents.*` | the same numbers for TensorBoard |
//! | `weights.safetensors` | the kept epoch's weights, `peer_K.NAME`, readable from Python |
//! | `vocabulary.json` | token ids, when the caption backbone reads tokens |
//! | `latent_semantics.safetensors` | terms and directions, when vectors are made of captions' texts |
//! | `words_without_vector.txt` | words that `training.word_vectors` holds no vector of, one a line |
//! | `ledger.bin`, `ledger_1.bin` | beliefs per pair, one file a peer |
//! | `checkpoint.bin` | the whole state after the last finished epoch |
//!
//! A checkpoint is the commit point: it is replaced in one step after everything else of its epoch,
//! and records how long the growing files were. Whatever a killed run wrote after it is cut off.

mod checkpoint;
mod events;
pub mod file;
mod identity;
mod json;
mod read;
pub(crate) mod session;
mod tensors;
mod texts;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};

use truepair_core::Error as CoreError;
use truepair_core::dataset::Dataset;
use truepair_core::durable;
use truepair_core::error::Place;
use truepair_core::ledger::Ledger;
use truepair_core::rng::Seed;
use truepair_core::text::Vocabulary;

use self::events::Events;
use self::identity::Identity;
pub(crate) use self::json::stamped;
use self::read::read_history;
use crate::config::Config;
use crate::error::Result;
use truepair_model::backbone::InputShape;
use truepair_model::parameters::Parameters;
use truepair_model::reader::Texts;

pub(crate) use checkpoint::{PeerSnapshot, Snapshot};
pub use read::{ledgers, load, load_last, recipe};
pub use session::{Criterion, EPOCH_SCHEMA, EpochRecord, Session, StepProgress, TrainWatch};
pub(crate) use tensors::Tensors;

/// An open run directory, or nothing when the run is not kept.
pub(crate) struct Run {
    kept: Option<Kept>,
    weights: Vec<Parameters>,
}

struct Kept {
    dir: PathBuf,
    /// What must be equal for a checkpoint to be continued.
    identity: Identity,
    events: Events,
    resume: bool,
}

impl Run {
    pub(crate) fn open(
        session: &Session<'_>,
        config: &Config,
        seed: Seed,
        texts: Option<&Texts>,
        train: &Dataset,
    ) -> Result<Self> {
        let Some(dir) = session.dir else {
            return Ok(Self {
                kept: None,
                weights: Vec::new(),
            });
        };
        fs::create_dir_all(dir).map_err(|source| CoreError::io(dir, "create", source))?;
        let identity = Identity::new(config, seed, train);
        let checkpoint = dir.join(file::CHECKPOINT);
        if !session.resume && checkpoint.exists() {
            return Err(CoreError::data(
                &checkpoint,
                Place::Whole,
                "the folder already holds a run",
                "resume it, or choose another folder",
            )
            .into());
        }
        durable::write(dir.join(file::CONFIG), identity.config().as_bytes())?;
        if let Some(texts) = texts {
            texts::write(texts, dir)?;
        }
        let events = Events::new(dir);
        Ok(Self {
            kept: Some(Kept {
                dir: dir.to_path_buf(),
                identity,
                events,
                resume: session.resume,
            }),
            weights: Vec::new(),
        })
    }

    /// The state to continue from, when the run is resumed and has finished an epoch.
    pub(crate) fn snapshot(&mut self) -> Result<Option<Snapshot>> {
        let Some(kept) = &mut self.kept else {
            return Ok(None);
        };
        let path = kept.dir.join(file::CHECKPOINT);
        if !kept.resume || !path.exists() {
            return Ok(None);
        }
        let committed = checkpoint::read(&path)?;
        if let Some(difference) = committed.identity.difference(&kept.identity) {
            return Err(CoreError::data(
                &path,
                Place::Whole,
                format!("the checkpoint is of another run: {difference}"),
                "resume with the same data, noise, seed and config, or start a new run",
            )
            .into());
        }
        kept.events.resume(committed.events)?;
        self.weights = weights::read(&kept.dir)?.1;
        Ok(Some(committed.snapshot))
    }

    pub(crate) fn history(&self) -> Result<Vec<EpochRecord>> {
        match &self.kept {
            Some(kept) => read_history(&kept.dir),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn best_weights(&self) -> Result<Vec<Parameters>> {
        Ok(self.weights.clone())
    }

    /// Writes the words that the file of word vectors does not hold, if there are any.
    pub(crate) fn write_words_without_vector(&self, words: &[String]) -> Result<()> {
        if let (Some(kept), false) = (&self.kept, words.is_empty()) {
            let list = words.join("\n") + "\n";
            durable::write(kept.dir.join(file::WORDS_WITHOUT_VECTOR), list.as_bytes())?;
        }
        Ok(())
    }

    pub(crate) fn write_weights(
        &self,
        peers: &[Parameters],
        shapes: (InputShape, InputShape),
    ) -> Result<()> {
        match &self.kept {
            Some(kept) => weights::write(&kept.dir, peers, shapes),
            None => Ok(()),
        }
    }

    /// Commits an epoch: history and events first, the checkpoint last.
    pub(crate) fn finish_epoch(
        &mut self,
        snapshot: &Snapshot,
        history: &[EpochRecord],
        now: f64,
    ) -> Result<()> {
        let Some(kept) = &mut self.kept else {
            return Ok(());
        };
        let mut lines = String::new();
        for record in history {
            lines.push_str(&stamped(EPOCH_SCHEMA, record));
            lines.push('\n');
        }
        durable::write(kept.dir.join(file::METRICS), lines.as_bytes())?;
        if let Some(record) = history.last() {
            kept.events.epoch(record, now)?;
        }
        checkpoint::write(
            &kept.dir.join(file::CHECKPOINT),
            &kept.identity,
            snapshot,
            kept.events.len(),
        )
    }

    pub(crate) fn write_ledgers(&self, ledgers: &[Ledger]) -> Result<()> {
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        for (at, ledger) in ledgers.iter().enumerate() {
            ledger.write(kept.dir.join(file::ledger(at)))?;
        }
        Ok(())
    }
}

/// Writes a run directory with weights from elsewhere: no history, and nothing to resume.
pub(crate) fn write_converted(
    dir: &Path,
    config: &Config,
    vocabulary: &Vocabulary,
    peers: &[Parameters],
    shapes: (InputShape, InputShape),
) -> Result<()> {
    durable::write(dir.join(file::CONFIG), config.to_toml().as_bytes())?;
    vocabulary.write(dir.join(file::VOCABULARY))?;
    weights::write(dir, peers, shapes)
}
