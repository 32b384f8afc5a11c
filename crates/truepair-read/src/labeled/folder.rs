//! A folder of `.npy` files: the `precomp` layout with labels.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use super::container::{Arrays, Source};
use super::{KeptForm, LabeledFormat};
use crate::dataset::is_hidden;
use crate::npy_features::note_nameless;
use crate::text_file::read_whole;

/// The names of the classes.
pub(super) const CLASSES: &str = "classes.json";

/// A folder with one `.npy` file for every array.
pub(super) struct Folder;

impl LabeledFormat for Folder {
    fn name(&self) -> &'static str {
        "precomp"
    }

    fn summary(&self) -> &'static str {
        "A folder of features and labels, one `.npy` file an array."
    }

    fn files(&self) -> &'static str {
        "`{split}_ims.npy`, one more `{split}_NAME.npy` or several, and `{split}_labels.npy` (or \
         `{split}_NAME_labels.npy`); optional `classes.json`, a list of names or an object of names and numbers; `{split}_caps*` are \
         not read"
    }

    fn sniff(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn arrays(&self, path: &Path) -> Result<Arrays> {
        let failed = |source| Error::io(path, "list", source);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            files.push(entry.map_err(failed)?.path());
        }
        files.sort();
        let mut arrays = Arrays::of(path);
        for file in files {
            let own = file.file_name().unwrap_or_default().to_string_lossy();
            let is_npy = file.extension().is_some_and(|ending| ending == "npy");
            if is_hidden(&own) {
                let why = "it is hidden or a system's own";
                arrays.account().pass("file", why, own);
            } else if let (true, Some(stem)) = (is_npy && file.is_file(), file.file_stem()) {
                let name = stem.to_string_lossy().into_owned();
                note_nameless(&file, arrays.account());
                arrays.add(&name, Source::Npy(file));
            } else if !file.ends_with(CLASSES) {
                let why = "its ending is not .npy";
                arrays.account().pass("file", why, own);
            }
        }
        let names = path.join(CLASSES);
        if names.exists() {
            arrays.set_class_names(read_names(&names)?);
        }
        Ok(arrays)
    }

    fn kept_form(&self) -> KeptForm {
        KeptForm::Folder
    }
}

/// A list of names, an object of names and numbers from 0, or an object of lists, the first of which names the
/// classes that the first column of the labels counts.
fn read_names(path: &Path) -> Result<Vec<String>> {
    let refuse = |problem: String| {
        Error::data(
            path,
            Place::Whole,
            problem,
            "write a JSON list of class names in the order of their numbers, or an object of names and \
             numbers from 0",
        )
    };
    let bytes = read_whole(path, source_file::SETTINGS)?;
    let names: ClassNames = serde_json::from_slice(&bytes).map_err(|error| {
        let problem = "no list of names and no object of numbers";
        // Of JSON of another form the cause would name nothing but types of this program.
        match error.is_data() {
            true => refuse(problem.to_owned()),
            false => refuse(format!("{problem}: {error}")),
        }
    })?;
    match names {
        ClassNames::InOrder(names) => Ok(names),
        ClassNames::Columns(lists) => {
            let first = lists.into_iter().next().map(|(_, list)| list);
            let first = first.map(serde_json::from_value);
            first.and_then(|names| names.ok()).ok_or_else(|| {
                refuse("its first entry is neither a number nor a list of names".into())
            })
        }
        ClassNames::Numbered(numbers) => {
            let mut names: Vec<(usize, String)> = numbers
                .into_iter()
                .map(|(name, number)| (number, name))
                .collect();
            names.sort();
            if let Some(gap) = names
                .iter()
                .enumerate()
                .position(|(at, (number, _))| at != *number)
            {
                return Err(refuse(format!(
                    "no class, or several, have the number {gap}"
                )));
            }
            Ok(names.into_iter().map(|(_, name)| name).collect())
        }
    }
}

/// Names of classes as files have them.
#[derive(Deserialize)]
#[serde(untagged)]
enum ClassNames {
    InOrder(Vec<String>),
    Numbered(BTreeMap<String, usize>),
    Columns(serde_json::Map<String, serde_json::Value>),
}
