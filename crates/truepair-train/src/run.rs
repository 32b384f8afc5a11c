//! The run directory: everything a run needs to be resumed, reprinted and read from elsewhere.
//!
//! | file | content |
//! |---|---|
//! | `config.toml` | the resolved config |
//! | `metrics.jsonl` | one [`EpochRecord`] a line |
//! | `events.out.tfevents.*` | the same numbers for TensorBoard |
//! | `weights.safetensors` | the kept epoch's weights, `peer_K.NAME`, readable from Python |
//! | `vocabulary.json` | token ids, when the caption backbone reads tokens |
//! | `ledger.bin`, `ledger_1.bin` | beliefs per pair, one file a peer |
//! | `checkpoint.bin` | the whole state after the last finished epoch |
//!
//! A checkpoint is the commit point: it is replaced in one step after everything else of its epoch,
//! and records how long the growing files were. Whatever a killed run wrote after it is cut off.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use truepair_core::Error as CoreError;
use truepair_core::dataset::Dataset;
use truepair_core::durable;
use truepair_core::error::Place;
use truepair_core::ledger::Ledger;
use truepair_core::rng::Seed;
use truepair_core::text::Vocabulary;

use crate::backbone::InputShape;
use crate::config::{Config, Recipe};
use crate::error::Result;
use crate::events::Events;
use crate::matcher::Matcher;
use crate::optimizer::Moments;
use crate::parameters::{self, Parameters, Values};
use crate::session::{EpochRecord, Session};
use crate::trained::Trained;

const MAGIC: &[u8; 8] = b"TPCHECKP";
const VERSION: u32 = 2;
const WEIGHTS_VERSION: u32 = 2;
const WEIGHTS_KEY: &str = "truepair";

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

/// What must be equal for a checkpoint to be continued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Identity {
    config: String,
    seed: Seed,
    n_pairs: usize,
    pairs: String,
}

/// The state after an epoch.
pub(crate) struct Snapshot {
    pub(crate) next_epoch: usize,
    pub(crate) best_epoch: usize,
    pub(crate) best_value: f64,
    pub(crate) peers: Vec<PeerSnapshot>,
    /// What the strategy keeps beside the ledger.
    pub(crate) strategy: Vec<f64>,
}

/// One peer's state after an epoch.
pub(crate) struct PeerSnapshot {
    pub(crate) weights: Parameters,
    /// Running average of the weights, where the strategy wants one.
    pub(crate) teacher: Option<Parameters>,
    pub(crate) steps: u64,
    pub(crate) moments: BTreeMap<String, Moments>,
    pub(crate) ledger: Ledger,
}

#[derive(Serialize, Deserialize)]
struct CheckpointHead {
    identity: Identity,
    next_epoch: usize,
    best_epoch: usize,
    best_value: f64,
    steps: Vec<u64>,
    /// Memories of a ledger.
    memories: usize,
    strategy: Vec<f64>,
    events: u64,
}

#[derive(Serialize, Deserialize)]
struct WeightsHead {
    version: u32,
    image: InputShape,
    caption: InputShape,
    peers: usize,
}

impl Run {
    pub(crate) fn open(
        session: &Session<'_>,
        config: &Config,
        seed: Seed,
        vocabulary: Option<&Vocabulary>,
        train: &Dataset,
    ) -> Result<Self> {
        let Some(dir) = session.dir else {
            return Ok(Self {
                kept: None,
                weights: Vec::new(),
            });
        };
        fs::create_dir_all(dir).map_err(|source| CoreError::io(dir, "create", source))?;
        let identity = Identity {
            config: config.to_toml(),
            seed,
            n_pairs: train.pairs.len(),
            pairs: pairs_hash(train),
        };
        let checkpoint = dir.join("checkpoint.bin");
        if !session.resume && checkpoint.exists() {
            return Err(CoreError::data(
                &checkpoint,
                Place::Whole,
                "the folder already holds a run",
                "resume it, or choose another folder",
            )
            .into());
        }
        durable::write(dir.join("config.toml"), identity.config.as_bytes())?;
        if let Some(vocabulary) = vocabulary {
            vocabulary.write(dir.join("vocabulary.json"))?;
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
        let path = kept.dir.join("checkpoint.bin");
        if !kept.resume || !path.exists() {
            return Ok(None);
        }
        let (head, snapshot) = read_checkpoint(&path)?;
        if let Some(difference) = head.identity.difference(&kept.identity) {
            return Err(CoreError::data(
                &path,
                Place::Whole,
                format!("the checkpoint is of another run: {difference}"),
                "resume with the same data, noise, seed and config, or start a new run",
            )
            .into());
        }
        kept.events.resume(head.events)?;
        self.weights = read_weights(&kept.dir)?.1;
        Ok(Some(snapshot))
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

    pub(crate) fn write_weights(
        &self,
        peers: &[Parameters],
        shapes: (InputShape, InputShape),
    ) -> Result<()> {
        match &self.kept {
            Some(kept) => write_weights(&kept.dir, peers, shapes),
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
            lines.push_str(&json(record));
            lines.push('\n');
        }
        durable::write(kept.dir.join("metrics.jsonl"), lines.as_bytes())?;
        if let Some(record) = history.last() {
            kept.events.epoch(record, now)?;
        }
        let head = CheckpointHead {
            identity: kept.identity.clone(),
            next_epoch: snapshot.next_epoch,
            best_epoch: snapshot.best_epoch,
            best_value: snapshot.best_value,
            steps: snapshot.peers.iter().map(|peer| peer.steps).collect(),
            memories: (snapshot.peers.first()).map_or(0, |peer| peer.ledger.memories.len()),
            strategy: snapshot.strategy.clone(),
            events: kept.events.len(),
        };
        Ok(durable::write(
            kept.dir.join("checkpoint.bin"),
            &checkpoint_bytes(&head, snapshot),
        )?)
    }

    pub(crate) fn write_ledgers(&self, ledgers: &[Ledger]) -> Result<()> {
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        for (at, ledger) in ledgers.iter().enumerate() {
            let name = if at == 0 {
                "ledger.bin".to_owned()
            } else {
                format!("ledger_{at}.bin")
            };
            durable::write(kept.dir.join(name), &ledger.to_bytes())?;
        }
        Ok(())
    }
}

impl Identity {
    fn difference(&self, other: &Self) -> Option<String> {
        if self.config != other.config {
            let line = (self.config.lines().zip(other.config.lines()))
                .find(|(a, b)| a != b)
                .map_or("its length".to_owned(), |(a, b)| {
                    format!("`{a}` there, `{b}` here")
                });
            return Some(format!("the config differs: {line}"));
        }
        if self.seed != other.seed {
            return Some(format!("its seed is {}, not {}", self.seed.0, other.seed.0));
        }
        (self.pairs != other.pairs).then(|| {
            format!(
                "its {} pairs are not the {} given ones",
                self.n_pairs, other.n_pairs
            )
        })
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
    durable::write(dir.join("config.toml"), config.to_toml().as_bytes())?;
    vocabulary.write(dir.join("vocabulary.json"))?;
    write_weights(dir, peers, shapes)
}

fn write_weights(
    dir: &Path,
    peers: &[Parameters],
    (image, caption): (InputShape, InputShape),
) -> Result<()> {
    let head = WeightsHead {
        version: WEIGHTS_VERSION,
        image,
        caption,
        peers: peers.len(),
    };
    let mut tensors = Tensors::default();
    for (at, peer) in peers.iter().enumerate() {
        for (name, values) in peer {
            tensors.push(format!("peer_{at}.{name}"), &values.shape, &values.values);
        }
    }
    // One key: the library writes several in random order, and runs must repeat to the byte.
    let metadata = HashMap::from([(WEIGHTS_KEY.to_owned(), json(&head))]);
    Ok(durable::write(
        dir.join("weights.safetensors"),
        &tensors.bytes(metadata),
    )?)
}

/// Reads the kept weights of a run directory.
pub(crate) fn load(dir: &Path, device: &Device) -> Result<Trained> {
    let path = dir.join("config.toml");
    let text = fs::read_to_string(&path).map_err(|source| CoreError::io(&path, "read", source))?;
    let config: Config = toml::from_str(&text).map_err(|error| {
        CoreError::data(
            &path,
            Place::Whole,
            format!("no config of a run: {error}"),
            "give the folder that `truepair train --out` made",
        )
    })?;
    let vocabulary = match config.matcher.caption.reads_tokens() {
        true => Some(Vocabulary::read(dir.join("vocabulary.json"))?),
        false => None,
    };
    let (head, weights) = read_weights(dir)?;
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
        vocabulary,
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
    let (head, snapshot) = read_checkpoint(&dir.join("checkpoint.bin"))?;
    trained.best_epoch = head.next_epoch.saturating_sub(1);
    trained.peers = (trained.peers.into_iter().zip(snapshot.peers))
        .map(|(peer, saved)| parameters::import(peer, saved.weights))
        .collect::<Result<_>>()?;
    Ok(trained)
}

/// The recipe that a run directory was trained with, for resuming it.
///
/// # Errors
/// If there is no readable `config.toml`.
pub fn recipe(dir: &Path) -> Result<Recipe> {
    let path = dir.join("config.toml");
    let text = fs::read_to_string(&path).map_err(|source| CoreError::io(&path, "read", source))?;
    Recipe::from_toml(&text).map_err(|error| {
        CoreError::data(
            &path,
            Place::Whole,
            format!("no config of a run: {error}"),
            "give the folder that `truepair train --out` made",
        )
        .into()
    })
}

fn read_history(dir: &Path) -> Result<Vec<EpochRecord>> {
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

fn read_weights(dir: &Path) -> Result<(WeightsHead, Vec<Parameters>)> {
    let path = dir.join("weights.safetensors");
    let bytes = fs::read(&path).map_err(|source| CoreError::io(&path, "read", source))?;
    let damaged = |problem: String| {
        CoreError::data(
            &path,
            Place::Whole,
            problem,
            "restore the file, or train again",
        )
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| damaged(format!("no safetensors file: {error}")))?;
    let metadata = metadata.metadata().clone().unwrap_or_default();
    let head = metadata.get(WEIGHTS_KEY).ok_or_else(|| {
        damaged("it has no truepair metadata, so another program wrote it".into())
    })?;
    let head: WeightsHead = serde_json::from_str(head)
        .map_err(|error| damaged(format!("unreadable matcher description: {error}")))?;
    if head.version != WEIGHTS_VERSION {
        return Err(damaged(format!(
            "weights version {}, expected {WEIGHTS_VERSION}",
            head.version
        ))
        .into());
    }
    let tensors = read_tensors(&bytes).map_err(damaged)?;
    let mut peers = vec![Parameters::new(); head.peers];
    for (name, values) in tensors {
        let place = name
            .strip_prefix("peer_")
            .and_then(|rest| rest.split_once('.'));
        let peer = place.and_then(|(at, name)| Some((at.parse::<usize>().ok()?, name)));
        match peer {
            Some((at, name)) if at < peers.len() => peers[at].insert(name.to_owned(), values),
            _ => return Err(damaged(format!("tensor `{name}` belongs to no peer")).into()),
        };
    }
    Ok((head, peers))
}

/// Named tensors on their way into a safetensors file.
#[derive(Default)]
struct Tensors(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn push(&mut self, name: String, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.0.push((name, shape.to_vec(), bytes));
    }

    fn bytes(&self, metadata: HashMap<String, String>) -> Vec<u8> {
        let views = self.0.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                .expect("four bytes were written for every value");
            (name.as_str(), view)
        });
        safetensors::serialize(views, Some(metadata)).expect("names and shapes are valid")
    }
}

fn read_tensors(bytes: &[u8]) -> std::result::Result<Vec<(String, Values)>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for (name, view) in tensors.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(format!(
                "tensor `{name}` is {:?}, expected F32",
                view.dtype()
            ));
        }
        let values = (view.data().chunks_exact(4))
            .map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]))
            .collect();
        out.push((
            name,
            Values {
                shape: view.shape().to_vec(),
                values,
            },
        ));
    }
    Ok(out)
}

/// Magic, version, length of the head, head as JSON, safetensors, SHA-256 of everything before.
fn checkpoint_bytes(head: &CheckpointHead, snapshot: &Snapshot) -> Vec<u8> {
    let mut tensors = Tensors::default();
    for (at, peer) in snapshot.peers.iter().enumerate() {
        for (name, values) in &peer.weights {
            tensors.push(
                format!("{at}/weights/{name}"),
                &values.shape,
                &values.values,
            );
        }
        for (name, values) in peer.teacher.iter().flatten() {
            tensors.push(
                format!("{at}/teacher/{name}"),
                &values.shape,
                &values.values,
            );
        }
        for (name, moments) in &peer.moments {
            let shape = [moments.first.len()];
            tensors.push(format!("{at}/first/{name}"), &shape, &moments.first);
            tensors.push(format!("{at}/second/{name}"), &shape, &moments.second);
        }
        for (name, column) in ledger_columns(&peer.ledger) {
            tensors.push(format!("{at}/ledger/{name}"), &[column.len()], column);
        }
        for (memory, column) in peer.ledger.memories.iter().enumerate() {
            tensors.push(format!("{at}/memory/{memory}"), &[column.len()], column);
        }
    }
    let head = json(head);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((head.len() as u64).to_le_bytes());
    bytes.extend(head.as_bytes());
    bytes.extend(tensors.bytes(HashMap::new()));
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(digest.as_slice());
    bytes
}

fn read_checkpoint(path: &Path) -> Result<(CheckpointHead, Snapshot)> {
    let bytes = fs::read(path).map_err(|source| CoreError::io(path, "read", source))?;
    let damaged = |problem: String| {
        CoreError::data(
            path,
            Place::Whole,
            format!("the checkpoint is damaged: {problem}"),
            "remove the run folder and train again",
        )
    };
    let fixed = MAGIC.len() + 4 + 8;
    if bytes.len() < fixed + 32 || &bytes[..8] != MAGIC {
        return Err(damaged("it is not a truepair checkpoint".into()).into());
    }
    let (body, digest) = bytes.split_at(bytes.len() - 32);
    if Sha256::digest(body).as_slice() != digest {
        return Err(damaged("its checksum does not match its content".into()).into());
    }
    let version = u32::from_le_bytes(body[8..12].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(damaged(format!("version {version}, expected {VERSION}")).into());
    }
    let n = u64::from_le_bytes(body[12..20].try_into().expect("eight bytes")) as usize;
    let split = fixed.checked_add(n).filter(|&end| end <= body.len());
    let end = split.ok_or_else(|| damaged("its head is longer than the file".into()))?;
    let head: CheckpointHead =
        serde_json::from_slice(&body[fixed..end]).map_err(|error| damaged(error.to_string()))?;
    let mut tensors: HashMap<String, Values> = read_tensors(&body[end..])
        .map_err(damaged)?
        .into_iter()
        .collect();
    let mut peers = Vec::new();
    for (at, &steps) in head.steps.iter().enumerate() {
        peers.push(PeerSnapshot::take(at, steps, head.memories, &mut tensors).map_err(damaged)?);
    }
    let snapshot = Snapshot {
        next_epoch: head.next_epoch,
        best_epoch: head.best_epoch,
        best_value: head.best_value,
        peers,
        strategy: head.strategy.clone(),
    };
    Ok((head, snapshot))
}

impl PeerSnapshot {
    fn take(
        at: usize,
        steps: u64,
        n_memories: usize,
        tensors: &mut HashMap<String, Values>,
    ) -> std::result::Result<Self, String> {
        let teacher: Parameters = {
            let prefix = format!("{at}/teacher/");
            let held = tensors.extract_if(|name, _| name.starts_with(&prefix));
            held.map(|(name, values)| (name[prefix.len()..].to_owned(), values))
                .collect()
        };
        let prefix = format!("{at}/weights/");
        let names: Vec<String> = (tensors.keys())
            .filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned))
            .collect();
        let mut take = |key: String| {
            tensors
                .remove(&key)
                .ok_or_else(|| format!("`{key}` is missing"))
        };
        let mut weights = Parameters::new();
        let mut moments = BTreeMap::new();
        for name in &names {
            weights.insert(name.clone(), take(format!("{at}/weights/{name}"))?);
            let first = take(format!("{at}/first/{name}"))?.values;
            let second = take(format!("{at}/second/{name}"))?.values;
            moments.insert(name.clone(), Moments { first, second });
        }
        let mut ledger = Ledger::new(0);
        for (name, column) in ledger_columns_mut(&mut ledger) {
            *column = take(format!("{at}/ledger/{name}"))?.values;
        }
        for memory in 0..n_memories {
            (ledger.memories).push(take(format!("{at}/memory/{memory}"))?.values);
        }
        Ok(Self {
            weights,
            teacher: (!teacher.is_empty()).then_some(teacher),
            steps,
            moments,
            ledger,
        })
    }
}

fn ledger_columns(ledger: &Ledger) -> [(&'static str, &[f32]); 4] {
    [
        ("loss", &ledger.loss),
        ("clean_posterior", &ledger.clean_posterior),
        ("soft_label", &ledger.soft_label),
        ("uncertainty", &ledger.uncertainty),
    ]
}

fn ledger_columns_mut(ledger: &mut Ledger) -> [(&'static str, &mut Vec<f32>); 4] {
    [
        ("loss", &mut ledger.loss),
        ("clean_posterior", &mut ledger.clean_posterior),
        ("soft_label", &mut ledger.soft_label),
        ("uncertainty", &mut ledger.uncertainty),
    ]
}

fn pairs_hash(dataset: &Dataset) -> String {
    let mut hash = Sha256::new();
    for pair in &dataset.pairs {
        hash.update(pair.image.to_le_bytes());
        hash.update(pair.caption.to_le_bytes());
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs with string keys serialize")
}
