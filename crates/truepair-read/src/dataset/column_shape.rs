//! What the values of a column are made of, seen from its schema or its first records.

use std::path::Path;

use serde_json::Value;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::json_lines;
use super::parquet_file::ParquetFile;
use super::parquet_leaf;
use super::records::{Kind, Source};
use super::selector::{NAME_A_KEY, Selector, Shape, Step, captions_in, shape_of};
use crate::loose_json;

/// Records that are looked at where there is no schema.
const LOOKED_AT: usize = 64;
/// Letters of a cell that an error shows.
const SHOWN: usize = 60;

/// Where inside `column` the captions stand; `None` when the column itself holds them.
///
/// # Errors
/// If it holds objects, of which none or several values may be captions.
pub(super) fn captions_at(path: &Path, source: &Source, column: &str) -> Result<Option<Selector>> {
    let shape = match source.kind() {
        Kind::Csv | Kind::Tsv => return in_cells(path, source, column),
        Kind::Parquet => {
            let file = ParquetFile::open(path)?;
            file.field(column).map(|field| parquet_leaf::shape(field))
        }
        Kind::JsonLines | Kind::JsonList => in_json(path, source, column)?,
    };
    let found = shape.map_or(Ok(None), |shape| captions_in(column, &shape));
    found.map_err(|problem| Error::data(path, Place::Whole, problem, NAME_A_KEY))
}

fn in_json(path: &Path, source: &Source, column: &str) -> Result<Option<Shape>> {
    for entry in source.objects()?.take(LOOKED_AT) {
        let entry = entry?;
        let object = json_lines::object_at(path, entry.place, &entry.text)?.fields;
        if let Some(shape) = object.get(column).and_then(shape_of) {
            return Ok(Some(shape));
        }
    }
    Ok(None)
}

/// Cells of a table may be lists written as JSON, which are taken apart, or as Python shows them,
/// which are refused.
fn in_cells(path: &Path, source: &Source, column: &str) -> Result<Option<Selector>> {
    let cells = source.first_cells(column, LOOKED_AT)?.into_iter();
    let texts = cells
        .flat_map(Cell::texts)
        .map(|text| text.trim().to_owned());
    let cells: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    let Some(first) = cells.first() else {
        return Ok(None);
    };
    let is_list = |text: &String| {
        let is_bracketed = text.starts_with('[') && text.ends_with(']');
        is_bracketed
            && loose_json::parse(text).is_ok_and(|found| matches!(found.value, Value::Array(_)))
    };
    if cells.iter().all(is_list) {
        let shape = loose_json::parse(first)
            .ok()
            .and_then(|found| shape_of(&found.value));
        let found = shape.map_or(Ok(None), |shape| captions_in(column, &shape));
        let found =
            found.map_err(|problem| Error::data(path, Place::Whole, problem, NAME_A_KEY))?;
        let each = Selector {
            steps: vec![Step::Each],
            ..Selector::column(column)
        };
        return Ok(Some(found.unwrap_or(each)));
    }
    let is_shown = |text: &String| {
        let starts = ["['", "[\"", "{'"]
            .iter()
            .any(|start| text.starts_with(start));
        starts && text.ends_with([']', '}'])
    };
    if cells.iter().all(is_shown) {
        let shown: String = first.chars().take(SHOWN).collect();
        return Err(Error::data(
            path,
            Place::Whole,
            format!("column '{column}' holds lists as Python shows them: {shown}"),
            "write the lists as JSON, or the table as JSON lines: df.to_json(path, \
             orient='records', lines=True)",
        ));
    }
    Ok(None)
}
