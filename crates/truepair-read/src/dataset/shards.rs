//! Folders of tables in shards, as the Hugging Face Hub has them: which files are which split's, and
//! whether all are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::leftovers::{entries, is_hidden};
use super::records::Kind;
use super::shard_names::{ShardName, is_generic, one_name, split_of_folder};

/// The role of the folder of the tables, as the account names it.
pub(super) const HOME_ROLE: &str = "tables";

/// Folders in folders that are looked into.
const DEPTH: usize = 6;
/// Files that describe a data set and hold none of it.
const DESCRIPTIONS: &[&str] = &[
    "readme.md",
    "readme.txt",
    "license",
    "license.txt",
    "license.md",
    "notice",
    "citation.cff",
    "dataset_infos.json",
    "dataset_dict.json",
    "dataset_info.json",
    "_success",
    "_metadata",
    "_common_metadata",
];

/// The tables of a folder, by split.
#[derive(Debug)]
pub(super) struct Layout {
    /// Splits by their one name, each with its files in order.
    pub(super) splits: BTreeMap<String, Vec<PathBuf>>,
    /// Files that are no tables, with their names seen from the folder.
    pub(super) others: Vec<(PathBuf, String)>,
    /// What was met besides, and what was chosen.
    pub(super) account: Account,
}

/// One table and what its path says.
#[derive(Debug, Clone)]
struct Shard {
    path: PathBuf,
    /// Seen from the folder.
    name: String,
    split: Option<String>,
    number: Option<u64>,
    of: Option<u64>,
    /// The folders between, without those that name a split or say nothing.
    configuration: String,
}

impl Layout {
    /// The tables in `folder`, or `folder` itself where it is a table.
    ///
    /// # Errors
    /// If shards are missing or stand twice, or the folder holds several data sets.
    pub(super) fn of(folder: &Path) -> Result<Layout> {
        if folder.is_file() {
            return Ok(Layout {
                splits: [("all".to_owned(), vec![folder.to_path_buf()])].into(),
                others: Vec::new(),
                account: Account::default(),
            });
        }
        let Met {
            shards,
            others,
            account,
        } = Met::in_folder(folder)?;
        refuse_mixtures(folder, &shards)?;
        let mut splits: BTreeMap<String, Vec<Shard>> = BTreeMap::new();
        let mut written: BTreeMap<String, String> = BTreeMap::new();
        let named = shards.iter().any(|shard| shard.split.is_some());
        for shard in shards {
            let Some(split) = &shard.split else {
                if named {
                    return Err(unnamed(folder, &shard));
                }
                splits.entry("all".into()).or_default().push(shard);
                continue;
            };
            let name = one_name(split);
            let first = written.entry(name.clone()).or_insert_with(|| split.clone());
            if first != split {
                let problem = format!("'{first}' and '{split}' are both the split '{name}'");
                return Err(refuse(folder, problem, "remove or rename one of the two"));
            }
            splits.entry(name).or_default().push(shard);
        }
        let mut layout = Layout {
            splits: BTreeMap::new(),
            others,
            account,
        };
        for (split, shards) in splits {
            let files = in_order(folder, &split, shards, &mut layout.account)?;
            layout.splits.insert(split, files);
        }
        Ok(layout)
    }

    /// Notes the files that are no tables and were not used for anything else.
    pub(super) fn note_others(&self, account: &mut Account, is_used: impl Fn(&Path) -> bool) {
        for (path, name) in &self.others {
            if !is_used(path) {
                account.pass(
                    "file",
                    "it is not a table by its ending, and nothing names it",
                    name,
                );
            }
        }
    }

    /// The files of all splits.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.splits.values().flatten()
    }

    /// The names of the splits.
    pub(super) fn names(&self) -> Vec<String> {
        self.splits.keys().cloned().collect()
    }
}

/// Whether a folder looks like tables in shards: numbered, named by split, or several.
pub(super) fn look(folder: &Path) -> Option<String> {
    if !folder.is_dir() {
        return None;
    }
    let shards = Met::in_folder(folder).ok()?.shards;
    let first = shards.first()?;
    let is_layout = |shard: &Shard| shard.split.is_some() || shard.number.is_some();
    match shards.len() {
        1 if !is_layout(first) => None,
        1 => Some(format!("the folder holds {}", first.name)),
        n => Some(format!(
            "the folder holds {n} tables, {} the first",
            first.name
        )),
    }
}

/// What lies in a folder and the folders in it.
#[derive(Default)]
struct Met {
    shards: Vec<Shard>,
    others: Vec<(PathBuf, String)>,
    account: Account,
}

impl Met {
    fn in_folder(folder: &Path) -> Result<Met> {
        let mut met = Met::default();
        met.collect(folder, folder)?;
        Ok(met)
    }

    fn collect(&mut self, root: &Path, folder: &Path) -> Result<()> {
        for path in entries(folder)? {
            let own = path.file_name().unwrap_or_default().to_string_lossy();
            let below = path.strip_prefix(root).unwrap_or(&path);
            let name = below.to_string_lossy().into_owned();
            let depth = below.components().count();
            if DESCRIPTIONS.contains(&own.to_ascii_lowercase().as_str()) {
                self.account.used("description", 1);
            } else if is_hidden(&own) {
                let why = "it is hidden or a system's own";
                self.account.pass("file", why, name);
            } else if path.is_dir() && path.is_symlink() {
                let why = "it is a link, which may lead out of the data or around in it";
                self.account.pass("folder", why, name);
            } else if path.is_dir() && depth >= DEPTH {
                self.account.pass("folder", "it lies too deep", name);
            } else if path.is_dir() {
                self.collect(root, &path)?;
            } else if Kind::by_ending(&path).is_some() {
                let below = below.to_path_buf();
                self.shards.push(shard(path, &below));
            } else {
                self.others.push((path, name));
            }
        }
        Ok(())
    }
}

fn shard(path: PathBuf, below: &Path) -> Shard {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = ShardName::parse(&stem);
    let folders = below.parent().into_iter().flat_map(Path::components);
    let folders: Vec<String> = folders
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let split = folders.iter().rev().find_map(|name| split_of_folder(name));
    let configuration = folders
        .iter()
        .filter(|name| split_of_folder(name).is_none() && !is_generic(name));
    Shard {
        split: name.split.or_else(|| split.map(str::to_owned)),
        number: name.number,
        of: name.of,
        configuration: configuration.cloned().collect::<Vec<_>>().join("/"),
        name: below.to_string_lossy().into_owned(),
        path,
    }
}

/// # Errors
/// If the tables are of several kinds, or of several data sets.
fn refuse_mixtures(folder: &Path, shards: &[Shard]) -> Result<()> {
    let Some(first) = shards.first() else {
        let problem = "no table in the folder".into();
        return Err(refuse(
            folder,
            problem,
            "give a folder of .parquet, .csv or .jsonl files",
        ));
    };
    for shard in shards {
        if shard.configuration != first.configuration {
            let mut names: Vec<&str> = shards.iter().map(|s| s.configuration.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let names: Vec<&str> = names
                .into_iter()
                .map(|name| if name.is_empty() { "." } else { name })
                .collect();
            let problem = format!("it holds several data sets, in {}", names.join(", "));
            return Err(refuse(folder, problem, "give the folder of one of them"));
        }
        if Kind::by_ending(&shard.path) != Kind::by_ending(&first.path) {
            let problem = format!("{} and {} are tables of two kinds", first.name, shard.name);
            return Err(refuse(folder, problem, "keep one kind, or give one file"));
        }
    }
    Ok(())
}

/// The shards of one split by number, or by name where they have none.
fn in_order(
    folder: &Path,
    split: &str,
    mut shards: Vec<Shard>,
    account: &mut Account,
) -> Result<Vec<PathBuf>> {
    shards.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
    for pair in shards.windows(2) {
        let is_same = pair[0].number.is_some() && pair[0].number == pair[1].number;
        if is_same || pair[0].number.is_some() != pair[1].number.is_some() {
            let what = if is_same {
                "have the same number"
            } else {
                "are shards of one split, but one has no number"
            };
            let problem = format!("{} and {} {what}", pair[0].name, pair[1].name);
            return Err(refuse(folder, problem, "remove what does not belong there"));
        }
        if pair[0].of != pair[1].of {
            let problem = format!(
                "{} and {} say different numbers of shards",
                pair[0].name, pair[1].name
            );
            return Err(refuse(
                folder,
                problem,
                "remove the shards of the other version",
            ));
        }
    }
    let numbers: Vec<u64> = shards.iter().filter_map(|shard| shard.number).collect();
    match shards.first().and_then(|shard| shard.of) {
        Some(of) => refuse_gaps(folder, split, &numbers, of)?,
        None => note_gaps(split, &numbers, account),
    }
    if numbers.is_empty() && shards.len() > 1 {
        account.chose(format!(
            "{} tables without numbers are read in the order of their names",
            shards.len()
        ));
    }
    Ok(shards.into_iter().map(|shard| shard.path).collect())
}

/// # Errors
/// If one of `of` numbers is missing, or one lies behind them.
fn refuse_gaps(folder: &Path, split: &str, numbers: &[u64], of: u64) -> Result<()> {
    let behind = numbers.iter().find(|number| **number >= of);
    if let Some(number) = behind {
        let problem = format!("split '{split}' has a shard {number} of {of}, which count from 0");
        return Err(refuse(folder, problem, "remove it, or rename the shards"));
    }
    if numbers.len() as u64 == of {
        return Ok(());
    }
    // Numbers are sorted and different, so the first one out of place is the gap.
    let gap = (0..).zip(numbers).find(|(wanted, found)| wanted != *found);
    let first = gap.map_or(numbers.len() as u64, |(wanted, _)| wanted);
    let problem = format!(
        "split '{split}' has {} of {of} shards; number {first} is the first that is missing",
        numbers.len()
    );
    Err(refuse(folder, problem, "copy the missing shards, too"))
}

/// Says that shards without a known count have gaps between their numbers.
fn note_gaps(split: &str, numbers: &[u64], account: &mut Account) {
    let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
    if let Some(pair) = gap {
        account.chose(format!(
            "the shards of split '{split}' are those there are, though none is numbered {}",
            pair[0] + 1
        ));
    }
}

fn unnamed(folder: &Path, shard: &Shard) -> Error {
    let problem = format!("{} belongs to no split, and others do", shard.name);
    refuse(
        folder,
        problem,
        "name it by its split, for instance train-00000-of-00001, or move it away",
    )
}

fn refuse(folder: &Path, problem: String, remedy: &str) -> Error {
    Error::data(folder, Place::Whole, problem, remedy)
}
