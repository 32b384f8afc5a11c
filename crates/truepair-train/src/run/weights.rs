//! `weights.safetensors`: the kept epoch's weights of every peer, readable from Python.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use truepair_core::Error as CoreError;
use truepair_core::durable;
use truepair_core::error::Place;
use truepair_core::source_file;

use super::file;
use super::json::json;
use super::tensors::{self, Tensors};
use crate::error::Result;
use truepair_model::backbone::InputShape;
use truepair_model::parameters::Parameters;

const VERSION: u32 = 2;
const KEY: &str = "truepair";
/// Where version 1 had its version.
const FIRST_KEY: &str = "truepair_weights";

/// What the numbers are of, beside them in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct WeightsHead {
    version: u32,
    /// What images are read as.
    pub(super) image: InputShape,
    /// What captions are read as.
    pub(super) caption: InputShape,
    peers: usize,
}

/// Writes every peer's weights with the shapes of its inputs.
pub(super) fn write(
    dir: &Path,
    peers: &[Parameters],
    (image, caption): (InputShape, InputShape),
) -> Result<()> {
    let head = WeightsHead {
        version: VERSION,
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
    let metadata = HashMap::from([(KEY.to_owned(), json(&head))]);
    Ok(durable::write(
        dir.join(file::WEIGHTS),
        &tensors.bytes(metadata),
    )?)
}

/// Every peer's weights.
pub(super) fn read(dir: &Path) -> Result<(WeightsHead, Vec<Parameters>)> {
    let path = dir.join(file::WEIGHTS);
    let bytes = source_file::read(&path, source_file::STATE)
        .map_err(|source| CoreError::io(&path, "read", source))?;
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
    let head = metadata.get(KEY).ok_or_else(|| {
        damaged(match metadata.get(FIRST_KEY) {
            Some(version) => format!("weights version {version}, expected {VERSION}"),
            None => "it has no truepair metadata, so another program wrote it".into(),
        })
    })?;
    let head: WeightsHead = serde_json::from_str(head)
        .map_err(|error| damaged(format!("unreadable matcher description: {error}")))?;
    if head.version != VERSION {
        return Err(damaged(format!(
            "weights version {}, expected {VERSION}",
            head.version
        ))
        .into());
    }
    let tensors = tensors::read(&bytes).map_err(damaged)?;
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
