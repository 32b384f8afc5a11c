//! The audit's report: one HTML file that a person can open, print, mail and archive.
//!
//! The file holds everything it shows: styles, a little script, plots as inline SVG and pictures
//! as data URIs. It never loads anything, and its content security policy says so to the browser.
//! Captions and names are other people's text: they pass through the template's escaping and
//! [`filled`], and no caption reaches a script.
//!
//! This module only renders [`Findings`]; it computes no statistics beyond counting and averaging
//! verdicts.

pub(crate) mod chart;
mod figure;
mod gallery;
mod headline;
pub(crate) mod number;
mod page;
pub(crate) mod picture;
pub(crate) mod plot;
#[cfg(test)]
pub(crate) mod specimen;
mod summary;

pub(crate) use figure::{RateBar, bar_of};
pub(crate) use headline::{Headline, sentence};
pub(crate) use page::{SCRIPT, STYLE};

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use truepair_core::audit::Findings;
use truepair_core::dataset::Dataset;
use truepair_core::diagnosis::Diagnosis;
use truepair_core::noise::Manifest;

use crate::render::printable;
use crate::staged_file::StagedFile;
use crate::verdict_table::VerdictRow;

/// The script of the theme button, which every page has.
pub(crate) const THEME: &str = include_str!("../../templates/theme.js");

/// The content security policy of a page with no script but the theme's.
pub(crate) fn theme_policy() -> String {
    policy(THEME)
}

/// A content security policy under which nothing is loaded and exactly `script` runs; a caption that
/// got past the escaping could still not run.
pub(crate) fn policy(script: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(script));
    format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; \
         base-uri 'none'; form-action 'none'"
    )
}

/// A page's HTML, in which texts of other people show the characters that would turn the direction of what stands
/// around them, or that no page may hold.
pub(crate) fn filled(page: &impl Template) -> askama::Result<String> {
    Ok(printable(&page.render()?).into_owned())
}

/// What the report says about the audit's circumstances and cannot know from its findings.
#[derive(Debug, Clone)]
pub(crate) struct ReportContext<'a> {
    /// How the scores came about, for instance `cross-fitted, 3 folds, cosine of two MLP heads`.
    pub(crate) matcher: String,
    /// Seed of every random stream of the run.
    pub(crate) seed: u64,
    /// Truth about injected noise, when some was injected; marks the planted pairs.
    pub(crate) manifest: Option<&'a Manifest>,
    /// What the reader can do now, most useful first.
    pub(crate) next_steps: Vec<NextStep>,
    /// Further lines of the protocol: versions, hashes, durations, the command itself.
    pub(crate) protocol: Vec<Fact>,
    /// How much of the data the file shows.
    pub(crate) limits: Limits,
    /// What stands out in the data as given.
    pub(crate) diagnoses: &'a [Diagnosis],
}

/// A thing to do and the command line that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextStep {
    /// What it achieves, as a sentence.
    pub(crate) purpose: String,
    /// The exact command line, or the path of a file to open.
    pub(crate) command: String,
}

/// One line of the protocol block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    /// What is stated.
    pub(crate) name: String,
    /// Its value, shown in a fixed-width face.
    pub(crate) value: String,
}

/// Bounds on what is shown, so that the file opens quickly whatever the data's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Pairs in the gallery of the worst.
    pub(crate) worst: usize,
    /// Pairs in the sample around probability one half.
    pub(crate) borderline: usize,
    /// Pairs in the sample of ambiguous ones.
    pub(crate) ambiguous: usize,
    /// Bytes that all embedded pictures may take together, as text in the file.
    pub(crate) picture_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            worst: 60,
            borderline: 12,
            ambiguous: 12,
            picture_bytes: 16 << 20,
        }
    }
}

/// Writes the report to `path`; `keep` `[n_pairs]` says which pairs the cleaned list holds.
///
/// # Errors
/// If the file cannot be written, or if the findings do not belong to this data set. An older
/// report at `path` stays as it was then. Pictures that cannot be read are not an error; the report
/// says how many are missing.
pub(crate) fn write(
    path: &Path,
    context: &ReportContext<'_>,
    dataset: &Dataset,
    findings: &Findings,
    keep: &[bool],
) -> Result<()> {
    let html = render(context, dataset, findings, keep)?;
    StagedFile::write(path, |file| Ok(file.write_all(html.as_bytes())?))?.publish()?;
    Ok(())
}

fn render(
    context: &ReportContext<'_>,
    dataset: &Dataset,
    findings: &Findings,
    keep: &[bool],
) -> Result<String> {
    let rows = VerdictRow::all(dataset, findings, keep)?;
    page::render(&page::ReportContent {
        context,
        dataset,
        findings,
        keep,
        rows: &rows,
    })
}

#[cfg(test)]
mod tests;
