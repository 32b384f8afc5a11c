//! One row of beliefs per pair: what methods remember between epochs and what the audit reads.
//!
//! All per-pair memory of a method lives here, so runs can be resumed and methods compared on the
//! same signal. The ledger holds beliefs only; truth about planted noise is in the
//! [`Manifest`](crate::noise::Manifest).
//!
//! # File format, version 2
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `TPLEDGER` |
//! | 4 | version, little-endian `u32` |
//! | 8 | number of pairs n, little-endian `u64` |
//! | 4 | number of memories m, little-endian `u32` |
//! | 4 × 4n | loss, clean posterior, soft label, uncertainty: little-endian `f32` columns |
//! | m × 4n | memories, likewise |
//! | 32 | SHA-256 of everything before |

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable;
use crate::error::{Error, Place, Result};

const MAGIC: &[u8; 8] = b"TPLEDGER";
const VERSION: u32 = 2;
const N_BELIEFS: usize = 4;
const HEADER: usize = 8 + 4 + 8 + 4;
const CHECKSUM: usize = 32;

/// Beliefs about all pairs of a data set, in its pair order; every column is `[n_pairs]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The pair's last training loss, in the objective's unit.
    pub loss: Vec<f32>,
    /// P(pair is clean), [0, 1].
    pub clean_posterior: Vec<f32>,
    /// Soft correspondence, [0, 1]: the belief that stands in for the pair's label.
    pub soft_label: Vec<f32>,
    /// How little evidence there is, [0, 1]; 0 for methods without such an estimate. Where items are
    /// Gaussians and the method has no estimate of its own, the mean over the pair's image and caption
    /// of the share of the variance in the mean squared length of their draws.
    pub uncertainty: Vec<f32>,
    /// A method's own running values, one column each, for instance a moving average of its predictions.
    pub memories: Vec<Vec<f32>>,
}

impl Ledger {
    /// Beliefs before any evidence: every pair is clean (posterior and soft label 1), the rest 0;
    /// no memories.
    pub fn new(n_pairs: usize) -> Self {
        Self {
            loss: vec![0.0; n_pairs],
            clean_posterior: vec![1.0; n_pairs],
            soft_label: vec![1.0; n_pairs],
            uncertainty: vec![0.0; n_pairs],
            memories: Vec::new(),
        }
    }

    /// [`new`](Self::new) with `n_memories` columns of 0.
    pub fn with_memories(n_pairs: usize, n_memories: usize) -> Self {
        Self {
            memories: vec![vec![0.0; n_pairs]; n_memories],
            ..Self::new(n_pairs)
        }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.loss.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.loss.is_empty()
    }

    /// The file's bytes.
    ///
    /// ```
    /// use truepair_core::ledger::Ledger;
    ///
    /// let ledger = Ledger::new(3);
    /// let back = Ledger::from_bytes(&ledger.to_bytes(), "ledger.bin")?;
    /// assert_eq!(back.len(), 3);
    /// # Ok::<(), truepair_core::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the columns have different lengths.
    pub fn to_bytes(&self) -> Vec<u8> {
        let n = self.len();
        let m = self.memories.len();
        let mut bytes = Vec::with_capacity(file_len(n, m).unwrap_or(0));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(n as u64).to_le_bytes());
        bytes.extend_from_slice(&(m as u32).to_le_bytes());
        for column in self.columns() {
            assert_eq!(column.len(), n, "ledger columns of different lengths");
            column
                .iter()
                .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads [`to_bytes`](Self::to_bytes) back to the bit; `path` only names the place in errors.
    ///
    /// # Errors
    /// If the bytes are not a ledger, have another version or another length than their header says, or
    /// were changed after they were written.
    pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let (n, m) = check(bytes).map_err(|problem| {
            Error::data(
                &path,
                Place::Whole,
                problem,
                "restore the file or start a new run",
            )
        })?;
        let body = bytes[HEADER..bytes.len() - CHECKSUM].chunks_exact(4);
        let mut values = body.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let mut column = || values.by_ref().take(n).collect();
        Ok(Self {
            loss: column(),
            clean_posterior: column(),
            soft_label: column(),
            uncertainty: column(),
            memories: (0..m).map(|_| column()).collect(),
        })
    }

    /// Writes the ledger so that `path` holds either the old or the new file, never a part.
    ///
    /// # Errors
    /// If the folder cannot be written or the disk is full; `path` is then unchanged.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        durable::write(path, &self.to_bytes())
    }

    /// Reads a ledger.
    ///
    /// # Errors
    /// If the file cannot be read, and as [`from_bytes`](Self::from_bytes).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let bytes = std::fs::read(&path).map_err(|source| Error::io(&path, "read", source))?;
        Self::from_bytes(&bytes, path)
    }

    fn columns(&self) -> impl Iterator<Item = &[f32]> {
        let beliefs: [&[f32]; N_BELIEFS] = [
            &self.loss,
            &self.clean_posterior,
            &self.soft_label,
            &self.uncertainty,
        ];
        (beliefs.into_iter()).chain(self.memories.iter().map(Vec::as_slice))
    }
}

/// What a method believes about every pair, as one signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    /// Column of the ledger: `clean_posterior`, or `soft_label` for methods without a posterior.
    pub signal: &'static str,
    /// Mean over peers of the belief that a pair is matched, `[n_pairs]`, [0, 1].
    pub clean: Vec<f64>,
}

impl Belief {
    /// The belief of a method's peers; `None` when they believe in every pair, as methods without
    /// beliefs of their own do.
    ///
    /// # Panics
    /// If the ledgers have different lengths.
    pub fn of(ledgers: &[&Ledger]) -> Option<Self> {
        let columns = [
            ("clean_posterior", mean(ledgers, |own| &own.clean_posterior)),
            ("soft_label", mean(ledgers, |own| &own.soft_label)),
        ];
        let is_held = |values: &[f64]| values.iter().any(|&value| (value - 1.0).abs() > 1e-9);
        let (signal, clean) = columns.into_iter().find(|(_, values)| is_held(values))?;
        Some(Self { signal, clean })
    }
}

/// A column's mean over peers, `[n_pairs]`.
///
/// # Panics
/// If the ledgers have different lengths.
pub fn mean(ledgers: &[&Ledger], column: impl Fn(&Ledger) -> &Vec<f32>) -> Vec<f64> {
    let share = 1.0 / ledgers.len().max(1) as f64;
    let mut sum = vec![0.0; ledgers.first().map_or(0, |ledger| ledger.len())];
    for ledger in ledgers {
        assert_eq!(ledger.len(), sum.len(), "peers of different data");
        for (sum, &value) in sum.iter_mut().zip(column(ledger)) {
            *sum += share * f64::from(value);
        }
    }
    sum
}

fn file_len(n_pairs: usize, n_memories: usize) -> Option<usize> {
    n_pairs
        .checked_mul(N_BELIEFS.checked_add(n_memories)?)?
        .checked_mul(4)?
        .checked_add(HEADER + CHECKSUM)
}

/// The numbers of pairs and of memories of an intact file, or what is wrong with it.
fn check(bytes: &[u8]) -> Result<(usize, usize), String> {
    if !bytes.starts_with(MAGIC) {
        return Err("not a ledger: the first bytes are not TPLEDGER".into());
    }
    if bytes.len() < HEADER + CHECKSUM {
        return Err(format!("{} bytes are too few for a ledger", bytes.len()));
    }
    let version = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes by the slice"));
    if version != VERSION {
        return Err(format!(
            "ledger version {version}, but this program reads version {VERSION}"
        ));
    }
    let n = u64::from_le_bytes(bytes[12..20].try_into().expect("eight bytes by the slice"));
    let m = u32::from_le_bytes(bytes[20..24].try_into().expect("four bytes by the slice")) as usize;
    let expected = usize::try_from(n).ok().and_then(|n| file_len(n, m));
    if expected != Some(bytes.len()) {
        return Err(format!(
            "{} bytes do not hold the {n} pairs and {m} memories of the header",
            bytes.len()
        ));
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    if Sha256::digest(content).as_slice() != checksum {
        return Err("the checksum does not match: the file is corrupted".into());
    }
    Ok((n as usize, m))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::with_memories(3, 2);
        ledger.loss = vec![0.25, -0.0, f32::MIN_POSITIVE];
        ledger.clean_posterior[1] = 0.125;
        ledger.memories[1][2] = f32::NAN;
        ledger
    }

    #[test]
    fn a_ledger_comes_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.bin");
        ledger().write(&path).unwrap();
        let read = Ledger::read(&path).unwrap();
        assert_eq!(read.to_bytes(), ledger().to_bytes());
        assert_eq!(read.clean_posterior, [1.0, 0.125, 1.0]);
        assert_eq!(
            Ledger::from_bytes(&Ledger::new(0).to_bytes(), "x")
                .unwrap()
                .len(),
            0
        );
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = ledger().to_bytes();
        assert_eq!(bytes.len(), 24 + 6 * 4 * 3 + 32);
        assert_eq!(&bytes[..12], b"TPLEDGER\x02\0\0\0");
        assert_eq!(bytes[12..20], 3u64.to_le_bytes());
        assert_eq!(bytes[20..24], 2u32.to_le_bytes());
        assert_eq!(bytes[24..28], 0.25f32.to_le_bytes());
        assert_eq!(bytes[24 + 12 + 4..][..4], 0.125f32.to_le_bytes());
    }

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let good = ledger().to_bytes();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let error = Ledger::from_bytes(&bad, "run/ledger.bin")
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("run/ledger.bin: "), "{error}");
        }
    }

    #[test]
    fn any_other_length_is_found() {
        let mut bytes = ledger().to_bytes();
        for len in 0..bytes.len() {
            assert!(Ledger::from_bytes(&bytes[..len], "x").is_err(), "{len}");
        }
        bytes.push(0);
        assert!(Ledger::from_bytes(&bytes, "x").is_err());
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = ledger().to_bytes();
        bytes[8] = 1;
        let error = Ledger::from_bytes(&bytes, "x").unwrap_err().to_string();
        assert!(error.contains("version 1"), "{error}");
    }

    #[test]
    fn a_belief_is_the_mean_of_the_peers_posteriors_or_else_of_their_labels() {
        let (mut one, mut two) = (Ledger::new(2), Ledger::new(2));
        assert_eq!(Belief::of(&[&one, &two]), None);
        one.soft_label[1] = 0.5;
        let soft = Belief::of(&[&one, &two]).unwrap();
        assert_eq!((soft.signal, soft.clean), ("soft_label", vec![1.0, 0.75]));
        two.clean_posterior[0] = 0.25;
        let posterior = Belief::of(&[&one, &two]).unwrap();
        assert_eq!(posterior.signal, "clean_posterior");
        assert_eq!(posterior.clean, [0.625, 1.0]);
    }

    #[test]
    fn json_works_too() {
        let ledger = Ledger::new(2);
        let json = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&json).unwrap(), ledger);
    }
}
