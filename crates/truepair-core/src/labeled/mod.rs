//! Labelled data: items in several modalities with a class each, where labels can be wrong.
//!
//! This is not paired data with a class column: an item is one row in every modality, modalities
//! differ in width, and each may have labels of its own, because in the noisy-label literature
//! every modality was annotated by itself. What is relevant to a query is whatever shares its class.
//! A [`LabeledSet`] is one split; [`open`] reads all splits of a source at once, so that the classes
//! are the same everywhere. Nothing here guesses a class: labels outside the classes are refused.

mod audit;
mod classes;
mod container;
mod folder;
mod hdf5;
mod mat;
mod matlab;
mod names;
mod npz;
mod retrieval;

use std::path::{Path, PathBuf};

pub use audit::{
    LabelAuditOptions, LabelEvidence, LabelFindings, LabelJudgment, LabelOutcome, LabelVerdict,
    ModalityFindings, NoiseShape, audit_labels, lone_item,
};
pub use retrieval::{ClassRetrieval, DirectionMap, class_retrieval, mean_average_precision};

use crate::dataset::Features;
use crate::error::{Error, Place, Result};
use crate::watch::Watch;

/// Every layout of labelled data, in the order in which they are tried.
pub const LABELED_FORMATS: &[&dyn LabeledFormat] =
    &[&folder::Folder, &npz::Npz, &mat::Mat, &hdf5::Hdf5];

/// One way in which labelled data lies on disk.
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
}

pub use container::Arrays;

/// How labelled data is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabeledOptions {
    /// Name of the layout; recognized when `None`.
    pub format: Option<String>,
    /// The modalities to use, in this order; all when empty.
    pub modalities: Vec<String>,
    /// How many classes there are; read from the data when `None`.
    pub classes: Option<usize>,
}

/// All splits of one source.
#[derive(Debug, Clone)]
pub struct LabeledData {
    /// What the user would call it: the folder's or file's name.
    pub name: String,
    /// Name of the [`LabeledFormat`] that read it.
    pub format: &'static str,
    /// The label of the first class in the files, 0 or 1.
    pub first_label: i64,
    /// Names of the classes, when the data has them.
    pub class_names: Option<Vec<String>>,
    /// The splits, sorted by name.
    pub splits: Vec<LabeledSet>,
    /// Every file that was read, for hashing.
    pub files: Vec<PathBuf>,
}

/// One split: `n` items in `m` modalities.
#[derive(Debug, Clone)]
pub struct LabeledSet {
    /// For instance `train`.
    pub split: String,
    /// How many classes there are.
    pub n_classes: usize,
    /// At least two, all of the same length.
    pub modalities: Vec<Modality>,
}

/// One modality of a split.
#[derive(Debug, Clone)]
pub struct Modality {
    /// For instance `img`.
    pub name: String,
    /// One row an item, `[n, d]` or `[n, regions, d]`.
    pub features: Features,
    /// Class of every item, `[n]`, from 0.
    pub labels: Vec<u32>,
}

impl LabeledData {
    /// The split `name`, if there is one.
    pub fn split(&self, name: &str) -> Option<&LabeledSet> {
        self.splits.iter().find(|split| split.split == name)
    }

    /// The split `name`.
    ///
    /// # Errors
    /// If there is none; the message lists those there are.
    pub fn require_split(&self, name: &str) -> Result<&LabeledSet> {
        self.split(name).ok_or_else(|| {
            let names: Vec<&str> = self.splits.iter().map(|set| set.split.as_str()).collect();
            Error::argument(
                format!(
                    "{} has no split '{name}'; there are: {}",
                    self.name,
                    names.join(", ")
                ),
                "choose one of them",
            )
        })
    }

    /// What the files call class `class`.
    pub fn class_name(&self, class: u32) -> String {
        match &self.class_names {
            Some(names) => names[class as usize].clone(),
            None => (i64::from(class) + self.first_label).to_string(),
        }
    }

    /// Refuses a NaN or an infinite feature, naming the file and the row.
    ///
    /// # Errors
    /// If there is one.
    pub fn check_finite(&self, watch: &mut dyn Watch) -> Result<()> {
        for modality in self.splits.iter().flat_map(|split| &split.modalities) {
            modality.features.check_finite(watch)?;
        }
        Ok(())
    }
}

impl LabeledSet {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.modalities[0].labels.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every item has one label for all its modalities.
    pub fn labels_are_shared(&self) -> bool {
        let first = &self.modalities[0].labels;
        self.modalities.iter().all(|other| other.labels == *first)
    }

    /// The items `indices` as a set of its own; features are shared.
    ///
    /// # Panics
    /// If one of them does not exist.
    pub fn select(&self, indices: &[u32]) -> Self {
        let part = |modality: &Modality| Modality {
            name: modality.name.clone(),
            features: modality.features.select(indices),
            labels: (indices.iter())
                .map(|&item| modality.labels[item as usize])
                .collect(),
        };
        Self {
            modalities: self.modalities.iter().map(part).collect(),
            ..self.clone()
        }
    }

    /// The same items with other labels, one list `[n]` a modality.
    ///
    /// # Panics
    /// If a list is missing, has another length, or holds a label outside the classes.
    pub fn with_labels(&self, labels: Vec<Vec<u32>>) -> Self {
        assert_eq!(labels.len(), self.modalities.len(), "labels a modality");
        let mut set = self.clone();
        for (modality, labels) in set.modalities.iter_mut().zip(labels) {
            assert_eq!(labels.len(), modality.labels.len(), "one label an item");
            let inside = |label: &u32| (*label as usize) < self.n_classes;
            assert!(labels.iter().all(inside), "labels are below n_classes");
            modality.labels = labels;
        }
        set
    }
}

/// Reads all splits of the labelled data at `path`.
///
/// # Errors
/// If no layout recognizes `path`, a modality or its labels are missing, lengths differ, or a label
/// lies outside the classes; the message names file, array and row.
pub fn open(path: impl AsRef<Path>, options: &LabeledOptions) -> Result<LabeledData> {
    let path = path.as_ref();
    std::fs::metadata(path).map_err(|source| Error::io(path, "read", source))?;
    let only = only_container(path)?;
    let path = only.as_deref().unwrap_or(path);
    let format = recognize(path, options)?;
    let mut arrays = format.arrays(path)?;
    let splits = names::collect(path, &mut arrays, &options.modalities)?;
    let class_names = arrays.class_names().map(<[String]>::to_vec);
    let classes = classes::settle(path, &splits, class_names.as_deref(), options.classes)?;
    Ok(LabeledData {
        name: crate::dataset::name_of(path),
        format: format.name(),
        first_label: classes.first,
        class_names,
        splits: classes::number(splits, classes)?,
        files: arrays.files(),
    })
}

/// The one `.npz`, `.mat` or HDF5 file of a folder that holds no `.npy` file.
fn only_container(path: &Path) -> Result<Option<PathBuf>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let failed = |source| Error::io(path, "list", source);
    let mut containers = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|ending| ending == "npy") {
            return Ok(None);
        }
        if file.is_file() && LABELED_FORMATS.iter().any(|format| format.sniff(&file)) {
            containers.push(file);
        }
    }
    match containers.len() {
        1 => Ok(containers.pop()),
        _ => Ok(None),
    }
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
                format!("there is no layout of labelled data called '{name}'"),
                format!("choose one of {}", names()),
            )
        });
    }
    formats.find(|format| format.sniff(path)).ok_or_else(|| {
        Error::data(
            path,
            Place::Whole,
            format!("no known layout of labelled data; looked for {}", names()),
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

#[cfg(test)]
mod tests;
