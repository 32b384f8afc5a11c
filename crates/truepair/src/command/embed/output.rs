//! The output folder of `truepair embed`: parts of an unfinished job, and what a finished one says
//! about itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use truepair_core::durable;
use truepair_core::source_file;
use truepair_encode::job::Skipped;

use super::EmbedResult;
use crate::folder_lock::FolderLock;
use crate::{folder, render, run_folder};

/// Folder of the parts of an unfinished job, inside the output.
const PARTS: &str = ".truepair-embed";
/// What a finished folder says about itself.
const SUMMARY: &str = "embed.json";
/// Images without an embedding.
const SKIPPED: &str = "skipped.tsv";
/// Images that were read although something is wrong with them.
const REMARKS: &str = "remarks.tsv";

/// The result in `out` when this very job made it.
///
/// # Errors
/// If another job made it.
pub(super) fn finished(out: &Path, description: &Value) -> Result<Option<EmbedResult>> {
    let file = out.join(SUMMARY);
    if !file.exists() {
        return Ok(None);
    }
    let result: EmbedResult = run_folder::load(&file, "remove the folder and embed again")?;
    check_same(out, &result.job, description)?;
    Ok(Some(result))
}

/// The folder of the job's parts, made or found, which is this process's alone until the lock is dropped.
///
/// # Errors
/// If `out` holds something else, or the parts of another job, or another process is at work there.
pub(super) fn open_parts(out: &Path, description: &Value) -> Result<(PathBuf, FolderLock)> {
    let place = out.display();
    let parts = out.join(PARTS);
    let marker = parts.join("job.json");
    if !out.is_dir() {
        folder::check_free(out)?;
        folder::create(out, "output folder")?;
    }
    let lock = FolderLock::inside(out)?;
    if marker.exists() {
        let bytes = source_file::read(&marker, source_file::SETTINGS)
            .with_context(|| format!("{}: cannot read", marker.display()))?;
        let stored: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        check_same(out, &stored, description)?;
        return Ok((parts, lock));
    }
    // Whoever was stopped before it had said what it was about left a folder that says nothing.
    let _ = std::fs::remove_dir_all(&parts);
    folder::check_free(out)?;
    std::fs::create_dir(&parts).with_context(|| format!("{place}: cannot write into it"))?;
    durable::write(&marker, description.to_string().as_bytes())?;
    Ok((parts, lock))
}

fn check_same(out: &Path, stored: &Value, description: &Value) -> Result<()> {
    if stored == description {
        return Ok(());
    }
    let differs = description.as_object().into_iter().flatten();
    let differs = differs.filter(|(key, value)| stored.get(key.as_str()) != Some(*value));
    let keys: Vec<&str> = differs.map(|(key, _)| key.as_str()).collect();
    bail!(
        "{}: holds another job, which differs in {} (choose another --out, or remove it)",
        out.display(),
        keys.join(", ")
    )
}

/// An image that something is wrong with, and its split.
pub(super) struct SkippedImage {
    pub(super) split: String,
    pub(super) image: Skipped,
}

/// Lists the images without an embedding, and says so.
pub(super) fn write_skipped(out: &Path, skipped: &[SkippedImage]) -> Result<()> {
    write_list(&out.join(SKIPPED), skipped, "skipped")
}

/// Lists the images that were read although something is wrong with them, and says so.
pub(super) fn write_remarks(out: &Path, remarks: &[SkippedImage]) -> Result<()> {
    write_list(&out.join(REMARKS), remarks, "read although damaged")
}

fn write_list(file: &Path, images: &[SkippedImage], what: &str) -> Result<()> {
    let Some(SkippedImage { image: first, .. }) = images.first() else {
        return Ok(());
    };
    let mut text = String::from("split\timage\tplace\tproblem\n");
    for SkippedImage { split, image } in images {
        let cells = [split, &image.id, &image.place, &image.problem];
        let cells = cells.map(|cell| cell.replace(['\t', '\n', '\r'], " "));
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    durable::write(file, text.as_bytes())?;
    render::note(&format!(
        "warning: {} {what}, the first {}: {} (see {})",
        render::count(images.len(), "picture"),
        first.place,
        first.problem,
        file.display()
    ));
    Ok(())
}

/// Writes what the folder says about itself, which finishes it, and removes the parts.
pub(super) fn finish(out: &Path, result: &EmbedResult) -> Result<()> {
    run_folder::publish(out, SUMMARY, result)?;
    // The result is whole; parts that cannot be removed only take space.
    let _ = std::fs::remove_dir_all(out.join(PARTS));
    Ok(())
}
