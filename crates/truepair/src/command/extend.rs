//! `truepair audit --extend`: pairs that came since an audit, judged by what it kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::Dataset;
use truepair_core::pair::Pair;
use truepair_read::dataset::{KeptFolder, Unchanged, WriteOptions, write_kept_into};

use super::output_args::OutputArgs;
use super::score::{Ending, ScoredPair, write_table};
use crate::audit::{KeptAudit, LaterPairs, StoredVerdicts};
use crate::encoded::{Encoded, LoadedEncoders};
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, Form, percent_text};
use crate::search::DataSource;
use crate::staged_folder::{SUMMARY, StagedFolder};

/// The JSON object that `truepair audit --extend --json` prints and stores.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExtensionResult {
    command: String,
    version: String,
    /// The audit whose matchers judged.
    extended: PathBuf,
    /// Pairs that it had seen, and new ones.
    known: usize,
    new: usize,
    /// New pairs that are more likely mismatched than not, and those of which it cannot be told.
    mismatched: usize,
    unknown: usize,
    /// Share of mismatches among the new pairs.
    rate: Option<f64>,
    /// Why the audit's calibration does not fit the new pairs.
    open: Option<String>,
    outputs: Vec<PathBuf>,
}

impl Output for ExtensionResult {
    const SCHEMA: &'static str = "truepair/extension/1";
}

/// What is extended, and where that goes.
pub(super) struct Extension<'a> {
    /// The audit that has seen the other pairs.
    pub(super) audit: &'a Path,
    /// The data, where it is on this machine.
    pub(super) source: Option<&'a DataSource>,
    pub(super) output: &'a OutputArgs,
    pub(super) unchanged: Unchanged,
    pub(super) write: WriteOptions,
}

pub(super) fn run(args: &Extension<'_>, form: Form) -> Result<Exit> {
    let kept = KeptAudit::open(args.audit)?;
    let seen = StoredVerdicts::read(args.audit)?;
    let place = args
        .source
        .context("--extend reads data on this machine (fetch it first)")?;
    let stage = args.output.open("audit")?;
    let mut bars = Bars::new();
    // As it was read then, but for where it lies.
    let source = DataSource {
        data: place.data.clone(),
        ..kept.source.clone()
    };
    let encoders = LoadedEncoders::load(&source.encoders)?;
    let encoded = encoders.open(&source.data, &source.read, &mut bars)?;
    let whole = &encoded.dataset;
    let is_new = |pair: &&Pair| seen.of(whole, **pair).is_none();
    let new = Dataset {
        pairs: whole.pairs.iter().filter(is_new).copied().collect(),
        ..whole.clone()
    };
    let later = match new.pairs.is_empty() {
        true => None,
        false => Some(kept.judge(&new, 0, &mut bars)?),
    };
    let keys = new
        .pairs
        .iter()
        .map(|pair| StoredVerdicts::key(&new, *pair));
    let keys: Vec<(String, String)> = keys.collect();
    let rows = rows(&keys, later.as_ref());
    let mut result = ExtensionResult::new(args.audit, whole.pairs.len() - rows.len(), &rows);
    if let Some(LaterPairs { found, .. }) = later {
        result.rate = found.open.is_none().then_some(found.rate);
        result.open = found.open;
    }
    if let Some(stage) = stage {
        write(args, &stage, &encoded, &seen, &rows)?;
        result.outputs = ["new.csv", "new.parquet", "cleaned", SUMMARY]
            .map(|name| stage.place(name))
            .to_vec();
        stage.write_json(SUMMARY, &result)?;
        stage.finish()?;
    }
    form.print(&result, || text(&result))?;
    Ok(Exit::Success)
}

impl ExtensionResult {
    fn new(audit: &Path, known: usize, rows: &[ScoredPair<'_>]) -> Self {
        let count = |name: &str| rows.iter().filter(|row| row.judgment == name).count();
        Self {
            command: "audit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extended: audit.to_path_buf(),
            known,
            new: rows.len(),
            mismatched: count("mismatched"),
            unknown: count("unknown"),
            rate: None,
            open: None,
            outputs: Vec::new(),
        }
    }
}

/// New pairs as they are written, by their keys.
fn rows<'a>(keys: &'a [(String, String)], later: Option<&LaterPairs>) -> Vec<ScoredPair<'a>> {
    let Some(LaterPairs { found, scores }) = later else {
        return Vec::new();
    };
    let judged = keys.iter().zip(&found.verdicts).zip(scores);
    judged
        .map(|(((image, caption), verdict), score)| ScoredPair {
            image,
            caption,
            score: *score,
            p_mismatched: verdict.posterior,
            judgment: verdict.name(),
            ranks: Some(verdict.ranks),
        })
        .collect()
}

/// Writes the new pairs, and a cleaned list of all.
fn write(
    args: &Extension<'_>,
    stage: &StagedFolder,
    encoded: &Encoded,
    seen: &StoredVerdicts,
    rows: &[ScoredPair<'_>],
) -> Result<()> {
    for (name, ending) in [("new.csv", Ending::Csv), ("new.parquet", Ending::Parquet)] {
        write_table(&stage.folder().join(name), ending, rows)?;
    }
    let whole = &encoded.dataset;
    let mut of_new = rows.iter();
    // Who was dropped stays dropped; a new pair goes when it is more likely mismatched than not.
    let keep = whole.pairs.iter().map(|pair| match seen.of(whole, *pair) {
        Some(verdict) => verdict.is_kept,
        None => of_new.next().is_none_or(|row| row.judgment != "mismatched"),
    });
    let keep: Vec<bool> = keep.collect();
    let cleaned = KeptFolder {
        folder: &stage.folder().join("cleaned"),
        place: &stage.place("cleaned"),
        unchanged: args.unchanged,
    };
    let own = encoded.as_read.as_ref().map(|own| own.of(whole));
    write_kept_into(own.as_ref().unwrap_or(whole), &keep, &cleaned, &args.write)?;
    Ok(())
}

fn text(result: &ExtensionResult) -> String {
    let pairs = format!("{} known, {} new", result.known, result.new);
    let mut rows = vec![
        ("pairs", pairs),
        ("by", format!("what {} kept", result.extended.display())),
    ];
    match &result.open {
        Some(reason) => rows.push(("judged", format!("none: {reason}"))),
        None => rows.push((
            "judged",
            format!(
                "{} of the new ones mismatched, {} cannot be told; probabilities add up to {}",
                result.mismatched,
                result.unknown,
                result.rate.map(percent_text).unwrap_or_default()
            ),
        )),
    }
    let mut out = render::fields(&rows);
    if !result.outputs.is_empty() {
        out += &render::written_text(&result.outputs);
    }
    out
}
