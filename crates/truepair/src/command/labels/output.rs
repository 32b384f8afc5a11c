//! What a label audit leaves behind: the page, the verdicts, the confusion of the classes and the cleaned list.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::labeled::LabelFindings;
use truepair_read::dataset::{self, CaptionFeatures, KeptFolder, ReadOptions, Unchanged};
use truepair_read::labeled::write_kept_items;
use truepair_train::labeled::LabelCrossFitConfig;

use super::source::{LabelSource, LabelSourceArgs};
use super::summary::LabelAuditSummary;
use crate::label_report::{self, LabelReport, ShownItems};
use crate::output::Output;
use crate::report::{Fact, NextStep};
use crate::shell::word;
use crate::staged_folder::{SUMMARY, StagedFolder};

/// Layout of labeled data that paired data has, too.
const PRECOMP: &str = "precomp";
/// Folder of the cleaned list.
const CLEANED: &str = "cleaned";

/// The confusion of the classes, in `confusion.json`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Confusions {
    modalities: Vec<Confusion>,
}

impl Output for Confusions {
    const SCHEMA: &'static str = "truepair/confusion/1";
}

/// The confusion of the classes in one modality.
#[derive(Debug, Serialize, JsonSchema)]
struct Confusion {
    modality: String,
    /// `[k, k]`: a row per true class, the probability of each given class.
    given_of_true: Vec<Vec<f64>>,
}

/// A finished label audit, to be written.
pub(super) struct LabelOutput<'a> {
    pub(super) args: &'a LabelSourceArgs,
    pub(super) source: &'a LabelSource,
    pub(super) config: &'a LabelCrossFitConfig,
    pub(super) findings: &'a LabelFindings,
    /// Per item, whether it stays.
    pub(super) keep: &'a [bool],
    /// What becomes of files that the cleaned list takes over.
    pub(super) unchanged: Unchanged,
}

impl LabelOutput<'_> {
    /// Writes everything into `stage`, publishes it and notes the files in `summary`.
    ///
    /// # Errors
    /// If a file cannot be written; the output folder is then left as it was.
    pub(super) fn write(&self, stage: StagedFolder, summary: &mut LabelAuditSummary) -> Result<()> {
        let LabelOutput {
            source, findings, ..
        } = self;
        stage.write("config.toml", |file| {
            file.write_all(self.config.to_toml().as_bytes())
        })?;
        let verdicts = self.verdicts()?;
        stage.write("verdicts.csv", |file| file.write_all(&verdicts))?;
        let confusions = findings.modalities.iter().map(|found| {
            let rows = found.confusion.chunks(source.set.n_classes);
            Confusion {
                modality: found.name.clone(),
                given_of_true: rows.map(<[f64]>::to_vec).collect(),
            }
        });
        let confusions = Confusions {
            modalities: confusions.collect(),
        };
        stage.write_json("confusion.json", &confusions)?;
        if let Some(manifest) = &source.manifest {
            stage.write_json("manifest.json", manifest)?;
        }
        // A list that nobody judged is not a cleaned one.
        if !summary.conclusion.is_refused() && self.keep.contains(&true) {
            let target = KeptFolder {
                folder: &stage.folder().join(CLEANED),
                place: &stage.place(CLEANED),
                unchanged: self.unchanged,
            };
            let (data, options) = ((&source.data, &source.set), &source.options);
            write_kept_items(&source.path, options, data, self.keep, &target)?;
        }
        let report = LabelReport {
            data: &source.data,
            set: &source.set,
            findings,
            manifest: source.manifest.as_ref(),
            keep: self.keep,
            shown: shown(source),
            next_steps: self.next_steps(&stage, summary),
            protocol: self.protocol(summary),
        };
        label_report::write(&stage.folder().join("report.html"), &report)?;
        summary.outputs = stage.planned()?;
        summary.outputs.push(stage.place(SUMMARY));
        stage.write_json(SUMMARY, summary)?;
        stage.finish()?;
        Ok(())
    }

    /// A row for every label.
    fn verdicts(&self) -> Result<Vec<u8>> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record([
            "item",
            "modality",
            "given",
            "p_wrong",
            "suggested",
            "p_suggested",
            "judgment",
        ])?;
        let name = |class: u32| self.source.data.class_name(class);
        for modality in &self.findings.modalities {
            for verdict in &modality.verdicts {
                table.write_record([
                    verdict.item.to_string(),
                    modality.name.clone(),
                    name(verdict.given),
                    format!("{:.6}", verdict.posterior),
                    name(verdict.suggested),
                    format!("{:.6}", verdict.support),
                    self.findings.judgment(verdict).name().to_owned(),
                ])?;
            }
        }
        table.into_inner().context("cannot write the verdicts")
    }

    fn next_steps(&self, stage: &StagedFolder, summary: &LabelAuditSummary) -> Vec<NextStep> {
        let step = |purpose: &str, command: String| NextStep {
            purpose: purpose.to_owned(),
            command,
        };
        let verdicts = stage.place("verdicts.csv").display().to_string();
        let mut steps = vec![step(
            "Read every verdict, the most suspicious first when sorted by the column p_wrong.",
            verdicts,
        )];
        if self.findings.outcome.is_found() {
            let cleaned = self.cleaned(stage);
            let trained = beside(stage, "trained");
            match cleaned {
                Some(cleaned) => steps.push(step(
                    "Train on the items that stay.",
                    format!("truepair labels train {} --out {}", word(&cleaned), word(&trained)),
                )),
                None => steps.push(step(
                    "This layout is not written: the rows of the items that stay, counted from 0, are in a list.",
                    stage.place(CLEANED).join("kept_items.txt").display().to_string(),
                )),
            }
        }
        if self.source.manifest.is_none() && !summary.conclusion.is_refused() {
            steps.push(step(
                "Check the audit itself: relabel a known share on top and see whether it is found.",
                format!(
                    "truepair labels audit {} --noise symmetric:0.2 --out {}",
                    self.args.typed(),
                    word(&beside(stage, "checked"))
                ),
            ));
        }
        steps
    }

    /// The cleaned list as `labels train` takes it; `None` where it is a list of rows.
    fn cleaned(&self, stage: &StagedFolder) -> Option<PathBuf> {
        let folder = stage.place(CLEANED);
        match self.source.data.format {
            PRECOMP | "npz" => Some(folder),
            _ => None,
        }
    }

    fn protocol(&self, summary: &LabelAuditSummary) -> Vec<Fact> {
        let fact = |name: &str, value: String| Fact {
            name: name.to_owned(),
            value,
        };
        let data = &self.source.data;
        vec![
            fact("Data", data.name.clone()),
            fact("Layout", data.format.to_owned()),
            fact("Split", self.source.set.split.clone()),
            fact("Items", summary.items.to_string()),
            fact("Folds", self.config.folds.to_string()),
            fact("Bootstrap draws", self.config.audit.n_bootstrap.to_string()),
            fact("Seed", summary.seed.to_string()),
            fact("version", format!("truepair {}", env!("CARGO_PKG_VERSION"))),
            fact("seconds", format!("{:.1}", summary.seconds)),
        ]
    }
}

/// A folder beside the output, named after it.
fn beside(stage: &StagedFolder, what: &str) -> PathBuf {
    let out = stage.place("");
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{name}-{what}"))
}

/// Ids, pictures and captions of the items, where the folder holds paired data as well.
fn shown(source: &LabelSource) -> ShownItems {
    if source.data.format != PRECOMP {
        return ShownItems::default();
    }
    let items = paired(&source.path, &source.set.split);
    items
        .filter(|items| items.ids.len() == source.set.len())
        .unwrap_or_default()
}

fn paired(path: &Path, split: &str) -> Option<ShownItems> {
    let options = ReadOptions {
        split: split.to_owned(),
        format: Some(PRECOMP.to_owned()),
        caption_features: CaptionFeatures::None,
        ..ReadOptions::default()
    };
    // Most labeled data is not paired, which is no failure of the audit.
    let dataset = dataset::open(path, &options).ok()?;
    let mut captions = vec![None; dataset.n_images()];
    if let Some(texts) = &dataset.captions {
        for pair in dataset.pairs.iter().rev() {
            captions[pair.image as usize] = Some(texts[pair.caption as usize].clone());
        }
    }
    Some(ShownItems {
        ids: dataset.image_ids,
        pictures: dataset.image_files,
        captions,
    })
}
