//! What was confirmed already: a small file that is whole or absent.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use truepair_core::digest::Digest;
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use crate::layout::Layout;
use crate::record::{Record, Value};

/// The version of the file.
const VERSION: u32 = 1;

/// Digits of a batch's digest that are kept.
const DIGITS: usize = 32;

/// Batches that a store confirmed, in order.
#[derive(Debug)]
pub(crate) struct Progress {
    /// `None` where nothing is kept.
    path: Option<PathBuf>,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    /// Without a password.
    place: String,
    layout: Layout,
    /// Digests of what was sent.
    batches: Vec<String>,
}

impl Progress {
    /// What an earlier upload to the same place left, or nothing.
    ///
    /// # Errors
    /// If the file is damaged, or of another upload.
    pub(crate) fn open(path: Option<&Path>, place: &str, layout: &Layout) -> Result<Self> {
        let empty = State {
            version: VERSION,
            place: place.to_owned(),
            layout: *layout,
            batches: Vec::new(),
        };
        let state = match path {
            Some(path) if path.exists() => read(path, &empty)?,
            _ => empty,
        };
        let path = path.map(Path::to_path_buf);
        Ok(Self { path, state })
    }

    /// Whether the batch `at` was confirmed with this content.
    pub(crate) fn has(&self, at: usize, digest: &str) -> bool {
        self.state
            .batches
            .get(at)
            .is_some_and(|known| known == digest)
    }

    /// Forgets everything: the table is not the one that was written to.
    pub(crate) fn forget(&mut self) {
        self.state.batches.clear();
    }

    /// Remembers that the batch `at` was confirmed; whatever followed it has to be sent.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn confirm(&mut self, at: usize, digest: String) -> Result<()> {
        self.state.batches.truncate(at);
        self.state.batches.push(digest);
        let Some(path) = &self.path else {
            return Ok(());
        };
        let bytes = serde_json::to_vec(&self.state)
            .map_err(|cause| Error::io(path, "write", std::io::Error::other(cause)))?;
        durable::write(path, &bytes)
    }

    /// All is there; the file goes.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(crate) fn end(self) -> Result<()> {
        match self.path {
            Some(path) if path.exists() => {
                fs::remove_file(&path).map_err(|cause| Error::io(path, "remove", cause))
            }
            _ => Ok(()),
        }
    }
}

fn read(path: &Path, expected: &State) -> Result<State> {
    let bytes = source_file::read(path, source_file::LIST)
        .map_err(|cause| Error::io(path, "read", cause))?;
    let remedy = "remove it to send everything again, or name another file";
    let wrong = |problem: String| Error::data(path, Place::Whole, problem, remedy);
    let state: State = serde_json::from_slice(&bytes)
        .map_err(|cause| wrong(format!("not the progress of an upload: {cause}")))?;
    if state.version != VERSION {
        return Err(wrong(format!(
            "version {}, expected {VERSION}",
            state.version
        )));
    }
    if state.place != expected.place || state.layout != expected.layout {
        let (found, wanted) = (&state, expected);
        return Err(wrong(format!(
            "the progress of an upload of {} to {}, expected {} to {}",
            found.layout, found.place, wanted.layout, wanted.place
        )));
    }
    Ok(state)
}

/// A digest of everything that is stored of a batch.
pub(crate) fn digest_of(batch: &[Record]) -> String {
    let mut digest = Digest::new();
    let mut text = |text: Option<&str>| {
        // The length first, so that no two lists of texts run together to the same bytes.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        digest.add(&length.to_le_bytes());
        digest.add(text.unwrap_or_default().as_bytes());
    };
    for record in batch {
        text(Some(&record.id));
        text(record.caption.as_deref());
        text(record.picture.as_deref());
        text(record.p_mismatched.map(|p| p.to_string()).as_deref());
        text(
            record
                .total_variance
                .map(|total| total.to_string())
                .as_deref(),
        );
        for (name, value) in &record.columns {
            text(Some(name));
            let (kind, value) = match value {
                Value::Bool(value) => ("b", value.to_string()),
                Value::Int(value) => ("i", value.to_string()),
                Value::Float(value) => ("f", value.to_string()),
                Value::Text(value) => ("t", value.clone()),
            };
            text(Some(kind));
            text(Some(&value));
        }
        text(None);
    }
    let own = batch.iter().map(|record| Some(&record.vector));
    for vector in own.chain(batch.iter().map(|record| record.caption_vector.as_ref())) {
        let numbers = vector.into_iter().flatten();
        let bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
        digest.add(&(bytes.len() as u64).to_le_bytes());
        digest.add(&bytes);
    }
    let mut hex = digest.hex();
    hex.truncate(DIGITS);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_confirmed_is_known_after_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.json");
        let layout = Layout::embeddings(2);
        let open = |place: &str, layout| Progress::open(Some(&path), place, &layout);
        let mut progress = open("a", layout).unwrap();
        for (at, digest) in ["x", "y", "z"].into_iter().enumerate() {
            progress.confirm(at, digest.into()).unwrap();
        }
        let mut progress = open("a", layout).unwrap();
        assert!(progress.has(0, "x") && progress.has(2, "z") && !progress.has(1, "x"));
        progress.confirm(1, "other".into()).unwrap();
        assert!(
            !open("a", layout).unwrap().has(2, "z"),
            "what follows a change is sent again"
        );
        let error = open("b", layout).unwrap_err().to_string();
        assert!(
            error.contains("to a, expected") && error.contains("to b"),
            "{error}"
        );
        assert!(open("a", Layout::gaussians(2)).is_err());
        fs::write(&path, b"{").unwrap();
        let error = open("a", layout).unwrap_err().to_string();
        assert!(
            error.contains("progress.json") && error.contains("remove it"),
            "{error}"
        );
        fs::write(&path, r#"{"version":2,"place":"a","layout":{"geometry":"embedding","n_numbers":2},"batches":[]}"#).unwrap();
        assert!(
            open("a", layout)
                .unwrap_err()
                .to_string()
                .contains("version 2")
        );
        fs::remove_file(&path).unwrap();
        let mut progress = open("a", layout).unwrap();
        progress.confirm(0, "x".into()).unwrap();
        progress.end().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_part_of_a_record_counts() {
        let record = Record {
            id: "a".into(),
            caption: Some("b".into()),
            vector: vec![1.0],
            ..Record::default()
        };
        let changes: [fn(&mut Record); 8] = [
            |record| record.id = "ab".into(),
            |record| record.caption = None,
            |record| record.picture = Some(String::new()),
            |record| drop(record.columns.insert("x".into(), Value::Int(1))),
            |record| record.p_mismatched = Some(0.5),
            |record| record.vector[0] = -1.0,
            |record| record.total_variance = Some(0.0),
            |record| record.caption_vector = Some(vec![2.0]),
        ];
        let whole = digest_of(std::slice::from_ref(&record));
        assert_eq!(whole, digest_of(std::slice::from_ref(&record)));
        for change in changes {
            let mut other = record.clone();
            change(&mut other);
            assert_ne!(digest_of(&[other]), whole);
        }
    }
}
