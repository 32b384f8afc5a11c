//! What the values of a column are made of, seen from its schema or its first records.

use std::path::Path;

use serde_json::Value;
use truepair_core::error::{Error, Place, Result};

use super::parquet_file::ParquetFile;
use super::parquet_leaf;
use super::records::{self, Cell, Kind, json_object};
use super::selector::{NAME_A_KEY, Selector, Shape, Step, captions_in, shape_of};
use crate::lines::lines;

/// Records that are looked at where there is no schema.
const LOOKED_AT: usize = 64;

/// Where the captions stand in `column` of the table at `path`, and whether that was found out from
/// what it holds: places inside lists and objects are, a plain column is not.
///
/// # Errors
/// If it holds objects, of which none or several values may be captions.
pub(super) fn captions_at(path: &Path, column: &str) -> Result<(Selector, bool)> {
    let kind = Kind::of(path);
    if matches!(kind, Some(Kind::Csv | Kind::Tsv)) {
        return in_csv(path, column);
    }
    let shape = match kind {
        Some(Kind::Parquet) => {
            let file = ParquetFile::open(path)?;
            file.field(column).map(|field| parquet_leaf::shape(field))
        }
        _ => in_json(path, column)?,
    };
    let found = shape.map_or(Ok(None), |shape| captions_in(column, &shape));
    let found = found.map_err(|problem| Error::data(path, Place::Whole, problem, NAME_A_KEY))?;
    Ok(match found {
        Some(place) => (place, true),
        None => (Selector::column(column), false),
    })
}

fn in_json(path: &Path, column: &str) -> Result<Option<Shape>> {
    for line in lines(path)?.take(LOOKED_AT) {
        let line = line?;
        if line.text.trim().is_empty() {
            continue;
        }
        let object = json_object(path, line.number, &line.text)?;
        if let Some(shape) = object.get(column).and_then(shape_of) {
            return Ok(Some(shape));
        }
    }
    Ok(None)
}

/// Cells of a table may be lists written as JSON, which are taken apart, or as Python shows them,
/// which are refused.
fn in_csv(path: &Path, column: &str) -> Result<(Selector, bool)> {
    let mut cells = Vec::new();
    records::for_each(path, &[column], |_, mut found| {
        if let (true, Some(Cell::One(text))) = (cells.len() < LOOKED_AT, found.pop()) {
            cells.push(text);
        }
        Ok(())
    })?;
    cells.retain(|text| !text.trim().is_empty());
    let all = |test: &dyn Fn(&str) -> bool| {
        !cells.is_empty() && cells.iter().all(|text| test(text.trim()))
    };
    let is_list = |text: &str| matches!(serde_json::from_str(text), Ok(Value::Array(_)));
    if all(&is_list) {
        let first = serde_json::from_str(cells[0].trim()).unwrap_or_default();
        let found = shape_of(&first).map_or(Ok(None), |shape| captions_in(column, &shape));
        let found =
            found.map_err(|problem| Error::data(path, Place::Whole, problem, NAME_A_KEY))?;
        let each = || Selector {
            steps: vec![Step::Each],
            ..Selector::column(column)
        };
        return Ok((found.unwrap_or_else(each), true));
    }
    if all(&|text| {
        text.starts_with(['[', '{']) && text.ends_with([']', '}']) && text.contains('\'')
    }) {
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "column '{column}' holds lists as Python shows them: {}",
                cut(&cells[0])
            ),
            "write lists as JSON, or the table as JSON lines: df.to_json(path, orient='records', lines=True)",
        ));
    }
    Ok((Selector::column(column), false))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
