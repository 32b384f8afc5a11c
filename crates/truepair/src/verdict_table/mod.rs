//! The verdict table: one row per audited pair, for programs and spreadsheets.
//!
//! The same rows are written three times, as parquet for data frames, CSV for spreadsheets and
//! JSON lines for streams. Either all three files appear whole or none does, so a full disk
//! cannot leave a table that looks complete.

mod columnar;
mod text;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use truepair_core::audit::{Findings, Verdict};
use truepair_core::dataset::Dataset;

use crate::staged_file::StagedFile;

/// Writes `verdicts.parquet`, `verdicts.csv` and `verdicts.jsonl` into `dir` and returns their
/// paths; `keep` `[n_pairs]` says which pairs the cleaned list holds.
///
/// An audit that refused has no verdicts; its tables have columns and no rows.
///
/// # Errors
/// If a file cannot be written (the message names it), or if the findings do not belong to this
/// data set. No file is left behind then.
pub(crate) fn write_all(
    dir: &Path,
    dataset: &Dataset,
    findings: &Findings,
    keep: &[bool],
) -> Result<Vec<PathBuf>> {
    let rows = VerdictRow::all(dataset, findings, keep)?;
    let staged = vec![
        StagedFile::write(&dir.join("verdicts.parquet"), |file| {
            columnar::write_parquet(file, &rows)
        })?,
        StagedFile::write(&dir.join("verdicts.csv"), |file| {
            text::write_csv(file, &rows)
        })?,
        StagedFile::write(&dir.join("verdicts.jsonl"), |file| {
            text::write_jsonl(file, &rows)
        })?,
    ];
    staged.into_iter().map(StagedFile::publish).collect()
}

/// One row; the field order is the column order of every format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VerdictRow<'a> {
    /// Index of the pair in the data set.
    pub(crate) pair: u32,
    /// The user's name of the image.
    pub(crate) image: &'a str,
    /// The caption's text, or its index when only embeddings were given.
    pub(crate) caption: Cow<'a, str>,
    pub(crate) p_i2t: f64,
    pub(crate) p_t2i: f64,
    pub(crate) p: f64,
    /// Probability that the pair is mismatched.
    pub(crate) posterior: f64,
    pub(crate) keep: bool,
    pub(crate) rank_i2t: u32,
    pub(crate) rank_t2i: u32,
    pub(crate) better_caption: Option<Cow<'a, str>>,
    pub(crate) better_image: Option<&'a str>,
    pub(crate) reason: &'a str,
    /// How uncertain image and caption are; what is measured stands in the findings.
    pub(crate) uncertainty: Option<f64>,
    /// What the pair is called.
    pub(crate) judgment: &'static str,
    /// Of the posterior, the probability that the pair is a near miss.
    pub(crate) near: f64,
}

/// Column names in order, shared by the formats that need them before the first row.
pub(crate) const COLUMNS: [&str; 16] = [
    "pair",
    "image",
    "caption",
    "p_i2t",
    "p_t2i",
    "p",
    "posterior",
    "keep",
    "rank_i2t",
    "rank_t2i",
    "better_caption",
    "better_image",
    "reason",
    "uncertainty",
    "judgment",
    "near",
];

impl<'a> VerdictRow<'a> {
    /// The rows of all verdicts, in their order.
    ///
    /// # Errors
    /// If `keep` or an index inside a verdict does not fit the data set.
    pub(crate) fn all(
        dataset: &'a Dataset,
        findings: &'a Findings,
        keep: &[bool],
    ) -> Result<Vec<Self>> {
        ensure!(
            keep.len() == dataset.pairs.len(),
            "{} has {} pairs but {} keep flags were given",
            dataset.name,
            dataset.pairs.len(),
            keep.len()
        );
        findings
            .verdicts
            .iter()
            .map(|verdict| Self::new(dataset, verdict, keep))
            .collect()
    }

    fn new(dataset: &'a Dataset, verdict: &'a Verdict, keep: &[bool]) -> Result<Self> {
        let foreign = || {
            format!(
                "the verdict on pair {} does not belong to {} (audit this data set again)",
                verdict.pair, dataset.name
            )
        };
        let image = |index| image_id(dataset, index).with_context(foreign);
        let caption = |index| caption_text(dataset, index).with_context(foreign);
        Ok(VerdictRow {
            pair: verdict.pair,
            image: image(verdict.image)?,
            caption: caption(verdict.caption)?,
            p_i2t: verdict.p_i2t,
            p_t2i: verdict.p_t2i,
            p: verdict.p,
            posterior: verdict.posterior,
            keep: *keep.get(verdict.pair as usize).with_context(foreign)?,
            rank_i2t: verdict.rank_i2t,
            rank_t2i: verdict.rank_t2i,
            better_caption: verdict.better_caption.map(caption).transpose()?,
            better_image: verdict.better_image.map(image).transpose()?,
            reason: &verdict.reason,
            uncertainty: verdict.uncertainty,
            judgment: verdict.judgment.name(),
            near: verdict.near,
        })
    }
}

fn image_id(dataset: &Dataset, index: u32) -> Option<&str> {
    dataset.image_ids.get(index as usize).map(String::as_str)
}

fn caption_text(dataset: &Dataset, index: u32) -> Option<Cow<'_, str>> {
    match &dataset.captions {
        Some(texts) => texts
            .get(index as usize)
            .map(|text| Cow::Borrowed(text.as_str())),
        None => Some(Cow::Owned(index.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn the_declared_columns_are_the_fields_of_a_row() {
        let (dataset, findings, keep) = specimen::audited();
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        let mut out = Vec::new();
        text::write_csv(&mut out, &rows).unwrap();
        let header = String::from_utf8(out)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(header, COLUMNS.join(","));
    }

    #[test]
    fn all_three_files_appear_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (dataset, findings, keep) = specimen::audited();
        let paths = write_all(dir.path(), &dataset, &findings, &keep).unwrap();
        let mut found: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        found.sort();
        let mut expected = paths;
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_refused_audit_writes_columns_without_rows() {
        let dir = tempfile::tempdir().unwrap();
        let (dataset, findings, keep) = specimen::refused();
        write_all(dir.path(), &dataset, &findings, &keep).unwrap();
        let csv = std::fs::read_to_string(dir.path().join("verdicts.csv")).unwrap();
        assert_eq!(csv.trim_end(), COLUMNS.join(","));
        assert_eq!(
            std::fs::read(dir.path().join("verdicts.jsonl")).unwrap(),
            b""
        );
    }

    #[test]
    fn without_texts_captions_are_their_indices() {
        let (mut dataset, findings, keep) = specimen::audited();
        dataset.captions = None;
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        assert_eq!(rows[3].caption, findings.verdicts[3].caption.to_string());
    }

    #[test]
    fn a_foreign_verdict_is_an_error_that_names_the_pair() {
        let dir = tempfile::tempdir().unwrap();
        let (dataset, mut findings, keep) = specimen::audited();
        findings.verdicts[2].better_image = Some(1_000_000);
        let error = write_all(dir.path(), &dataset, &findings, &keep).unwrap_err();
        assert!(format!("{error:#}").contains("pair 2"), "{error:#}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        let error = write_all(dir.path(), &dataset, &findings, &keep[1..]).unwrap_err();
        assert!(format!("{error:#}").contains("keep flags"), "{error:#}");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_named() {
        let (dataset, findings, keep) = specimen::audited();
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let error = write_all(&file, &dataset, &findings, &keep).unwrap_err();
        assert!(
            format!("{error:#}").contains("verdicts.parquet"),
            "{error:#}"
        );
    }
}
