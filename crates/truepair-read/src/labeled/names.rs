//! What the name of an array says: of which split and modality it is, and whether it holds labels.
//!
//! The layouts of the field name the same things in many ways: `train_imgs_deep`, `I_tr`,
//! `train_img`, `train_ims`; `train_imgs_labels`, `L_tr`, `train_lab`, `train_labels`. One grammar
//! reads them all: one word is the split, one may say that these are labels, the rest is the
//! modality.

use std::collections::HashSet;
use std::path::Path;

use truepair_core::dataset::{Account, Features};
use truepair_core::error::{Error, Place, Result};

use super::container::{Arrays, RawLabels};

const SPLITS: &[(&str, &[&str])] = &[
    ("train", &["train", "tr", "training"]),
    ("dev", &["dev", "val", "valid", "validation", "va"]),
    ("test", &["test", "te", "testing"]),
];
const LABELS: &[&str] = &[
    "labels", "label", "labs", "lab", "l", "y", "cat", "cats", "gnd",
];
/// Words that say how features were made, not of what.
const MAKE: &[&str] = &["deep", "feat", "feats", "fea", "feature", "features"];
/// Split of data that names none.
const ALL: &str = "all";

/// One split as its files have it.
pub(super) struct RawSplit {
    pub(super) split: String,
    pub(super) modalities: Vec<RawModality>,
}

pub(super) struct RawModality {
    pub(super) name: String,
    pub(super) features: Features,
    pub(super) labels: RawLabels,
    /// Names of the arrays that hold the two.
    pub(super) arrays: [String; 2],
}

/// What one name says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Role {
    array: String,
    split: Option<&'static str>,
    modality: String,
    is_label: bool,
}

impl Role {
    fn of(array: &str) -> Self {
        let lower = array.to_lowercase();
        let mut role = Self {
            array: array.to_owned(),
            split: None,
            modality: String::new(),
            is_label: false,
        };
        let mut rest = Vec::new();
        for word in lower.split(['_', '-', '.', '/', ' ']) {
            let split = SPLITS.iter().find(|(_, words)| words.contains(&word));
            match split {
                Some((name, _)) if role.split.is_none() => role.split = Some(name),
                _ if LABELS.contains(&word) => role.is_label = true,
                _ if MAKE.contains(&word) || word.is_empty() => {}
                _ => rest.push(word),
            }
        }
        role.modality = rest.join("_");
        role
    }

    /// The modality without its plural.
    fn key(&self) -> &str {
        singular(&self.modality)
    }
}

fn singular(name: &str) -> &str {
    name.strip_suffix('s')
        .filter(|key| !key.is_empty())
        .unwrap_or(name)
}

/// Joins features and labels of every split.
///
/// # Errors
/// If there are fewer than two modalities, one of them is missing in a split, has no labels, or
/// lengths differ.
pub(super) fn collect(path: &Path, arrays: &mut Arrays, asked: &[String]) -> Result<Vec<RawSplit>> {
    let mut roles: Vec<Role> = arrays.names().iter().map(|name| Role::of(name)).collect();
    // Captions have rows of their own, five an image; they are no modality of the items.
    roles.retain(|role| !is_of_captions(&role.array));
    let named = roles.iter().any(|role| role.split.is_some());
    roles.retain(|role| role.split.is_some() == named);
    // What holds no numbers is no modality, unless it does in other splits.
    let holds_numbers = |role: &Role| arrays.refusal(&role.array).is_none();
    let plain: HashSet<String> = (roles.iter())
        .filter(|role| !role.is_label && !role.modality.is_empty() && holds_numbers(role))
        .map(|role| role.key().to_owned())
        .collect();
    if plain.len() >= 2 {
        roles.retain(|role| role.is_label || plain.contains(role.key()));
    }
    let modalities = modalities(path, &roles, asked, captions_of(arrays))?;
    let mut splits: Vec<&str> = (roles.iter())
        .map(|role| role.split.unwrap_or(ALL))
        .collect();
    splits.sort_unstable();
    splits.dedup();
    let read = |split: &&str| {
        let of_split = |role: &&Role| role.split.unwrap_or(ALL) == *split;
        let roles: Vec<&Role> = roles.iter().filter(of_split).collect();
        let modalities: Result<Vec<RawModality>> = (modalities.iter())
            .map(|modality| read(path, arrays, split, &roles, modality))
            .collect();
        let split = RawSplit {
            split: (*split).to_owned(),
            modalities: modalities?,
        };
        check_lengths(&split)?;
        Ok(split)
    };
    splits.iter().map(read).collect()
}

/// Notes which arrays `splits` were read from, and why the others were not read.
pub(super) fn account(arrays: &mut Arrays, splits: &[RawSplit]) -> Account {
    let modalities = splits.iter().flat_map(|split| &split.modalities);
    let used: HashSet<&String> = modalities.flat_map(|one| &one.arrays).collect();
    let mut account = std::mem::take(arrays.account());
    account.used("array", used.len());
    let labels = splits.iter().flat_map(|split| &split.modalities);
    let firsts = labels.filter(|modality| modality.labels.are_first);
    let mut firsts: Vec<&String> = firsts.map(|modality| &modality.arrays[1]).collect();
    firsts.sort();
    firsts.dedup();
    for name in firsts {
        let how = "its rows hold several numbers, of which the first is the class";
        account.chose_for("array", how, name);
    }
    for name in arrays.names().iter().filter(|name| !used.contains(name)) {
        let why = match arrays.refusal(name) {
            Some(problem) => problem,
            None if is_of_captions(name) => {
                "captions have rows of their own and are not a modality of the items"
            }
            None => "its name stands for no split, modality or labels that are wanted",
        };
        account.pass("array", why, name);
    }
    account
}

/// Whether the name says that its array holds captions.
fn is_of_captions(array: &str) -> bool {
    Role::of(array).modality.starts_with("cap")
}

/// An array of captions, which have rows of their own.
fn captions_of(arrays: &Arrays) -> Option<String> {
    let mut names = arrays.names();
    names.retain(|name| is_of_captions(name) && arrays.refusal(name).is_none());
    names.sort_by_key(|name| (!name.starts_with("train"), name.clone()));
    names.into_iter().next()
}

/// The modalities to read, images first.
fn modalities(
    path: &Path,
    roles: &[Role],
    asked: &[String],
    captions: Option<String>,
) -> Result<Vec<String>> {
    let mut found: Vec<String> = (roles.iter())
        .filter(|role| !role.is_label && !role.modality.is_empty())
        .map(|role| role.modality.clone())
        .collect();
    found.sort_by_key(|name| (!name.starts_with('i'), name.clone()));
    found.dedup_by_key(|name| singular(name).to_owned());
    for name in asked {
        if !found.iter().any(|known| singular(known) == singular(name)) {
            return Err(Error::data(
                path,
                Place::Whole,
                format!(
                    "there is no modality '{name}'; there are: {}",
                    found.join(", ")
                ),
                "choose among them",
            ));
        }
    }
    let chosen = if asked.is_empty() {
        found
    } else {
        asked.to_vec()
    };
    if chosen.len() < 2 {
        let names: Vec<&str> = roles.iter().map(|role| role.array.as_str()).collect();
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "expected features of two modalities or more, found {}; the arrays are: {}",
                match chosen.first() {
                    Some(one) => format!("only '{one}'"),
                    None => "none".to_owned(),
                },
                names.join(", ")
            ),
            match captions {
                None => "name them for instance train_img, train_txt and train_labels".to_owned(),
                Some(name) => format!(
                    "{name} has a row a caption, not a row an item: with k captions an item write their means \
                     as a modality of every split, in NumPy np.save('train_txt.npy', \
                     np.load('{name}.npy').reshape(n, k, -1).mean(1))"
                ),
            },
        ));
    }
    Ok(chosen)
}

fn read(
    path: &Path,
    arrays: &Arrays,
    split: &str,
    roles: &[&Role],
    modality: &str,
) -> Result<RawModality> {
    let missing = |what: &str| {
        let names: Vec<&str> = roles.iter().map(|role| role.array.as_str()).collect();
        Error::data(
            path,
            Place::Whole,
            format!(
                "split '{split}' has no {what} for modality '{modality}'; its arrays are: {}",
                names.join(", ")
            ),
            "every split needs features and labels of every modality",
        )
    };
    let key = singular(modality);
    let features = |role: &&&Role| !role.is_label && role.key() == key;
    let features =
        only_one(path, roles.iter().filter(features))?.ok_or_else(|| missing("features"))?;
    let own = |role: &&&Role| role.is_label && role.key() == key;
    let shared = |role: &&&Role| role.is_label && role.modality.is_empty();
    let labels = match only_one(path, roles.iter().filter(own))? {
        Some(own) => own,
        None => only_one(path, roles.iter().filter(shared))?.ok_or_else(|| missing("labels"))?,
    };
    Ok(RawModality {
        name: modality.to_owned(),
        features: arrays.features(&features.array)?,
        labels: arrays.labels(&labels.array)?,
        arrays: [features.array.clone(), labels.array.clone()],
    })
}

/// The one array that has a role.
fn only_one<'a>(
    path: &Path,
    mut roles: impl Iterator<Item = &'a &'a Role>,
) -> Result<Option<&'a Role>> {
    let (first, second) = (roles.next(), roles.next());
    if let (Some(one), Some(other)) = (first, second) {
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "arrays '{}' and '{}' could both be meant",
                one.array, other.array
            ),
            "rename or remove one of the two",
        ));
    }
    Ok(first.copied())
}

fn check_lengths(split: &RawSplit) -> Result<()> {
    let n = split.modalities[0].features.len();
    for modality in &split.modalities {
        let (rows, labels) = (modality.features.len(), modality.labels.values.len());
        if rows != n {
            return Err(Error::data(
                modality.features.path(),
                Place::Whole,
                format!(
                    "split '{}' has {rows} items in '{}' and {n} in '{}'",
                    split.split, modality.name, split.modalities[0].name
                ),
                "an item is one row in every modality",
            ));
        }
        if labels != n {
            return Err(Error::data(
                &modality.labels.path,
                Place::Whole,
                format!(
                    "{labels} labels, but split '{}' has {n} items in '{}'",
                    split.split, modality.name
                ),
                "write one label an item, in the order of the features",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_field_are_read_alike() {
        for (name, split, modality, is_label) in [
            ("train_imgs_deep", "train", "img", false),
            ("valid_text", "dev", "text", false),
            ("test_texts", "test", "text", false),
            ("train_texts_labels", "train", "text", true),
            ("I_tr", "train", "i", false),
            ("L_te", "test", "", true),
            ("train_lab", "train", "", true),
            ("dev_txtmean", "dev", "txtmean", false),
            ("train/img", "train", "img", false),
        ] {
            let role = Role::of(name);
            assert_eq!(role.split, Some(split), "{name}");
            assert_eq!((role.key(), role.is_label), (modality, is_label), "{name}");
        }
        assert_eq!(Role::of("labels").split, None);
    }
}
