//! From the arguments to labeled data, with planted noise where that is asked for.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::labeled::{LabeledData, LabeledSet};
use truepair_core::noise::{LabelManifest, LabelNoiseSpec, corrupt_labels};
use truepair_core::rng::Seed;
use truepair_read::labeled::{self, LabeledOptions};

use crate::progress::Bars;
use crate::remote;
use crate::render::count;
use crate::shell::word;

/// What is worked on, and the noise in it.
#[derive(Debug, Args)]
pub(super) struct LabelSourceArgs {
    #[command(flatten)]
    data: LabelDataArgs,

    /// Relabel training items first: `symmetric:SHARE`, `asymmetric:SHARE`, `halves:SHARE`, each with
    /// `:shared` for one label per item, or an .npy file of labels.
    #[arg(long, value_name = "NOISE", default_value = "none")]
    noise: LabelNoiseSpec,

    /// Where all randomness comes from.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

/// Labeled data, and how it is read.
#[derive(Debug, Args)]
pub(super) struct LabelDataArgs {
    /// Folder, .npz, .mat or HDF5 file with features and labels of every split, or its s3://, gs://,
    /// az:// or http(s):// address.
    data: PathBuf,

    /// Layout of DATA; recognized from its content by default.
    #[arg(long, value_name = "NAME", help_heading = "Reading")]
    format: Option<String>,

    /// Modalities to use, separated by commas; all by default.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        help_heading = "Reading"
    )]
    modalities: Vec<String>,

    /// How many classes there are; as many as the training labels span by default.
    #[arg(long, value_name = "K", help_heading = "Reading")]
    classes: Option<usize>,

    /// Refuse data of which something would be passed over; the message is the whole account.
    #[arg(long, help_heading = "Reading")]
    strict: bool,
}

/// The data and the split that is worked on, noise planted.
pub(super) struct LabelSource {
    /// Where the data lies on this machine, and how it is read.
    pub(super) path: PathBuf,
    pub(super) options: LabeledOptions,
    pub(super) data: LabeledData,
    pub(super) set: LabeledSet,
    /// The truth, when noise was planted.
    pub(super) manifest: Option<LabelManifest>,
}

/// What was planted, without the truth about each item.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PlantedLabels {
    protocol: String,
    requested: Option<f64>,
    realized: Vec<f64>,
    shared: bool,
    sha256: String,
}

impl LabelDataArgs {
    /// Reads the data; returns where it lies on this machine as well, and how it was read.
    pub(super) fn open(&self, bars: &mut Bars) -> Result<(PathBuf, LabeledOptions, LabeledData)> {
        let options = LabeledOptions {
            format: self.format.clone(),
            modalities: self.modalities.clone(),
            classes: self.classes,
            strict: self.strict,
        };
        let path = remote::local(&self.data, bars)?;
        let mut data = labeled::open(&path, &options)?;
        if remote::is_address(&self.data) {
            data.name = self.data.display().to_string();
        }
        bars.tell(&data.account);
        data.check_finite(bars)?;
        Ok((path, options, data))
    }

    /// Whether the data lies elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        remote::is_address(&self.data)
    }

    /// The data with how it is read, as a shell reads it.
    pub(super) fn typed(&self) -> String {
        let mut words = vec![word(&self.data)];
        let modalities = self.modalities.join(",");
        let classes = self.classes.map(|classes| classes.to_string());
        for (flag, value) in [
            ("--format", self.format.as_deref()),
            (
                "--modalities",
                Some(modalities.as_str()).filter(|all| !all.is_empty()),
            ),
            ("--classes", classes.as_deref()),
        ] {
            if let Some(value) = value {
                words.extend([flag.to_owned(), word(Path::new(value))]);
            }
        }
        words.join(" ")
    }
}

/// A split, or the only one that there is, with noise planted, and the truth about it.
pub(super) fn planted(
    data: &LabeledData,
    split: &str,
    noise: &LabelNoiseSpec,
    seed: Seed,
) -> Result<(LabeledSet, Option<LabelManifest>)> {
    let given = match (data.splits.as_slice(), split) {
        ([only], "train") => only,
        _ => data.require_split(split)?,
    };
    let (set, manifest) = corrupt_labels(given, noise, data.first_label, seed)?;
    let is_planted = *noise != LabelNoiseSpec::None;
    Ok((set, is_planted.then_some(manifest)))
}

impl LabelSourceArgs {
    /// Reads the data and plants the noise in `split`, or in the only split there is.
    pub(super) fn open(&self, split: &str, bars: &mut Bars) -> Result<LabelSource> {
        let (path, options, data) = self.data.open(bars)?;
        let (set, manifest) = planted(&data, split, &self.noise, Seed(self.seed))?;
        Ok(LabelSource {
            path,
            options,
            set,
            manifest,
            data,
        })
    }

    /// Whether the data lies elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.data.is_elsewhere()
    }

    /// The data with how it is read, as a shell reads it.
    pub(super) fn typed(&self) -> String {
        self.data.typed()
    }
}

impl LabelSource {
    pub(super) fn planted(&self) -> Option<PlantedLabels> {
        self.manifest.as_ref().map(PlantedLabels::of)
    }
}

impl PlantedLabels {
    pub(super) fn of(manifest: &LabelManifest) -> Self {
        Self {
            protocol: manifest.protocol.clone(),
            requested: manifest.requested,
            realized: manifest.realized.clone(),
            shared: manifest.shared,
            sha256: manifest.sha256.clone(),
        }
    }
}

/// One line that says what is being worked on.
pub(super) fn describe(data: &LabeledData, set: &LabeledSet) -> String {
    let parts: Vec<String> = (set.modalities.iter())
        .map(|modality| format!("{} [{}]", modality.name, modality.features.dim()))
        .collect();
    format!(
        "{}, split {}: {} of {} classes in {} ({})",
        data.name,
        set.split,
        count(set.len(), "item"),
        set.n_classes,
        parts.join(" and "),
        data.format
    )
}
