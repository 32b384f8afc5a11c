//! What img2dataset says beside a shard of the samples that are not in it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use super::super::cell::Cell;
use super::super::records;
use super::shards::{ENDINGS, Shard};

/// Longest list of counts.
const LONGEST: u64 = 1 << 20;
/// Status of a sample that is in the shard.
const SUCCESS: &str = "success";

/// Columns of the table beside a shard that say again what its samples say.
const KNOWN: [&str; 13] = [
    "caption",
    "error_message",
    "exif",
    "height",
    "key",
    "md5",
    "original_height",
    "original_width",
    "sha256",
    "status",
    "url",
    "width",
    "image_path",
];

/// `NNNNN_stats.json`.
#[derive(Debug, Deserialize)]
struct Stats {
    successes: Option<usize>,
    #[serde(default)]
    failed_to_download: usize,
    #[serde(default)]
    failed_to_resize: usize,
    #[serde(default)]
    status_dict: BTreeMap<String, usize>,
}

/// Counts the samples that img2dataset could not load by their status, and those that it loaded and
/// the shard lacks; `keys` are the samples of the shard.
///
/// # Errors
/// If the table beside the shard cannot be read.
pub(super) fn account_for_downloads(
    shard: &Shard,
    keys: &HashSet<&str>,
    account: &mut Account,
) -> Result<()> {
    let (table, stats) = (shard.companion(".parquet"), shard.companion("_stats.json"));
    let is_counted = table.is_file() && of_table(&table, keys, account)?;
    if !stats.is_file() {
        return Ok(());
    }
    match read_stats(&stats) {
        Some(found) if !is_counted => of_stats(&found, keys.len(), account),
        Some(_) => account.used("file", 1),
        None => {
            let why = "it is not a list of counts as img2dataset writes it";
            account.pass("file", why, stats.display());
        }
    }
    Ok(())
}

/// Columns that img2dataset's tables have, whatever was asked of it.
const METADATA: [&str; 3] = ["key", "status", "error_message"];
/// Columns of pictures, where img2dataset writes parquet instead of shards.
const PICTURES: [&str; 3] = ["jpg", "png", "webp"];

/// # Errors
/// If `table` is what img2dataset writes beside a shard, which then is the data; `columns` are its columns.
pub(in crate::dataset) fn refuse_metadata(table: &Path, columns: &[String]) -> Result<()> {
    let has = |name: &&str| columns.iter().any(|column| column == name);
    if !METADATA.iter().all(has) || PICTURES.iter().any(has) {
        return Ok(());
    }
    let mut shards = ENDINGS
        .iter()
        .map(|ending| table.with_extension(&ending[1..]));
    let (problem, remedy) = match shards.find(|shard| shard.is_file()) {
        Some(shard) => {
            let name = shard.file_name().unwrap_or_default().display().to_string();
            (
                format!("it is img2dataset's table of downloads; the pictures are in {name}"),
                format!("give {name}, or the folder"),
            )
        }
        None => {
            let shard = table.with_extension("tar");
            let name = shard.file_name().unwrap_or_default().display().to_string();
            (
                format!(
                    "it is img2dataset's table of downloads, and the shard {name} with the pictures is not \
                     beside it"
                ),
                "copy the .tar files into the folder of the tables and give the folder, or name a file of \
                 embeddings with --features"
                    .to_owned(),
            )
        }
    };
    Err(Error::data(table, Place::Whole, problem, remedy))
}

/// Whether the table has a status for every sample.
fn of_table(table: &Path, keys: &HashSet<&str>, account: &mut Account) -> Result<bool> {
    let columns = records::columns(table)?;
    let has = |name: &str| columns.iter().any(|column| column == name);
    if !has("key") || !has("status") {
        let why = "it has no columns 'key' and 'status', as img2dataset's tables do";
        account.pass("file", why, table.display());
        return Ok(false);
    }
    account.used("file", 1);
    for column in columns
        .iter()
        .filter(|name| !KNOWN.contains(&name.as_str()))
    {
        account.pass("column", "it is not asked for", column);
    }
    records::for_each(table, &["key", "status"], |_, cells| {
        let mut cells = cells.into_iter().map(|cell| match cell {
            Cell::One(text) => text,
            Cell::Missing | Cell::Many(_) | Cell::Gapped(_) => String::new(),
        });
        let (key, status) = (
            cells.next().unwrap_or_default(),
            cells.next().unwrap_or_default(),
        );
        if status != SUCCESS {
            account.pass("sample", &format!("its status is {status}"), key);
        } else if !keys.contains(key.as_str()) {
            account.pass("sample", LOST, key);
        }
        Ok(())
    })?;
    Ok(true)
}

const LOST: &str = "its status is success, and the shard lacks it";

fn read_stats(path: &Path) -> Option<Stats> {
    let bytes = source_file::read(path, LONGEST).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn of_stats(stats: &Stats, n_samples: usize, account: &mut Account) {
    account.used("file", 1);
    let failures = stats
        .status_dict
        .iter()
        .filter(|(status, _)| *status != SUCCESS);
    let mut failures: Vec<(&str, usize)> =
        failures.map(|(status, n)| (status.as_str(), *n)).collect();
    if failures.is_empty() {
        failures.push(("failed_to_download", stats.failed_to_download));
        failures.push(("failed_to_resize", stats.failed_to_resize));
    }
    for (status, n) in failures {
        account.pass_count("sample", &format!("its status is {status}"), n);
    }
    let lost = stats.successes.unwrap_or(0).saturating_sub(n_samples);
    account.pass_count("sample", LOST, lost);
}
