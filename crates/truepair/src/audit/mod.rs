//! One audit from a data set to findings, for every command that needs one.
//!
//! The order matters here: noise is planted before anything is trained, the truth about it stays
//! in this module, and only the finished posteriors are held against it.

mod from_run;
mod judge;
mod kept;
mod output;
mod stored_verdicts;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use truepair_core::audit::{
    Decision, Findings, Injection, Links, Outcome, Rule, SelfCheck, Truth, decide, inject,
};
use truepair_core::dataset::Dataset;
use truepair_core::diagnosis::{self, Diagnosis, Subject, diagnose};
use truepair_core::noise::{self, Manifest, NoiseSpec};
use truepair_core::rng::Seed;
use truepair_read::dataset::{Unchanged, WriteOptions};
use truepair_train::CrossFitConfig;

pub(crate) use from_run::Believer;
use judge::Case;
pub(crate) use judge::{Judge, frozen};
pub(crate) use kept::{KeptAudit, LaterPairs};
pub(crate) use output::{AuditSummary, PlantedNoise, PlantedTruth, TakenOver, write};
pub(crate) use stored_verdicts::StoredVerdicts;

use crate::encoded::{AsRead, Encoded};
use crate::progress::Bars;
use crate::render;
use crate::search::DataSource;
use crate::shell::word;

/// The data of an audit as it was typed, for advice that can be typed again.
#[derive(Debug, Clone, Default)]
pub(crate) struct TypedSource {
    pub(crate) data: PathBuf,
    /// The file of the captions, where embeddings lie in two files.
    pub(crate) captions: Option<PathBuf>,
    /// Flags that say how the data is read, each with its value.
    pub(crate) reading: Vec<[String; 2]>,
}

impl TypedSource {
    /// The data with how it is read, as a shell reads it.
    pub(crate) fn typed(&self) -> String {
        let reading = self.reading.iter().flatten().cloned();
        let data = [word(&self.data)].into_iter();
        data.chain(reading).collect::<Vec<_>>().join(" ")
    }
}

/// What an audit is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) source: TypedSource,
    /// Where the scores come from.
    pub(crate) judge: Judge,
    /// Noise to plant before the audit, to measure it against.
    pub(crate) noise: NoiseSpec,
    /// What to change for a second audit that checks the first; empty for none.
    pub(crate) inject: Vec<Injection>,
    /// Which pairs the cleaned list keeps.
    pub(crate) rule: Rule,
    /// How the cleaned list is written.
    pub(crate) write: WriteOptions,
    /// What becomes of files that the cleaned list takes over unchanged.
    pub(crate) unchanged: Unchanged,
    /// Settings of the training and of the statistics.
    pub(crate) config: CrossFitConfig,
    /// Where all randomness comes from.
    pub(crate) seed: Seed,
    /// The data and how it is read, where later pairs are to be judged by what is kept; `None` = nothing is kept.
    pub(crate) kept: Option<DataSource>,
}

/// What the self-check leaves open.
const UNSEEN: &str = "The self-check shows how mismatches of the injected kinds are found in this data. It \
     cannot show whether the data's own mismatches are of these kinds, nor how good its captions were \
     before.";

/// A finished audit.
#[derive(Debug)]
pub(crate) struct Audited {
    /// The pairs that were judged, planted noise included.
    pub(crate) dataset: Dataset,
    /// What its embeddings stand for, where encoders made them.
    pub(crate) as_read: Option<AsRead>,
    /// The truth about planted noise.
    pub(crate) manifest: Option<Manifest>,
    /// What was found.
    pub(crate) findings: Findings,
    /// What stands out in the data as given, before noise was planted.
    pub(crate) diagnoses: Vec<Diagnosis>,
    /// Which pairs stay.
    pub(crate) decision: Decision,
    /// Time it took, reading excluded.
    pub(crate) duration: Duration,
}

/// Audits `clean`, after planting the requested noise in it.
///
/// # Errors
/// If the noise does not fit the data, or the pairs cannot be scored or are too few to judge.
pub(crate) fn audit(
    clean: impl Into<Encoded>,
    request: &Request,
    bars: &mut Bars,
) -> Result<Audited> {
    let start = Instant::now();
    let Encoded {
        dataset: clean,
        as_read,
        notes,
    } = clean.into();
    let diagnoses = diagnose(&Subject::new(&clean, request.seed)?)?;
    bars.stands_out(&diagnoses);
    let (dataset, manifest) = plant(clean, &request.noise, request.seed)?;
    let mut findings = findings(&dataset, request, request.seed, bars)?;
    if let (Outcome::Refused { reason }, Some(better)) =
        (&mut findings.outcome, diagnosis::refusal(&diagnoses))
    {
        *reason = better;
    }
    let posteriors = posteriors(&findings);
    if let (Some(manifest), Some(posteriors)) = (&manifest, &posteriors) {
        findings.truth = Some(Truth::measure(posteriors, &manifest.mismatched));
    }
    if let (false, Some(posteriors)) = (request.inject.is_empty(), &posteriors) {
        findings.self_check = Some(self_check(&dataset, posteriors, &findings, request, bars)?);
        findings.notes.push(UNSEEN.to_owned());
    }
    findings.notes.extend(notes);
    let decision = match &posteriors {
        Some(posteriors) if findings.outcome.is_found() => decide(posteriors, request.rule)?,
        _ => keep_all(&posteriors.unwrap_or_else(|| vec![0.0; dataset.pairs.len()])),
    };
    Ok(Audited {
        dataset,
        as_read,
        manifest,
        findings,
        diagnoses,
        decision,
        duration: start.elapsed(),
    })
}

/// Plants noise; without any, the data comes back as it is.
pub(crate) fn plant(
    clean: Dataset,
    spec: &NoiseSpec,
    seed: Seed,
) -> Result<(Dataset, Option<Manifest>)> {
    if *spec == NoiseSpec::None {
        return Ok((clean, None));
    }
    let (dataset, manifest) = noise::corrupt(&clean, spec, seed)?;
    Ok((dataset, Some(manifest)))
}

fn findings(dataset: &Dataset, request: &Request, seed: Seed, bars: &mut Bars) -> Result<Findings> {
    let case = Case {
        dataset,
        links: &Links::of(dataset)?,
        request,
        seed,
    };
    case.judge(bars)
}

/// Posterior of every pair, unless the audit refused.
fn posteriors(findings: &Findings) -> Option<Vec<f64>> {
    match findings.outcome {
        Outcome::Refused { .. } => None,
        _ => Some(
            findings
                .verdicts
                .iter()
                .map(|verdict| verdict.posterior)
                .collect(),
        ),
    }
}

/// Changes a further share of the pairs, audits again and compares.
fn self_check(
    dataset: &Dataset,
    first: &[f64],
    findings_before: &Findings,
    request: &Request,
    bars: &mut Bars,
) -> Result<SelfCheck> {
    render::note("self-check: auditing again with injected mismatches");
    let seed = request.seed.child("self-check", 0);
    let (changed, injected) = inject(dataset, &request.inject, seed)?;
    let after = findings(&changed, request, seed, bars)?;
    let second = posteriors(&after).context(
        "the self-check was refused: with the injected mismatches the scores rank held-out pairs \
         no better than chance (inject a smaller share)",
    )?;
    let rates = (findings_before.noise_rate, after.noise_rate);
    Ok(SelfCheck::measure(
        first, &second, &injected, rates.0, rates.1,
    ))
}

/// What follows where no mismatched pairs were found: nothing is dropped.
fn keep_all(posteriors: &[f64]) -> Decision {
    Decision {
        keep: vec![true; posteriors.len()],
        n_kept: posteriors.len(),
        expected_bad_kept: posteriors.iter().sum(),
        expected_good_dropped: 0.0,
        threshold: 1.0,
    }
}
