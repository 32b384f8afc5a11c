//! Labeled data as users have it: every [`LabeledFormat`], read into one [`LabeledData`].
//!
//! Nothing here guesses a class: labels outside the classes are refused.

mod classes;
mod container;
mod folder;
mod hdf5;
mod hdf5_links;
mod kept;
mod mat;
mod matlab;
mod matlab4;
mod names;
mod npz;
mod sparse;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};
use truepair_core::labeled::LabeledData;

use crate::dataset::{is_hidden, refuse_passing_over};
pub use container::Arrays;
pub use kept::write_kept_items;

/// Every layout of labeled data, in the order in which they are tried.
pub const LABELED_FORMATS: &[&dyn LabeledFormat] =
    &[&folder::Folder, &npz::Npz, &mat::Mat, &hdf5::Hdf5];

/// What a layout's cleaned list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptForm {
    /// A folder of arrays, those of other splits linked.
    Folder,
    /// One file of arrays, with those of other splits.
    Archive,
    /// A list of rows, as the layout is not written.
    List,
}

/// One way in which labeled data lies on disk.
///
/// ```
/// use std::path::Path;
/// use truepair_read::labeled::LABELED_FORMATS;
///
/// let names: Vec<&str> = LABELED_FORMATS.iter().map(|format| format.name()).collect();
/// assert!(names.contains(&"npz") && names.contains(&"mat"));
/// let npz = LABELED_FORMATS.iter().find(|format| format.name() == "npz").unwrap();
/// assert!(!npz.sniff(Path::new("photos")));
/// ```
pub trait LabeledFormat: Sync {
    /// The word by which a user names it.
    fn name(&self) -> &'static str;
    /// One sentence for the table of layouts.
    fn summary(&self) -> &'static str;
    /// The files or arrays it consists of, for the table of layouts.
    fn files(&self) -> &'static str;
    /// Whether `path` looks like this layout.
    fn sniff(&self, path: &Path) -> bool;
    /// Opens the arrays.
    ///
    /// # Errors
    /// If a file cannot be read or is not what it should be.
    fn arrays(&self, path: &Path) -> Result<Arrays>;
    /// What its cleaned lists are.
    fn kept_form(&self) -> KeptForm {
        KeptForm::List
    }
}

/// How labeled data is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabeledOptions {
    /// Name of the layout; recognized when `None`.
    pub format: Option<String>,
    /// The modalities to use, in this order; all when empty.
    pub modalities: Vec<String>,
    /// How many classes there are; read from the data when `None`.
    pub classes: Option<usize>,
    /// Whether reading fails where something is passed over; the error lists the account.
    pub strict: bool,
}

/// Reads all splits of the labeled data at `path`.
///
/// # Errors
/// If no layout recognizes `path`, a modality or its labels are missing, lengths differ, or a label
/// lies outside the classes; the message names file, array and row.
pub fn open(path: impl AsRef<Path>, options: &LabeledOptions) -> Result<LabeledData> {
    let path = path.as_ref();
    std::fs::metadata(path).map_err(|source| Error::io(path, "read", source))?;
    let mut account = Account::default();
    let only = only_container(path, &mut account)?;
    let path = only.as_deref().unwrap_or(path);
    let format = recognize(path, options)?;
    let mut arrays = format.arrays(path)?;
    let splits = names::collect(path, &mut arrays, &options.modalities)?;
    let class_names = arrays.class_names().map(<[String]>::to_vec);
    let classes = classes::settle(path, &splits, class_names.as_deref(), options.classes)?;
    let files = arrays.files();
    account.merge(names::account(&mut arrays, &splits));
    classes::note_empty(&splits, classes, &mut account);
    if options.strict {
        refuse_passing_over(path, &account)?;
    }
    Ok(LabeledData {
        name: crate::dataset::name_of(path),
        format: format.name(),
        first_label: classes.first,
        class_names,
        splits: classes::number(splits, classes)?,
        files,
        account,
    })
}

/// The one `.npz`, `.mat` or HDF5 file of a folder that holds no `.npy` file; the other files are
/// noted in `account`.
fn only_container(path: &Path, account: &mut Account) -> Result<Option<PathBuf>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let failed = |source| Error::io(path, "list", source);
    let (mut containers, mut others, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if is_hidden(&file.file_name().unwrap_or_default().to_string_lossy()) {
            hidden.push(file);
            continue;
        }
        if file.extension().is_some_and(|ending| ending == "npy") {
            return Ok(None);
        }
        if file.is_file() && LABELED_FORMATS.iter().any(|format| format.sniff(&file)) {
            containers.push(file);
        } else {
            others.push(file);
        }
    }
    if containers.len() != 1 {
        return Ok(None);
    }
    others.sort();
    for file in others {
        let name = file.file_name().unwrap_or_default().display();
        account.pass("file", "it is not a file of arrays by its ending", name);
    }
    hidden.sort();
    for file in hidden {
        let name = file.file_name().unwrap_or_default().display();
        account.pass("file", "it is hidden or a system's own", name);
    }
    Ok(containers.pop())
}

fn recognize(path: &Path, options: &LabeledOptions) -> Result<&'static dyn LabeledFormat> {
    let mut formats = LABELED_FORMATS.iter().copied();
    let names = || -> String {
        let names: Vec<&str> = LABELED_FORMATS.iter().map(|format| format.name()).collect();
        names.join(", ")
    };
    if let Some(name) = &options.format {
        return formats.find(|format| format.name() == name).ok_or_else(|| {
            Error::argument(
                format!("there is no layout of labeled data called '{name}'"),
                format!("choose one of {}", names()),
            )
        });
    }
    formats.find(|format| format.sniff(path)).ok_or_else(|| {
        Error::data(
            path,
            Place::Whole,
            format!("no known layout of labeled data; looked for {}", names()),
            "give a folder with train_ims.npy and train_labels.npy, an .npz, a .mat or an HDF5 file",
        )
    })
}

/// The table of layouts as Markdown, for `docs/formats.md`.
pub fn labeled_formats_table() -> String {
    let mut table = String::from("| layout | what it is | files or arrays |\n|---|---|---|\n");
    for format in LABELED_FORMATS {
        let row = format!(
            "| `{}` | {} | {} |\n",
            format.name(),
            format.summary(),
            format.files()
        );
        table.push_str(&row);
    }
    table
}
