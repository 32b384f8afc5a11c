//! Labeled data: items in several modalities with a class each, where labels can be wrong.
//!
//! This is not paired data with a class column: an item is one row in every modality, modalities differ
//! in width, and each may have its own labels, because in the noisy-label literature every modality is
//! annotated separately. What is relevant to a query is whatever shares its class. A [`LabeledSet`] is
//! one split; [`LabeledData`] holds all splits of a source, so that the classes are the same
//! everywhere.

mod audit;
mod retrieval;

use std::path::PathBuf;

pub use audit::{
    LabelAuditOptions, LabelEvidence, LabelFindings, LabelJudgment, LabelOutcome, LabelVerdict,
    ModalityFindings, NoiseShape, audit_labels, lone_item,
};
pub use retrieval::{ClassRetrieval, DirectionMap, class_retrieval, mean_average_precision};

use crate::dataset::{Account, Features};
use crate::error::{Error, Result};
use crate::watch::Watch;

/// All splits of one source.
#[derive(Debug, Clone)]
pub struct LabeledData {
    /// What the user would call it: the folder's or file's name.
    pub name: String,
    /// Name of the layout that it was read from, for instance `npz`.
    pub format: &'static str,
    /// The label of the first class in the files, 0 or 1.
    pub first_label: i64,
    /// Names of the classes, when the data has them.
    pub class_names: Option<Vec<String>>,
    /// The splits, sorted by name.
    pub splits: Vec<LabeledSet>,
    /// Every file that was read, for hashing.
    pub files: Vec<PathBuf>,
    /// What the reader used, passed over and chose.
    pub account: Account,
}

/// One split: `n` items in `m` modalities.
///
/// ```
/// use truepair_core::dataset::Features;
/// use truepair_core::labeled::{LabeledSet, Modality};
///
/// let modality = |name: &str, labels: [u32; 2]| Modality {
///     name: name.into(),
///     features: Features::from_rows(vec![0.0, 1.0], 1),
///     labels: labels.to_vec(),
/// };
/// let modalities = vec![modality("img", [0, 1]), modality("txt", [0, 0])];
/// let set = LabeledSet { split: "train".into(), n_classes: 2, modalities };
/// assert!(!set.labels_are_shared(), "image and text of item 1 are labeled apart");
/// assert_eq!(set.select(&[1]).modalities[0].labels, [1]);
/// ```
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
    /// One row per item, `[n, d]` or `[n, regions, d]`.
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
    /// If there is none; the message lists the existing ones.
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

    /// The name of class `class` in the files.
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

    /// The items `indices` as a separate set; features are shared.
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

    /// The same items with other labels, one list `[n]` per modality.
    ///
    /// # Panics
    /// If a list is missing, has the wrong length, or holds a label outside the classes.
    pub fn with_labels(&self, labels: Vec<Vec<u32>>) -> Self {
        assert_eq!(
            labels.len(),
            self.modalities.len(),
            "one list of labels per modality"
        );
        let mut set = self.clone();
        for (modality, labels) in set.modalities.iter_mut().zip(labels) {
            assert_eq!(labels.len(), modality.labels.len(), "one label per item");
            let inside = |label: &u32| (*label as usize) < self.n_classes;
            assert!(labels.iter().all(inside), "labels are below n_classes");
            modality.labels = labels;
        }
        set
    }
}
