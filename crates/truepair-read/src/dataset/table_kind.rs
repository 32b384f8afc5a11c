//! Which files are tables, and of what kind.

use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::json_list::{self, Form};
use super::{column_names, delimited};

/// The kinds of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Comma, semicolon or tab separated, as the header shows.
    Csv,
    /// Tab separated.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// One JSON document with a list of objects, or one for every split.
    JsonList,
    /// Apache parquet.
    Parquet,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Csv => "CSV",
            Kind::Tsv => "TSV",
            Kind::JsonLines => "JSON lines",
            Kind::JsonList => "JSON",
            Kind::Parquet => "parquet",
        })
    }
}

impl Kind {
    /// The kind of the table at `path`: by its ending, or by its content where the ending is one of
    /// any text (`.txt`, `.token`, `.json`); `None` where it is not a table.
    pub(super) fn of(path: &Path) -> Option<Kind> {
        let ending = unpacked(path).extension()?.to_ascii_lowercase();
        match ending.to_str()? {
            "json" => json_list::form_of(path).map(|form| match form {
                Form::Lines => Kind::JsonLines,
                Form::List => Kind::JsonList,
            }),
            "txt" | "token" | "psv" | "tab" => {
                let cells = delimited::first_cells(path).ok()?;
                column_names::look_like_pairs(&cells).then_some(Kind::Csv)
            }
            _ => Kind::by_ending(path),
        }
    }

    /// The kind that the ending of `path` alone names; `.gz` or `.zst` may follow.
    pub(super) fn by_ending(path: &Path) -> Option<Kind> {
        let ending = unpacked(path).extension()?.to_ascii_lowercase();
        match ending.to_str()? {
            "csv" => Some(Kind::Csv),
            "tsv" => Some(Kind::Tsv),
            "jsonl" | "ndjson" => Some(Kind::JsonLines),
            "parquet" => Some(Kind::Parquet),
            _ => None,
        }
    }

    pub(super) fn require(path: &Path) -> Result<Kind> {
        Kind::of(path).ok_or_else(|| {
            Error::data(
                path,
                Place::Whole,
                "not a table by its ending and content",
                "name it .csv, .tsv, .jsonl or .parquet; a .json must be a list of objects",
            )
        })
    }
}

/// The path without the ending that says how the file is packed.
pub(super) fn unpacked(path: &Path) -> &Path {
    let packed = path.extension().map(|ending| ending.to_ascii_lowercase());
    let is_packed = packed.is_some_and(|ending| ending == "gz" || ending == "zst");
    let stem = path.to_str().filter(|_| is_packed);
    let stem = stem.and_then(|path| path.rsplit_once('.'));
    stem.map_or(path, |(stem, _)| Path::new(stem))
}
