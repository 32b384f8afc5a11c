//! The page of a label audit: one HTML file like that of the pairs' audit, with its styles and its rules. It only
//! renders the findings; every text of the data passes through the template's escaping.

mod items;
mod page;
mod words;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use truepair_core::labeled::{LabelFindings, LabeledData, LabeledSet};
use truepair_core::noise::LabelManifest;

use crate::report::{Fact, NextStep};
use crate::staged_file::StagedFile;

/// What the page is about.
pub(crate) struct LabelReport<'a> {
    pub(crate) data: &'a LabeledData,
    pub(crate) set: &'a LabeledSet,
    pub(crate) findings: &'a LabelFindings,
    /// Truth about planted noise.
    pub(crate) manifest: Option<&'a LabelManifest>,
    /// Per item, whether the cleaned list holds it.
    pub(crate) keep: &'a [bool],
    pub(crate) shown: ShownItems,
    /// What the reader can do now, most useful first.
    pub(crate) next_steps: Vec<NextStep>,
    pub(crate) protocol: Vec<Fact>,
}

/// What can be shown of items besides numbers; each list is empty or has one entry an item.
#[derive(Debug, Default)]
pub(crate) struct ShownItems {
    pub(crate) ids: Vec<String>,
    pub(crate) pictures: Vec<Option<PathBuf>>,
    pub(crate) captions: Vec<Option<String>>,
}

/// Writes the page to `path`.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(path: &Path, report: &LabelReport<'_>) -> Result<()> {
    let html = page::render(report)?;
    StagedFile::write(path, |file| Ok(file.write_all(html.as_bytes())?))?.publish()?;
    Ok(())
}

#[cfg(test)]
mod tests;
