//! What a label audit found, for scripts.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::audit::{NoiseRate, Truth};
use truepair_core::labeled::{LabelFindings, LabelJudgment, NoiseShape};

use super::source::{LabelSource, PlantedLabels};
use crate::conclusion::Conclusion;
use crate::output::Output;

/// The JSON object that `--json` prints and the output folder keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LabelAuditSummary {
    pub(super) command: &'static str,
    pub(super) data: String,
    pub(super) split: String,
    pub(super) items: usize,
    pub(super) classes: usize,
    pub(super) seed: u64,
    #[serde(flatten)]
    pub(super) conclusion: Conclusion,
    pub(super) shared: bool,
    pub(super) agreement: f64,
    pub(super) chance: f64,
    pub(super) modalities: Vec<ModalitySummary>,
    /// Items without a label that is called wrong, and the others.
    pub(super) kept: usize,
    pub(super) dropped: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) noise: Option<PlantedLabels>,
    pub(super) notes: Vec<String>,
    pub(super) outputs: Vec<PathBuf>,
    pub(super) seconds: f64,
}

impl Output for LabelAuditSummary {
    const SCHEMA: &'static str = "truepair/labels-audit/1";
}

/// What was found in one modality.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ModalitySummary {
    pub(super) name: String,
    pub(super) noise_rate: NoiseRate,
    pub(super) shape: NoiseShape,
    pub(super) confident_rate: f64,
    pub(super) anchor_rate: f64,
    /// Labels called wrong.
    pub(super) wrong: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) truth: Option<Truth>,
}

impl LabelAuditSummary {
    /// The summary of findings, of which `keep` `[n]` says which items stay.
    pub(super) fn new(
        command: &'static str,
        (source, seed): (&LabelSource, u64),
        findings: &LabelFindings,
        keep: &[bool],
    ) -> Self {
        let modalities = findings.modalities.iter().enumerate();
        let modalities = modalities.map(|(at, found)| ModalitySummary {
            name: found.name.clone(),
            noise_rate: found.noise_rate,
            shape: found.shape,
            confident_rate: found.confident_rate,
            anchor_rate: found.anchor_rate,
            wrong: (found.verdicts.iter())
                .filter(|verdict| findings.judgment(verdict) == LabelJudgment::Wrong)
                .count(),
            truth: findings.truth.get(at).cloned(),
        });
        let n_kept = keep.iter().filter(|keep| **keep).count();
        Self {
            command,
            data: source.data.name.clone(),
            split: source.set.split.clone(),
            items: source.set.len(),
            classes: source.set.n_classes,
            seed,
            conclusion: Conclusion::from(&findings.outcome),
            shared: findings.shared,
            agreement: findings.agreement,
            chance: findings.chance,
            modalities: modalities.collect(),
            kept: n_kept,
            dropped: source.set.len() - n_kept,
            noise: source.planted(),
            notes: findings.notes.clone(),
            outputs: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// Per item, whether no label of it is called wrong.
pub(super) fn kept(source: &LabelSource, findings: &LabelFindings) -> Vec<bool> {
    let mut keep = vec![true; source.set.len()];
    for verdict in findings.modalities.iter().flat_map(|found| &found.verdicts) {
        keep[verdict.item as usize] &= findings.judgment(verdict) != LabelJudgment::Wrong;
    }
    keep
}
