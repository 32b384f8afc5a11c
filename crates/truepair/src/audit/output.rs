//! What an audit leaves behind: its summary for machines and the files of the output folder.

use std::path::{Path, PathBuf};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::audit::{
    Ambiguity, Competence, DuplicateCounts, Findings, Judgment, Kinds, NoiseRate, Reading,
    ReliabilityBin, Rule, SelfCheck,
};
use truepair_core::diagnosis::Diagnosis;
use truepair_core::noise::Manifest;
use truepair_read::dataset::{KeptFiles, KeptFolder, write_kept_into};

use super::kept::keep;
use super::{Audited, Judge, Request, TypedSource};
use crate::conclusion::Conclusion;
use crate::drop_rule;
use crate::output::Output;
use crate::remote;
use crate::render;
use crate::report::{self, Fact, Limits, NextStep, ReportContext};
use crate::shell::word;
use crate::staged_folder::{SUMMARY, StagedFolder};
use crate::verdict_table;

/// The JSON object that `truepair audit --json` prints and stores.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct AuditSummary {
    pub(crate) command: &'static str,
    pub(crate) data: String,
    pub(crate) split: String,
    pub(crate) format: &'static str,
    pub(crate) images: usize,
    pub(crate) captions: usize,
    pub(crate) pairs: usize,
    pub(crate) matcher: String,
    pub(crate) seed: u64,
    #[serde(flatten)]
    pub(crate) conclusion: Conclusion,
    /// Absent when the audit refused, and for beliefs of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noise_rate: Option<NoiseRate>,
    /// The mean of the probabilities where they are beliefs of a run, which have no interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mean_belief: Option<f64>,
    pub(crate) reading: Reading,
    /// Near misses and others apart; absent when they were not looked for, or the audit refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kinds: Option<Kinds>,
    /// Pairs by what they are called.
    pub(crate) judgments: JudgmentCounts,
    pub(crate) ambiguity: Ambiguity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noise: Option<PlantedNoise>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) truth: Option<PlantedTruth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) self_check: Option<SelfCheck>,
    pub(crate) decision: Decided,
    /// Files of the data in the cleaned list; absent when none was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) taken_over: Option<TakenOver>,
    pub(crate) competence: Competence,
    pub(crate) duplicates: DuplicateCounts,
    /// What stands out in the data as given.
    pub(crate) diagnoses: Vec<Diagnosis>,
    pub(crate) notes: Vec<String>,
    pub(crate) outputs: Vec<PathBuf>,
    pub(crate) seconds: f64,
}

impl Output for AuditSummary {
    const SCHEMA: &'static str = "truepair/audit/1";
}

/// How many pairs are called what; all 0 when the audit gave no verdicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct JudgmentCounts {
    pub(crate) matched: usize,
    pub(crate) ambiguous: usize,
    pub(crate) doubtful: usize,
    pub(crate) mismatched: usize,
    pub(crate) unknown: usize,
}

impl JudgmentCounts {
    pub(crate) fn of(findings: &Findings) -> Self {
        let count = |wanted: Judgment| {
            let called = (findings.verdicts.iter()).filter(|verdict| verdict.judgment == wanted);
            called.count()
        };
        Self {
            matched: count(Judgment::Matched),
            ambiguous: count(Judgment::Ambiguous),
            doubtful: count(Judgment::Doubtful),
            mismatched: count(Judgment::Mismatched),
            unknown: count(Judgment::Unknown),
        }
    }

    /// For people; `None` without verdicts.
    pub(crate) fn text(self) -> Option<String> {
        let Self {
            matched,
            ambiguous,
            doubtful,
            mismatched,
            unknown,
        } = self;
        (self != Self::default()).then(|| {
            format!(
                "{matched} matched, {ambiguous} ambiguous, {doubtful} doubtful, \
                 {mismatched} mismatched, {unknown} unknown"
            )
        })
    }
}

/// What was planted, without the truth about each pair.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PlantedNoise {
    pub(crate) protocol: String,
    pub(crate) requested: Option<f64>,
    pub(crate) realized: f64,
    pub(crate) sha256: String,
}

/// Posteriors against planted truth; only the realized share when the audit gave no verdicts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PlantedTruth {
    pub(crate) realized: f64,
    pub(crate) auc: Option<f64>,
    pub(crate) ece: Option<f64>,
    pub(crate) brier: Option<f64>,
    pub(crate) precision: Option<f64>,
    pub(crate) recall: Option<f64>,
    pub(crate) reliability: Vec<ReliabilityBin>,
}

/// What the drop rule made of the posteriors.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Decided {
    pub(crate) rule: Rule,
    pub(crate) kept: usize,
    pub(crate) dropped: usize,
    pub(crate) threshold: f64,
    pub(crate) expected_bad_kept: f64,
    pub(crate) expected_good_dropped: f64,
}

impl AuditSummary {
    pub(crate) fn new(command: &'static str, audited: &Audited, request: &Request) -> Self {
        let Audited {
            dataset,
            manifest,
            findings,
            diagnoses,
            decision,
            duration,
            ..
        } = audited;
        let conclusion = Conclusion::from(&findings.outcome);
        let is_refused = conclusion.is_refused();
        let is_calibrated = conclusion.is_calibrated();
        let rate = findings.noise_rate;
        Self {
            command,
            data: remote::name_of(dataset),
            split: dataset.split.clone(),
            format: dataset.format,
            images: dataset.n_images(),
            captions: dataset.n_captions(),
            pairs: dataset.pairs.len(),
            matcher: request.judge.describe(&request.config, dataset),
            seed: request.seed.0,
            conclusion,
            noise_rate: is_calibrated.then_some(rate),
            mean_belief: (!is_calibrated && !is_refused).then_some(rate.estimate),
            kinds: findings.kinds.filter(|_| !is_refused),
            reading: findings.reading,
            judgments: JudgmentCounts::of(findings),
            ambiguity: findings.ambiguity,
            noise: manifest.as_ref().map(PlantedNoise::of),
            truth: manifest
                .as_ref()
                .map(|manifest| PlantedTruth::of(manifest, findings)),
            self_check: findings.self_check.clone(),
            decision: Decided {
                rule: request.rule,
                kept: decision.n_kept,
                dropped: decision.keep.len() - decision.n_kept,
                threshold: decision.threshold,
                expected_bad_kept: decision.expected_bad_kept,
                expected_good_dropped: decision.expected_good_dropped,
            },
            taken_over: None,
            competence: findings.competence,
            duplicates: findings.duplicates,
            diagnoses: diagnoses.clone(),
            notes: findings.notes.clone(),
            outputs: Vec::new(),
            seconds: duration.as_secs_f64(),
        }
    }
}

/// Files of the data that the cleaned list takes over as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct TakenOver {
    pub(crate) linked: usize,
    pub(crate) copied: usize,
}

impl TakenOver {
    fn of(kept: &KeptFiles) -> Self {
        Self {
            linked: kept.linked,
            copied: kept.copied,
        }
    }

    /// For people; `None` where every file was written anew.
    pub(crate) fn text(&self) -> Option<String> {
        let file = |n| render::count(n, "file");
        if self.linked > 0 {
            return Some(format!(
                "{} linked to the data, relative to the list; --copy makes a folder that stands alone",
                file(self.linked)
            ));
        }
        (self.copied > 0).then(|| format!("{} copied from the data", file(self.copied)))
    }
}

impl PlantedNoise {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            protocol: manifest.protocol.clone(),
            requested: manifest.requested,
            realized: manifest.realized,
            sha256: manifest.sha256.clone(),
        }
    }
}

impl PlantedTruth {
    fn of(manifest: &Manifest, findings: &Findings) -> Self {
        let truth = findings.truth.as_ref();
        Self {
            realized: manifest.realized,
            auc: truth.map(|truth| truth.auc),
            ece: truth.map(|truth| truth.ece),
            brier: truth.map(|truth| truth.brier),
            precision: truth.map(|truth| truth.precision),
            recall: truth.map(|truth| truth.recall),
            reliability: truth
                .map(|truth| truth.reliability.clone())
                .unwrap_or_default(),
        }
    }
}

/// Writes everything into `stage`, publishes it and notes the files in `summary`.
///
/// # Errors
/// If a file cannot be written; the output folder is then left as it was.
pub(crate) fn write(
    stage: StagedFolder,
    audited: &Audited,
    request: &Request,
    summary: &mut AuditSummary,
) -> Result<()> {
    let Audited {
        dataset,
        manifest,
        findings,
        decision,
        ..
    } = audited;
    let folder = stage.folder();
    verdict_table::write_all(folder, dataset, findings, &decision.keep)?;
    // A list that nobody judged is not a cleaned one.
    if decision.n_kept > 0 && summary.conclusion.is_calibrated() {
        let cleaned = KeptFolder {
            folder: &folder.join("cleaned"),
            place: &stage.place("cleaned"),
            unchanged: request.unchanged,
        };
        let own = audited.as_read.as_ref().map(|own| own.of(dataset));
        let own = own.as_ref().unwrap_or(dataset);
        let kept = write_kept_into(own, &decision.keep, &cleaned, &request.write)?;
        summary.taken_over = Some(TakenOver::of(&kept));
    }
    // The verdicts stand in the tables; a million of them would bury the rest of the findings.
    let whole_set = Findings {
        verdicts: Vec::new(),
        ..findings.clone()
    };
    stage.write_json("findings.json", &whole_set)?;
    if let Some(manifest) = manifest {
        stage.write_json("manifest.json", manifest)?;
    }
    if summary.conclusion.is_calibrated() {
        keep(folder, audited, request)?;
    }
    let context = ReportContext {
        matcher: request.judge.describe(&request.config, dataset),
        seed: request.seed.0,
        manifest: manifest.as_ref(),
        next_steps: next_steps(&stage, summary, request),
        protocol: protocol(audited, request)?,
        limits: Limits::default(),
        diagnoses: &audited.diagnoses,
    };
    report::write(
        &folder.join("report.html"),
        &context,
        dataset,
        findings,
        &decision.keep,
    )?;
    summary.outputs = stage.planned()?;
    summary.outputs.push(stage.place(SUMMARY));
    stage.write_json(SUMMARY, summary)?;
    stage.finish()?;
    Ok(())
}

fn next_steps(stage: &StagedFolder, summary: &AuditSummary, request: &Request) -> Vec<NextStep> {
    let step = |purpose: &str, command: String| NextStep {
        purpose: purpose.to_owned(),
        command,
    };
    let mut steps = vec![step(
        "Read every verdict, the most suspicious first when sorted by the column posterior.",
        stage.place("verdicts.csv").display().to_string(),
    )];
    let source = &request.source;
    if summary.decision.dropped > 0 && summary.conclusion.is_calibrated() {
        let mut words = vec!["truepair".to_owned(), "train".to_owned()];
        words.push(word(&cleaned_list(&stage.place("cleaned"), source)));
        // The cleaned list has its own features, and its rows in order.
        let own = ["--features", "--pairs", "--on-empty"];
        let reading = source
            .reading
            .iter()
            .filter(|[flag, _]| !own.contains(&flag.as_str()));
        words.extend(reading.flatten().cloned());
        words.extend(["--matcher", "linear", "--out"].map(str::to_owned));
        words.push(word(&beside(stage, "trained")));
        steps.push(step(
            "Fit the closed form to the pairs that the audit keeps; it takes seconds.",
            words.join(" "),
        ));
    }
    if summary.self_check.is_none() && !matches!(request.judge, Judge::Run(_)) {
        let mut words = vec!["truepair".to_owned(), "audit".to_owned()];
        words.push(word(&source.data));
        words.extend(source.captions.as_deref().map(word));
        words.extend(source.reading.iter().flatten().cloned());
        if let Judge::Frozen = request.judge {
            words.push("--frozen".to_owned());
        }
        words.extend(["--inject", "0.2", "--out"].map(str::to_owned));
        words.push(word(&beside(stage, "checked")));
        steps.push(step(
            "Check the audit itself: shuffle a known share on top and see whether it is found.",
            words.join(" "),
        ));
    }
    steps
}

/// What a command takes as its data to read the cleaned list: a file where the data was one.
fn cleaned_list(cleaned: &Path, source: &TypedSource) -> PathBuf {
    match source.data.file_name() {
        Some(name) if source.captions.is_none() && source.data.is_file() => cleaned.join(name),
        _ => cleaned.to_path_buf(),
    }
}

/// A folder beside the output, named after it.
fn beside(stage: &StagedFolder, what: &str) -> PathBuf {
    let out = stage.place("");
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{name}-{what}"))
}

fn protocol(audited: &Audited, request: &Request) -> Result<Vec<Fact>> {
    let fact = |name: &str, value: String| Fact {
        name: name.to_owned(),
        value,
    };
    Ok(vec![
        fact("version", format!("truepair {}", env!("CARGO_PKG_VERSION"))),
        fact("data, SHA-256", audited.dataset.content_hash()?),
        fact("drop rule", drop_rule::describe(request.rule)),
        fact(
            "null captions and images, at most",
            request.config.audit.null_size.to_string(),
        ),
        fact(
            "re-pairings per pair",
            request.config.audit.n_repairings.to_string(),
        ),
        fact(
            "bootstrap draws",
            request.config.audit.n_bootstrap.to_string(),
        ),
        fact("seconds", format!("{:.1}", audited.duration.as_secs_f64())),
    ])
}
