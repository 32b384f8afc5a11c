//! `checkpoint.bin`: the whole state after the last finished epoch.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use truepair_core::Error as CoreError;
use truepair_core::durable;
use truepair_core::error::Place;
use truepair_core::ledger::Ledger;
use truepair_core::source_file;

use super::identity::Identity;
use super::json::json;
use super::tensors::{self, Tensors};
use crate::error::Result;
use truepair_model::optimizer::Moments;
use truepair_model::parameters::{Parameters, Values};

const MAGIC: &[u8; 8] = b"TPCHECKP";
const VERSION: u32 = 3;

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

/// What a checkpoint holds besides numbers.
#[derive(Serialize, Deserialize)]
struct Head {
    identity: Identity,
    next_epoch: usize,
    best_epoch: usize,
    best_value: f64,
    steps: Vec<u64>,
    /// Length of each peer's ledger in bytes.
    ledgers: Vec<u64>,
    strategy: Vec<f64>,
    /// Bytes of the events file at the commit.
    events: u64,
}

/// Replaces the checkpoint: the commit of an epoch.
pub(super) fn write(
    path: &Path,
    identity: &Identity,
    snapshot: &Snapshot,
    events: u64,
) -> Result<()> {
    let peers = snapshot.peers.iter();
    let ledgers: Vec<Vec<u8>> = peers.map(|peer| peer.ledger.to_bytes()).collect();
    let head = Head {
        identity: identity.clone(),
        next_epoch: snapshot.next_epoch,
        best_epoch: snapshot.best_epoch,
        best_value: snapshot.best_value,
        steps: snapshot.peers.iter().map(|peer| peer.steps).collect(),
        ledgers: ledgers.iter().map(|ledger| ledger.len() as u64).collect(),
        strategy: snapshot.strategy.clone(),
        events,
    };
    Ok(durable::write(path, &bytes(&head, &ledgers, snapshot))?)
}

/// Magic, version, length of the head, head as JSON, ledgers as in their own files, safetensors, SHA-256 of
/// everything before.
fn bytes(head: &Head, ledgers: &[Vec<u8>], snapshot: &Snapshot) -> Vec<u8> {
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
    }
    let head = json(head);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((head.len() as u64).to_le_bytes());
    bytes.extend(head.as_bytes());
    bytes.extend(ledgers.iter().flatten());
    bytes.extend(tensors.bytes(HashMap::new()));
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(digest.as_slice());
    bytes
}

/// A committed state, the run it belongs to and how long the events file was.
pub(super) struct Committed {
    pub(super) identity: Identity,
    pub(super) events: u64,
    pub(super) snapshot: Snapshot,
}

/// Reads a checkpoint.
///
/// # Errors
/// If the file is damaged.
pub(super) fn read(path: &Path) -> Result<Committed> {
    let bytes = source_file::read(path, source_file::STATE)
        .map_err(|source| CoreError::io(path, "read", source))?;
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
        return Err(CoreError::data(
            path,
            Place::Whole,
            format!("a checkpoint of format {version}, but this program reads format {VERSION}"),
            "go on with the version of the program that wrote it, or train again",
        )
        .into());
    }
    let n = u64::from_le_bytes(body[12..20].try_into().expect("eight bytes")) as usize;
    let split = fixed.checked_add(n).filter(|&end| end <= body.len());
    let end = split.ok_or_else(|| damaged("its head is longer than the file".into()))?;
    let head: Head =
        serde_json::from_slice(&body[fixed..end]).map_err(|error| damaged(error.to_string()))?;
    let (ledgers, rest) = ledgers(&head, &body[end..], path)?;
    if ledgers.len() != head.steps.len() {
        return Err(damaged("a peer's ledger is cut short or missing".into()).into());
    }
    let mut tensors: HashMap<String, Values> =
        tensors::read(rest).map_err(damaged)?.into_iter().collect();
    let mut peers = Vec::new();
    for (at, (&steps, ledger)) in head.steps.iter().zip(ledgers).enumerate() {
        peers.push(PeerSnapshot::take(at, steps, ledger, &mut tensors).map_err(damaged)?);
    }
    let snapshot = Snapshot {
        next_epoch: head.next_epoch,
        best_epoch: head.best_epoch,
        best_value: head.best_value,
        peers,
        strategy: head.strategy,
    };
    Ok(Committed {
        identity: head.identity,
        events: head.events,
        snapshot,
    })
}

/// The ledgers that lie after the head, and what lies after them; those that are cut short are left out.
fn ledgers<'a>(head: &Head, mut rest: &'a [u8], path: &Path) -> Result<(Vec<Ledger>, &'a [u8])> {
    let mut ledgers = Vec::new();
    for &length in &head.ledgers {
        let length = usize::try_from(length).ok();
        let Some((ledger, after)) = length.and_then(|length| rest.split_at_checked(length)) else {
            break;
        };
        ledgers.push(Ledger::from_bytes(ledger, path)?);
        rest = after;
    }
    Ok((ledgers, rest))
}

impl PeerSnapshot {
    fn take(
        at: usize,
        steps: u64,
        ledger: Ledger,
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
        let mut weights = Parameters::new();
        let mut moments = BTreeMap::new();
        for name in &names {
            let mut take = |kind: &str| tensors.remove(&format!("{at}/{kind}/{name}"));
            weights.extend(take("weights").map(|values| (name.clone(), values)));
            match [take("first"), take("second")] {
                [Some(first), Some(second)] => {
                    let (first, second) = (first.values, second.values);
                    moments.insert(name.clone(), Moments { first, second });
                }
                // Weights that no step has moved, those of a closed form for instance.
                [None, None] => {}
                _ => return Err(format!("one moment of `{at}/weights/{name}` is missing")),
            }
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
