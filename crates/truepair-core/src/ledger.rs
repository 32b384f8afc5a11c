//! One row of beliefs per pair: what methods remember between epochs and what the audit reads.
//!
//! All per-pair memory of a method lives here, so runs can be resumed and methods compared on the
//! same signal. The ledger holds beliefs only; truth about planted noise is in the
//! [`Manifest`](crate::noise::Manifest).
//!
//! # File format, version 3
//!
//! Numbers are little-endian.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `TPLEDGER` |
//! | 4 | version, `u32` |
//! | 8 | number of pairs n, `u64` |
//! | 4 | number of a method's own columns m, `u32` |
//! | m times | kind: 0 = floats, 1 = ids (1 byte); length of the name (2 bytes); the name in UTF-8 |
//! | 4 × 4n | loss, clean posterior, soft label, uncertainty: `f32` columns |
//! | m × 4n | the method's own columns: `f32`, or `u32` with 2³² − 1 for "none" |
//! | 32 | SHA-256 of everything before |
//!
//! Version 2 had no names and kinds: its columns are read as floats called `memory_0`, `memory_1` and so on.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::durable;
use crate::error::{Error, Place, Result};
use crate::source_file;

const MAGIC: &[u8; 8] = b"TPLEDGER";
const VERSION: u32 = 3;
/// Oldest version that is read.
const OLDEST: u32 = 2;
const N_BELIEFS: usize = 4;
const HEADER: usize = 8 + 4 + 8 + 4;
const CHECKSUM: usize = 32;

/// The entry of a column of ids that names nothing.
pub const NO_ID: u32 = u32::MAX;

/// Beliefs about all pairs of a data set, in its pair order; every column is `[n_pairs]`.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// What else the method remembers about each pair, for instance a moving average of its predictions.
    own: Vec<Column>,
}

/// A method's own column, before it holds anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSpec {
    name: &'static str,
    kind: ColumnKind,
}

impl ColumnSpec {
    /// A column of numbers, which begin as 0.
    pub const fn floats(name: &'static str) -> Self {
        Self {
            name,
            kind: ColumnKind::Floats,
        }
    }

    /// A column of indices of images, captions or pairs, which begin as [`NO_ID`].
    pub const fn ids(name: &'static str) -> Self {
        Self {
            name,
            kind: ColumnKind::Ids,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    Floats,
    Ids,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    values: ColumnValues,
}

#[derive(Debug, Clone, PartialEq)]
enum ColumnValues {
    Floats(Vec<f32>),
    Ids(Vec<u32>),
}

impl ColumnValues {
    fn empty(kind: ColumnKind, n_pairs: usize) -> Self {
        match kind {
            ColumnKind::Floats => Self::Floats(vec![0.0; n_pairs]),
            ColumnKind::Ids => Self::Ids(vec![NO_ID; n_pairs]),
        }
    }

    fn kind(&self) -> ColumnKind {
        match self {
            Self::Floats(_) => ColumnKind::Floats,
            Self::Ids(_) => ColumnKind::Ids,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Ids(values) => values.len(),
        }
    }

    fn push_bytes(&self, out: &mut Vec<u8>) {
        match self {
            Self::Floats(values) => push_floats(values, out),
            Self::Ids(values) => out.extend(values.iter().flat_map(|id| id.to_le_bytes())),
        }
    }
}

fn push_floats(values: &[f32], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

impl Ledger {
    /// Beliefs before any evidence: every pair is clean (posterior and soft label 1), the rest 0; no
    /// columns of a method's own.
    pub fn new(n_pairs: usize) -> Self {
        Self {
            loss: vec![0.0; n_pairs],
            clean_posterior: vec![1.0; n_pairs],
            soft_label: vec![1.0; n_pairs],
            uncertainty: vec![0.0; n_pairs],
            own: Vec::new(),
        }
    }

    /// [`new`](Self::new) with a method's own columns.
    pub fn with_columns(n_pairs: usize, columns: &[ColumnSpec]) -> Self {
        let column = |spec: &ColumnSpec| Column {
            name: spec.name.to_owned(),
            values: ColumnValues::empty(spec.kind, n_pairs),
        };
        Self {
            own: columns.iter().map(column).collect(),
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

    /// Names of the method's own columns.
    pub fn own_columns(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(|column| column.name.as_str())
    }

    /// Whether the method's own columns are these, in this order.
    pub fn has_columns(&self, columns: &[ColumnSpec]) -> bool {
        let is = |(own, spec): (&Column, &ColumnSpec)| {
            own.name == spec.name && own.values.kind() == spec.kind
        };
        self.own.len() == columns.len() && self.own.iter().zip(columns).all(is)
    }

    /// A method's own column of numbers, `[n_pairs]`.
    ///
    /// # Panics
    /// If the ledger has no such column.
    pub fn floats(&self, column: ColumnSpec) -> &[f32] {
        match self.own.iter().find(|own| own.name == column.name) {
            Some(Column {
                values: ColumnValues::Floats(values),
                ..
            }) => values,
            _ => panic!("the ledger has no column of floats `{}`", column.name),
        }
    }

    /// As [`floats`](Self::floats), to be written.
    ///
    /// # Panics
    /// If the ledger has no such column.
    pub fn floats_mut(&mut self, column: ColumnSpec) -> &mut Vec<f32> {
        match self.own.iter_mut().find(|own| own.name == column.name) {
            Some(Column {
                values: ColumnValues::Floats(values),
                ..
            }) => values,
            _ => panic!("the ledger has no column of floats `{}`", column.name),
        }
    }

    /// All of a method's own columns of numbers, to be written.
    pub fn own_floats_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        self.own.iter_mut().filter_map(|own| match &mut own.values {
            ColumnValues::Floats(values) => Some(values),
            ColumnValues::Ids(_) => None,
        })
    }

    /// A method's own column of ids, `[n_pairs]`; [`NO_ID`] where there is none.
    ///
    /// # Panics
    /// If the ledger has no such column.
    pub fn ids(&self, column: ColumnSpec) -> &[u32] {
        match self.own.iter().find(|own| own.name == column.name) {
            Some(Column {
                values: ColumnValues::Ids(values),
                ..
            }) => values,
            _ => panic!("the ledger has no column of ids `{}`", column.name),
        }
    }

    /// As [`ids`](Self::ids), to be written.
    ///
    /// # Panics
    /// If the ledger has no such column.
    pub fn ids_mut(&mut self, column: ColumnSpec) -> &mut Vec<u32> {
        match self.own.iter_mut().find(|own| own.name == column.name) {
            Some(Column {
                values: ColumnValues::Ids(values),
                ..
            }) => values,
            _ => panic!("the ledger has no column of ids `{}`", column.name),
        }
    }

    /// The ledger of more pairs: row `n` goes to the n-th pair that `held` marks, the others keep the
    /// beliefs from before any evidence.
    ///
    /// # Panics
    /// If `held` marks another number of pairs than the ledger has.
    pub fn spread(&self, held: &[bool]) -> Ledger {
        let rows: Vec<usize> = (0..held.len()).filter(|&pair| held[pair]).collect();
        assert_eq!(rows.len(), self.len(), "pairs of another ledger");
        fn put<T: Copy>(from: &[T], rows: &[usize], to: &mut [T]) {
            for (&row, &value) in rows.iter().zip(from) {
                to[row] = value;
            }
        }
        let mut whole = Ledger::new(held.len());
        put(&self.loss, &rows, &mut whole.loss);
        put(&self.clean_posterior, &rows, &mut whole.clean_posterior);
        put(&self.soft_label, &rows, &mut whole.soft_label);
        put(&self.uncertainty, &rows, &mut whole.uncertainty);
        for column in &self.own {
            let mut values = ColumnValues::empty(column.values.kind(), held.len());
            match (&column.values, &mut values) {
                (ColumnValues::Floats(from), ColumnValues::Floats(to)) => put(from, &rows, to),
                (ColumnValues::Ids(from), ColumnValues::Ids(to)) => put(from, &rows, to),
                _ => unreachable!("an empty column is of the same kind"),
            }
            whole.own.push(Column {
                name: column.name.clone(),
                values,
            });
        }
        whole
    }

    /// The file's bytes.
    ///
    /// ```
    /// use truepair_core::ledger::{ColumnSpec, Ledger};
    ///
    /// const ENERGY: ColumnSpec = ColumnSpec::floats("energy");
    /// let mut ledger = Ledger::with_columns(3, &[ENERGY]);
    /// ledger.floats_mut(ENERGY)[1] = 0.5;
    /// let back = Ledger::from_bytes(&ledger.to_bytes(), "ledger.bin")?;
    /// assert_eq!(back.floats(ENERGY), [0.0, 0.5, 0.0]);
    /// # Ok::<(), truepair_core::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the columns have different lengths.
    pub fn to_bytes(&self) -> Vec<u8> {
        let n = self.len();
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(n as u64).to_le_bytes());
        bytes.extend_from_slice(&(self.own.len() as u32).to_le_bytes());
        for column in &self.own {
            assert_eq!(
                column.values.len(),
                n,
                "ledger columns of different lengths"
            );
            bytes.push(u8::from(column.values.kind() == ColumnKind::Ids));
            bytes.extend_from_slice(&(column.name.len() as u16).to_le_bytes());
            bytes.extend_from_slice(column.name.as_bytes());
        }
        let beliefs = [
            &self.loss,
            &self.clean_posterior,
            &self.soft_label,
            &self.uncertainty,
        ];
        for column in beliefs {
            assert_eq!(column.len(), n, "ledger columns of different lengths");
            push_floats(column, &mut bytes);
        }
        for column in &self.own {
            column.values.push_bytes(&mut bytes);
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads [`to_bytes`](Self::to_bytes) back to the bit; `path` only names the place in errors.
    ///
    /// # Errors
    /// If the bytes are not a ledger, have a version that is not read or another length than their header
    /// says, or were changed after they were written.
    pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        parse(bytes).map_err(|problem| {
            Error::data(
                &path,
                Place::Whole,
                problem,
                "restore the file or start a new run",
            )
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
        let bytes = source_file::read(path.as_ref(), source_file::STATE)
            .map_err(|source| Error::io(&path, "read", source))?;
        Self::from_bytes(&bytes, path)
    }
}

/// What a method believes about every pair, as one signal.
///
/// ```
/// use truepair_core::ledger::{Belief, Ledger};
///
/// // Two peers; one doubts the second pair.
/// let (first, mut second) = (Ledger::new(2), Ledger::new(2));
/// assert_eq!(Belief::of(&[&first, &second]), None);
/// second.clean_posterior[1] = 0.5;
/// let belief = Belief::of(&[&first, &second]).unwrap();
/// assert_eq!((belief.signal, belief.clean), ("clean_posterior", vec![1.0, 0.75]));
/// ```
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

/// The ledger of an intact file, or what is wrong with it.
fn parse(bytes: &[u8]) -> Result<Ledger, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("not a ledger: the first bytes are not TPLEDGER".into());
    }
    if bytes.len() < HEADER + CHECKSUM {
        return Err(format!("{} bytes are too few for a ledger", bytes.len()));
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    let version = u32::from_le_bytes(array(&content[8..]));
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(format!(
            "ledger version {version}, but this program reads versions {OLDEST} to {VERSION}"
        ));
    }
    if Sha256::digest(content).as_slice() != checksum {
        return Err("the checksum does not match: the file is corrupted".into());
    }
    let n = u64::from_le_bytes(array(&content[12..]));
    let m = u32::from_le_bytes(array(&content[20..])) as usize;
    let (columns, values) = if version < 3 {
        let unnamed = |memory| (format!("memory_{memory}"), ColumnKind::Floats);
        // The length of the file, checked below, bounds the number of columns.
        let columns = (0..m.min(content.len())).map(unnamed).collect();
        (columns, &content[HEADER..])
    } else {
        named_columns(m, &content[HEADER..]).ok_or("the names of its columns are cut short")?
    };
    let n_columns = N_BELIEFS.checked_add(m);
    let expected = usize::try_from(n)
        .ok()
        .and_then(|n| n.checked_mul(n_columns?)?.checked_mul(4));
    if expected != Some(values.len()) {
        return Err(format!(
            "{} bytes do not hold the {n} pairs and {m} columns of the header",
            bytes.len()
        ));
    }
    Ok(filled(values, n as usize, columns))
}

/// A ledger of `n` pairs from the bytes of its columns, as many as there are.
fn filled(values: &[u8], n: usize, columns: NamedColumns) -> Ledger {
    let mut columns_of_bytes = values.chunks_exact((n * 4).max(1));
    let mut next = || {
        let words = columns_of_bytes.next().unwrap_or_default().chunks_exact(4);
        words
            .map(|word| u32::from_le_bytes(array(word)))
            .collect::<Vec<u32>>()
    };
    let mut floats = || next().into_iter().map(f32::from_bits).collect();
    let mut ledger = Ledger {
        loss: floats(),
        clean_posterior: floats(),
        soft_label: floats(),
        uncertainty: floats(),
        own: Vec::new(),
    };
    for (name, kind) in columns {
        let values = match kind {
            ColumnKind::Floats => {
                ColumnValues::Floats(next().into_iter().map(f32::from_bits).collect())
            }
            ColumnKind::Ids => ColumnValues::Ids(next()),
        };
        ledger.own.push(Column { name, values });
    }
    ledger
}

/// Names and kinds of a method's own columns.
type NamedColumns = Vec<(String, ColumnKind)>;

/// The columns that a header names, and what follows; `None` if the bytes end before or make no sense.
fn named_columns(m: usize, mut bytes: &[u8]) -> Option<(NamedColumns, &[u8])> {
    let mut columns = Vec::new();
    for _ in 0..m {
        let (head, rest) = bytes.split_at_checked(3)?;
        let kind = match head[0] {
            0 => ColumnKind::Floats,
            1 => ColumnKind::Ids,
            _ => return None,
        };
        let len = u16::from_le_bytes(array(&head[1..])).into();
        let (name, rest) = rest.split_at_checked(len)?;
        columns.push((String::from_utf8(name.to_vec()).ok()?, kind));
        bytes = rest;
    }
    Some((columns, bytes))
}

/// The first bytes of a slice that holds as many.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("a slice of this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENERGY: ColumnSpec = ColumnSpec::floats("energy");
    const IMAGE: ColumnSpec = ColumnSpec::ids("image");

    fn ledger() -> Ledger {
        let mut ledger = Ledger::with_columns(3, &[IMAGE, ENERGY]);
        ledger.loss = vec![0.25, -0.0, f32::MIN_POSITIVE];
        ledger.clean_posterior[1] = 0.125;
        ledger.floats_mut(ENERGY)[2] = f32::NAN;
        ledger.ids_mut(IMAGE)[0] = 16_777_217;
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
        assert_eq!(read.ids(IMAGE), [16_777_217, NO_ID, NO_ID]);
        assert!(read.has_columns(&[IMAGE, ENERGY]) && !read.has_columns(&[ENERGY, IMAGE]));
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
        let names = (1 + 2 + 5) + (1 + 2 + 6);
        assert_eq!(bytes.len(), 24 + names + 6 * 4 * 3 + 32);
        assert_eq!(&bytes[..12], b"TPLEDGER\x03\0\0\0");
        assert_eq!(bytes[12..20], 3u64.to_le_bytes());
        assert_eq!(bytes[20..24], 2u32.to_le_bytes());
        assert_eq!(&bytes[24..41], b"\x01\x05\0image\0\x06\0energy");
        assert_eq!(bytes[41..45], 0.25f32.to_le_bytes());
        assert_eq!(bytes[41 + 12 + 4..][..4], 0.125f32.to_le_bytes());
        assert_eq!(bytes[41 + 48..][..4], 16_777_217u32.to_le_bytes());
    }

    #[test]
    fn version_2_is_read_with_columns_that_have_no_names() {
        let mut bytes = b"TPLEDGER\x02\0\0\0".to_vec();
        bytes.extend(2u64.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        for value in [0.5f32, 1.0, 0.25, 1.0, 1.0, 1.0, 0.0, 0.0, 7.0, 8.0] {
            bytes.extend(value.to_le_bytes());
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        let read = Ledger::from_bytes(&bytes, "ledger.bin").unwrap();
        assert_eq!((read.loss[0], read.clean_posterior[0]), (0.5, 0.25));
        assert_eq!(read.floats(ColumnSpec::floats("memory_0")), [7.0, 8.0]);
    }

    #[test]
    fn a_part_is_spread_over_all_pairs() {
        let whole = ledger().spread(&[true, false, true, true]);
        assert_eq!(whole.loss[2..], [-0.0, f32::MIN_POSITIVE]);
        assert_eq!(whole.clean_posterior, [1.0, 1.0, 0.125, 1.0]);
        assert_eq!(whole.ids(IMAGE), [16_777_217, NO_ID, NO_ID, NO_ID]);
        assert_eq!(whole.floats(ENERGY)[..3], [0.0; 3]);
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
}
