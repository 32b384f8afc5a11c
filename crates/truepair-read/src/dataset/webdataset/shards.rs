//! Which archives lie in a folder, of which split each is, and what lies beside them.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::Result;

use super::super::leftovers::{entries, is_hidden};
use super::super::several::files_of;
use super::super::split_names::canonical;

/// Endings of archives, packed or not.
pub(super) const ENDINGS: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd", ".tzst"];
/// Folders inside one another in which archives are looked for.
const DEPTH: usize = 3;
/// Split of archives whose names say none.
const ALL: &str = "all";
/// Which samples of the archives beside it are in the data, in a cleaned list.
pub(in crate::dataset) const KEPT_KEYS: &str = "kept_keys.jsonl";

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    /// Its path from the folder of the data, with `/` between its parts.
    pub(super) name: String,
    pub(super) split: String,
}

impl Shard {
    /// The file of img2dataset beside it that ends in `ending` instead.
    pub(super) fn companion(&self, ending: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!("{}{ending}", stem(&name)))
    }
}

/// The archives of one source.
#[derive(Debug, Default)]
pub(super) struct Shards {
    /// In the order of the numbers in their names.
    pub(super) all: Vec<Shard>,
    /// What was passed over beside them.
    pub(super) account: Account,
    /// The list of kept samples, where there is one.
    pub(super) kept: Option<PathBuf>,
}

impl Shards {
    /// The archive at `path`, those that it stands for, or those in this folder and the folders in it.
    ///
    /// # Errors
    /// If a folder cannot be listed, or one of several files is missing.
    pub(super) fn find(path: &Path) -> Result<Shards> {
        let mut found = Shards::default();
        if let Some(files) = files_of(path)? {
            found.list(&files);
        } else if path.is_dir() {
            found.collect(path, path, DEPTH)?;
        } else if is_shard(path) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kept = path.with_file_name(KEPT_KEYS);
            found.kept = kept.is_file().then_some(kept);
            found.all.push(Shard {
                path: path.to_path_buf(),
                name: name.into_owned(),
                split: ALL.into(),
            });
        }
        found.all.sort_by_cached_key(|shard| by_number(&shard.name));
        found.settle_splits();
        Ok(found)
    }

    /// Whether there is an archive at `path`, in this folder or in one right below it: its name.
    pub(super) fn first(path: &Path) -> Option<PathBuf> {
        if let Ok(Some(files)) = files_of(path) {
            let all = files.iter().all(|file| is_shard(file));
            return files.into_iter().next().filter(|_| all);
        }
        if !path.is_dir() {
            return is_shard(path).then(|| path.to_path_buf());
        }
        let inside = entries(path).ok()?;
        let own = inside.iter().find(|entry| is_shard(entry));
        let deeper = || {
            let folders = inside.iter().filter(|entry| entry.is_dir());
            let mut deeper = folders.filter_map(|folder| entries(folder).ok()).flatten();
            deeper.find(|entry| is_shard(entry))
        };
        own.cloned().or_else(deeper)
    }

    /// The splits, sorted.
    pub(super) fn splits(&self) -> Vec<String> {
        let mut splits: Vec<String> = self.all.iter().map(|shard| shard.split.clone()).collect();
        splits.sort();
        splits.dedup();
        splits
    }

    /// Takes several archives, which lie in one folder or in folders in it.
    fn list(&mut self, files: &[PathBuf]) {
        let first = files.first().and_then(|file| file.parent());
        let mut root = first.unwrap_or(Path::new(""));
        while !files.iter().all(|file| file.starts_with(root)) {
            root = root.parent().unwrap_or(Path::new(""));
        }
        let kept = root.join(KEPT_KEYS);
        self.kept = kept.is_file().then_some(kept);
        self.all.extend(files.iter().map(|file| {
            let name = from_root(root, file);
            Shard {
                split: split_of(&name).unwrap_or(ALL).to_owned(),
                path: file.clone(),
                name,
            }
        }));
    }

    fn collect(&mut self, root: &Path, folder: &Path, depth: usize) -> Result<()> {
        let inside = entries(folder)?;
        let stems: Vec<String> = (inside.iter())
            .filter(|entry| is_shard(entry))
            .map(|entry| stem(&own_name(entry)).to_owned())
            .collect();
        let is_split = |entry: &Path| entry.is_dir() && of_word(&own_name(entry)).is_some();
        // Folders beside archives hold other things, such as cleaned lists.
        let enters_all = stems.is_empty() && !inside.iter().any(|entry| is_split(entry));
        for entry in inside {
            let (name, own) = (from_root(root, &entry), own_name(&entry));
            let of_shard = |ending: &str| {
                let stem = own.strip_suffix(ending);
                stem.is_some_and(|stem| stems.iter().any(|known| known == stem))
            };
            if is_hidden(&own) {
                let why = "it is hidden or a system's own";
                self.account.pass("file", why, name);
            } else if entry.is_dir() {
                let refused = refusal_of_folder(&entry, depth);
                let refused = refused.or_else(|| {
                    let is_in = enters_all || is_split(&entry);
                    (!is_in).then_some("it lies beside the archives and is not a split")
                });
                match refused {
                    Some(why) => self.account.pass("folder", why, name),
                    None => self.collect(root, &entry, depth - 1)?,
                }
            } else if is_shard(&entry) {
                self.all.push(Shard {
                    split: split_of(&name).unwrap_or(ALL).to_owned(),
                    path: entry,
                    name,
                });
            } else if own == KEPT_KEYS && folder == root {
                self.kept = Some(entry);
            } else if !of_shard(".parquet") && !of_shard("_stats.json") {
                let why = "it is neither an archive nor beside one";
                self.account.pass("file", why, name);
            }
        }
        Ok(())
    }

    /// Where some names say a split, those that say none are passed over.
    fn settle_splits(&mut self) {
        if self.all.iter().all(|shard| shard.split == ALL) {
            return;
        }
        let account = &mut self.account;
        self.all.retain(|shard| {
            let is_named = shard.split != ALL;
            if !is_named {
                let why = "its name says no split, as those of the others do";
                account.pass("shard", why, &shard.name);
            }
            is_named
        });
    }
}

fn own_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn from_root(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    let parts: Vec<_> = parts
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

fn is_shard(path: &Path) -> bool {
    let name = own_name(path);
    !is_hidden(&name) && stem(&name) != name && path.is_file()
}

/// The name without the ending of an archive; the whole name where it has none.
pub(super) fn stem(name: &str) -> &str {
    let mut stems = ENDINGS.iter().filter_map(|end| name.strip_suffix(end));
    stems.next().unwrap_or(name)
}

/// Why a folder is not looked into, wherever it lies.
fn refusal_of_folder(folder: &Path, depth: usize) -> Option<&'static str> {
    if folder.is_symlink() {
        Some("it is a link, which may lead out of the data or around in it")
    } else if depth <= 1 {
        Some("it lies too deep for archives")
    } else {
        None
    }
}

fn of_word(word: &str) -> Option<&'static str> {
    let word = canonical(word);
    (["train", "dev", "test"].into_iter()).find(|split| *split == word)
}

/// The split that the folders of an archive, or the words of its name, say.
fn split_of(name: &str) -> Option<&'static str> {
    let (folders, file) = name.rsplit_once('/').unwrap_or(("", name));
    let of_folder = folders.split('/').find_map(of_word);
    let words = stem(file).split(|letter: char| !letter.is_alphanumeric());
    of_folder.or_else(|| words.into_iter().find_map(of_word))
}

/// Names with numbers sort by the numbers, padded or not.
fn by_number(name: &str) -> String {
    let mut key = String::new();
    let mut rest = name;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, after) = rest.split_at(at);
        let end = after.find(|letter: char| !letter.is_ascii_digit());
        let (digits, more) = after.split_at(end.unwrap_or(after.len()));
        key += &format!("{before}{digits:0>20}");
        rest = more;
    }
    key + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Shards {
        let home = tempfile::tempdir().unwrap();
        for name in names {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        Shards::find(home.path()).unwrap()
    }

    fn listed(shards: &Shards) -> Vec<(&str, &str)> {
        (shards.all.iter())
            .map(|shard| (shard.name.as_str(), shard.split.as_str()))
            .collect()
    }

    #[test]
    fn folders_and_names_say_the_split() {
        let shards = found(&["train/10.tar", "train/9.tar", "val/0.tar.gz"]);
        assert_eq!(
            listed(&shards),
            [
                ("train/9.tar", "train"),
                ("train/10.tar", "train"),
                ("val/0.tar.gz", "dev")
            ]
        );
        let shards = found(&["cc3m-train-000.tar", "cc3m-validation-000.tar", "more.tzst"]);
        assert_eq!(
            listed(&shards),
            [
                ("cc3m-train-000.tar", "train"),
                ("cc3m-validation-000.tar", "dev")
            ]
        );
        let line = shards.account.summary().unwrap();
        assert!(
            line.contains("its name says no split") && line.contains("more.tzst"),
            "{line}"
        );
        let shards = found(&["a/0.tar", "b/0.tar", "mytest.tar"]);
        assert_eq!(shards.splits(), ["all"]);
    }

    #[test]
    fn what_lies_beside_the_archives_is_told() {
        let names = [
            "0.tar",
            "0.parquet",
            "0_stats.json",
            "1_stats.json",
            ".tmp",
            "audit/cleaned/0.tar",
            "train/e/f/g/0.tar",
        ];
        let shards = found(&names);
        let line = shards.account.lines().join("\n");
        for part in ["(1_stats.json)", "(.tmp)", "(audit)", "(train/e/f)"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains("0.parquet"), "{line}");
        let companion = shards.all[0].companion("_stats.json");
        assert!(companion.ends_with("0_stats.json"));
    }
}
