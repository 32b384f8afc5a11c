//! The truth about planted label noise, kept apart from the data.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LabelNoiseSpec;
use crate::digest::Digest;
use crate::error::Result;
use crate::labeled::LabeledSet;
use crate::noise::stored;
use crate::rng::Seed;

/// Truth about planted label noise; nothing in the training crate names this type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelManifest {
    /// `none`, `file`, or the name of the noise model.
    pub protocol: String,
    /// Requested share of relabeled items; `None` for a file and without noise.
    pub requested: Option<f64>,
    /// Share of wrong labels in every modality.
    pub realized: Vec<f64>,
    /// Whether all modalities of an item have one label.
    pub shared: bool,
    /// Seed of the draws; `None` for a file and without noise.
    pub seed: Option<u64>,
    /// The noise file, when there was one.
    pub file: Option<String>,
    /// How many classes there are.
    pub n_classes: usize,
    /// SHA-256 of the resulting labels, modality after modality, as little-endian `int64` from 0.
    pub sha256: String,
    /// Names of the modalities, in the order of the lists below.
    pub modalities: Vec<String>,
    /// For each modality and item, whether the label is wrong.
    pub wrong: Vec<Vec<bool>>,
    /// For each modality and item, the original label.
    pub truth: Vec<Vec<u32>>,
}

impl LabelManifest {
    pub(super) fn new(
        given: &LabeledSet,
        noisy: &LabeledSet,
        spec: &LabelNoiseSpec,
        seed: Seed,
    ) -> Self {
        let (protocol, requested, file) = match spec {
            LabelNoiseSpec::None => ("none", None, None),
            LabelNoiseSpec::Rate { model, rate, .. } => (model.as_str(), Some(*rate), None),
            LabelNoiseSpec::File(path) => ("file", None, Some(path.display().to_string())),
        };
        let wrong: Vec<Vec<bool>> = (given.modalities.iter().zip(&noisy.modalities))
            .map(|(old, new)| {
                let each = old.labels.iter().zip(&new.labels);
                each.map(|(old, new)| old != new).collect()
            })
            .collect();
        let rate = |wrong: &Vec<bool>| {
            wrong.iter().filter(|&&wrong| wrong).count() as f64 / wrong.len().max(1) as f64
        };
        Self {
            protocol: protocol.into(),
            requested,
            realized: wrong.iter().map(rate).collect(),
            shared: noisy.labels_are_shared(),
            seed: requested.map(|_| seed.0),
            file,
            n_classes: given.n_classes,
            sha256: hash(noisy),
            modalities: (given.modalities.iter())
                .map(|modality| modality.name.clone())
                .collect(),
            wrong,
            truth: (given.modalities.iter())
                .map(|modality| modality.labels.clone())
                .collect(),
        }
    }

    /// Writes the manifest as JSON so that `path` holds either the old or the new file.
    ///
    /// # Errors
    /// If the folder cannot be written or the disk is full.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        stored::write(self, path.as_ref())
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// If the file cannot be read or is not a manifest.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        stored::read(path.as_ref(), "not a manifest of label noise")
    }
}

fn hash(set: &LabeledSet) -> String {
    let mut digest = Digest::new();
    for label in set.modalities.iter().flat_map(|modality| &modality.labels) {
        digest.add(&i64::from(*label).to_le_bytes());
    }
    digest.hex()
}

#[cfg(test)]
mod tests {
    use super::super::tests::set;
    use super::*;
    use crate::noise::corrupt_labels;

    #[test]
    fn a_manifest_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        let spec = "symmetric:0.5".parse().unwrap();
        let (_, manifest) = corrupt_labels(&set(20, 2, 4), &spec, 0, Seed(9)).unwrap();
        manifest.write(&path).unwrap();
        assert_eq!(LabelManifest::read(&path).unwrap(), manifest);
        assert_eq!((manifest.seed, manifest.requested), (Some(9), Some(0.5)));
        std::fs::write(&path, "{}").unwrap();
        let error = LabelManifest::read(&path).unwrap_err().to_string();
        assert!(error.contains("not a manifest of label noise"), "{error}");
    }
}
