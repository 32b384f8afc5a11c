//! Which files are corpus, queries and judgments, and of which split.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::super::leftovers::{Fate, account_for_folder, entries, is_hidden};
use super::super::records::{Kind, unpacked};
use super::super::shard_names::{ShardName, one_name};

/// Names of the parts.
const NAMES: [&[&str]; 3] = [&["corpus"], &["query", "queries"], &["qrels", "default"]];
/// Folders that only hold the parts.
const WRAPPERS: &[&str] = &["data"];

/// The parts of a folder, by configuration.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) configurations: Vec<Configuration>,
}

/// Whether all splits have one corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    /// Several splits do.
    BySplits,
    /// Every split has its own, or there is one split.
    ByNone,
}

/// One corpus with its queries and judgments.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    name: String,
    /// Files of each part with the splits that their names say.
    parts: [Vec<(Option<String>, PathBuf)>; 3],
}

impl Layout {
    /// Looks into a folder; finds nothing where a part is missing.
    ///
    /// # Errors
    /// If a folder cannot be listed, or holds no such parts.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let mut found: BTreeMap<String, Configuration> = BTreeMap::new();
        if folder.is_dir() {
            collect(folder, &mut found)?;
            for wrapper in WRAPPERS.iter().map(|name| folder.join(name)) {
                if found.is_empty() && wrapper.is_dir() {
                    collect(&wrapper, &mut found)?;
                }
            }
        }
        let configurations: Vec<Configuration> = (found.into_values())
            .filter(|found| found.parts.iter().all(|part| !part.is_empty()))
            .collect();
        if configurations.is_empty() {
            return Err(Error::data(
                folder,
                Place::Whole,
                "there are not corpus, queries and qrels of one name",
                "give the folder that holds all three",
            ));
        }
        Ok(Self { configurations })
    }

    /// Names of the splits, with the configuration before them where there are several.
    pub(super) fn splits(&self) -> Vec<String> {
        let mut splits: Vec<String> = self.named().map(|(name, _, _)| name).collect();
        splits.sort();
        splits
    }

    fn named(&self) -> impl Iterator<Item = (String, &Configuration, Vec<PathBuf>)> {
        let is_one = self.configurations.len() == 1;
        self.configurations.iter().flat_map(move |configuration| {
            let splits = configuration.judgments().into_iter();
            splits.map(move |(split, files)| {
                let name = match is_one || configuration.name.is_empty() {
                    true => split,
                    false => format!("{}-{split}", configuration.name),
                };
                (name, configuration, files)
            })
        })
    }

    /// The configuration of a split that there is, and its judgments.
    pub(super) fn of_split(&self, split: &str) -> (&Configuration, Vec<PathBuf>) {
        let mut named = self.named();
        let found = named.find(|(name, _, _)| name == split);
        found.map_or_else(
            || (&self.configurations[0], Vec::new()),
            |(_, configuration, files)| (configuration, files),
        )
    }

    /// All files, each once.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let parts = self.configurations.iter().flat_map(|one| &one.parts);
        parts.flatten().map(|(_, file)| file)
    }

    /// Notes what lies in the folder besides.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub(super) fn note(
        &self,
        account: &mut Account,
        folder: &Path,
        used: &Configuration,
        qrels: &[PathBuf],
    ) -> Result<()> {
        let corpus = used.corpus_of(qrels);
        let queries = used.queries_of(qrels);
        let own: Vec<&PathBuf> = corpus.iter().chain(&queries).chain(qrels).collect();
        let all = self.configurations.iter().flat_map(|one| one.parts.iter());
        let all: Vec<&PathBuf> = all.flatten().map(|(_, file)| file).collect();
        let is_below = |files: &[&PathBuf], name: &str| {
            let place = folder.join(name);
            files.iter().any(|file| file.starts_with(&place))
        };
        account_for_folder(account, folder, |name| {
            if is_below(&own, name) {
                Fate::Used
            } else if is_below(&all, name) {
                Fate::OfOtherSplits
            } else {
                Fate::PassedOver("it is not corpus, queries or judgments")
            }
        })
    }
}

impl Configuration {
    /// Names of the first file of each part, seen from the folder.
    pub(super) fn names(&self, folder: &Path) -> [String; 3] {
        [0, 1, 2].map(|part| {
            let first = self.parts[part].first().map(|(_, file)| file.as_path());
            let first = first.unwrap_or(folder);
            first
                .strip_prefix(folder)
                .unwrap_or(first)
                .display()
                .to_string()
        })
    }

    /// Files of judgments by the one name of their split.
    fn judgments(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let mut splits: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for (split, file) in &self.parts[2] {
            let split = split.clone().unwrap_or_else(|| "all".into());
            splits.entry(split).or_default().push(file.clone());
        }
        splits
    }

    /// Whether several splits share the corpus.
    pub(super) fn is_shared(&self) -> Shared {
        let judgments = self.judgments();
        let is_own = |(split, _): &(Option<String>, PathBuf)| {
            split
                .as_ref()
                .is_some_and(|split| judgments.contains_key(split))
        };
        match judgments.len() > 1 && !self.parts[0].iter().any(is_own) {
            true => Shared::BySplits,
            false => Shared::ByNone,
        }
    }

    /// The corpus of the split of these judgments.
    pub(super) fn corpus_of(&self, qrels: &[PathBuf]) -> Vec<PathBuf> {
        self.part_of(0, qrels)
    }

    /// The queries of the split of these judgments.
    pub(super) fn queries_of(&self, qrels: &[PathBuf]) -> Vec<PathBuf> {
        self.part_of(1, qrels)
    }

    /// Whether no other split asks the queries of the split of these judgments.
    pub(super) fn has_own_queries(&self, qrels: &[PathBuf]) -> bool {
        let own = self.queries_of(qrels);
        let judgments = self.judgments();
        let mut others = judgments.values().filter(|files| files[..] != *qrels);
        others.all(|files| !self.queries_of(files).iter().any(|file| own.contains(file)))
    }

    /// The files of a part that have the name of the split, or all where none has.
    fn part_of(&self, part: usize, qrels: &[PathBuf]) -> Vec<PathBuf> {
        let own = self.parts[2].iter().find(|(_, file)| qrels.contains(file));
        let split = own.and_then(|(split, _)| split.as_ref());
        let files = || self.parts[part].iter();
        let of_split = files().filter(|(named, _)| split.is_some() && named.as_ref() == split);
        let of_split: Vec<PathBuf> = of_split.map(|(_, file)| file.clone()).collect();
        match of_split.is_empty() {
            true => files().map(|(_, file)| file.clone()).collect(),
            false => of_split,
        }
    }
}

/// Adds the parts that lie in `folder`.
fn collect(folder: &Path, found: &mut BTreeMap<String, Configuration>) -> Result<()> {
    for entry in entries(folder)? {
        let own = entry.file_name().unwrap_or_default().to_string_lossy();
        if is_hidden(&own) || entry.is_symlink() && entry.is_dir() {
            continue;
        }
        let name = match entry.is_dir() {
            true => own.clone(),
            false => unpacked(&entry)
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy(),
        };
        let Some((part, configuration)) = part_of_name(&name) else {
            continue;
        };
        let mut files = vec![entry.clone()];
        if entry.is_dir() {
            files = entries(&entry)?;
        }
        files.retain(|file| file.is_file() && Kind::by_ending(file).is_some());
        if files.is_empty() {
            continue;
        }
        let parts = &mut found.entry(configuration.clone()).or_default();
        parts.name = configuration;
        let named = files.into_iter().map(|file| (split_of(&file), file));
        parts.parts[part].extend(named);
    }
    Ok(())
}

/// The part that a name says, and the configuration before or behind it.
fn part_of_name(name: &str) -> Option<(usize, String)> {
    let lower = name.to_ascii_lowercase();
    for (part, words) in NAMES.iter().enumerate() {
        for word in *words {
            if lower == *word {
                return Some((part, String::new()));
            }
            let before = lower
                .strip_suffix(word)
                .and_then(|rest| rest.strip_suffix(['-', '_']));
            let behind = lower
                .strip_prefix(word)
                .and_then(|rest| rest.strip_prefix(['-', '_']));
            if let Some(configuration) = before.or(behind) {
                return Some((part, configuration.to_owned()));
            }
        }
    }
    None
}

/// The split that the name of a file says.
fn split_of(file: &Path) -> Option<String> {
    let stem = unpacked(file).file_stem()?.to_string_lossy().into_owned();
    // `qrels/all.tsv` and the like name a split of their own.
    let words = NAMES.iter().flat_map(|names| names.iter());
    let is_part = words
        .into_iter()
        .any(|word| stem.eq_ignore_ascii_case(word));
    let named = ShardName::parse(&stem).split;
    let named = named.or_else(|| (!is_part && part_of_name(&stem).is_none()).then_some(stem));
    let named = named.filter(|split| part_of_name(split).is_none());
    named.map(|split| one_name(&split))
}
