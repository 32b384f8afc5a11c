//! Files that are parts of one thing, numbered in their names: `emb_0.npy`, `emb_1.npy`, or
//! `emb-00001-of-00002.safetensors`.
//!
//! They are read in the order of their numbers, not of their letters. A number that is missing or
//! stands twice is an error: rows would move to other images.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

/// Shards that a set may have.
const MOST_SHARDS: u64 = 1 << 20;

/// What the name of a shard says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardName {
    /// What stands before the number, without the sign between.
    pub(crate) stem: String,
    pub(crate) ending: String,
    number: u64,
    /// How many there are, where the name says so.
    of: Option<u64>,
}

impl ShardName {
    /// Reads the name of a file; `None` when no number stands before its ending.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (rest, ending) = name.rsplit_once('.')?;
        let (rest, last) = split_number(rest)?;
        let (stem, number, of) = match rest.strip_suffix("of").map(without_sign) {
            Some(before) if rest.len() > before.len() + 2 => {
                let (stem, number) = split_number(before)?;
                (stem, number, Some(last))
            }
            _ => (rest, last, None),
        };
        Some(Self {
            stem: without_sign(stem).to_owned(),
            ending: ending.to_owned(),
            number,
            of,
        })
    }

    /// Whether the name alone says that there are others.
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.of.is_some_and(|of| of > 1)
    }

    fn is_of_one_set_with(&self, other: &Self) -> bool {
        (&self.stem, &self.ending) == (&other.stem, &other.ending)
    }
}

/// The number in the name of a file.
pub(crate) fn number_of(file: &Path) -> Option<u64> {
    Some(ShardName::of(file)?.number)
}

/// `emb_` and 12 of `emb_12`; the sign between stays with the first, `-of-` loses its own.
fn split_number(name: &str) -> Option<(&str, u64)> {
    let start = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number = name[start..].parse().ok()?;
    let rest = &name[..start];
    let rest = match rest.strip_suffix("-of-").or(rest.strip_suffix("_of_")) {
        Some(_) => &rest[..rest.len() - 1],
        None => rest,
    };
    Some((rest, number))
}

fn without_sign(name: &str) -> &str {
    name.strip_suffix(['-', '_', '.']).unwrap_or(name)
}

/// Files whose names differ in their numbers only.
#[derive(Debug, Clone)]
pub(crate) struct ShardSet {
    pub(crate) stem: String,
    parts: Vec<(ShardName, PathBuf)>,
}

/// The sets among `files`; files without a number are in none.
pub(crate) fn sets_among(files: &[PathBuf]) -> Vec<ShardSet> {
    let mut sets: Vec<ShardSet> = Vec::new();
    for file in files {
        let Some(name) = ShardName::of(file) else {
            continue;
        };
        let is_own = |set: &&mut ShardSet| set.parts[0].0.is_of_one_set_with(&name);
        match sets.iter_mut().find(is_own) {
            Some(set) => set.parts.push((name, file.clone())),
            None => sets.push(ShardSet {
                stem: name.stem.clone(),
                parts: vec![(name, file.clone())],
            }),
        }
    }
    sets
}

/// All shards of the set that `file` is one of, where its name says that there are others.
///
/// # Errors
/// If the folder cannot be read, and those of [`ShardSet::in_order`].
pub(crate) fn set_of(file: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some(name) = ShardName::of(file).filter(ShardName::is_one_of_several) else {
        return Ok(None);
    };
    let folder = source_file::folder_of(file);
    let failed = |source| Error::io(folder, "list", source);
    let mut beside = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let other = ShardName::of(&path);
        if other.is_some_and(|other| other.is_of_one_set_with(&name)) {
            beside.push(path);
        }
    }
    beside.sort();
    let set = sets_among(&beside).pop();
    set.map(ShardSet::in_order).transpose()
}

impl ShardSet {
    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Its files, in no order.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|(_, file)| file.as_path())
    }

    /// Some file of it.
    pub(crate) fn first(&self) -> &Path {
        &self.parts[0].1
    }

    /// Whether the names alone say that there are several.
    pub(crate) fn is_of_several(&self) -> bool {
        self.parts.len() > 1 || self.parts[0].0.is_one_of_several()
    }

    /// The files by their numbers, whatever is missing; where other files have the same numbers,
    /// nothing moves. Numbers that are missing between others are noted.
    ///
    /// # Errors
    /// If a number stands twice; the files are named.
    pub(crate) fn by_number(mut self, account: &mut Account) -> Result<Vec<PathBuf>> {
        self.sort()?;
        let numbers = self.parts.windows(2);
        let gaps = numbers.flat_map(|two| two[0].0.number + 1..two[1].0.number);
        for number in gaps.take(MOST_SHARDS as usize) {
            account.pass("shard", "there is no file of its number", number);
        }
        Ok(self.parts.into_iter().map(|(_, file)| file).collect())
    }

    fn sort(&mut self) -> Result<()> {
        self.parts.sort_by_key(|(name, _)| name.number);
        self.refuse_twins()
    }

    /// The files by their numbers.
    ///
    /// # Errors
    /// If a number stands twice or is missing; the files are named.
    pub(crate) fn in_order(mut self) -> Result<Vec<PathBuf>> {
        self.sort()?;
        let (first, file) = &self.parts[0];
        let n = self.parts.len();
        let n_of = first.of.unwrap_or(n as u64);
        if n_of > MOST_SHARDS {
            let problem = format!("its name speaks of {n_of} shards");
            return Err(Error::data(file, Place::Whole, problem, "rename it"));
        }
        // Numbers begin at 0 or at 1; a single file says nothing of others.
        let start = match (first.number, first.of) {
            (0, _) => 0,
            (number, None) if n == 1 => number,
            _ => 1,
        };
        let missing = (start..start + n_of).find(|number| {
            let found = self
                .parts
                .binary_search_by_key(number, |(name, _)| name.number);
            found.is_err()
        });
        if let Some(missing) = missing {
            let names = self.parts.iter().take(5).map(|(_, file)| own_name(file));
            let names: Vec<String> = names.collect();
            let more = if n > 5 { ", …" } else { "" };
            return Err(Error::data(
                file,
                Place::Whole,
                format!(
                    "shard {missing} is missing; {n} are there: {}{more}",
                    names.join(", ")
                ),
                "copy the missing shard, or number the shards from 0 or 1",
            ));
        }
        if n as u64 > n_of {
            return Err(Error::data(
                &self.parts[n - 1].1,
                Place::Whole,
                format!("its number is larger than that of all shards, {n_of}"),
                "remove it, or rename the shards",
            ));
        }
        Ok(self.parts.into_iter().map(|(_, file)| file).collect())
    }

    fn refuse_twins(&self) -> Result<()> {
        for two in self.parts.windows(2) {
            let ((one, a), (other, b)) = (&two[0], &two[1]);
            let beside = own_name(a);
            let (problem, remedy) = if one.number == other.number {
                (
                    format!("it has the number of {beside}"),
                    "keep one of the two",
                )
            } else if one.of != other.of {
                let problem = format!("its name says another number of shards than {beside}");
                (problem, "keep the shards of one set")
            } else {
                continue;
            };
            return Err(Error::data(b, Place::Whole, problem, remedy));
        }
        Ok(())
    }
}

fn own_name(file: &Path) -> String {
    file.file_name().unwrap_or_default().display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(names: &[&str]) -> Result<Vec<(String, Vec<String>)>> {
        let files: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let text = |file: PathBuf| file.display().to_string();
        let sets = sets_among(&files).into_iter();
        let ordered = |set: ShardSet| {
            let stem = set.stem.clone();
            Ok((stem, set.in_order()?.into_iter().map(text).collect()))
        };
        sets.map(ordered).collect()
    }

    #[test]
    fn numbers_order_and_not_letters() {
        let names = ["e_10.npy", "e_2.npy", "e_1.npy", "notes.txt", "e_0.npy"];
        let eleven: Vec<String> = (0..11).rev().map(|n| format!("e_{n}.npy")).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        let found = sets(&eleven).unwrap();
        assert_eq!((found.len(), found[0].1[10].as_str()), (1, "e_10.npy"));
        assert!(sets(&names).is_err(), "3 to 9 are missing");
        let found = sets(&["m-00002-of-00002.st", "m-00001-of-00002.st"]).unwrap();
        assert_eq!(found[0].0, "m");
        assert_eq!(found[0].1, ["m-00001-of-00002.st", "m-00002-of-00002.st"]);
        let from_zero = sets(&["m-00000-of-00002.st", "m-00001-of-00002.st"]).unwrap();
        assert_eq!(from_zero[0].1.len(), 2);
        assert_eq!(sets(&["clip_b32.npz"]).unwrap()[0].1.len(), 1);
        assert_eq!(sets(&["0.npy", "1.npy"]).unwrap()[0].0, "");
    }

    #[test]
    fn what_is_missing_or_stands_twice_is_named() {
        for (names, words) in [
            (
                &["m-00002-of-00002.st"][..],
                "m-00002-of-00002.st: shard 1 is missing",
            ),
            (
                &["m-00001-of-00003.st", "m-00003-of-00003.st"],
                "shard 2 is missing; 2 are there",
            ),
            (&["e_0.npy", "e_2.npy"], "shard 1 is missing"),
            (&["e_4.npy", "e_5.npy"], "shard 1 is missing"),
            (&["e_1.npy", "e_01.npy"], "it has the number of e_1.npy"),
            (
                &["m-1-of-2.st", "m-2-of-3.st"],
                "another number of shards than m-1-of-2.st",
            ),
            (
                &["m-1-of-2.st", "m-2-of-2.st", "m-3-of-2.st"],
                "larger than that of all",
            ),
            (&["m-1-of-99999999999.st"], "speaks of 99999999999 shards"),
        ] {
            let error = sets(names).unwrap_err().to_string();
            assert!(error.contains(words), "{names:?}: {error}");
        }
    }
}
